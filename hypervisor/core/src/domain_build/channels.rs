//! Event channels between the domains that are built at boot, at ports that the device tree chooses.
//!
//! A node `xen,evtchn-v1`, below the guest's or for dom0 below `/chosen`, has a port and the phandle of the node at the
//! other end, which has that one's port and this node's phandle.

use alloc::{sync::Arc, vec::Vec};

use device_tree::{Node, Phandles};

use super::{BuildError, bad};
use crate::{Hypervisor, domain::Domain, host::chosen::Chosen, machine::Machine};

const PROPERTY: &str = "xen,evtchn";

/// A domain that has been built, and its node: `/chosen` is dom0's.
pub type Built<'a, M> = (Node<'a>, Arc<Domain<M>>);

/// What a node says: the port, and who is at the other end.
fn read(node: &Node<'_>) -> Option<(u32, u32)> {
    let mut cells = node.property(PROPERTY)?.cells();
    match (cells.next(), cells.next(), cells.next()) {
        // Nobody has port 0.
        (Some(port @ 1..), Some(peer), None) => Some((port, peer)),
        _ => None,
    }
}

fn is_channel(node: &Node<'_>) -> bool {
    node.is_compatible(&["xen,evtchn-v1"])
}

/// Whose a node is.
fn owner<M: Machine>(node: &Node<'_>, built: &[Built<'_, M>]) -> Option<usize> {
    let parent = node.parent()?;
    built.iter().position(|(node, _)| *node == parent)
}

impl<M: Machine> Hypervisor<M> {
    /// Connects the event channels of the domains that were built. A guest whose channels cannot be had, if only
    /// because the guest at another end is left out, is left out.
    ///
    /// # Errors
    ///
    /// One of dom0's cannot be had.
    pub fn connect_channels<'a>(
        &self,
        chosen: &Chosen<'a>,
        phandles: &Phandles<'a>,
        built: &mut Vec<Built<'a, M>>,
    ) -> Result<(), BuildError<'a>> {
        while let Err((at, why)) = self.try_channels(chosen, phandles, built) {
            self.leave_out(built, at, why)?;
        }
        Ok(())
    }

    /// Leaves a guest out of those that were built. Dom0 cannot be.
    #[inline(never)]
    pub(super) fn leave_out<'a>(
        &self,
        built: &mut Vec<Built<'a, M>>,
        at: usize,
        why: BuildError<'a>,
    ) -> Result<(), BuildError<'a>> {
        if built[at].1.is_hardware() {
            return Err(why);
        }
        let (node, domain) = built.remove(at);
        log::error!("{node} is left out: {why}");
        self.destroy_domain(&domain, &mut || false);
        Ok(())
    }

    /// One attempt. Says which domain has an error.
    fn try_channels<'a>(
        &self,
        chosen: &Chosen<'a>,
        phandles: &Phandles<'a>,
        built: &[Built<'a, M>],
    ) -> Result<(), (usize, BuildError<'a>)> {
        for node in chosen.below().filter(is_channel) {
            // One of a guest that was left out, or of no dom0, is nobody's.
            let Some(at) = owner(&node, built) else { continue };
            let Some((port, peer)) = read(&node) else {
                return Err((at, bad(&node, PROPERTY)));
            };
            let other = phandles.get(peer).ok().filter(is_channel).and_then(|other| {
                let (port, back) = read(&other)?;
                if node.phandle() == Some(back) { Some((owner(&other, built)?, port)) } else { None }
            });
            let Some((other_at, other_port)) = other else {
                return Err((at, BuildError::NoPeer(node.at())));
            };
            self.connect((&built[at].1, port), (&built[other_at].1, other_port))
                .map_err(|errno| (at, BuildError::Ports(node.at(), [port, other_port], errno)))?;
        }
        Ok(())
    }
}
