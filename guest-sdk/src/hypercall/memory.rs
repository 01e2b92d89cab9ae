//! Memory of domains (hypercall 12). [`crate::memory`] has the owned forms.

use xen_abi::{
    Domid, Errno, Gfn, GuestHandle,
    hypercall::MEMORY_OP,
    memory::{
        AcquireResource, AddToPhysmap, AddToPhysmapBatch, MemoryDomain, MemoryReservation, PodTarget,
        RemoveFromPhysmap, mapspace, op,
    },
};

use super::{call, count, handle, handle_mut, with_arg};

fn reservation(gfns: &[Gfn], order: u32, mem_flags: u32, domid: Domid) -> MemoryReservation {
    MemoryReservation {
        extent_start: handle(gfns),
        nr_extents: gfns.len() as u64,
        extent_order: order,
        mem_flags,
        domid,
        pad: [0; 3],
    }
}

/// Puts memory at the given frames, `1 << order` from each on; says for how many of them it did.
///
/// # Errors
///
/// `ESRCH`, `EPERM`, `EFAULT`. Too little memory is not an error but a smaller number.
pub fn populate_physmap(domid: Domid, gfns: &[Gfn], order: u32, mem_flags: u32) -> Result<usize, Errno> {
    let mut arg = reservation(gfns, order, mem_flags, domid);
    // SAFETY: the handle's frames are read, and for a translated domain never written.
    let done = unsafe { with_arg(MEMORY_OP, op::POPULATE_PHYSMAP, &mut arg) }?;
    Ok(gfns.len().min(done as usize))
}

/// Gives frames of a domain back, `1 << order` from each on; says how many it gave.
///
/// # Safety
///
/// When the domain is ours: nothing uses the frames any more.
///
/// # Errors
///
/// As [`populate_physmap`].
pub unsafe fn decrease_reservation(domid: Domid, gfns: &[Gfn], order: u32) -> Result<usize, Errno> {
    let mut arg = reservation(gfns, order, 0, domid);
    // SAFETY: the handle's frames are read only; the frames are not in use, says the caller.
    let done = unsafe { with_arg(MEMORY_OP, op::DECREASE_RESERVATION, &mut arg) }?;
    Ok(gfns.len().min(done as usize))
}

fn of_domain(cmd: u32, domid: Domid) -> Result<u64, Errno> {
    // SAFETY: there are no handles in it.
    unsafe { with_arg(MEMORY_OP, cmd, &mut MemoryDomain { domid }) }
}

/// Pages that a domain has.
///
/// # Errors
///
/// `ESRCH`, `EPERM`.
pub fn current_reservation(domid: Domid) -> Result<u64, Errno> {
    of_domain(op::CURRENT_RESERVATION, domid)
}

/// Pages that a domain may have.
///
/// # Errors
///
/// `ESRCH`, `EPERM`.
pub fn maximum_reservation(domid: Domid) -> Result<u64, Errno> {
    of_domain(op::MAXIMUM_RESERVATION, domid)
}

/// The highest frame that a domain has mapped.
///
/// # Errors
///
/// `ESRCH`, `EPERM`.
pub fn maximum_gpfn(domid: Domid) -> Result<Gfn, Errno> {
    of_domain(op::MAXIMUM_GPFN, domid).map(Gfn)
}

/// The highest frame of the machine.
///
/// # Errors
///
/// None that is known.
pub fn maximum_ram_page() -> Result<u64, Errno> {
    // SAFETY: it takes no argument.
    unsafe { call(MEMORY_OP, [op::MAXIMUM_RAM_PAGE as usize, 0]) }
}

/// Maps the page that the domain shares with the hypervisor, or a frame of its grant table
/// (see [`mapspace`]), at `gpfn`.
///
/// # Safety
///
/// When the domain is ours: nothing else uses the frame that is mapped over.
///
/// # Errors
///
/// `EINVAL`, `EBUSY`, `ENOMEM`, `ESRCH`, `EPERM`.
pub unsafe fn add_to_physmap(domid: Domid, space: u32, idx: u64, gpfn: Gfn) -> Result<(), Errno> {
    let mut arg = AddToPhysmap { domid, size: 0, space, idx, gpfn };
    // SAFETY: there are no handles in it; the frame is the caller's to give.
    unsafe { with_arg(MEMORY_OP, op::ADD_TO_PHYSMAP, &mut arg) }.map(drop)
}

/// Maps frames of `foreign` at frames of ours, with an errno (negative, or 0) for each.
///
/// # Safety
///
/// Nothing else uses the frames that are mapped over.
///
/// # Errors
///
/// `ESRCH`, `EPERM`, `EFAULT`; `EINVAL` when the lists differ in length, `E2BIG` when they are too
/// long.
pub unsafe fn add_foreign(foreign: Domid, frames: &[Gfn], at: &[Gfn], errs: &mut [i32]) -> Result<(), Errno> {
    if frames.len() != at.len() || errs.len() != at.len() {
        return Err(Errno::EINVAL);
    }
    let mut arg = AddToPhysmapBatch {
        domid: Domid::SELF,
        space: mapspace::GMFN_FOREIGN as u16,
        size: count(frames)?,
        foreign_domid: foreign,
        idxs: handle(frames).cast(),
        gpfns: handle(at),
        errs: handle_mut(errs),
    };
    // SAFETY: all three lists are as long as the size says; the rest is the caller's promise.
    unsafe { with_arg(MEMORY_OP, op::ADD_TO_PHYSMAP_BATCH, &mut arg) }.map(drop)
}

/// Unmaps a frame.
///
/// # Safety
///
/// When the domain is ours: nothing uses it any more.
///
/// # Errors
///
/// `ENOENT` when nothing is there, `ESRCH`, `EPERM`.
pub unsafe fn remove_from_physmap(domid: Domid, gpfn: Gfn) -> Result<(), Errno> {
    let mut arg = RemoveFromPhysmap { domid, pad: [0; 3], gpfn };
    // SAFETY: there are no handles in it; the frame is not in use, says the caller.
    unsafe { with_arg(MEMORY_OP, op::REMOVE_FROM_PHYSMAP, &mut arg) }.map(drop)
}

/// Maps frames of a domain's resource (see [`xen_abi::memory::resource`]) at frames of ours.
///
/// # Safety
///
/// Nothing else uses the frames that are mapped over.
///
/// # Errors
///
/// `ESRCH`, `EPERM`, `EINVAL`, `EOPNOTSUPP`; `EIO` when only some were mapped.
pub unsafe fn acquire_resource(
    domid: Domid,
    kind: u16,
    id: u32,
    first: u64,
    at: &[Gfn],
) -> Result<(), Errno> {
    let mut arg = AcquireResource {
        domid,
        kind,
        id,
        nr_frames: count(at)?,
        pad: 0,
        frame: first,
        frame_list: handle(at),
    };
    // SAFETY: the list is as long as it says, and read only, this domain being translated; the
    // rest is the caller's promise.
    unsafe { with_arg(MEMORY_OP, op::ACQUIRE_RESOURCE, &mut arg) }.map(drop)
}

/// Frames of a domain's resource.
///
/// # Errors
///
/// As [`acquire_resource`].
pub fn resource_size(domid: Domid, kind: u16, id: u32) -> Result<u32, Errno> {
    let mut arg =
        AcquireResource { domid, kind, id, frame_list: GuestHandle::NULL, ..AcquireResource::default() };
    // SAFETY: the null list asks for the size.
    unsafe { with_arg(MEMORY_OP, op::ACQUIRE_RESOURCE, &mut arg) }?;
    Ok(arg.nr_frames)
}

/// Sets the populate-on-demand target, which `xl mem-set` does; the real Xen has none on ARM.
///
/// # Errors
///
/// `ENOSYS` there.
pub fn set_pod_target(domid: Domid, target_pages: u64) -> Result<PodTarget, Errno> {
    let mut arg = PodTarget { target_pages, domid, ..PodTarget::default() };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(MEMORY_OP, op::SET_POD_TARGET, &mut arg) }?;
    Ok(arg)
}

/// Sets memory aside for a domain that is being built; 0 ends that.
///
/// # Errors
///
/// `ENOMEM`, `EINVAL`, `EPERM`.
pub fn claim_pages(domid: Domid, pages: u64) -> Result<(), Errno> {
    let mut arg = MemoryReservation { nr_extents: pages, domid, ..MemoryReservation::default() };
    // SAFETY: the list is null.
    unsafe { with_arg(MEMORY_OP, op::CLAIM_PAGES, &mut arg) }.map(drop)
}
