//! The whole machine, as the toolstack sees it (hypercall 35). All of it is dom0's.
//!
//! Common errors: `EPERM` for a caller that is not dom0, `EACCES` when the hypervisor speaks
//! another version of the interface.

use alloc::{vec, vec::Vec};

use xen_abi::{
    Domid, Errno, GuestHandle,
    domctl::GetDomainInfo,
    hypercall::SYSCTL,
    sysctl::{
        AvailHeap, CpuInfo, CpuTopo, CpuTopoInfo, CpupoolOp, CreditSchedule, DebugKeys, GetCpuInfo,
        GetDomainInfoList, INTERFACE_VERSION, MemInfo, NumaInfo, PhysInfo, ReadConsole, SchedId, SchedulerOp,
        Sysctl, cpupool, op,
    },
    types::{CtlBitmap, OpPayload},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{call, count, handle, handle_mut};

/// Makes any sysctl, and gives its payload as the hypervisor left it.
///
/// # Safety
///
/// `T` is the structure of `cmd`, and what its handles point to is valid for it.
///
/// # Errors
///
/// The hypervisor's.
pub unsafe fn sysctl<T>(cmd: u32, payload: &T) -> Result<T, Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    let mut arg = Sysctl { cmd, interface_version: INTERFACE_VERSION, u: OpPayload::of(payload) };
    // SAFETY: the envelope is valid for both directions; the rest is the caller's promise.
    unsafe { call(SYSCTL, [core::ptr::from_mut(&mut arg) as usize]) }?;
    Ok(arg.u.get())
}

/// A sysctl without handles.
fn plain<T>(cmd: u32, payload: &T) -> Result<T, Errno>
where
    T: FromBytes + IntoBytes + Immutable,
{
    // SAFETY: the structures used with it below have no handles, or null ones.
    unsafe { sysctl(cmd, payload) }
}

/// Reads the hypervisor's log into `into`: from `index` on when there is one, else from its
/// beginning. Gives the number of bytes and the index to go on from.
///
/// # Errors
///
/// The common ones.
pub fn read_console(into: &mut [u8], index: Option<u32>, clear: bool) -> Result<(usize, u32), Errno> {
    let arg = ReadConsole {
        clear: clear.into(),
        incremental: index.is_some().into(),
        pad: [0; 2],
        index: index.unwrap_or(0),
        buffer: handle_mut(into),
        count: count(into)?,
        pad2: 0,
    };
    // SAFETY: the buffer is as long as it says, and may be written.
    let answer = unsafe { sysctl(op::READCONSOLE, &arg) }?;
    Ok((into.len().min(answer.count as usize), answer.index))
}

/// Tells about the machine.
///
/// # Errors
///
/// The common ones.
pub fn physinfo() -> Result<PhysInfo, Errno> {
    plain(op::PHYSINFO, &PhysInfo::default())
}

/// The default scheduler (see [`xen_abi::domctl::scheduler`]).
///
/// # Errors
///
/// The common ones.
pub fn sched_id() -> Result<u32, Errno> {
    plain(op::SCHED_ID, &SchedId::default()).map(|a| a.sched_id)
}

/// Tells about domains from `first` on, as many as `into` holds; says about how many.
///
/// # Errors
///
/// The common ones.
pub fn domain_info_list(first: Domid, into: &mut [GetDomainInfo]) -> Result<usize, Errno> {
    let arg = GetDomainInfoList {
        first_domain: first,
        max_domains: count(into)?,
        buffer: handle_mut(into),
        ..GetDomainInfoList::default()
    };
    // SAFETY: the buffer is as long as it says, and may be written.
    let answer = unsafe { sysctl(op::GETDOMAININFOLIST, &arg) }?;
    Ok(into.len().min(answer.num_domains as usize))
}

/// Tells about all domains.
///
/// # Errors
///
/// The common ones.
pub fn domains() -> Result<Vec<GetDomainInfo>, Errno> {
    const BATCH: usize = 32;
    let mut all = Vec::new();
    let mut batch = vec![GetDomainInfo::default(); BATCH];
    let mut first = Domid(0);
    loop {
        let n = domain_info_list(first, &mut batch)?;
        all.extend_from_slice(&batch[..n]);
        match batch[..n].last() {
            Some(last) if n == BATCH => first = Domid(last.domain.0.saturating_add(1)),
            _ => return Ok(all),
        }
    }
}

/// Presses debug keys.
///
/// # Errors
///
/// The common ones.
pub fn debug_keys(keys: &[u8]) -> Result<(), Errno> {
    let arg = DebugKeys { keys: handle(keys), nr_keys: count(keys)?, pad: 0 };
    // SAFETY: the keys are as many as it says, and only read.
    unsafe { sysctl(op::DEBUG_KEYS, &arg) }.map(drop)
}

/// Nanoseconds that each of the first `cpus` CPUs idled.
///
/// # Errors
///
/// The common ones.
pub fn cpu_idle_times(cpus: usize) -> Result<Vec<u64>, Errno> {
    let mut list = vec![CpuInfo::default(); cpus];
    let arg = GetCpuInfo { max_cpus: count(&list)?, info: handle_mut(&mut list), ..GetCpuInfo::default() };
    // SAFETY: the list is as long as it says, and may be written.
    let n = unsafe { sysctl(op::GETCPUINFO, &arg) }?.nr_cpus;
    list.truncate(n as usize);
    Ok(list.iter().map(|cpu| cpu.idletime).collect())
}

/// Bytes that are free for domains.
///
/// # Errors
///
/// The common ones.
pub fn free_memory() -> Result<u64, Errno> {
    let arg = AvailHeap { node: -1, ..AvailHeap::default() };
    plain(op::AVAILHEAP, &arg).map(|a| a.avail_bytes)
}

/// Core, socket and node of each CPU.
///
/// # Errors
///
/// The common ones.
pub fn cpu_topology() -> Result<Vec<CpuTopo>, Errno> {
    let ask = CpuTopoInfo::default();
    let n = plain(op::CPUTOPOINFO, &ask)?.num_cpus as usize;
    let mut list = vec![CpuTopo::default(); n];
    let arg = CpuTopoInfo { num_cpus: count(&list)?, pad: 0, cputopo: handle_mut(&mut list) };
    // SAFETY: the list is as long as it says, and may be written.
    let n = unsafe { sysctl(op::CPUTOPOINFO, &arg) }?.num_cpus;
    list.truncate(n as usize);
    Ok(list)
}

/// Memory of each NUMA node.
///
/// # Errors
///
/// The common ones.
pub fn numa_nodes() -> Result<Vec<MemInfo>, Errno> {
    let n = plain(op::NUMAINFO, &NumaInfo::default())?.num_nodes as usize;
    let mut list = vec![MemInfo::default(); n];
    let arg = NumaInfo {
        num_nodes: count(&list)?,
        pad: 0,
        meminfo: handle_mut(&mut list),
        distance: GuestHandle::NULL,
    };
    // SAFETY: the list is as long as it says, and may be written.
    let n = unsafe { sysctl(op::NUMAINFO, &arg) }?.num_nodes;
    list.truncate(n as usize);
    Ok(list)
}

/// A CPU pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpupool {
    /// Its number.
    pub id: u32,
    /// Its scheduler (see [`xen_abi::domctl::scheduler`]).
    pub sched_id: u32,
    /// Domains in it.
    pub domains: u32,
    /// Its CPUs: a bitmap, least significant bit first.
    pub cpus: Vec<u8>,
}

/// Tells about a pool or, when it is not there, the next one; of the first `cpus` CPUs.
///
/// # Errors
///
/// `ENOENT` when there is no further one.
pub fn cpupool_info(id: u32, cpus: usize) -> Result<Cpupool, Errno> {
    let mut map = vec![0; cpus.div_ceil(8)];
    let arg = CpupoolOp {
        op: cpupool::INFO,
        cpupool_id: id,
        cpumap: CtlBitmap { bitmap: handle_mut(&mut map), nr_bits: (map.len() * 8) as u32, pad: 0 },
        ..CpupoolOp::default()
    };
    // SAFETY: the bitmap is as long as it says, and may be written.
    let answer = unsafe { sysctl(op::CPUPOOL_OP, &arg) }?;
    Ok(Cpupool { id: answer.cpupool_id, sched_id: answer.sched_id, domains: answer.n_dom, cpus: map })
}

/// Makes, destroys or changes a pool: any operation of [`cpupool`] without a bitmap.
///
/// # Errors
///
/// Depends on the operation; `EINVAL` for those with a bitmap.
pub fn cpupool_op(with: CpupoolOp) -> Result<CpupoolOp, Errno> {
    if matches!(with.op, cpupool::INFO | cpupool::FREEINFO) {
        return Err(Errno::EINVAL);
    }
    let arg = CpupoolOp { cpumap: CtlBitmap::default(), ..with };
    plain(op::CPUPOOL_OP, &arg)
}

/// Parameters of a pool's credit scheduler: with `cmd` of [`xen_abi::domctl::schedop`].
///
/// # Errors
///
/// `EINVAL` when another scheduler is in charge, `ESRCH` when there is no such pool.
pub fn scheduler_op(
    cpupool_id: u32,
    sched_id: u32,
    cmd: u32,
    credit: CreditSchedule,
) -> Result<CreditSchedule, Errno> {
    let mut arg = SchedulerOp { cpupool_id, sched_id, cmd, ..SchedulerOp::default() };
    arg.set_credit(credit);
    plain(op::SCHEDULER_OP, &arg).map(|a| a.credit())
}
