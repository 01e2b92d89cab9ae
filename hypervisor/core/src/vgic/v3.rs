//! GICv3 as a guest sees it: the distributor with affinity routing, and interrupts between CPUs by
//! system registers (Arm IHI 0069, chapter 12; deviations are Xen's). There are neither LPIs nor an
//! ITS. Registers of 64 bits may be accessed by halves.

use guest_board::Region;
use xen_abi::arch::layout;

use super::{Unhandled, registers::Common};
use crate::{Hypervisor, current::Current, machine::Machine};

/// Size of the distributor.
pub(crate) const GICD_SIZE: u64 = layout::GICV3_GICD_SIZE;
/// Implementer: Arm; what Xen shows, in the redistributors too.
pub(super) const IIDR: u32 = 0x34c;
/// Architecture revision 3.
pub(super) const PIDR2: u32 = 0x30;

/// GICD_CTLR.ARE_NS: affinity routing, always on.
const CTLR_ARE: u32 = 1 << 4;
/// GICD_CTLR.EnableGrp1A.
const CTLR_ENABLE: u32 = 1 << 1;
/// GICD_TYPER.IDbits: less one. Enough for all interrupts that there can be.
const TYPER_ID_BITS: u32 = 9 << 19;
/// GICD_IROUTER.Interrupt_Routing_Mode: to any CPU.
const IROUTER_ANY: u64 = 1 << 31;

/// Where the redistributors are: each region has as many as fit, in the order of the vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redistributors(pub &'static [Region]);

impl Redistributors {
    /// On the virtual board.
    pub const GUEST: Self =
        Self(&[Region { base: layout::GICV3_GICR0_BASE, size: layout::GICV3_GICR0_SIZE }]);
}

/// A register of the distributor, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Ctlr,
    Typer,
    Iidr,
    Common(Common),
    /// Reads as zero; writes abort.
    PendSgir,
    /// Of a shared interrupt.
    Irouter(u32),
    Pidr2,
    /// Reads as zero, ignores writes, of any width.
    Reserved,
}

fn decode(offset: u32) -> Register {
    match offset {
        0x0000..=0x0003 => Register::Ctlr,
        0x0004..=0x0007 => Register::Typer,
        0x0008..=0x000b => Register::Iidr,
        // STATUSR; NSACR; SGIR.
        0x0010..=0x0013 | 0x0e00..=0x0eff | 0x0f00..=0x0f03 => Register::Common(Common::Zero),
        0x0080..=0x0fff if let Some(common) = Common::decode(offset) => Register::Common(common),
        0x0f10..=0x0f2f => Register::PendSgir,
        0x6100..=0x7fdf => Register::Irouter((offset - 0x6000) / 8),
        0xffe8..=0xffeb => Register::Pidr2,
        _ => Register::Reserved,
    }
}

impl Register {
    /// Whether accesses of `1 << size` bytes are allowed.
    fn allows(self, size: u8) -> bool {
        match self {
            Self::Reserved => true,
            Self::Common(common) => common.allows(size),
            Self::Irouter(_) => size == 2 || size == 3,
            _ => size == 2,
        }
    }
}

/// What an access of 4 or 8 bytes reads of a 64-bit register.
pub(super) fn part(register: u64, offset: u32, size: u8) -> u64 {
    if size == 3 { register } else { register >> (offset % 8 * 8) & 0xffff_ffff }
}

/// The register after such a write.
fn with_part(register: u64, offset: u32, size: u8, value: u64) -> u64 {
    if size == 3 {
        return value;
    }
    let shift = offset % 8 * 8;
    register & !(0xffff_ffff << shift) | (value & 0xffff_ffff) << shift
}

/// A vCPU's affinity in the places that IROUTER and TYPER have it, which are MPIDR's.
pub(super) fn affinity(v: usize) -> u64 {
    guest_board::affinity(v as u32).into()
}

/// The vCPU with an affinity, of which the upper half does not matter.
fn with_affinity(affinity: u64) -> u64 {
    (affinity >> 8 & 0xff) << 4 | affinity & 0xff
}

impl<M: Machine> Hypervisor<M> {
    /// A load of `1 << size` bytes from the distributor.
    #[hot]
    pub(crate) fn gicd3_read(
        &self,
        current: &Current<'_, M>,
        offset: u32,
        size: u8,
    ) -> Result<u64, Unhandled> {
        let register = checked(offset, size)?;
        let v = current.vcpu.id as usize;
        let mut vgic = current.domain.vgic.lock();
        let word = match register {
            Register::Ctlr => vgic.control | CTLR_ARE,
            Register::Typer => {
                let cpus = vgic.cpus.len().min(8) as u32;
                (cpus - 1) << 5 | vgic.spis.len() as u32 | TYPER_ID_BITS
            }
            Register::Iidr => IIDR,
            Register::Common(common) => vgic.read_common(v, common, size),
            Register::Irouter(spi) => {
                return Ok(vgic.target(spi).map_or(0, |target| part(affinity(target), offset, size)));
            }
            Register::Pidr2 => PIDR2,
            Register::PendSgir | Register::Reserved => 0,
        };
        Ok(word.into())
    }

    /// A store of `1 << size` bytes to it.
    #[hot]
    pub(crate) fn gicd3_write(
        &self,
        current: &Current<'_, M>,
        offset: u32,
        size: u8,
        value: u64,
    ) -> Result<(), Unhandled> {
        match checked(offset, size)? {
            Register::Ctlr => current.domain.vgic.lock().control = value as u32 & CTLR_ENABLE,
            Register::Common(common) => {
                return self.write_common(current, current.vcpu.id as usize, common, size, value as u32);
            }
            Register::Irouter(spi) => {
                let Some(target) = current.domain.vgic.lock().target(spi) else { return Ok(()) };
                self.route(current, spi, with_part(affinity(target), offset, size, value));
            }
            Register::PendSgir => return Err(Unhandled),
            Register::Typer | Register::Iidr | Register::Pidr2 | Register::Reserved => {}
        }
        Ok(())
    }

    /// IROUTER: "any" is vCPU 0; who is not there is not sent anything.
    fn route(&self, current: &Current<'_, M>, spi: u32, router: u64) {
        let target = if router & IROUTER_ANY != 0 { 0 } else { with_affinity(router) };
        if target < current.domain.vcpus_quickly().len() as u64 {
            self.retarget(current, spi, target as u8);
        }
    }

    /// ICC_SGI1R.
    pub(crate) fn send_sgi_by_register(&self, current: &Current<'_, M>, value: u64) {
        const ALL_OTHERS: u64 = 1 << 40;
        let sgi = (value >> 24 & 0xf) as u32;
        let vcpus = current.domain.vcpus_quickly();
        if value & ALL_OTHERS != 0 {
            for vcpu in vcpus.iter().filter(|vcpu| vcpu.id != current.vcpu.id) {
                self.inject_private(current.domain, vcpu, sgi);
            }
            return;
        }
        let first = (value >> 16 & 0xff) as usize * 16;
        let mut listed = value & 0xffff;
        while listed != 0 {
            let n = listed.trailing_zeros() as usize;
            listed &= listed - 1;
            if let Some(vcpu) = vcpus.get(first + n) {
                self.inject_private(current.domain, vcpu, sgi);
            }
        }
    }
}

#[hot]
fn checked(offset: u32, size: u8) -> Result<Register, Unhandled> {
    let aligned = offset & ((1 << size) - 1) == 0;
    let register = decode(offset);
    if aligned && register.allows(size) { Ok(register) } else { Err(Unhandled) }
}
