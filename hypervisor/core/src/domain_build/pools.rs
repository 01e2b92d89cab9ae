//! CPU pools that the device tree describes, and which of them a guest is in.
//!
//! Xen's `docs/misc/arm/device-tree/cpupools.txt`. The boot CPU's pool is number 0, where dom0 is; CPUs that no node
//! names are a pool of their own.

use alloc::{vec, vec::Vec};

use device_tree::{Node, NodeAt, Phandles};

use super::{BuildError, bad};
use crate::{Hypervisor, host::chosen::Chosen, machine::Machine};

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
pub type MadePool<'a> = (NodeAt<'a>, u32);

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
        let mut nodes = Vec::new();
        // Which of them names each CPU.
        let mut named = vec![None; cpus.len()];
        for node in chosen.children().filter(|node| node.is_compatible(&[NODE])) {
            if node.str(SCHEDULER).is_some_and(|name| name != CREDIT2) {
                return Err(BuildError::Unsupported(node.at(), SCHEDULER));
            }
            let bad = || bad(&node, CPUS);
            let list = node.property(CPUS).filter(|list| list.cells().len() > 0).ok_or_else(bad)?;
            for phandle in list.cells() {
                let affinity = phandles.get(phandle).ok().and_then(|cpu| cpu.reg().ok()?.next());
                let cpu = affinity.and_then(|reg| cpus.iter().position(|cpu| *cpu == reg.base));
                if named[cpu.ok_or_else(bad)?].replace(nodes.len()).is_some() {
                    return Err(bad());
                }
            }
            nodes.push(node.at());
        }
        // In their order, but for the boot CPU's; the last is that of all others.
        let last = nodes.len();
        let of_cpu = |cpu: usize| named[cpu].unwrap_or(last);
        let first = of_cpu(0);
        let number = |at: usize| match at {
            at if at == first => 0,
            0 => first as u32,
            at => at as u32,
        };
        for at in (0..=last).filter(|at| *at != first) {
            let its: Vec<usize> = (0..cpus.len()).filter(|cpu| of_cpu(*cpu) == at).collect();
            if its.is_empty() {
                continue;
            }
            let id = self.create_pool(Some(number(at)))?;
            for cpu in its {
                self.remove_from_pool(0, Some(cpu as u32))?;
                self.add_to_pool(id, Some(cpu as u32))?;
            }
        }
        Ok(nodes.into_iter().enumerate().map(|(at, node)| (node, number(at))).collect())
    }
}

/// The pool in which a guest is to be.
pub(super) fn of_guest<'a>(
    node: &Node<'a>,
    phandles: &Phandles<'a>,
    pools: &[MadePool<'a>],
) -> Result<u32, BuildError<'a>> {
    let Some(asked) = node.property(OF_GUEST) else { return Ok(0) };
    let asked = asked.as_u32().and_then(|phandle| Some(phandles.get(phandle).ok()?.at()));
    let found = pools.iter().find(|(pool, _)| Some(*pool) == asked).map(|(_, id)| *id);
    found.ok_or_else(|| bad(node, OF_GUEST))
}
