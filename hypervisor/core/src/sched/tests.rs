//! Scheduling on the fake machine: its clock ticks in microseconds.

use alloc::{sync::Arc, vec, vec::Vec};

use xen_abi::vcpu::runstate;

use super::*;
use crate::{
    fake::{FakeCpu, FakeMachine, domain, guest_config, hypervisor},
    regs::Arm32Regs,
    vpsci::start_context,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const SECOND: u64 = 1_000_000;

/// Switches on all vCPUs of a new domain.
fn start(hv: &Hv, id: u16, vcpus: u32) -> Dom {
    let config = crate::domain::DomainConfig { max_vcpus: vcpus, ..guest_config() };
    let domain = domain(hv, id, config, 4);
    let context = start_context(true, 0, 0).expect("a context");
    for vcpu in domain.vcpus() {
        hv.start_vcpu(&domain, vcpu, &context);
    }
    hv.unpause_by_controller(&domain).expect("it was paused once");
    domain
}

/// All CPUs with their run loops.
struct Cpus<'a> {
    hv: &'a Hv,
    cpus: Vec<FakeCpu<'a>>,
}

impl<'a> Cpus<'a> {
    fn new(hv: &'a Hv, count: u32) -> Self {
        let cpus = (0..count).map(|n| FakeCpu::new(hv, CpuId(n))).collect();
        Self { hv, cpus }
    }

    /// Lets every CPU answer what it was asked, until none is asked any more.
    fn settle(&mut self) {
        loop {
            let mut asked = false;
            for n in 0..self.cpus.len() {
                let cpu = CpuId(n as u32);
                self.hv.machine.take_kick(cpu);
                if self.hv.percpu(cpu).wants_reschedule() {
                    asked = true;
                    self.cpus[n].schedule();
                }
            }
            if !asked {
                break;
            }
        }
    }

    /// Lets time pass in steps of 100 microseconds, with every guest computing.
    fn run_for(&mut self, ticks: u64) {
        for _ in 0..ticks / 100 {
            self.hv.machine.advance(100);
            for cpu in &mut self.cpus {
                cpu.timer_interrupt();
            }
            self.settle();
        }
    }

    fn running(&self) -> Vec<Option<(u16, u32)>> {
        let name = |vcpu: &VcpuRef<FakeMachine<Arm32Regs>>| (vcpu.domain.id.0, vcpu.id);
        let runs = |cpu: &FakeCpu<'_>| cpu.loaded().filter(|v| v.sched.is_runnable()).map(name);
        self.cpus.iter().map(runs).collect()
    }
}

fn time_of(hv: &Hv, domain: &Dom) -> u64 {
    domain.vcpus().iter().map(|vcpu| hv.vcpu_time_ns(vcpu) / 1000).sum()
}

fn assert_near(value: u64, wanted: u64) {
    assert!(value.abs_diff(wanted) * 20 <= wanted, "{value} is not within 5% of {wanted}");
}

#[test]
fn time_follows_the_weights() {
    let hv = hypervisor(256, 1);
    let domains = [start(&hv, 1, 1), start(&hv, 2, 1), start(&hv, 3, 1)];
    hv.set_domain_share(&domains[1], 512, 0);
    hv.set_domain_share(&domains[2], 128, 0);
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(7 * SECOND);
    assert_near(time_of(&hv, &domains[0]), 2 * SECOND);
    assert_near(time_of(&hv, &domains[1]), 4 * SECOND);
    assert_near(time_of(&hv, &domains[2]), SECOND);
}

#[test]
fn three_vcpus_share_two_cpus_evenly() {
    let hv = hypervisor(256, 2);
    let domains = [start(&hv, 1, 1), start(&hv, 2, 1), start(&hv, 3, 1)];
    let mut cpus = Cpus::new(&hv, 2);
    cpus.run_for(3 * SECOND);
    for domain in &domains {
        assert_near(time_of(&hv, domain), 2 * SECOND);
    }
}

#[test]
fn a_cap_holds_even_when_nobody_else_wants_the_cpu() {
    let hv = hypervisor(256, 2);
    let domain = start(&hv, 1, 2);
    hv.set_domain_share(&domain, 0, 50);
    let mut cpus = Cpus::new(&hv, 2);
    cpus.run_for(2 * SECOND);
    assert_near(time_of(&hv, &domain), SECOND);
}

#[test]
fn what_one_may_not_use_goes_to_the_others() {
    let hv = hypervisor(256, 1);
    let (capped, other) = (start(&hv, 1, 1), start(&hv, 2, 1));
    hv.set_domain_share(&capped, 65535, 10);
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(2 * SECOND);
    assert_near(time_of(&hv, &capped), SECOND / 5);
    assert_near(time_of(&hv, &other), SECOND * 9 / 5);
}

#[test]
fn one_that_slept_long_does_not_starve_the_others_afterwards() {
    let hv = hypervisor(256, 1);
    let (sleeper, busy) = (start(&hv, 1, 1), start(&hv, 2, 1));
    hv.pause_vcpus(&sleeper);
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(5 * SECOND);
    hv.unpause_vcpus(&sleeper);
    let before = time_of(&hv, &busy);
    cpus.run_for(SECOND);
    assert_near(time_of(&hv, &busy) - before, SECOND / 2);
}

#[test]
fn one_that_ran_alone_does_not_starve_where_it_is_moved_to() {
    let hv = hypervisor(256, 2);
    let (alone, crowd) = (start(&hv, 1, 1), start(&hv, 2, 3));
    hv.set_hard_affinity(&alone.vcpus()[0], 0b10);
    for vcpu in crowd.vcpus() {
        hv.set_hard_affinity(vcpu, 0b01);
    }
    let mut cpus = Cpus::new(&hv, 2);
    cpus.run_for(5 * SECOND);
    assert_near(time_of(&hv, &alone), 5 * SECOND);
    hv.set_hard_affinity(&alone.vcpus()[0], 0b01);
    let before = time_of(&hv, &alone);
    cpus.run_for(2 * SECOND);
    let got = time_of(&hv, &alone) - before;
    assert!(got > SECOND / 3, "{got}");
}

#[test]
fn a_vcpu_runs_only_where_it_may() {
    let hv = hypervisor(256, 4);
    let domains: Vec<Dom> = (1..5).map(|id| start(&hv, id, 1)).collect();
    let mut cpus = Cpus::new(&hv, 4);
    cpus.settle();
    for domain in &domains {
        hv.set_hard_affinity(&domain.vcpus()[0], 0b0100);
    }
    cpus.run_for(SECOND);
    let running = cpus.running();
    assert!(running[2].is_some() && [0, 1, 3].iter().all(|n| running[*n].is_none()), "{running:?}");
    assert_near(domains.iter().map(|domain| time_of(&hv, domain)).sum(), SECOND);
}

#[test]
fn a_sleeping_vcpu_stays_loaded_and_wakes_without_a_switch() {
    let hv = hypervisor(256, 1);
    let domain = start(&hv, 1, 1);
    let mut cpus = Cpus::new(&hv, 1);
    let cpu = &mut cpus.cpus[0];
    assert!(cpu.schedule().is_some());
    cpu.run(|current| current.wait_for_interrupt());
    assert!(cpu.schedule().is_none());
    assert!(domain.vcpus()[0].sched.is_loaded());
    assert_eq!(domain.vcpus()[0].runstate.state(), runstate::BLOCKED);
    hv.machine.advance(100);
    hv.wake(&domain, &domain.vcpus()[0]);
    assert!(cpu.schedule().is_some());
    assert_eq!(domain.vcpus()[0].runstate.state(), runstate::RUNNING);
    assert_eq!(hv.idle_ns(CpuId(0)), 100_000);
}

#[test]
fn work_goes_to_an_idle_cpu_at_once() {
    let hv = hypervisor(256, 2);
    let _busy = start(&hv, 1, 1);
    let mut cpus = Cpus::new(&hv, 2);
    cpus.settle();
    let second = start(&hv, 2, 1);
    assert!(hv.machine.take_kick(CpuId(1)) || hv.percpu(CpuId(1)).wants_reschedule());
    cpus.settle();
    assert_eq!(cpus.running().iter().flatten().count(), 2);
    assert!(second.vcpus()[0].sched.is_loaded());
}

#[test]
fn a_paused_vcpu_leaves_its_cpu_even_when_it_sleeps() {
    let hv = hypervisor(256, 1);
    let domain = start(&hv, 1, 1);
    let mut cpus = Cpus::new(&hv, 1);
    cpus.settle();
    cpus.cpus[0].run(|current| current.wait_for_interrupt());
    cpus.settle();
    hv.pause_vcpus(&domain);
    cpus.settle();
    assert!(!domain.vcpus()[0].sched.is_loaded());
    hv.unpause_vcpus(&domain);
    cpus.settle();
    assert_eq!(cpus.running(), vec![None], "it still sleeps");
    hv.wake(&domain, &domain.vcpus()[0]);
    cpus.settle();
    assert_eq!(cpus.running(), vec![Some((1, 0))]);
}

#[test]
fn pauses_are_counted() {
    let hv = hypervisor(256, 1);
    let domain = start(&hv, 1, 1);
    let mut cpus = Cpus::new(&hv, 1);
    for _ in 0..3 {
        hv.pause_vcpus(&domain);
    }
    for _ in 0..3 {
        cpus.settle();
        assert_eq!(cpus.running(), vec![None]);
        hv.unpause_vcpus(&domain);
    }
    cpus.settle();
    assert_eq!(cpus.running(), vec![Some((1, 0))]);
}

#[test]
fn yielding_alone_changes_nothing_and_touches_no_timer() {
    let hv = hypervisor(256, 1);
    let _domain = start(&hv, 1, 1);
    let mut cpus = Cpus::new(&hv, 1);
    cpus.settle();
    let before = hv.machine.timer(CpuId(0));
    hv.yield_cpu(hv.percpu(CpuId(0)));
    assert!(matches!(hv.pick_next(hv.percpu(CpuId(0)), cpus.cpus[0].loaded()), Next::Same));
    assert_eq!((before, hv.machine.timer(CpuId(0))), (None, None));
}

#[test]
fn yielding_lets_whoever_waits_go_first() {
    let hv = hypervisor(256, 1);
    let _domains = [start(&hv, 1, 1), start(&hv, 2, 1)];
    let mut cpus = Cpus::new(&hv, 1);
    cpus.settle();
    let first = cpus.running();
    hv.yield_cpu(hv.percpu(CpuId(0)));
    cpus.settle();
    assert_ne!(cpus.running(), first);
}

#[test]
fn one_that_wakes_runs_within_the_rate_limit() {
    let hv = hypervisor(256, 1);
    let (busy, waker) = (start(&hv, 1, 1), start(&hv, 2, 1));
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(SECOND);
    while cpus.running() != vec![Some((2, 0))] {
        cpus.run_for(100);
    }
    cpus.cpus[0].run(|current| current.wait_for_interrupt());
    cpus.settle();
    assert_eq!(cpus.running(), vec![Some((1, 0))]);
    cpus.run_for(SECOND);
    hv.wake(&waker, &waker.vcpus()[0]);
    cpus.settle();
    assert_eq!(cpus.running(), vec![Some((2, 0))], "the other has run long enough");
    drop(busy);
}

#[test]
fn one_that_wakes_lets_a_turn_end_that_has_just_begun() {
    let hv = hypervisor(256, 1);
    let (_busy, waker) = (start(&hv, 1, 1), start(&hv, 2, 1));
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(SECOND);
    while cpus.running() != vec![Some((2, 0))] {
        cpus.run_for(100);
    }
    cpus.cpus[0].run(|current| current.wait_for_interrupt());
    cpus.settle();
    cpus.run_for(500);
    hv.wake(&waker, &waker.vcpus()[0]);
    cpus.settle();
    cpus.run_for(9_000);
    assert_eq!(cpus.running(), vec![Some((1, 0))], "its turn is not over");
    cpus.run_for(1_000);
    assert_eq!(cpus.running(), vec![Some((2, 0))]);
}

#[test]
fn the_record_accounts_for_all_time() {
    let hv = hypervisor(256, 1);
    let domains = [start(&hv, 1, 1), start(&hv, 2, 1)];
    let began = hv.machine.ticks();
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(SECOND);
    hv.pause_vcpus(&domains[0]);
    cpus.run_for(SECOND);
    let now = hv.machine.ticks();
    let info = domains[0].vcpus()[0].runstate.info(&hv.clock, now);
    assert_eq!(info.state, runstate::OFFLINE as i32);
    assert_eq!(info.time.iter().sum::<u64>(), (now - began) * 1000);
    assert_near(info.time[runstate::OFFLINE as usize], SECOND * 1000);
    assert_near(
        info.time[runstate::RUNNING as usize] + info.time[runstate::RUNNABLE as usize],
        SECOND * 1000,
    );
}

#[test]
fn a_retired_domain_is_in_no_queue() {
    let hv = hypervisor(256, 1);
    let (gone, _other) = (start(&hv, 1, 1), start(&hv, 2, 1));
    let mut cpus = Cpus::new(&hv, 1);
    cpus.run_for(SECOND);
    let references = Arc::strong_count(&gone);
    hv.pause_vcpus(&gone);
    cpus.settle();
    hv.retire_vcpus(&gone);
    assert!(Arc::strong_count(&gone) <= references);
    assert_eq!(Arc::strong_count(&gone), 2, "the list's and this test's");
}

#[test]
fn nothing_is_lost_and_nobody_idles_whatever_happens() {
    let hv = hypervisor(512, 3);
    let domains: Vec<Dom> = (1..5).map(|id| start(&hv, id, 2)).collect();
    let mut cpus = Cpus::new(&hv, 3);
    let mut random = 12345u32;
    let mut next = |bound: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % bound
    };
    let mut paused = [0u32; 8];
    for _ in 0..5_000 {
        let which = next(8);
        let domain = &domains[(which / 2) as usize];
        let vcpu = &domain.vcpus()[(which % 2) as usize];
        hv.machine.set_cpu(CpuId(next(3)));
        match next(7) {
            0 => hv.wake(domain, vcpu),
            1 if paused[which as usize] < 3 => {
                hv.pause_vcpu(vcpu);
                paused[which as usize] += 1;
            }
            2 if paused[which as usize] > 0 => {
                hv.unpause_vcpu(domain, vcpu);
                paused[which as usize] -= 1;
            }
            3 => hv.set_hard_affinity(vcpu, u64::from(1 + next(7))),
            4 => {
                let n = next(3) as usize;
                if cpus.running()[n].is_some() {
                    cpus.cpus[n].run(|current| current.hv.block(current.pcpu, current.vcpu));
                }
            }
            5 => hv.yield_cpu(hv.percpu(CpuId(next(3)))),
            _ => cpus.run_for(700),
        }
        if next(3) == 0 {
            cpus.settle();
            check(&hv, &domains, &cpus);
        }
    }
}

fn check(hv: &Hv, domains: &[Dom], cpus: &Cpus<'_>) {
    let running = cpus.running();
    let mut seen: Vec<_> = running.iter().flatten().collect();
    seen.sort_unstable();
    let count = seen.len();
    seen.dedup();
    assert_eq!(seen.len(), count, "one vCPU on two CPUs: {running:?}");
    for (n, runs) in running.iter().enumerate() {
        let cpu = CpuId(n as u32);
        if let Some(vcpu) = cpus.cpus[n].loaded() {
            assert!(runs.is_none() || vcpu.sched.allows(cpu), "{vcpu} on CPU {n}");
        }
        let waits = domains.iter().flat_map(|domain| domain.vcpus());
        let mut waits =
            waits.filter(|v| v.sched.is_runnable() && !v.sched.is_loaded() && v.sched.allows(cpu));
        assert!(runs.is_some() || waits.next().is_none(), "CPU {n} idles though a vCPU waits for it");
    }
    let _ = hv;
}

#[test]
fn a_domain_keeps_to_the_cpus_of_its_pool() {
    let hv: Hv = hypervisor(64, 2);
    let mut cpus = Cpus::new(&hv, 2);
    for cpu in 0..2 {
        hv.add_cpu(CpuId(cpu));
    }
    let guest = start(&hv, 1, 2);
    let where_it_runs = |cpus: &mut Cpus<'_>| {
        cpus.settle();
        guest.vcpus().iter().filter(|v| v.sched.is_loaded()).map(|v| v.sched.cpu().0).collect::<Vec<_>>()
    };
    let mut both = where_it_runs(&mut cpus);
    both.sort_unstable();
    assert_eq!(both, [0, 1]);

    let pool = hv.create_pool(None).unwrap();
    hv.pin(&guest.vcpus()[0], CpuId(1)).unwrap();
    assert_eq!(hv.remove_from_pool(0, Some(1)), Err(Errno::EADDRINUSE));
    hv.release_pin(&guest.vcpus()[0]).unwrap();
    hv.set_hard_affinity(&guest.vcpus()[1], 0b10);
    hv.remove_from_pool(0, Some(1)).unwrap();
    assert_eq!(where_it_runs(&mut cpus), [0]);
    assert_eq!(hv.cpus_for(&guest), 0b01);
    hv.add_to_pool(pool, None).unwrap();
    assert_eq!(where_it_runs(&mut cpus), [0], "the CPU is another pool's");
    hv.pin(&guest.vcpus()[0], CpuId(0)).unwrap();
    assert_eq!(hv.move_to_pool(&guest, pool), Err(Errno::EBUSY));
    hv.release_pin(&guest.vcpus()[0]).unwrap();

    hv.move_to_pool(&guest, pool).unwrap();
    assert_eq!(where_it_runs(&mut cpus), [1]);
    let later = crate::domain::DomainConfig { max_vcpus: 1, pool, ..guest_config() };
    let later = domain(&hv, 2, later, 4);
    assert_eq!(hv.cpus_for(&later), 0b10);
    assert!(!later.vcpus()[0].sched.allows(CpuId(0)));
}
