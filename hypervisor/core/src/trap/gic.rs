//! The system registers of GICv3's CPU interface that trap, in both states. The others are the
//! hardware's virtual interface.

use super::{RegisterAccess, Served};
use crate::{current::Current, machine::Machine, regs::GuestRegs};

impl<M: Machine> Current<'_, M> {
    fn has_gicv3(&self) -> bool {
        self.domain.config.interrupts.redistributors.is_some()
    }

    /// ICC_SGI1R: sends interrupts to vCPUs. Cannot be read.
    #[hot]
    #[inline(never)]
    pub(super) fn send_sgi(&mut self, access: RegisterAccess) -> Served {
        if access.is_read() || self.regs.is_user() || !self.has_gicv3() {
            return Served::Undefined;
        }
        let value = self.access_value(access);
        self.hv.send_sgi_by_register(self, value);
        Served::Done
    }

    /// ICC_SRE: whether the CPU interface is one of registers is as it is.
    #[inline(never)]
    pub(super) fn gic_by_registers(&mut self, access: RegisterAccess) -> Served {
        /// SRE, DFB, DIB: by registers, without bypass.
        const ON: u64 = 0b111;
        let value = if self.has_gicv3() { ON } else { 0 };
        self.constant(access, value)
    }
}
