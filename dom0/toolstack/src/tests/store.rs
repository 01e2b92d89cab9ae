//! The project's own store, asked one thing after another.

use std::cell::RefCell;
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use guest_sdk::xenstore::{Error, Permission, Result};
use xen_abi::io::xs_wire::{Header, msg};
use xen_abi::{Domid, Errno, EvtchnPort, Gfn};
use xenstored::{Daemon, DomainState, Host, Limits, LocalClient, RingPage};
use zerocopy::{FromBytes, IntoBytes};

use super::control::{FakeControl, Faults};
use crate::store::{Store, Watch};

/// A ring page that nobody looks at.
#[derive(Debug)]
pub struct Page;

impl RingPage for Page {
    fn load(&self, _: usize) -> u32 {
        0
    }
    fn store(&self, _: usize, _: u32) {}
    fn copy_from(&self, _: usize, to: &mut [u8]) {
        to.fill(0);
    }
    fn copy_to(&self, _: usize, _: &[u8]) {}
    fn notify(&self) {}
}

#[derive(Debug)]
struct Domains(FakeControl);

impl Host for Domains {
    type Page = Page;

    fn connect(
        &mut self,
        domid: Domid,
        _: Gfn,
        _: EvtchnPort,
    ) -> core::result::Result<Page, xenstored::Error> {
        let machine = self.0.machine.borrow();
        machine.domains.get(&domid).map(|_| Page).ok_or(xenstored::Error::Einval)
    }

    fn rebind(
        &mut self,
        _: &mut Page,
        _: Domid,
        _: EvtchnPort,
    ) -> core::result::Result<(), xenstored::Error> {
        Ok(())
    }

    fn domain_state(&mut self, domid: Domid) -> Option<DomainState> {
        let machine = self.0.machine.borrow();
        let shutdown = machine.domains.get(&domid)?.shutdown.is_some();
        Some(DomainState { shutdown, dying: false })
    }
}

/// A connection, or a transaction on it.
#[derive(Clone)]
pub struct FakeStore {
    daemon: Rc<RefCell<Daemon<Domains>>>,
    client: Rc<RefCell<LocalClient>>,
    faults: Option<Rc<Faults>>,
    tx_id: u32,
}

pub struct FakeWatch {
    store: FakeStore,
    inbox: Vec<u8>,
}

impl FakeStore {
    pub fn new(control: &FakeControl) -> Self {
        let mut daemon = Daemon::new(Domains(control.clone()), Limits::default());
        let client = daemon.connect_local();
        Self {
            daemon: Rc::new(RefCell::new(daemon)),
            client: Rc::new(RefCell::new(client)),
            faults: Some(control.faults.clone()),
            tx_id: 0,
        }
    }

    /// Gives a connection of somebody else, which never fails.
    pub fn other(&self) -> Self {
        let client = self.daemon.borrow_mut().connect_local();
        Self { client: Rc::new(RefCell::new(client)), faults: None, tx_id: 0, daemon: self.daemon.clone() }
    }

    /// Lets the store see what became of the domains.
    pub fn check_domains(&self) {
        let mut daemon = self.daemon.borrow_mut();
        daemon.doorbell().domain_states_changed();
        daemon.round(0);
    }

    fn receive(&self, count: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; count];
        let mut done = 0;
        for _ in 0..1000 {
            done += self.client.borrow_mut().read(&mut bytes[done..]);
            if done == count {
                return bytes;
            }
            self.daemon.borrow_mut().round(0);
        }
        panic!("the store does not answer");
    }

    fn request(&self, kind: u32, payload: &[u8]) -> Result<Vec<u8>> {
        if self.faults.as_ref().is_some_and(|faults| faults.strikes()) {
            return Err(Error::Refused(Errno::EIO));
        }
        let header = Header { kind, req_id: 7, tx_id: self.tx_id, len: payload.len() as u32 };
        let message = [header.as_bytes(), payload].concat();
        assert_eq!(self.client.borrow_mut().write(&message), message.len());
        let reply = Header::read_from_bytes(&self.receive(16)).unwrap();
        let payload = self.receive(reply.len as usize);
        if reply.kind == msg::ERROR {
            let name = String::from_utf8(payload).unwrap();
            return Err(Error::Refused(Errno::from_name(name.trim_end_matches('\0')).unwrap()));
        }
        assert_eq!(reply.kind, kind);
        Ok(payload)
    }

    fn ask(&self, kind: u32, payload: &str) -> Result<String> {
        let reply = self.request(kind, payload.replace('|', "\0").as_bytes())?;
        Ok(String::from_utf8(reply).unwrap())
    }

    /// Gives a value without anything in between.
    pub fn get(&self, path: &str) -> Option<String> {
        self.other().ask(msg::READ, &format!("{path}|")).ok()
    }

    pub fn put(&self, path: &str, value: &str) {
        self.other().ask(msg::WRITE, &format!("{path}|{value}")).unwrap();
    }

    pub fn names(&self, path: &str) -> Vec<String> {
        let list = self.other().ask(msg::DIRECTORY, &format!("{path}|")).unwrap_or_default();
        list.split_terminator('\0').map(String::from).collect()
    }

    /// Lists all nodes below one, with values and permissions: `path = value (n0,r1)`.
    pub fn dump(&self, top: &str) -> Vec<String> {
        let client = self.other();
        let mut lines = Vec::new();
        let mut left = std::vec![String::from(top)];
        while let Some(path) = left.pop() {
            let value = client.ask(msg::READ, &format!("{path}|")).unwrap();
            let perms = client.ask(msg::GET_PERMS, &format!("{path}|")).unwrap();
            let perms = perms.trim_end_matches('\0').replace('\0', ",");
            lines.push(format!("{path} = \"{value}\" ({perms})"));
            let prefix = if path == "/" { "" } else { &path };
            left.extend(self.names(&path).iter().rev().map(|name| format!("{prefix}/{name}")));
        }
        lines
    }

    /// Tells how many watches there are.
    pub fn watches(&self) -> usize {
        let text = self.other().ask(msg::CONTROL, "quota|0|").unwrap();
        let line = text.lines().find(|line| line.starts_with("watches")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn is_introduced(&self, domid: Domid) -> bool {
        self.other().ask(msg::IS_DOMAIN_INTRODUCED, &format!("{}|", domid.0)).unwrap() == "T\0"
    }
}

impl Store for FakeStore {
    type Watch = FakeWatch;

    async fn read(&self, path: &str) -> Result<String> {
        self.ask(msg::READ, &format!("{path}|"))
    }

    async fn write(&self, path: &str, value: &str) -> Result<()> {
        assert!(!value.contains('|'));
        self.ask(msg::WRITE, &format!("{path}|{value}")).map(drop)
    }

    async fn mkdir(&self, path: &str) -> Result<()> {
        self.ask(msg::MKDIR, &format!("{path}|")).map(drop)
    }

    async fn remove(&self, path: &str) -> Result<()> {
        self.ask(msg::RM, &format!("{path}|")).map(drop)
    }

    async fn set_permissions(&self, path: &str, list: &[Permission]) -> Result<()> {
        let list: String = list.iter().map(|entry| format!("{entry}|")).collect();
        self.ask(msg::SET_PERMS, &format!("{path}|{list}")).map(drop)
    }

    async fn directory(&self, path: &str) -> Result<Vec<String>> {
        let list = self.ask(msg::DIRECTORY, &format!("{path}|"))?;
        Ok(list.split_terminator('\0').map(String::from).collect())
    }

    async fn transaction<T, F: AsyncFn(&Self) -> Result<T>>(&self, f: F) -> Result<T> {
        assert_eq!(self.tx_id, 0);
        loop {
            let id = self.ask(msg::TRANSACTION_START, "|")?;
            let view = Self { tx_id: id.trim_end_matches('\0').parse().unwrap(), ..self.clone() };
            // A transaction's end never fails by itself: the connection is what may be gone, and then it ends too.
            let end = |how: &str| Self { faults: None, ..view.clone() }.ask(msg::TRANSACTION_END, how);
            match f(&view).await {
                Ok(value) => match end("T|") {
                    Ok(_) => return Ok(value),
                    Err(Error::Refused(Errno::EAGAIN)) => {}
                    Err(error) => return Err(error),
                },
                Err(error) => {
                    end("F|").unwrap();
                    return Err(error);
                }
            }
        }
    }

    async fn watch(&self, path: &str) -> Result<FakeWatch> {
        if self.faults.as_ref().is_some_and(|faults| faults.strikes()) {
            return Err(Error::Refused(Errno::EIO));
        }
        let store = self.other();
        store.ask(msg::WATCH, &format!("{path}|t|"))?;
        Ok(FakeWatch { store, inbox: Vec::new() })
    }

    async fn introduce(&self, domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<()> {
        self.ask(msg::INTRODUCE, &format!("{}|{}|{}|", domid.0, ring.0, port.0)).map(drop)
    }
}

impl Watch for FakeWatch {
    async fn next(&mut self) -> Result<()> {
        core::future::poll_fn(|_| {
            self.store.daemon.borrow_mut().round(0);
            let mut buffer = [0; 256];
            let count = self.store.client.borrow_mut().read(&mut buffer);
            self.inbox.extend_from_slice(&buffer[..count]);
            let Some(head) = self.inbox.get(..16) else { return core::task::Poll::Pending };
            let header = Header::read_from_bytes(head).unwrap();
            self.inbox.drain(..16 + header.len as usize);
            core::task::Poll::Ready(Ok(()))
        })
        .await
    }
}
