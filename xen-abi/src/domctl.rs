//! domctl, the toolstack's hypercall about one domain (`domctl.h`, interface version of Xen 4.17).

use crate::arch::{ArchDomainconfig, VcpuGuestContext};
use crate::types::{CtlBitmap, DomainHandle, Domid, EvtchnPort, GuestHandle, OpPayload};

/// What [`Domctl::interface_version`] must be.
pub const INTERFACE_VERSION: u32 = 0x15;

/// Operations.
pub mod op {
    /// [`super::CreateDomain`].
    pub const CREATEDOMAIN: u32 = 1;
    /// Tears a domain down; repeat until it returns 0.
    pub const DESTROYDOMAIN: u32 = 2;
    /// Pauses.
    pub const PAUSEDOMAIN: u32 = 3;
    /// Unpauses.
    pub const UNPAUSEDOMAIN: u32 = 4;
    /// [`super::GetDomainInfo`].
    pub const GETDOMAININFO: u32 = 5;
    /// [`super::VcpuAffinity`].
    pub const SETVCPUAFFINITY: u32 = 9;
    /// Not on ARM.
    pub const SHADOW_OP: u32 = 10;
    /// [`super::MaxMem`].
    pub const MAX_MEM: u32 = 11;
    /// [`super::VcpuContext`].
    pub const SETVCPUCONTEXT: u32 = 12;
    /// [`super::VcpuContext`].
    pub const GETVCPUCONTEXT: u32 = 13;
    /// [`super::GetVcpuInfo`].
    pub const GETVCPUINFO: u32 = 14;
    /// [`super::MaxVcpus`].
    pub const MAX_VCPUS: u32 = 15;
    /// [`super::SchedulerOp`].
    pub const SCHEDULER_OP: u32 = 16;
    /// [`super::SetDomainHandle`].
    pub const SETDOMAINHANDLE: u32 = 17;
    /// [`super::SetDebugging`].
    pub const SETDEBUGGING: u32 = 18;
    /// [`super::IrqPermission`].
    pub const IRQ_PERMISSION: u32 = 19;
    /// [`super::IomemPermission`].
    pub const IOMEM_PERMISSION: u32 = 20;
    /// Not on ARM.
    pub const IOPORT_PERMISSION: u32 = 21;
    /// Not on ARM.
    pub const HYPERCALL_INIT: u32 = 22;
    /// [`super::SetTimeOffset`].
    pub const SETTIMEOFFSET: u32 = 24;
    /// [`super::VcpuAffinity`].
    pub const GETVCPUAFFINITY: u32 = 25;
    /// Clears the shutdown state.
    pub const RESUMEDOMAIN: u32 = 27;
    /// Not on ARM.
    pub const SENDTRIGGER: u32 = 28;
    /// [`super::Subscribe`].
    pub const SUBSCRIBE: u32 = 29;
    /// Not on ARM.
    pub const GETHVMCONTEXT: u32 = 33;
    /// Not on ARM.
    pub const SETHVMCONTEXT: u32 = 34;
    /// [`super::AddressSize`].
    pub const SET_ADDRESS_SIZE: u32 = 35;
    /// Not on ARM.
    pub const GET_ADDRESS_SIZE: u32 = 36;
    /// [`super::AssignDevice`].
    pub const ASSIGN_DEVICE: u32 = 37;
    /// [`super::BindPtIrq`].
    pub const BIND_PT_IRQ: u32 = 38;
    /// [`super::MemoryMapping`].
    pub const MEMORY_MAPPING: u32 = 39;
    /// Not on ARM.
    pub const IOPORT_MAPPING: u32 = 40;
    /// [`super::AssignDevice`].
    pub const TEST_ASSIGN_DEVICE: u32 = 45;
    /// [`super::SetTarget`].
    pub const SET_TARGET: u32 = 46;
    /// [`super::AssignDevice`].
    pub const DEASSIGN_DEVICE: u32 = 47;
    /// [`super::BindPtIrq`].
    pub const UNBIND_PT_IRQ: u32 = 48;
    /// PCI.
    pub const GET_DEVICE_GROUP: u32 = 50;
    /// Not on ARM.
    pub const DEBUG_OP: u32 = 54;
    /// Not on ARM.
    pub const GETHVMCONTEXT_PARTIAL: u32 = 55;
    /// vm_event.
    pub const VM_EVENT_OP: u32 = 56;
    /// Not on ARM.
    pub const MEM_SHARING_OP: u32 = 57;
    /// Not on ARM.
    pub const GETTSCINFO: u32 = 59;
    /// Not on ARM.
    pub const SETTSCINFO: u32 = 60;
    /// Not on ARM.
    pub const GETPAGEFRAMEINFO3: u32 = 61;
    /// vm_event.
    pub const SET_ACCESS_REQUIRED: u32 = 64;
    /// [`super::SetVirqHandler`].
    pub const SET_VIRQ_HANDLER: u32 = 66;
    /// [`super::NodeAffinity`].
    pub const SETNODEAFFINITY: u32 = 68;
    /// [`super::NodeAffinity`].
    pub const GETNODEAFFINITY: u32 = 69;
    /// [`super::CacheFlush`].
    pub const CACHEFLUSH: u32 = 71;
    /// [`super::Vnuma`].
    pub const SETVNUMAINFO: u32 = 74;
    /// Not on ARM.
    pub const PSR_CMT_OP: u32 = 75;
    /// vm_event.
    pub const MONITOR_OP: u32 = 77;
    /// Not on ARM.
    pub const PSR_ALLOC: u32 = 78;
    /// Soft reset.
    pub const SOFT_RESET: u32 = 79;
    /// [`super::VuartOp`].
    pub const VUART_OP: u32 = 81;
    /// Not on ARM.
    pub const GET_CPU_POLICY: u32 = 82;
    /// Not on ARM.
    pub const SET_CPU_POLICY: u32 = 83;
    /// Not on ARM.
    pub const VMTRACE_OP: u32 = 84;
    /// [`super::PagingMempool`].
    pub const GET_PAGING_MEMPOOL_SIZE: u32 = 85;
    /// [`super::PagingMempool`].
    pub const SET_PAGING_MEMPOOL_SIZE: u32 = 86;
}

abi! {
    /// The envelope (`xen_domctl`).
    pub struct Domctl {
        /// One of [`op`].
        pub cmd: u32,
        /// [`INTERFACE_VERSION`].
        pub interface_version: u32,
        /// Which domain; some operations write it.
        pub domain: Domid,
        /// Unused.
        pub pad: [u16; 3],
        /// The operation's structure.
        pub u: OpPayload,
    }

    /// Makes a domain (`xen_domctl_createdomain`).
    pub struct CreateDomain {
        /// Security id.
        pub ssidref: u32,
        /// UUID.
        pub handle: DomainHandle,
        /// Bits of [`cdf`].
        pub flags: u32,
        /// Bits of [`iommu`].
        pub iommu_opts: u32,
        /// How many vCPUs it will have.
        pub max_vcpus: u32,
        /// The highest event port.
        pub max_evtchn_port: u32,
        /// Frames of its grant table; negative for the default.
        pub max_grant_frames: i32,
        /// Frames of its map tracking; negative for the default.
        pub max_maptrack_frames: i32,
        /// Low four bits: the highest version of its grant table.
        pub grant_opts: u32,
        /// Trace buffer; 0 on ARM.
        pub vmtrace_size: u32,
        /// CPU pool.
        pub cpupool_id: u32,
        /// The architecture's part; in and out.
        pub arch: ArchDomainconfig,
    }

    /// Tells about a domain (`xen_domctl_getdomaininfo`).
    pub struct GetDomainInfo {
        /// Which.
        pub domain: Domid,
        /// Unused.
        pub pad1: u16,
        /// Bits of [`dominf`].
        pub flags: u32,
        /// Pages it has.
        pub tot_pages: u64,
        /// Pages it may have.
        pub max_pages: u64,
        /// Pages claimed.
        pub outstanding_pages: u64,
        /// Pages shared; 0 on ARM.
        pub shr_pages: u64,
        /// Pages paged out; 0 on ARM.
        pub paged_pages: u64,
        /// Gfn of the shared page, or all ones.
        pub shared_info_frame: u64,
        /// Nanoseconds it ran.
        pub cpu_time: u64,
        /// vCPUs that are up.
        pub nr_online_vcpus: u32,
        /// The highest vCPU, or [`INVALID_MAX_VCPU_ID`].
        pub max_vcpu_id: u32,
        /// Security id.
        pub ssidref: u32,
        /// UUID.
        pub handle: DomainHandle,
        /// CPU pool.
        pub cpupool: u32,
        /// Width of a guest-physical address.
        pub gpaddr_bits: u8,
        /// Unused.
        pub pad2: [u8; 7],
        /// The architecture's part; zero in 4.17.
        pub arch_config: ArchDomainconfig,
        /// Unused.
        pub pad3: u32,
    }

    /// Limits a domain's memory (`xen_domctl_max_mem`).
    pub struct MaxMem {
        /// KiB.
        pub max_memkb: u64,
    }

    /// Sets or reads a vCPU's registers (`xen_domctl_vcpucontext`).
    pub struct VcpuContext {
        /// Which.
        pub vcpu: u32,
        /// Unused.
        pub pad: u32,
        /// The registers; null resets the vCPU.
        pub ctxt: GuestHandle<VcpuGuestContext>,
    }

    /// Tells about a vCPU (`xen_domctl_getvcpuinfo`).
    pub struct GetVcpuInfo {
        /// In: which.
        pub vcpu: u32,
        /// Out: it is up.
        pub online: u8,
        /// Out: it waits.
        pub blocked: u8,
        /// Out: it runs.
        pub running: u8,
        /// Unused.
        pub pad0: u8,
        /// Out: nanoseconds it ran.
        pub cpu_time: u64,
        /// Out: on which CPU.
        pub cpu: u32,
        /// Unused.
        pub pad1: u32,
    }

    /// Which nodes a domain prefers (`xen_domctl_nodeaffinity`).
    pub struct NodeAffinity {
        /// The nodes.
        pub nodemap: CtlBitmap,
    }

    /// Where a vCPU may run (`xen_domctl_vcpuaffinity`).
    pub struct VcpuAffinity {
        /// Which.
        pub vcpu: u32,
        /// Bits of [`affinity`].
        pub flags: u32,
        /// CPUs it may use.
        pub cpumap_hard: CtlBitmap,
        /// CPUs it prefers.
        pub cpumap_soft: CtlBitmap,
    }

    /// Makes the vCPUs (`xen_domctl_max_vcpus`).
    pub struct MaxVcpus {
        /// As many as [`CreateDomain::max_vcpus`] said.
        pub max: u32,
    }

    /// Parameters of the credit and credit2 schedulers (`xen_domctl_sched_credit`, `..._credit2`).
    pub struct SchedCredit {
        /// Share.
        pub weight: u16,
        /// Limit in percent of a CPU; 0 for none.
        pub cap: u16,
    }

    /// Parameters of the RTDS scheduler (`xen_domctl_sched_rtds`).
    pub struct SchedRtds {
        /// Microseconds.
        pub period: u32,
        /// Microseconds.
        pub budget: u32,
        /// Bit 0: may use spare time.
        pub flags: u32,
    }

    /// Sets or reads scheduling parameters (`xen_domctl_scheduler_op`).
    pub struct SchedulerOp {
        /// One of [`scheduler`].
        pub sched_id: u32,
        /// One of [`schedop`].
        pub cmd: u32,
        /// A union; see [`SchedulerOp::credit`].
        pub u: [u64; 2],
    }

    /// Sets the UUID (`xen_domctl_setdomainhandle`).
    pub struct SetDomainHandle {
        /// The UUID.
        pub handle: DomainHandle,
    }

    /// Says that a debugger is attached (`xen_domctl_setdebugging`).
    pub struct SetDebugging {
        /// Yes or no.
        pub enable: u8,
    }

    /// Lets a domain use an interrupt (`xen_domctl_irq_permission`).
    pub struct IrqPermission {
        /// Which.
        pub pirq: u32,
        /// Yes or no.
        pub allow_access: u8,
        /// Unused.
        pub pad: [u8; 3],
    }

    /// Lets a domain use device memory (`xen_domctl_iomem_permission`).
    pub struct IomemPermission {
        /// First frame.
        pub first_mfn: u64,
        /// How many.
        pub nr_mfns: u64,
        /// Yes or no.
        pub allow_access: u8,
        /// Unused.
        pub pad: [u8; 7],
    }

    /// Shifts a domain's wall clock (`xen_domctl_settimeoffset`).
    pub struct SetTimeOffset {
        /// Seconds.
        pub time_offset_seconds: i64,
    }

    /// Chooses AArch32 or AArch64 (`xen_domctl_address_size`).
    pub struct AddressSize {
        /// 32 or 64.
        pub size: u32,
    }

    /// Gives a device to a domain (`xen_domctl_assign_device`), for a device named by its path.
    pub struct AssignDevice {
        /// One of [`dev`].
        pub dev: u32,
        /// Must be 0 for a path.
        pub flags: u32,
        /// A union: bytes of the path, or a PCI address.
        pub size: u32,
        /// Unused.
        pub pad: u32,
        /// The path.
        pub path: GuestHandle<u8>,
    }

    /// Routes an interrupt to a domain (`xen_domctl_bind_pt_irq`).
    pub struct BindPtIrq {
        /// The host's interrupt.
        pub machine_irq: u32,
        /// [`PT_IRQ_TYPE_SPI`].
        pub irq_type: u32,
        /// A union; see [`BindPtIrq::spi`].
        pub u: [u64; 2],
    }

    /// Maps device memory (`xen_domctl_memory_mapping`).
    pub struct MemoryMapping {
        /// Where.
        pub first_gfn: u64,
        /// What.
        pub first_mfn: u64,
        /// How many.
        pub nr_mfns: u64,
        /// 1 to map, 0 to unmap.
        pub add_mapping: u32,
        /// Unused.
        pub padding: u32,
    }

    /// Gives a domain rights over another (`xen_domctl_set_target`).
    pub struct SetTarget {
        /// The other.
        pub target: Domid,
    }

    /// Asks for an event on suspend (`xen_domctl_subscribe`).
    pub struct Subscribe {
        /// The caller's port.
        pub port: u32,
    }

    /// Sends a global virtual interrupt to a domain (`xen_domctl_set_virq_handler`).
    pub struct SetVirqHandler {
        /// Which.
        pub virq: u32,
    }

    /// Cleans a domain's pages (`xen_domctl_cacheflush`).
    pub struct CacheFlush {
        /// First gfn.
        pub start_pfn: u64,
        /// How many.
        pub nr_pfns: u64,
    }

    /// Size of the memory for page tables (`xen_domctl_paging_mempool`).
    pub struct PagingMempool {
        /// Bytes.
        pub size: u64,
    }

    /// Virtual nodes (`xen_domctl_vnuma`).
    pub struct Vnuma {
        /// How many.
        pub nr_vnodes: u32,
        /// How many ranges.
        pub nr_vmemranges: u32,
        /// How many vCPUs.
        pub nr_vcpus: u32,
        /// Unused.
        pub pad: u32,
        /// Distances.
        pub vdistance: GuestHandle<u32>,
        /// Each vCPU's node.
        pub vcpu_to_vnode: GuestHandle<u32>,
        /// Each node's physical one.
        pub vnode_to_pnode: GuestHandle<u32>,
        /// The ranges.
        pub vmemrange: GuestHandle<u8>,
    }

    /// Makes an emulated UART (`xen_domctl_vuart_op`).
    pub struct VuartOp {
        /// 0: make one.
        pub cmd: u32,
        /// 0: a PL011.
        pub kind: u32,
        /// Page of its ring.
        pub gfn: u64,
        /// Who reads it.
        pub console_domid: Domid,
        /// Must be 0.
        pub pad: [u8; 2],
        /// Out: the reader's port.
        pub evtchn: EvtchnPort,
    }
}

impl BindPtIrq {
    /// The guest's number of the interrupt, which must be the host's too.
    pub const fn spi(&self) -> u16 {
        self.u[0] as u16
    }
}

impl SchedulerOp {
    /// Parameters of the credit and credit2 schedulers.
    pub const fn credit(&self) -> SchedCredit {
        SchedCredit { weight: self.u[0] as u16, cap: (self.u[0] >> 16) as u16 }
    }

    /// Writes parameters of the credit and credit2 schedulers.
    pub const fn set_credit(&mut self, credit: SchedCredit) {
        self.u[0] = self.u[0] & !0xffff_ffff | (credit.cap as u64) << 16 | credit.weight as u64;
    }
}

/// Flags of a new domain.
pub mod cdf {
    /// Hardware-assisted.
    pub const HVM: u32 = 1 << 0;
    /// Paging is hardware-assisted.
    pub const HAP: u32 = 1 << 1;
    /// x86.
    pub const S3_INTEGRITY: u32 = 1 << 2;
    /// x86.
    pub const OOS_OFF: u32 = 1 << 3;
    /// It runs xenstore.
    pub const XS_DOMAIN: u32 = 1 << 4;
    /// It may use devices.
    pub const IOMMU: u32 = 1 << 5;
    /// x86.
    pub const NESTED_VIRT: u32 = 1 << 6;
    /// It sees the performance monitor.
    pub const VPMU: u32 = 1 << 7;
}

/// IOMMU options of a new domain.
pub mod iommu {
    /// Page tables of its own.
    pub const NO_SHAREPT: u32 = 1 << 0;
}

/// Bits of [`CreateDomain::grant_opts`] that hold the version.
pub const GRANT_VERSION_MASK: u32 = 0xf;

/// Flags of [`GetDomainInfo`].
pub mod dominf {
    /// Dead, waiting for its last page.
    pub const DYING: u32 = 1 << 0;
    /// Hardware-assisted.
    pub const HVM_GUEST: u32 = 1 << 1;
    /// It has shut down.
    pub const SHUTDOWN: u32 = 1 << 2;
    /// Paused by the toolstack.
    pub const PAUSED: u32 = 1 << 3;
    /// All its vCPUs wait.
    pub const BLOCKED: u32 = 1 << 4;
    /// One of its vCPUs runs.
    pub const RUNNING: u32 = 1 << 5;
    /// A debugger is attached.
    pub const DEBUGGED: u32 = 1 << 6;
    /// It runs xenstore.
    pub const XS_DOMAIN: u32 = 1 << 7;
    /// Paging is hardware-assisted.
    pub const HAP: u32 = 1 << 8;
    /// The shutdown reason's bits, once shifted; all set for none.
    pub const SHUTDOWN_MASK: u32 = 255;
    /// Where the shutdown reason begins.
    pub const SHUTDOWN_SHIFT: u32 = 16;
}

/// [`GetDomainInfo::max_vcpu_id`] of a domain without any.
pub const INVALID_MAX_VCPU_ID: u32 = u32::MAX;

/// Flags of [`VcpuAffinity`].
pub mod affinity {
    /// The hard one.
    pub const HARD: u32 = 1 << 0;
    /// The soft one.
    pub const SOFT: u32 = 1 << 1;
    /// Overrides a temporary pin.
    pub const FORCE: u32 = 1 << 2;
}

/// Schedulers.
pub mod scheduler {
    /// Credit.
    pub const CREDIT: u32 = 5;
    /// Credit2.
    pub const CREDIT2: u32 = 6;
    /// ARINC 653.
    pub const ARINC653: u32 = 7;
    /// RTDS.
    pub const RTDS: u32 = 8;
    /// Null.
    pub const NULL: u32 = 9;
}

/// Commands of [`SchedulerOp`].
pub mod schedop {
    /// Sets the domain's.
    pub const PUTINFO: u32 = 0;
    /// Reads the domain's.
    pub const GETINFO: u32 = 1;
    /// Sets some vCPUs'.
    pub const PUTVCPUINFO: u32 = 2;
    /// Reads some vCPUs'.
    pub const GETVCPUINFO: u32 = 3;
}

/// Kinds of device.
pub mod dev {
    /// A PCI device.
    pub const PCI: u32 = 0;
    /// A node of the host's device tree.
    pub const DT: u32 = 1;
}

/// The one type of [`BindPtIrq`] on ARM.
pub const PT_IRQ_TYPE_SPI: u32 = 4;

/// [`VuartOp::cmd`]: make one.
pub const VUART_OP_INIT: u32 = 0;
/// [`VuartOp::kind`]: a PL011.
pub const VUART_TYPE_VPL011: u32 = 0;
