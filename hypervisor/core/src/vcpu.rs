//! A virtual CPU.

use alloc::sync::Arc;
use core::{fmt, ops::Deref, sync::atomic::AtomicBool};

use crate::{domain::Domain, machine::Machine};

/// A virtual CPU. It lives inside its domain; [`VcpuRef`] is how one is held.
pub struct Vcpu<M: Machine> {
    /// Index within the domain.
    pub id: u32,
    /// Registers while it is not running.
    pub context: M::Context,
    /// Off: never started, or PSCI CPU_OFF. Changed under the domain's `lifecycle` lock.
    pub is_down: AtomicBool,
}

/// A vCPU together with the domain that keeps it alive.
pub struct VcpuRef<M: Machine> {
    /// The domain.
    pub domain: Arc<Domain<M>>,
    index: usize,
}

impl<M: Machine> VcpuRef<M> {
    /// The vCPU `id` of `domain`, if it has been created.
    pub fn new(domain: &Arc<Domain<M>>, id: u32) -> Option<Self> {
        let index = usize::try_from(id).ok()?;
        (index < domain.vcpus().len()).then(|| Self {
            domain: domain.clone(),
            index,
        })
    }
}

impl<M: Machine> Clone for VcpuRef<M> {
    fn clone(&self) -> Self {
        Self {
            domain: self.domain.clone(),
            index: self.index,
        }
    }
}

impl<M: Machine> Deref for VcpuRef<M> {
    type Target = Vcpu<M>;
    fn deref(&self) -> &Vcpu<M> {
        &self.domain.vcpus()[self.index]
    }
}

/// `d1v0`, the prefix of log lines.
impl<M: Machine> fmt::Display for VcpuRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}v{}", self.domain.id.0, self.index)
    }
}
