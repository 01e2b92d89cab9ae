//! The store's daemon in its surroundings: guests' ring pages, event channels, and dom0's own connections.

use alloc::{boxed::Box, rc::Rc};
use core::{
    cell::{OnceCell, RefCell},
    future::poll_fn,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use guest_sdk::{
    abi::{Domid, Errno, EvtchnPort, Gfn, VcpuId, domctl::dominf, xen::virq},
    event::Port,
    exec::{self, AbortOnDrop},
    hypercall::domctl,
    memory::ForeignMapping,
    shared::Memory,
    time,
    xenstore::{Transport, Xenstore},
};
use xenstored::{Daemon, DomainState, Doorbell, Error, Host, Limits, LocalClient, RingPage, Work};

/// A guest's ring page, mapped, with its event channel bound.
pub struct GuestRing {
    page: ForeignMapping,
    port: Rc<Port>,
    /// Rings the daemon's bell at each event.
    _listener: AbortOnDrop<()>,
}

impl RingPage for GuestRing {
    fn load(&self, offset: usize) -> u32 {
        self.page.shared().load_u32(offset, Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        self.page.shared().store_u32(offset, value, Ordering::Release);
    }

    fn copy_from(&self, offset: usize, to: &mut [u8]) {
        self.page.shared().read_bytes(offset, to);
    }

    fn copy_to(&self, offset: usize, from: &[u8]) {
        self.page.shared().write_bytes(offset, from);
    }

    fn notify(&self) {
        // A channel that the guest has closed is found out when the domain is looked at.
        let _ = self.port.notify();
    }
}

/// Maps guests' rings for the daemon.
struct Hypervisor {
    /// The daemon's, which is made with this.
    doorbell: Rc<OnceCell<Doorbell>>,
}

impl Hypervisor {
    fn listen(&self, domid: Domid, port: EvtchnPort) -> Result<(Rc<Port>, AbortOnDrop<()>), Error> {
        let port = Rc::new(Port::bind_interdomain(domid, port).map_err(|_| Error::Einval)?);
        let (bell, events) = (self.doorbell.clone(), port.clone());
        let listener = exec::spawn(async move {
            loop {
                events.wait().await;
                if let Some(bell) = bell.get() {
                    bell.ring_domain(domid);
                }
            }
        });
        Ok((port, listener.abort_on_drop()))
    }
}

impl Host for Hypervisor {
    type Page = GuestRing;

    fn connect(&mut self, domid: Domid, gfn: Gfn, port: EvtchnPort) -> Result<GuestRing, Error> {
        let page = ForeignMapping::new(domid, &[gfn]).map_err(|_| Error::Einval)?;
        let (port, listener) = self.listen(domid, port)?;
        Ok(GuestRing { page, port, _listener: listener })
    }

    fn rebind(&mut self, ring: &mut GuestRing, domid: Domid, port: EvtchnPort) -> Result<(), Error> {
        (ring.port, ring._listener) = self.listen(domid, port)?;
        Ok(())
    }

    fn domain_state(&mut self, domid: Domid) -> Option<DomainState> {
        let info = domctl::info(domid).ok()?;
        Some(DomainState {
            shutdown: info.flags & dominf::SHUTDOWN != 0,
            dying: info.flags & dominf::DYING != 0,
        })
    }
}

/// The running store.
#[derive(Clone)]
pub struct Store(Rc<RefCell<Daemon<Hypervisor>>>);

impl Store {
    /// Makes an empty store and the tasks that serve it.
    pub fn start() -> Result<Self, Errno> {
        let doorbell = Rc::<OnceCell<_>>::default();
        let daemon = Daemon::new(Hypervisor { doorbell: doorbell.clone() }, Limits::default());
        let bell = doorbell.get_or_init(|| daemon.doorbell()).clone();
        let store = Self(Rc::new(RefCell::new(daemon)));
        let deaths = Port::bind_virq(virq::DOM_EXC, VcpuId(0))?;
        exec::spawn(async move {
            loop {
                deaths.wait().await;
                bell.domain_states_changed();
            }
        });
        exec::spawn(serve(store.0.clone()));
        Ok(store)
    }

    /// Connects a program in dom0.
    pub fn client(&self) -> Xenstore {
        let client = self.0.borrow_mut().connect_local();
        Xenstore::over(Box::new(Local(client)))
    }
}

/// Runs rounds as long as there is something to do.
async fn serve(daemon: Rc<RefCell<Daemon<Hypervisor>>>) {
    loop {
        let now_ms = time::now().as_ns() / 1_000_000;
        let work = daemon.borrow_mut().round(now_ms);
        let bell = poll_fn(|cx| daemon.borrow_mut().poll_work(cx));
        match work {
            Work::More => exec::yield_now().await,
            Work::Until(None) => bell.await,
            Work::Until(Some(at)) => {
                let wait = Duration::from_millis(at.saturating_sub(now_ms));
                let _ = exec::timeout(wait, bell).await;
            }
        }
    }
}

/// The client's end of a connection in this program.
struct Local(LocalClient);

impl Transport for Local {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.0.read(into))
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, Errno> {
        Ok(self.0.write(from))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_event(cx)
    }
}
