//! Hypervisors and domains for tests.

use alloc::{boxed::Box, sync::Arc, vec};
use core::sync::atomic::AtomicU32;

use xen_abi::{Domid, Gfn, domctl::cdf};

use super::{FakeMachine, RAM_START};
use crate::{
    Hypervisor, Params,
    cmdline::Options,
    current::Current,
    domain::{Domain, DomainConfig},
    frames::{Account, Frames, RamBank, Storage, Wanted},
    machine::CpuId,
    p2m::P2mType,
    regs::GuestRegs,
    vcpu::VcpuRef,
};

/// Where the domains that [`domain`] makes have their RAM.
pub const GUEST_RAM: Gfn = Gfn(0x4_0000);

/// A hypervisor with `frames` frames of RAM, all of them free.
pub fn hypervisor<R: GuestRegs>(frames: usize, cpus: usize) -> Hypervisor<FakeMachine<R>> {
    let banks = [RamBank { start: RAM_START, frames: frames as u32 }];
    let (entries, words) = Storage::sizes(&banks);
    let entries: Box<[AtomicU32]> = (0..entries).map(|_| AtomicU32::new(0)).collect();
    let words = vec![0; words].into_boxed_slice();
    let storage = Storage { entries: Box::leak(entries), words: Box::leak(words) };
    let all = Frames::new(&banks, storage);
    all.add(RAM_START, frames as u32);
    let params = Params { cpus, frames: all, options: Options::default() };
    Hypervisor::new(FakeMachine::new(frames, cpus), params)
}

/// An ordinary guest with one vCPU.
pub fn guest_config() -> DomainConfig {
    DomainConfig {
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 1,
        max_evtchn_port: 1023,
        max_grant_frames: 4,
        max_maptrack_frames: 4,
        nr_spis: 32,
        table_pages: Some(64),
        ..DomainConfig::default()
    }
}

/// The control and hardware domain, not direct-mapped.
pub fn control_config() -> DomainConfig {
    DomainConfig {
        control: true,
        hardware: true,
        max_evtchn_port: u32::MAX,
        table_pages: None,
        ..guest_config()
    }
}

/// A domain of that id with its vCPUs, and `pages` pages of RAM from [`GUEST_RAM`] on.
pub fn domain<R: GuestRegs>(
    hv: &Hypervisor<FakeMachine<R>>,
    id: u16,
    config: DomainConfig,
    pages: u32,
) -> Arc<Domain<FakeMachine<R>>> {
    let account = Arc::new(Account::new(Domid(id)));
    hv.frames.open(&account).expect("an id that is free");
    let domain = hv.create_domain_on(account, config).expect("memory for a domain");
    hv.create_vcpus(&domain).expect("memory for vCPUs");
    domain.account.set_limit(pages);
    for page in 0..u64::from(pages) {
        let mfn = hv.frames.alloc_for(&hv.machine, &domain.account, &Wanted::order(0)).expect("RAM");
        domain.p2m(hv.mem()).map(Gfn(GUEST_RAM.0 + page), mfn, 1, P2mType::RamRw).expect("tables");
    }
    domain
}

/// Lets vCPU 0 of a domain be in the hypervisor on CPU 0.
pub fn as_guest<R: GuestRegs, T>(
    hv: &Hypervisor<FakeMachine<R>>,
    domain: &Arc<Domain<FakeMachine<R>>>,
    f: impl FnOnce(&mut Current<'_, FakeMachine<R>>) -> T,
) -> T {
    let vcpu = VcpuRef::new(domain, 0).expect("a vCPU");
    let mut regs = R::default();
    let pcpu = hv.percpu(CpuId(0));
    pcpu.rescheduling();
    f(&mut Current::new(hv, &vcpu, &mut regs, pcpu))
}
