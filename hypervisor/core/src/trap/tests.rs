//! Traps as the syndrome tells of them.

use alloc::{format, string::String, sync::Arc, vec, vec::Vec};

use xen_abi::{
    arch::{layout, psr},
    psci::{id, smccc},
};

use super::*;
use crate::{
    domain::{Domain, DomainConfig},
    exits::sums,
    fake::{FakeCpu, FakeMachine, GUEST_RAM, Injected, domain, guest_config, hypervisor},
    machine::CpuId,
    predictor::Hardening,
    regs::{Arm32Regs, Arm64Regs},
    vpsci::start_context,
};

type Hv<R = Arm32Regs> = Hypervisor<FakeMachine<R>>;
type Dom<R = Arm32Regs> = Arc<Domain<FakeMachine<R>>>;

const PC: u32 = 0x8000;
const ALWAYS: u32 = 1 << 25 | 1 << 24 | 14 << 20;
const NEVER: u32 = 1 << 25 | 1 << 24;

fn start<R: GuestRegs>(hv: &Hv<R>, vcpus: u32) -> Dom<R> {
    start_as(hv, DomainConfig { max_vcpus: vcpus, ..guest_config() })
}

fn start_as<R: GuestRegs>(hv: &Hv<R>, config: DomainConfig) -> Dom<R> {
    let domain = domain(hv, 1, config, 2);
    let first = &domain.vcpus()[0];
    hv.start_vcpu(&domain, first, &start_context(true, 0, 0).expect("a context"));
    hv.unpause_by_controller(&domain).expect("it was paused once");
    domain
}

fn cpu(hv: &Hv) -> FakeCpu<'_> {
    let mut cpu = FakeCpu::new(hv, CpuId(0));
    assert!(cpu.schedule().is_some());
    cpu.regs.cpsr = psr::MODE_SVC;
    cpu.regs.pc = PC;
    cpu
}

fn trap(cpu: &mut FakeCpu<'_>, syndrome: u32) {
    trap_at(cpu, syndrome, FaultRegisters::default());
}

fn trap_at(cpu: &mut FakeCpu<'_>, syndrome: u32, faults: FaultRegisters) {
    cpu.run(|current| current.hv.handle(current, Exit::decode(syndrome, || faults)));
}

fn injected(hv: &Hv) -> Vec<Injected> {
    hv.machine.log(|log| core::mem::take(&mut log.injected))
}

fn cp15(register: (u32, u32, u32, u32), rt: u32, read: bool) -> u32 {
    let (op1, crn, crm, op2) = register;
    0x03 << 26 | ALWAYS | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | u32::from(read)
}

fn cp14(register: (u32, u32, u32, u32), rt: u32, read: bool) -> u32 {
    cp15(register, rt, read) & 0x03ff_ffff | 0x05 << 26
}

fn cp15_wide(op1: u32, crm: u32, rt: u32, rt2: u32, read: bool) -> u32 {
    0x04 << 26 | ALWAYS | op1 << 16 | rt2 << 10 | rt << 5 | crm << 1 | u32::from(read)
}

/// Reads a register into r3; nothing if it is undefined.
fn read(hv: &Hv, cpu: &mut FakeCpu<'_>, syndrome: u32) -> Option<u32> {
    cpu.regs.pc = PC;
    cpu.regs.r[3] = 0xdead_dead;
    trap(cpu, syndrome);
    match injected(hv).as_slice() {
        [] => {
            assert_eq!(cpu.regs.pc, PC + 4);
            Some(cpu.regs.r[3])
        }
        [Injected::Undefined] => {
            assert_eq!((cpu.regs.pc, cpu.regs.r[3]), (PC, 0xdead_dead));
            None
        }
        other => panic!("{other:?}"),
    }
}

const CNTP_CTL: (u32, u32, u32, u32) = (0, 14, 2, 1);
const CNTP_TVAL: (u32, u32, u32, u32) = (0, 14, 2, 0);

#[test]
fn an_instruction_whose_condition_fails_is_passed_by() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    trap(cpu, 0x01 << 26 | NEVER);
    assert_eq!(cpu.regs.pc, PC + 4);
    assert!(!domain.vcpus()[0].sched.is_blocked(), "EQ with Z clear");
    cpu.regs.cpsr |= psr::Z;
    trap(cpu, 0x01 << 26 | NEVER);
    assert!(domain.vcpus()[0].sched.is_blocked());
    assert_eq!(cpu.regs.pc, PC + 8);
    cpu.regs.r[3] = 7;
    cpu.regs.cpsr &= !psr::Z;
    trap(cpu, cp15(CNTP_CTL, 3, true) & !(0xf << 20));
    assert_eq!((cpu.regs.r[3], injected(&hv)), (7, vec![]));
}

#[test]
fn exits_are_counted_by_kind_and_hypercalls_by_number() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    for syndrome in [cp15(CNTP_CTL, 3, true), cp15(CNTP_TVAL, 3, true), 0x01 << 26 | NEVER] {
        trap(cpu, syndrome);
    }
    for number in [17, 29, 17, 63, 64, u32::MAX] {
        cpu.regs.r[12] = number;
        trap(cpu, 0x12 << 26 | ALWAYS | u32::from(HVC_TAG));
    }
    assert_eq!(
        counted(&domain),
        [
            "waits for an interrupt 1 0",
            "system registers 2 0",
            "hypercall 17 2 0",
            "hypercall 29 1 0",
            "hypercall 63 1 0",
        ]
    );
}

/// What the domain's vCPUs have counted and noted.
fn counted(domain: &Dom) -> Vec<String> {
    sums(domain).map(|(what, count, ticks)| format!("{what} {count} {ticks}")).collect()
}

#[test]
fn what_exits_took_is_summed_by_the_same_kinds() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let decoded = |syndrome| Exit::decode(syndrome, FaultRegisters::default);
    for (syndrome, ticks) in
        [(cp15(CNTP_CTL, 3, true), 7), (0x01 << 26 | NEVER, 3), (0x12 << 26 | 1 << 25, 5)]
    {
        for _ in 0..2 {
            cpu.run(|current| current.exit_took(&decoded(syndrome), ticks));
        }
    }
    for (number, ticks) in [(17, 20), (17, 1 << 40), (29, 1), (64, 1), (u32::MAX, 1)] {
        cpu.regs.r[12] = number;
        cpu.run(|current| current.exit_took(&Exit::Hvc(HVC_TAG), ticks));
    }
    cpu.run(|current| current.exit_took(&Exit::Interrupt, 2));
    cpu.run(|current| current.decision_took(9));
    assert_eq!(
        counted(&domain),
        [
            "interrupts 0 2",
            "waits for an interrupt 0 6",
            "system registers 0 14",
            "SMC and HVC of firmware 0 10",
            "decisions of the scheduler 1 9",
            "hypercall 17 0 1099511627796",
            "hypercall 29 0 1",
        ]
    );
}

#[test]
fn calls_with_other_numbers_are_undefined() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    for immediate in [1, 0xea0, 0xffff] {
        trap(cpu, 0x12 << 26 | 1 << 25 | immediate);
        assert_eq!((injected(&hv), cpu.regs.pc), (vec![Injected::Undefined], PC));
    }
    for ec in [0x00, 0x02, 0x07, 0x09, 0x0e, 0x11, 0x15, 0x19, 0x3c, 0x3f] {
        trap(cpu, ec << 26 | ALWAYS);
        assert_eq!(injected(&hv), [Injected::Undefined], "class {ec:#x}");
    }
}

#[test]
fn the_physical_timer_counts_and_interrupts() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    cpu.run(|current| current.hv.gicd_write(current, 0x100, 2, 1 << 30)).expect("enabled");
    cpu.regs.r[3] = 500;
    trap(cpu, cp15(CNTP_TVAL, 3, false));
    cpu.regs.r[3] = 1;
    trap(cpu, cp15(CNTP_CTL, 3, false));
    assert_eq!(read(&hv, cpu, cp15(CNTP_CTL, 3, true)), Some(1));
    hv.machine.advance(400);
    assert_eq!(read(&hv, cpu, cp15(CNTP_TVAL, 3, true)), Some(100));
    assert!(!cpu.timer_interrupt());
    hv.machine.advance(100);
    assert!(cpu.timer_interrupt());
    assert_eq!(read(&hv, cpu, cp15(CNTP_CTL, 3, true)), Some(5));
    cpu.schedule();
    assert_eq!(hv.machine.guest_takes_all(), [30]);
    // CVAL is a pair of registers.
    (cpu.regs.r[4], cpu.regs.r[5]) = (0x1234, 1);
    trap(cpu, cp15_wide(2, 14, 4, 5, false));
    (cpu.regs.r[4], cpu.regs.r[5]) = (0, 0);
    trap(cpu, cp15_wide(2, 14, 4, 5, true));
    assert_eq!((cpu.regs.r[4], cpu.regs.r[5]), (0x1234, 1));
}

#[test]
fn a_timer_that_is_set_for_the_past_or_for_ever_makes_progress() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    cpu.run(|current| current.hv.gicd_write(current, 0x100, 2, 1 << 30)).expect("enabled");
    cpu.regs.r[3] = 1;
    trap(cpu, cp15(CNTP_CTL, 3, false));
    cpu.schedule();
    assert_eq!(hv.machine.guest_takes_all(), [30], "0 has passed long ago");
    assert_eq!(hv.machine.timer(CpuId(0)), None);
    (cpu.regs.r[4], cpu.regs.r[5]) = (u32::MAX, u32::MAX);
    trap(cpu, cp15_wide(2, 14, 4, 5, false));
    assert_eq!(hv.machine.timer(CpuId(0)), None);
    hv.machine.advance(1 << 32);
    cpu.regs.r[3] = 0x8000_0000;
    trap(cpu, cp15(CNTP_TVAL, 3, false));
    cpu.schedule();
    assert_eq!(hv.machine.guest_takes_all(), [30]);
}

#[test]
fn user_mode_reads_the_timer_only_when_the_kernel_lets_it() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    cpu.regs.cpsr = psr::MODE_USR;
    assert_eq!(read(&hv, cpu, cp15(CNTP_CTL, 3, true)), None);
    hv.machine.log(|log| log.timer_control = 1 << 9);
    assert_eq!(read(&hv, cpu, cp15(CNTP_CTL, 3, true)), Some(0));
}

#[test]
fn registers_that_are_hidden_read_zero_or_not_at_all() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let pmcr = (0, 9, 12, 0);
    let pmuserenr = (0, 9, 14, 0);
    assert_eq!(read(&hv, cpu, cp15(pmcr, 3, true)), Some(0));
    assert_eq!(read(&hv, cpu, cp15((0, 1, 0, 1), 3, true)), Some(0x41), "ACTLR");
    assert_eq!(read(&hv, cpu, cp15((0, 1, 0, 3), 3, true)), None, "ACTLR2");
    assert_eq!(read(&hv, cpu, cp15((0, 15, 0, 0), 3, true)), None);
    assert_eq!(read(&hv, cpu, cp15((0, 11, 1, 0), 3, true)), None);
    assert_eq!(read(&hv, cpu, cp15_wide(0, 12, 3, 4, false)), None, "SGIs by register are GICv3's");
    assert_eq!(read(&hv, cpu, cp14((0, 0, 0, 0), 3, true)), Some(1 << 24 | 5 << 16 | 2 | 1));
    assert_eq!(read(&hv, cpu, cp14((0, 0, 0, 0), 3, false)), None);
    assert_eq!(read(&hv, cpu, cp14((0, 1, 0, 4), 3, true)), None, "OSLAR is written only");
    assert_eq!(read(&hv, cpu, cp14((0, 1, 1, 4), 3, true)), None, "OSLSR");
    assert_eq!(read(&hv, cpu, cp14((0, 0, 7, 0), 3, true)), Some(0));
    cpu.regs.cpsr = psr::MODE_USR;
    assert_eq!(read(&hv, cpu, cp15(pmcr, 3, true)), None);
    assert_eq!(read(&hv, cpu, cp15(pmuserenr, 3, true)), Some(0));
    assert_eq!(read(&hv, cpu, cp15(pmuserenr, 3, false)), None);
    assert_eq!(read(&hv, cpu, cp14((0, 0, 1, 0), 3, true)), Some(0));
    assert_eq!(read(&hv, cpu, cp14((0, 0, 7, 0), 3, true)), None);
}

#[test]
fn identification_hides_what_is_not_virtualised_and_cannot_be_written() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    assert_eq!(read(&hv, cpu, cp15((0, 0, 1, 4), 3, true)), Some(0x1_0104), "ID_MMFR0");
    assert_eq!(read(&hv, cpu, cp15((0, 0, 1, 2), 3, true)), Some(0x0102), "trace is hidden");
    assert_eq!(read(&hv, cpu, cp15((0, 0, 3, 7), 3, true)), Some(0));
    assert_eq!(read(&hv, cpu, cp15((0, 0, 7, 7), 3, true)), Some(0));
    assert_eq!(read(&hv, cpu, cp15((0, 0, 4, 0), 3, true)), Some(0), "ID_AA64PFR0 has no name here");
    assert_eq!(read(&hv, cpu, cp15((0, 0, 1, 4), 3, false)), None);
    // VMRS r3, MVFR0.
    let mvfr0 = 0x08 << 26 | ALWAYS | 7 << 10 | 3 << 5 | 1;
    assert_eq!(read(&hv, cpu, mvfr0), Some(0x1_0300));
    assert_eq!(read(&hv, cpu, mvfr0 & !(7 << 10)), None, "FPSID");
    cpu.regs.cpsr = psr::MODE_USR;
    assert_eq!(read(&hv, cpu, cp15((0, 0, 1, 4), 3, true)), None);
}

#[test]
fn every_register_name_is_answered() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    for mode in [psr::MODE_SVC, psr::MODE_USR, psr::MODE_FIQ] {
        cpu.regs.cpsr = mode;
        for iss in (0..1 << 20).step_by(2) {
            for ec in [0x03, 0x05] {
                trap(cpu, ec << 26 | 1 << 25 | 1 << 24 | 14 << 20 | iss | iss >> 7 & 1);
            }
        }
        injected(&hv);
        cpu.schedule();
    }
}

#[test]
fn banked_registers_are_the_ones_of_the_mode() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    trap(cpu, cp15((0, 1, 0, 1), 14, true));
    assert_eq!(hv.machine.log(|log| log.banked.get(&14).copied()), Some(0x41));
    assert_eq!(cpu.regs.lr_usr, 0);
    cpu.regs.cpsr = psr::MODE_SYS;
    trap(cpu, cp15((0, 1, 0, 1), 14, true));
    assert_eq!(cpu.regs.lr_usr, 0x41);
}

fn data_abort(write: bool, ipa: u64, valid: bool) -> (u32, FaultRegisters) {
    let isv = if valid { 1 << 24 | 2 << 22 | 3 << 16 } else { 0 };
    let syndrome = 0x24 << 26 | 1 << 25 | isv | u32::from(write) << 6 | 0x07;
    (syndrome, FaultRegisters { far: 0xf000_0000 | ipa & 0xfff, hpfar: ipa >> 12 << 4 })
}

#[test]
fn an_access_to_nothing_is_an_abort_at_its_address() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    for (write, ipa, valid) in
        [(false, 0x1234_5678, true), (true, 0xff_ffff_f000, false), (true, 0x300_1000, false)]
    {
        let (syndrome, faults) = data_abort(write, ipa, valid);
        trap_at(cpu, syndrome, faults);
        assert_eq!((injected(&hv), cpu.regs.pc), (vec![Injected::DataAbort(faults.far)], PC));
    }
    let (_, faults) = data_abort(false, 0x1000, false);
    trap_at(cpu, 0x20 << 26 | 0x07, faults);
    assert_eq!(injected(&hv), [Injected::PrefetchAbort(faults.far)]);
}

#[test]
fn an_abort_that_is_not_what_it_says_is_left_to_the_guest() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let (load, faults) = data_abort(false, domain.config.interrupts.gicd + 4, true);
    cpu.regs.r[3] = 7;
    hv.machine.misreport(true);
    trap_at(cpu, load, faults);
    trap_at(cpu, 0x20 << 26 | 0x07, data_abort(false, 0x1000, false).1);
    assert_eq!((injected(&hv), cpu.regs.pc, cpu.regs.r[3]), (vec![], PC, 7));
    hv.machine.misreport(false);
    trap_at(cpu, load, faults);
    assert_eq!((injected(&hv), cpu.regs.pc), (vec![], PC + 4));
    assert_ne!(cpu.regs.r[3], 7);
}

#[test]
fn the_uart_is_there_for_who_has_one() {
    const MASK: u64 = layout::PL011_BASE + 0x38;
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let (syndrome, faults) = data_abort(true, MASK, true);
    trap_at(cpu, syndrome, faults);
    assert_eq!((injected(&hv), cpu.regs.pc), (vec![Injected::DataAbort(faults.far)], PC));

    hv.give_uart(&domain).unwrap();
    cpu.regs.r[3] = 0x70;
    trap_at(cpu, syndrome, faults);
    assert_eq!((injected(&hv), cpu.regs.pc), (vec![], PC + 4));
    cpu.regs.r[3] = 0;
    let (syndrome, faults) = data_abort(false, MASK, true);
    trap_at(cpu, syndrome, faults);
    assert_eq!((cpu.regs.r[3], cpu.regs.pc), (0x70, PC + 8));
    let (syndrome, faults) = data_abort(false, layout::PL011_BASE + 0x30, true);
    trap_at(cpu, syndrome, faults);
    assert_eq!(injected(&hv), [Injected::DataAbort(faults.far)]);
}

#[test]
fn a_uart_at_another_place_has_its_own_interrupt() {
    let hv = hypervisor(64, 1);
    let uart = guest_board::Uart { base: 0x900_0400, spi: 37 };
    let domain = start_as(&hv, DomainConfig { max_vcpus: 1, uart, nr_spis: 32, ..guest_config() });
    hv.give_uart(&domain).unwrap();
    let cpu = &mut cpu(&hv);
    for (register, value) in [(uart.base + 0x38, 0x70), (layout::GICD_BASE + 0x104, 1 << (37 - 32))] {
        cpu.regs.r[3] = value;
        let (syndrome, faults) = data_abort(true, register, true);
        trap_at(cpu, syndrome, faults);
    }
    assert_eq!(injected(&hv), []);
    hv.uart_typed(&domain, b"x".iter().copied());
    assert!(cpu.schedule().is_some());
    assert_eq!(hv.machine.guest_acknowledges(), Some((37, 0)));
    let (syndrome, faults) = data_abort(true, layout::PL011_BASE + 0x38, true);
    trap_at(cpu, syndrome, faults);
    assert_eq!(injected(&hv), [Injected::DataAbort(faults.far)]);
}

#[test]
fn an_access_that_is_mapped_by_now_is_tried_again() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let (syndrome, faults) = data_abort(true, GUEST_RAM.0 << 12, true);
    trap_at(cpu, syndrome, faults);
    assert_eq!((injected(&hv), cpu.regs.pc), (vec![], PC));
    // A permission fault says nothing about the address, and is the guest's.
    trap_at(cpu, syndrome | 0x0f, faults);
    assert_eq!(injected(&hv), [Injected::DataAbort(faults.far)]);
}

#[test]
fn cache_maintenance_of_a_device_does_nothing() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let (syndrome, faults) = data_abort(true, 0x300_1100, false);
    trap_at(cpu, syndrome | 1 << 8, faults);
    assert_eq!((injected(&hv), cpu.regs.pc), (vec![], PC + 4));
}

#[test]
fn an_asynchronous_abort_goes_back_to_the_guest() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    cpu.run(|current| current.hv.handle(current, Exit::SError));
    assert_eq!(injected(&hv), [Injected::SError]);
}

const DCCISW: (u32, u32, u32, u32) = (0, 7, 14, 2);
const SCTLR: (u32, u32, u32, u32) = (0, 1, 0, 0);

#[test]
fn set_way_maintenance_cleans_memory_once_until_the_caches_are_on() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    let cleaned = || hv.machine.log(|log| core::mem::take(&mut log.cache).len());
    cleaned();
    trap(cpu, cp15(DCCISW, 0, false));
    assert_eq!((cleaned(), cpu.regs.pc), (2, PC + 4));
    trap(cpu, cp15(DCCISW, 0, false));
    assert_eq!(cleaned(), 0, "the next of a thousand");
    cpu.regs.r[0] = 4;
    trap(cpu, cp15(SCTLR, 0, false));
    assert!(!hv.machine.log(|log| log.traps_translation));
    assert_eq!(hv.machine.log(|log| log.system_control), 4);
    assert_eq!(read(&hv, cpu, cp15(DCCISW, 3, true)), None, "write only");
}

#[test]
fn cleaning_that_is_interrupted_goes_on_with_the_same_instruction() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    hv.machine.log(|log| log.cache.clear());
    hv.machine.set_interrupt_waiting(true);
    let mut rounds = 0;
    while cpu.regs.pc == PC {
        trap(cpu, cp15(DCCISW, 0, false));
        rounds += 1;
        assert!(rounds < 10);
    }
    assert!(rounds > 1);
    assert_eq!(hv.machine.log(|log| log.cache.len()), 2);
}

fn smc(cpu: &mut FakeCpu<'_>, args: [u32; 4]) -> u32 {
    cpu.regs.r[..4].copy_from_slice(&args);
    cpu.regs.pc = PC;
    trap(cpu, 0x13 << 26 | 1 << 25);
    assert_eq!(cpu.regs.pc, PC + 4);
    cpu.regs.r[0]
}

fn hvc(cpu: &mut FakeCpu<'_>, args: [u32; 4]) -> u32 {
    cpu.regs.r[..4].copy_from_slice(&args);
    trap(cpu, 0x12 << 26 | 1 << 25);
    cpu.regs.r[0]
}

#[test]
fn calls_are_answered_by_their_owner() {
    let hv = hypervisor(64, 1);
    hv.add_cpu(CpuId(0));
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    for call in [smc, hvc] {
        assert_eq!(call(cpu, [smccc::VERSION, 0, 0, 0]), 0x1_0001);
        assert_eq!(call(cpu, [smccc::ARCH_FEATURES, smccc::ARCH_WORKAROUND_1, 0, 0]), u32::MAX);
        assert_eq!(call(cpu, [0x8500_ff00, 0, 0, 0]), 3);
        assert_eq!(call(cpu, [0x8500_ff01, 0, 0, 0]), 0xdc12_18a7);
        assert_eq!(cpu.regs.r[1..4], [0x6943_98c6, 0xd179_cf9a, 0x67e6_de8d]);
        assert_eq!((call(cpu, [0x8500_ff03, 9, 0, 0]), cpu.regs.r[1]), (0, 1));
        assert_eq!(call(cpu, [0x8400_ff00, 0, 0, 0]), 15);
        assert_eq!(call(cpu, [0x8400_ff01, 0, 0, 0]), 0x6f38_63f8);
        for unknown in
            [0x8500_0000, 0x8600_ff01, 0x8200_0000, 0xb200_0000, 0x8400_0020, 0x8400_000e, 3, 0x0400_0000]
        {
            assert_eq!(call(cpu, [unknown, 0, 0, 0]), u32::MAX, "{unknown:#x}");
        }
        assert_eq!(call(cpu, [id::CPU_ON | id::SMC64, 0, 0, 0]), u32::MAX, "64 bits from 32");
    }
    assert_eq!(injected(&hv), []);
}

/// A hypervisor on firmware that answers so of the three workarounds, on each CPU.
fn on_firmware(version: i32, workarounds: &[[i32; 3]]) -> Hv {
    let hv = hypervisor(64, workarounds.len());
    ask_firmware(&hv, version, workarounds);
    hv
}

/// CPUs come up, each on firmware that answers so.
fn ask_firmware(hv: &Hv, version: i32, workarounds: &[[i32; 3]]) {
    for (n, answers) in workarounds.iter().enumerate() {
        hv.machine.log(|log| {
            log.firmware = [((id::VERSION, 0), 0x1_0001), ((id::FEATURES, smccc::VERSION), 0)].into();
            log.firmware.insert((smccc::VERSION, 0), version);
            let calls = [smccc::ARCH_WORKAROUND_1, smccc::ARCH_WORKAROUND_2, smccc::ARCH_WORKAROUND_3];
            log.firmware.extend(calls.map(|call| (smccc::ARCH_FEATURES, call)).into_iter().zip(*answers));
        });
        hv.add_cpu(CpuId(n as u32));
    }
}

/// What a guest is told of the three workarounds, and which of its calls reach firmware.
fn workarounds(hv: &Hv) -> ([i32; 3], Vec<u32>) {
    let _domain = start(hv, 1);
    let cpu = &mut cpu(hv);
    let calls = [smccc::ARCH_WORKAROUND_1, smccc::ARCH_WORKAROUND_2, smccc::ARCH_WORKAROUND_3];
    let told = calls.map(|call| smc(cpu, [smccc::ARCH_FEATURES, call, 0, 0]) as i32);
    hv.machine.log(|log| log.firmware_calls.clear());
    for call in calls {
        hvc(cpu, [call, 0, 0, 0]);
    }
    (told, hv.machine.log(|log| log.firmware_calls.iter().map(|(call, _)| *call).collect()))
}

#[test]
fn workarounds_of_firmware_are_passed_on() {
    let hv = on_firmware(0x1_0002, &[[0, 0, 0]]);
    // The second one is on from the start, and stays on.
    assert!(hv.machine.log(|log| log.firmware_calls.contains(&(smccc::ARCH_WORKAROUND_2, 1))));
    assert_eq!(workarounds(&hv), ([0, 1, 0], vec![smccc::ARCH_WORKAROUND_1, smccc::ARCH_WORKAROUND_3]));
    let hv = on_firmware(0x1_0001, &[[1, 1, -1]]);
    assert!(hv.machine.log(|log| !log.firmware_calls.contains(&(smccc::ARCH_WORKAROUND_2, 1))));
    assert_eq!(workarounds(&hv), ([1, 1, -1], vec![smccc::ARCH_WORKAROUND_1]));
}

#[test]
fn workarounds_that_not_every_cpu_has_are_none() {
    assert_eq!(workarounds(&on_firmware(0x1_0001, &[[0, 1, 0], [1, -1, -1]])).0, [0, -1, -1]);
}

/// What Cortex-A75s do when a guest stops, on such firmware.
fn hardened(version: i32, workarounds: &[[i32; 3]]) -> Vec<Hardening> {
    let hv = hypervisor(64, workarounds.len());
    hv.machine.log(|log| log.core.midr = 0x410f_d0a0);
    ask_firmware(&hv, version, workarounds);
    hv.machine.log(|log| log.hardened.clone())
}

#[test]
fn each_cpu_does_what_its_own_firmware_asks_for() {
    let (w1, w3) =
        (Hardening::Firmware(smccc::ARCH_WORKAROUND_1), Hardening::Firmware(smccc::ARCH_WORKAROUND_3));
    assert_eq!(hardened(0x1_0001, &[[0, -1, -1], [1, 1, 1], [0, 0, 0]]), [w1, w3]);
    assert_eq!(hardened(0x1_0000, &[[0, 0, 0]]), [], "firmware that cannot be asked");
}

#[test]
fn firmware_that_cannot_be_asked_has_no_workarounds() {
    assert_eq!(workarounds(&on_firmware(0x1_0000, &[[0, 0, 0]])), ([-1, -1, -1], vec![]));
    assert_eq!(workarounds(&on_firmware(-1, &[[0, 0, 0]])), ([-1, -1, -1], vec![]));
}

#[test]
fn psci_says_what_it_has() {
    let hv = hypervisor(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    assert_eq!(hvc(cpu, [id::VERSION, 0, 0, 0]), 0x1_0001);
    assert_eq!(hvc(cpu, [id::MIGRATE_INFO_TYPE, 0, 0, 0]), 2);
    let feature = |cpu: &mut FakeCpu<'_>, function| hvc(cpu, [id::FEATURES, function, 0, 0]) as i32;
    for function in [0, 1, 2, 3, 4, 6, 8, 9, 10] {
        assert_eq!(feature(cpu, 0x8400_0000 + function), 0, "{function}");
    }
    for function in [1, 3, 4] {
        assert_eq!(feature(cpu, 0xc400_0000 + function), 0, "{function}");
    }
    assert_eq!(feature(cpu, smccc::VERSION), 0);
    for function in [0x8400_0005, 0x8400_0007, 0x8400_000e, 0xc400_0000, 0xc400_0008, 1, 0] {
        assert_eq!(feature(cpu, function), -1, "{function:#x}");
    }
}

#[test]
fn a_vcpu_is_switched_on_once_with_what_was_asked_for() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 2);
    let cpu = &mut cpu(&hv);
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 1, 0, 0]), 1);
    assert_eq!(hvc(cpu, [id::CPU_ON, 2, 0x8000, 0]) as i32, -2);
    assert_eq!(hvc(cpu, [id::CPU_ON, 0, 0x8000, 0]) as i32, -4);
    assert_eq!(hvc(cpu, [id::CPU_ON, 1, 0x8001, 0x77]), 0);
    let context = domain.vcpus()[1].context.with(|state| state.guest);
    assert_eq!((context.user_regs.pc, context.user_regs.x[0], context.sctlr), (0x8000, 0x77, 0xc5_0078));
    assert_eq!(context.user_regs.cpsr, u64::from(psr::GUEST32_INIT | psr::THUMB));
    assert_eq!(hvc(cpu, [id::CPU_ON, 1, 0x8000, 0]) as i32, -4);
    assert_eq!(hvc(cpu, [2, 1, 0x8000, 0]) as i32, -2, "0.1 has no such error");
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 1, 0, 0]), 0);
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 0, 3, 0]) as i32, if cfg!(target_arch = "arm") { -2 } else { 0 });
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 0, 4, 0]) as i32, -2);
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 5, 0, 0]), 1, "nobody there");
}

#[test]
fn a_vcpu_that_switches_itself_off_is_off_for_others_and_can_come_back() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 2);
    let cpu = &mut cpu(&hv);
    assert_eq!(hvc(cpu, [id::CPU_ON, 1, 0x8000, 0]), 0);
    hvc(cpu, [id::CPU_OFF, 0, 0, 0]);
    let next = cpu.schedule().expect("the other one");
    assert_eq!(next.id, 1);
    assert!(domain.vcpus()[0].sched.is_down() && !domain.vcpus()[0].sched.is_loaded());
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 0, 0, 0]), 1);
    assert_eq!(hvc(cpu, [id::CPU_ON, 0, 0x9000, 0]), 0);
    assert_eq!(hvc(cpu, [id::AFFINITY_INFO, 0, 0, 0]), 0);
}

#[test]
fn a_domain_ends_itself() {
    for (function, code) in [(id::SYSTEM_OFF, 0), (id::SYSTEM_RESET, 1)] {
        let hv = hypervisor(64, 1);
        let domain = start(&hv, 1);
        let cpu = &mut cpu(&hv);
        assert_eq!(hvc(cpu, [function, 0, 0, 0]) as i32, -6);
        assert!(cpu.schedule().is_none());
        assert_eq!(domain.life().code(), Some(code));
    }
}

#[test]
fn suspend_is_a_wait() {
    let hv = hypervisor(64, 1);
    let domain = start(&hv, 1);
    let cpu = &mut cpu(&hv);
    assert_eq!(hvc(cpu, [id::CPU_SUSPEND, 0, 0, 0]), 0);
    assert!(domain.vcpus()[0].sched.is_blocked());
}

// AArch64.

fn cpu64(hv: &Hv<Arm64Regs>) -> FakeCpu<'_, Arm64Regs> {
    let mut cpu = FakeCpu::new(hv, CpuId(0));
    assert!(cpu.schedule().is_some());
    cpu.regs = Arm64Regs { pc: PC.into(), pstate: psr::GUEST64_INIT.into(), ..Default::default() };
    cpu
}

fn sysreg(register: (u32, u32, u32, u32, u32), rt: u32, read: bool) -> u32 {
    let (op0, op1, crn, crm, op2) = register;
    let name = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1;
    0x18 << 26 | 1 << 25 | name | rt << 5 | u32::from(read)
}

fn read64(hv: &Hv<Arm64Regs>, cpu: &mut FakeCpu<'_, Arm64Regs>, syndrome: u32) -> Option<u64> {
    (cpu.regs.pc, cpu.regs.x[3]) = (PC.into(), 0xdead);
    cpu.run(|current| current.hv.handle(current, Exit::decode(syndrome, FaultRegisters::default)));
    let undefined = !hv.machine.log(|log| core::mem::take(&mut log.injected)).is_empty();
    assert_eq!(cpu.regs.pc, u64::from(PC) + if undefined { 0 } else { 4 });
    (!undefined).then_some(cpu.regs.x[3])
}

#[test]
fn the_64_bit_registers_follow_their_own_table() {
    let hv = hypervisor::<Arm64Regs>(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu64(&hv);
    let mut value = |register| read64(&hv, cpu, sysreg(register, 3, true));
    assert_eq!(value((3, 3, 14, 2, 1)), Some(0), "CNTP_CTL");
    assert_eq!(value((3, 0, 0, 4, 0)), Some(0x400), "ID_AA64PFR0");
    assert_eq!(value((3, 0, 0, 4, 4)), Some(0), "ID_AA64ZFR0");
    assert_eq!(value((3, 0, 0, 1, 4)), Some(0x1_0104), "ID_MMFR0");
    assert_eq!(value((2, 0, 1, 1, 4)), Some(8), "OSLSR");
    assert_eq!(value((2, 0, 0, 2, 2)), Some(0), "MDSCR");
    assert_eq!(value((2, 0, 0, 15, 7)), Some(0), "DBGWCR15");
    assert_eq!(value((2, 0, 1, 0, 4)), None, "OSLAR");
    assert_eq!(value((3, 0, 12, 11, 5)), None, "ICC_SGI1R without GICv3");
    assert_eq!(value((3, 3, 13, 2, 1)), None, "AMU");
    assert_eq!(value((3, 0, 15, 0, 0)), None);
    assert_eq!(read64(&hv, cpu, sysreg((3, 0, 0, 4, 0), 3, false)), None, "not to be written");
}

#[test]
fn writing_the_zero_register_writes_zero() {
    let hv = hypervisor::<Arm64Regs>(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu64(&hv);
    let cval = (3, 3, 14, 2, 2);
    cpu.regs.x[3] = u64::MAX;
    cpu.run(|current| {
        current.hv.handle(current, Exit::decode(sysreg(cval, 3, false), FaultRegisters::default))
    });
    assert_eq!(read64(&hv, cpu, sysreg(cval, 3, true)), Some(u64::MAX));
    cpu.run(|current| {
        current.hv.handle(current, Exit::decode(sysreg(cval, 31, false), FaultRegisters::default))
    });
    assert_eq!(read64(&hv, cpu, sysreg(cval, 3, true)), Some(0));
}

#[test]
fn smc_with_a_number_is_undefined_where_the_number_is_known() {
    let hv = hypervisor::<Arm64Regs>(64, 1);
    let _domain = start(&hv, 1);
    let cpu = &mut cpu64(&hv);
    assert_eq!(read64(&hv, cpu, 0x17 << 26 | 1 << 25 | 1), None);
    cpu.regs.x[0] = smccc::VERSION.into();
    assert!(read64(&hv, cpu, 0x17 << 26 | 1 << 25).is_some());
    assert_eq!(cpu.regs.x[0], 0x1_0001);
}
