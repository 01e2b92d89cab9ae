//! Hardware interrupts on the fake machine, where a guest's end deactivates only what its own CPU acknowledged.

use alloc::{vec, vec::Vec};

use super::{
    tests::{Cpu, Dom, Hv, ICENABLER, ISENABLER, ITARGETSR, access, cpus, start, taken, write},
    *,
};
use crate::{
    domain::DomainConfig,
    fake::{control_config, hypervisor},
    machine::{ListRegister, Trigger},
};

#[test]
fn hardware_interrupts_are_ended_by_the_guest_itself() {
    let hv = hypervisor(128, 2);
    let dom0 = start(&hv, 0, DomainConfig { max_vcpus: 2, nr_spis: 64, ..control_config() });
    let mut cpus = cpus(&hv, 2);
    assert_eq!(hv.route_guest_spi(&dom0, 47, Trigger::Level), Ok(()));
    assert_eq!(hv.route_guest_spi(&dom0, 47, Trigger::Level), Err(RouteError::Taken));
    assert_eq!(hv.route_guest_spi(&dom0, 31, Trigger::Level), Err(RouteError::NoSuchInterrupt));
    assert_eq!(hv.route_guest_spi(&dom0, 96, Trigger::Level), Err(RouteError::NoSuchInterrupt));
    write(&mut cpus[0], ISENABLER + 4, 1 << 15);
    assert_eq!(hv.machine.log(|log| log.enabled.clone()), [(47, false), (47, true)]);
    hv.machine.set_cpu(CpuId(0));
    hv.guest_spi(47);
    assert_eq!(hv.machine.read_list_register(0).hw, Some(47));
    assert_eq!(taken(&mut cpus[0]), [47]);
    access(&mut cpus[0], ITARGETSR + 47, 0, Some(2));
    let routed = hv.machine.log(|log| log.routed.clone());
    assert_eq!(routed.last(), Some(&(47, Trigger::Level, CpuId(1))));
    write(&mut cpus[0], ICENABLER + 4, 1 << 15);
    assert_eq!(hv.machine.log(|log| log.enabled.last().copied()), Some((47, false)));
}

/// dom0 with an enabled hardware interrupt, 47, for its first vCPU.
fn owner_of_47(hv: &Hv) -> (Dom, Vec<Cpu<'_>>) {
    let dom0 = start(hv, 0, DomainConfig { max_vcpus: 2, nr_spis: 64, ..control_config() });
    let mut cpus = cpus(hv, 2);
    assert_eq!(hv.route_guest_spi(&dom0, 47, Trigger::Edge), Ok(()));
    write(&mut cpus[0], ISENABLER + 4, 1 << 15);
    (dom0, cpus)
}

fn deactivated(hv: &Hv) -> Vec<u32> {
    hv.machine.log(|log| core::mem::take(&mut log.deactivated))
}

#[test]
fn what_another_cpu_acknowledged_is_deactivated_once_the_guest_has_ended_it() {
    let hv = hypervisor(128, 2);
    let (_dom0, mut cpus) = owner_of_47(&hv);
    hv.machine.set_cpu(CpuId(1));
    hv.guest_spi(47);
    cpus[0].schedule();
    let lr = hv.machine.read_list_register(0);
    assert_eq!((lr.virq, lr.hw, lr.tells), (47, None, true));
    assert_eq!(hv.machine.guest_acknowledges(), Some((47, 0)));
    cpus[0].run(|current| current.hv.maintenance_interrupt(current));
    assert_eq!(deactivated(&hv), [], "the guest has it");
    // A second one meanwhile belongs to the same list register.
    hv.guest_spi(47);
    assert_eq!(hv.machine.read_list_register(0).hw, None);
    hv.machine.guest_ends(47);
    assert_eq!(hv.machine.guest_takes_all(), [47]);
    cpus[0].run(|current| current.hv.maintenance_interrupt(current));
    assert_eq!(deactivated(&hv), [47]);
    assert_eq!(hv.machine.read_list_register(0), ListRegister::default(), "it tells no more");
    hv.guest_spi(47);
    assert_eq!(hv.machine.read_list_register(0).hw, Some(47));
}

#[test]
fn a_vcpu_that_moves_has_what_it_took_before_deactivated_for_it() {
    let hv = hypervisor(128, 2);
    let (dom0, mut cpus) = owner_of_47(&hv);
    hv.machine.set_cpu(CpuId(0));
    hv.guest_spi(47);
    assert_eq!(hv.machine.guest_acknowledges(), Some((47, 0)));
    hv.pause_vcpu(&dom0.vcpus()[1]);
    cpus[1].schedule();
    hv.set_hard_affinity(&dom0.vcpus()[0], 2);
    cpus[0].schedule();
    assert_eq!(cpus[1].schedule().map(|vcpu| vcpu.id), Some(0));
    let lr = hv.machine.read_list_register(0);
    assert_eq!((lr.virq, lr.hw, lr.active, lr.tells), (47, None, true, true));
    hv.machine.guest_ends(47);
    // Its CPU is asked for before it tells.
    hv.pause_vcpu(&dom0.vcpus()[0]);
    cpus[1].schedule();
    assert_eq!(deactivated(&hv), [47]);
}

#[test]
fn what_nobody_has_taken_yet_stays_active_when_it_is_taken_back() {
    let hv = hypervisor(128, 2);
    let (_dom0, mut cpus) = owner_of_47(&hv);
    hv.machine.set_cpu(CpuId(1));
    hv.guest_spi(47);
    cpus[0].schedule();
    write(&mut cpus[0], ICENABLER + 4, 1 << 15);
    assert_eq!(deactivated(&hv), []);
    write(&mut cpus[0], ISENABLER + 4, 1 << 15);
    assert!(hv.machine.read_list_register(0).tells);
    assert_eq!(taken(&mut cpus[0]), [47]);
    cpus[0].run(|current| current.hv.maintenance_interrupt(current));
    assert_eq!(deactivated(&hv), [47]);
}

#[test]
fn what_was_ended_elsewhere_is_deactivated_when_its_vcpu_starts_anew() {
    let hv = hypervisor(128, 2);
    let (dom0, mut cpus) = owner_of_47(&hv);
    hv.machine.set_cpu(CpuId(1));
    hv.guest_spi(47);
    assert_eq!(taken(&mut cpus[0]), [47]);
    hv.reset_interrupts(&dom0, &dom0.vcpus()[0]);
    cpus[0].schedule();
    assert_eq!(deactivated(&hv), [47]);
}

#[test]
fn an_interrupt_that_nobody_owns_is_silenced() {
    let hv: Hv = hypervisor(64, 1);
    hv.guest_spi(50);
    let log = hv.machine.log(|log| (log.enabled.clone(), log.deactivated.clone()));
    assert_eq!(log, (vec![(50, false)], vec![50]));
}

#[test]
fn a_dead_domain_gives_its_interrupts_back() {
    let hv = hypervisor(128, 1);
    let dom0 = start(&hv, 0, DomainConfig { nr_spis: 64, ..control_config() });
    let cpu = &mut cpus(&hv, 1)[0];
    for spi in [40, 41] {
        assert_eq!(hv.route_guest_spi(&dom0, spi, Trigger::Edge), Ok(()));
    }
    write(cpu, ISENABLER + 4, 1 << 8);
    hv.guest_spi(40);
    hv.release_irqs(&dom0);
    assert_eq!(hv.machine.log(|log| log.deactivated.clone()), [40]);
    assert_eq!(hv.route_guest_spi(&dom0, 41, Trigger::Edge), Ok(()));
}
