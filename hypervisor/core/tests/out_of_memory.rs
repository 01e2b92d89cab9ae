//! What is asked for while the heap is full fails, and harms nobody.
//!
//! Each operation is tried with more and more heap until it succeeds. An allocation somewhere in it that cannot fail
//! would end the process.
// UNSAFETY: a heap that runs out is an allocator of our own.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hv_core::{
    Hypervisor,
    console_io::console_io,
    domain::Domain,
    domain_build::Board,
    domctl::domctl,
    event_channel::event_channel_op,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    grant_table::grant_table_op,
    hypercall::{HypercallResult, Stop},
    machine::CpuId,
};
use xen_abi::{
    Domid, Errno, Gfn, Gref,
    console_io::op as console,
    domctl::*,
    event_channel::{self as evtchn, op as channel},
    grant_table::{self as grant, GrantStatus},
    types::OpPayload,
    xen::virq,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The system's heap, of which no more than so many bytes may be in use.
struct Limited {
    used: AtomicUsize,
    most: AtomicUsize,
}

#[global_allocator]
static HEAP: Limited = Limited { used: AtomicUsize::new(0), most: AtomicUsize::new(usize::MAX) };

// SAFETY: what is given out comes from the system's allocator and goes back there.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let before = self.used.fetch_add(layout.size(), Ordering::SeqCst);
        if before + layout.size() > self.most.load(Ordering::SeqCst) {
            self.used.fetch_sub(layout.size(), Ordering::SeqCst);
            return core::ptr::null_mut();
        }
        // SAFETY: passed on to our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.used.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: it came from there.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Does something with no more than `room` bytes of heap left.
fn with_room<T>(room: usize, f: impl FnOnce() -> T) -> T {
    HEAP.most.store(HEAP.used.load(Ordering::SeqCst) + room, Ordering::SeqCst);
    let result = f();
    HEAP.most.store(usize::MAX, Ordering::SeqCst);
    result
}

type Dom = Arc<Domain<FakeMachine>>;

struct World {
    hv: Hypervisor<FakeMachine>,
    dom0: Dom,
    guest: Dom,
}

/// Where structures for hypercalls lie.
const AT: u64 = GUEST_RAM.0 << 12;
/// No operation takes more heap than this.
const ENOUGH: usize = 256 << 10;

fn world() -> World {
    let hv: Hypervisor<FakeMachine> = hypervisor(4096, 2);
    hv.add_cpu(CpuId(0));
    let region = guest_board::Region { base: 0x804_0000, size: 0x1_0000 };
    hv.board.call_once(|| Board::new(Some(region), 24_000_000));
    let dom0 = domain(&hv, 0, control_config(), 8);
    for (first, end) in [(0x9000, 0x9080), (0xa000, 0xa001)] {
        dom0.resources.lock().iomem.insert(first, end).unwrap();
    }
    dom0.resources.lock().set_irq(40, true);
    let guest =
        domain(&hv, 1, hv_core::domain::DomainConfig { console: true, nr_spis: 64, ..guest_config() }, 8);
    // What the fake remembers takes no part.
    hv.machine.log(|log| {
        log.cache.reserve(1 << 20);
        log.flushed.reserve(1 << 16);
        log.console.reserve(1 << 16);
        log.routed.reserve(64);
        log.enabled.reserve(64);
        log.deactivated.reserve(64);
    });
    World { hv, dom0, guest }
}

impl World {
    /// Serves an operation with one structure; gives the result and the structure.
    fn serve<T: FromBytes + IntoBytes + Immutable>(
        &self,
        caller: &Dom,
        room: usize,
        op: &T,
        call: impl Fn(&mut hv_core::Current<'_, FakeMachine>) -> HypercallResult,
    ) -> (HypercallResult, T) {
        as_guest(&self.hv, caller, |cur| {
            cur.write(AT, op).unwrap();
            let result = with_room(room, || call(cur));
            (result, cur.read(AT).unwrap())
        })
    }

    fn domctl<T: IntoBytes + Immutable>(
        &self,
        room: usize,
        cmd: u32,
        id: u16,
        payload: &T,
    ) -> (HypercallResult, Domid) {
        let (domain, u) = (Domid(id), OpPayload::of(payload));
        let op = Domctl { cmd, interface_version: INTERFACE_VERSION, domain, u, ..Default::default() };
        let (result, op) = self.serve(&self.dom0, room, &op, |cur| domctl(cur, [AT, 0, 0, 0, 0]));
        (result, op.domain)
    }

    fn channel<T: FromBytes + IntoBytes + Immutable>(
        &self,
        room: usize,
        cmd: u32,
        op: &T,
    ) -> HypercallResult {
        self.serve(&self.guest, room, op, |cur| event_channel_op(cur, cmd.into(), AT)).0
    }
}

/// Tries an operation with more and more heap. It fails for lack of memory until it does what it should; gives how
/// often it failed.
fn until_it_succeeds(attempt: impl Fn(usize) -> HypercallResult) -> usize {
    for (failures, room) in (0..ENOUGH).step_by(32).enumerate() {
        match attempt(room) {
            Err(Stop::Failed(Errno::ENOMEM)) => {}
            Ok(_) => return failures,
            other => panic!("with {room} bytes: {other:?}"),
        }
    }
    panic!("fails with {ENOUGH} bytes");
}

// One test: the heap is the process's.
#[test]
fn every_operation_fails_cleanly_until_there_is_heap_enough() {
    let world = world();
    let free = world.hv.frames.free();

    let wish = CreateDomain {
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 8,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..Default::default()
    };
    let failures = until_it_succeeds(|room| {
        let (result, _) = world.domctl(room, op::CREATEDOMAIN, 2, &wish);
        assert!(result.is_ok() || (world.hv.frames.free(), world.hv.domains.len()) == (free, 2));
        result
    });
    assert!(failures > 10, "a domain took {failures} attempts");
    let failures = until_it_succeeds(|room| world.domctl(room, op::MAX_VCPUS, 2, &MaxVcpus { max: 8 }).0);
    assert!(failures > 10, "vCPUs took {failures} attempts");

    let iomem = |first_mfn, allow_access| IomemPermission {
        first_mfn,
        nr_mfns: 1,
        allow_access,
        ..Default::default()
    };
    assert!(until_it_succeeds(|room| world.domctl(room, op::IOMEM_PERMISSION, 2, &iomem(0x9000, 1)).0) > 0);
    // Each hole makes one range into two, and the list longer.
    for page in (0x9001..0x9080).step_by(2) {
        world.dom0.resources.lock().iomem.insert(0x9000, 0x9080).unwrap();
        until_it_succeeds(|room| world.domctl(room, op::IOMEM_PERMISSION, 0, &iomem(page, 0)).0);
        until_it_succeeds(|room| world.domctl(room, op::IOMEM_PERMISSION, 2, &iomem(page - 1, 1)).0);
    }
    let bind = BindPtIrq { machine_irq: 40, irq_type: PT_IRQ_TYPE_SPI, u: [40, 0] };
    assert!(until_it_succeeds(|room| world.domctl(room, op::BIND_PT_IRQ, 1, &bind).0) > 0);

    let own = evtchn::AllocUnbound { dom: Domid::SELF, remote_dom: Domid::SELF, ..Default::default() };
    // More than the domain was born with.
    for _ in 0..200 {
        until_it_succeeds(|room| world.channel(room, channel::ALLOC_UNBOUND, &own));
    }
    let bind = evtchn::BindVirq { virq: virq::TIMER, ..Default::default() };
    until_it_succeeds(|room| world.channel(room, channel::BIND_VIRQ, &bind));
    let control = evtchn::InitControl { control_gfn: GUEST_RAM.0 + 1, ..Default::default() };
    assert!(until_it_succeeds(|room| world.channel(room, channel::INIT_CONTROL, &control)) > 0);
    for page in [2, 3] {
        let expand = evtchn::ExpandArray { array_gfn: GUEST_RAM.0 + page };
        until_it_succeeds(|room| world.channel(room, channel::EXPAND_ARRAY, &expand));
    }

    world.guest.grants.lock().seed(&world.hv.machine, Gref(8), Domid(0), Gfn(GUEST_RAM.0 + 4));
    let map = grant::MapGrantRef {
        host_addr: (GUEST_RAM.0 + 0x100) << 12,
        flags: grant::gntmap::HOST_MAP,
        gref: Gref(8),
        dom: Domid(1),
        ..Default::default()
    };
    let mapped = |room| {
        let call = |cur: &mut hv_core::Current<'_, FakeMachine>| {
            grant_table_op(cur, [grant::op::MAP_GRANT_REF.into(), AT, 1, 0, 0])
        };
        let (result, answer) = world.serve(&world.dom0, room, &map, call);
        assert_eq!(result, Ok(0));
        match answer.status {
            GrantStatus::OKAY => Ok(0),
            GrantStatus::NO_SPACE | GrantStatus::GENERAL_ERROR => Err(Stop::Failed(Errno::ENOMEM)),
            other => panic!("{other:?}"),
        }
    };
    assert!(until_it_succeeds(mapped) > 0);

    // A line that has no room is lost, and no more.
    for room in (0..1024).step_by(8) {
        let text = *b"a line\n\0";
        let write = |cur: &mut hv_core::Current<'_, FakeMachine>| {
            console_io(cur, [console::WRITE.into(), 7, AT, 0, 0])
        };
        assert_eq!(world.serve(&world.guest, room, &text, write).0, Ok(0));
    }
    assert!(world.hv.machine.log(|log| log.console.ends_with(b"(d1) a line\n")));
}
