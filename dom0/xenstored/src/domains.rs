//! Domains: their connections, and what is left of them when they are gone.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use xen_abi::{EvtchnPort, Gfn};

use crate::connection::{Connection, Link};
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::path::Path;
use crate::perms::Perms;
use crate::ratelimit;
use crate::requests::{OK, Request};
use crate::ring::{Ring, RingPage};
use crate::store::Node;
use crate::view::remove_all;
use crate::watch::{Change, ConnectionId};
use crate::{CONTROL, Domid, wire};

/// What the hypervisor says of a domain that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainState {
    /// It has shut down, for whatever reason.
    pub shutdown: bool,
    /// It is being torn down, or only a name for pages that others still hold.
    pub dying: bool,
}

/// What the store needs of its surroundings.
pub trait Host {
    /// A domain's mapped ring page with its event channel. Dropping it unmaps the page and closes the channel.
    type Page: RingPage;

    /// Maps the ring page of a domain, which lies at `gfn` and, in domains built as Xen's tools do, is also granted
    /// by the reserved reference for it, and binds the event channel that the domain has for it.
    fn connect(&mut self, domid: Domid, gfn: Gfn, port: EvtchnPort) -> Result<Self::Page>;

    /// Binds another event channel to a mapped page, in the place of the one bound before.
    fn rebind(&mut self, page: &mut Self::Page, domid: Domid, port: EvtchnPort) -> Result<()>;

    /// Tells what the hypervisor knows of a domain, or none if there is none with this id.
    fn domain_state(&mut self, domid: Domid) -> Option<DomainState>;
}

/// A connected domain.
#[derive(Debug)]
pub(crate) struct Domain {
    pub conn: ConnectionId,
    /// Whether its shutdown was announced.
    pub shutdown: bool,
    pub writes: ratelimit::Account,
}

impl<H: Host> Daemon<H> {
    /// Tells whether a permission for this domain means a domain that there is, and not one to come.
    pub(crate) fn domain_exists(&mut self, domid: Domid) -> bool {
        domid == CONTROL
            || self.domains.contains_key(&domid)
            || self.host.domain_state(domid).is_some_and(|state| !state.dying)
    }

    pub(crate) fn introduce(&mut self, request: &Request) -> Result<Vec<u8>> {
        let strings = wire::strings(request.payload);
        let [domid, gfn, port, ..] = strings[..] else { return Err(Error::Einval) };
        let domid = wire::parse_domid(domid)?;
        let gfn = Gfn(wire::parse_number(gfn)?);
        let port = u32::try_from(wire::parse_number(port)?).map(EvtchnPort).map_err(|_| Error::Einval)?;
        if domid == CONTROL || !domid.is_real() || port == EvtchnPort::NONE {
            return Err(Error::Einval);
        }
        match self.domains.get(&domid) {
            Some(domain) => {
                let conn = domain.conn;
                self.rebind(conn, domid, port)?;
            }
            None => {
                let page = self.host.connect(domid, gfn, port)?;
                self.add_domain(domid, page, request.now_ms);
            }
        }
        Ok(OK.to_vec())
    }

    fn rebind(&mut self, conn: ConnectionId, domid: Domid, port: EvtchnPort) -> Result<()> {
        let link = self.connections.get_mut(&conn).map(|conn| &mut conn.link);
        let Some(Link::Ring(ring)) = link else { return Err(Error::Einval) };
        self.host.rebind(ring.page_mut(), domid, port)?;
        self.reset_connection(conn);
        Ok(())
    }

    /// Connects a domain whose page is mapped, and tells those who watch for that.
    pub fn add_domain(&mut self, domid: Domid, page: H::Page, now_ms: u64) -> ConnectionId {
        let id = self.new_id();
        self.connections.insert(id, Connection::new(id, domid, Link::Ring(Ring::new(page))));
        let writes = self.rate.join(now_ms);
        self.domains.insert(domid, Domain { conn: id, shutdown: false, writes });
        self.reset_connection(id);
        self.announce(Path::INTRODUCE_DOMAIN, now_ms);
        id
    }

    fn announce(&mut self, special: &str, now_ms: u64) {
        let mut change = Change::new(&Path::known(special), true, None);
        change.show_to_readers_of(&self.store);
        self.fire(&[change], None, now_ms);
    }

    /// Reads the domain that a request is about, which must be a connected guest.
    fn connected_domain(&self, raw: &[u8]) -> Result<Domid> {
        let domid = wire::parse_domid(raw)?;
        if domid == CONTROL {
            return Err(Error::Einval);
        }
        if self.domains.contains_key(&domid) { Ok(domid) } else { Err(Error::Enoent) }
    }

    pub(crate) fn release(&mut self, request: &Request) -> Result<Vec<u8>> {
        let domid = self.connected_domain(wire::only_string(request.payload)?)?;
        self.bury(domid, request.now_ms);
        Ok(OK.to_vec())
    }

    pub(crate) fn resume(&mut self, request: &Request) -> Result<Vec<u8>> {
        let domid = self.connected_domain(wire::only_string(request.payload)?)?;
        if let Some(domain) = self.domains.get_mut(&domid) {
            domain.shutdown = false;
        }
        Ok(OK.to_vec())
    }

    pub(crate) fn is_introduced(&mut self, request: &Request) -> Result<Vec<u8>> {
        let domid = wire::parse_domid(wire::only_string(request.payload)?)?;
        let introduced = domid == CONTROL || domid == Domid::SELF || self.domains.contains_key(&domid);
        Ok(if introduced { b"T\0".to_vec() } else { b"F\0".to_vec() })
    }

    pub(crate) fn set_target(&mut self, request: &Request) -> Result<Vec<u8>> {
        let strings = wire::strings(request.payload);
        let [model, target, ..] = strings[..] else { return Err(Error::Einval) };
        let model = self.connected_domain(model)?;
        let target = self.connected_domain(target)?;
        let conn = self.domains.get(&model).map(|domain| domain.conn);
        if let Some(conn) = conn.and_then(|conn| self.connections.get_mut(&conn)) {
            conn.target = Some(target);
        }
        Ok(OK.to_vec())
    }

    /// Looks what became of the domains, after the hypervisor said that something did.
    pub fn check_domains(&mut self, now_ms: u64) {
        let mut shutdowns = false;
        for domid in self.known_domains() {
            match self.host.domain_state(domid) {
                Some(state) if !state.dying => {
                    if let Some(domain) = self.domains.get_mut(&domid)
                        && state.shutdown
                        && !domain.shutdown
                    {
                        domain.shutdown = true;
                        shutdowns = true;
                    }
                }
                _ => self.bury(domid, now_ms),
            }
        }
        if shutdowns {
            self.announce(Path::RELEASE_DOMAIN, now_ms);
        }
    }

    /// Lists the guests that are connected, own nodes or are named in permissions.
    fn known_domains(&self) -> BTreeSet<Domid> {
        let known = self.domains.keys().copied().chain(self.accounts.domains());
        known.filter(|&domid| domid != CONTROL).collect()
    }

    /// Removes all that a domain leaves: its connection, its nodes, and every permission that it has, which a later
    /// domain with the same id would inherit.
    fn bury(&mut self, domid: Domid, now_ms: u64) {
        let domain = self.domains.remove(&domid);
        if let Some(domain) = &domain {
            self.rate.leave(domain.writes);
            self.drop_connection(domain.conn);
        }
        let account = self.accounts.get(domid);
        if account.nodes > 0 || account.mentions > 0 {
            self.clean_tree(domid, now_ms);
        }
        for conn in self.connections.values_mut() {
            conn.target = conn.target.filter(|&target| target != domid);
        }
        if domain.is_some() {
            self.announce(Path::RELEASE_DOMAIN, now_ms);
        }
    }

    fn clean_tree(&mut self, domid: Domid, now_ms: u64) {
        let mut last = None;
        while let Some((path, node)) = self.store.next(last.as_ref()) {
            let (path, node) = (path.clone(), node.clone());
            let fixed = path.is_root() || path.is_special();
            if node.perms.owner() == domid && !fixed {
                let changes = remove_all(&mut self.store, &mut self.accounts, &path);
                self.fire(&changes, None, now_ms);
            } else if let Some(perms) = perms_without(&node, domid) {
                self.store.put(&path, Node { perms, ..node }, &mut self.accounts);
            }
            last = Some(path);
        }
    }
}

/// Gives a node's permissions without a dead domain, or none when it does not occur in them. What the dead domain
/// owned falls to the control domain.
fn perms_without(node: &Node, domid: Domid) -> Option<Perms> {
    if node.perms.owner() == domid { Some(Perms::private(CONTROL)) } else { node.perms.without(domid) }
}
