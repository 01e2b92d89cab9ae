//! A fake domain: its state, and how to run code in it.
// UNSAFETY: makes shared memory of pages of the fake machine, which are never freed.
#![allow(unsafe_code)]

use std::{
    boxed::Box,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    future::Future,
    ptr::NonNull,
    rc::Rc,
    string::String,
    vec::Vec,
};

use xen_abi::{Domid, Gfn, PAGE_SIZE};

use super::{CURRENT, Page, events::Channel, grants::Tracked, machine};
use crate::{
    Env,
    exec::{self, JoinHandle},
    shared::SharedMemory,
    shared_info,
    system::System,
};

/// What the hypervisor keeps of a domain.
pub(super) struct State {
    pub(super) id: Domid,
    system: &'static System,
    pub(super) shared_info: SharedMemory,
    shared_info_page: Page,
    pub(super) ports: RefCell<Vec<Channel>>,
    /// What is mapped where there is no RAM of its own; none where RAM was given back.
    pub(super) mapped: RefCell<BTreeMap<u64, Option<Page>>>,
    pub(super) grant_frames: RefCell<Vec<Page>>,
    pub(super) tracked: RefCell<Vec<Option<Tracked>>>,
    pub(super) params: RefCell<BTreeMap<u32, u64>>,
    pub(super) output: RefCell<Vec<u8>>,
    pub(super) typed: RefCell<Vec<u8>>,
    pub(super) shutdown: Cell<Option<u32>>,
    pub(super) events_sent: Cell<u64>,
}

/// A domain of the fake machine.
#[derive(Clone)]
pub struct Domain(pub(super) Rc<State>);

impl Domain {
    pub(super) fn new(id: Domid) -> Self {
        let page = machine().frames.alloc(Domid::XEN, 1);
        let page = page.expect("no memory for a fake domain");
        // SAFETY: the page is never freed.
        let shared_info = unsafe { SharedMemory::new(page, PAGE_SIZE) };
        Self(Rc::new(State {
            id,
            system: Box::leak(Box::new(System::new())),
            shared_info,
            shared_info_page: Page(page),
            ports: RefCell::new(Vec::from([Channel::Reserved])),
            mapped: RefCell::default(),
            grant_frames: RefCell::default(),
            tracked: RefCell::default(),
            params: RefCell::default(),
            output: RefCell::default(),
            typed: RefCell::default(),
            shutdown: Cell::default(),
            events_sent: Cell::default(),
        }))
    }

    /// What a guest does first.
    fn start(&self) {
        self.within(|| shared_info::map().expect("mapping the shared page"));
    }

    /// What a guest does first, and what a toolstack does for it.
    pub(super) fn boot(&self) {
        self.start();
        machine().store.introduce(self);
    }

    /// The domain of the store's daemon.
    pub(super) fn daemon(id: Domid) -> Self {
        let domain = Self::new(id);
        machine().domains.borrow_mut().insert(id, domain.clone());
        domain.start();
        domain
    }

    /// Its number.
    pub fn id(&self) -> Domid {
        self.0.id
    }

    /// What its `main` would be given, with this command line.
    pub fn env(&self, bootargs: &str) -> Env {
        self.within(|| Env::fake(bootargs))
    }

    /// Runs `f` as code of this domain.
    pub fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        struct Restore(Option<Domain>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        f()
    }

    /// Starts a task in this domain.
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.within(|| exec::spawn(future))
    }

    /// Runs the machine until a future of this domain is done.
    ///
    /// # Panics
    ///
    /// When it never will be.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.within(|| exec::block_on(future))
    }

    /// What it has printed on its console so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.0.output.borrow()).into_owned()
    }

    /// Why it shut down (see [`xen_abi::sched::shutdown`]), if it did.
    pub fn shutdown_reason(&self) -> Option<u32> {
        self.0.shutdown.get()
    }

    /// Grants of others that it has mapped.
    pub fn mapped_grants(&self) -> usize {
        self.0.tracked.borrow().iter().flatten().count()
    }

    /// Events that it has sent so far: each is a hypercall, and an interrupt elsewhere.
    pub fn events_sent(&self) -> u64 {
        self.0.events_sent.get()
    }

    /// Event channels that it has open.
    pub fn open_ports(&self) -> usize {
        let ports = self.0.ports.borrow();
        ports.iter().filter(|c| c.is_open()).count()
    }

    pub(crate) fn system(&self) -> &'static System {
        self.0.system
    }

    pub(crate) fn alloc_pages(&self, count: usize) -> Option<NonNull<u8>> {
        machine().frames.alloc(self.0.id, count)
    }

    pub(crate) fn mapped_at(&self, gfn: Gfn) -> NonNull<u8> {
        match self.page_at(gfn) {
            Some(page) => page.0,
            // A failed mapping: a hole that must not be touched.
            None => NonNull::<u64>::dangling().cast(),
        }
    }

    /// What this domain sees at a frame.
    pub(super) fn page_at(&self, gfn: Gfn) -> Option<Page> {
        match self.0.mapped.borrow().get(&gfn.0) {
            Some(mapped) => *mapped,
            None => machine().frames.owned(self.0.id, gfn),
        }
    }

    /// The page that this domain may lend or show at a frame: its own RAM only.
    pub(super) fn own_page(&self, gfn: Gfn) -> Option<Page> {
        if self.0.mapped.borrow().contains_key(&gfn.0) {
            return None;
        }
        machine().frames.owned(self.0.id, gfn)
    }

    pub(super) fn shared_info_page(&self) -> Page {
        self.0.shared_info_page
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0.id)
    }
}
