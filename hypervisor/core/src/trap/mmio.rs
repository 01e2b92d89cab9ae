//! Accesses to what is not there: emulated devices, and addresses where nothing is.

use xen_abi::{Gfn, arch::layout};

use super::{
    esr::{Abort, Exit, Fault, Transfer},
    skip,
};
use crate::{
    current::Current,
    machine::Machine,
    vgic::{GICV3_GICD_SIZE, Redistributors, Unhandled},
};

/// Size of version 2's distributor.
const GICD_SIZE: u64 = 0x1000;

/// What an access to an emulated device came to.
type Done = Result<(), Unhandled>;

impl<M: Machine> Current<'_, M> {
    #[hot]
    #[inline(never)]
    pub(super) fn data_abort(&mut self, abort: &Abort) {
        self.vcpu.exits.count(&Exit::DataAbort(*abort));
        if self.hv.machine.is_misreported(abort) {
            return;
        }
        if abort.fault() == Fault::Translation
            && !abort.on_walk()
            && let Some(done) = self.emulate(abort)
        {
            // On behind an access that was done; what a device does not have becomes an abort.
            return match done {
                Ok(()) => skip::skip(self.regs, abort.instruction_len()),
                Err(Unhandled) => self.hv.machine.inject_abort(self.regs, abort.va(), false),
            };
        }
        let write = abort.transfer().is_none_or(Transfer::is_write) && !abort.is_cache_maintenance();
        if !self.resolves(abort, write) {
            self.hv.machine.inject_abort(self.regs, abort.va(), false);
        }
    }

    pub(super) fn instruction_abort(&mut self, abort: &Abort) {
        if !self.hv.machine.is_misreported(abort) && !self.resolves(abort, false) {
            self.hv.machine.inject_abort(self.regs, abort.va(), true);
        }
    }

    /// Whether the tables allow the access by now.
    #[hot]
    fn resolves(&self, abort: &Abort, write: bool) -> bool {
        match abort.fault() {
            Fault::Translation | Fault::AccessFlag => {
                self.domain.p2m_quickly(self.hv.mem()).resolve_fault(Gfn::containing(abort.ipa()), write)
            }
            Fault::Permission | Fault::Other => false,
        }
    }

    /// Does an access to an emulated device, if there is one.
    #[inline]
    fn emulate(&mut self, abort: &Abort) -> Option<Done> {
        let uart = abort.ipa().wrapping_sub(self.domain.config.uart.base);
        if uart < layout::PL011_SIZE && self.domain.uart.get().is_some() {
            return Some(self.access_uart(abort, uart as u32));
        }
        let interrupts = &self.domain.config.interrupts;
        let offset = abort.ipa().wrapping_sub(interrupts.gicd);
        match interrupts.redistributors {
            None => (offset < GICD_SIZE).then(|| self.access_gicv2(abort, offset as u32)),
            Some(_) if offset < GICV3_GICD_SIZE => Some(self.access_gicv3(abort, offset as u32)),
            Some(redistributors) => self.access_redistributor(abort, redistributors),
        }
    }

    // Each device is by itself, as what it needs others do not.

    #[hot]
    #[inline(never)]
    fn access_uart(&mut self, abort: &Abort, offset: u32) -> Done {
        self.access(
            abort,
            |current, size| current.hv.uart_access(current.domain, offset, size, None).map(u64::from),
            |current, size, value| {
                current.hv.uart_access(current.domain, offset, size, Some(value as u32)).map(drop)
            },
        )
    }

    #[hot]
    #[inline(never)]
    fn access_gicv2(&mut self, abort: &Abort, offset: u32) -> Done {
        self.access(
            abort,
            |current, size| current.hv.gicd_read(current, offset, size).map(u64::from),
            |current, size, value| current.hv.gicd_write(current, offset, size, value as u32),
        )
    }

    #[hot]
    #[inline(never)]
    fn access_gicv3(&mut self, abort: &Abort, offset: u32) -> Done {
        self.access(
            abort,
            |current, size| current.hv.gicd3_read(current, offset, size),
            |current, size, value| current.hv.gicd3_write(current, offset, size, value),
        )
    }

    /// Of version 3, the part of a vCPU.
    #[hot]
    #[inline(never)]
    fn access_redistributor(&mut self, abort: &Abort, redistributors: Redistributors) -> Option<Done> {
        let (v, offset) = redistributors.find(abort.ipa())?;
        let exists = v < self.domain.vcpus_quickly().len();
        exists.then(|| {
            self.access(
                abort,
                |current, size| current.hv.gicr_read(current, v, offset, size),
                |current, size, value| current.hv.gicr_write(current, v, offset, size, value),
            )
        })
    }

    /// Does what the instruction wanted by `read` or `write`, which get the size.
    #[inline(always)]
    fn access(
        &mut self,
        abort: &Abort,
        read: impl FnOnce(&Self, u8) -> Result<u64, Unhandled>,
        write: impl FnOnce(&Self, u8, u64) -> Done,
    ) -> Done {
        if abort.is_cache_maintenance() {
            return Ok(());
        }
        let transfer = abort.transfer().ok_or(Unhandled)?;
        if transfer.is_write() {
            return write(self, transfer.size(), self.reg(transfer.rt()));
        }
        let value = read(self, transfer.size())?;
        self.set_reg(transfer.rt(), extended(value, transfer));
        Ok(())
    }
}

/// A loaded value as the register holds it.
#[inline]
fn extended(value: u64, transfer: Transfer) -> u64 {
    if !transfer.sign_extend() {
        // Devices give no more bits than they were asked for.
        return value;
    }
    let unused = 64 - (8u32 << transfer.size());
    let value = ((value << unused) as i64 >> unused) as u64;
    if transfer.is_wide() { value } else { value & 0xffff_ffff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::FaultRegisters;

    fn byte(flags: u32) -> Transfer {
        let esr = 0x24 << 26 | 1 << 24 | flags;
        let Exit::DataAbort(abort) = Exit::decode(esr, FaultRegisters::default) else {
            panic!("a data abort")
        };
        abort.transfer().expect("a syndrome")
    }

    #[test]
    fn a_signed_byte_fills_the_register_it_is_loaded_into() {
        const SIGNED: u32 = 1 << 21;
        const WIDE: u32 = 1 << 15;
        assert_eq!(extended(0x80, byte(SIGNED)), 0xffff_ff80);
        assert_eq!(extended(0x80, byte(SIGNED | WIDE)), 0xffff_ffff_ffff_ff80);
        assert_eq!(extended(0x80, byte(0)), 0x80);
    }
}
