//! A daemon with guests made of plain memory.

use core::mem::offset_of;
use std::collections::BTreeMap;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use xen_abi::io::xs_wire::{DomainInterface, Header, RING_SIZE, msg};
use xen_abi::{Domid, EvtchnPort, Gfn};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::{Daemon, DomainState, Host, Limits, LocalClient, RingPage, Work};

/// A ring page that both sides hold.
#[derive(Clone, Debug)]
pub struct Page(Arc<Mutex<(Vec<u8>, usize)>>);

impl Page {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new((std::vec![0xee; 4096], 0))))
    }

    pub fn get(&self, offset: usize) -> u32 {
        let page = self.0.lock().unwrap();
        u32::from_le_bytes(page.0[offset..offset + 4].try_into().unwrap())
    }

    pub fn set(&self, offset: usize, value: u32) {
        self.0.lock().unwrap().0[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn notifications(&self) -> usize {
        self.0.lock().unwrap().1
    }

    /// Tells how much the request ring takes.
    pub fn room(&self) -> usize {
        let (prod, cons) = (offset_of!(DomainInterface, req_prod), offset_of!(DomainInterface, req_cons));
        RING_SIZE.saturating_sub(self.get(prod).wrapping_sub(self.get(cons)) as usize)
    }

    /// Writes what the request ring takes.
    pub fn put(&self, bytes: &[u8]) -> usize {
        let prod = offset_of!(DomainInterface, req_prod);
        let start = self.get(prod);
        let count = self.room().min(bytes.len());
        for (index, byte) in bytes[..count].iter().enumerate() {
            self.0.lock().unwrap().0[(start as usize + index) % RING_SIZE] = *byte;
        }
        self.set(prod, start.wrapping_add(count as u32));
        count
    }

    /// Takes what the response ring has.
    pub fn take(&self) -> Vec<u8> {
        let (prod, cons) = (offset_of!(DomainInterface, rsp_prod), offset_of!(DomainInterface, rsp_cons));
        let (end, start) = (self.get(prod), self.get(cons));
        let count = end.wrapping_sub(start) as usize;
        assert!(count <= RING_SIZE);
        let page = self.0.lock().unwrap();
        let bytes =
            (0..count).map(|index| page.0[RING_SIZE + (start as usize + index) % RING_SIZE]).collect();
        drop(page);
        self.set(cons, end);
        bytes
    }
}

impl RingPage for Page {
    fn load(&self, offset: usize) -> u32 {
        self.get(offset)
    }

    fn store(&self, offset: usize, value: u32) {
        self.set(offset, value);
    }

    fn copy_from(&self, offset: usize, to: &mut [u8]) {
        to.copy_from_slice(&self.0.lock().unwrap().0[offset..offset + to.len()]);
    }

    fn copy_to(&self, offset: usize, from: &[u8]) {
        self.0.lock().unwrap().0[offset..offset + from.len()].copy_from_slice(from);
    }

    fn notify(&self) {
        self.0.lock().unwrap().1 += 1;
    }
}

/// A hypervisor that only knows which domains there are.
#[derive(Debug, Default)]
pub struct Machine {
    pub states: BTreeMap<Domid, DomainState>,
    pub pages: BTreeMap<Domid, Page>,
    pub bound: BTreeMap<Domid, EvtchnPort>,
}

impl Host for Machine {
    type Page = Page;

    fn connect(&mut self, domid: Domid, gfn: Gfn, port: EvtchnPort) -> Result<Page> {
        assert_eq!(gfn, GFN);
        let page = self.pages.get(&domid).cloned().ok_or(Error::Eio)?;
        self.bound.insert(domid, port);
        Ok(page)
    }

    fn rebind(&mut self, _: &mut Page, domid: Domid, port: EvtchnPort) -> Result<()> {
        self.bound.insert(domid, port);
        Ok(())
    }

    fn domain_state(&mut self, domid: Domid) -> Option<DomainState> {
        self.states.get(&domid).copied()
    }
}

pub const GFN: Gfn = Gfn(0x39001);

/// A message from the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub header: Header,
    pub payload: Vec<u8>,
}

/// The client's side of a connection: what it received, cut into messages.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    events: Vec<String>,
}

impl Inbox {
    fn next(&mut self) -> Option<Answer> {
        let head = self.bytes.get(..16)?;
        let header = Header::read_from_bytes(head).unwrap();
        let payload = self.bytes.get(16..16 + header.len as usize)?.to_vec();
        self.bytes.drain(..16 + header.len as usize);
        Some(Answer { header, payload })
    }

    /// Gives the next reply, and keeps the events before it.
    fn reply(&mut self) -> Option<Answer> {
        loop {
            let answer = self.next()?;
            if answer.header.kind != msg::WATCH_EVENT {
                return Some(answer);
            }
            assert_eq!((answer.header.req_id, answer.header.tx_id), (0, 0));
            self.events.push(text(&answer.payload));
        }
    }
}

/// Shows a payload with `|` for each NUL, as the documentation does.
pub fn text(payload: &[u8]) -> String {
    String::from_utf8(payload.to_vec()).unwrap().replace('\0', "|")
}

/// The daemon with all that its clients received.
pub struct Bed {
    pub daemon: Daemon<Machine>,
    pub now: u64,
    dom0: LocalClient,
    inboxes: BTreeMap<Domid, Inbox>,
    next_id: u32,
}

pub const DOM0: Domid = Domid(0);

impl Bed {
    pub fn new() -> Self {
        let mut daemon = Daemon::new(Machine::default(), Limits::default());
        let dom0 = daemon.connect_local();
        Self { daemon, now: 1000, dom0, inboxes: BTreeMap::new(), next_id: 1 }
    }

    /// Makes a bed with connected guests 1 to `count`, each of which has its directory.
    pub fn with_guests(count: u16) -> Self {
        let mut bed = Self::new();
        for id in 1..=count {
            bed.add_guest(Domid(id));
        }
        bed
    }

    pub fn add_guest(&mut self, domid: Domid) {
        self.create_guest(domid);
        let request = std::format!("{}|{}|5|", domid.0, GFN.0);
        assert_eq!(self.ask(DOM0, msg::INTRODUCE, &request), "OK|");
        let path = std::format!("/local/domain/{}", domid.0);
        assert_eq!(self.ask(DOM0, msg::MKDIR, &std::format!("{path}|")), "OK|");
        assert_eq!(self.ask(DOM0, msg::SET_PERMS, &std::format!("{path}|n{}|", domid.0)), "OK|");
    }

    /// Makes a guest that the store does not know yet.
    pub fn create_guest(&mut self, domid: Domid) {
        self.daemon.host.states.insert(domid, DomainState::default());
        self.daemon.host.pages.insert(domid, Page::new());
    }

    pub fn page(&self, domid: Domid) -> Page {
        self.daemon.host.pages[&domid].clone()
    }

    /// Lets the daemon run until it has nothing to do; every client takes what it is sent.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            let work = self.daemon.round(self.now);
            if !self.receive() && work != Work::More {
                return;
            }
        }
        panic!("the daemon does not come to rest");
    }

    /// Takes what was sent to all clients.
    fn receive(&mut self) -> bool {
        let mut any = false;
        let mut buffer = [0; 512];
        loop {
            match self.dom0.read(&mut buffer) {
                0 => break,
                count => {
                    self.inboxes.entry(DOM0).or_default().bytes.extend_from_slice(&buffer[..count]);
                    any = true;
                }
            }
        }
        for (&domid, page) in &self.daemon.host.pages {
            let bytes = page.take();
            if !bytes.is_empty() {
                self.inboxes.entry(domid).or_default().bytes.extend(bytes);
                self.daemon.doorbell().ring_domain(domid);
                any = true;
            }
        }
        any
    }

    /// Sends raw bytes, letting the daemon run whenever the link is full.
    pub fn send_raw(&mut self, from: Domid, mut bytes: &[u8]) {
        for _ in 0..10_000 {
            let count = if from == DOM0 { self.dom0.write(bytes) } else { self.page(from).put(bytes) };
            bytes = &bytes[count..];
            if from != DOM0 {
                self.daemon.doorbell().ring_domain(from);
            }
            if bytes.is_empty() {
                return;
            }
            self.daemon.round(self.now);
        }
        panic!("the daemon takes nothing");
    }

    pub fn message(&mut self, kind: u32, tx_id: u32, payload: &[u8]) -> Vec<u8> {
        self.next_id += 1;
        let header = Header { kind, req_id: self.next_id, tx_id, len: payload.len() as u32 };
        [header.as_bytes(), payload].concat()
    }

    /// Sends a request without waiting for anything.
    pub fn send(&mut self, from: Domid, kind: u32, payload: &str) {
        let message = self.message(kind, 0, payload.replace('|', "\0").as_bytes());
        self.send_raw(from, &message);
    }

    /// Sends a request and gives the reply.
    pub fn request(&mut self, from: Domid, kind: u32, tx_id: u32, payload: &[u8]) -> Answer {
        let message = self.message(kind, tx_id, payload);
        let id = self.next_id;
        self.send_raw(from, &message);
        self.run();
        let answer = self.reply(from).expect("no reply");
        assert_eq!((answer.header.req_id, answer.header.tx_id), (id, tx_id));
        assert!(answer.header.kind == kind || answer.header.kind == msg::ERROR);
        answer
    }

    pub fn reply(&mut self, to: Domid) -> Option<Answer> {
        self.inboxes.entry(to).or_default().reply()
    }

    /// Sends a request in a transaction, with `|` for each NUL, and gives the reply's text.
    pub fn ask_in(&mut self, tx_id: u32, from: Domid, kind: u32, payload: &str) -> String {
        text(&self.request(from, kind, tx_id, payload.replace('|', "\0").as_bytes()).payload)
    }

    pub fn ask(&mut self, from: Domid, kind: u32, payload: &str) -> String {
        self.ask_in(0, from, kind, payload)
    }

    pub fn write(&mut self, from: Domid, path: &str, value: &str) -> String {
        self.ask(from, msg::WRITE, &std::format!("{path}|{value}"))
    }

    pub fn read(&mut self, from: Domid, path: &str) -> String {
        self.ask(from, msg::READ, &std::format!("{path}|"))
    }

    pub fn list(&mut self, from: Domid, path: &str) -> String {
        self.ask(from, msg::DIRECTORY, &std::format!("{path}|"))
    }

    pub fn start(&mut self, from: Domid) -> u32 {
        let reply = self.ask(from, msg::TRANSACTION_START, "|");
        reply.trim_end_matches('|').parse().unwrap()
    }

    pub fn end(&mut self, tx_id: u32, from: Domid, how: &str) -> String {
        self.ask_in(tx_id, from, msg::TRANSACTION_END, how)
    }

    /// Takes the events that a client received.
    pub fn events(&mut self, to: Domid) -> Vec<String> {
        self.run();
        let inbox = self.inboxes.entry(to).or_default();
        assert_eq!(inbox.reply(), None);
        std::mem::take(&mut inbox.events)
    }

    /// Lists all nodes with their values and permissions.
    pub fn dump(&self) -> Vec<String> {
        let store = &self.daemon.store;
        let mut lines = Vec::new();
        let mut last = None;
        while let Some((path, node)) = store.next(last.as_ref()) {
            lines.push(std::format!("{path} {} {}", text(&node.value), text(&node.perms.to_wire())));
            last = Some(path.clone());
        }
        lines
    }

    /// Checks the daemon's own invariants, and that nothing is on the account of a domain beside nodes.
    pub fn check(&mut self) {
        assert_eq!(self.ask(DOM0, msg::CONTROL, "check|"), "OK|");
    }

    /// Destroys a guest, as the hypervisor would report it.
    pub fn destroy(&mut self, domid: Domid) {
        self.daemon.host.states.remove(&domid);
        self.daemon.host.pages.remove(&domid);
        self.daemon.doorbell().domain_states_changed();
        self.run();
    }
}
