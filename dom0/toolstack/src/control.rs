//! What the toolstack asks of the hypervisor. Each method is one operation of Xen's interface, or a few that belong
//! together; [`crate::hypercalls`] makes the calls.

use alloc::string::String;
use alloc::vec::Vec;

use xen_abi::arch::VcpuGuestContext;
use xen_abi::domctl::{CreateDomain, GetDomainInfo, GetVcpuInfo, SchedCredit};
use xen_abi::sysctl::PhysInfo;
use xen_abi::types::DomainHandle;
use xen_abi::{Domid, Errno, EvtchnPort, Gfn, Gref, VcpuId};

use crate::config::cpus::CpuMap;

/// The hypervisor's answer.
pub type Answer<T> = Result<T, Errno>;

/// Control over domains. All methods fail with the hypervisor's error number.
pub trait Control {
    /// Tells about the machine.
    fn physinfo(&self) -> Answer<PhysInfo>;
    /// Tells about the hypervisor.
    fn version(&self) -> Answer<Version>;
    /// Gives the number of the scheduler ([`xen_abi::domctl::scheduler`]).
    fn scheduler(&self) -> Answer<u32>;
    /// Counts the CPUs that are in no pool.
    fn free_cpus(&self) -> Answer<u32>;

    /// Lists all domains by their ids.
    fn domains(&self) -> Answer<Vec<GetDomainInfo>>;
    /// Tells about one domain; `ESRCH` when there is none.
    fn domain(&self, domid: Domid) -> Answer<GetDomainInfo>;
    /// Tells about a vCPU.
    fn vcpu(&self, domid: Domid, vcpu: VcpuId) -> Answer<GetVcpuInfo>;
    /// Tells where a vCPU may run and likes to run, on a machine with so many CPUs.
    fn affinity(&self, domid: Domid, vcpu: VcpuId, cpus: u32) -> Answer<(CpuMap, CpuMap)>;

    /// Makes a domain, which is paused and has nothing; gives its id and its completed configuration.
    fn create(&self, config: &CreateDomain) -> Answer<(Domid, CreateDomain)>;
    /// Ends a domain, or a part of it: `EAGAIN` or `ERESTART` ask to be called again.
    fn destroy(&self, domid: Domid) -> Answer<()>;
    /// Stops a domain; pauses nest.
    fn pause(&self, domid: Domid) -> Answer<()>;
    /// Lets a domain run again.
    fn unpause(&self, domid: Domid) -> Answer<()>;
    /// Sets its UUID.
    fn set_handle(&self, domid: Domid, handle: DomainHandle) -> Answer<()>;

    /// Makes its vCPUs.
    fn max_vcpus(&self, domid: Domid, count: u32) -> Answer<()>;
    /// Bounds its memory, in KiB.
    fn max_memory(&self, domid: Domid, kib: u64) -> Answer<()>;
    /// Sets bytes aside for its second-stage page tables.
    fn set_paging_pool(&self, domid: Domid, bytes: u64) -> Answer<()>;
    /// Chooses its state: 32 or 64.
    fn set_address_size(&self, domid: Domid, bits: u32) -> Answer<()>;
    /// Sets where a vCPU may run (`hard`) and likes to run (`soft`).
    fn set_affinity(
        &self,
        domid: Domid,
        vcpu: VcpuId,
        hard: Option<&CpuMap>,
        soft: Option<&CpuMap>,
    ) -> Answer<()>;
    /// Sets its share of the CPUs and its limit; for the scheduler of that number.
    fn set_credit(&self, domid: Domid, scheduler: u32, credit: SchedCredit) -> Answer<()>;

    /// Puts memory at these frames, `1 << order` frames from each; tells for how many it did.
    fn populate(&self, domid: Domid, gfns: &[Gfn], order: u32) -> Answer<usize>;
    /// Copies bytes into its memory at a guest-physical address.
    fn write_memory(&self, domid: Domid, address: u64, bytes: &[u8]) -> Answer<()>;
    /// Fills frames with zeroes.
    fn clear_frames(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()>;
    /// Makes what was written visible to a guest whose caches are off.
    fn flush(&self, domid: Domid, first: Gfn, count: u64) -> Answer<()>;

    /// Sets one of its parameters ([`xen_abi::hvm::param`]).
    fn set_param(&self, domid: Domid, param: u32, value: u64) -> Answer<()>;
    /// Makes an event channel in it that `remote` may bind.
    fn alloc_port(&self, domid: Domid, remote: Domid) -> Answer<EvtchnPort>;
    /// Writes entries of its grant table: each lets `to` map a frame.
    fn seed_grants(&self, domid: Domid, entries: &[(Gref, Domid, Gfn)]) -> Answer<()>;
    /// Sets the registers that a vCPU starts with.
    fn set_context(&self, domid: Domid, vcpu: VcpuId, context: &VcpuGuestContext) -> Answer<()>;

    /// Fills a buffer with random numbers, and tells whether nobody can guess them.
    fn random(&self, bytes: &mut [u8]) -> bool;
}

/// What the hypervisor says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The major number.
    pub major: u16,
    /// The minor number.
    pub minor: u16,
    /// What follows them: `.5`.
    pub extra: String,
    /// The kinds of guest it runs: `xen-3.0-armv7l `.
    pub capabilities: String,
    /// Bytes of a page.
    pub page_size: u64,
    /// Where its own address space begins.
    pub virt_start: u64,
    /// The source it was made from.
    pub changeset: String,
    /// Its command line.
    pub command_line: String,
    /// The compiler.
    pub compiler: String,
    /// Who made it.
    pub compile_by: String,
    /// Where.
    pub compile_domain: String,
    /// When.
    pub compile_date: String,
    /// The id of its build.
    pub build_id: String,
}
