//! Asking about tables and arranging them.

use alloc::sync::Arc;
use core::mem::offset_of;

use lock::LockRarely;
use xen_abi::{
    Domid, Errno, Gfn, Gref,
    grant_table::{
        GetStatusFrames, GetVersion, GrantStatus, QuerySize, SetVersion, SetupTable, SwapGrantRef,
    },
};

use zerocopy::IntoBytes;

use super::{GrantTable, each};
use crate::{current::Current, domain::Domain, frames::Mem, hypercall::HypercallResult, machine::Machine};

pub(super) const SWAP_SIZE: u64 = size_of::<SwapGrantRef>() as u64;

/// The only version there is.
const VERSION: u32 = 1;

/// The domain that an operation names, if the caller may act on it.
fn target<M: Machine>(cur: &Current<'_, M>, domid: Domid) -> Result<Arc<Domain<M>>, GrantStatus> {
    cur.target(domid).map_err(|errno| match errno {
        Errno::ESRCH => GrantStatus::BAD_DOMAIN,
        _ => GrantStatus::PERMISSION_DENIED,
    })
}

pub(super) fn setup_table<M: Machine>(cur: &mut Current<'_, M>, at: u64, count: u32) -> HypercallResult {
    if count != 1 {
        return Err(Errno::EINVAL.into());
    }
    let op: SetupTable = cur.read(at)?;
    let status = match target(cur, op.dom) {
        Ok(domain) => list_frames(cur, &op, &domain).err().unwrap_or(GrantStatus::OKAY),
        Err(status) => status,
    };
    cur.write(at + offset_of!(SetupTable, status) as u64, &status)?;
    Ok(0)
}

fn list_frames<M: Machine>(
    cur: &Current<'_, M>,
    op: &SetupTable,
    domain: &Domain<M>,
) -> Result<(), GrantStatus> {
    let mem = cur.hv.mem();
    let grown = domain.grants.lock_rarely().grow(mem, op.nr_frames);
    grown.map_err(|_| GrantStatus::GENERAL_ERROR)?;
    for index in 0..op.nr_frames {
        let gfn = frame_gfn(mem, domain, index);
        cur.write_item(op.frame_list, index.into(), &gfn).map_err(|_| GrantStatus::BAD_VIRT_ADDR)?;
    }
    Ok(())
}

/// Where the domain has page `index` of its table mapped.
pub(super) fn frame_gfn<M: Machine>(mem: Mem<'_, M>, domain: &Domain<M>, index: u32) -> Gfn {
    let p2m = domain.p2m(mem);
    let grants = domain.grants.lock_rarely();
    let gfn = grants.mapped_at(index);
    let mapped = p2m.lookup(gfn).map(|mapping| mapping.mfn);
    if mapped.is_some() && mapped == grants.frame(index) { gfn } else { Gfn::INVALID }
}

pub(super) fn query_size<M: Machine>(cur: &mut Current<'_, M>, at: u64, count: u32) -> HypercallResult {
    if count != 1 {
        return Err(Errno::EINVAL.into());
    }
    let mut op: QuerySize = cur.read(at)?;
    match target(cur, op.dom) {
        Ok(domain) => {
            let grants = domain.grants.lock_rarely();
            op.nr_frames = grants.len();
            op.max_nr_frames = grants.max_frames();
            op.status = GrantStatus::OKAY;
        }
        Err(status) => op.status = status,
    }
    cur.write(at, &op)?;
    Ok(0)
}

pub(super) fn set_version<M: Machine>(cur: &mut Current<'_, M>, at: u64) -> HypercallResult {
    let op: SetVersion = cur.read(at)?;
    cur.write(at, &SetVersion { version: VERSION })?;
    match op.version {
        VERSION => Ok(0),
        2 => Err(Errno::ENOSYS.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn get_version<M: Machine>(cur: &mut Current<'_, M>, at: u64) -> HypercallResult {
    let op: GetVersion = cur.read(at)?;
    cur.target(op.dom)?;
    cur.write(at + offset_of!(GetVersion, version) as u64, &VERSION)?;
    Ok(0)
}

/// There are no status frames: only asking for none succeeds.
pub(super) fn get_status_frames<M: Machine>(
    cur: &mut Current<'_, M>,
    at: u64,
    count: u32,
) -> HypercallResult {
    if count != 1 {
        return Err(Errno::EINVAL.into());
    }
    let op: GetStatusFrames = cur.read(at)?;
    let status = match target(cur, op.dom) {
        Ok(_) if op.nr_frames == 0 => GrantStatus::OKAY,
        Ok(_) => GrantStatus::GENERAL_ERROR,
        Err(status) => status,
    };
    cur.write(at + offset_of!(GetStatusFrames, status) as u64, &status)?;
    Ok(0)
}

pub(super) fn swap<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<u32, Errno> {
    each(cur, (list, SWAP_SIZE), count, |window, at| {
        let op: SwapGrantRef = window.read_of_list(at)?;
        let swapped = cur.domain.grants.lock_rarely().swap(&cur.hv.machine, op.ref_a, op.ref_b);
        let status = swapped.err().unwrap_or(GrantStatus::OKAY);
        window.write_of_list(at + offset_of!(SwapGrantRef, status) as u64, status.as_bytes())
    })
}

impl GrantTable {
    fn swap<M: Machine>(&mut self, machine: &M, a: Gref, b: Gref) -> Result<(), GrantStatus> {
        let first = self.place(a).ok_or(GrantStatus::BAD_GNTREF)?;
        let second = self.place(b).ok_or(GrantStatus::BAD_GNTREF)?;
        if a == b {
            return Ok(());
        }
        for gref in [a, b] {
            let used = self.active(gref).and_then(|frame| frame.get(gref.0));
            if used.is_some_and(|active| active.is_used()) {
                return Err(GrantStatus::EAGAIN);
            }
        }
        first.swap(machine, second);
        Ok(())
    }
}
