//! The store of the fake machine: a daemon in a domain of its own that serves every other domain
//! over a real ring. Quotas and permissions are left to the real one.

mod tree;

use std::{
    boxed::Box,
    cell::{OnceCell, RefCell},
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

use xen_abi::{Domid, Errno, Gfn, PAGE_SIZE, arch::layout, hvm::param, io::xs_wire::msg};

use super::{Domain, Page, machine};
use crate::{
    event::Port,
    hypercall::event_channel,
    memory::ForeignMapping,
    xenstore::{
        Result, RingTransport, Transport,
        wire::{Assembler, Message, number, split_string, string, strings},
    },
};
use tree::Tree;

/// The daemon's own domain.
pub(super) const DOMID: Domid = Domid(0x7FEF);

/// The daemon, made when the first domain wants it.
#[derive(Default)]
pub(super) struct Daemon {
    domain: OnceCell<Domain>,
    tree: Rc<RefCell<Tree>>,
}

/// The connection of a domain.
struct Client {
    domid: Domid,
    /// Messages that wait to be sent.
    outgoing: RefCell<Vec<u8>>,
    transport: RefCell<Box<dyn Transport>>,
    tree: Rc<RefCell<Tree>>,
}

impl Daemon {
    /// Gives a domain a ring, and serves it.
    pub(super) fn introduce(&self, domain: &Domain) {
        let me = self.domain.get_or_init(|| Domain::daemon(DOMID));
        if domain.id() == DOMID {
            return;
        }
        let gfn = Gfn(layout::MAGIC_BASE / PAGE_SIZE as u64 + layout::MAGIC_XENSTORE);
        let page = machine().frames.alloc(Domid::XEN, 1);
        let page = Page(page.expect("no memory for a store ring"));
        domain.0.mapped.borrow_mut().insert(gfn.0, Some(page));
        let theirs =
            domain.within(|| event_channel::alloc_unbound(Domid::SELF, DOMID)).expect("a port for the store");
        let mut params = domain.0.params.borrow_mut();
        params.insert(param::STORE_PFN, gfn.0);
        params.insert(param::STORE_EVTCHN, theirs.0.into());
        drop(params);
        let id = domain.id();
        let name = format!("/local/domain/{}/name", id.0);
        let written = self.tree.borrow_mut().write(0, &name, format!("fake-{}", id.0).as_bytes());
        written.expect("naming a domain");
        let tree = self.tree.clone();
        me.spawn(async move {
            let ring = ForeignMapping::new(id, &[gfn]).expect("mapping a store ring");
            let port = Port::bind_interdomain(id, theirs).expect("binding a store port");
            serve(id, Box::new(RingTransport::daemon(ring, port)), tree).await;
        });
    }
}

/// Answers a domain's requests until it breaks the protocol.
async fn serve(domid: Domid, transport: Box<dyn Transport>, tree: Rc<RefCell<Tree>>) {
    let client = Rc::new(Client {
        domid,
        outgoing: RefCell::default(),
        transport: RefCell::new(transport),
        tree: tree.clone(),
    });
    tree.borrow_mut().add_client(domid, Rc::downgrade(&client));
    let mut incoming = Assembler::default();
    while client.step(&mut incoming).is_ok() {
        std::future::poll_fn(|cx| client.transport.borrow_mut().poll_event(cx)).await;
    }
}

impl Client {
    /// Sends what waits, and answers what has come.
    fn step(&self, incoming: &mut Assembler) -> Result<()> {
        loop {
            self.flush()?;
            let mut buffer = [0; 256];
            let want = incoming.wants()?.min(buffer.len());
            let n = self.transport.borrow_mut().read(&mut buffer[..want])?;
            if n == 0 {
                return Ok(());
            }
            if let Some(request) = incoming.push(&buffer[..n])? {
                self.answer(&request)?;
            }
        }
    }

    fn flush(&self) -> Result<()> {
        let mut outgoing = self.outgoing.borrow_mut();
        while !outgoing.is_empty() {
            let n = self.transport.borrow_mut().write(&outgoing)?;
            if n == 0 {
                break;
            }
            outgoing.drain(..n);
        }
        Ok(())
    }

    fn send(&self, message: &Message) {
        self.outgoing.borrow_mut().extend(message.bytes());
        // A broken ring shows at the next step.
        let _ = self.flush();
    }

    fn answer(&self, request: &Message) -> Result<()> {
        let h = &request.header;
        let (kind, payload) = match self.execute(request) {
            Ok(payload) => (h.kind, payload),
            Err(error) => (msg::ERROR, format!("{error}\0").into_bytes()),
        };
        self.send(&Message::new(kind, h.req_id, h.tx_id, &[&payload])?);
        if h.kind == msg::WATCH {
            let (path, token) = two_strings(&request.payload)?;
            self.fire(&path, &token);
        }
        Ok(())
    }

    /// Sends a watch event.
    fn fire(&self, path: &str, token: &str) {
        let payload = format!("{path}\0{token}\0");
        if let Ok(event) = Message::new(msg::WATCH_EVENT, 0, 0, &[payload.as_bytes()]) {
            self.send(&event);
        }
    }

    fn path(&self, path: &str) -> String {
        if path.starts_with('/') || path.starts_with('@') {
            return path.to_string();
        }
        format!("/local/domain/{}/{path}", self.domid.0)
    }

    fn execute(&self, request: &Message) -> core::result::Result<Vec<u8>, Errno> {
        let invalid = |_| Errno::EINVAL;
        let tx = request.header.tx_id;
        let payload = &request.payload;
        let path = || string(payload).map(|p| self.path(&p)).map_err(invalid);
        let ok = || Ok(b"OK\0".to_vec());
        let mut tree = self.tree.borrow_mut();
        match request.header.kind {
            msg::READ => tree.read(tx, &path()?),
            msg::DIRECTORY => tree.directory(tx, &path()?),
            msg::WRITE => {
                let (path, value) = split_string(payload).map_err(invalid)?;
                tree.write(tx, &self.path(path), value)?;
                ok()
            }
            msg::MKDIR => {
                tree.mkdir(tx, &path()?)?;
                ok()
            }
            msg::RM => {
                tree.remove(tx, &path()?)?;
                ok()
            }
            msg::WATCH => {
                let (path, token) = two_strings(payload).map_err(invalid)?;
                tree.watch(self.domid, &path, &self.path(&path), &token);
                ok()
            }
            msg::UNWATCH => {
                let (_, token) = two_strings(payload).map_err(invalid)?;
                tree.unwatch(self.domid, &token);
                ok()
            }
            msg::TRANSACTION_START => Ok(format!("{}\0", tree.begin()).into_bytes()),
            msg::TRANSACTION_END => {
                tree.end(tx, payload.first() == Some(&b'T'))?;
                ok()
            }
            msg::GET_PERMS => Ok(format!("b{}\0", self.domid.0).into_bytes()),
            msg::SET_PERMS => ok(),
            msg::GET_DOMAIN_PATH => {
                let id: u16 = number(payload).map_err(invalid)?;
                Ok(format!("/local/domain/{id}\0").into_bytes())
            }
            _ => Err(Errno::ENOSYS),
        }
    }
}

fn two_strings(payload: &[u8]) -> Result<(String, String)> {
    let mut list = strings(payload)?.into_iter();
    match (list.next(), list.next()) {
        (Some(a), Some(b)) => Ok((a, b)),
        _ => Err(crate::xenstore::Error::Malformed),
    }
}

impl Tree {
    /// Tells all whose watch covers one of the paths. Once no longer borrowed, that is: the task
    /// runs later.
    fn announce(&self, paths: &[String]) {
        for watch in self.watches() {
            for path in paths.iter().filter(|path| watch.covers(path)) {
                let Some(client) = self.client(watch.domid) else {
                    continue;
                };
                let (path, token) = (watch.named(path), watch.token.clone());
                let me = client.clone();
                machine_domain().spawn(async move { me.fire(&path, &token) });
            }
        }
    }
}

/// The daemon's domain.
fn machine_domain() -> Domain {
    let machine = machine();
    machine.store.domain.get().expect("a store daemon").clone()
}

impl From<crate::xenstore::Error> for Errno {
    fn from(_: crate::xenstore::Error) -> Self {
        Errno::EIO
    }
}
