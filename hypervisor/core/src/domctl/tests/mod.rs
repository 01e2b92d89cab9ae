//! Domains, as the toolstack makes and changes them.

mod creating;
mod devices;
mod memory;
mod state;
mod vcpus;

use alloc::{sync::Arc, vec::Vec};

use xen_abi::{
    Domid, Errno, EvtchnPort, Gfn, GuestHandle, Mfn,
    arch::{VGCF_ONLINE, VcpuGuestContext, gic, layout, psr},
    domctl::*,
    types::{CtlBitmap, OpPayload},
};

use super::domctl;
use crate::{
    Hypervisor,
    domain::{Domain, Dying},
    domain_build::Board,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    frames::Wanted,
    hypercall::{HypercallResult, Stop},
    machine::{CacheOp, CpuId, Trigger},
    p2m::P2mType,
    regs::Arm32Regs,
    vgic::GuestInterrupts,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const AT: u64 = GUEST_RAM.0 << 12;
const BUFFER: u64 = AT + 0x1000;
const NEW: Domid = Domid(0);

struct World {
    hv: Hv,
    dom0: Dom,
}

fn world() -> World {
    let region = guest_board::Region { base: 0x804_0000, size: 0x1_0000 };
    world_with(Some(region))
}

/// Without a virtual CPU interface in memory the board's interrupt controller is a GICv3.
fn world_with(virtual_cpu: Option<guest_board::Region>) -> World {
    let hv: Hv = hypervisor(4096, 2);
    hv.add_cpu(CpuId(0));
    hv.add_cpu(CpuId(1));
    let mut board = Board::new(virtual_cpu, 24_000_000);
    board.set_edge(40);
    hv.board.call_once(|| board);
    let dom0 = domain(&hv, 0, control_config(), 8);
    World { hv, dom0 }
}

fn asked() -> CreateDomain {
    CreateDomain {
        handle: *b"0123456789abcdef",
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..Default::default()
    }
}

impl World {
    fn call_as(&self, caller: &Dom, cmd: u32, domain: Domid, u: OpPayload) -> (HypercallResult, Domctl) {
        let op = Domctl { cmd, interface_version: INTERFACE_VERSION, domain, u, ..Default::default() };
        as_guest(&self.hv, caller, |cur| {
            cur.write(AT, &op).unwrap();
            let mut result = domctl(cur, [AT, 0, 0, 0, 0]);
            let mut rounds = 0;
            while let Err(Stop::Preempted(args)) = result {
                assert_eq!(args, [AT, 0, 0, 0, 0]);
                (result, rounds) = (domctl(cur, args), rounds + 1);
                assert!(rounds < 100_000, "no progress");
            }
            (result, cur.read(AT).unwrap())
        })
    }

    fn call<T>(&self, cmd: u32, domain: u16, payload: &T) -> (HypercallResult, Domctl)
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        self.call_as(&self.dom0, cmd, Domid(domain), OpPayload::of(payload))
    }

    fn plain(&self, cmd: u32, domain: u16) -> HypercallResult {
        self.call(cmd, domain, &0u64).0
    }

    fn create(&self) -> Dom {
        let (result, op) = self.call(op::CREATEDOMAIN, NEW.0, &asked());
        assert_eq!(result, Ok(0));
        self.hv.domains.get(op.domain).unwrap()
    }

    /// A domain with vCPUs that may have memory.
    fn guest(&self) -> Dom {
        let guest = self.create();
        let id = guest.id.0;
        assert_eq!(self.call(op::MAX_VCPUS, id, &MaxVcpus { max: 2 }).0, Ok(0));
        assert_eq!(self.call(op::MAX_MEM, id, &MaxMem { max_memkb: 4096 }).0, Ok(0));
        let pool = PagingMempool { size: 64 << 12 };
        assert_eq!(self.call(op::SET_PAGING_MEMPOOL_SIZE, id, &pool).0, Ok(0));
        guest
    }

    fn info(&self, domain: u16) -> GetDomainInfo {
        let (result, op) = self.call(op::GETDOMAININFO, domain, &0u64);
        assert_eq!(result, Ok(0));
        let info: GetDomainInfo = op.u.get();
        assert_eq!(info.domain, op.domain);
        info
    }

    fn write<T: zerocopy::IntoBytes + zerocopy::Immutable>(&self, at: u64, value: &T) {
        as_guest(&self.hv, &self.dom0, |cur| cur.write(at, value).unwrap());
    }

    fn read<T: zerocopy::FromBytes + zerocopy::IntoBytes>(&self, at: u64) -> T {
        as_guest(&self.hv, &self.dom0, |cur| cur.read(at).unwrap())
    }
}

fn fails(errno: Errno) -> HypercallResult {
    Err(Stop::Failed(errno))
}

#[test]
fn the_version_is_looked_at_before_everything_else() {
    let world = world();
    let guest = world.guest();
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = Domctl {
            cmd: op::DESTROYDOMAIN,
            interface_version: 0x14,
            domain: guest.id,
            ..Default::default()
        };
        cur.write(AT, &op).unwrap();
        assert_eq!(domctl(cur, [AT, 0, 0, 0, 0]), fails(Errno::EACCES));
    });
    as_guest(&world.hv, &world.dom0, |cur| {
        assert_eq!(domctl(cur, [0; 5]), fails(Errno::EFAULT));
        assert_eq!(domctl(cur, [u64::MAX, 0, 0, 0, 0]), fails(Errno::EFAULT));
    });
}

#[test]
fn who_is_not_in_control_may_do_nothing() {
    let world = world();
    let guest = domain(&world.hv, 7, guest_config(), 4);
    let other = world.guest();
    for cmd in 2..100 {
        let (result, _) = world.call_as(&guest, cmd, other.id, OpPayload::default());
        assert_eq!(result, fails(Errno::EPERM), "{cmd}");
    }
    let (result, _) = world.call_as(&guest, op::CREATEDOMAIN, NEW, OpPayload::of(&asked()));
    assert_eq!(result, fails(Errno::EPERM));
}

#[test]
fn unknown_domains_and_operations_have_their_errors() {
    let world = world();
    world.guest();
    for cmd in (2..100).filter(|cmd| ![op::CREATEDOMAIN, op::GETDOMAININFO].contains(cmd)) {
        for id in [99, 0x7fef, Domid::SELF.0, Domid::XEN.0, 0xffff] {
            assert_eq!(world.plain(cmd, id), fails(Errno::ESRCH), "{cmd} {id:#x}");
        }
    }
    for cmd in [
        0,
        op::SHADOW_OP,
        op::IOPORT_PERMISSION,
        op::HYPERCALL_INIT,
        op::SENDTRIGGER,
        op::GETHVMCONTEXT,
        op::GET_ADDRESS_SIZE,
        op::DEBUG_OP,
        op::GETPAGEFRAMEINFO3,
        op::SETVNUMAINFO,
        op::PSR_CMT_OP,
        op::GET_CPU_POLICY,
        op::VMTRACE_OP,
        87,
        1000,
        u32::MAX,
    ] {
        assert_eq!(world.plain(cmd, 1), fails(Errno::ENOSYS), "{cmd}");
    }
    for cmd in [op::ASSIGN_DEVICE, op::TEST_ASSIGN_DEVICE, op::GET_DEVICE_GROUP, op::MONITOR_OP] {
        assert_eq!(world.plain(cmd, 1), fails(Errno::EOPNOTSUPP), "{cmd}");
    }
    let any = world.call(op::TEST_ASSIGN_DEVICE, Domid::INVALID.0, &0u64).0;
    assert_eq!(any, fails(Errno::EOPNOTSUPP));
}

#[test]
fn one_control_operation_is_served_at_a_time() {
    let world = world();
    let guest = world.guest();
    let lock = world.hv.control.lock();
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = Domctl {
            cmd: op::PAUSEDOMAIN,
            interface_version: INTERFACE_VERSION,
            domain: guest.id,
            ..Default::default()
        };
        cur.write(AT, &op).unwrap();
        assert_eq!(domctl(cur, [AT, 0, 0, 0, 0]), Err(Stop::Preempted([AT, 0, 0, 0, 0])));
    });
    drop(lock);
    assert_eq!(world.plain(op::PAUSEDOMAIN, 1), Ok(0));
}

#[test]
fn random_requests_harm_nobody() {
    let world = world();
    world.guest();
    let guest = domain(&world.hv, 5, guest_config(), 4);
    let mut seed = 0x1234_5678_9abc_def1u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..20_000 {
        let cmd = (random() % 90) as u32;
        let target = [0, 1, 2, 5, 9, 0x7ff0][(random() % 6) as usize];
        let mut payload = OpPayload::default();
        for chunk in payload.0.chunks_mut(8) {
            let value = match random() % 6 {
                0 => 0,
                1 => 1,
                2 => random() % 64,
                3 => BUFFER,
                4 => u64::MAX,
                _ => random(),
            };
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        let caller = if random() % 4 == 0 { &guest } else { &world.dom0 };
        if cmd == op::DESTROYDOMAIN && target == 5 {
            continue;
        }
        let _ = world.call_as(caller, cmd, Domid(target), payload);
    }
    assert!(world.hv.domains.get(Domid(0)).is_some());
}
