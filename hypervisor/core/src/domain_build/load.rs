//! Copying images into a domain's memory.

use xen_abi::{Gfn, PAGE_SIZE};

use super::BuildError;
use crate::{
    domain::Domain,
    frames::Mem,
    machine::{Access, CacheOp, Machine},
};

/// Copies bytes to a guest-physical address, so that the guest sees them with its caches off.
///
/// # Errors
///
/// [`BuildError::Memory`] when the domain has no memory there.
pub(super) fn load<'e, M: Machine>(
    mem: Mem<'_, M>,
    domain: &Domain<M>,
    address: u64,
    bytes: &[u8],
) -> Result<(), BuildError<'e>> {
    let p2m = domain.p2m(mem);
    let (mut at, mut left) = (address, bytes);
    while !left.is_empty() {
        let offset = (at % PAGE_SIZE as u64) as usize;
        let (now, rest) = left.split_at(left.len().min(PAGE_SIZE - offset));
        let held = p2m.hold_own(Gfn::containing(at), Access::Write);
        let held = held.ok_or(BuildError::Memory(bytes.len() as u64))?;
        mem.machine.write_frame(held.mfn(), offset, now);
        mem.machine.cache_frame(held.mfn(), offset, now.len(), CacheOp::Clean);
        at += now.len() as u64;
        left = rest;
    }
    Ok(())
}
