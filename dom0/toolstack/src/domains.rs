//! Names and ids of domains.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use xen_abi::Domid;
use xen_abi::domctl::GetDomainInfo;

use crate::config::DomainConfig;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::nodes::{DOM0, domain_path};
use crate::store::Store;

/// A domain with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name; empty when it has none yet.
    pub name: String,
    /// What the hypervisor knows of it.
    pub info: GetDomainInfo,
}

/// A guest that this toolstack made.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub name: String,
    pub config: Rc<DomainConfig>,
    /// When it was started, since the machine was.
    pub started: Duration,
    /// Whether what its shutdown calls for is being done, or has been.
    pub handled: bool,
}

/// The guests that were made here, so that no list of all domains is needed to know a name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub guests: BTreeMap<Domid, Guest>,
    by_name: BTreeMap<String, Domid>,
    /// Names of guests that are being made.
    claimed: BTreeSet<String>,
}

impl Registry {
    pub fn insert(&mut self, domid: Domid, guest: Guest) {
        self.by_name.insert(guest.name.clone(), domid);
        self.guests.insert(domid, guest);
    }

    pub fn remove(&mut self, domid: Domid) -> Option<Guest> {
        let guest = self.guests.remove(&domid)?;
        if self.by_name.get(&guest.name) == Some(&domid) {
            self.by_name.remove(&guest.name);
        }
        Some(guest)
    }

    pub fn rename(&mut self, domid: Domid, name: &str) {
        if let Some(guest) = self.remove(domid) {
            self.insert(domid, Guest { name: name.to_string(), ..guest });
        }
    }

    fn by_name(&self, name: &str) -> Option<Domid> {
        self.by_name.get(name).copied()
    }
}

/// Keeps a name for a guest that is being made.
pub(crate) struct Claim<'a> {
    registry: &'a RefCell<Registry>,
    name: String,
}

impl<'a> Claim<'a> {
    /// Claims a name that no guest has.
    pub fn new(registry: &'a RefCell<Registry>, name: &str) -> Result<Self> {
        let mut inner = registry.borrow_mut();
        if let Some(domid) = inner.by_name(name) {
            return Err(Error::NameInUse { name: name.to_string(), domid });
        }
        if name == DOM0_NAME {
            return Err(Error::NameInUse { name: name.to_string(), domid: DOM0 });
        }
        if !inner.claimed.insert(name.to_string()) {
            return Err(Error::Guest(format!("another domain with name \"{name}\" is being created")));
        }
        drop(inner);
        Ok(Self { registry, name: name.to_string() })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.registry.borrow_mut().claimed.remove(&self.name);
    }
}

/// What dom0 is called.
pub(crate) const DOM0_NAME: &str = "Domain-0";

/// Gives the name of a domain; empty when it has none.
pub(crate) async fn name_of<S: Store>(store: &S, domid: Domid) -> Result<String> {
    let name = store.read_if_there(&format!("{}/name", domain_path(domid))).await?;
    let default = if domid == DOM0 { DOM0_NAME } else { "" };
    Ok(name.unwrap_or_else(|| default.to_string()))
}

/// Lists all domains.
pub(crate) async fn list<H: Host>(host: &H) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for info in host.control().domains().map_err(Error::hypercall("list the domains"))? {
        listed.push(Listed { name: name_of(host.store(), info.domain).await?, info });
    }
    Ok(listed)
}

/// Finds the domain that a user means by a name or an id.
pub(crate) async fn find<H: Host>(host: &H, registry: &RefCell<Registry>, text: &str) -> Result<Domid> {
    let unknown = || Error::NoDomain(text.to_string());
    if let Some(domid) = parse_domid(text) {
        return host.control().domain(domid).map(|_| domid).map_err(|_| unknown());
    }
    let known = registry.borrow().by_name(text);
    if let Some(domid) = known {
        return Ok(domid);
    }
    // One that was not made here, as those that the hypervisor starts.
    let all = list(host).await?;
    all.into_iter().find(|domain| domain.name == text).map(|domain| domain.info.domain).ok_or_else(unknown)
}

fn parse_domid(text: &str) -> Option<Domid> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?.map(Domid)
}
