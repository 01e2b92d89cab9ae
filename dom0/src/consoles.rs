//! The console daemon: every guest's console, from its introduction to its end.

use alloc::{collections::BTreeMap, format, rc::Rc};
use core::cell::RefCell;

use console::back::{Console, Limits, Reader};
use guest_sdk::{
    abi::{Domid, EvtchnPort, Gfn, domctl::dominf},
    event::Port,
    exec::{self, AbortOnDrop, Either, race},
    hypercall::sysctl,
    memory::ForeignMapping,
    xenstore::{self, Xenstore},
};

use crate::terminal::Terminal;

/// A guest's ring page, mapped.
pub type Page = Rc<ForeignMapping>;

/// What leaves a guest's console: Ctrl-].
const LEAVE: u8 = 0x1d;

struct Entry {
    console: Console<Page>,
    _server: AbortOnDrop<()>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.console.close();
    }
}

/// All consoles; clones are the same daemon.
#[derive(Clone)]
pub struct Consoles {
    store: Xenstore,
    all: Rc<RefCell<BTreeMap<Domid, Entry>>>,
}

impl Consoles {
    /// Begins to take up consoles as guests come.
    pub fn start(store: Xenstore) -> Self {
        let consoles = Self { store, all: Rc::default() };
        exec::spawn(consoles.clone().follow());
        consoles
    }

    async fn follow(self) {
        if let Err(error) = self.follow_domains().await {
            log::error!("console daemon: {error}");
        }
    }

    async fn follow_domains(&self) -> xenstore::Result<()> {
        let mut come = self.store.watch("@introduceDomain").await?;
        let mut gone = self.store.watch("@releaseDomain").await?;
        loop {
            match race(come.next(), gone.next()).await {
                Either::First(event) | Either::Second(event) => drop(event?),
            }
            self.scan().await;
        }
    }

    /// Takes up what is new and lets go of what is gone.
    async fn scan(&self) {
        let Ok(domains) = sysctl::domains() else { return };
        let alive = |domid| domains.iter().any(|d| d.domain == domid && d.flags & dominf::DYING == 0);
        self.all.borrow_mut().retain(|&domid, _| alive(domid));
        for domain in domains.iter().filter(|d| d.domain != Domid(0) && d.flags & dominf::DYING == 0) {
            self.take_up(domain.domain).await;
        }
    }

    /// Takes up a guest's console, if it has one that is not taken up.
    async fn take_up(&self, domid: Domid) {
        if self.all.borrow().contains_key(&domid) {
            return;
        }
        let Some((ring, port)) = self.describe(domid).await else { return };
        // Another task may have been here meanwhile, and its end of the channel is the only one.
        if self.all.borrow().contains_key(&domid) {
            return;
        }
        match open(domid, ring, port) {
            Ok(entry) => drop(self.all.borrow_mut().insert(domid, entry)),
            Err(errno) => log::warn!("console of {domid}: {errno}"),
        }
    }

    /// Where a guest's console is, as the toolstack wrote it; the guest cannot write there.
    async fn describe(&self, domid: Domid) -> Option<(Gfn, EvtchnPort)> {
        let path = format!("/local/domain/{}/console", domid.0);
        let ring = self.store.read_if_there::<u64>(&format!("{path}/ring-ref")).await.ok()??;
        let port = self.store.read_if_there::<u32>(&format!("{path}/port")).await.ok()??;
        Some((Gfn(ring), EvtchnPort(port)))
    }

    /// Looks at a guest's console, from the oldest output that is kept.
    pub async fn attach(&self, domid: Domid) -> Option<Reader<Page>> {
        self.take_up(domid).await;
        self.all.borrow().get(&domid).map(|entry| entry.console.attach())
    }
}

fn open(domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<Entry, guest_sdk::abi::Errno> {
    let page = Rc::new(ForeignMapping::new(domid, &[ring])?);
    let port = Port::bind_interdomain(domid, port)?;
    let console = Console::new(page, port, Limits::default());
    let served = console.clone();
    let server = exec::spawn(async move { served.serve().await }).abort_on_drop();
    Ok(Entry { console, _server: server })
}

/// Connects the terminal with a guest's console until Ctrl-] is typed or the console ends.
pub async fn interact(mut reader: Reader<Page>, terminal: &mut Terminal) {
    let console = reader.console().clone();
    let mut chunk = [0; 512];
    loop {
        match race(reader.read(&mut chunk), terminal.byte()).await {
            Either::First(0) | Either::Second(LEAVE) => break,
            Either::First(len) => terminal.raw(&chunk[..len]),
            Either::Second(byte) => {
                // A guest that does not read must not keep the user here.
                let _ = console.try_write(&[byte]);
            }
        }
    }
    terminal.raw(b"\r\n");
}
