//! All domains, by id.
//!
//! The lock is held for a look-up and nothing else, so a domain can be found whatever other locks
//! are held.

use alloc::{sync::Arc, vec::Vec};

use lock::{RareMutex, RwLock};
use xen_abi::{Domid, Errno};

use super::{Domain, vmids::Vmids};
use crate::machine::Machine;

/// All domains, dying ones too.
pub struct DomainList<M: Machine> {
    /// In the order of their ids.
    domains: RwLock<Vec<Arc<Domain<M>>>>,
    /// The id that was given out last.
    rover: RareMutex<Domid>,
    pub(super) vmids: Vmids,
}

impl<M: Machine> DomainList<M> {
    /// An empty list.
    pub const fn new() -> Self {
        Self { domains: RwLock::new(Vec::new()), rover: RareMutex::new(Domid(0)), vmids: Vmids::new() }
    }

    /// The domain of that id.
    #[hot]
    pub fn get(&self, id: Domid) -> Option<Arc<Domain<M>>> {
        let domains = self.domains.read();
        let at = domains.binary_search_by_key(&id, |domain| domain.id).ok()?;
        Some(domains[at].clone())
    }

    /// The domain with the lowest id not below `from`.
    pub fn at_or_after(&self, from: Domid) -> Option<Arc<Domain<M>>> {
        let domains = self.domains.read();
        let (Ok(at) | Err(at)) = place(&domains, from);
        domains.get(at).cloned()
    }

    /// All domains, in order of their ids; the lock is not held in between.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Domain<M>>> + '_ {
        let mut from = Some(Domid(0));
        core::iter::from_fn(move || {
            let domain = self.at_or_after(from?)?;
            from = domain.id.0.checked_add(1).map(Domid);
            Some(domain)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.domains.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Picks an id for a new domain: the wanted one, if it is a real domain's and not 0, else the
    /// next free one after the last.
    pub(crate) fn pick_id(&self, wanted: Domid) -> Result<Domid, Errno> {
        if wanted.0 != 0 && wanted.is_real() {
            return if self.get(wanted).is_some() { Err(Errno::EEXIST) } else { Ok(wanted) };
        }
        let mut rover = self.rover.lock();
        let last = Domid::FIRST_RESERVED.0 - 1;
        let next = |id: u16| if id >= last { 1 } else { id + 1 };
        let mut id = next(rover.0);
        for _ in 0..last {
            if self.get(Domid(id)).is_none() {
                *rover = Domid(id);
                return Ok(*rover);
            }
            id = next(id);
        }
        Err(Errno::ENOMEM)
    }

    /// Makes a domain known.
    pub(crate) fn insert(&self, domain: Arc<Domain<M>>) -> Result<(), Errno> {
        let mut domains = self.domains.write();
        domains.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        match place(&domains, domain.id) {
            Ok(_) => Err(Errno::EEXIST),
            Err(at) => {
                domains.insert(at, domain);
                Ok(())
            }
        }
    }

    /// Forgets a domain; its id is free.
    pub(super) fn remove(&self, id: Domid) -> Option<Arc<Domain<M>>> {
        let mut domains = self.domains.write();
        let at = place(&domains, id).ok()?;
        Some(domains.remove(at))
    }
}

/// Where a domain is in the list, or would be; [`DomainList::get`] is too frequent to call this.
#[inline(never)]
fn place<M: Machine>(domains: &[Arc<Domain<M>>], id: Domid) -> Result<usize, usize> {
    domains.binary_search_by_key(&id, |domain| domain.id)
}

impl<M: Machine> Default for DomainList<M> {
    fn default() -> Self {
        Self::new()
    }
}
