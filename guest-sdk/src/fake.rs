//! Several domains in one process, on one thread, in virtual time: what the crate runs on when it
//! is not built for bare metal.
//!
//! ```
//! # use guest_sdk::{exec, fake::Machine, event::Port, abi::Domid};
//! let machine = Machine::new();
//! let (back, front) = (machine.domain(Domid(0)), machine.domain(Domid(1)));
//! let doorbell = back.run(async { Port::alloc_unbound(Domid(1)).unwrap() });
//! let number = doorbell.number();
//! back.spawn(async move {
//!     doorbell.wait().await;
//!     doorbell.notify().unwrap();
//! });
//! front.run(async move {
//!     let port = Port::bind_interdomain(Domid(0), number).unwrap();
//!     port.wait().await; // pending from the start
//!     port.notify().unwrap();
//!     port.wait().await;
//! });
//! ```
//!
//! All tasks of all domains share one executor. When none of them is ready, pending events are
//! delivered; when there are none either, the clock jumps to the next deadline; and when there is
//! no deadline, whatever is being waited for will never come, and that panics. A run is thus
//! deterministic, and as fast as the code under test.
//!
//! The hypercalls behind it check what Xen checks as far as drivers can tell: who a grant is for,
//! whether it is writable, who may connect to a port. What is not there answers `ENOSYS`.
// UNSAFETY: plays the hypervisor: it dereferences what hypercalls point to, and hands out the same
// page to several domains. See each block.
#![allow(unsafe_code)]

mod domain;
mod events;
mod frames;
mod grants;
mod hypercalls;
mod store;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    ptr::NonNull,
    rc::Rc,
    thread_local,
};

use xen_abi::Domid;

pub use domain::Domain;
pub(crate) use frames::{address_of, free_pages, gfn_of, grant_frame};

use crate::{console, event, exec::Executor, time::Instant};

thread_local! {
    static MACHINE: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
    static CURRENT: RefCell<Option<Domain>> = const { RefCell::new(None) };
}

/// What the domains of a machine share.
struct Inner {
    domains: RefCell<BTreeMap<Domid, Domain>>,
    executor: Rc<Executor>,
    clock_ns: Cell<u64>,
    frames: frames::Frames,
    store: store::Daemon,
}

/// A machine with a hypervisor and a xenstore, without domains at first. There is one a thread;
/// making another forgets it.
pub struct Machine(Rc<Inner>);

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Switches a machine on.
    pub fn new() -> Self {
        let inner = Rc::new(Inner {
            domains: RefCell::default(),
            executor: Rc::new(Executor::new(0)),
            clock_ns: Cell::new(0),
            frames: frames::Frames::default(),
            store: store::Daemon::default(),
        });
        MACHINE.set(Some(inner.clone()));
        // Another machine of this process may have done so before.
        if log::set_logger(&Logger).is_ok() {
            log::set_max_level(log::LevelFilter::Info);
        }
        Self(inner)
    }

    /// Makes a domain.
    ///
    /// # Panics
    ///
    /// If it is there already.
    pub fn domain(&self, id: Domid) -> Domain {
        let domain = Domain::new(id);
        let old = self.0.domains.borrow_mut().insert(id, domain.clone());
        assert!(old.is_none(), "{id} is there already");
        domain.boot();
        domain
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        Instant::from_ns(self.0.clock_ns.get())
    }

    /// Runs all tasks until none is ready and no event is pending, without letting time pass.
    pub fn settle(&self) {
        loop {
            self.0.executor.run_ready();
            if !deliver() && self.0.executor.is_idle() {
                return;
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.executor.clear();
        self.0.domains.borrow_mut().clear();
        MACHINE.with_borrow_mut(|current| {
            if current.as_ref().is_some_and(|m| Rc::ptr_eq(m, &self.0)) {
                *current = None;
            }
        });
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.domains.borrow().keys()).finish()
    }
}

fn machine() -> Rc<Inner> {
    MACHINE
        .with_borrow(Clone::clone)
        .expect("no fake machine on this thread: make one with `fake::Machine::new`")
}

/// A domain of the current machine.
pub(crate) fn find(id: Domid) -> Option<Domain> {
    let machine = MACHINE.with_borrow(Clone::clone)?;
    machine.domains.borrow().get(&id).cloned()
}

/// The domain whose code runs.
pub(crate) fn current() -> Domain {
    CURRENT
        .with_borrow(Clone::clone)
        .expect("no fake domain is current: run this in `Domain::run` or `Domain::spawn`")
}

pub(crate) fn executor() -> Rc<Executor> {
    machine().executor.clone()
}

pub(crate) fn now_ns() -> u64 {
    machine().clock_ns.get()
}

/// Delivers pending events; says whether there were any.
pub(crate) fn deliver() -> bool {
    let domains: Vec<Domain> = machine().domains.borrow().values().cloned().collect();
    let mut any = false;
    for domain in domains {
        if domain.upcall_pending() {
            domain.within(|| event::upcall(xen_abi::VcpuId(0)));
            any = true;
        }
    }
    any
}

/// Nothing is ready to run: makes something happen.
pub(crate) fn idle(deadline: Option<Instant>) {
    if deliver() {
        return;
    }
    let machine = machine();
    let Some(deadline) = deadline else {
        panic!("deadlock: all tasks wait, no event is pending, no timer is set");
    };
    let now = machine.clock_ns.get();
    machine.clock_ns.set(now.max(deadline.as_ns()));
}

/// Prints on the console of the domain whose code runs, and outside any on the process's own.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        console::Logger.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if CURRENT.with_borrow(Option::is_some) {
            console::Logger.log(record);
        } else {
            std::eprintln!("{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// A page of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page(NonNull<u8>);
