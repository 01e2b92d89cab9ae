//! The 2-level ABI: bitmaps of pending and masked ports in the shared page, and above them one bit
//! for each word in the vCPU's own area.

use core::mem::offset_of;

use xen_abi::{
    Mfn,
    xen::{SharedInfo, VcpuInfo},
};

use super::VcpuEvents;
use crate::machine::Machine;

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const SELECTOR: usize = offset_of!(VcpuInfo, evtchn_pending_sel);

/// Where the half of a bitmap's word is that has the bit: atomics of 32 bits are cheaper, and the
/// guest's of 64 bits see them all the same.
fn word(port: u32) -> usize {
    (port / 32) as usize * 4
}

fn bit(port: u32) -> u32 {
    1 << (port % 32)
}

/// Marks the port as pending; says whether it was not.
#[inline]
pub(super) fn mark_pending<M: Machine>(machine: &M, shared: Mfn, port: u32) -> bool {
    machine.fetch_or32(shared, PENDING + word(port), bit(port)) & bit(port) == 0
}

/// Goes on when it was not; says whether the vCPU has to be told.
pub(super) fn marked_pending<M: Machine>(machine: &M, shared: Mfn, port: u32, vcpu: &VcpuEvents) -> bool {
    let masked = machine.load32(shared, MASK + word(port)) & bit(port) != 0;
    !masked && select(machine, port, vcpu)
}

/// Marks the port's word for the vCPU; says whether it was not marked.
#[inline(always)]
fn select<M: Machine>(machine: &M, port: u32, vcpu: &VcpuEvents) -> bool {
    let selected = port / 64;
    let Some((mfn, at)) = vcpu.info() else { return false };
    machine.fetch_or32(mfn, at + SELECTOR + word(selected), bit(selected)) & bit(selected) == 0
}

pub(super) fn clear_pending<M: Machine>(machine: &M, shared: Mfn, port: u32) {
    machine.fetch_and32(shared, PENDING + word(port), !bit(port));
}

pub(super) fn is_pending<M: Machine>(machine: &M, shared: Mfn, port: u32) -> bool {
    machine.load32(shared, PENDING + word(port)) & bit(port) != 0
}

/// Unmasks; says whether the vCPU has to be told.
pub(super) fn unmask<M: Machine>(machine: &M, shared: Mfn, port: u32, vcpu: &VcpuEvents) -> bool {
    let was_masked = machine.fetch_and32(shared, MASK + word(port), !bit(port)) & bit(port) != 0;
    was_masked && is_pending(machine, shared, port) && select(machine, port, vcpu)
}

/// The bitmaps as at the domain's creation: nothing pending, everything masked.
pub(super) fn reset<M: Machine>(machine: &M, shared: Mfn) {
    for word in 0..xen_abi::xen::EVTCHN_WORDS {
        machine.store64(shared, PENDING + word * 8, 0);
        machine.store64(shared, MASK + word * 8, u64::MAX);
    }
}
