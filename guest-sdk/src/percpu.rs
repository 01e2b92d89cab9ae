//! What each vCPU has for itself.
// UNSAFETY: shares a static between vCPUs, each of which uses one part of it only.
#![allow(unsafe_code)]

use core::cell::OnceCell;

use crate::{arch, exec::Executor, smp::MAX_VCPUS, system::System};

/// A value for each vCPU. References to it stay on their vCPU: nothing in it is `Send`.
struct PerCpu<T>([T; MAX_VCPUS]);

// SAFETY: `get` gives a vCPU its own part only, and what it gives cannot be sent to another.
unsafe impl<T> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    fn get(&'static self) -> &'static T {
        &self.0[arch::cpu()]
    }
}

static SYSTEM: System = System::new();
static EXECUTORS: PerCpu<OnceCell<Executor>> = PerCpu([const { OnceCell::new() }; MAX_VCPUS]);

/// The state of this domain.
pub(crate) fn system() -> &'static System {
    &SYSTEM
}

/// This vCPU's executor. Not for interrupt handlers.
pub(crate) fn executor() -> &'static Executor {
    EXECUTORS.get().get_or_init(|| Executor::new(arch::cpu()))
}
