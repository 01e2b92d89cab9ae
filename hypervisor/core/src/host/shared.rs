//! Memory that domains built at boot share: nodes below a guest's, or for dom0 below `/chosen`.
//!
//! Xen's `docs/misc/arm/device-tree/booting.txt`. All of one `xen,shm-id` name the same memory of the machine.

use device_tree::{Node, NodeAt, Region};
use xen_abi::PAGE_SIZE;

use super::{Error, chosen::Chosen, memory};

/// What such a node is compatible with.
const NODE: &str = "xen,domain-shared-memory-v1";
const ID: &str = "xen,shm-id";
const MEMORY: &str = "xen,shared-mem";
const ROLE: &str = "role";
/// The longest id.
const ID_MAX: usize = 15;

/// What a domain is to shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The memory is its own.
    Owner,
    /// It is another domain's.
    Borrower,
    /// It is no domain's.
    Peer,
}

/// Shared memory, as one of the domains has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared<'a> {
    /// The node.
    pub node: NodeAt<'a>,
    /// Which it is.
    pub id: &'a str,
    /// Where the machine has it.
    pub host: Region,
    /// Where the domain has it.
    pub guest: Region,
    /// What the domain is to it.
    pub role: Role,
}

impl<'a> Shared<'a> {
    /// Below a domain's node, or below `/chosen`, the nodes of what it shares.
    pub fn nodes(domain: &Node<'a>) -> impl Iterator<Item = Node<'a>> + use<'a> {
        domain.children().filter(|node| node.is_compatible(&[NODE]))
    }

    /// Reads such a node.
    ///
    /// # Errors
    ///
    /// It makes no sense.
    #[inline(never)]
    pub fn read(node: &Node<'a>) -> Result<Self, Error<'a>> {
        let bad = |name| Error::Property(node.at(), name);
        let id = node.str(ID).filter(|id| (1..=ID_MAX).contains(&id.len())).ok_or(bad(ID))?;
        let role = match node.property(ROLE).map(|role| role.as_str()) {
            None => Role::Peer,
            Some(Some("owner")) => Role::Owner,
            Some(Some("borrower")) => Role::Borrower,
            Some(_) => return Err(bad(ROLE)),
        };
        let (host, guest) = regions(node).ok_or(bad(MEMORY))?;
        Ok(Self { node: node.at(), id, host, guest, role })
    }

    /// Calls `f` with what dom0 and the guests share, as long as it gives true. Nodes that make no sense are passed over.
    pub fn all(chosen: &Chosen<'a>, f: &mut dyn FnMut(Self) -> bool) {
        for domain in chosen.node().into_iter().chain(chosen.domains()) {
            for node in Self::nodes(&domain) {
                if Self::read(&node).is_ok_and(|shared| !f(shared)) {
                    return;
                }
            }
        }
    }

    /// An earlier one with the same id and other memory, or the other way round: both cannot be.
    pub fn contradicted(&self, chosen: &Chosen<'a>) -> Option<Self> {
        let mut found = None;
        Self::all(chosen, &mut |other| {
            let differ =
                if self.id == other.id { self.host != other.host } else { self.host.overlaps(&other.host) };
            found = differ.then_some(other);
            !differ && other.node != self.node
        });
        found
    }
}

/// Address in the machine, address in the domain, and size: where both have it.
fn regions(node: &Node<'_>) -> Option<(Region, Region)> {
    let (address, size) = memory::cells(node);
    let counts = [address, address, size].map(|count| count as usize);
    let property = node.property(MEMORY)?;
    let length = 4 * counts.iter().sum::<usize>();
    if !counts.iter().all(|count| (1..=2).contains(count)) || property.value.len() != length {
        return None;
    }
    let mut rest = property.value;
    let mut next = |count| device_tree::take(&mut rest, count);
    let (host, guest, size) = (next(counts[0])?, next(counts[1])?, next(counts[2])?);
    let regions = [host, guest].map(|base| Region { base, size });
    let good = size > 0 && (host | guest | size).is_multiple_of(PAGE_SIZE as u64);
    (good && regions.iter().all(|region| region.end().is_some())).then_some((regions[0], regions[1]))
}
