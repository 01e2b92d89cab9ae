//! Where a guest that is built at boot finds what its board has.
//!
//! That is where the virtual board has it, or with `direct-map` where the machine has it: then memory, interrupt
//! controller and UART are at the addresses of the machine's own, as Xen puts them. The grant table's place is dom0's
//! then, for where Xen has it there may be the guest's memory.

use alloc::vec::Vec;

use guest_board::{Region, Uart};
use xen_abi::arch::layout;

use super::{BuildError, Source, dom0};
use crate::{
    host::{
        self,
        devices::{interrupt, register},
        gic::Gic,
    },
    vgic::{GuestInterrupts, LOCAL},
};

/// Where it is.
pub(super) struct Layout {
    /// Memory.
    pub(super) banks: Vec<Region>,
    /// Interrupt controller, and private interrupts.
    pub(super) interrupts: GuestInterrupts,
    /// The CPU interface of version 2.
    pub(super) gicc: u64,
    /// The emulated UART, if there is one.
    pub(super) uart: Uart,
    /// Space for the grant table.
    pub(super) grant_table: Region,
}

impl Layout {
    /// On the virtual board, with this version of the interrupt controller.
    pub(super) fn of_virtual_board<'e>(version: u8, memory: u64) -> Result<Self, BuildError<'e>> {
        Ok(Self {
            banks: guest_board::banks(memory)?,
            interrupts: GuestInterrupts::guest(version),
            gicc: layout::GICC_BASE,
            uart: Uart::default(),
            grant_table: Region { base: layout::GNTTAB_BASE, size: layout::GNTTAB_SIZE },
        })
    }

    /// At the machine's addresses, with memory in `banks`. Private interrupts are the virtual board's.
    pub(super) fn of_machine<'a>(
        from: &Source<'_, 'a>,
        banks: Vec<Region>,
        with_uart: bool,
    ) -> Result<Self, BuildError<'a>> {
        let controller = &from.board.gic;
        Ok(Self {
            banks,
            interrupts: GuestInterrupts {
                gicd: controller.distributor().base,
                redistributors: dom0::redistributors(controller),
                ..GuestInterrupts::default()
            },
            gicc: if let Gic::V2(gic) = controller { gic.cpu.base } else { 0 },
            uart: if with_uart { console(from)? } else { Uart::default() },
            grant_table: from.grant_table,
        })
    }

    /// The registers of an interrupt controller for so many vCPUs.
    pub(super) fn gic(&self, vcpus: u32) -> Vec<Region> {
        let base = self.interrupts.gicd;
        match self.interrupts.redistributors {
            None => Vec::from([
                Region { base, size: layout::GICD_SIZE },
                Region { base: self.gicc, size: layout::GICC_SIZE },
            ]),
            Some(redistributors) => {
                let mut regions = Vec::from([Region { base, size: layout::GICV3_GICD_SIZE }]);
                regions.extend(redistributors.used_by(vcpus));
                regions
            }
        }
    }
}

/// Where the hypervisor's console is, in place of which a guest finds its UART. The guest must not get at what else
/// there may be in the same page.
fn console<'a>(from: &Source<'_, 'a>) -> Result<Uart, BuildError<'a>> {
    let node = from.console.ok_or(host::Error::Missing("console where `vpl011` could be"))?;
    let region = register(&node, 0)?;
    let (spi, _) = interrupt(&node, 0, &from.board.phandles)?;
    if region.size < layout::PL011_SIZE {
        return Err(host::Error::Address(node.at(), 0).into());
    }
    if spi < LOCAL {
        return Err(host::Error::Interrupt(node.at(), 0).into());
    }
    Ok(Uart { base: region.base, spi })
}
