//! sysctl, the toolstack's hypercall about the whole machine (`sysctl.h`, interface version of Xen 4.17).

use crate::domctl::GetDomainInfo;
use crate::types::{CtlBitmap, Domid, GuestHandle, OpPayload};

/// What [`Sysctl::interface_version`] must be.
pub const INTERFACE_VERSION: u32 = 0x15;

/// Operations.
pub mod op {
    /// [`super::ReadConsole`].
    pub const READCONSOLE: u32 = 1;
    /// Trace buffers.
    pub const TBUF_OP: u32 = 2;
    /// [`super::PhysInfo`].
    pub const PHYSINFO: u32 = 3;
    /// [`super::SchedId`].
    pub const SCHED_ID: u32 = 4;
    /// Counters.
    pub const PERFC_OP: u32 = 5;
    /// [`super::GetDomainInfoList`].
    pub const GETDOMAININFOLIST: u32 = 6;
    /// [`super::DebugKeys`].
    pub const DEBUG_KEYS: u32 = 7;
    /// [`super::GetCpuInfo`].
    pub const GETCPUINFO: u32 = 8;
    /// [`super::AvailHeap`].
    pub const AVAILHEAP: u32 = 9;
    /// Power statistics.
    pub const GET_PMSTAT: u32 = 10;
    /// CPU hotplug.
    pub const CPU_HOTPLUG: u32 = 11;
    /// Power.
    pub const PM_OP: u32 = 12;
    /// Takes pages out of use.
    pub const PAGE_OFFLINE_OP: u32 = 14;
    /// Lock profile.
    pub const LOCKPROF_OP: u32 = 15;
    /// [`super::CpuTopoInfo`].
    pub const CPUTOPOINFO: u32 = 16;
    /// [`super::NumaInfo`].
    pub const NUMAINFO: u32 = 17;
    /// [`super::CpupoolOp`].
    pub const CPUPOOL_OP: u32 = 18;
    /// [`super::SchedulerOp`].
    pub const SCHEDULER_OP: u32 = 19;
    /// Test coverage.
    pub const COVERAGE_OP: u32 = 20;
    /// x86.
    pub const PSR_CMT_OP: u32 = 21;
    /// [`super::PciTopoInfo`].
    pub const PCITOPOINFO: u32 = 22;
    /// x86.
    pub const PSR_ALLOC: u32 = 23;
    /// x86.
    pub const GET_CPU_LEVELLING_CAPS: u32 = 25;
    /// x86.
    pub const GET_CPU_FEATURESET: u32 = 26;
    /// Live patches.
    pub const LIVEPATCH_OP: u32 = 27;
    /// x86.
    pub const GET_CPU_POLICY: u32 = 29;
}

abi! {
    /// The envelope (`xen_sysctl`).
    pub struct Sysctl {
        /// One of [`op`].
        pub cmd: u32,
        /// [`INTERFACE_VERSION`].
        pub interface_version: u32,
        /// The operation's structure.
        pub u: OpPayload,
    }

    /// Reads the hypervisor's log (`xen_sysctl_readconsole`).
    pub struct ReadConsole {
        /// Drop what was read.
        pub clear: u8,
        /// Begin at `index`.
        pub incremental: u8,
        /// Unused.
        pub pad: [u8; 2],
        /// In and out: position in the log.
        pub index: u32,
        /// Where to.
        pub buffer: GuestHandle<u8>,
        /// In: room. Out: bytes.
        pub count: u32,
        /// Unused.
        pub pad2: u32,
    }

    /// The machine (`xen_sysctl_physinfo`).
    pub struct PhysInfo {
        /// Threads.
        pub threads_per_core: u32,
        /// Cores.
        pub cores_per_socket: u32,
        /// CPUs that are up.
        pub nr_cpus: u32,
        /// The highest CPU there can be.
        pub max_cpu_id: u32,
        /// Nodes.
        pub nr_nodes: u32,
        /// The highest node.
        pub max_node_id: u32,
        /// On ARM the timer's frequency.
        pub cpu_khz: u32,
        /// Bits of [`physcap`].
        pub capabilities: u32,
        /// 0 in 4.17.
        pub arch_capabilities: u32,
        /// Unused.
        pub pad: u32,
        /// All pages.
        pub total_pages: u64,
        /// Free ones.
        pub free_pages: u64,
        /// Ones to be scrubbed.
        pub scrub_pages: u64,
        /// Claimed ones.
        pub outstanding_pages: u64,
        /// The highest.
        pub max_mfn: u64,
        /// 0 on ARM.
        pub hw_cap: [u32; 8],
    }

    /// The default scheduler (`xen_sysctl_sched_id`).
    pub struct SchedId {
        /// One of [`crate::domctl::scheduler`].
        pub sched_id: u32,
    }

    /// Tells about all domains (`xen_sysctl_getdomaininfolist`).
    pub struct GetDomainInfoList {
        /// From which on.
        pub first_domain: Domid,
        /// Unused.
        pub pad0: u16,
        /// Room for so many.
        pub max_domains: u32,
        /// Where to.
        pub buffer: GuestHandle<GetDomainInfo>,
        /// Out: so many.
        pub num_domains: u32,
        /// Unused.
        pub pad1: u32,
    }

    /// Presses debug keys (`xen_sysctl_debug_keys`).
    pub struct DebugKeys {
        /// The keys.
        pub keys: GuestHandle<u8>,
        /// How many.
        pub nr_keys: u32,
        /// Unused.
        pub pad: u32,
    }

    /// How long a CPU idled (`xen_sysctl_cpuinfo`).
    pub struct CpuInfo {
        /// Nanoseconds.
        pub idletime: u64,
    }

    /// Tells about CPUs (`xen_sysctl_getcpuinfo`).
    pub struct GetCpuInfo {
        /// Room for so many.
        pub max_cpus: u32,
        /// Unused.
        pub pad0: u32,
        /// Where to.
        pub info: GuestHandle<CpuInfo>,
        /// Out: so many.
        pub nr_cpus: u32,
        /// Unused.
        pub pad1: u32,
    }

    /// Free memory (`xen_sysctl_availheap`).
    pub struct AvailHeap {
        /// Smallest address width.
        pub min_bitwidth: u32,
        /// Largest address width; 0 for any.
        pub max_bitwidth: u32,
        /// Node; -1 for any.
        pub node: i32,
        /// Unused.
        pub pad: u32,
        /// Out: bytes.
        pub avail_bytes: u64,
    }

    /// Where a CPU is (`xen_sysctl_cputopo`).
    pub struct CpuTopo {
        /// Core, or [`INVALID_ID`].
        pub core: u32,
        /// Socket, or [`INVALID_ID`].
        pub socket: u32,
        /// Node, or [`INVALID_ID`].
        pub node: u32,
    }

    /// Where all CPUs are (`xen_sysctl_cputopoinfo`).
    pub struct CpuTopoInfo {
        /// In: room. Out: so many.
        pub num_cpus: u32,
        /// Unused.
        pub pad: u32,
        /// Where to; null to ask how many.
        pub cputopo: GuestHandle<CpuTopo>,
    }

    /// A node's memory (`xen_sysctl_meminfo`).
    pub struct MemInfo {
        /// Bytes.
        pub memsize: u64,
        /// Free bytes.
        pub memfree: u64,
    }

    /// The nodes (`xen_sysctl_numainfo`).
    pub struct NumaInfo {
        /// In: room. Out: so many.
        pub num_nodes: u32,
        /// Unused.
        pub pad: u32,
        /// Where to; null to ask how many.
        pub meminfo: GuestHandle<MemInfo>,
        /// Where the distances go.
        pub distance: GuestHandle<u32>,
    }

    /// CPU pools (`xen_sysctl_cpupool_op`).
    pub struct CpupoolOp {
        /// One of [`cpupool`].
        pub op: u32,
        /// Which pool.
        pub cpupool_id: u32,
        /// Its scheduler.
        pub sched_id: u32,
        /// Which domain.
        pub domid: u32,
        /// Which CPU.
        pub cpu: u32,
        /// Out: domains in it.
        pub n_dom: u32,
        /// Out: its CPUs.
        pub cpumap: CtlBitmap,
    }

    /// Parameters of the credit scheduler (`xen_sysctl_credit_schedule`).
    pub struct CreditSchedule {
        /// Time slice.
        pub tslice_ms: u32,
        /// How long a vCPU runs at least; 0 for off.
        pub ratelimit_us: u32,
        /// How long a vCPU counts as hot.
        pub vcpu_migr_delay_us: u32,
    }

    /// Parameters of a pool's scheduler (`xen_sysctl_scheduler_op`).
    pub struct SchedulerOp {
        /// Which pool.
        pub cpupool_id: u32,
        /// One of [`crate::domctl::scheduler`].
        pub sched_id: u32,
        /// [`crate::domctl::schedop::PUTINFO`] or `GETINFO`.
        pub cmd: u32,
        /// Unused.
        pub pad: u32,
        /// A union; see [`SchedulerOp::credit`].
        pub u: [u64; 2],
    }

    /// Where PCI devices are (`xen_sysctl_pcitopoinfo`).
    pub struct PciTopoInfo {
        /// How many.
        pub num_devs: u32,
        /// Unused.
        pub pad: u32,
        /// The devices.
        pub devs: GuestHandle<u32>,
        /// Out: their nodes.
        pub nodes: GuestHandle<u32>,
    }
}

impl SchedulerOp {
    /// Parameters of the credit scheduler; credit2 has only the first word, its rate limit.
    pub const fn credit(&self) -> CreditSchedule {
        CreditSchedule {
            tslice_ms: self.u[0] as u32,
            ratelimit_us: (self.u[0] >> 32) as u32,
            vcpu_migr_delay_us: self.u[1] as u32,
        }
    }

    /// Writes parameters of the credit scheduler.
    pub const fn set_credit(&mut self, credit: CreditSchedule) {
        self.u[0] = (credit.ratelimit_us as u64) << 32 | credit.tslice_ms as u64;
        self.u[1] = credit.vcpu_migr_delay_us as u64;
    }
}

/// What the machine can do.
pub mod physcap {
    /// Hardware-assisted guests.
    pub const HVM: u32 = 1 << 0;
    /// Paravirtual guests.
    pub const PV: u32 = 1 << 1;
    /// Devices can be given away.
    pub const DIRECTIO: u32 = 1 << 2;
    /// Hardware-assisted paging.
    pub const HAP: u32 = 1 << 3;
    /// Shadow paging.
    pub const SHADOW: u32 = 1 << 4;
    /// The IOMMU shares page tables.
    pub const IOMMU_HAP_PT_SHARE: u32 = 1 << 5;
    /// Tracing.
    pub const VMTRACE: u32 = 1 << 6;
    /// Performance monitor.
    pub const VPMU: u32 = 1 << 7;
    /// Grant tables of version 1.
    pub const GNTTAB_V1: u32 = 1 << 8;
    /// Grant tables of version 2.
    pub const GNTTAB_V2: u32 = 1 << 9;
}

/// A core, socket or node that is not known.
pub const INVALID_ID: u32 = u32::MAX;
/// A size that is not known.
pub const INVALID_MEM_SZ: u32 = u32::MAX;
/// A distance that is not known.
pub const INVALID_NODE_DIST: u32 = u32::MAX;

/// Operations of [`CpupoolOp`].
pub mod cpupool {
    /// Makes one.
    pub const CREATE: u32 = 1;
    /// Destroys one.
    pub const DESTROY: u32 = 2;
    /// Tells about this or the next one.
    pub const INFO: u32 = 3;
    /// Adds a CPU.
    pub const ADDCPU: u32 = 4;
    /// Removes a CPU.
    pub const RMCPU: u32 = 5;
    /// Moves a domain.
    pub const MOVEDOMAIN: u32 = 6;
    /// Tells which CPUs are free.
    pub const FREEINFO: u32 = 7;
    /// Any pool, any CPU.
    pub const PAR_ANY: u32 = 0xFFFF_FFFF;
}

/// Limits of [`CreditSchedule`].
pub mod credit {
    /// Longest time slice in milliseconds.
    pub const TSLICE_MAX: u32 = 1000;
    /// Shortest time slice in milliseconds.
    pub const TSLICE_MIN: u32 = 1;
    /// Largest rate limit in microseconds.
    pub const RATELIMIT_MAX: u32 = 500_000;
    /// Smallest rate limit in microseconds, but for 0.
    pub const RATELIMIT_MIN: u32 = 100;
    /// Largest migration delay in microseconds.
    pub const MGR_DLY_MAX_US: u32 = 100_000;
}
