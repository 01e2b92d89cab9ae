//! The interrupt controller on the fake machine, whose CPUs have four list registers each.

use alloc::{sync::Arc, vec, vec::Vec};

use super::*;
use crate::{
    domain::DomainConfig,
    fake::{FakeCpu, FakeMachine, Injected, domain, guest_config, hypervisor},
    machine::CpuId,
    regs::{Arm32Regs, GuestRegs},
    trap::{Exit, FaultRegisters},
    vpsci::start_context,
};

pub(super) type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
pub(super) type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;
pub(super) type Cpu<'a> = FakeCpu<'a, Arm32Regs>;

const GICD: u64 = layout::GICD_BASE;
const CTLR: u32 = 0x000;
const TYPER: u32 = 0x004;
pub(super) const ISENABLER: u32 = 0x100;
pub(super) const ICENABLER: u32 = 0x180;
const ISPENDR: u32 = 0x200;
const IPRIORITYR: u32 = 0x400;
pub(super) const ITARGETSR: u32 = 0x800;
const SGIR: u32 = 0xf00;

pub(super) fn start<R: GuestRegs>(
    hv: &Hypervisor<FakeMachine<R>>,
    id: u16,
    config: DomainConfig,
) -> Arc<Domain<FakeMachine<R>>> {
    let domain = domain(hv, id, config, 1);
    for vcpu in domain.vcpus() {
        hv.start_vcpu(&domain, vcpu, &start_context(true, 0, 0).expect("a context"));
        hv.set_hard_affinity(vcpu, 1 << vcpu.id);
    }
    hv.unpause_by_controller(&domain).expect("it was paused once");
    domain
}

fn guest(hv: &Hv, vcpus: u32) -> Dom {
    start(hv, 1, DomainConfig { max_vcpus: vcpus, nr_spis: 64, ..guest_config() })
}

pub(super) fn cpus<R: GuestRegs>(hv: &Hypervisor<FakeMachine<R>>, count: u32) -> Vec<FakeCpu<'_, R>> {
    let mut cpus: Vec<_> = (0..count).map(|n| FakeCpu::new(hv, CpuId(n))).collect();
    for cpu in &mut cpus {
        assert!(cpu.schedule().is_some());
    }
    cpus
}

/// Of a load or store that can be done for the guest.
pub(super) fn syndrome(write: bool, size: u32, rt: u32) -> u32 {
    0x24 << 26 | 1 << 25 | 1 << 24 | size << 22 | rt << 16 | u32::from(write) << 6 | 0x07
}

pub(super) fn access(cpu: &mut Cpu<'_>, offset: u32, size: u32, value: Option<u32>) -> u32 {
    let address = GICD + u64::from(offset);
    let faults = FaultRegisters { far: address, hpfar: address >> 12 << 4 };
    let esr = syndrome(value.is_some(), size, 3);
    cpu.run(|current| {
        current.regs.set(3, value.unwrap_or(0xdead_dead).into());
        current.hv.handle(current, Exit::decode(esr, || faults));
        current.regs.get(3) as u32
    })
}

pub(super) fn write(cpu: &mut Cpu<'_>, offset: u32, value: u32) {
    access(cpu, offset, 2, Some(value));
    cpu.schedule();
}

fn read(cpu: &mut Cpu<'_>, offset: u32) -> u32 {
    access(cpu, offset, 2, None)
}

pub(super) fn injected<R: GuestRegs>(hv: &Hypervisor<FakeMachine<R>>) -> Vec<Injected> {
    hv.machine.log(|log| core::mem::take(&mut log.injected))
}

fn raise(cpu: &mut Cpu<'_>, virq: u32) {
    cpu.run(|current| current.hv.inject_here(current.domain, current.vcpu, virq, 0));
}

/// Enters the guest again and lets it take and end all that is pending.
pub(super) fn taken<R: GuestRegs>(cpu: &mut FakeCpu<'_, R>) -> Vec<u32> {
    let vcpu = cpu.schedule().expect("a guest to run");
    let machine = &cpu.hypervisor().machine;
    machine.set_cpu(vcpu.sched.cpu());
    machine.guest_takes_all()
}

#[test]
fn an_enabled_interrupt_is_in_a_list_register_at_once() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27);
    raise(cpu, 27);
    assert_eq!(hv.machine.guest_acknowledges(), Some((27, 0)));
}

#[test]
fn a_disabled_one_waits_until_it_is_enabled() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    raise(cpu, 31);
    assert_eq!(taken(cpu), []);
    write(cpu, ISENABLER, 1 << 31);
    assert_eq!(taken(cpu), [31]);
}

#[test]
fn disabling_takes_back_what_the_guest_has_not_taken() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27);
    raise(cpu, 27);
    write(cpu, ICENABLER, 1 << 27);
    assert_eq!(taken(cpu), []);
    write(cpu, ISENABLER, 1 << 27);
    assert_eq!(taken(cpu), [27]);
}

#[test]
fn raising_twice_is_one_interrupt_unless_the_first_is_being_served() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27);
    raise(cpu, 27);
    raise(cpu, 27);
    assert_eq!(hv.machine.guest_acknowledges(), Some((27, 0)));
    raise(cpu, 27);
    assert_eq!(hv.machine.guest_acknowledges(), None);
    hv.machine.guest_ends(27);
    assert_eq!(taken(cpu), [27]);
    assert_eq!(taken(cpu), []);
}

#[test]
fn the_usual_interrupt_costs_one_read_and_one_write() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27);
    raise(cpu, 27);
    assert_eq!(taken(cpu), [27]);
    let (reads, writes) = hv.machine.list_register_accesses();
    for _ in 0..10 {
        raise(cpu, 27);
        assert_eq!(taken(cpu), [27]);
    }
    assert_eq!(hv.machine.list_register_accesses(), (reads + 10, writes + 10));
}

#[test]
fn one_raised_for_a_vcpu_that_comes_again_costs_no_more() {
    let hv = hypervisor(128, 1);
    let first = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27 | 1 << 5);
    let second = start(&hv, 2, guest_config());
    let away = |cpu: &mut Cpu<'_>, raise: &dyn Fn(&Vcpu<_>)| {
        hv.pause_vcpus(&first);
        assert_eq!(cpu.schedule().map(|vcpu| vcpu.domain.id), Some(second.id));
        raise(&first.vcpus()[0]);
        hv.pause_vcpus(&second);
        hv.unpause_vcpus(&first);
        let got = taken(cpu);
        hv.unpause_vcpus(&second);
        got
    };
    assert_eq!(away(cpu, &|vcpu| hv.inject_private(&first, vcpu, 27)), [27]);
    let (reads, writes) = hv.machine.list_register_accesses();
    for _ in 0..10 {
        assert_eq!(away(cpu, &|vcpu| hv.inject_private(&first, vcpu, 27)), [27]);
    }
    assert_eq!(hv.machine.list_register_accesses(), (reads + 10, writes + 10));

    // An SGI of two senders is two interrupts each time.
    for _ in 0..3 {
        let got = away(cpu, &|vcpu| {
            hv.inject_from(&first, vcpu, 5, 1);
            hv.inject_from(&first, vcpu, 5, 2);
        });
        assert_eq!(got, [5, 5]);
    }
    assert_eq!(away(cpu, &|_| ()), []);
}

#[test]
fn a_shared_one_that_ended_before_its_vcpu_left_goes_to_its_new_target() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], ISENABLER + 4, 1 << 8);
    hv.inject_spi(&guest, 40);
    assert!(cpus[0].schedule().is_some());
    assert_eq!(hv.machine.guest_acknowledges(), Some((40, 0)));
    // Pending again while it is being served, and for the other one from now on.
    access(&mut cpus[1], ITARGETSR + 40, 0, Some(2));
    hv.inject_spi(&guest, 40);
    hv.machine.set_cpu(CpuId(0));
    hv.machine.guest_ends(40);
    hv.pause_vcpu(&guest.vcpus()[0]);
    assert!(cpus[0].schedule().is_none());
    assert_eq!(taken(&mut cpus[1]), [40]);
}

#[test]
fn more_interrupts_than_list_registers_come_in_order_of_priority() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 0xffff_0000);
    for n in 0..4 {
        // 16 is the least urgent, 31 the most.
        let first = 16 + n * 4;
        let priority = |virq: u32| (31 - virq) * 8;
        let bytes = (0..4).map(|b| priority(first + b) << (b * 8)).sum();
        write(cpu, IPRIORITYR + first, bytes);
    }
    for virq in 16..32 {
        raise(cpu, virq);
    }
    let mut all = Vec::new();
    while all.len() < 16 {
        let some = taken(cpu);
        assert!(!some.is_empty(), "stuck after {all:?}");
        all.extend(some);
        assert_eq!(hv.machine.underflow_interrupt(), all.len() < 16);
        cpu.run(|current| current.hv.maintenance_interrupt(current));
    }
    let expected: Vec<u32> = (16..32).rev().collect();
    assert_eq!(all, expected);
    assert!(!hv.machine.underflow_interrupt());
}

#[test]
fn an_urgent_interrupt_takes_the_place_of_one_that_waits() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 0xffff_0000);
    for first in (16..32).step_by(4) {
        write(cpu, IPRIORITYR + first, 0xa0a0_a0a0);
    }
    access(cpu, IPRIORITYR + 20, 0, Some(0x20));
    for virq in 16..20 {
        raise(cpu, virq);
    }
    raise(cpu, 20);
    assert_eq!(hv.machine.guest_acknowledges(), Some((20, 0)));
}

#[test]
fn an_sgi_says_who_sent_it_and_two_senders_are_two_interrupts() {
    let hv = hypervisor(64, 3);
    let _guest = guest(&hv, 3);
    let mut cpus = cpus(&hv, 3);
    write(&mut cpus[0], ISENABLER, 0xffff);
    write(&mut cpus[1], SGIR, 1 << 16 | 5);
    write(&mut cpus[2], SGIR, 1 << 16 | 5);
    write(&mut cpus[2], SGIR, 1 << 16 | 5);
    assert!(hv.machine.take_kick(CpuId(0)));
    cpus[0].schedule();
    let mut senders = vec![];
    while let Some((5, source)) = hv.machine.guest_acknowledges() {
        senders.push(source);
        hv.machine.guest_ends(5);
    }
    senders.sort_unstable();
    assert_eq!(senders, [1, 2]);
}

#[test]
fn sgi_filters_choose_all_others_or_oneself() {
    let hv = hypervisor(64, 3);
    let guest = guest(&hv, 3);
    let mut cpus = cpus(&hv, 3);
    for cpu in &mut cpus {
        write(cpu, ISENABLER, 0xffff);
    }
    write(&mut cpus[1], SGIR, 1 << 24 | 0xff << 16 | 3);
    let results: Vec<_> = cpus.iter_mut().map(taken).collect();
    assert_eq!(results, [vec![3], vec![], vec![3]]);
    write(&mut cpus[1], SGIR, 2 << 24 | 4);
    assert_eq!(taken(&mut cpus[1]), [4]);
    // To vCPUs that are not there.
    write(&mut cpus[0], SGIR, 0xf8 << 16 | 4);
    assert_eq!(guest.vcpus().len(), 3);
}

#[test]
fn the_reserved_sgi_filter_aborts_and_sends_nothing() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 0xffff);
    let pc = cpu.regs.pc();
    write(cpu, SGIR, 3 << 24 | 1 << 16 | 3);
    assert_eq!(injected(&hv), [Injected::DataAbort(GICD + 0xf00)]);
    assert_eq!(cpu.regs.pc(), pc, "an abort is taken at the instruction");
    assert_eq!(taken(cpu), []);
}

#[test]
fn an_interrupt_for_another_vcpu_wakes_it_and_kicks_its_cpu() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[1], ISENABLER, 0xffff);
    cpus[1].run(|current| current.wait_for_interrupt());
    assert!(cpus[1].schedule().is_none());
    hv.machine.take_kick(CpuId(1));
    write(&mut cpus[0], SGIR, 2 << 16 | 1);
    assert!(hv.machine.take_kick(CpuId(1)));
    assert!(!guest.vcpus()[1].sched.is_blocked());
    assert_eq!(taken(&mut cpus[1]), [1]);
}

#[test]
fn a_kick_that_was_not_answered_yet_is_not_repeated() {
    let hv = hypervisor(64, 2);
    let _guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[1], ISENABLER, 0xffff);
    write(&mut cpus[0], SGIR, 2 << 16 | 1);
    assert!(hv.machine.take_kick(CpuId(1)));
    write(&mut cpus[0], SGIR, 2 << 16 | 2);
    assert!(!hv.machine.take_kick(CpuId(1)));
    assert_eq!(taken(&mut cpus[1]), [1, 2]);
}

#[test]
fn waiting_ends_at_once_when_something_is_pending_even_if_masked() {
    let hv = hypervisor(64, 1);
    let guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    write(cpu, ISENABLER, 1 << 27);
    raise(cpu, 27);
    cpu.run(|current| current.wait_for_interrupt());
    assert!(cpu.schedule().is_some());
    assert_eq!(taken(cpu), [27]);
    cpu.run(|current| current.wait_for_interrupt());
    assert!(guest.vcpus()[0].sched.is_blocked());
}

#[test]
fn a_vcpu_that_is_off_gets_no_interrupt_and_starts_without_any() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[1], ISENABLER, 0xffff);
    write(&mut cpus[0], SGIR, 2 << 16 | 1);
    cpus[1].run(|current| current.hv.vcpu_down(current.vcpu));
    assert!(cpus[1].schedule().is_none());
    write(&mut cpus[0], SGIR, 2 << 16 | 2);
    let vcpu = &guest.vcpus()[1];
    hv.start_vcpu(&guest, vcpu, &start_context(true, 0, 0).expect("a context"));
    assert_eq!(taken(&mut cpus[1]), []);
    write(&mut cpus[0], SGIR, 2 << 16 | 3);
    assert_eq!(taken(&mut cpus[1]), [3]);
}

#[test]
fn shared_interrupts_follow_their_target() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], ISENABLER + 4, 1 << 8);
    hv.inject_spi(&guest, 40);
    assert_eq!(taken(&mut cpus[0]), [40]);
    access(&mut cpus[0], ITARGETSR + 40, 0, Some(2));
    assert_eq!(access(&mut cpus[0], ITARGETSR + 40, 0, None), 2);
    hv.inject_spi(&guest, 40);
    // vCPU 0 still has the register of the last one: whoever runs first sorts it out.
    cpus[0].schedule();
    assert_eq!(taken(&mut cpus[1]), [40]);
    assert_eq!(taken(&mut cpus[0]), []);
}

#[test]
fn one_that_is_being_served_is_finished_where_it_was_begun() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], ISENABLER + 4, 1 << 8);
    hv.inject_spi(&guest, 40);
    assert!(cpus[0].schedule().is_some());
    assert_eq!(hv.machine.guest_acknowledges(), Some((40, 0)));
    access(&mut cpus[1], ITARGETSR + 40, 0, Some(2));
    hv.inject_spi(&guest, 40);
    cpus[1].schedule();
    assert_eq!(hv.machine.guest_acknowledges(), None);
    assert!(cpus[0].schedule().is_some());
    hv.machine.guest_ends(40);
    assert_eq!(taken(&mut cpus[0]), [40]);
    hv.inject_spi(&guest, 40);
    cpus[0].schedule();
    assert_eq!(taken(&mut cpus[1]), [40]);
}

#[test]
fn a_target_that_sleeps_or_runs_elsewhere_gets_it_though_another_had_it_last() {
    let hv = hypervisor(64, 2);
    let guest = guest(&hv, 2);
    let mut cpus = cpus(&hv, 2);
    write(&mut cpus[0], ISENABLER + 4, 1 << 8);
    hv.inject_spi(&guest, 40);
    assert_eq!(taken(&mut cpus[0]), [40]);
    access(&mut cpus[0], ITARGETSR + 40, 0, Some(2));
    for cpu in &mut cpus {
        cpu.run(|current| current.wait_for_interrupt());
        assert!(cpu.schedule().is_none());
    }
    hv.machine.set_cpu(CpuId(1));
    hv.inject_spi(&guest, 40);
    cpus[0].schedule();
    assert_eq!(taken(&mut cpus[1]), [40]);
}

#[test]
fn targets_that_do_not_exist_are_ignored() {
    let hv = hypervisor(64, 2);
    let _guest = guest(&hv, 2);
    let cpu = &mut cpus(&hv, 2)[0];
    write(cpu, ITARGETSR + 32, 0x0000_fc00);
    assert_eq!(read(cpu, ITARGETSR + 32), 0x0101_0101);
    write(cpu, ITARGETSR + 32, 0x0302_ff00);
    assert_eq!(read(cpu, ITARGETSR + 32), 0x0102_0101, "the lowest one; 0 and none leave it");
    assert_eq!(read(cpu, ITARGETSR), 0x0101_0101, "private ones are the reader's own");
    write(cpu, ITARGETSR + 4, 0x0202_0202);
    assert_eq!(read(cpu, ITARGETSR + 4), 0x0101_0101);
}

#[test]
fn registers_read_as_xen_has_them() {
    let hv = hypervisor(64, 2);
    let _guest = guest(&hv, 2);
    let cpu = &mut cpus(&hv, 2)[0];
    write(cpu, CTLR, 0xffff_ffff);
    assert_eq!(read(cpu, CTLR), 1);
    assert_eq!(read(cpu, TYPER), 1 << 5 | 2);
    assert_eq!(read(cpu, 0x008), 0x43b);
    write(cpu, 0x080, 0xffff_ffff);
    assert_eq!(read(cpu, 0x080), 0);
    write(cpu, ISENABLER + 4, 0x0000_00f0);
    write(cpu, ICENABLER + 4, 0x0000_0030);
    assert_eq!((read(cpu, ISENABLER + 4), read(cpu, ICENABLER + 4)), (0xc0, 0xc0));
    assert_eq!((read(cpu, ISPENDR), read(cpu, 0x280), read(cpu, 0x300), read(cpu, 0x380)), (0, 0, 0, 0));
    write(cpu, 0xc00, u32::MAX);
    write(cpu, 0xc04, u32::MAX);
    write(cpu, 0xc08, 0xaaaa_0000);
    assert_eq!((read(cpu, 0xc00), read(cpu, 0xc04), read(cpu, 0xc08)), (0, 0, 0xaaaa_0000));
    write(cpu, IPRIORITYR + 32, 0x1122_3344);
    assert_eq!(access(cpu, IPRIORITYR + 34, 0, None), 0x22);
    assert_eq!(injected(&hv), []);
}

#[test]
fn interrupts_that_do_not_exist_read_zero_and_take_no_writes() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    for offset in
        [ISENABLER + 12, ICENABLER + 0x7c, 0xc00 + 0xfc, IPRIORITYR + 96, IPRIORITYR + 1016, ITARGETSR + 96]
    {
        write(cpu, offset, u32::MAX);
        assert_eq!(read(cpu, offset), 0, "{offset:#x}");
    }
    write(cpu, ISPENDR + 0x7c, u32::MAX);
    write(cpu, ISPENDR + 12, u32::MAX);
    assert_eq!(injected(&hv), []);
}

#[test]
fn wrong_widths_and_writes_that_mean_nothing_abort() {
    let hv = hypervisor(64, 1);
    let _guest = guest(&hv, 1);
    let cpu = &mut cpus(&hv, 1)[0];
    for (offset, size, value) in [
        (CTLR, 0, None),
        (CTLR, 1, Some(1)),
        (ISENABLER, 3, None),
        (IPRIORITYR, 1, None),
        (0x300, 2, Some(1)),
        (0xf10, 2, Some(1)),
        (0xf2c, 0, Some(1)),
        (0xfec, 2, Some(0)),
        (ISENABLER + 2, 2, None),
    ] {
        access(cpu, offset, size, value);
        assert_eq!(injected(&hv), [Injected::DataAbort(GICD + u64::from(offset))], "{offset:#x} {size}");
    }
}

#[test]
fn every_offset_and_width_is_answered() {
    let hv = hypervisor(64, 2);
    let _guest = guest(&hv, 2);
    let cpu = &mut cpus(&hv, 2)[0];
    for offset in 0..0x1000 {
        for size in 0..4 {
            access(cpu, offset, size, None);
            access(cpu, offset, size, Some(0xffff_ffff));
        }
    }
    injected(&hv);
    taken(cpu);
}

#[test]
fn pending_writes_inject_and_a_switched_out_vcpu_keeps_what_it_has() {
    let hv = hypervisor(128, 1);
    let first = guest(&hv, 1);
    let mut cpus = cpus(&hv, 1);
    write(&mut cpus[0], ISENABLER, 1 << 20 | 1 << 21);
    write(&mut cpus[0], ISPENDR, 1 << 20 | 1 << 21);
    assert_eq!(hv.machine.guest_acknowledges(), Some((20, 0)));
    let second = start(&hv, 2, guest_config());
    hv.pause_vcpus(&first);
    assert_eq!(cpus[0].schedule().map(|vcpu| vcpu.domain.id), Some(second.id));
    assert_eq!(hv.machine.guest_takes_all(), []);
    hv.inject_private(&first, &first.vcpus()[0], 20);
    hv.pause_vcpus(&second);
    hv.unpause_vcpus(&first);
    assert!(cpus[0].schedule().is_some());
    hv.machine.guest_ends(20);
    assert_eq!(hv.machine.guest_takes_all(), [20, 21]);
}
