//! Hypercalls: from registers to the operation and back.

use xen_abi::Errno;

/// The argument registers of a hypercall.
pub type Args = [u64; 5];

/// Why a hypercall has no result (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It failed; the guest gets the negated number.
    Failed(Errno),
    /// It stopped half way to let the CPU do something else: the guest's `HVC` runs again with these
    /// arguments, which say where to go on.
    Preempted(Args),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// What a hypercall handler gives: a value not negative as a register of the guest holds it, or
/// why not.
pub type HypercallResult = Result<u64, Stop>;

use crate::{current::Current, machine::Machine};
impl<M: Machine> Current<'_, M> {
    pub(crate) fn hypercall(&mut self) {}
}
