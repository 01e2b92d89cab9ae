//! A vCPU's part: its area in guest memory, its virtual interrupts, and whether it polls.

use alloc::sync::Arc;
use core::{
    mem::offset_of,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use lock::LockRarely;
use xen_abi::{
    Errno, Gfn, Mfn, PAGE_SHIFT, PAGE_SIZE,
    xen::{VcpuInfo, virq},
};

use super::Delivery;
use crate::{Hypervisor, domain::Domain, machine::Machine, vcpu::Vcpu};

pub(super) const UPCALL_PENDING: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
const SELECTOR: usize = offset_of!(VcpuInfo, evtchn_pending_sel);

/// No area.
const NOWHERE: u64 = u64::MAX;
/// The area's frame is held for it: the guest registered it.
const HELD: u64 = 1;
/// Areas are aligned to this.
const ALIGNMENT: usize = 8;

/// Polls no port.
const NO_PORT: u32 = 0;
/// Polls all of them.
const ANY_PORT: u32 = u32::MAX;

/// A vCPU's part of the event channels.
pub struct VcpuEvents {
    /// Address of its area ([`VcpuInfo`]), and [`HELD`]. Changed under the delivery lock.
    area: AtomicU64,
    /// Ports of its virtual interrupts; 0 for none. Changed under the binding lock.
    pub(super) virqs: [AtomicU32; virq::COUNT as usize],
    polls: AtomicU32,
}

impl VcpuEvents {
    /// Without an area.
    pub(crate) fn new() -> Self {
        Self {
            area: AtomicU64::new(NOWHERE),
            virqs: [const { AtomicU32::new(0) }; virq::COUNT as usize],
            polls: AtomicU32::new(NO_PORT),
        }
    }

    /// Frame and offset of its area. The caller holds the delivery lock, or goes by what was.
    pub(super) fn info(&self) -> Option<(Mfn, usize)> {
        let area = self.area.load(Ordering::Relaxed);
        (area != NOWHERE).then_some((Mfn(area >> PAGE_SHIFT), (area as usize % PAGE_SIZE) & !(ALIGNMENT - 1)))
    }

    /// Uses the area in the shared page.
    pub(crate) fn use_shared(&self, shared: Mfn) {
        self.area.store(shared.0 << PAGE_SHIFT, Ordering::Release);
    }

    fn is_held(&self) -> bool {
        let area = self.area.load(Ordering::Acquire);
        area != NOWHERE && area & HELD != 0
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Moves a vCPU's area to a page of the guest's (`VCPUOP_register_vcpu_info`).
    pub(crate) fn register_vcpu_info(
        &self,
        domain: &Arc<Domain<M>>,
        vcpu: &Vcpu<M>,
        is_current: bool,
        gfn: Gfn,
        offset: u32,
    ) -> Result<(), Errno> {
        let offset = offset as usize;
        if offset > PAGE_SIZE - size_of::<VcpuInfo>() || !offset.is_multiple_of(ALIGNMENT) {
            return Err(Errno::ENXIO);
        }
        if vcpu.events.is_held() || !(is_current || vcpu.sched.is_down()) {
            return Err(Errno::EINVAL);
        }
        let held = self.hold_page(domain, gfn).ok_or(Errno::EINVAL)?;
        {
            // No event may come between copying and moving.
            let _delivery = domain.events.delivery.lock_rarely();
            if vcpu.events.is_held() {
                return Err(Errno::EINVAL);
            }
            self.move_area(vcpu, held.keep(), offset);
        }
        self.inject_private(domain, vcpu, domain.config.interrupts.events);
        Ok(())
    }

    fn move_area(&self, vcpu: &Vcpu<M>, mfn: Mfn, offset: usize) {
        const SIZE: usize = size_of::<VcpuInfo>();
        match vcpu.events.info() {
            Some((old, at)) => self.machine.copy_frame((mfn, offset), (old, at), SIZE),
            None => self.machine.write_frame(mfn, offset, &[0; SIZE]),
        }
        // Everything may be pending, so that nothing is missed.
        self.machine.fetch_or64(mfn, offset + SELECTOR, u64::MAX);
        self.machine.swap8(mfn, offset + UPCALL_PENDING, 1);
        let area = mfn.0 << PAGE_SHIFT | offset as u64 | HELD;
        vcpu.events.area.store(area, Ordering::Release);
    }

    /// Lets go of the areas that a domain's vCPUs registered: it is dying or being reset.
    pub(crate) fn release_vcpu_infos(&self, domain: &Domain<M>) {
        for vcpu in domain.vcpus() {
            let old = {
                let _delivery = domain.events.delivery.lock_rarely();
                let old = vcpu.events.info().filter(|_| vcpu.events.is_held());
                let shared = if vcpu.id == 0 { domain.shared_info.0 << PAGE_SHIFT } else { NOWHERE };
                vcpu.events.area.store(shared, Ordering::Release);
                old
            };
            if let Some((mfn, _)) = old {
                self.frames.let_go(&self.machine, mfn);
            }
        }
    }

    /// Lets a vCPU, about to sleep, be woken by an event on a port, or on any.
    pub(crate) fn start_polling(&self, domain: &Domain<M>, vcpu: &Vcpu<M>, port: Option<u32>) {
        vcpu.events.polls.store(port.unwrap_or(ANY_PORT), Ordering::SeqCst);
        domain.events.pollers.fetch_or(poller(vcpu), Ordering::SeqCst);
    }

    /// Ends that; nothing if it did not poll.
    pub(crate) fn stop_polling(&self, domain: &Domain<M>, vcpu: &Vcpu<M>) {
        if vcpu.events.polls.load(Ordering::Relaxed) == NO_PORT {
            return;
        }
        vcpu.events.polls.store(NO_PORT, Ordering::SeqCst);
        // Another one may share the bit.
        let mut others = domain.vcpus_quickly().iter().filter(|other| poller(other) == poller(vcpu));
        if others.all(|other| other.events.polls.load(Ordering::SeqCst) == NO_PORT) {
            domain.events.pollers.fetch_and(!poller(vcpu), Ordering::SeqCst);
        }
    }

    pub(super) fn wake_pollers(&self, domain: &Arc<Domain<M>>, number: u32) {
        for vcpu in domain.vcpus_quickly() {
            let polled = vcpu.events.polls.load(Ordering::SeqCst);
            if polled == ANY_PORT || polled == number {
                self.wake(domain, vcpu);
            }
        }
    }

    /// Whether a port may be polled.
    pub(crate) fn is_pollable(&self, domain: &Domain<M>, number: u32) -> bool {
        let in_range = number < domain.events.delivery.lock_rarely().end();
        in_range
            && domain.events.port(number).is_ok_and(|port| {
                !matches!(*port.state.lock_rarely(), super::State::Free | super::State::Reserved)
            })
    }

    /// Whether an event is pending on a port that may be polled.
    pub(crate) fn is_port_pending(&self, domain: &Domain<M>, number: u32) -> bool {
        self.is_event_pending(domain, number)
    }
}

impl Delivery {
    /// Whether the 2-level bitmaps have a bit for the port.
    pub(super) fn has_bit(number: u32) -> bool {
        number < xen_abi::event_channel::NR_CHANNELS_2L
    }
}

fn poller<M: Machine>(vcpu: &Vcpu<M>) -> u32 {
    1 << (vcpu.id % 32)
}
