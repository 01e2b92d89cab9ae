//! Files, time, and those who answer the toolstack.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::format;
use std::pin::pin;
use std::rc::Rc;
use std::string::{String, ToString};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::vec::Vec;

use super::control::{FakeControl, Faults};
use super::store::FakeStore;
use crate::host::{Host, Source};

/// A file whose reading may fail.
pub struct FakeFile {
    bytes: Rc<Vec<u8>>,
    faults: Rc<Faults>,
}

impl Source for FakeFile {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), String> {
        if self.faults.strikes() {
            return Err("cannot be read".to_string());
        }
        to.copy_from_slice(&self.bytes[offset as usize..offset as usize + to.len()]);
        Ok(())
    }
}

pub struct FakeHost {
    pub control: FakeControl,
    pub store: FakeStore,
    pub faults: Rc<Faults>,
    pub files: RefCell<BTreeMap<String, Rc<Vec<u8>>>>,
    /// Whether guests take orders.
    pub guests_answer: Cell<bool>,
    pub slept: Cell<Duration>,
}

impl FakeHost {
    pub fn new() -> Self {
        let faults = Rc::new(Faults::default());
        let control = FakeControl::new(faults.clone());
        let store = FakeStore::new(&control);
        Self {
            control,
            store,
            faults,
            files: RefCell::default(),
            guests_answer: Cell::new(true),
            slept: Cell::default(),
        }
    }

    pub fn put_file(&self, path: &str, bytes: Vec<u8>) {
        self.files.borrow_mut().insert(path.into(), Rc::new(bytes));
    }

    /// Does what back ends and guests do in a while.
    pub fn let_others_run(&self) {
        self.run_disks();
        if self.guests_answer.get() {
            for id in self.store.names("/local/domain") {
                let path = format!("/local/domain/{id}/control/shutdown");
                if self.store.get(&path).is_some_and(|order| !order.is_empty()) {
                    self.store.put(&path, "");
                }
            }
        }
    }

    fn run_disks(&self) {
        let vbd = "/local/domain/0/backend/vbd";
        for domid in self.store.names(vbd) {
            for id in self.store.names(&format!("{vbd}/{domid}")) {
                let path = format!("{vbd}/{domid}/{id}");
                let get = |name: &str| self.store.get(&format!("{path}/{name}")).unwrap_or_default();
                let put = |name: &str, value: &str| self.store.put(&format!("{path}/{name}"), value);
                match (get("state").as_str(), get("params").as_str(), get("hotplug-status").as_str()) {
                    ("1", "/dev/bad", "") => {
                        self.store
                            .put(&format!("/local/domain/0/error/backend/vbd/{domid}/{id}/error"), "bad");
                        put("hotplug-error", "/dev/bad: no such block device");
                        put("hotplug-status", "error");
                    }
                    ("1", "/dev/silent", _) => {}
                    ("1", _, "") => {
                        put("hotplug-status", "connected");
                        put("state", "2");
                    }
                    ("5", "/dev/busy", _) => {}
                    ("5", ..) => put("state", "6"),
                    _ => {}
                }
            }
        }
    }

    /// Runs something to its end.
    pub fn run<F: Future>(&self, what: F) -> F::Output {
        let mut what = Box::pin(what);
        for _ in 0..10_000 {
            if let Poll::Ready(value) = what.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            self.let_others_run();
        }
        panic!("it waits for ever");
    }
}

impl Host for &FakeHost {
    type Control = FakeControl;
    type Store = FakeStore;
    type Source = FakeFile;

    fn control(&self) -> &FakeControl {
        &self.control
    }

    fn store(&self) -> &FakeStore {
        &self.store
    }

    async fn open(&self, path: &str) -> Result<FakeFile, String> {
        if self.faults.strikes() {
            return Err("cannot be opened".to_string());
        }
        let bytes = self.files.borrow().get(path).cloned().ok_or("No such file or directory")?;
        Ok(FakeFile { bytes, faults: self.faults.clone() })
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(11)
    }

    fn wallclock(&self) -> Option<Duration> {
        Some(Duration::from_millis(1_704_067_206_790) + self.slept.get())
    }

    async fn timeout<F: Future>(&self, limit: Duration, what: F) -> Option<F::Output> {
        let mut what = pin!(what);
        for _ in 0..20 {
            if let Poll::Ready(value) = what.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(value);
            }
            self.let_others_run();
        }
        self.slept.set(self.slept.get() + limit);
        None
    }

    async fn sleep(&self, time: Duration) {
        self.slept.set(self.slept.get() + time);
    }

    async fn pause(&self) {}
}
