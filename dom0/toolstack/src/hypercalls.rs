//! The control of domains by hypercalls.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write;

use guest_sdk::hypercall::{domctl, event_channel, hvm, memory, sysctl, version};
use guest_sdk::memory::{ForeignMapping, ResourceMapping};
use guest_sdk::shared::Memory;
use guest_sdk::time;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use xen_abi::arch::VcpuGuestContext;
use xen_abi::domctl::{CreateDomain, GetDomainInfo, GetVcpuInfo, SchedCredit};
use xen_abi::grant_table::{EntryV1, gtf};
use xen_abi::memory::resource;
use xen_abi::sysctl::PhysInfo;
use xen_abi::types::DomainHandle;
use xen_abi::{Domid, Errno, EvtchnPort, Gfn, Gref, PAGE_SIZE, VcpuId};
use zerocopy::IntoBytes;

use crate::config::cpus::CpuMap;
use crate::control::{Answer, Control, Version};

/// Frames of a guest that are mapped at once.
const WINDOW: u64 = 16;

/// The hypervisor under this dom0.
#[derive(Debug)]
pub struct Hypercalls {
    random: RefCell<ChaCha20Rng>,
    seeded: bool,
}

impl Hypercalls {
    /// Makes a control whose random numbers are grown from a seed, as dom0 finds one in its device tree. Without one
    /// they differ from run to run and are not secret.
    pub fn new(seed: &[u8]) -> Self {
        let mut key = [0; 32];
        for (index, byte) in seed.iter().enumerate() {
            key[index % 32] ^= byte;
        }
        let mut random = ChaCha20Rng::from_seed(key);
        random.set_stream(time::now().as_ns());
        Self { random: RefCell::new(random), seeded: seed.len() >= key.len() }
    }
}

/// Calls `access` with each mapped part of a range of a guest's memory: where it is in the mapping, and which part of
/// the range it is.
fn with_memory(
    domid: Domid,
    address: u64,
    len: u64,
    mut access: impl FnMut(&ForeignMapping, usize, core::ops::Range<usize>),
) -> Answer<()> {
    let page = PAGE_SIZE as u64;
    let end = address.checked_add(len).ok_or(Errno::EINVAL)?;
    let mut at = address;
    while at < end {
        let first = at / page;
        let window_end = end.min((first + WINDOW) * page);
        let frames: Vec<Gfn> = (first..window_end.div_ceil(page)).map(Gfn).collect();
        let mapping = ForeignMapping::new(domid, &frames)?;
        let part = (at - address) as usize..(window_end - address) as usize;
        access(&mapping, (at % page) as usize, part);
        at = window_end;
    }
    Ok(())
}

impl Control for Hypercalls {
    fn physinfo(&self) -> Answer<PhysInfo> {
        sysctl::physinfo()
    }

    fn version(&self) -> Answer<Version> {
        let (major, minor) = version::version()?;
        let [compiler, compile_by, compile_domain, compile_date] = version::compile_info()?;
        let mut build_id = String::new();
        // A hypervisor without an id is no worse for it.
        for byte in version::build_id().unwrap_or_default() {
            // Writing to a `String` does not fail.
            let _ = write!(build_id, "{byte:02x}");
        }
        Ok(Version {
            major,
            minor,
            extra: version::extraversion()?,
            capabilities: version::capabilities()?,
            page_size: version::page_size()?,
            virt_start: version::virt_start()?,
            changeset: version::changeset()?,
            command_line: version::commandline()?,
            compiler,
            compile_by,
            compile_domain,
            compile_date,
            build_id,
        })
    }

    fn scheduler(&self) -> Answer<u32> {
        sysctl::sched_id()
    }

    fn free_cpus(&self) -> Answer<u32> {
        let cpus = sysctl::physinfo()?.max_cpu_id + 1;
        let mut free = cpus;
        let mut next = 0;
        loop {
            match sysctl::cpupool_info(next, cpus as usize) {
                Ok(pool) => {
                    let taken = CpuMap(pool.cpus);
                    free = free.saturating_sub((0..cpus).filter(|&cpu| taken.contains(cpu)).count() as u32);
                    next = pool.id.saturating_add(1);
                }
                Err(Errno::ENOENT) => return Ok(free),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn domains(&self) -> Answer<Vec<GetDomainInfo>> {
        sysctl::domains()
    }

    fn domain(&self, domid: Domid) -> Answer<GetDomainInfo> {
        domctl::info(domid)
    }

    fn vcpu(&self, domid: Domid, vcpu: VcpuId) -> Answer<GetVcpuInfo> {
        domctl::vcpu_info(domid, vcpu)
    }

    fn affinity(&self, domid: Domid, vcpu: VcpuId, cpus: u32) -> Answer<(CpuMap, CpuMap)> {
        let (hard, soft) = domctl::vcpu_affinity(domid, vcpu, cpus as usize)?;
        Ok((CpuMap(hard), CpuMap(soft)))
    }

    fn create(&self, config: &CreateDomain) -> Answer<(Domid, CreateDomain)> {
        domctl::create(None, config)
    }

    fn destroy(&self, domid: Domid) -> Answer<()> {
        domctl::destroy(domid)
    }

    fn pause(&self, domid: Domid) -> Answer<()> {
        domctl::pause(domid)
    }

    fn unpause(&self, domid: Domid) -> Answer<()> {
        domctl::unpause(domid)
    }

    fn set_handle(&self, domid: Domid, handle: DomainHandle) -> Answer<()> {
        domctl::set_handle(domid, handle)
    }

    fn max_vcpus(&self, domid: Domid, count: u32) -> Answer<()> {
        domctl::max_vcpus(domid, count)
    }

    fn max_memory(&self, domid: Domid, kib: u64) -> Answer<()> {
        domctl::max_mem(domid, kib)
    }

    fn set_paging_pool(&self, domid: Domid, bytes: u64) -> Answer<()> {
        domctl::set_paging_mempool_size(domid, bytes)
    }

    fn set_address_size(&self, domid: Domid, bits: u32) -> Answer<()> {
        domctl::set_address_size(domid, bits)
    }

    fn set_affinity(
        &self,
        domid: Domid,
        vcpu: VcpuId,
        hard: Option<&CpuMap>,
        soft: Option<&CpuMap>,
    ) -> Answer<()> {
        // They come back as they took effect, which nobody asks for here.
        let (mut hard, mut soft) = (hard.cloned(), soft.cloned());
        domctl::set_vcpu_affinity(
            domid,
            vcpu,
            hard.as_mut().map(|map| map.0.as_mut_slice()),
            soft.as_mut().map(|map| map.0.as_mut_slice()),
        )
    }

    fn set_credit(&self, domid: Domid, scheduler: u32, credit: SchedCredit) -> Answer<()> {
        domctl::set_credit(domid, scheduler, credit)
    }

    fn populate(&self, domid: Domid, gfns: &[Gfn], order: u32) -> Answer<usize> {
        memory::populate_physmap(domid, gfns, order, 0)
    }

    fn write_memory(&self, domid: Domid, address: u64, bytes: &[u8]) -> Answer<()> {
        with_memory(domid, address, bytes.len() as u64, |mapping, offset, part| {
            mapping.shared().write_bytes(offset, &bytes[part]);
        })
    }

    fn clear_frames(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()> {
        let address = first.address().ok_or(Errno::EINVAL)?;
        let len = count.checked_mul(PAGE_SIZE as u64).ok_or(Errno::EINVAL)?;
        with_memory(domid, address, len, |mapping, offset, part| {
            mapping.shared().zero(offset, part.len());
        })?;
        self.flush(domid, first, count)
    }

    fn flush(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()> {
        domctl::cache_flush(domid, first.0, count)
    }

    fn set_param(&self, domid: Domid, param: u32, value: u64) -> Answer<()> {
        hvm::set_param(domid, param, value)
    }

    fn alloc_port(&self, domid: Domid, remote: Domid) -> Answer<EvtchnPort> {
        event_channel::alloc_unbound(domid, remote)
    }

    fn seed_grants(&self, domid: Domid, entries: &[(Gref, Domid, Gfn)]) -> Answer<()> {
        let table =
            ResourceMapping::new(domid, resource::GRANT_TABLE, resource::GRANT_TABLE_ID_SHARED, 0, 1)?;
        for &(gref, to, gfn) in entries {
            let frame = u32::try_from(gfn.0).map_err(|_| Errno::EINVAL)?;
            let entry = EntryV1 { flags: gtf::PERMIT_ACCESS, domid: to, frame };
            let offset = gref.0 as usize * size_of::<EntryV1>();
            table.shared().write_bytes(offset, entry.as_bytes());
        }
        Ok(())
    }

    fn set_context(&self, domid: Domid, vcpu: VcpuId, context: &VcpuGuestContext) -> Answer<()> {
        domctl::set_vcpu_context(domid, vcpu, context)
    }

    fn random(&self, bytes: &mut [u8]) -> bool {
        self.random.borrow_mut().fill_bytes(bytes);
        self.seeded
    }
}
