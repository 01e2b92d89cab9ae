//! Accesses to what is not there: emulated devices, and addresses where nothing is.

use xen_abi::Gfn;

use super::{
    esr::{Abort, Fault, Transfer},
    skip,
};
use crate::{
    current::Current,
    machine::Machine,
    vgic::{GICV3_GICD_SIZE, Redistributors, Unhandled},
};

/// Size of version 2's distributor.
const GICD_SIZE: u64 = 0x1000;

/// What is emulated, with an offset in it.
#[derive(Clone, Copy)]
enum Device {
    /// Of version 2.
    Distributor(u32),
    /// Of version 3.
    Distributor3(u32),
    /// Of version 3, of that vCPU.
    Redistributor(usize, u32),
}

impl<M: Machine> Current<'_, M> {
    pub(super) fn data_abort(&mut self, abort: &Abort) {
        if abort.fault() == Fault::Translation && !abort.on_walk() && self.emulate(abort) {
            return;
        }
        let write = abort.transfer().is_none_or(Transfer::is_write) && !abort.is_cache_maintenance();
        if !self.resolves(abort, write) {
            self.hv.machine.inject_abort(self.regs, abort.va(), false);
        }
    }

    pub(super) fn instruction_abort(&mut self, abort: &Abort) {
        if !self.resolves(abort, false) {
            self.hv.machine.inject_abort(self.regs, abort.va(), true);
        }
    }

    /// Whether the tables allow the access by now.
    fn resolves(&self, abort: &Abort, write: bool) -> bool {
        match abort.fault() {
            Fault::Translation | Fault::AccessFlag => {
                self.domain.p2m(self.hv.mem()).resolve_fault(Gfn::containing(abort.ipa()), write)
            }
            Fault::Permission | Fault::Other => false,
        }
    }

    /// Does an access to an emulated device; false if there is none. What the device does not have
    /// becomes an abort.
    fn emulate(&mut self, abort: &Abort) -> bool {
        let Some(device) = self.device(abort.ipa()) else { return false };
        let done = match abort.transfer() {
            _ if abort.is_cache_maintenance() => Ok(()),
            Some(transfer) => self.transfer(transfer, device),
            None => Err(Unhandled),
        };
        match done {
            Ok(()) => skip::skip(self.regs, abort.instruction_len()),
            Err(Unhandled) => self.hv.machine.inject_abort(self.regs, abort.va(), false),
        }
        true
    }

    #[inline]
    fn device(&self, address: u64) -> Option<Device> {
        let interrupts = &self.domain.config.interrupts;
        let offset = address.wrapping_sub(interrupts.gicd);
        match interrupts.redistributors {
            None => (offset < GICD_SIZE).then_some(Device::Distributor(offset as u32)),
            Some(redistributors) => self.device3(address, offset, redistributors),
        }
    }

    fn device3(&self, address: u64, offset: u64, redistributors: Redistributors) -> Option<Device> {
        if offset < GICV3_GICD_SIZE {
            return Some(Device::Distributor3(offset as u32));
        }
        let (v, offset) = redistributors.find(address)?;
        (v < self.domain.vcpus().len()).then_some(Device::Redistributor(v, offset))
    }

    fn transfer(&mut self, transfer: Transfer, device: Device) -> Result<(), Unhandled> {
        let (hv, size) = (self.hv, transfer.size());
        if transfer.is_write() {
            let value = self.reg(transfer.rt());
            match device {
                Device::Distributor(offset) => hv.gicd_write(self, offset, size, value as u32),
                Device::Distributor3(offset) => hv.gicd3_write(self, offset, size, value),
                Device::Redistributor(v, offset) => hv.gicr_write(self, v, offset, size, value),
            }
        } else {
            let value = match device {
                Device::Distributor(offset) => hv.gicd_read(self, offset, size)?.into(),
                Device::Distributor3(offset) => hv.gicd3_read(self, offset, size)?,
                Device::Redistributor(v, offset) => hv.gicr_read(self, v, offset, size)?,
            };
            self.set_reg(transfer.rt(), extended(value, transfer));
            Ok(())
        }
    }
}

/// A loaded value as the register holds it.
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
    use crate::trap::{Exit, FaultRegisters};

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
