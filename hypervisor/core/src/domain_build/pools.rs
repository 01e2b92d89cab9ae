//! CPU pools that the device tree describes, and which of them a guest is in.
//!
//! Xen's `docs/misc/arm/device-tree/cpupools.txt`. The boot CPU's pool is number 0, where dom0 is; CPUs that no node
//! names are a pool of their own.

use alloc::vec::Vec;

use device_tree::{Node, Phandles};

use super::BuildError;
use crate::{
    Hypervisor,
    host::{self, chosen::Chosen},
    machine::Machine,
};

/// What such a node is compatible with.
const NODE: &str = "xen,cpupool";
/// Its CPUs, and its scheduler.
const CPUS: &str = "cpupool-cpus";
const SCHEDULER: &str = "cpupool-sched";
/// The only one.
const CREDIT2: &str = "credit2";
/// The pool of a guest.
const OF_GUEST: &str = "domain-cpupool";

/// A node, and the number of the pool that was made for it.
pub type MadePool<'a> = (Node<'a>, u32);

impl<M: Machine> Hypervisor<M> {
    /// Makes the pools, before there is any domain. `cpus` are the affinities of those that are up, by number.
    ///
    /// # Errors
    ///
    /// A node names what is no CPU, is not up or is in another pool, or a scheduler that there is not.
    pub fn make_pools<'a>(
        &self,
        chosen: &Chosen<'a>,
        phandles: &Phandles<'a>,
        cpus: &[u64],
    ) -> Result<Vec<MadePool<'a>>, BuildError<'a>> {
        let mut pools: Vec<(Node<'a>, Vec<u32>)> = Vec::new();
        for node in chosen.children().filter(|node| node.is_compatible(&[NODE])) {
            if node.str(SCHEDULER).is_some_and(|name| name != CREDIT2) {
                return Err(BuildError::Unsupported(node.at(), SCHEDULER));
            }
            let bad = || host::Error::Property(node.at(), CPUS);
            let mut its = Vec::new();
            for phandle in node.property(CPUS).ok_or_else(bad)?.cells() {
                let affinity = phandles.get(phandle).ok().and_then(|cpu| cpu.reg().ok()?.next());
                let cpu =
                    affinity.and_then(|reg| cpus.iter().position(|cpu| *cpu == reg.base)).ok_or_else(bad)?;
                let cpu = cpu as u32;
                if its.contains(&cpu) || pools.iter().any(|(_, others)| others.contains(&cpu)) {
                    return Err(bad().into());
                }
                its.push(cpu);
            }
            if its.is_empty() {
                return Err(bad().into());
            }
            pools.push((node, its));
        }
        self.number_pools(pools, cpus.len() as u32)
    }

    /// Numbers them in their order, but for the boot CPU's.
    fn number_pools<'a>(
        &self,
        pools: Vec<(Node<'a>, Vec<u32>)>,
        cpus: u32,
    ) -> Result<Vec<MadePool<'a>>, BuildError<'a>> {
        let named = |cpu: &u32| pools.iter().any(|(_, its)| its.contains(cpu));
        let others: Vec<u32> = (0..cpus).filter(|cpu| !named(cpu)).collect();
        let last = pools.len();
        let first = pools.iter().position(|(_, its)| its.contains(&0)).unwrap_or(last);
        let number = |at: usize| match at {
            at if at == first => 0,
            0 => first as u32,
            at => at as u32,
        };
        let all = pools.iter().map(|(_, its)| its).chain([&others]).enumerate();
        for (at, its) in all.filter(|(at, its)| *at != first && !its.is_empty()) {
            let id = self.create_pool(Some(number(at)))?;
            for cpu in its {
                self.remove_from_pool(0, Some(*cpu))?;
                self.add_to_pool(id, Some(*cpu))?;
            }
        }
        Ok(pools.iter().enumerate().map(|(at, (node, _))| (*node, number(at))).collect())
    }
}

/// The pool in which a guest is to be.
pub(super) fn of_guest<'a>(
    node: &Node<'a>,
    phandles: &Phandles<'a>,
    pools: &[MadePool<'a>],
) -> Result<u32, BuildError<'a>> {
    let Some(asked) = node.property(OF_GUEST) else { return Ok(0) };
    let asked = asked.as_u32().and_then(|phandle| phandles.get(phandle).ok());
    let found = pools.iter().find(|(pool, _)| Some(pool) == asked.as_ref()).map(|(_, id)| *id);
    found.ok_or(host::Error::Property(node.at(), OF_GUEST).into())
}
