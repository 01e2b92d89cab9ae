//! CPU pools: each domain is in one, and its vCPUs run on that one's CPUs only.
//!
//! All pools have the same scheduler and one queue: a pool only narrows where a vCPU may run. Whoever changes them
//! serves a domctl or sysctl, one of which is served at a time.

use alloc::vec::Vec;

use super::*;
use crate::domain::Dying;

/// The pool that is always there, in which domains are that nobody puts elsewhere.
const FIRST: u32 = 0;

/// A pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) id: u32,
    /// Its CPUs, one bit each; of the first pool also those that may come up.
    cpus: usize,
}

impl Pool {
    /// Whether that CPU is one of its.
    pub(crate) fn has(&self, cpu: CpuId) -> bool {
        self.cpus & cpu.bit() != 0
    }

    /// Whether it has no CPU.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpus == 0
    }
}

/// All of them, by number.
pub(super) struct Pools(Vec<Pool>);

impl Pools {
    pub(super) fn new() -> Self {
        Self(Vec::from([Pool { id: FIRST, cpus: usize::MAX }]))
    }

    fn place(&self, id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |pool| pool.id)
    }

    /// The number after the last one or, when there is none, the first that no pool has.
    fn next_id(&self) -> u32 {
        match self.0.last() {
            Some(last) if last.id < u32::MAX - 1 => last.id + 1,
            _ => (FIRST..).find(|id| self.place(*id).is_err()).unwrap_or(FIRST),
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// The pool of that number, or with the next higher one.
    pub(crate) fn pool_at_or_after(&self, id: u32) -> Option<Pool> {
        let pools = self.sched.pools.lock();
        let (Ok(at) | Err(at)) = pools.place(id);
        pools.0.get(at).copied()
    }

    /// The pool of that number.
    pub(crate) fn pool(&self, id: u32) -> Result<Pool, Errno> {
        self.pool_at_or_after(id).filter(|pool| pool.id == id).ok_or(Errno::ENOENT)
    }

    /// A pool's CPUs that are up, one bit each.
    pub(crate) fn cpus_of(&self, pool: &Pool) -> u64 {
        pool.cpus as u64 & self.online_mask()
    }

    /// The CPUs that a domain's vCPUs may use, one bit each.
    pub(crate) fn cpus_for(&self, domain: &Domain<M>) -> u64 {
        self.pool(domain.sched.pool()).map_or(0, |pool| self.cpus_of(&pool))
    }

    /// The CPUs that are up and in no pool, one bit each.
    pub(crate) fn free_cpus(&self) -> u64 {
        let taken = self.sched.pools.lock().0.iter().fold(0, |taken, pool| taken | pool.cpus);
        self.online_mask() & !(taken as u64)
    }

    /// How many domains are in a pool.
    pub(crate) fn domains_in(&self, pool: &Pool) -> u32 {
        self.domains.iter().filter(|domain| domain.sched.pool() == pool.id).count() as u32
    }

    /// Makes a pool without CPUs, of that number or else of a new one, which it gives.
    pub(crate) fn create_pool(&self, wanted: Option<u32>) -> Result<u32, Errno> {
        let mut pools = self.sched.pools.lock();
        let id = wanted.unwrap_or_else(|| pools.next_id());
        let Err(at) = pools.place(id) else { return Err(Errno::EEXIST) };
        pools.0.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        pools.0.insert(at, Pool { id, cpus: 0 });
        Ok(id)
    }

    /// Destroys one that has neither CPUs nor domains.
    pub(crate) fn destroy_pool(&self, id: u32) -> Result<(), Errno> {
        let pool = self.pool(id)?;
        if id == FIRST || !pool.is_empty() || self.domains_in(&pool) > 0 {
            return Err(Errno::EBUSY);
        }
        self.sched.pools.lock().0.retain(|pool| pool.id != id);
        Ok(())
    }

    /// Gives a pool a CPU that is in none: that one, or the first.
    pub(crate) fn add_to_pool(&self, id: u32, cpu: Option<u32>) -> Result<(), Errno> {
        let pool = self.pool(id)?;
        let free = self.free_cpus();
        let cpu = cpu.unwrap_or(if free == 0 { u32::MAX } else { free.trailing_zeros() });
        if cpu == u32::MAX {
            return Err(Errno::ENODEV);
        }
        if cpu >= self.possible_cpus() {
            return Err(Errno::EINVAL);
        }
        if free & 1 << cpu == 0 {
            return Err(Errno::ENODEV);
        }
        self.set_cpus(&pool, pool.cpus | CpuId(cpu).bit());
        Ok(())
    }

    /// Takes a CPU out of a pool: that one, or the last. The first CPU of all stays where it is.
    ///
    /// # Errors
    ///
    /// `EINVAL` for the first CPU and for one that there is not, `EADDRNOTAVAIL` when the pool does not have it,
    /// `EBUSY` when domains would be left without any, `EADDRINUSE` when a vCPU is pinned to it.
    pub(crate) fn remove_from_pool(&self, id: u32, cpu: Option<u32>) -> Result<(), Errno> {
        let pool = self.pool(id)?;
        let cpus = self.cpus_of(&pool);
        let cpu = cpu.unwrap_or_else(|| cpus.checked_ilog2().unwrap_or(u32::MAX));
        if cpu == 0 || cpu >= self.possible_cpus() {
            return Err(Errno::EINVAL);
        }
        if cpus & 1 << cpu == 0 {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let its_domains = || self.domains.iter().filter(|domain| domain.sched.pool() == id);
        if cpus == 1 << cpu {
            if its_domains().any(|domain| domain.life().dying == Dying::Alive) {
                return Err(Errno::EBUSY);
            }
            its_domains().try_for_each(|domain| self.move_to_pool(&domain, FIRST))?;
        }
        let bit = CpuId(cpu).bit();
        if its_domains().any(|domain| domain.vcpus().iter().any(|vcpu| vcpu.sched.is_pinned_to(bit))) {
            return Err(Errno::EADDRINUSE);
        }
        self.set_cpus(&pool, pool.cpus & !bit);
        Ok(())
    }

    fn set_cpus(&self, pool: &Pool, cpus: usize) {
        let mut pools = self.sched.pools.lock();
        if let Ok(at) = pools.place(pool.id) {
            pools.0[at].cpus = cpus;
        }
        drop(pools);
        for domain in self.domains.iter().filter(|domain| domain.sched.pool() == pool.id) {
            self.confine(&domain, cpus);
        }
    }

    /// Puts a domain into a pool, where its vCPUs may use all CPUs.
    ///
    /// # Errors
    ///
    /// `ENOENT` when there is no such pool, or it has no CPU; `EBUSY` when a vCPU is pinned to one.
    pub(crate) fn move_to_pool(&self, domain: &Domain<M>, id: u32) -> Result<(), Errno> {
        let pool = self.pool(id)?;
        if pool.is_empty() {
            return Err(Errno::ENOENT);
        }
        if domain.vcpus().iter().any(|vcpu| vcpu.sched.is_pinned()) {
            return Err(Errno::EBUSY);
        }
        domain.sched.set_pool(id);
        for vcpu in domain.vcpus() {
            self.set_hard_affinity(vcpu, u64::MAX);
        }
        self.confine(domain, pool.cpus);
        Ok(())
    }

    /// Has the vCPUs of a domain, new ones perhaps, keep to their pool.
    pub(crate) fn keep_to_pool(&self, domain: &Domain<M>) {
        if let Ok(pool) = self.pool(domain.sched.pool()) {
            self.confine(domain, pool.cpus);
        }
    }

    fn confine(&self, domain: &Domain<M>, cpus: usize) {
        for vcpu in domain.vcpus() {
            let queue = self.sched.queue.lock_rarely();
            vcpu.sched.confine(cpus);
            drop(queue);
            self.find_cpu(vcpu);
        }
    }
}
