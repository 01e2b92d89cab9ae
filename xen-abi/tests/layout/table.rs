//! What in this crate is what in Xen's headers (and, for PSCI, in Linux's).

use xen_abi::{
    arch, console_io, dm_op, domctl, event_channel, features, grant_table, hvm, hypercall, hypfs, io, memory,
    physdev, platform, psci, sched, sysctl, types, vcpu, version, xen, xsm,
};

use crate::entry::{Constant, Structure, constants, scalars, structures};

/// Structures: ours, theirs, and the fields; `field = "name"` where the names differ, and
/// `field = "name" * n` where ours is an array and theirs are n fields in a row. Fields called `pad` have
/// no counterpart: what the others leave is theirs.
pub fn structures() -> Vec<Structure> {
    structures! {
        dm_op::Buf = "struct xen_dm_op_buf" { h, size }
        domctl::Domctl = "struct xen_domctl" { cmd, interface_version, domain, u }
        domctl::CreateDomain = "struct xen_domctl_createdomain" {
            ssidref, handle, flags, iommu_opts, max_vcpus, max_evtchn_port, max_grant_frames,
            max_maptrack_frames, grant_opts, vmtrace_size, cpupool_id, arch,
        }
        domctl::GetDomainInfo = "struct xen_domctl_getdomaininfo" {
            domain, flags, tot_pages, max_pages, outstanding_pages, shr_pages, paged_pages,
            shared_info_frame, cpu_time, nr_online_vcpus, max_vcpu_id, ssidref, handle, cpupool,
            gpaddr_bits, arch_config,
        }
        domctl::MaxMem = "struct xen_domctl_max_mem" { max_memkb }
        domctl::VcpuContext = "struct xen_domctl_vcpucontext" { vcpu, ctxt }
        domctl::GetVcpuInfo = "struct xen_domctl_getvcpuinfo" {
            vcpu, online, blocked, running, cpu_time, cpu,
        }
        domctl::NodeAffinity = "struct xen_domctl_nodeaffinity" { nodemap }
        domctl::VcpuAffinity = "struct xen_domctl_vcpuaffinity" { vcpu, flags, cpumap_hard, cpumap_soft }
        domctl::MaxVcpus = "struct xen_domctl_max_vcpus" { max }
        domctl::SchedCredit = "struct xen_domctl_sched_credit" { weight, cap }
        domctl::SchedRtds = "struct xen_domctl_sched_rtds" { period, budget, flags }
        domctl::SchedulerOp = "struct xen_domctl_scheduler_op" { sched_id, cmd, u }
        domctl::SetDomainHandle = "struct xen_domctl_setdomainhandle" { handle }
        domctl::SetDebugging = "struct xen_domctl_setdebugging" { enable }
        domctl::IrqPermission = "struct xen_domctl_irq_permission" { pirq, allow_access }
        domctl::IomemPermission = "struct xen_domctl_iomem_permission" { first_mfn, nr_mfns, allow_access }
        domctl::SetTimeOffset = "struct xen_domctl_settimeoffset" { time_offset_seconds }
        domctl::AddressSize = "struct xen_domctl_address_size" { size }
        domctl::AssignDevice = "struct xen_domctl_assign_device" {
            dev, flags, size = "u.dt.size", path = "u.dt.path",
        }
        domctl::BindPtIrq = "struct xen_domctl_bind_pt_irq" { machine_irq, irq_type, u }
        domctl::MemoryMapping = "struct xen_domctl_memory_mapping" {
            first_gfn, first_mfn, nr_mfns, add_mapping,
        }
        domctl::SetTarget = "struct xen_domctl_set_target" { target }
        domctl::Subscribe = "struct xen_domctl_subscribe" { port }
        domctl::SetVirqHandler = "struct xen_domctl_set_virq_handler" { virq }
        domctl::CacheFlush = "struct xen_domctl_cacheflush" { start_pfn, nr_pfns }
        domctl::PagingMempool = "struct xen_domctl_paging_mempool" { size }
        domctl::Vnuma = "struct xen_domctl_vnuma" {
            nr_vnodes, nr_vmemranges, nr_vcpus, vdistance, vcpu_to_vnode, vnode_to_pnode, vmemrange,
        }
        domctl::VuartOp = "struct xen_domctl_vuart_op" { cmd, kind = "type", gfn, console_domid, evtchn }
        event_channel::AllocUnbound = "struct evtchn_alloc_unbound" { dom, remote_dom, port }
        event_channel::BindInterdomain = "struct evtchn_bind_interdomain" {
            remote_dom, remote_port, local_port,
        }
        event_channel::BindVirq = "struct evtchn_bind_virq" { virq, vcpu, port }
        event_channel::BindPirq = "struct evtchn_bind_pirq" { pirq, flags, port }
        event_channel::BindIpi = "struct evtchn_bind_ipi" { vcpu, port }
        event_channel::Close = "struct evtchn_close" { port }
        event_channel::Send = "struct evtchn_send" { port }
        event_channel::Status = "struct evtchn_status" { dom, port, status, vcpu, u }
        event_channel::BindVcpu = "struct evtchn_bind_vcpu" { port, vcpu }
        event_channel::Unmask = "struct evtchn_unmask" { port }
        event_channel::Reset = "struct evtchn_reset" { dom }
        event_channel::InitControl = "struct evtchn_init_control" { control_gfn, offset, vcpu, link_bits }
        event_channel::ExpandArray = "struct evtchn_expand_array" { array_gfn }
        event_channel::SetPriority = "struct evtchn_set_priority" { port, priority }
        event_channel::Compat = "struct evtchn_op" { cmd, u }
        event_channel::FifoControlBlock = "struct evtchn_fifo_control_block" { ready, rsvd = "_rsvd", head }
        grant_table::EntryV1 = "struct grant_entry_v1" { flags, domid, frame }
        grant_table::MapGrantRef = "struct gnttab_map_grant_ref" {
            host_addr, flags, gref = "ref", dom, status, handle, dev_bus_addr,
        }
        grant_table::UnmapGrantRef = "struct gnttab_unmap_grant_ref" {
            host_addr, dev_bus_addr, handle, status,
        }
        grant_table::SetupTable = "struct gnttab_setup_table" { dom, nr_frames, status, frame_list }
        grant_table::Transfer = "struct gnttab_transfer" { mfn, domid, gref = "ref", status }
        grant_table::CopyPtr = "struct gnttab_copy_ptr" { u, domid, offset }
        grant_table::Copy = "struct gnttab_copy" { source, dest, len, flags, status }
        grant_table::QuerySize = "struct gnttab_query_size" { dom, nr_frames, max_nr_frames, status }
        grant_table::UnmapAndReplace = "struct gnttab_unmap_and_replace" {
            host_addr, new_addr, handle, status,
        }
        grant_table::SetVersion = "struct gnttab_set_version" { version }
        grant_table::GetStatusFrames = "struct gnttab_get_status_frames" {
            nr_frames, dom, status, frame_list,
        }
        grant_table::GetVersion = "struct gnttab_get_version" { dom, version }
        grant_table::SwapGrantRef = "struct gnttab_swap_grant_ref" { ref_a, ref_b, status }
        grant_table::CacheFlush = "struct gnttab_cache_flush" { a, offset, length, op }
        hvm::HvmParam = "struct xen_hvm_param" { domid, index, value }
        hypercall::MulticallEntry = "struct multicall_entry" { op, result, args }
        memory::MemoryReservation = "struct xen_memory_reservation" {
            extent_start, nr_extents, extent_order, mem_flags, domid,
        }
        memory::MemoryDomain = "struct xen_memory_domain" { domid }
        memory::AddToPhysmap = "struct xen_add_to_physmap" { domid, size, space, idx, gpfn }
        memory::AddToPhysmapBatch = "struct xen_add_to_physmap_batch" {
            domid, space, size, foreign_domid = "u.foreign_domid", idxs, gpfns, errs,
        }
        memory::RemoveFromPhysmap = "struct xen_remove_from_physmap" { domid, gpfn }
        memory::PodTarget = "struct xen_pod_target" {
            target_pages, tot_pages, pod_cache_pages, pod_entries, domid,
        }
        memory::ReservedDeviceMemoryMap = "struct xen_reserved_device_memory_map" { flags, nr_entries, buffer, dev }
        memory::AcquireResource = "struct xen_mem_acquire_resource" {
            domid, kind = "type", id, nr_frames, frame, frame_list,
        }
        physdev::PciDeviceAdd = "struct physdev_pci_device_add" {
            seg, bus, devfn, flags, physfn_bus = "physfn.bus", physfn_devfn = "physfn.devfn",
        }
        physdev::PciDevice = "struct physdev_pci_device" { seg, bus, devfn }
        platform::PlatformOp = "struct xen_platform_op" { cmd, interface_version, u }
        platform::SetTime64 = "struct xenpf_settime64" { secs, nsecs, mbz, system_time }
        sched::Shutdown = "struct sched_shutdown" { reason }
        sched::Poll = "struct sched_poll" { ports, nr_ports, timeout }
        sched::RemoteShutdown = "struct sched_remote_shutdown" { domain_id, reason }
        sched::Watchdog = "struct sched_watchdog" { id, timeout }
        sched::PinOverride = "struct sched_pin_override" { pcpu }
        sysctl::Sysctl = "struct xen_sysctl" { cmd, interface_version, u }
        sysctl::ReadConsole = "struct xen_sysctl_readconsole" { clear, incremental, index, buffer, count }
        sysctl::PhysInfo = "struct xen_sysctl_physinfo" {
            threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, max_node_id, cpu_khz,
            capabilities, arch_capabilities, total_pages, free_pages, scrub_pages, outstanding_pages,
            max_mfn, hw_cap,
        }
        sysctl::SchedId = "struct xen_sysctl_sched_id" { sched_id }
        sysctl::GetDomainInfoList = "struct xen_sysctl_getdomaininfolist" {
            first_domain, max_domains, buffer, num_domains,
        }
        sysctl::DebugKeys = "struct xen_sysctl_debug_keys" { keys, nr_keys }
        sysctl::CpuInfo = "struct xen_sysctl_cpuinfo" { idletime }
        sysctl::GetCpuInfo = "struct xen_sysctl_getcpuinfo" { max_cpus, info, nr_cpus }
        sysctl::AvailHeap = "struct xen_sysctl_availheap" { min_bitwidth, max_bitwidth, node, avail_bytes }
        sysctl::CpuTopo = "struct xen_sysctl_cputopo" { core, socket, node }
        sysctl::CpuTopoInfo = "struct xen_sysctl_cputopoinfo" { num_cpus, cputopo }
        sysctl::MemInfo = "struct xen_sysctl_meminfo" { memsize, memfree }
        sysctl::NumaInfo = "struct xen_sysctl_numainfo" { num_nodes, meminfo, distance }
        sysctl::CpupoolOp = "struct xen_sysctl_cpupool_op" {
            op, cpupool_id, sched_id, domid, cpu, n_dom, cpumap,
        }
        sysctl::CreditSchedule = "struct xen_sysctl_credit_schedule" {
            tslice_ms, ratelimit_us, vcpu_migr_delay_us,
        }
        sysctl::SchedulerOp = "struct xen_sysctl_scheduler_op" {
            cpupool_id, sched_id, cmd, u,
        }
        sysctl::PciTopoInfo = "struct xen_sysctl_pcitopoinfo" { num_devs, devs, nodes }
        types::CtlBitmap = "struct xenctl_bitmap" { bitmap, nr_bits }
        vcpu::RunstateInfo = "struct vcpu_runstate_info" { state, state_entry_time, time }
        vcpu::RegisterRunstateMemoryArea = "struct vcpu_register_runstate_memory_area" { addr }
        vcpu::RegisterVcpuInfo = "struct vcpu_register_vcpu_info" { mfn, offset, rsvd }
        version::CompileInfo = "struct xen_compile_info" {
            compiler, compile_by, compile_domain, compile_date,
        }
        version::PlatformParameters = "struct xen_platform_parameters" { virt_start }
        version::FeatureInfo = "struct xen_feature_info" { submap_idx, submap }
        version::BuildId = "struct xen_build_id" { len }
        xen::VcpuTimeInfo = "struct vcpu_time_info" {
            version, tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift, flags,
        }
        xen::VcpuInfo = "struct vcpu_info" { evtchn_upcall_pending, evtchn_pending_sel, time }
        xen::SharedInfo = "struct shared_info" {
            vcpu_info, evtchn_pending, evtchn_mask, wc_version, wc_sec, wc_nsec, wc_sec_hi,
        }
        arch::CoreRegs = "struct vcpu_guest_core_regs" {
            x = "x0" * 31, pc = "pc64", cpsr, spsr_el1, spsr_fiq, spsr_irq, spsr_und, spsr_abt, sp_el0,
            sp_el1, elr_el1,
        }
        arch::VcpuGuestContext = "struct vcpu_guest_context" {
            flags, user_regs, sctlr, ttbcr, ttbr0, ttbr1,
        }
        arch::ArchDomainconfig = "struct xen_arch_domainconfig" {
            gic_version, tee_type, nr_spis, clock_frequency,
        }
        io::blkif::Segment = "struct blkif_request_segment" { gref, first_sect, last_sect }
        io::blkif::Request = "struct blkif_request" {
            operation, nr_segments, handle, id, sector_number, seg,
        }
        io::blkif::RequestDiscard = "struct blkif_request_discard" {
            operation, flag, handle, id, sector_number, nr_sectors,
        }
        io::blkif::RequestIndirect = "struct blkif_request_indirect" {
            operation, indirect_op, nr_segments, id, sector_number, handle, indirect_grefs,
        }
        io::blkif::Response = "struct blkif_response" { id, operation, status }
        io::console::XenconsInterface = "struct xencons_interface" {
            input = "in", output = "out", in_cons, in_prod, out_cons, out_prod,
        }
        io::netif::TxRequest = "struct netif_tx_request" { gref, offset, flags, id, size }
        io::netif::TxResponse = "struct netif_tx_response" { id, status }
        io::netif::RxRequest = "struct netif_rx_request" { id, gref }
        io::netif::RxResponse = "struct netif_rx_response" { id, offset, flags, status }
        io::netif::ExtraInfo = "struct netif_extra_info" { kind = "type", flags, u }
        io::netif::CtrlRequest = "struct xen_netif_ctrl_request" { id, kind = "type", data }
        io::netif::CtrlResponse = "struct xen_netif_ctrl_response" { id, kind = "type", status, data }
        io::xs_wire::Header = "struct xsd_sockmsg" { kind = "type", req_id, tx_id, len }
        io::xs_wire::DomainInterface = "struct xenstore_domain_interface" {
            req, rsp, req_cons, req_prod, rsp_cons, rsp_prod, server_features, connection, error,
        }
        io::ring::SringHeader = "struct netif_tx_sring" until "ring" {
            req_prod, req_event, rsp_prod, rsp_event, pvt
        }
    }
}

/// Plain numbers with a type of their own.
pub fn scalars() -> Vec<Structure> {
    scalars! {
        types::Domid = "domid_t"
        types::EvtchnPort = "evtchn_port_t"
        types::Gref = "grant_ref_t"
        types::Gfn = "xen_pfn_t"
        types::Mfn = "xen_pfn_t"
        types::GuestHandle<u8> = "XEN_GUEST_HANDLE(uint8)"
        types::OpPayload = "__typeof__(((xen_domctl_t *)0)->u)"
        types::DomainHandle = "xen_domain_handle_t"
        grant_table::GrantHandle = "grant_handle_t"
    }
}

/// Constants: ours, and a C expression of theirs.
pub fn constants() -> Vec<Constant> {
    constants! {
        // console_io
        console_io::op::WRITE => "CONSOLEIO_write",
        console_io::op::READ => "CONSOLEIO_read",
        // dm_op
        dm_op::op::CREATE_IOREQ_SERVER => "XEN_DMOP_create_ioreq_server",
        dm_op::op::GET_IOREQ_SERVER_INFO => "XEN_DMOP_get_ioreq_server_info",
        dm_op::op::MAP_IO_RANGE_TO_IOREQ_SERVER => "XEN_DMOP_map_io_range_to_ioreq_server",
        dm_op::op::UNMAP_IO_RANGE_FROM_IOREQ_SERVER => "XEN_DMOP_unmap_io_range_from_ioreq_server",
        dm_op::op::SET_IOREQ_SERVER_STATE => "XEN_DMOP_set_ioreq_server_state",
        dm_op::op::DESTROY_IOREQ_SERVER => "XEN_DMOP_destroy_ioreq_server",
        dm_op::op::SET_IRQ_LEVEL => "XEN_DMOP_set_irq_level",
        dm_op::op::NR_VCPUS => "XEN_DMOP_nr_vcpus",
        // domctl
        domctl::INTERFACE_VERSION => "XEN_DOMCTL_INTERFACE_VERSION",
        domctl::op::CREATEDOMAIN => "XEN_DOMCTL_createdomain",
        domctl::op::DESTROYDOMAIN => "XEN_DOMCTL_destroydomain",
        domctl::op::PAUSEDOMAIN => "XEN_DOMCTL_pausedomain",
        domctl::op::UNPAUSEDOMAIN => "XEN_DOMCTL_unpausedomain",
        domctl::op::GETDOMAININFO => "XEN_DOMCTL_getdomaininfo",
        domctl::op::SETVCPUAFFINITY => "XEN_DOMCTL_setvcpuaffinity",
        domctl::op::SHADOW_OP => "XEN_DOMCTL_shadow_op",
        domctl::op::MAX_MEM => "XEN_DOMCTL_max_mem",
        domctl::op::SETVCPUCONTEXT => "XEN_DOMCTL_setvcpucontext",
        domctl::op::GETVCPUCONTEXT => "XEN_DOMCTL_getvcpucontext",
        domctl::op::GETVCPUINFO => "XEN_DOMCTL_getvcpuinfo",
        domctl::op::MAX_VCPUS => "XEN_DOMCTL_max_vcpus",
        domctl::op::SCHEDULER_OP => "XEN_DOMCTL_scheduler_op",
        domctl::op::SETDOMAINHANDLE => "XEN_DOMCTL_setdomainhandle",
        domctl::op::SETDEBUGGING => "XEN_DOMCTL_setdebugging",
        domctl::op::IRQ_PERMISSION => "XEN_DOMCTL_irq_permission",
        domctl::op::IOMEM_PERMISSION => "XEN_DOMCTL_iomem_permission",
        domctl::op::IOPORT_PERMISSION => "XEN_DOMCTL_ioport_permission",
        domctl::op::HYPERCALL_INIT => "XEN_DOMCTL_hypercall_init",
        domctl::op::SETTIMEOFFSET => "XEN_DOMCTL_settimeoffset",
        domctl::op::GETVCPUAFFINITY => "XEN_DOMCTL_getvcpuaffinity",
        domctl::op::RESUMEDOMAIN => "XEN_DOMCTL_resumedomain",
        domctl::op::SENDTRIGGER => "XEN_DOMCTL_sendtrigger",
        domctl::op::SUBSCRIBE => "XEN_DOMCTL_subscribe",
        domctl::op::GETHVMCONTEXT => "XEN_DOMCTL_gethvmcontext",
        domctl::op::SETHVMCONTEXT => "XEN_DOMCTL_sethvmcontext",
        domctl::op::SET_ADDRESS_SIZE => "XEN_DOMCTL_set_address_size",
        domctl::op::GET_ADDRESS_SIZE => "XEN_DOMCTL_get_address_size",
        domctl::op::ASSIGN_DEVICE => "XEN_DOMCTL_assign_device",
        domctl::op::BIND_PT_IRQ => "XEN_DOMCTL_bind_pt_irq",
        domctl::op::MEMORY_MAPPING => "XEN_DOMCTL_memory_mapping",
        domctl::op::IOPORT_MAPPING => "XEN_DOMCTL_ioport_mapping",
        domctl::op::TEST_ASSIGN_DEVICE => "XEN_DOMCTL_test_assign_device",
        domctl::op::SET_TARGET => "XEN_DOMCTL_set_target",
        domctl::op::DEASSIGN_DEVICE => "XEN_DOMCTL_deassign_device",
        domctl::op::UNBIND_PT_IRQ => "XEN_DOMCTL_unbind_pt_irq",
        domctl::op::GET_DEVICE_GROUP => "XEN_DOMCTL_get_device_group",
        domctl::op::DEBUG_OP => "XEN_DOMCTL_debug_op",
        domctl::op::GETHVMCONTEXT_PARTIAL => "XEN_DOMCTL_gethvmcontext_partial",
        domctl::op::VM_EVENT_OP => "XEN_DOMCTL_vm_event_op",
        domctl::op::MEM_SHARING_OP => "XEN_DOMCTL_mem_sharing_op",
        domctl::op::GETTSCINFO => "XEN_DOMCTL_gettscinfo",
        domctl::op::SETTSCINFO => "XEN_DOMCTL_settscinfo",
        domctl::op::GETPAGEFRAMEINFO3 => "XEN_DOMCTL_getpageframeinfo3",
        domctl::op::SET_ACCESS_REQUIRED => "XEN_DOMCTL_set_access_required",
        domctl::op::SET_VIRQ_HANDLER => "XEN_DOMCTL_set_virq_handler",
        domctl::op::SETNODEAFFINITY => "XEN_DOMCTL_setnodeaffinity",
        domctl::op::GETNODEAFFINITY => "XEN_DOMCTL_getnodeaffinity",
        domctl::op::CACHEFLUSH => "XEN_DOMCTL_cacheflush",
        domctl::op::SETVNUMAINFO => "XEN_DOMCTL_setvnumainfo",
        domctl::op::PSR_CMT_OP => "XEN_DOMCTL_psr_cmt_op",
        domctl::op::MONITOR_OP => "XEN_DOMCTL_monitor_op",
        domctl::op::PSR_ALLOC => "XEN_DOMCTL_psr_alloc",
        domctl::op::SOFT_RESET => "XEN_DOMCTL_soft_reset",
        domctl::op::VUART_OP => "XEN_DOMCTL_vuart_op",
        domctl::op::GET_CPU_POLICY => "XEN_DOMCTL_get_cpu_policy",
        domctl::op::SET_CPU_POLICY => "XEN_DOMCTL_set_cpu_policy",
        domctl::op::VMTRACE_OP => "XEN_DOMCTL_vmtrace_op",
        domctl::op::GET_PAGING_MEMPOOL_SIZE => "XEN_DOMCTL_get_paging_mempool_size",
        domctl::op::SET_PAGING_MEMPOOL_SIZE => "XEN_DOMCTL_set_paging_mempool_size",
        domctl::cdf::HVM => "XEN_DOMCTL_CDF_hvm",
        domctl::cdf::HAP => "XEN_DOMCTL_CDF_hap",
        domctl::cdf::S3_INTEGRITY => "XEN_DOMCTL_CDF_s3_integrity",
        domctl::cdf::OOS_OFF => "XEN_DOMCTL_CDF_oos_off",
        domctl::cdf::XS_DOMAIN => "XEN_DOMCTL_CDF_xs_domain",
        domctl::cdf::IOMMU => "XEN_DOMCTL_CDF_iommu",
        domctl::cdf::NESTED_VIRT => "XEN_DOMCTL_CDF_nested_virt",
        domctl::cdf::VPMU => "XEN_DOMCTL_CDF_vpmu",
        domctl::iommu::NO_SHAREPT => "XEN_DOMCTL_IOMMU_no_sharept",
        domctl::GRANT_VERSION_MASK => "XEN_DOMCTL_GRANT_version_mask",
        domctl::dominf::DYING => "XEN_DOMINF_dying",
        domctl::dominf::HVM_GUEST => "XEN_DOMINF_hvm_guest",
        domctl::dominf::SHUTDOWN => "XEN_DOMINF_shutdown",
        domctl::dominf::PAUSED => "XEN_DOMINF_paused",
        domctl::dominf::BLOCKED => "XEN_DOMINF_blocked",
        domctl::dominf::RUNNING => "XEN_DOMINF_running",
        domctl::dominf::DEBUGGED => "XEN_DOMINF_debugged",
        domctl::dominf::XS_DOMAIN => "XEN_DOMINF_xs_domain",
        domctl::dominf::HAP => "XEN_DOMINF_hap",
        domctl::dominf::SHUTDOWN_MASK => "XEN_DOMINF_shutdownmask",
        domctl::dominf::SHUTDOWN_SHIFT => "XEN_DOMINF_shutdownshift",
        domctl::INVALID_MAX_VCPU_ID => "XEN_INVALID_MAX_VCPU_ID",
        domctl::affinity::HARD => "XEN_VCPUAFFINITY_HARD",
        domctl::affinity::SOFT => "XEN_VCPUAFFINITY_SOFT",
        domctl::affinity::FORCE => "XEN_VCPUAFFINITY_FORCE",
        domctl::scheduler::CREDIT => "XEN_SCHEDULER_CREDIT",
        domctl::scheduler::CREDIT2 => "XEN_SCHEDULER_CREDIT2",
        domctl::scheduler::ARINC653 => "XEN_SCHEDULER_ARINC653",
        domctl::scheduler::RTDS => "XEN_SCHEDULER_RTDS",
        domctl::scheduler::NULL => "XEN_SCHEDULER_NULL",
        domctl::schedop::PUTINFO => "XEN_DOMCTL_SCHEDOP_putinfo",
        domctl::schedop::GETINFO => "XEN_DOMCTL_SCHEDOP_getinfo",
        domctl::schedop::PUTVCPUINFO => "XEN_DOMCTL_SCHEDOP_putvcpuinfo",
        domctl::schedop::GETVCPUINFO => "XEN_DOMCTL_SCHEDOP_getvcpuinfo",
        domctl::dev::PCI => "XEN_DOMCTL_DEV_PCI",
        domctl::dev::DT => "XEN_DOMCTL_DEV_DT",
        domctl::PT_IRQ_TYPE_SPI => "PT_IRQ_TYPE_SPI",
        domctl::VUART_OP_INIT => "XEN_DOMCTL_VUART_OP_INIT",
        domctl::VUART_TYPE_VPL011 => "XEN_DOMCTL_VUART_TYPE_VPL011",
        // errno
        // event_channel
        event_channel::op::BIND_INTERDOMAIN => "EVTCHNOP_bind_interdomain",
        event_channel::op::BIND_VIRQ => "EVTCHNOP_bind_virq",
        event_channel::op::BIND_PIRQ => "EVTCHNOP_bind_pirq",
        event_channel::op::CLOSE => "EVTCHNOP_close",
        event_channel::op::SEND => "EVTCHNOP_send",
        event_channel::op::STATUS => "EVTCHNOP_status",
        event_channel::op::ALLOC_UNBOUND => "EVTCHNOP_alloc_unbound",
        event_channel::op::BIND_IPI => "EVTCHNOP_bind_ipi",
        event_channel::op::BIND_VCPU => "EVTCHNOP_bind_vcpu",
        event_channel::op::UNMASK => "EVTCHNOP_unmask",
        event_channel::op::RESET => "EVTCHNOP_reset",
        event_channel::op::INIT_CONTROL => "EVTCHNOP_init_control",
        event_channel::op::EXPAND_ARRAY => "EVTCHNOP_expand_array",
        event_channel::op::SET_PRIORITY => "EVTCHNOP_set_priority",
        event_channel::op::RESET_CONT => "EVTCHNOP_reset_cont",
        event_channel::BIND_PIRQ_WILL_SHARE => "BIND_PIRQ__WILL_SHARE",
        event_channel::status::CLOSED => "EVTCHNSTAT_closed",
        event_channel::status::UNBOUND => "EVTCHNSTAT_unbound",
        event_channel::status::INTERDOMAIN => "EVTCHNSTAT_interdomain",
        event_channel::status::PIRQ => "EVTCHNSTAT_pirq",
        event_channel::status::VIRQ => "EVTCHNSTAT_virq",
        event_channel::status::IPI => "EVTCHNSTAT_ipi",
        event_channel::NR_CHANNELS_2L => "EVTCHN_2L_NR_CHANNELS",
        event_channel::fifo::PRIORITY_MAX => "EVTCHN_FIFO_PRIORITY_MAX",
        event_channel::fifo::PRIORITY_DEFAULT => "EVTCHN_FIFO_PRIORITY_DEFAULT",
        event_channel::fifo::PRIORITY_MIN => "EVTCHN_FIFO_PRIORITY_MIN",
        event_channel::fifo::MAX_QUEUES => "EVTCHN_FIFO_MAX_QUEUES",
        event_channel::fifo::PENDING => "EVTCHN_FIFO_PENDING",
        event_channel::fifo::MASKED => "EVTCHN_FIFO_MASKED",
        event_channel::fifo::LINKED => "EVTCHN_FIFO_LINKED",
        event_channel::fifo::BUSY => "EVTCHN_FIFO_BUSY",
        event_channel::fifo::LINK_BITS => "EVTCHN_FIFO_LINK_BITS",
        event_channel::fifo::LINK_MASK => "EVTCHN_FIFO_LINK_MASK",
        event_channel::fifo::NR_CHANNELS => "EVTCHN_FIFO_NR_CHANNELS",
        event_channel::fifo::WORDS_PER_PAGE => "4096 / sizeof(event_word_t)",
        event_channel::fifo::MAX_ARRAY_PAGES => "EVTCHN_FIFO_NR_CHANNELS / (4096 / sizeof(event_word_t))",
        // features
        features::WRITABLE_PAGE_TABLES => "XENFEAT_writable_page_tables",
        features::AUTO_TRANSLATED_PHYSMAP => "XENFEAT_auto_translated_physmap",
        features::GNTTAB_MAP_AVAIL_BITS => "XENFEAT_gnttab_map_avail_bits",
        features::HVM_CALLBACK_VECTOR => "XENFEAT_hvm_callback_vector",
        features::HVM_SAFE_PVCLOCK => "XENFEAT_hvm_safe_pvclock",
        features::HVM_PIRQS => "XENFEAT_hvm_pirqs",
        features::DOM0 => "XENFEAT_dom0",
        features::MEMORY_OP_VNODE_SUPPORTED => "XENFEAT_memory_op_vnode_supported",
        features::ARM_SMCCC_SUPPORTED => "XENFEAT_ARM_SMCCC_supported",
        features::NOT_DIRECT_MAPPED => "XENFEAT_not_direct_mapped",
        features::DIRECT_MAPPED => "XENFEAT_direct_mapped",
        features::NR_SUBMAPS => "XENFEAT_NR_SUBMAPS",
        // grant_table
        grant_table::ENTRIES_PER_FRAME => "4096 / sizeof(grant_entry_v1_t)",
        grant_table::NR_RESERVED_ENTRIES => "GNTTAB_NR_RESERVED_ENTRIES",
        grant_table::RESERVED_CONSOLE => "GNTTAB_RESERVED_CONSOLE",
        grant_table::RESERVED_XENSTORE => "GNTTAB_RESERVED_XENSTORE",
        grant_table::gtf::INVALID => "GTF_invalid",
        grant_table::gtf::PERMIT_ACCESS => "GTF_permit_access",
        grant_table::gtf::ACCEPT_TRANSFER => "GTF_accept_transfer",
        grant_table::gtf::TRANSITIVE => "GTF_transitive",
        grant_table::gtf::TYPE_MASK => "GTF_type_mask",
        grant_table::gtf::READONLY => "GTF_readonly",
        grant_table::gtf::READING => "GTF_reading",
        grant_table::gtf::WRITING => "GTF_writing",
        grant_table::gtf::PWT => "GTF_PWT",
        grant_table::gtf::PCD => "GTF_PCD",
        grant_table::gtf::PAT => "GTF_PAT",
        grant_table::gtf::SUB_PAGE => "GTF_sub_page",
        grant_table::op::MAP_GRANT_REF => "GNTTABOP_map_grant_ref",
        grant_table::op::UNMAP_GRANT_REF => "GNTTABOP_unmap_grant_ref",
        grant_table::op::SETUP_TABLE => "GNTTABOP_setup_table",
        grant_table::op::DUMP_TABLE => "GNTTABOP_dump_table",
        grant_table::op::TRANSFER => "GNTTABOP_transfer",
        grant_table::op::COPY => "GNTTABOP_copy",
        grant_table::op::QUERY_SIZE => "GNTTABOP_query_size",
        grant_table::op::UNMAP_AND_REPLACE => "GNTTABOP_unmap_and_replace",
        grant_table::op::SET_VERSION => "GNTTABOP_set_version",
        grant_table::op::GET_STATUS_FRAMES => "GNTTABOP_get_status_frames",
        grant_table::op::GET_VERSION => "GNTTABOP_get_version",
        grant_table::op::SWAP_GRANT_REF => "GNTTABOP_swap_grant_ref",
        grant_table::op::CACHE_FLUSH => "GNTTABOP_cache_flush",
        grant_table::gntmap::DEVICE_MAP => "GNTMAP_device_map",
        grant_table::gntmap::HOST_MAP => "GNTMAP_host_map",
        grant_table::gntmap::READONLY => "GNTMAP_readonly",
        grant_table::gntmap::APPLICATION_MAP => "GNTMAP_application_map",
        grant_table::gntmap::CONTAINS_PTE => "GNTMAP_contains_pte",
        grant_table::gntmap::GUEST_AVAIL_SHIFT => "_GNTMAP_guest_avail0",
        grant_table::GrantStatus::OKAY => "GNTST_okay",
        grant_table::GrantStatus::GENERAL_ERROR => "GNTST_general_error",
        grant_table::GrantStatus::BAD_DOMAIN => "GNTST_bad_domain",
        grant_table::GrantStatus::BAD_GNTREF => "GNTST_bad_gntref",
        grant_table::GrantStatus::BAD_HANDLE => "GNTST_bad_handle",
        grant_table::GrantStatus::BAD_VIRT_ADDR => "GNTST_bad_virt_addr",
        grant_table::GrantStatus::BAD_DEV_ADDR => "GNTST_bad_dev_addr",
        grant_table::GrantStatus::NO_DEVICE_SPACE => "GNTST_no_device_space",
        grant_table::GrantStatus::PERMISSION_DENIED => "GNTST_permission_denied",
        grant_table::GrantStatus::BAD_PAGE => "GNTST_bad_page",
        grant_table::GrantStatus::BAD_COPY_ARG => "GNTST_bad_copy_arg",
        grant_table::GrantStatus::ADDRESS_TOO_BIG => "GNTST_address_too_big",
        grant_table::GrantStatus::EAGAIN => "GNTST_eagain",
        grant_table::GrantStatus::NO_SPACE => "GNTST_no_space",
        grant_table::gntcopy::SOURCE_GREF => "GNTCOPY_source_gref",
        grant_table::gntcopy::DEST_GREF => "GNTCOPY_dest_gref",
        grant_table::cache::CLEAN => "GNTTAB_CACHE_CLEAN",
        grant_table::cache::INVAL => "GNTTAB_CACHE_INVAL",
        grant_table::cache::SOURCE_GREF => "GNTTAB_CACHE_SOURCE_GREF",
        // hvm
        hvm::op::SET_PARAM => "HVMOP_set_param",
        hvm::op::GET_PARAM => "HVMOP_get_param",
        hvm::op::GUEST_REQUEST_VM_EVENT => "HVMOP_guest_request_vm_event",
        hvm::op::ALTP2M => "HVMOP_altp2m",
        hvm::param::CALLBACK_IRQ => "HVM_PARAM_CALLBACK_IRQ",
        hvm::param::STORE_PFN => "HVM_PARAM_STORE_PFN",
        hvm::param::STORE_EVTCHN => "HVM_PARAM_STORE_EVTCHN",
        hvm::param::CONSOLE_PFN => "HVM_PARAM_CONSOLE_PFN",
        hvm::param::CONSOLE_EVTCHN => "HVM_PARAM_CONSOLE_EVTCHN",
        hvm::param::PAGING_RING_PFN => "HVM_PARAM_PAGING_RING_PFN",
        hvm::param::MONITOR_RING_PFN => "HVM_PARAM_MONITOR_RING_PFN",
        hvm::param::SHARING_RING_PFN => "HVM_PARAM_SHARING_RING_PFN",
        hvm::param::COUNT => "HVM_NR_PARAMS",
        hvm::callback::TYPE_MASK => "HVM_PARAM_CALLBACK_IRQ_TYPE_MASK",
        hvm::callback::TYPE_SHIFT => "__builtin_ctzll(HVM_PARAM_CALLBACK_IRQ_TYPE_MASK)",
        hvm::callback::TYPE_PPI => "HVM_PARAM_CALLBACK_TYPE_PPI",
        hvm::callback::PPI_FLAG_MASK => "HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_MASK",
        hvm::callback::PPI_FLAG_SHIFT => "__builtin_ctz(HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_MASK)",
        hvm::callback::PPI_FLAG_LOW_LEVEL => "HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_LOW_LEVEL",
        // hypercall
        hypercall::HVC_TAG => "XEN_HYPERCALL_TAG",
        hypercall::SCHED_OP_COMPAT => "__HYPERVISOR_sched_op_compat",
        hypercall::PLATFORM_OP => "__HYPERVISOR_platform_op",
        hypercall::MEMORY_OP => "__HYPERVISOR_memory_op",
        hypercall::MULTICALL => "__HYPERVISOR_multicall",
        hypercall::EVENT_CHANNEL_OP_COMPAT => "__HYPERVISOR_event_channel_op_compat",
        hypercall::XEN_VERSION => "__HYPERVISOR_xen_version",
        hypercall::CONSOLE_IO => "__HYPERVISOR_console_io",
        hypercall::PHYSDEV_OP_COMPAT => "__HYPERVISOR_physdev_op_compat",
        hypercall::GRANT_TABLE_OP => "__HYPERVISOR_grant_table_op",
        hypercall::VM_ASSIST => "__HYPERVISOR_vm_assist",
        hypercall::VCPU_OP => "__HYPERVISOR_vcpu_op",
        hypercall::XSM_OP => "__HYPERVISOR_xsm_op",
        hypercall::SCHED_OP => "__HYPERVISOR_sched_op",
        hypercall::EVENT_CHANNEL_OP => "__HYPERVISOR_event_channel_op",
        hypercall::PHYSDEV_OP => "__HYPERVISOR_physdev_op",
        hypercall::HVM_OP => "__HYPERVISOR_hvm_op",
        hypercall::SYSCTL => "__HYPERVISOR_sysctl",
        hypercall::DOMCTL => "__HYPERVISOR_domctl",
        hypercall::ARGO_OP => "__HYPERVISOR_argo_op",
        hypercall::DM_OP => "__HYPERVISOR_dm_op",
        hypercall::HYPFS_OP => "__HYPERVISOR_hypfs_op",
        hypercall::MULTICALL_ARGS => "sizeof(((multicall_entry_t *)0)->args) / sizeof(xen_ulong_t)",
        // hypfs
        hypfs::VERSION => "XEN_HYPFS_VERSION",
        hypfs::MAX_PATHLEN => "XEN_HYPFS_MAX_PATHLEN",
        hypfs::op::GET_VERSION => "XEN_HYPFS_OP_get_version",
        hypfs::op::READ => "XEN_HYPFS_OP_read",
        hypfs::op::WRITE_CONTENTS => "XEN_HYPFS_OP_write_contents",
        // memory
        memory::op::INCREASE_RESERVATION => "XENMEM_increase_reservation",
        memory::op::DECREASE_RESERVATION => "XENMEM_decrease_reservation",
        memory::op::MAXIMUM_RAM_PAGE => "XENMEM_maximum_ram_page",
        memory::op::CURRENT_RESERVATION => "XENMEM_current_reservation",
        memory::op::MAXIMUM_RESERVATION => "XENMEM_maximum_reservation",
        memory::op::MACHPHYS_MFN_LIST => "XENMEM_machphys_mfn_list",
        memory::op::POPULATE_PHYSMAP => "XENMEM_populate_physmap",
        memory::op::ADD_TO_PHYSMAP => "XENMEM_add_to_physmap",
        memory::op::MEMORY_MAP => "XENMEM_memory_map",
        memory::op::MACHINE_MEMORY_MAP => "XENMEM_machine_memory_map",
        memory::op::EXCHANGE => "XENMEM_exchange",
        memory::op::MACHPHYS_MAPPING => "XENMEM_machphys_mapping",
        memory::op::SET_MEMORY_MAP => "XENMEM_set_memory_map",
        memory::op::MAXIMUM_GPFN => "XENMEM_maximum_gpfn",
        memory::op::REMOVE_FROM_PHYSMAP => "XENMEM_remove_from_physmap",
        memory::op::SET_POD_TARGET => "XENMEM_set_pod_target",
        memory::op::GET_POD_TARGET => "XENMEM_get_pod_target",
        memory::op::GET_SHARING_FREED_PAGES => "XENMEM_get_sharing_freed_pages",
        memory::op::GET_SHARING_SHARED_PAGES => "XENMEM_get_sharing_shared_pages",
        memory::op::PAGING_OP => "XENMEM_paging_op",
        memory::op::ACCESS_OP => "XENMEM_access_op",
        memory::op::SHARING_OP => "XENMEM_sharing_op",
        memory::op::ADD_TO_PHYSMAP_BATCH => "XENMEM_add_to_physmap_batch",
        memory::op::CLAIM_PAGES => "XENMEM_claim_pages",
        memory::op::MACHPHYS_COMPAT_MFN_LIST => "XENMEM_machphys_compat_mfn_list",
        memory::op::GET_VNUMAINFO => "XENMEM_get_vnumainfo",
        memory::op::RESERVED_DEVICE_MEMORY_MAP => "XENMEM_reserved_device_memory_map",
        memory::op::ACQUIRE_RESOURCE => "XENMEM_acquire_resource",
        memory::memf::ADDRESS_BITS_MASK => "XENMEMF_get_address_bits(~0u)",
        memory::memf::NODE_SHIFT => "__builtin_ctz(XENMEMF_node(0))",
        memory::memf::POPULATE_ON_DEMAND => "XENMEMF_populate_on_demand",
        memory::memf::EXACT_NODE_REQUEST => "XENMEMF_exact_node_request",
        memory::memf::VNODE => "XENMEMF_vnode",
        memory::mapspace::SHARED_INFO => "XENMAPSPACE_shared_info",
        memory::mapspace::GRANT_TABLE => "XENMAPSPACE_grant_table",
        memory::mapspace::GMFN => "XENMAPSPACE_gmfn",
        memory::mapspace::GMFN_RANGE => "XENMAPSPACE_gmfn_range",
        memory::mapspace::GMFN_FOREIGN => "XENMAPSPACE_gmfn_foreign",
        memory::mapspace::DEV_MMIO => "XENMAPSPACE_dev_mmio",
        memory::mapspace::GRANT_TABLE_STATUS => "XENMAPIDX_grant_table_status",
        memory::resource::IOREQ_SERVER => "XENMEM_resource_ioreq_server",
        memory::resource::GRANT_TABLE => "XENMEM_resource_grant_table",
        memory::resource::VMTRACE_BUF => "XENMEM_resource_vmtrace_buf",
        memory::resource::GRANT_TABLE_ID_SHARED => "XENMEM_resource_grant_table_id_shared",
        memory::resource::GRANT_TABLE_ID_STATUS => "XENMEM_resource_grant_table_id_status",
        memory::RDM_ALL => "XENMEM_RDM_ALL",
        // physdev
        physdev::op::PCI_DEVICE_ADD => "PHYSDEVOP_pci_device_add",
        physdev::op::PCI_DEVICE_REMOVE => "PHYSDEVOP_pci_device_remove",
        physdev::pci_dev::EXTFN => "XEN_PCI_DEV_EXTFN",
        physdev::pci_dev::VIRTFN => "XEN_PCI_DEV_VIRTFN",
        physdev::pci_dev::PXM => "XEN_PCI_DEV_PXM",
        // platform
        platform::INTERFACE_VERSION => "XENPF_INTERFACE_VERSION",
        platform::op::SETTIME64 => "XENPF_settime64",
        // psci
        psci::v0_1::CPU_SUSPEND => "PSCI_cpu_suspend",
        psci::v0_1::CPU_OFF => "PSCI_cpu_off",
        psci::v0_1::CPU_ON => "PSCI_cpu_on",
        psci::v0_1::MIGRATE => "PSCI_migrate",
        psci::id::VERSION => "PSCI_0_2_FN_PSCI_VERSION",
        psci::id::CPU_SUSPEND => "PSCI_0_2_FN_CPU_SUSPEND",
        psci::id::CPU_OFF => "PSCI_0_2_FN_CPU_OFF",
        psci::id::CPU_ON => "PSCI_0_2_FN_CPU_ON",
        psci::id::AFFINITY_INFO => "PSCI_0_2_FN_AFFINITY_INFO",
        psci::id::MIGRATE => "PSCI_0_2_FN_MIGRATE",
        psci::id::MIGRATE_INFO_TYPE => "PSCI_0_2_FN_MIGRATE_INFO_TYPE",
        psci::id::MIGRATE_INFO_UP_CPU => "PSCI_0_2_FN_MIGRATE_INFO_UP_CPU",
        psci::id::SYSTEM_OFF => "PSCI_0_2_FN_SYSTEM_OFF",
        psci::id::SYSTEM_RESET => "PSCI_0_2_FN_SYSTEM_RESET",
        psci::id::FEATURES => "PSCI_1_0_FN_PSCI_FEATURES",
        psci::id::SYSTEM_SUSPEND => "PSCI_1_0_FN_SYSTEM_SUSPEND",
        psci::id::SMC64 => "PSCI_0_2_64BIT",
        psci::ret::SUCCESS => "PSCI_RET_SUCCESS",
        psci::ret::NOT_SUPPORTED => "PSCI_RET_NOT_SUPPORTED",
        psci::ret::INVALID_PARAMETERS => "PSCI_RET_INVALID_PARAMS",
        psci::ret::DENIED => "PSCI_RET_DENIED",
        psci::ret::ALREADY_ON => "PSCI_RET_ALREADY_ON",
        psci::ret::ON_PENDING => "PSCI_RET_ON_PENDING",
        psci::ret::INTERNAL_FAILURE => "PSCI_RET_INTERNAL_FAILURE",
        psci::ret::NOT_PRESENT => "PSCI_RET_NOT_PRESENT",
        psci::ret::DISABLED => "PSCI_RET_DISABLED",
        psci::ret::INVALID_ADDRESS => "PSCI_RET_INVALID_ADDRESS",
        psci::VERSION_1_1 => "PSCI_VERSION(1, 1)",
        psci::MIGRATE_NOT_NEEDED => "PSCI_0_2_TOS_MP",
        psci::AFFINITY_ON => "PSCI_0_2_AFFINITY_LEVEL_ON",
        psci::AFFINITY_OFF => "PSCI_0_2_AFFINITY_LEVEL_OFF",
        psci::smccc::XEN_MAJOR => "XEN_SMCCC_MAJOR_REVISION",
        psci::smccc::XEN_MINOR => "XEN_SMCCC_MINOR_REVISION",
        psci::smccc::SSSC_MAJOR => "SSSC_SMCCC_MAJOR_REVISION",
        psci::smccc::SSSC_MINOR => "SSSC_SMCCC_MINOR_REVISION",
        // sched
        sched::op::YIELD => "SCHEDOP_yield",
        sched::op::BLOCK => "SCHEDOP_block",
        sched::op::SHUTDOWN => "SCHEDOP_shutdown",
        sched::op::POLL => "SCHEDOP_poll",
        sched::op::REMOTE_SHUTDOWN => "SCHEDOP_remote_shutdown",
        sched::op::SHUTDOWN_CODE => "SCHEDOP_shutdown_code",
        sched::op::WATCHDOG => "SCHEDOP_watchdog",
        sched::op::PIN_OVERRIDE => "SCHEDOP_pin_override",
        sched::shutdown::POWEROFF => "SHUTDOWN_poweroff",
        sched::shutdown::REBOOT => "SHUTDOWN_reboot",
        sched::shutdown::SUSPEND => "SHUTDOWN_suspend",
        sched::shutdown::CRASH => "SHUTDOWN_crash",
        sched::shutdown::WATCHDOG => "SHUTDOWN_watchdog",
        sched::shutdown::SOFT_RESET => "SHUTDOWN_soft_reset",
        sched::shutdown::MAX => "SHUTDOWN_MAX",
        // sysctl
        sysctl::INTERFACE_VERSION => "XEN_SYSCTL_INTERFACE_VERSION",
        sysctl::op::READCONSOLE => "XEN_SYSCTL_readconsole",
        sysctl::op::TBUF_OP => "XEN_SYSCTL_tbuf_op",
        sysctl::op::PHYSINFO => "XEN_SYSCTL_physinfo",
        sysctl::op::SCHED_ID => "XEN_SYSCTL_sched_id",
        sysctl::op::PERFC_OP => "XEN_SYSCTL_perfc_op",
        sysctl::op::GETDOMAININFOLIST => "XEN_SYSCTL_getdomaininfolist",
        sysctl::op::DEBUG_KEYS => "XEN_SYSCTL_debug_keys",
        sysctl::op::GETCPUINFO => "XEN_SYSCTL_getcpuinfo",
        sysctl::op::AVAILHEAP => "XEN_SYSCTL_availheap",
        sysctl::op::GET_PMSTAT => "XEN_SYSCTL_get_pmstat",
        sysctl::op::CPU_HOTPLUG => "XEN_SYSCTL_cpu_hotplug",
        sysctl::op::PM_OP => "XEN_SYSCTL_pm_op",
        sysctl::op::PAGE_OFFLINE_OP => "XEN_SYSCTL_page_offline_op",
        sysctl::op::LOCKPROF_OP => "XEN_SYSCTL_lockprof_op",
        sysctl::op::CPUTOPOINFO => "XEN_SYSCTL_cputopoinfo",
        sysctl::op::NUMAINFO => "XEN_SYSCTL_numainfo",
        sysctl::op::CPUPOOL_OP => "XEN_SYSCTL_cpupool_op",
        sysctl::op::SCHEDULER_OP => "XEN_SYSCTL_scheduler_op",
        sysctl::op::COVERAGE_OP => "XEN_SYSCTL_coverage_op",
        sysctl::op::PSR_CMT_OP => "XEN_SYSCTL_psr_cmt_op",
        sysctl::op::PCITOPOINFO => "XEN_SYSCTL_pcitopoinfo",
        sysctl::op::PSR_ALLOC => "XEN_SYSCTL_psr_alloc",
        sysctl::op::GET_CPU_LEVELLING_CAPS => "XEN_SYSCTL_get_cpu_levelling_caps",
        sysctl::op::GET_CPU_FEATURESET => "XEN_SYSCTL_get_cpu_featureset",
        sysctl::op::LIVEPATCH_OP => "XEN_SYSCTL_livepatch_op",
        sysctl::op::GET_CPU_POLICY => "XEN_SYSCTL_get_cpu_policy",
        sysctl::physcap::HVM => "XEN_SYSCTL_PHYSCAP_hvm",
        sysctl::physcap::PV => "XEN_SYSCTL_PHYSCAP_pv",
        sysctl::physcap::DIRECTIO => "XEN_SYSCTL_PHYSCAP_directio",
        sysctl::physcap::HAP => "XEN_SYSCTL_PHYSCAP_hap",
        sysctl::physcap::SHADOW => "XEN_SYSCTL_PHYSCAP_shadow",
        sysctl::physcap::IOMMU_HAP_PT_SHARE => "XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share",
        sysctl::physcap::VMTRACE => "XEN_SYSCTL_PHYSCAP_vmtrace",
        sysctl::physcap::VPMU => "XEN_SYSCTL_PHYSCAP_vpmu",
        sysctl::physcap::GNTTAB_V1 => "XEN_SYSCTL_PHYSCAP_gnttab_v1",
        sysctl::physcap::GNTTAB_V2 => "XEN_SYSCTL_PHYSCAP_gnttab_v2",
        sysctl::INVALID_ID => "XEN_INVALID_CORE_ID",
        sysctl::INVALID_MEM_SZ => "XEN_INVALID_MEM_SZ",
        sysctl::INVALID_NODE_DIST => "XEN_INVALID_NODE_DIST",
        sysctl::cpupool::CREATE => "XEN_SYSCTL_CPUPOOL_OP_CREATE",
        sysctl::cpupool::DESTROY => "XEN_SYSCTL_CPUPOOL_OP_DESTROY",
        sysctl::cpupool::INFO => "XEN_SYSCTL_CPUPOOL_OP_INFO",
        sysctl::cpupool::ADDCPU => "XEN_SYSCTL_CPUPOOL_OP_ADDCPU",
        sysctl::cpupool::RMCPU => "XEN_SYSCTL_CPUPOOL_OP_RMCPU",
        sysctl::cpupool::MOVEDOMAIN => "XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN",
        sysctl::cpupool::FREEINFO => "XEN_SYSCTL_CPUPOOL_OP_FREEINFO",
        sysctl::cpupool::PAR_ANY => "XEN_SYSCTL_CPUPOOL_PAR_ANY",
        sysctl::credit::TSLICE_MAX => "XEN_SYSCTL_CSCHED_TSLICE_MAX",
        sysctl::credit::TSLICE_MIN => "XEN_SYSCTL_CSCHED_TSLICE_MIN",
        sysctl::credit::RATELIMIT_MAX => "XEN_SYSCTL_SCHED_RATELIMIT_MAX",
        sysctl::credit::RATELIMIT_MIN => "XEN_SYSCTL_SCHED_RATELIMIT_MIN",
        sysctl::credit::MGR_DLY_MAX_US => "XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US",
        // types
        types::PAGE_SHIFT => "XEN_PAGE_SHIFT",
        types::PAGE_SIZE => "1 << XEN_PAGE_SHIFT",
        types::Domid::FIRST_RESERVED => "DOMID_FIRST_RESERVED",
        types::Domid::SELF => "DOMID_SELF",
        types::Domid::IO => "DOMID_IO",
        types::Domid::XEN => "DOMID_XEN",
        types::Domid::COW => "DOMID_COW",
        types::Domid::INVALID => "DOMID_INVALID",
        types::Domid::IDLE => "DOMID_IDLE",
        types::Domid::MASK => "DOMID_MASK",
        types::OP_PAYLOAD_SIZE => "sizeof(((xen_domctl_t *)0)->u)",
        // vcpu
        vcpu::op::INITIALISE => "VCPUOP_initialise",
        vcpu::op::UP => "VCPUOP_up",
        vcpu::op::DOWN => "VCPUOP_down",
        vcpu::op::IS_UP => "VCPUOP_is_up",
        vcpu::op::GET_RUNSTATE_INFO => "VCPUOP_get_runstate_info",
        vcpu::op::REGISTER_RUNSTATE_MEMORY_AREA => "VCPUOP_register_runstate_memory_area",
        vcpu::op::REGISTER_VCPU_INFO => "VCPUOP_register_vcpu_info",
        vcpu::runstate::RUNNING => "RUNSTATE_running",
        vcpu::runstate::RUNNABLE => "RUNSTATE_runnable",
        vcpu::runstate::BLOCKED => "RUNSTATE_blocked",
        vcpu::runstate::OFFLINE => "RUNSTATE_offline",
        vcpu::RUNSTATE_UPDATE => "XEN_RUNSTATE_UPDATE",
        // version
        version::op::VERSION => "XENVER_version",
        version::op::EXTRAVERSION => "XENVER_extraversion",
        version::op::COMPILE_INFO => "XENVER_compile_info",
        version::op::CAPABILITIES => "XENVER_capabilities",
        version::op::CHANGESET => "XENVER_changeset",
        version::op::PLATFORM_PARAMETERS => "XENVER_platform_parameters",
        version::op::GET_FEATURES => "XENVER_get_features",
        version::op::PAGESIZE => "XENVER_pagesize",
        version::op::GUEST_HANDLE => "XENVER_guest_handle",
        version::op::COMMANDLINE => "XENVER_commandline",
        version::op::BUILD_ID => "XENVER_build_id",
        version::EXTRAVERSION_LEN => "sizeof(xen_extraversion_t)",
        version::CAPABILITIES_LEN => "sizeof(xen_capabilities_info_t)",
        version::CHANGESET_LEN => "sizeof(xen_changeset_info_t)",
        version::COMMANDLINE_LEN => "sizeof(xen_commandline_t)",
        // xen
        xen::EVTCHN_WORDS => "sizeof(((struct shared_info *)0)->evtchn_mask) / sizeof(xen_ulong_t)",
        xen::LEGACY_MAX_VCPUS => "XEN_LEGACY_MAX_VCPUS",
        xen::virq::TIMER => "VIRQ_TIMER",
        xen::virq::DEBUG => "VIRQ_DEBUG",
        xen::virq::CONSOLE => "VIRQ_CONSOLE",
        xen::virq::DOM_EXC => "VIRQ_DOM_EXC",
        xen::virq::TBUF => "VIRQ_TBUF",
        xen::virq::DEBUGGER => "VIRQ_DEBUGGER",
        xen::virq::XENOPROF => "VIRQ_XENOPROF",
        xen::virq::CON_RING => "VIRQ_CON_RING",
        xen::virq::PCPU_STATE => "VIRQ_PCPU_STATE",
        xen::virq::MEM_EVENT => "VIRQ_MEM_EVENT",
        xen::virq::ARGO => "VIRQ_ARGO",
        xen::virq::ENOMEM => "VIRQ_ENOMEM",
        xen::virq::XENPMU => "VIRQ_XENPMU",
        xen::virq::ARCH_0 => "VIRQ_ARCH_0",
        xen::virq::ARCH_7 => "VIRQ_ARCH_7",
        xen::virq::COUNT => "NR_VIRQS",
        xen::vm_assist::ENABLE => "VMASST_CMD_enable",
        xen::vm_assist::DISABLE => "VMASST_CMD_disable",
        xen::vm_assist::RUNSTATE_UPDATE_FLAG => "VMASST_TYPE_runstate_update_flag",
        // xsm
        xsm::FLASK_INTERFACE_VERSION => "XEN_FLASK_INTERFACE_VERSION",
        xsm::FLASK_GETENFORCE => "FLASK_GETENFORCE",
        xsm::FLASK_CONTEXT_TO_SID => "FLASK_CONTEXT_TO_SID",
        xsm::FLASK_SID_TO_CONTEXT => "FLASK_SID_TO_CONTEXT",
        // arch::layout
        arch::layout::VIRTIO_MMIO_BASE => "GUEST_VIRTIO_MMIO_BASE",
        arch::layout::VIRTIO_MMIO_SIZE => "GUEST_VIRTIO_MMIO_SIZE",
        arch::layout::GICD_BASE => "GUEST_GICD_BASE",
        arch::layout::GICD_SIZE => "GUEST_GICD_SIZE",
        arch::layout::GICC_BASE => "GUEST_GICC_BASE",
        arch::layout::GICC_SIZE => "GUEST_GICC_SIZE",
        arch::layout::GICV3_GICD_BASE => "GUEST_GICV3_GICD_BASE",
        arch::layout::GICV3_GICD_SIZE => "GUEST_GICV3_GICD_SIZE",
        arch::layout::GICV3_RDIST_REGIONS => "GUEST_GICV3_RDIST_REGIONS",
        arch::layout::GICV3_GICR0_BASE => "GUEST_GICV3_GICR0_BASE",
        arch::layout::GICV3_GICR0_SIZE => "GUEST_GICV3_GICR0_SIZE",
        arch::layout::VPCI_ECAM_BASE => "GUEST_VPCI_ECAM_BASE",
        arch::layout::VPCI_ECAM_SIZE => "GUEST_VPCI_ECAM_SIZE",
        arch::layout::ACPI_BASE => "GUEST_ACPI_BASE",
        arch::layout::ACPI_SIZE => "GUEST_ACPI_SIZE",
        arch::layout::PL011_BASE => "GUEST_PL011_BASE",
        arch::layout::PL011_SIZE => "GUEST_PL011_SIZE",
        arch::layout::VPCI_ADDR_TYPE_MEM => "GUEST_VPCI_ADDR_TYPE_MEM",
        arch::layout::VPCI_MEM_ADDR => "GUEST_VPCI_MEM_ADDR",
        arch::layout::VPCI_MEM_SIZE => "GUEST_VPCI_MEM_SIZE",
        arch::layout::GNTTAB_BASE => "GUEST_GNTTAB_BASE",
        arch::layout::GNTTAB_SIZE => "GUEST_GNTTAB_SIZE",
        arch::layout::MAGIC_BASE => "GUEST_MAGIC_BASE",
        arch::layout::MAGIC_SIZE => "GUEST_MAGIC_SIZE",
        arch::layout::RAM_BANKS => "GUEST_RAM_BANKS",
        arch::layout::RAM0_BASE => "GUEST_RAM0_BASE",
        arch::layout::RAM0_SIZE => "GUEST_RAM0_SIZE",
        arch::layout::RAM1_BASE => "GUEST_RAM1_BASE",
        arch::layout::RAM1_SIZE => "GUEST_RAM1_SIZE",
        arch::layout::RAM_BASE => "GUEST_RAM_BASE",
        arch::layout::RAM_MAX => "GUEST_RAM_MAX",
        arch::layout::VPCI_ADDR_TYPE_PREFETCH_MEM => "GUEST_VPCI_ADDR_TYPE_PREFETCH_MEM",
        arch::layout::VPCI_PREFETCH_MEM_ADDR => "GUEST_VPCI_PREFETCH_MEM_ADDR",
        arch::layout::VPCI_PREFETCH_MEM_SIZE => "GUEST_VPCI_PREFETCH_MEM_SIZE",
        arch::layout::MAX_VCPUS => "GUEST_MAX_VCPUS",
        arch::layout::TIMER_VIRT_PPI => "GUEST_TIMER_VIRT_PPI",
        arch::layout::TIMER_PHYS_S_PPI => "GUEST_TIMER_PHYS_S_PPI",
        arch::layout::TIMER_PHYS_NS_PPI => "GUEST_TIMER_PHYS_NS_PPI",
        arch::layout::EVTCHN_PPI => "GUEST_EVTCHN_PPI",
        arch::layout::VPL011_SPI => "GUEST_VPL011_SPI",
        arch::layout::VIRTIO_MMIO_SPI_FIRST => "GUEST_VIRTIO_MMIO_SPI_FIRST",
        arch::layout::VIRTIO_MMIO_SPI_LAST => "GUEST_VIRTIO_MMIO_SPI_LAST",
        // arch
        arch::VGCF_ONLINE => "VGCF_online",
        arch::SCTLR_GUEST_INIT => "SCTLR_GUEST_INIT",
        arch::aarch32::SP_USR => "REGISTER(sp_usr)",
        arch::aarch32::LR_USR => "REGISTER(lr_usr)",
        arch::aarch32::LR_IRQ => "REGISTER(lr_irq)",
        arch::aarch32::SP_IRQ => "REGISTER(sp_irq)",
        arch::aarch32::LR_SVC => "REGISTER(lr_svc)",
        arch::aarch32::SP_SVC => "REGISTER(sp_svc)",
        arch::aarch32::LR_ABT => "REGISTER(lr_abt)",
        arch::aarch32::SP_ABT => "REGISTER(sp_abt)",
        arch::aarch32::LR_UND => "REGISTER(lr_und)",
        arch::aarch32::SP_UND => "REGISTER(sp_und)",
        arch::aarch32::R8_FIQ => "REGISTER(r8_fiq)",
        arch::aarch32::SP_FIQ => "REGISTER(sp_fiq)",
        arch::aarch32::LR_FIQ => "REGISTER(lr_fiq)",
        arch::gic::NATIVE => "XEN_DOMCTL_CONFIG_GIC_NATIVE",
        arch::gic::V2 => "XEN_DOMCTL_CONFIG_GIC_V2",
        arch::gic::V3 => "XEN_DOMCTL_CONFIG_GIC_V3",
        arch::tee::NONE => "XEN_DOMCTL_CONFIG_TEE_NONE",
        arch::tee::OPTEE => "XEN_DOMCTL_CONFIG_TEE_OPTEE",
        // arch::psr
        arch::psr::THUMB => "PSR_THUMB",
        arch::psr::FIQ_MASK => "PSR_FIQ_MASK",
        arch::psr::IRQ_MASK => "PSR_IRQ_MASK",
        arch::psr::ABT_MASK => "PSR_ABT_MASK",
        arch::psr::BIG_ENDIAN => "PSR_BIG_ENDIAN",
        arch::psr::DBG_MASK => "PSR_DBG_MASK",
        arch::psr::IT_MASK => "PSR_IT_MASK",
        arch::psr::JAZELLE => "PSR_JAZELLE",
        arch::psr::Z => "PSR_Z",
        arch::psr::MODE_USR => "PSR_MODE_USR",
        arch::psr::MODE_FIQ => "PSR_MODE_FIQ",
        arch::psr::MODE_IRQ => "PSR_MODE_IRQ",
        arch::psr::MODE_SVC => "PSR_MODE_SVC",
        arch::psr::MODE_MON => "PSR_MODE_MON",
        arch::psr::MODE_ABT => "PSR_MODE_ABT",
        arch::psr::MODE_HYP => "PSR_MODE_HYP",
        arch::psr::MODE_UND => "PSR_MODE_UND",
        arch::psr::MODE_SYS => "PSR_MODE_SYS",
        arch::psr::MODE_BIT => "PSR_MODE_BIT",
        arch::psr::MODE_EL3H => "PSR_MODE_EL3h",
        arch::psr::MODE_EL3T => "PSR_MODE_EL3t",
        arch::psr::MODE_EL2H => "PSR_MODE_EL2h",
        arch::psr::MODE_EL2T => "PSR_MODE_EL2t",
        arch::psr::MODE_EL1H => "PSR_MODE_EL1h",
        arch::psr::MODE_EL1T => "PSR_MODE_EL1t",
        arch::psr::MODE_EL0T => "PSR_MODE_EL0t",
        arch::psr::GUEST32_INIT => "PSR_GUEST32_INIT",
        arch::psr::GUEST64_INIT => "PSR_GUEST64_INIT",
        // io::blkif
        io::blkif::op::READ => "BLKIF_OP_READ",
        io::blkif::op::WRITE => "BLKIF_OP_WRITE",
        io::blkif::op::WRITE_BARRIER => "BLKIF_OP_WRITE_BARRIER",
        io::blkif::op::FLUSH_DISKCACHE => "BLKIF_OP_FLUSH_DISKCACHE",
        io::blkif::op::DISCARD => "BLKIF_OP_DISCARD",
        io::blkif::op::INDIRECT => "BLKIF_OP_INDIRECT",
        io::blkif::rsp::OKAY => "BLKIF_RSP_OKAY",
        io::blkif::rsp::ERROR => "BLKIF_RSP_ERROR",
        io::blkif::rsp::EOPNOTSUPP => "BLKIF_RSP_EOPNOTSUPP",
        io::blkif::MAX_SEGMENTS_PER_REQUEST => "BLKIF_MAX_SEGMENTS_PER_REQUEST",
        io::blkif::MAX_INDIRECT_PAGES_PER_REQUEST => "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST",
        io::blkif::SEGMENTS_PER_INDIRECT_PAGE => "4096 / sizeof(struct blkif_request_segment)",
        io::blkif::DISCARD_SECURE => "BLKIF_DISCARD_SECURE",
        io::blkif::vdisk::CDROM => "VDISK_CDROM",
        io::blkif::vdisk::REMOVABLE => "VDISK_REMOVABLE",
        io::blkif::vdisk::READONLY => "VDISK_READONLY",
        // io::console
        io::console::IN_SIZE => "sizeof(((struct xencons_interface *)0)->in)",
        io::console::OUT_SIZE => "sizeof(((struct xencons_interface *)0)->out)",
        // io
        // io::netif
        io::netif::NR_SLOTS_MIN => "XEN_NETIF_NR_SLOTS_MIN",
        io::netif::MAX_TX_SIZE => "XEN_NETIF_MAX_TX_SIZE",
        io::netif::txf::CSUM_BLANK => "NETTXF_csum_blank",
        io::netif::txf::DATA_VALIDATED => "NETTXF_data_validated",
        io::netif::txf::MORE_DATA => "NETTXF_more_data",
        io::netif::txf::EXTRA_INFO => "NETTXF_extra_info",
        io::netif::rxf::DATA_VALIDATED => "NETRXF_data_validated",
        io::netif::rxf::CSUM_BLANK => "NETRXF_csum_blank",
        io::netif::rxf::MORE_DATA => "NETRXF_more_data",
        io::netif::rxf::EXTRA_INFO => "NETRXF_extra_info",
        io::netif::rxf::GSO_PREFIX => "NETRXF_gso_prefix",
        io::netif::extra::TYPE_NONE => "XEN_NETIF_EXTRA_TYPE_NONE",
        io::netif::extra::TYPE_GSO => "XEN_NETIF_EXTRA_TYPE_GSO",
        io::netif::extra::TYPE_MCAST_ADD => "XEN_NETIF_EXTRA_TYPE_MCAST_ADD",
        io::netif::extra::TYPE_MCAST_DEL => "XEN_NETIF_EXTRA_TYPE_MCAST_DEL",
        io::netif::extra::TYPE_HASH => "XEN_NETIF_EXTRA_TYPE_HASH",
        io::netif::extra::TYPE_MAX => "XEN_NETIF_EXTRA_TYPE_MAX",
        io::netif::extra::FLAG_MORE => "XEN_NETIF_EXTRA_FLAG_MORE",
        io::netif::gso::NONE => "XEN_NETIF_GSO_TYPE_NONE",
        io::netif::gso::TCPV4 => "XEN_NETIF_GSO_TYPE_TCPV4",
        io::netif::gso::TCPV6 => "XEN_NETIF_GSO_TYPE_TCPV6",
        io::netif::rsp::DROPPED => "NETIF_RSP_DROPPED",
        io::netif::rsp::ERROR => "NETIF_RSP_ERROR",
        io::netif::rsp::OKAY => "NETIF_RSP_OKAY",
        io::netif::rsp::NULL => "NETIF_RSP_NULL",
        io::netif::ctrl::TYPE_INVALID => "XEN_NETIF_CTRL_TYPE_INVALID",
        io::netif::ctrl::TYPE_GET_HASH_FLAGS => "XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS",
        io::netif::ctrl::TYPE_SET_HASH_FLAGS => "XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS",
        io::netif::ctrl::TYPE_SET_HASH_KEY => "XEN_NETIF_CTRL_TYPE_SET_HASH_KEY",
        io::netif::ctrl::TYPE_GET_HASH_MAPPING_SIZE => "XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE",
        io::netif::ctrl::TYPE_SET_HASH_MAPPING_SIZE => "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE",
        io::netif::ctrl::TYPE_SET_HASH_MAPPING => "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING",
        io::netif::ctrl::TYPE_SET_HASH_ALGORITHM => "XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM",
        io::netif::ctrl::TYPE_GET_GREF_MAPPING_SIZE => "XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE",
        io::netif::ctrl::TYPE_ADD_GREF_MAPPING => "XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING",
        io::netif::ctrl::TYPE_DEL_GREF_MAPPING => "XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING",
        io::netif::ctrl::STATUS_SUCCESS => "XEN_NETIF_CTRL_STATUS_SUCCESS",
        io::netif::ctrl::STATUS_NOT_SUPPORTED => "XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED",
        io::netif::ctrl::STATUS_INVALID_PARAMETER => "XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER",
        io::netif::ctrl::STATUS_BUFFER_OVERFLOW => "XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW",
        // io::ring
        io::ring::ENTRIES_OFFSET => "offsetof(struct blkif_sring, ring)",
        // io::xenbus
        io::xenbus::XenbusState::UNKNOWN => "XenbusStateUnknown",
        io::xenbus::XenbusState::INITIALISING => "XenbusStateInitialising",
        io::xenbus::XenbusState::INIT_WAIT => "XenbusStateInitWait",
        io::xenbus::XenbusState::INITIALISED => "XenbusStateInitialised",
        io::xenbus::XenbusState::CONNECTED => "XenbusStateConnected",
        io::xenbus::XenbusState::CLOSING => "XenbusStateClosing",
        io::xenbus::XenbusState::CLOSED => "XenbusStateClosed",
        io::xenbus::XenbusState::RECONFIGURING => "XenbusStateReconfiguring",
        io::xenbus::XenbusState::RECONFIGURED => "XenbusStateReconfigured",
        // io::xs_wire
        io::xs_wire::msg::CONTROL => "XS_CONTROL",
        io::xs_wire::msg::DIRECTORY => "XS_DIRECTORY",
        io::xs_wire::msg::READ => "XS_READ",
        io::xs_wire::msg::GET_PERMS => "XS_GET_PERMS",
        io::xs_wire::msg::WATCH => "XS_WATCH",
        io::xs_wire::msg::UNWATCH => "XS_UNWATCH",
        io::xs_wire::msg::TRANSACTION_START => "XS_TRANSACTION_START",
        io::xs_wire::msg::TRANSACTION_END => "XS_TRANSACTION_END",
        io::xs_wire::msg::INTRODUCE => "XS_INTRODUCE",
        io::xs_wire::msg::RELEASE => "XS_RELEASE",
        io::xs_wire::msg::GET_DOMAIN_PATH => "XS_GET_DOMAIN_PATH",
        io::xs_wire::msg::WRITE => "XS_WRITE",
        io::xs_wire::msg::MKDIR => "XS_MKDIR",
        io::xs_wire::msg::RM => "XS_RM",
        io::xs_wire::msg::SET_PERMS => "XS_SET_PERMS",
        io::xs_wire::msg::WATCH_EVENT => "XS_WATCH_EVENT",
        io::xs_wire::msg::ERROR => "XS_ERROR",
        io::xs_wire::msg::IS_DOMAIN_INTRODUCED => "XS_IS_DOMAIN_INTRODUCED",
        io::xs_wire::msg::RESUME => "XS_RESUME",
        io::xs_wire::msg::SET_TARGET => "XS_SET_TARGET",
        io::xs_wire::msg::RESET_WATCHES => "XS_RESET_WATCHES",
        io::xs_wire::msg::DIRECTORY_PART => "XS_DIRECTORY_PART",
        io::xs_wire::msg::TYPE_COUNT => "XS_TYPE_COUNT",
        io::xs_wire::msg::INVALID => "XS_INVALID",
        io::xs_wire::RING_SIZE => "XENSTORE_RING_SIZE",
        io::xs_wire::PAYLOAD_MAX => "XENSTORE_PAYLOAD_MAX",
        io::xs_wire::ABS_PATH_MAX => "XENSTORE_ABS_PATH_MAX",
        io::xs_wire::REL_PATH_MAX => "XENSTORE_REL_PATH_MAX",
        io::xs_wire::SERVER_FEATURE_RECONNECTION => "XENSTORE_SERVER_FEATURE_RECONNECTION",
        io::xs_wire::SERVER_FEATURE_ERROR => "XENSTORE_SERVER_FEATURE_ERROR",
        io::xs_wire::CONNECTED => "XENSTORE_CONNECTED",
        io::xs_wire::RECONNECT => "XENSTORE_RECONNECT",
        io::xs_wire::ERROR_NONE => "XENSTORE_ERROR_NONE",
        io::xs_wire::ERROR_COMM => "XENSTORE_ERROR_COMM",
        io::xs_wire::ERROR_RINGIDX => "XENSTORE_ERROR_RINGIDX",
        io::xs_wire::ERROR_PROTO => "XENSTORE_ERROR_PROTO",
    }
}

/// Constants that no installed header has, and where they come from instead.
pub const WITHOUT_HEADER: &[(&str, &str)] = &[
    ("grant_table::op::MASK", "GNTTABOP_CMD_MASK of Xen's own sources"),
    ("hypercall::COUNT", "size of Xen's hypercall table"),
    ("memory::op::EXTENT_SHIFT", "MEMOP_EXTENT_SHIFT of Xen's own sources"),
    ("memory::op::MASK", "follows from EXTENT_SHIFT"),
    ("psci::smccc::", "Arm DEN0028, SMC Calling Convention"),
    ("types::EvtchnPort::NONE", "Xen's event_channel.c never allocates port 0"),
    ("types::Gfn::INVALID", "all ones"),
    ("types::Mfn::INVALID", "all ones"),
    ("types::GuestHandle::NULL", "null"),
    ("arch::layout::MAGIC_", "order of the pages in the sources of Xen's toolstack"),
    ("io::ring::SringHeader::INIT", "what the macro SHARED_RING_INIT stores"),
    ("io::blkif::SECTOR_SIZE", "only said in the comments of blkif.h"),
];
