//! Mapping grants.

use core::mem::offset_of;

use xen_abi::{
    Domid, Errno, Gfn, Mfn, PAGE_SIZE,
    grant_table::{GrantHandle, GrantStatus, MapGrantRef, gntmap},
};
use zerocopy::{Immutable, IntoBytes};

use super::{each, entry::Usage, let_go, maptrack::Mapped};
use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine, p2m::P2mType, xsm};

pub(super) const SIZE: u64 = size_of::<MapGrantRef>() as u64;

/// The second half of an element, which has the results.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Answer {
    dom: Domid,
    status: GrantStatus,
    handle: GrantHandle,
    dev_bus_addr: u64,
}

const _: () = assert!(offset_of!(MapGrantRef, dom) + size_of::<Answer>() == size_of::<MapGrantRef>());

const REFUSED: u32 = gntmap::DEVICE_MAP | gntmap::APPLICATION_MAP | gntmap::CONTAINS_PTE;
const KNOWN: u32 = gntmap::HOST_MAP | gntmap::READONLY;

#[hot]
#[inline(never)]
pub(super) fn map<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<u32, Errno> {
    each(cur, (list, SIZE), count, |window, at| {
        let op: MapGrantRef = window.read(at)?;
        let MapGrantRef { dom, handle, dev_bus_addr, .. } = op;
        let answer = match map_one(cur, &op) {
            Ok((handle, mfn)) => {
                let dev_bus_addr = mfn.0.wrapping_mul(PAGE_SIZE as u64);
                Answer { dom, status: GrantStatus::OKAY, handle, dev_bus_addr }
            }
            Err(status) => Answer { dom, status, handle, dev_bus_addr },
        };
        window.write(at + offset_of!(MapGrantRef, dom) as u64, &answer)
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
    let mem = cur.hv.mem();
    let usage = Usage::of(op.flags & gntmap::READONLY != 0);
    let entry = (op.gref, cur.domain.id);
    let mfn = {
        let p2m = granter.p2m_quickly(mem);
        granter.grants.lock().pin(mem, &p2m, entry, usage, true)?
    };
    let known = op.flags & !KNOWN == 0;
    // An address without a frame's alignment means the frame it lies in.
    let at = Gfn::containing(op.host_addr);
    let mapped = Mapped { dom: op.dom, gref: op.gref, mfn, usage };
    let entered = if known { enter(cur, at, mapped) } else { Err(GrantStatus::GENERAL_ERROR) };
    if entered.is_err() {
        let_go(mem, &granter, entry, mfn, usage);
    }
    entered.map(|handle| (handle, mfn))
}

/// Enters a mapping into the caller's p2m and maptrack: into both or none.
fn enter<M: Machine>(cur: &Current<'_, M>, at: Gfn, mapped: Mapped) -> Result<GrantHandle, GrantStatus> {
    let kind = match mapped.usage {
        Usage::Read => P2mType::GrantRo,
        Usage::Write => P2mType::GrantRw,
    };
    let mut p2m = cur.domain.p2m_quickly(cur.hv.mem());
    let mut maptrack = cur.domain.maptrack.lock();
    let handle = maptrack.next()?;
    p2m.map_page(at, mapped.mfn, kind).map_err(|_| GrantStatus::GENERAL_ERROR)?;
    maptrack.fill(handle, mapped);
    Ok(handle)
}

/// Ends a mapping whose p2m entry is gone from all TLBs: the use first, then the reference.
#[hot]
pub(super) fn end<M: Machine>(hv: &Hypervisor<M>, mapper: &Domain<M>, mapped: &Mapped) {
    let mem = hv.mem();
    match hv.domains.get(mapped.dom) {
        Some(granter) => let_go(mem, &granter, (mapped.gref, mapper.id), mapped.mfn, mapped.usage),
        None => mem.frames.put(mem.machine, mapped.mfn),
    }
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
        let mapped = mapper.maptrack.lock().take(GrantHandle(handle));
        let Some(mapped) = mapped else {
            continue;
        };
        end(hv, mapper, &mapped);
        if pause() {
            return Some(handle);
        }
    }
    None
}
