//! The guest's own memory: given back, asked for again, put where it must not be, and taken from under the hypervisor.

use guest_sdk::abi::{
    Domid, Gfn, GuestHandle, VcpuId,
    arch::layout,
    event_channel::{self as evtchn, BindIpi, Send},
    hypercall::{EVENT_CHANNEL_OP, MEMORY_OP, VCPU_OP},
    memory::{AcquireResource, AddToPhysmap, MemoryReservation, RemoveFromPhysmap, op, resource},
    vcpu::{self, RegisterVcpuInfo},
};
use log::error;

use crate::{
    calls::{self, Tally},
    edge::{self, Edge},
};

/// Frames that the tables cannot have, that are not ours, or that are no memory.
const ODD: [u64; 12] = [
    0,
    1,
    layout::GICD_BASE >> 12,
    (layout::GICD_BASE >> 12) + 0x400,
    (1 << 20) - 1,
    (1 << 28) - 1,
    1 << 28,
    1 << 36,
    1 << 52,
    u64::MAX - 511,
    u64::MAX - 1,
    u64::MAX,
];

/// What this program writes into pages that it gives back.
const OWN: u32 = 0xdead_beef;

/// Sizes of extents.
const ORDERS: [u32; 7] = [0, 1, 9, 10, 18, 63, u32::MAX];

fn reserve(tally: &mut Tally, command: u32, gfn: u64, order: u32) -> isize {
    let mut op = MemoryReservation {
        extent_start: GuestHandle::new(core::ptr::from_ref(&gfn) as u64),
        nr_extents: 1,
        extent_order: order,
        domid: Domid::SELF,
        ..Default::default()
    };
    tally.op(MEMORY_OP, command, &mut op)
}

/// Gives a page back.
pub fn give_back(gfn: Gfn, order: u32) -> isize {
    reserve(&mut Tally::default(), op::DECREASE_RESERVATION, gfn.0, order)
}

/// Asks for a page.
pub fn ask_for(gfn: Gfn) -> isize {
    reserve(&mut Tally::default(), op::POPULATE_PHYSMAP, gfn.0, 0)
}

/// Has something of the hypervisor's mapped.
pub fn add(tally: &mut Tally, space: u32, idx: u64, gpfn: u64) -> isize {
    let mut op = AddToPhysmap { domid: Domid::SELF, space, idx, gpfn: Gfn(gpfn), ..Default::default() };
    tally.op(MEMORY_OP, op::ADD_TO_PHYSMAP, &mut op)
}

fn remove(tally: &mut Tally, gfn: u64) -> isize {
    let mut op = RemoveFromPhysmap { domid: Domid::SELF, gpfn: Gfn(gfn), ..Default::default() };
    tally.op(MEMORY_OP, op::REMOVE_FROM_PHYSMAP, &mut op)
}

/// Does all that, and leaves things so that the program can go on.
pub fn run(edge: &Edge, vcpus: usize) -> Tally {
    let mut tally = Tally::default();
    odd_frames(&mut tally);
    own_page(&mut tally, edge);
    over_the_controller(&mut tally);
    // There is none on the host.
    #[cfg(target_os = "none")]
    if let Some(page) = guest_sdk::event::shared_info() {
        shared_page(&mut tally, page.as_ptr().as_ptr() as u64 >> 12);
    }
    if vcpus > 2 {
        vcpu_area(&mut tally, edge, VcpuId(vcpus as u32 - 1));
    }
    tally
}

fn odd_frames(tally: &mut Tally) {
    for gfn in ODD {
        for order in ORDERS {
            reserve(tally, op::DECREASE_RESERVATION, gfn, order);
            reserve(tally, op::EXCHANGE, gfn, order);
            reserve(tally, op::CLAIM_PAGES, gfn, order);
        }
        for order in [10, 18, 63, u32::MAX] {
            reserve(tally, op::POPULATE_PHYSMAP, gfn, order);
            reserve(tally, op::INCREASE_RESERVATION, gfn, order);
        }
        for space in 0..8 {
            for idx in [1, 64, u64::from(u32::MAX), u64::MAX] {
                add(tally, space, idx, gfn);
            }
        }
        // What was put there after all.
        remove(tally, gfn);
        for domid in [Domid::SELF, Domid(0), Domid(1), Domid::XEN] {
            let frame_list = GuestHandle::new(calls::scratch() as u64);
            let (kind, id) = (resource::GRANT_TABLE, resource::GRANT_TABLE_ID_SHARED);
            let op = AcquireResource {
                domid,
                kind,
                id,
                nr_frames: 1,
                frame: gfn,
                frame_list,
                ..Default::default()
            };
            tally.op(MEMORY_OP, op::ACQUIRE_RESOURCE, &mut { op });
        }
    }
}

/// A page that comes and goes has nothing in it but what this program wrote: that much Xen promises.
fn own_page(tally: &mut Tally, edge: &Edge) {
    let (gfn, address) = (edge.page().0, edge.page_address());
    for round in 0..200 {
        edge::write(address + 8 * (round % 512), OWN);
        reserve(tally, op::DECREASE_RESERVATION, gfn, 0);
        reserve(tally, op::DECREASE_RESERVATION, gfn, 0);
        remove(tally, gfn);
        if reserve(tally, op::POPULATE_PHYSMAP, gfn, 0) != 1 {
            error!("hostile: WRONG: a page does not come back");
            return;
        }
        if (0..1024).any(|word| !matches!(edge::read(address + 4 * word), 0 | OWN)) {
            error!("hostile: WRONG: SOMEBODY'S MEMORY in a fresh page");
        }
        // Twice: what was there is nowhere from then on, and still ours.
        if round == 0 {
            reserve(tally, op::POPULATE_PHYSMAP, gfn, 0);
        }
    }
}

/// Memory over the emulated distributor is memory, and the distributor is back when it goes.
fn over_the_controller(tally: &mut Tally) {
    let gfn = layout::GICD_BASE >> 12;
    for _ in 0..10 {
        reserve(tally, op::POPULATE_PHYSMAP, gfn, 0);
        reserve(tally, op::DECREASE_RESERVATION, gfn, 0);
    }
}

fn send_to_itself(tally: &mut Tally, vcpu: VcpuId) {
    let mut bind = BindIpi { vcpu: vcpu.0, ..Default::default() };
    if tally.op(EVENT_CHANNEL_OP, evtchn::op::BIND_IPI, &mut bind) == 0 {
        tally.op(EVENT_CHANNEL_OP, evtchn::op::SEND, &mut Send { port: bind.port });
        tally.op(EVENT_CHANNEL_OP, evtchn::op::UNMASK, &mut Send { port: bind.port });
        tally.op(EVENT_CHANNEL_OP, evtchn::op::CLOSE, &mut Send { port: bind.port });
    }
}

/// The page shared with the hypervisor is given back while events go through it.
#[cfg(target_os = "none")]
fn shared_page(tally: &mut Tally, gfn: u64) {
    let masked = crate::probe::mask_interrupts();
    for way in 0..3 {
        match way {
            0 => reserve(tally, op::DECREASE_RESERVATION, gfn, 0),
            1 => remove(tally, gfn),
            _ => reserve(tally, op::POPULATE_PHYSMAP, gfn, 0),
        };
        send_to_itself(tally, VcpuId(0));
        reserve(tally, op::DECREASE_RESERVATION, gfn, 0);
        if add(tally, guest_sdk::abi::memory::mapspace::SHARED_INFO, 0, gfn) != 0 {
            error!("hostile: WRONG: the shared page does not come back");
        }
        add(tally, guest_sdk::abi::memory::mapspace::SHARED_INFO, 0, gfn);
    }
    drop(masked);
}

/// A vCPU that is off has its event state in a page that is given back, asked for again and used for something else.
fn vcpu_area(tally: &mut Tally, edge: &Edge, vcpu: VcpuId) {
    for offset in [u32::MAX, 4095, 4088, 4, 1, 0] {
        let mut area = RegisterVcpuInfo { mfn: edge.page().0, offset, ..Default::default() };
        let at = core::ptr::from_mut(&mut area) as usize;
        let number = vcpu.0 as usize;
        tally.call([VCPU_OP as usize, vcpu::op::REGISTER_VCPU_INFO as usize, number, at, 0, 0]);
    }
    for _ in 0..3 {
        reserve(tally, op::DECREASE_RESERVATION, edge.page().0, 0);
        send_to_itself(tally, vcpu);
        reserve(tally, op::POPULATE_PHYSMAP, edge.page().0, 0);
        send_to_itself(tally, vcpu);
    }
}
