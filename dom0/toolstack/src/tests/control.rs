//! A hypervisor that keeps domains in a map, and fails where it is told to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::vec::Vec;

use xen_abi::arch::VcpuGuestContext;
use xen_abi::domctl::{CreateDomain, GetDomainInfo, GetVcpuInfo, SchedCredit, dominf, scheduler};
use xen_abi::sysctl::PhysInfo;
use xen_abi::types::DomainHandle;
use xen_abi::{Domid, Errno, EvtchnPort, Gfn, Gref, PAGE_SIZE, VcpuId};

use crate::Interrupt;
use crate::config::cpus::CpuMap;
use crate::control::{Answer, Control, Version};

/// Counts the operations of a test, and makes one of them fail.
#[derive(Debug, Default)]
pub struct Faults {
    pub count: Cell<usize>,
    pub fail_at: Cell<Option<usize>>,
    /// Raised when so many operations have been made.
    pub interrupt: (Cell<Option<usize>>, Interrupt),
}

impl Faults {
    /// Counts an operation, and tells whether it is to fail.
    pub fn strikes(&self) -> bool {
        let count = self.count.get();
        self.count.set(count + 1);
        if self.interrupt.0.get() == Some(count) {
            self.interrupt.1.raise();
        }
        self.fail_at.get() == Some(count)
    }
}

#[derive(Debug, Default)]
pub struct FakeDomain {
    pub request: CreateDomain,
    pub vcpus: u32,
    pub max_kib: u64,
    pub pool: u64,
    pub bits: u32,
    pub populated: BTreeSet<u64>,
    /// Populate calls: first frame, order, pieces.
    pub pieces: Vec<(u64, u32, usize)>,
    pub memory: BTreeMap<u64, Vec<u8>>,
    pub flushed: BTreeSet<u64>,
    pub params: BTreeMap<u32, u64>,
    pub ports: u32,
    pub grants: Vec<(Gref, Domid, Gfn)>,
    pub context: Option<VcpuGuestContext>,
    pub affinity: BTreeMap<u32, (Option<CpuMap>, Option<CpuMap>)>,
    pub credit: Option<SchedCredit>,
    pub handle: DomainHandle,
    pub pauses: u32,
    pub shutdown: Option<u32>,
}

#[derive(Debug)]
pub struct Machine {
    pub domains: BTreeMap<Domid, FakeDomain>,
    pub free_pages: u64,
    pub cpus: u32,
    /// The largest order of which there are pieces.
    pub largest_order: u32,
    next: u16,
    /// How often the end of a domain has to be asked for.
    pub slow_end: u32,
}

#[derive(Clone, Debug)]
pub struct FakeControl {
    pub machine: Rc<RefCell<Machine>>,
    pub faults: Rc<Faults>,
    pub secret: bool,
}

impl FakeControl {
    pub fn new(faults: Rc<Faults>) -> Self {
        let machine = Machine {
            domains: BTreeMap::new(),
            free_pages: 512 * 256,
            cpus: 2,
            largest_order: 18,
            next: 1,
            slow_end: 2,
        };
        Self { machine: Rc::new(RefCell::new(machine)), faults, secret: true }
    }

    fn step(&self) -> Answer<()> {
        if self.faults.strikes() { Err(Errno::EIO) } else { Ok(()) }
    }

    fn with<T>(&self, domid: Domid, change: impl FnOnce(&mut FakeDomain) -> T) -> Answer<T> {
        self.step()?;
        self.machine.borrow_mut().domains.get_mut(&domid).map(change).ok_or(Errno::ESRCH)
    }

    /// Gives bytes of a guest's memory.
    pub fn peek(&self, domid: Domid, address: u64, len: usize) -> Vec<u8> {
        let machine = self.machine.borrow();
        let domain = &machine.domains[&domid];
        (address..address + len as u64)
            .map(|at| {
                let page = at / PAGE_SIZE as u64;
                assert!(domain.flushed.contains(&page), "{at:#x} is only in the cache");
                domain.memory[&page][at as usize % PAGE_SIZE]
            })
            .collect()
    }

    /// Shuts a guest down.
    pub fn shut_down(&self, domid: Domid, reason: u32) {
        self.machine.borrow_mut().domains.get_mut(&domid).unwrap().shutdown = Some(reason);
    }

    fn info(domid: Domid, domain: &FakeDomain) -> GetDomainInfo {
        let mut flags = dominf::SHUTDOWN_MASK << dominf::SHUTDOWN_SHIFT;
        if let Some(reason) = domain.shutdown {
            flags = dominf::SHUTDOWN | reason << dominf::SHUTDOWN_SHIFT;
        }
        if domain.pauses > 0 {
            flags |= dominf::PAUSED;
        }
        GetDomainInfo {
            domain: domid,
            flags,
            tot_pages: domain.populated.len() as u64,
            nr_online_vcpus: domain.vcpus,
            max_vcpu_id: domain.vcpus.wrapping_sub(1),
            handle: domain.handle,
            gpaddr_bits: 40,
            ..GetDomainInfo::default()
        }
    }
}

impl Control for FakeControl {
    fn physinfo(&self) -> Answer<PhysInfo> {
        self.step()?;
        let machine = self.machine.borrow();
        let (free_pages, cpus) = (machine.free_pages, machine.cpus);
        Ok(PhysInfo { free_pages, nr_cpus: cpus, max_cpu_id: cpus - 1, ..PhysInfo::default() })
    }

    fn version(&self) -> Answer<Version> {
        self.step()?;
        let capabilities = "xen-3.0-armv7l ".into();
        Ok(Version { major: 4, minor: 17, capabilities, ..Version::default() })
    }

    fn scheduler(&self) -> Answer<u32> {
        self.step()?;
        Ok(scheduler::CREDIT2)
    }

    fn free_cpus(&self) -> Answer<u32> {
        Ok(0)
    }

    fn domains(&self) -> Answer<Vec<GetDomainInfo>> {
        self.step()?;
        let dom0 = GetDomainInfo { nr_online_vcpus: 1, ..GetDomainInfo::default() };
        let machine = self.machine.borrow();
        let guests = machine.domains.iter().map(|(&domid, domain)| Self::info(domid, domain));
        Ok(std::iter::once(dom0).chain(guests).collect())
    }

    fn domain(&self, domid: Domid) -> Answer<GetDomainInfo> {
        self.with(domid, |domain| Self::info(domid, domain))
    }

    fn vcpu(&self, domid: Domid, vcpu: VcpuId) -> Answer<GetVcpuInfo> {
        self.with(domid, |_| GetVcpuInfo { vcpu: vcpu.0, online: 1, ..GetVcpuInfo::default() })
    }

    fn affinity(&self, domid: Domid, _: VcpuId, cpus: u32) -> Answer<(CpuMap, CpuMap)> {
        self.with(domid, |_| (CpuMap::all(cpus), CpuMap::all(cpus)))
    }

    fn create(&self, config: &CreateDomain) -> Answer<(Domid, CreateDomain)> {
        self.step()?;
        let mut machine = self.machine.borrow_mut();
        let domid = Domid(machine.next);
        machine.next += 1;
        let mut completed = *config;
        completed.arch.gic_version = 1;
        let domain =
            FakeDomain { request: *config, pauses: 1, handle: config.handle, ..FakeDomain::default() };
        machine.domains.insert(domid, domain);
        Ok((domid, completed))
    }

    fn destroy(&self, domid: Domid) -> Answer<()> {
        self.step()?;
        let mut machine = self.machine.borrow_mut();
        if machine.slow_end > 0 && machine.domains.contains_key(&domid) {
            machine.slow_end -= 1;
            return Err(Errno::ERESTART);
        }
        machine.slow_end = 2;
        let domain = machine.domains.remove(&domid).ok_or(Errno::ESRCH)?;
        machine.free_pages += domain.populated.len() as u64 + domain.pool / PAGE_SIZE as u64;
        Ok(())
    }

    fn pause(&self, domid: Domid) -> Answer<()> {
        self.with(domid, |domain| domain.pauses += 1)
    }

    fn unpause(&self, domid: Domid) -> Answer<()> {
        self.with(domid, |domain| domain.pauses -= 1)
    }

    fn set_handle(&self, domid: Domid, handle: DomainHandle) -> Answer<()> {
        self.with(domid, |domain| domain.handle = handle)
    }

    fn max_vcpus(&self, domid: Domid, count: u32) -> Answer<()> {
        self.with(domid, |domain| domain.vcpus = count)
    }

    fn max_memory(&self, domid: Domid, kib: u64) -> Answer<()> {
        self.with(domid, |domain| domain.max_kib = kib)
    }

    fn set_paging_pool(&self, domid: Domid, bytes: u64) -> Answer<()> {
        assert_eq!(bytes % PAGE_SIZE as u64, 0);
        self.with(domid, |domain| {
            assert!(domain.populated.is_empty());
            domain.pool = bytes;
        })?;
        self.machine.borrow_mut().free_pages -= bytes / PAGE_SIZE as u64;
        Ok(())
    }

    fn set_address_size(&self, domid: Domid, bits: u32) -> Answer<()> {
        self.with(domid, |domain| {
            assert!(domain.populated.is_empty());
            domain.bits = bits;
        })
    }

    fn set_affinity(
        &self,
        domid: Domid,
        vcpu: VcpuId,
        hard: Option<&CpuMap>,
        soft: Option<&CpuMap>,
    ) -> Answer<()> {
        self.with(domid, |domain| {
            assert!(vcpu.0 < domain.vcpus);
            domain.affinity.insert(vcpu.0, (hard.cloned(), soft.cloned()));
        })
    }

    fn set_credit(&self, domid: Domid, _: u32, credit: SchedCredit) -> Answer<()> {
        self.with(domid, |domain| domain.credit = Some(credit))
    }

    fn populate(&self, domid: Domid, gfns: &[Gfn], order: u32) -> Answer<usize> {
        self.step()?;
        let mut machine = self.machine.borrow_mut();
        if order > machine.largest_order {
            return Ok(0);
        }
        let room = usize::try_from(machine.free_pages >> order).unwrap();
        let done = gfns.len().min(room);
        machine.free_pages -= (done as u64) << order;
        let domain = machine.domains.get_mut(&domid).ok_or(Errno::ESRCH)?;
        domain.pieces.push((gfns[0].0, order, done));
        for gfn in &gfns[..done] {
            assert!(gfn.0.is_multiple_of(1 << order));
            for frame in gfn.0..gfn.0 + (1 << order) {
                assert!(domain.populated.insert(frame), "{frame:#x} twice");
            }
        }
        Ok(done)
    }

    fn write_memory(&self, domid: Domid, address: u64, bytes: &[u8]) -> Answer<()> {
        self.with(domid, |domain| {
            let mut at = address;
            let mut rest = bytes;
            while !rest.is_empty() {
                let (page, offset) = (at / PAGE_SIZE as u64, at as usize % PAGE_SIZE);
                assert!(domain.populated.contains(&page), "{at:#x} is no memory");
                let (part, tail) = rest.split_at(rest.len().min(PAGE_SIZE - offset));
                let memory = domain.memory.entry(page).or_insert_with(|| std::vec![0xaa; PAGE_SIZE]);
                memory[offset..offset + part.len()].copy_from_slice(part);
                domain.flushed.remove(&page);
                at += part.len() as u64;
                rest = tail;
            }
        })
    }

    fn clear_frames(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()> {
        self.with(domid, |domain| {
            for page in first.0..first.0 + count {
                assert!(domain.populated.contains(&page));
                domain.memory.insert(page, std::vec![0; PAGE_SIZE]);
                domain.flushed.insert(page);
            }
        })
    }

    fn flush(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()> {
        self.with(domid, |domain| domain.flushed.extend(first.0..first.0 + count))
    }

    fn set_param(&self, domid: Domid, param: u32, value: u64) -> Answer<()> {
        self.with(domid, |domain| {
            domain.params.insert(param, value);
        })
    }

    fn alloc_port(&self, domid: Domid, remote: Domid) -> Answer<EvtchnPort> {
        assert_eq!(remote, Domid(0));
        self.with(domid, |domain| {
            domain.ports += 1;
            EvtchnPort(domain.ports)
        })
    }

    fn seed_grants(&self, domid: Domid, entries: &[(Gref, Domid, Gfn)]) -> Answer<()> {
        self.with(domid, |domain| domain.grants = entries.to_vec())
    }

    fn set_context(&self, domid: Domid, vcpu: VcpuId, context: &VcpuGuestContext) -> Answer<()> {
        assert_eq!(vcpu, VcpuId(0));
        self.with(domid, |domain| domain.context = Some(*context))
    }

    fn random(&self, bytes: &mut [u8]) -> bool {
        let seed = self.faults.count.get() as u8;
        bytes
            .iter_mut()
            .zip(0_u8..)
            .for_each(|(byte, index)| *byte = index.wrapping_mul(37).wrapping_add(seed));
        self.secret
    }
}
