//! The GICv2 distributor as a guest sees it (Arm IHI 0048B, section 4.3; deviations are Xen's).

use xen_abi::PAGE_SIZE;

use super::{
    Unhandled,
    registers::{Common, bytes},
    state::LOCAL,
};
use crate::{Hypervisor, current::Current, machine::Machine};

/// Implementer: Arm; what Xen shows.
const IIDR: u32 = 0x43b;
/// ICPIDR2: architecture revision 2. Xen 4.17 aborts.
const PIDR2: u32 = 0x20;
/// Offset of the register that sends SGIs.
const SGIR: u32 = 0xf00;

/// A register, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Ctlr,
    Typer,
    Iidr,
    /// Reads as zero, ignores writes, of any width.
    Reserved,
    Common(Common),
    /// One byte for each interrupt; the first interrupt.
    Itargetsr(u32),
    Sgir,
    /// Reads as zero; writes abort.
    PendSgir,
    Pidr2,
    /// Reads as zero; writes abort.
    LastIds,
}

/// Most registers come in groups of 128 bytes.
fn decode(offset: u32) -> Register {
    match offset / 128 {
        0x00 => match offset {
            0x000..=0x003 => Register::Ctlr,
            0x004..=0x007 => Register::Typer,
            0x008..=0x00b => Register::Iidr,
            _ => Register::Reserved,
        },
        // NSACR.
        0x1c | 0x1d => Register::Common(Common::Zero),
        // The last word is not theirs: interrupts end at 1019.
        0x10..=0x17 if offset < 0xbfc => Register::Itargetsr(offset - 0x800),
        0x1e => match offset {
            SGIR..0xf04 => Register::Sgir,
            0xf10..=0xf2f => Register::PendSgir,
            _ => Register::Reserved,
        },
        0x1f => match offset {
            0xfe8..=0xfeb => Register::Pidr2,
            0xfec..=0xfff => Register::LastIds,
            _ => Register::Reserved,
        },
        _ => Common::decode(offset).map_or(Register::Reserved, Register::Common),
    }
}

impl Register {
    /// Whether accesses of `1 << size` bytes are allowed.
    fn allows(self, size: u8) -> bool {
        match self {
            Self::Reserved | Self::LastIds => true,
            Self::Common(common) => common.allows(size),
            Self::Itargetsr(_) | Self::PendSgir => size == 0 || size == 2,
            _ => size == 2,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A load of `1 << size` bytes from the distributor.
    #[hot]
    pub(crate) fn gicd_read(
        &self,
        current: &Current<'_, M>,
        offset: u32,
        size: u8,
    ) -> Result<u32, Unhandled> {
        let register = checked(offset, size)?;
        let v = current.vcpu.id as usize;
        let vgic = current.domain.vgic.lock();
        Ok(match register {
            Register::Ctlr => vgic.control,
            Register::Typer => (vgic.cpus.len() as u32 - 1) << 5 | vgic.spis.len() as u32,
            Register::Iidr => IIDR,
            Register::Common(common) => vgic.read_common(v, common, size),
            Register::Itargetsr(first) => vgic.targets(v, first, size),
            Register::Pidr2 => PIDR2,
            _ => 0,
        })
    }

    /// A store of `1 << size` bytes to it.
    #[hot]
    pub(crate) fn gicd_write(
        &self,
        current: &Current<'_, M>,
        offset: u32,
        size: u8,
        value: u32,
    ) -> Result<(), Unhandled> {
        // What is written all the time needs no looking for.
        let register = if (offset, size) == (SGIR, 2) { Register::Sgir } else { checked(offset, size)? };
        match register {
            Register::Ctlr => current.domain.vgic.lock().control = value & 1,
            // Xen keeps the PPIs of version 2 as they are.
            Register::Common(Common::Icfgr(1)) => {}
            Register::Common(common) => {
                return self.write_common(current, current.vcpu.id as usize, common, size, value);
            }
            Register::Itargetsr(first) => self.set_targets(current, first, size, value),
            Register::Sgir => return self.send_sgi(current, value),
            Register::PendSgir | Register::LastIds => return Err(Unhandled),
            _ => {}
        }
        Ok(())
    }

    fn set_targets(&self, current: &Current<'_, M>, first: u32, size: u8, value: u32) {
        if first < LOCAL {
            return;
        }
        let all = (1u32 << current.domain.vcpus_quickly().len().min(8)) - 1;
        for (n, spi) in bytes(first, size).enumerate() {
            let valid = value >> (n * 8) & all;
            if valid != 0 {
                self.retarget(current, spi, valid.trailing_zeros() as u8);
            }
        }
    }

    fn send_sgi(&self, current: &Current<'_, M>, value: u32) -> Result<(), Unhandled> {
        let (sgi, listed) = (value & 0xf, value >> 16 & 0xff);
        let me = current.vcpu.id;
        if value >> 24 & 3 == 2 {
            self.inject_here(current.domain, current.vcpu, sgi, me as u8);
            return Ok(());
        }
        let all = (1u32 << current.domain.vcpus_quickly().len().min(8)) - 1;
        let mut targets = match value >> 24 & 3 {
            0 => listed & all,
            1 => all & !(1 << me),
            _ => return Err(Unhandled),
        };
        while targets != 0 {
            let v = targets.trailing_zeros();
            targets &= targets - 1;
            if let Some(vcpu) = current.domain.vcpus_quickly().get(v as usize) {
                self.inject_from(current.domain, vcpu, sgi, me as u8);
            }
        }
        Ok(())
    }
}

#[hot]
fn checked(offset: u32, size: u8) -> Result<Register, Unhandled> {
    let aligned = offset & ((1 << size) - 1) == 0;
    let register = decode(offset % PAGE_SIZE as u32);
    if aligned && register.allows(size) { Ok(register) } else { Err(Unhandled) }
}

impl super::Vgic {
    /// ITARGETSR: a private interrupt's target is whoever asks.
    #[inline]
    fn targets(&self, v: usize, first: u32, size: u8) -> u32 {
        let own = 1u32 << (v % 8);
        let target = |virq: u32| match virq / 32 {
            0 => own,
            n => {
                let target = self.spis.get(n as usize - 1).map(|spis| spis.target[virq as usize % 32]);
                target.map_or(0, |target| 1 << (target % 8))
            }
        };
        bytes(first, size).enumerate().map(|(n, virq)| target(virq) << (n * 8)).sum()
    }
}
