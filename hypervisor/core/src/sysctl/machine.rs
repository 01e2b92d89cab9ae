//! Memory and processors as a whole.

use xen_abi::{
    Errno, PAGE_SHIFT,
    sysctl::{AvailHeap, MemInfo, NumaInfo, PhysInfo, Sysctl, physcap},
};

use crate::{Hypervisor, current::Current, machine::Machine};

/// There is one node, of number 0.
const NODES: u32 = 1;
/// What Xen says on ARM about the way from a node to itself.
const DISTANCE: u32 = 20;
const ANY_NODE: i32 = -1;

pub(super) fn info<M: Machine>(hv: &Hypervisor<M>) -> PhysInfo {
    PhysInfo {
        threads_per_core: 1,
        cores_per_socket: 1,
        nr_cpus: hv.online_cpus(),
        max_cpu_id: hv.possible_cpus() - 1,
        nr_nodes: NODES,
        max_node_id: NODES - 1,
        cpu_khz: hv.clock.frequency() / 1000,
        capabilities: physcap::HVM | physcap::HAP | physcap::GNTTAB_V1,
        total_pages: hv.frames.total().into(),
        free_pages: hv.frames.free().into(),
        outstanding_pages: hv.frames.claimed().into(),
        max_mfn: hv.frames.end().0.saturating_sub(1),
        ..PhysInfo::default()
    }
}

/// Free memory; all of it, or none where addresses have to be narrower than the lowest there is.
pub(super) fn free_memory<M: Machine>(hv: &Hypervisor<M>, op: &mut Sysctl) {
    let mut asked: AvailHeap = op.u.get();
    let bits = u64::BITS - (hv.frames.end().0 << PAGE_SHIFT).leading_zeros();
    let wide_enough = asked.max_bitwidth == 0 || asked.max_bitwidth >= bits;
    let counts = matches!(asked.node, ANY_NODE | 0) && wide_enough && asked.min_bitwidth <= bits;
    asked.avail_bytes = if counts { u64::from(hv.frames.free()) << PAGE_SHIFT } else { 0 };
    op.u.set(&asked);
}

/// The nodes, or how many there are.
pub(super) fn nodes<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: NumaInfo = op.u.get();
    let frames = &cur.hv.frames;
    let only_count = asked.meminfo.is_null() && asked.distance.is_null();
    let nodes = if only_count { NODES } else { NODES.min(asked.num_nodes) };
    if nodes > 0 && !asked.meminfo.is_null() {
        let bytes = |frames: u32| u64::from(frames) << PAGE_SHIFT;
        let info = MemInfo { memsize: bytes(frames.total()), memfree: bytes(frames.free()) };
        cur.write_item(asked.meminfo, 0, &info)?;
    }
    if nodes > 0 && !asked.distance.is_null() {
        cur.write_item(asked.distance, 0, &DISTANCE)?;
    }
    asked.num_nodes = nodes;
    op.u.set(&asked);
    Ok(())
}
