//! Memory that domains built at boot share, as the device tree says ([`Shared`]).
//!
//! Its owner has it as it has its own memory. Whoever else shares it has it mapped like a foreign domain's; where nobody
//! is its owner that is `DOMID_IO`, which no domain is.

use alloc::{sync::Arc, vec::Vec};

use device_tree::{Node, Region};
use xen_abi::{Domid, Errno, Gfn, Mfn, PAGE_SHIFT};

use super::{BuildError, Built};
use crate::{
    Hypervisor,
    domain::Domain,
    frames::Account,
    host::{
        chosen::Chosen,
        shared::{Role, Shared},
    },
    machine::Machine,
    p2m::P2mType,
};

/// What a domain's node, or `/chosen`, says is shared.
///
/// # Errors
///
/// It makes no sense, or contradicts another domain's.
pub(super) fn read<'a>(domain: &Node<'a>, chosen: &Chosen<'a>) -> Result<Vec<Shared<'a>>, BuildError<'a>> {
    let mut all = Vec::new();
    for node in Shared::nodes(domain) {
        let shared = Shared::read(&node)?;
        if let Some(other) = shared.contradicted(chosen) {
            return Err(BuildError::Contradiction(node.at(), other.node));
        }
        all.push(shared);
    }
    Ok(all)
}

/// Where a domain has its memory, what it shares and its grant table.
pub(super) fn used(banks: &[Region], shared: &[guest_board::Shared<'_>], grant_table: Region) -> Vec<Region> {
    let mut used = banks.to_vec();
    used.extend(shared.iter().map(|shared| shared.region));
    used.push(grant_table);
    used
}

/// The same as a domain's tree says it.
pub(super) fn in_tree<'a>(shared: &[Shared<'a>]) -> Vec<guest_board::Shared<'a>> {
    shared.iter().map(|shared| guest_board::Shared { id: shared.id, region: shared.guest }).collect()
}

impl<M: Machine> Hypervisor<M> {
    /// Gives the domains that were built the memory that they share. A guest that cannot have it, if only because its
    /// owner is left out, is left out.
    ///
    /// # Errors
    ///
    /// It is dom0 that cannot.
    pub fn share_memory<'a>(&self, built: &mut Vec<Built<'a, M>>) -> Result<(), BuildError<'a>> {
        // An owner may come after those who share with it.
        for owners in [true, false] {
            let mut at = 0;
            while let Some((node, domain)) = built.get(at) {
                match self.share_as(node, domain, owners) {
                    Ok(()) => at += 1,
                    Err(why) => self.leave_out(built, at, why)?,
                }
            }
        }
        Ok(())
    }

    /// Gives a domain what it owns of what it shares, or the rest.
    fn share_as<'a>(&self, node: &Node<'a>, domain: &Domain<M>, owner: bool) -> Result<(), BuildError<'a>> {
        for node in Shared::nodes(node) {
            let shared = Shared::read(&node)?;
            if (shared.role == Role::Owner) == owner {
                self.share(domain, &shared)?;
            }
        }
        Ok(())
    }

    fn share<'a>(&self, domain: &Domain<M>, shared: &Shared<'a>) -> Result<(), BuildError<'a>> {
        let [first, gfn, frames] =
            [shared.host.base, shared.guest.base, shared.host.size].map(|bytes| bytes >> PAGE_SHIFT);
        let owner = match (shared.role, self.frames.owner(Mfn(first))) {
            (Role::Owner, _) => {
                self.take_shared(&domain.account, shared)?;
                None
            }
            (Role::Peer, None) => {
                let account = self.nobodys_account()?;
                self.take_shared(&account, shared)?;
                Some(Domid::IO)
            }
            (role, Some(owner)) if (role == Role::Peer) == (owner == Domid::IO) => Some(owner),
            _ => return Err(BuildError::NoOwner(shared.node)),
        };
        for frame in 0..frames {
            let (gfn, mfn) = (Gfn(gfn + frame), Mfn(first + frame));
            let mut p2m = domain.p2m(self.mem());
            if p2m.lookup(gfn).is_some() {
                return Err(BuildError::Taken(shared.node, shared.guest));
            }
            match owner {
                None => p2m.map(gfn, mfn, 1, P2mType::RamRw)?,
                Some(owner) => {
                    let held = self.frames.hold(&self.machine, mfn, owner);
                    let held = held.ok_or(BuildError::NoOwner(shared.node))?;
                    p2m.map(gfn, mfn, 1, P2mType::ForeignRw)?;
                    held.keep();
                }
            }
        }
        Ok(())
    }

    /// Puts shared memory on an account, beyond what may be on it anyway.
    fn take_shared<'a>(&self, account: &Account, shared: &Shared<'a>) -> Result<(), BuildError<'a>> {
        let host = shared.host;
        let pages = u32::try_from(host.size >> PAGE_SHIFT).ok();
        let limit = pages.and_then(|pages| account.limit().checked_add(pages));
        account.set_limit(limit.ok_or(BuildError::Memory(host.size))?);
        let frames = host.base >> PAGE_SHIFT..(host.base + host.size) >> PAGE_SHIFT;
        let taken = self.frames.take_set_aside(&self.machine, account, frames);
        if taken { Ok(()) } else { Err(BuildError::NotFree(host)) }
    }

    /// The account of what is nobody's.
    fn nobodys_account(&self) -> Result<Arc<Account>, Errno> {
        if let Some(account) = self.frames.account(Domid::IO) {
            return Ok(account);
        }
        let account = Arc::new(Account::new(Domid::IO));
        self.frames.open(&account)?;
        Ok(account)
    }
}
