//! Devices of the board in a guest that is built at boot: what a fragment of its tree says of them.
//!
//! Xen's `docs/misc/arm/passthrough.txt`. There is no IOMMU, so a device has to be forced upon a guest, which can
//! then reach all memory through one that reads and writes memory itself.

use alloc::sync::Arc;

use device_tree::{Node, Phandles, Tree, gic};
use guest_board::passthrough::{FORCE, PATH, REG};
use xen_abi::{Errno, Gfn, Mfn, PAGE_SHIFT, PAGE_SIZE};

use super::{BuildError, bad};
use crate::{
    Hypervisor,
    domain::Domain,
    machine::{Machine, Trigger},
    p2m::P2mType,
    vgic::LOCAL,
};

type Result<'a> = core::result::Result<(), BuildError<'a>>;

impl<M: Machine> Hypervisor<M> {
    /// Gives a domain what the nodes below `/passthrough` of `fragment` ask for, of the board that `board` describes.
    pub(super) fn pass_through<'a>(
        &self,
        domain: &Arc<Domain<M>>,
        fragment: &'a [u8],
        board: &Tree<'a>,
    ) -> Result<'a> {
        let fragment = Tree::parse(fragment).map_err(guest_board::Error::Tree)?;
        match fragment.root().child("passthrough") {
            Some(bus) => self.pass_nodes(domain, &bus, board),
            None => Ok(()),
        }
    }

    fn pass_nodes<'a>(&self, domain: &Arc<Domain<M>>, bus: &Node<'a>, board: &Tree<'a>) -> Result<'a> {
        for node in bus.children() {
            match (node.has(REG), node.has(PATH), node.has(FORCE)) {
                (false, false, _) => {}
                (false, true, _) => return Err(bad(&node, REG)),
                (true, _, false) => return Err(bad(&node, FORCE)),
                (true, ..) => self.pass_device(domain, bus, &node, board)?,
            }
            self.pass_nodes(domain, &node, board)?;
        }
        Ok(())
    }

    fn pass_device<'a>(
        &self,
        domain: &Arc<Domain<M>>,
        bus: &Node<'a>,
        node: &Node<'a>,
        board: &Tree<'a>,
    ) -> Result<'a> {
        self.pass_memory(domain, bus, node)?;
        if !node.has(PATH) {
            return Ok(());
        }
        let device = node.str(PATH).and_then(|path| board.find(path)).ok_or(bad(node, PATH))?;
        let interrupts = device.interrupts(&Phandles::of(board)).map_err(|_| bad(&device, "interrupts"))?;
        for interrupt in interrupts {
            match gic::decode(&interrupt.cells) {
                Some((spi, trigger)) if spi >= LOCAL => {
                    let trigger = if trigger == gic::Trigger::Edge { Trigger::Edge } else { Trigger::Level };
                    domain.resources.lock().set_irq(spi, true);
                    self.route_guest_spi(domain, spi, trigger).map_err(Errno::from)?;
                }
                _ => return Err(bad(&device, "interrupts")),
            }
        }
        Ok(())
    }

    /// Maps the device memory that a node names, in cells as its bus counts them.
    fn pass_memory<'a>(&self, domain: &Arc<Domain<M>>, bus: &Node<'a>, node: &Node<'a>) -> Result<'a> {
        let bad = || bad(node, REG);
        let (address, size) = (bus.address_cells() as usize, bus.size_cells() as usize);
        let cells = node.property(REG).map(|property| property.value.as_chunks::<4>().0).unwrap_or_default();
        if !(1..=2).contains(&address)
            || !(1..=2).contains(&size)
            || !cells.len().is_multiple_of(2 * address + size)
        {
            return Err(bad());
        }
        let mut rest = cells.as_flattened();
        while !rest.is_empty() {
            let mut next = |cells| device_tree::take(&mut rest, cells).ok_or_else(bad);
            let (from, size, to) = (next(address)?, next(size)?, next(address)?);
            if !(from | size | to).is_multiple_of(PAGE_SIZE as u64) {
                return Err(bad());
            }
            let [first, frames, gfn] = [from, size, to].map(|bytes| bytes >> PAGE_SHIFT);
            if self.frames.overlaps(Mfn(first), frames) {
                return Err(bad());
            }
            domain.resources.lock().iomem.insert(first, first + frames)?;
            domain.p2m(self.mem()).map(Gfn(gfn), Mfn(first), frames, P2mType::MmioDevice)?;
        }
        Ok(())
    }
}
