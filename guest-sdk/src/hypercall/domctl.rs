//! One domain, as the toolstack sees it (hypercall 36). All of it is dom0's.
//!
//! Common errors: `ESRCH` for a domain that is not there, `EPERM` for a caller that is not dom0,
//! `EACCES` when the hypervisor speaks another version of the interface.

use alloc::vec;
use alloc::vec::Vec;

use xen_abi::{
    Domid, Errno, GuestHandle, VcpuId,
    arch::VcpuGuestContext,
    domctl::{
        AddressSize, CacheFlush, CreateDomain, Domctl, GetDomainInfo, GetVcpuInfo, INTERFACE_VERSION, MaxMem,
        MaxVcpus, NodeAffinity, PagingMempool, SchedCredit, SchedulerOp, SetDomainHandle, SetTimeOffset,
        SetVirqHandler, VcpuAffinity, VcpuContext, affinity, op, schedop,
    },
    hypercall::DOMCTL,
    types::{CtlBitmap, DomainHandle, OpPayload},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{call, handle_mut};

/// Makes any domctl: gives the domain field and the payload as the hypervisor left them.
///
/// # Safety
///
/// `T` is the structure of `cmd`, and what its handles point to is valid for it.
///
/// # Errors
///
/// The hypervisor's.
pub unsafe fn domctl<T>(cmd: u32, domain: Domid, payload: &T) -> Result<(Domid, T), Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    let mut arg =
        Domctl { cmd, interface_version: INTERFACE_VERSION, domain, pad: [0; 3], u: OpPayload::of(payload) };
    // SAFETY: the envelope is valid for both directions; the rest is the caller's promise.
    unsafe { call(DOMCTL, [core::ptr::from_mut(&mut arg) as usize]) }?;
    Ok((arg.domain, arg.u.get()))
}

/// A domctl without handles whose answer does not matter.
fn set<T>(cmd: u32, domain: Domid, payload: &T) -> Result<(), Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    // SAFETY: the structures used with it below have no handles.
    unsafe { domctl(cmd, domain, payload) }.map(drop)
}

/// A domctl without handles that answers.
fn get<T>(cmd: u32, domain: Domid, payload: &T) -> Result<T, Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    // SAFETY: as above.
    unsafe { domctl(cmd, domain, payload) }.map(|(_, answer)| answer)
}

/// A domctl that only names its domain.
fn order(cmd: u32, domain: Domid) -> Result<(), Errno> {
    set(cmd, domain, &[0u8; 0])
}

/// Makes a domain, of the given id or of any for none: paused, without memory and vCPUs. Gives its
/// id, and the configuration as it was completed.
///
/// # Errors
///
/// `EEXIST`, `EINVAL`, `ENOMEM`.
pub fn create(domid: Option<Domid>, config: &CreateDomain) -> Result<(Domid, CreateDomain), Errno> {
    let wanted = domid.unwrap_or(Domid(0));
    // SAFETY: there are no handles in it.
    unsafe { domctl(op::CREATEDOMAIN, wanted, config) }
}

/// Tears a domain down, to its end or until the hypervisor wants to be asked again.
///
/// # Errors
///
/// `EINVAL` for this domain itself; `ERESTART` or `EAGAIN` when it is to be repeated.
pub fn destroy(domain: Domid) -> Result<(), Errno> {
    order(op::DESTROYDOMAIN, domain)
}

/// Stops its vCPUs; pauses nest.
///
/// # Errors
///
/// `EINVAL` for this domain itself.
pub fn pause(domain: Domid) -> Result<(), Errno> {
    order(op::PAUSEDOMAIN, domain)
}

/// Undoes a [`pause`], or the one it was born with.
///
/// # Errors
///
/// `EINVAL` when it is not paused.
pub fn unpause(domain: Domid) -> Result<(), Errno> {
    order(op::UNPAUSEDOMAIN, domain)
}

/// Lets a domain that shut down go on.
///
/// # Errors
///
/// `EINVAL` for this domain itself.
pub fn resume(domain: Domid) -> Result<(), Errno> {
    order(op::RESUMEDOMAIN, domain)
}

/// Tells about a domain.
///
/// # Errors
///
/// `ESRCH` when it is not there: the hypervisor would tell about the next one.
pub fn info(domain: Domid) -> Result<GetDomainInfo, Errno> {
    let info = next_info(domain)?;
    if info.domain != domain {
        return Err(Errno::ESRCH);
    }
    Ok(info)
}

/// Tells about a domain or, when it is not there, the next one.
///
/// # Errors
///
/// `ESRCH` when there is no further one.
pub fn next_info(domain: Domid) -> Result<GetDomainInfo, Errno> {
    get(op::GETDOMAININFO, domain, &GetDomainInfo::default())
}

/// Limits a domain's memory.
///
/// # Errors
///
/// The common ones.
pub fn max_mem(domain: Domid, max_memkb: u64) -> Result<(), Errno> {
    set(op::MAX_MEM, domain, &MaxMem { max_memkb })
}

/// Makes its vCPUs, as many as [`create`] was told.
///
/// # Errors
///
/// `EINVAL`, `ENOMEM`.
pub fn max_vcpus(domain: Domid, max: u32) -> Result<(), Errno> {
    set(op::MAX_VCPUS, domain, &MaxVcpus { max })
}

/// Sets a vCPU's registers.
///
/// # Errors
///
/// `EINVAL` for impossible ones.
pub fn set_vcpu_context(domain: Domid, vcpu: VcpuId, context: &VcpuGuestContext) -> Result<(), Errno> {
    let arg = VcpuContext {
        vcpu: vcpu.0,
        pad: 0,
        ctxt: GuestHandle::new(core::ptr::from_ref(context) as usize as u64),
    };
    // SAFETY: the handle is to a context, which is only read.
    unsafe { domctl(op::SETVCPUCONTEXT, domain, &arg) }.map(drop)
}

/// Reads a vCPU's registers.
///
/// # Errors
///
/// `ENODATA` when it was never set up.
pub fn vcpu_context(domain: Domid, vcpu: VcpuId) -> Result<VcpuGuestContext, Errno> {
    let mut context = VcpuGuestContext::default();
    let arg = VcpuContext {
        vcpu: vcpu.0,
        pad: 0,
        ctxt: GuestHandle::new(core::ptr::from_mut(&mut context) as usize as u64),
    };
    // SAFETY: the handle is to a context that may be written.
    unsafe { domctl(op::GETVCPUCONTEXT, domain, &arg) }?;
    Ok(context)
}

/// Tells about a vCPU.
///
/// # Errors
///
/// `EINVAL`, or `ESRCH` when it is not there.
pub fn vcpu_info(domain: Domid, vcpu: VcpuId) -> Result<GetVcpuInfo, Errno> {
    let arg = GetVcpuInfo { vcpu: vcpu.0, ..GetVcpuInfo::default() };
    get(op::GETVCPUINFO, domain, &arg)
}

/// A bitmap for as many CPUs as `bytes` has bits.
fn bitmap(bytes: &mut [u8]) -> CtlBitmap {
    CtlBitmap { bitmap: handle_mut(bytes), nr_bits: (bytes.len() * 8) as u32, pad: 0 }
}

/// Sets on which CPUs a vCPU may run (`hard`) and prefers to run (`soft`): bitmaps, least
/// significant bit first. They come back as they took effect.
///
/// # Errors
///
/// `EINVAL` when none of the CPUs can be used, or both are left out.
pub fn set_vcpu_affinity(
    domain: Domid,
    vcpu: VcpuId,
    hard: Option<&mut [u8]>,
    soft: Option<&mut [u8]>,
) -> Result<(), Errno> {
    let mut arg = VcpuAffinity { vcpu: vcpu.0, ..VcpuAffinity::default() };
    if let Some(hard) = hard {
        arg.flags |= affinity::HARD;
        arg.cpumap_hard = bitmap(hard);
    }
    if let Some(soft) = soft {
        arg.flags |= affinity::SOFT;
        arg.cpumap_soft = bitmap(soft);
    }
    // SAFETY: the bitmaps are as long as they say, and may be written.
    unsafe { domctl(op::SETVCPUAFFINITY, domain, &arg) }.map(drop)
}

/// On which of the first `cpus` CPUs a vCPU may run, and prefers to: bitmaps.
///
/// # Errors
///
/// As [`vcpu_info`].
pub fn vcpu_affinity(domain: Domid, vcpu: VcpuId, cpus: usize) -> Result<(Vec<u8>, Vec<u8>), Errno> {
    let mut hard = vec![0; cpus.div_ceil(8)];
    let mut soft = hard.clone();
    let arg = VcpuAffinity {
        vcpu: vcpu.0,
        flags: affinity::HARD | affinity::SOFT,
        cpumap_hard: bitmap(&mut hard),
        cpumap_soft: bitmap(&mut soft),
    };
    // SAFETY: the bitmaps are as long as they say, and may be written.
    unsafe { domctl(op::GETVCPUAFFINITY, domain, &arg) }?;
    Ok((hard, soft))
}

/// The NUMA nodes that a domain prefers, of the first `nodes`: a bitmap.
///
/// # Errors
///
/// The common ones.
pub fn node_affinity(domain: Domid, nodes: usize) -> Result<Vec<u8>, Errno> {
    let mut map = vec![0; nodes.div_ceil(8)];
    let arg = NodeAffinity { nodemap: bitmap(&mut map) };
    // SAFETY: the bitmap is as long as it says, and may be written.
    unsafe { domctl(op::GETNODEAFFINITY, domain, &arg) }?;
    Ok(map)
}

fn scheduler(domain: Domid, sched_id: u32, cmd: u32, with: SchedCredit) -> Result<SchedCredit, Errno> {
    let mut arg = SchedulerOp { sched_id, cmd, ..SchedulerOp::default() };
    arg.set_credit(with);
    get(op::SCHEDULER_OP, domain, &arg).map(|answer| answer.credit())
}

/// Weight and cap of a domain under the credit schedulers (see [`xen_abi::domctl::scheduler`]).
///
/// # Errors
///
/// `EINVAL` when another scheduler is in charge.
pub fn credit(domain: Domid, sched_id: u32) -> Result<SchedCredit, Errno> {
    scheduler(domain, sched_id, schedop::GETINFO, SchedCredit::default())
}

/// Sets weight and cap; a weight of 0 and a cap of 0xFFFF leave what is.
///
/// # Errors
///
/// As [`credit`].
pub fn set_credit(domain: Domid, sched_id: u32, to: SchedCredit) -> Result<(), Errno> {
    scheduler(domain, sched_id, schedop::PUTINFO, to).map(drop)
}

/// Sets its UUID.
///
/// # Errors
///
/// The common ones.
pub fn set_handle(domain: Domid, handle: DomainHandle) -> Result<(), Errno> {
    set(op::SETDOMAINHANDLE, domain, &SetDomainHandle { handle })
}

/// Shifts its wall clock.
///
/// # Errors
///
/// The common ones.
pub fn set_time_offset(domain: Domid, time_offset_seconds: i64) -> Result<(), Errno> {
    let arg = SetTimeOffset { time_offset_seconds };
    set(op::SETTIMEOFFSET, domain, &arg)
}

/// Chooses AArch32 (32) or AArch64 (64), before it has memory.
///
/// # Errors
///
/// `EINVAL` for what the machine cannot do, `EBUSY` when it has memory.
pub fn set_address_size(domain: Domid, size: u32) -> Result<(), Errno> {
    set(op::SET_ADDRESS_SIZE, domain, &AddressSize { size })
}

/// Sends a global virtual interrupt to a domain instead of dom0.
///
/// # Errors
///
/// `EINVAL` for one that is not global.
pub fn set_virq_handler(domain: Domid, virq: u32) -> Result<(), Errno> {
    set(op::SET_VIRQ_HANDLER, domain, &SetVirqHandler { virq })
}

/// Cleans pages of a domain from the caches, so that it sees them with its own caches off.
///
/// # Errors
///
/// `EINVAL` for too many.
pub fn cache_flush(domain: Domid, start_pfn: u64, nr_pfns: u64) -> Result<(), Errno> {
    let arg = CacheFlush { start_pfn, nr_pfns };
    set(op::CACHEFLUSH, domain, &arg)
}

/// Bytes set aside for a domain's second-stage tables.
///
/// # Errors
///
/// The common ones.
pub fn paging_mempool_size(domain: Domid) -> Result<u64, Errno> {
    let arg = PagingMempool::default();
    get(op::GET_PAGING_MEMPOOL_SIZE, domain, &arg).map(|a| a.size)
}

/// Sets aside bytes, whole pages, for a domain's second-stage tables.
///
/// # Errors
///
/// `EINVAL`, `ENOMEM`, `EBUSY`.
pub fn set_paging_mempool_size(domain: Domid, size: u64) -> Result<(), Errno> {
    set(op::SET_PAGING_MEMPOOL_SIZE, domain, &PagingMempool { size })
}
