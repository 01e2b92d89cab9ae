//! Mapping grants.

use xen_abi::{
    Errno, Gfn, Mfn, PAGE_SIZE,
    grant_table::{GrantHandle, GrantStatus, MapGrantRef, gntmap},
};

use super::{Progress, each, entry::Usage, maptrack::Mapped};
use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine, p2m::P2mType, xsm};

pub(super) const SIZE: u64 = size_of::<MapGrantRef>() as u64;

const REFUSED: u32 = gntmap::DEVICE_MAP | gntmap::APPLICATION_MAP | gntmap::CONTAINS_PTE;
const KNOWN: u32 = gntmap::HOST_MAP | gntmap::READONLY;

#[inline(never)]
pub(super) fn map<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<Progress, Errno> {
    each(cur, (list, SIZE), count, |window, at| {
        let mut op: MapGrantRef = window.read(at)?;
        match map_one(cur, &op) {
            Ok((handle, mfn)) => {
                op.handle = handle;
                op.dev_bus_addr = mfn.0 * PAGE_SIZE as u64;
                op.status = GrantStatus::OKAY;
            }
            Err(status) => op.status = status,
        }
        window.write(at, &op)
    })
}

fn map_one<M: Machine>(cur: &Current<'_, M>, op: &MapGrantRef) -> Result<(GrantHandle, Mfn), GrantStatus> {
    if op.flags & (gntmap::HOST_MAP | gntmap::DEVICE_MAP) == 0 {
        return Err(GrantStatus::BAD_GNTREF);
    }
    if op.flags & REFUSED != 0 {
        return Err(GrantStatus::GENERAL_ERROR);
    }
    let granter = cur.hv.domains.get(op.dom).ok_or(GrantStatus::BAD_DOMAIN)?;
    xsm::may_share(cur.hv, cur.domain, &granter).map_err(|_| GrantStatus::PERMISSION_DENIED)?;

    let handle = cur.domain.maptrack.lock().take()?;
    let mapped = pin_and_map(cur, op, &granter);
    let mut maptrack = cur.domain.maptrack.lock();
    match mapped {
        Ok(mapped) => {
            maptrack.set(handle, mapped);
            Ok((handle, mapped.mfn))
        }
        Err(status) => {
            maptrack.release(handle);
            Err(status)
        }
    }
}

fn pin_and_map<M: Machine>(
    cur: &Current<'_, M>,
    op: &MapGrantRef,
    granter: &Domain<M>,
) -> Result<Mapped, GrantStatus> {
    let mem = cur.hv.mem();
    let usage = Usage::of(op.flags & gntmap::READONLY != 0);
    let entry = (op.gref, cur.domain.id);
    let mfn = {
        let p2m = granter.p2m(mem);
        granter.grants.lock().pin(mem, &p2m, entry, usage, true)?
    };
    let kind = match usage {
        Usage::Read => P2mType::GrantRo,
        Usage::Write => P2mType::GrantRw,
    };
    // An address without a frame's alignment means the frame it lies in.
    let at = Gfn::containing(op.host_addr);
    let known = op.flags & !KNOWN == 0;
    if known && cur.domain.p2m(mem).map_page(at, mfn, kind).is_ok() {
        return Ok(Mapped { dom: op.dom, gref: op.gref, mfn, usage });
    }
    granter.grants.lock().unpin(mem, entry, mfn, usage);
    mem.frames.put(mem.machine, mfn);
    Err(GrantStatus::GENERAL_ERROR)
}

/// Ends a mapping whose p2m entry is gone from all TLBs: the use first, then the reference.
pub(super) fn end<M: Machine>(hv: &Hypervisor<M>, mapper: &Domain<M>, mapped: &Mapped) {
    let mem = hv.mem();
    if let Some(granter) = hv.domains.get(mapped.dom) {
        let entry = (mapped.gref, mapper.id);
        granter.grants.lock().unpin(mem, entry, mapped.mfn, mapped.usage);
    }
    mem.frames.put(mem.machine, mapped.mfn);
}

/// Ends the mappings of a dying domain, whose p2m is gone, from handle `from` on. Where to go on
/// when `pause` stopped it.
pub fn release_all<M: Machine>(
    hv: &Hypervisor<M>,
    mapper: &Domain<M>,
    from: u32,
    mut pause: impl FnMut() -> bool,
) -> Option<u32> {
    let handles = mapper.maptrack.lock().len();
    for handle in from..handles {
        let claimed = mapper.maptrack.lock().claim(GrantHandle(handle));
        let Some(mapped) = claimed else {
            continue;
        };
        end(hv, mapper, &mapped);
        mapper.maptrack.lock().release(GrantHandle(handle));
        if pause() {
            return Some(handle);
        }
    }
    None
}
