//! The page that a domain shares with the hypervisor: pending events and the wall clock.
// UNSAFETY: maps the page over a hole, and registers places for the event state of vCPUs.
#![allow(unsafe_code)]

use core::{
    mem::{self, offset_of},
    sync::atomic::{Ordering, fence},
    time::Duration,
};

use spin::Once;
use xen_abi::{
    Domid, Errno, EvtchnPort, PAGE_SIZE, VcpuId,
    memory::mapspace,
    xen::{EVTCHN_WORDS, SharedInfo, VcpuInfo},
};

use crate::{hypercall, shared::SharedMemory, smp::MAX_VCPUS, system::system};

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
const PENDING_SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);

/// The page, and the event state of each vCPU.
pub(crate) struct Areas {
    page: Once<SharedMemory>,
    vcpus: [Once<SharedMemory>; MAX_VCPUS],
}

impl Areas {
    pub(crate) const fn new() -> Self {
        Self { page: Once::new(), vcpus: [const { Once::new() }; MAX_VCPUS] }
    }
}

/// Maps the page. Part of start-up.
///
/// # Errors
///
/// The hypervisor's, and `ENOMEM`.
pub(crate) fn map() -> Result<(), Errno> {
    let areas = &system().shared_info;
    let hole = system().holes.take(1)?;
    // SAFETY: nothing is in a hole that we were given.
    unsafe { hypercall::memory::add_to_physmap(Domid::SELF, mapspace::SHARED_INFO, 0, hole.gfn(0)) }?;
    let page = hole.start();
    // SAFETY: the page is mapped there now, and for ever: the hole is not given back.
    let memory = areas.page.call_once(|| unsafe { SharedMemory::new(page, PAGE_SIZE) });
    // An event that comes before its port is known would be lost: all are kept until then. Xen
    // hands the page over with nothing masked.
    for word in 0..EVTCHN_WORDS {
        memory.store_u64(MASK + 8 * word, u64::MAX, Ordering::SeqCst);
    }
    // SAFETY: vCPU 0's state is the beginning of the page.
    areas.vcpus[0].call_once(|| unsafe { SharedMemory::new(page, size_of::<VcpuInfo>()) });
    mem::forget(hole);
    Ok(())
}

/// The page.
#[cfg(target_os = "none")]
pub(crate) fn page() -> Option<&'static SharedMemory> {
    system().shared_info.page.get()
}

/// Gives vCPUs other than 0 a place for their event state, so that ports can be bound to them.
/// Called before the vCPU is started.
///
/// # Errors
///
/// `ENOENT` when there is no such vCPU, `ENOMEM`.
#[cfg(target_os = "none")]
pub(crate) fn register(vcpu: VcpuId) -> Result<(), Errno> {
    let slot = system().shared_info.vcpus.get(vcpu.0 as usize);
    let slot = slot.ok_or(Errno::ENOENT)?;
    if slot.is_completed() {
        return Ok(());
    }
    let page = crate::memory::Pages::new(1)?;
    let start = page.start();
    // SAFETY: the page is leaked below, and seen as shared memory only.
    unsafe { hypercall::vcpu::register_vcpu_info(vcpu, page.gfn(0), 0) }?;
    mem::forget(page);
    // SAFETY: as above.
    slot.call_once(|| unsafe { SharedMemory::new(start, size_of::<VcpuInfo>()) });
    Ok(())
}

/// Calls `deliver` for each port that is pending on `vcpu` and not masked, once its pending bit is
/// cleared: an event after that makes it pending again.
pub(crate) fn take_pending(vcpu: VcpuId, mut deliver: impl FnMut(EvtchnPort)) {
    let areas = &system().shared_info;
    let (Some(page), Some(Some(area))) = (areas.page.get(), areas.vcpus.get(vcpu.0 as usize).map(Once::get))
    else {
        return;
    };
    area.store_u8(UPCALL_PENDING, 0, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    for word in bits(area.swap_u64(PENDING_SEL, 0)) {
        let at = 8 * word as usize;
        let pending =
            page.load_u64(PENDING + at, Ordering::Relaxed) & !page.load_u64(MASK + at, Ordering::Relaxed);
        for bit in bits(pending) {
            page.clear_bits_u64(PENDING + at, 1 << bit);
            deliver(EvtchnPort(word * 64 + bit));
        }
    }
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// Masks a port, so that it is not delivered any more.
pub(crate) fn mask(port: EvtchnPort) {
    let word = port.0 as usize / 64;
    if let Some(page) = system().shared_info.page.get()
        && word < EVTCHN_WORDS
    {
        page.set_bits_u64(MASK + 8 * word, 1 << (port.0 % 64));
    }
}

/// The time of day when the clock of the domain was zero; zero when nobody knows.
pub(crate) fn wallclock_base() -> Duration {
    const VERSION: usize = offset_of!(SharedInfo, wc_version);
    const TRIES: usize = 100;
    let Some(page) = system().shared_info.page.get() else {
        return Duration::ZERO;
    };
    for _ in 0..TRIES {
        let before = page.load_u32(VERSION, Ordering::Acquire);
        let field = |offset| page.load_u32(offset, Ordering::Relaxed);
        let low = field(offset_of!(SharedInfo, wc_sec));
        let high = field(offset_of!(SharedInfo, wc_sec_hi));
        let ns = field(offset_of!(SharedInfo, wc_nsec));
        fence(Ordering::Acquire);
        if before.is_multiple_of(2) && page.load_u32(VERSION, Ordering::Relaxed) == before {
            let seconds = u64::from(high) << 32 | u64::from(low);
            return Duration::from_secs(seconds).saturating_add(Duration::from_nanos(ns.into()));
        }
        core::hint::spin_loop();
    }
    Duration::ZERO
}
