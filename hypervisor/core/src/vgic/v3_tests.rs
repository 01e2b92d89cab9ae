//! GICv3 on the fake machine. Every case runs with the registers of either state.

use alloc::{sync::Arc, vec, vec::Vec};

use xen_abi::arch::psr;

use super::{
    tests::{cpus, injected, start, syndrome, taken},
    *,
};
use crate::{
    domain::DomainConfig,
    fake::{FakeCpu, FakeMachine, Injected, control_config, guest_config, hypervisor},
    machine::{CpuId, Trigger},
    regs::{Arm32Regs, Arm64Regs, GuestRegs},
    trap::{Exit, FaultRegisters},
};

type Hv<R> = Hypervisor<FakeMachine<R>>;
type Dom<R> = Arc<Domain<FakeMachine<R>>>;

const GICD: u64 = layout::GICV3_GICD_BASE;
const GICR: u64 = layout::GICV3_GICR0_BASE;
const REDISTRIBUTOR: u64 = 0x2_0000;
const SGI_FRAME: u64 = 0x1_0000;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;
const TYPER: u64 = 0x8;

/// How each state does what is not the same in both.
trait State: GuestRegs {
    /// A kernel's processor state.
    const KERNEL: u64;
    /// An application's.
    const USER: u64;
    /// The syndrome of an access to ICC_SGI1R by registers 3 and 4; to its relatives ASGI1R and SGI0R.
    fn sgi(relative: u32, read: bool) -> u32;
    /// That of one to ICC_SRE by register 3.
    fn sre(read: bool) -> u32;
    /// That of a read into register 3 of the register that says whether there is a CPU interface of
    /// registers, and the place where it does.
    const IDENTITY: (u32, u32);
    /// Puts a value into the registers that it names.
    fn set_wide(&mut self, value: u64);
}

impl State for Arm32Regs {
    const KERNEL: u64 = psr::MODE_SVC as u64;
    const USER: u64 = psr::MODE_USR as u64;
    // ID_PFR1.
    const IDENTITY: (u32, u32) = (0x03 << 26 | 3 << 24 | 14 << 20 | 1 << 17 | 3 << 5 | 1 << 1 | 1, 28);

    fn sgi(relative: u32, read: bool) -> u32 {
        0x04 << 26 | 3 << 24 | 14 << 20 | relative << 16 | 4 << 10 | 3 << 5 | 12 << 1 | u32::from(read)
    }

    fn sre(read: bool) -> u32 {
        0x03 << 26 | 3 << 24 | 14 << 20 | 5 << 17 | 12 << 10 | 3 << 5 | 12 << 1 | u32::from(read)
    }

    fn set_wide(&mut self, value: u64) {
        self.set(3, value & 0xffff_ffff);
        self.set(4, value >> 32);
    }
}

impl State for Arm64Regs {
    const KERNEL: u64 = 5;
    const USER: u64 = 0;
    // ID_AA64PFR0.
    const IDENTITY: (u32, u32) = (0x18 << 26 | 1 << 25 | 3 << 20 | 3 << 5 | 4 << 1 | 1, 24);

    fn sgi(relative: u32, read: bool) -> u32 {
        0x18 << 26 | 1 << 25 | 3 << 20 | (5 + relative) << 17 | 12 << 10 | 3 << 5 | 11 << 1 | u32::from(read)
    }

    fn sre(read: bool) -> u32 {
        0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 3 << 5 | 12 << 1 | u32::from(read)
    }

    fn set_wide(&mut self, value: u64) {
        self.set(3, value);
    }
}

/// Makes tests of both states out of generic functions.
macro_rules! in_both_states {
    ($($name:ident)*) => {
        mod aarch32 {
            $(#[test]
            fn $name() {
                super::$name::<super::Arm32Regs>();
            })*
        }
        mod aarch64 {
            $(#[test]
            fn $name() {
                super::$name::<super::Arm64Regs>();
            })*
        }
    };
}

in_both_states! {
    private_interrupts_are_enabled_at_the_redistributor
    one_vcpu_can_set_up_anothers_redistributor
    sgis_go_to_those_that_are_listed
    an_sgi_to_all_others_leaves_out_its_sender
    sgis_of_two_senders_are_one_interrupt
    sgi_registers_cannot_be_read_nor_used_by_applications
    version_2_has_no_registers_in_the_cpu
    a_board_with_version_3_says_so_in_the_cpus_identity
    shared_interrupts_follow_their_router
    routers_read_as_affinities_by_words_or_whole
    a_hardware_interrupt_follows_its_router
    distributor_registers_read_as_xen_has_them
    redistributors_say_whose_they_are_and_which_is_last
    what_is_not_there_reads_as_zero
    wrong_widths_and_writes_that_mean_nothing_abort
    frames_of_vcpus_that_do_not_exist_abort
    every_offset_and_width_is_answered
}

fn config(vcpus: u32) -> DomainConfig {
    DomainConfig {
        max_vcpus: vcpus,
        nr_spis: 64,
        interrupts: GuestInterrupts::guest(gic::V3),
        ..guest_config()
    }
}

fn guest<R: State>(hv: &Hv<R>, vcpus: u32) -> Dom<R> {
    start(hv, 1, config(vcpus))
}

fn trap<R: State>(cpu: &mut FakeCpu<'_, R>, esr: u32, faults: FaultRegisters) {
    cpu.run(|current| {
        current.regs.set_pstate(R::KERNEL);
        current.hv.handle(current, Exit::decode(esr, || faults));
    });
}

fn access<R: State>(cpu: &mut FakeCpu<'_, R>, address: u64, size: u32, value: Option<u64>) -> u64 {
    /// The register is 64 bits wide.
    const WIDE: u32 = 1 << 15;
    let faults = FaultRegisters { far: address, hpfar: address >> 12 << 4 };
    let esr = syndrome(value.is_some(), size, 3) | if size == 3 { WIDE } else { 0 };
    cpu.regs.set(3, value.unwrap_or(0xdead_dead));
    trap(cpu, esr, faults);
    cpu.regs.get(3)
}

fn write<R: State>(cpu: &mut FakeCpu<'_, R>, address: u64, value: u32) {
    access(cpu, address, 2, Some(value.into()));
    cpu.schedule();
}

fn read<R: State>(cpu: &mut FakeCpu<'_, R>, address: u64) -> u32 {
    access(cpu, address, 2, None) as u32
}

/// Where the private interrupts of a vCPU are.
fn private(v: u64) -> u64 {
    GICR + v * REDISTRIBUTOR + SGI_FRAME
}

fn enable_sgis<R: State>(cpus: &mut [FakeCpu<'_, R>]) {
    for (v, cpu) in cpus.iter_mut().enumerate() {
        write(cpu, private(v as u64) + ISENABLER, 0xffff);
    }
}

fn send<R: State>(cpu: &mut FakeCpu<'_, R>, value: u64) {
    cpu.regs.set_wide(value);
    trap(cpu, R::sgi(0, false), FaultRegisters::default());
    cpu.schedule();
}

fn private_interrupts_are_enabled_at_the_redistributor<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    hv.inject_private(&guest, &guest.vcpus()[0], 27);
    assert_eq!(taken(cpu), []);
    write(cpu, private(0) + ISENABLER, 1 << 27);
    assert_eq!(taken(cpu), [27]);
    assert_eq!(read(cpu, private(0) + ICENABLER), 1 << 27);
    write(cpu, private(0) + ISPENDR, 1 << 27);
    assert_eq!(taken(cpu), [27]);
    write(cpu, private(0) + ICENABLER, 1 << 27);
    write(cpu, private(0) + ISPENDR, 1 << 27);
    assert_eq!(taken(cpu), []);
}

fn one_vcpu_can_set_up_anothers_redistributor<R: State>() {
    let hv = hypervisor::<R>(64, 2);
    let _guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], private(1) + ISENABLER, 1 << 20);
    assert_eq!(read(&mut cpus[0], private(0) + ISENABLER), 0);
    write(&mut cpus[0], private(1) + ISPENDR, 1 << 20);
    assert!(hv.machine.take_kick(CpuId(1)));
    assert_eq!((taken(&mut cpus[0]), taken(&mut cpus[1])), (vec![], vec![20]));
}

fn sgis_go_to_those_that_are_listed<R: State>() {
    let hv = hypervisor::<R>(64, 3);
    let _guest = guest(&hv, 3);
    let mut cpus = cpus(&hv, 3);
    enable_sgis(&mut cpus);
    // The last of the list is not there; nor is another cluster.
    send(&mut cpus[1], 5 << 24 | 0b1011);
    send(&mut cpus[1], 6 << 24 | 1 << 16 | 0b111);
    send(&mut cpus[1], 7 << 24 | 0xff << 16 | 0xffff);
    let all: Vec<_> = cpus.iter_mut().map(taken).collect();
    assert_eq!(all, [vec![5], vec![5], vec![]]);
}

fn an_sgi_to_all_others_leaves_out_its_sender<R: State>() {
    let hv = hypervisor::<R>(64, 3);
    let _guest = guest(&hv, 3);
    let mut cpus = cpus(&hv, 3);
    enable_sgis(&mut cpus);
    send(&mut cpus[1], 1 << 40 | 9 << 24);
    let all: Vec<_> = cpus.iter_mut().map(taken).collect();
    assert_eq!(all, [vec![9], vec![], vec![9]]);
}

fn sgis_of_two_senders_are_one_interrupt<R: State>() {
    let hv = hypervisor::<R>(64, 3);
    let _guest = guest(&hv, 3);
    let mut cpus = cpus(&hv, 3);
    enable_sgis(&mut cpus);
    send(&mut cpus[1], 5 << 24 | 1);
    send(&mut cpus[2], 5 << 24 | 1);
    cpus[0].schedule();
    assert_eq!(hv.machine.guest_acknowledges(), Some((5, 0)));
    hv.machine.guest_ends(5);
    assert_eq!(hv.machine.guest_acknowledges(), None);
}

fn sgi_registers_cannot_be_read_nor_used_by_applications<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let _guest = guest(&hv, 1);
    let mut cpus = cpus(&hv, 1);
    enable_sgis(&mut cpus);
    let cpu = &mut cpus[0];
    cpu.regs.set_wide(3 << 24 | 1);
    // ASGI1R and SGI0R are undefined on Xen.
    for esr in [R::sgi(0, true), R::sgi(1, false), R::sgi(2, false)] {
        trap(cpu, esr, FaultRegisters::default());
        assert_eq!(injected(&hv), [Injected::Undefined], "{esr:#x}");
    }
    for esr in [R::sgi(0, false), R::sre(true)] {
        cpu.run(|current| {
            current.regs.set_pstate(R::USER);
            current.hv.handle(current, Exit::decode(esr, FaultRegisters::default));
        });
        assert_eq!(injected(&hv), [Injected::Undefined], "{esr:#x}");
    }
    assert_eq!(taken(cpu), []);
    trap(cpu, R::sre(false), FaultRegisters::default());
    trap(cpu, R::sre(true), FaultRegisters::default());
    assert_eq!((cpu.regs.get(3), injected(&hv)), (7, vec![]));
}

fn version_2_has_no_registers_in_the_cpu<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let _guest = start(&hv, 1, guest_config());
    let cpu = &mut cpus(&hv, 1)[0];
    trap(cpu, R::sgi(0, false), FaultRegisters::default());
    assert_eq!(injected(&hv), [Injected::Undefined]);
    trap(cpu, R::sre(true), FaultRegisters::default());
    assert_eq!((cpu.regs.get(3), injected(&hv)), (0, vec![]));
    access(cpu, GICR + TYPER, 2, None);
    assert_eq!(injected(&hv), [Injected::DataAbort(GICR + TYPER)]);
}

fn a_board_with_version_3_says_so_in_the_cpus_identity<R: State>() {
    let (esr, at) = R::IDENTITY;
    for (virtual_cpu, shown) in [(Some(guest_board::Region::default()), 0), (None, 1)] {
        let hv = hypervisor::<R>(64, 1);
        hv.board.call_once(|| crate::domain_build::Board::new(virtual_cpu, 0));
        let _guest = guest(&hv, 1);
        let cpu = &mut cpus(&hv, 1)[0];
        trap(cpu, esr, FaultRegisters::default());
        assert_eq!((cpu.regs.get(3) >> at & 0xf, injected(&hv)), (shown, vec![]));
    }
}

fn shared_interrupts_follow_their_router<R: State>() {
    let hv = hypervisor::<R>(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], GICD + ISENABLER + 4, 1 << 8);
    hv.inject_spi(&guest, 40);
    assert_eq!(taken(&mut cpus[0]), [40]);
    cpus[0].schedule();
    let router = GICD + IROUTER + 8 * 40;
    write(&mut cpus[0], router, 1);
    hv.inject_spi(&guest, 40);
    cpus[0].schedule();
    assert_eq!(taken(&mut cpus[1]), [40]);
    // To any: vCPU 0. To nobody: stays.
    access(&mut cpus[0], router, 3, Some(1 << 31 | 1));
    assert_eq!(read(&mut cpus[0], router), 0);
    access(&mut cpus[0], router, 3, Some(1));
    for nobody in [2, 0x100, 0xff01] {
        write(&mut cpus[0], router, nobody);
        assert_eq!(read(&mut cpus[0], router), 1, "{nobody:#x}");
    }
}

fn routers_read_as_affinities_by_words_or_whole<R: State>() {
    let hv = hypervisor::<R>(512, 1);
    let _guest = guest(&hv, 20);
    let cpu = &mut cpus(&hv, 1)[0];
    let router = GICD + IROUTER + 8 * 95;
    access(cpu, router, 3, Some(0x102));
    assert_eq!(access(cpu, router, 3, None), 0x102, "vCPU 18 is the third of the second cluster");
    assert_eq!((read(cpu, router), read(cpu, router + 4)), (0x102, 0));
    write(cpu, router + 4, 0xff);
    assert_eq!(read(cpu, router), 0x102, "the highest level does not matter");
    assert_eq!(read(cpu, GICD + IROUTER + 8 * 96), 0, "no such interrupt");
    write(cpu, GICD + IROUTER + 8 * 96, 1);
    write(cpu, GICD + IROUTER + 8 * 20, 1);
    assert_eq!((read(cpu, GICD + IROUTER + 8 * 20), injected(&hv)), (0, vec![]));
}

fn a_hardware_interrupt_follows_its_router<R: State>() {
    let hv = hypervisor::<R>(128, 2);
    let interrupts = GuestInterrupts::guest(gic::V3);
    let dom0 = start(&hv, 0, DomainConfig { max_vcpus: 2, nr_spis: 64, interrupts, ..control_config() });
    let mut cpus = cpus(&hv, 2);
    assert_eq!(hv.route_guest_spi(&dom0, 47, Trigger::Level), Ok(()));
    write(&mut cpus[0], GICD + ISENABLER + 4, 1 << 15);
    assert_eq!(hv.machine.log(|log| log.enabled.clone()), [(47, false), (47, true)]);
    hv.guest_spi(47);
    assert_eq!(hv.machine.read_list_register(0).hw, Some(47));
    write(&mut cpus[0], GICD + IROUTER + 8 * 47, 1);
    let routed = hv.machine.log(|log| log.routed.clone());
    assert_eq!(routed.last(), Some(&(47, Trigger::Level, CpuId(1))));
}

fn distributor_registers_read_as_xen_has_them<R: State>() {
    let hv = hypervisor::<R>(256, 1);
    let _guest = guest(&hv, 9);
    let cpu = &mut cpus(&hv, 1)[0];
    assert_eq!(read(cpu, GICD), 0x10, "affinity routing");
    write(cpu, GICD, u32::MAX);
    assert_eq!(read(cpu, GICD), 0x12);
    write(cpu, GICD, 0);
    assert_eq!(read(cpu, GICD), 0x10);
    assert_eq!(read(cpu, GICD + 0x4), 9 << 19 | 7 << 5 | 2, "at most eight without affinity routing");
    assert_eq!(read(cpu, GICD + 0x8), 0x34c);
    assert_eq!(read(cpu, GICD + 0xffe8), 0x30);
    write(cpu, GICD + IPRIORITYR + 40, 0x1122_3344);
    assert_eq!(access(cpu, GICD + IPRIORITYR + 42, 0, None), 0x22);
    write(cpu, GICD + ICFGR + 8, 0xaaaa_0000);
    write(cpu, private(0) + ICFGR, 0xaaaa_aaaa);
    write(cpu, private(0) + ICFGR + 4, 0x0000_000a);
    assert_eq!(read(cpu, GICD + ICFGR + 8), 0xaaaa_0000);
    assert_eq!((read(cpu, private(0) + ICFGR), read(cpu, private(0) + ICFGR + 4)), (0, 0xa));
    assert_eq!(injected(&hv), []);
}

fn redistributors_say_whose_they_are_and_which_is_last<R: State>() {
    let hv = hypervisor::<R>(512, 1);
    let _guest = guest(&hv, 18);
    let cpu = &mut cpus(&hv, 1)[0];
    for (v, typer) in [(0, 0), (1, 1 << 32 | 1 << 8), (17, 0x101 << 32 | 17 << 8 | 1 << 4)] {
        let at = GICR + v * REDISTRIBUTOR + TYPER;
        if !cpu.regs.is_aarch32() {
            assert_eq!(access(cpu, at, 3, None), typer);
        }
        assert_eq!((read(cpu, at), read(cpu, at + 4)), (typer as u32, (typer >> 32) as u32));
    }
    assert_eq!((read(cpu, GICR + 0x4), read(cpu, GICR + 0xffe8)), (0x34c, 0x30));

    // The last of a region, too.
    let regions: &[_] = &[(0x1000_0000, 2), (0x2000_0000, 4)]
        .map(|(base, count)| guest_board::Region { base, size: count * REDISTRIBUTOR });
    let redistributors = Some(Redistributors(regions.to_vec().leak()));
    let hv = hypervisor::<R>(128, 1);
    let interrupts = GuestInterrupts { redistributors, ..GuestInterrupts::guest(gic::V3) };
    let _guest = start(&hv, 1, DomainConfig { interrupts, ..config(3) });
    let cpu = &mut cpus(&hv, 1)[0];
    let mut last = |at: u64| read(cpu, at + TYPER) >> 4 & 1;
    assert_eq!((last(0x1000_0000), last(0x1002_0000), last(0x2000_0000)), (0, 1, 1));
}

fn what_is_not_there_reads_as_zero<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    let frame = GICR;
    for (address, size) in [
        (frame, 2),
        (frame + 0x14, 2),
        (frame + 0x70, 3),
        (frame + 0x78, 2),
        (private(0) + 0x80, 2),
        (private(0) + 0xd00, 2),
        // Registers of shared interrupts are not in a redistributor.
        (private(0) + ISENABLER + 4, 2),
        (private(0) + IPRIORITYR + 32, 2),
        (private(0) + ICFGR + 8, 2),
        (GICD + 0x10, 2),
        (GICD + 0x40, 2),
        (GICD + 0x800, 2),
        (GICD + 0xf00, 2),
        (GICD + 0x280, 2),
        (GICD + ISENABLER + 12, 2),
    ] {
        access(cpu, address, size, Some(u64::MAX));
        assert_eq!(access(cpu, address, size, None), 0, "{address:#x}");
    }
    assert_eq!((read(cpu, GICD + ISENABLER + 4), injected(&hv)), (0, vec![]));
}

fn wrong_widths_and_writes_that_mean_nothing_abort<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    for (address, size, value) in [
        (GICD, 3, None),
        (GICD, 1, Some(0)),
        (GICD + ISENABLER, 0, None),
        (GICD + IPRIORITYR + 32, 1, Some(0)),
        (GICD + IROUTER + 8 * 40, 1, None),
        (GICD + 0x300, 2, Some(1)),
        (GICD + 0xf10, 2, Some(1)),
        (GICD + IROUTER + 8 * 40 + 4, 3, None),
        (GICR, 3, None),
        (GICR + TYPER, 0, None),
        (private(0) + 0x300, 2, Some(1)),
        (private(0) + ISENABLER, 3, None),
    ] {
        access(cpu, address, size, value);
        assert_eq!(injected(&hv), [Injected::DataAbort(address)], "{address:#x} {size}");
    }
}

fn frames_of_vcpus_that_do_not_exist_abort<R: State>() {
    let hv = hypervisor::<R>(64, 1);
    let _guest = guest(&hv, 2);
    let cpu = &mut cpus(&hv, 1)[0];
    let end = GICR + layout::GICV3_GICR0_SIZE;
    for address in [GICR + 2 * REDISTRIBUTOR, end - REDISTRIBUTOR, end, GICD - 0x1000, GICD + 0x1_0000] {
        access(cpu, address + TYPER, 2, None);
        assert_eq!(injected(&hv), [Injected::DataAbort(address + TYPER)]);
    }
}

fn every_offset_and_width_is_answered<R: State>() {
    let hv = hypervisor::<R>(64, 2);
    let _guest = guest(&hv, 2);
    let cpu = &mut cpus(&hv, 2)[0];
    for base in [GICD, GICR, private(1)] {
        for offset in (0..0x1_0000).step_by(2).chain(0x401..0x440) {
            for size in 0..4 {
                access(cpu, base + offset, size, None);
                access(cpu, base + offset, size, Some(u64::MAX));
            }
        }
    }
    injected(&hv);
    taken(cpu);
}
