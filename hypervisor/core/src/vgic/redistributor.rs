//! A vCPU's redistributor as a guest sees it: a frame for the CPU, and one for its private interrupts.

use guest_board::Region;

use super::{
    Unhandled,
    registers::Common,
    state::LOCAL,
    v3::{IIDR, PIDR2, Redistributors, affinity, part},
};
use crate::{Hypervisor, current::Current, machine::Machine};

/// Size of a redistributor.
const SIZE: u64 = 2 * FRAME as u64;
const FRAME: u32 = 0x1_0000;
/// GICR_TYPER.Last: of its region.
const TYPER_LAST: u64 = 1 << 4;

impl Redistributors {
    /// The vCPU whose redistributor lies at a guest-physical address, and the offset in it.
    pub(crate) fn find(self, address: u64) -> Option<(usize, u32)> {
        let mut first = 0;
        for region in self.0 {
            let count = region.size / SIZE;
            let offset = address.wrapping_sub(region.base);
            if offset < count * SIZE {
                return Some(((first + offset / SIZE) as usize, (offset % SIZE) as u32));
            }
            first += count;
        }
        None
    }

    /// How many vCPUs there is room for.
    pub fn room(self) -> u64 {
        self.0.iter().map(|region| region.size / SIZE).sum()
    }

    /// The regions that so many vCPUs are in.
    pub(crate) fn used_by(self, vcpus: u32) -> &'static [Region] {
        let enough = |count: &usize| Self(&self.0[..*count]).room() >= vcpus.into();
        &self.0[..(1..self.0.len()).find(enough).unwrap_or(self.0.len())]
    }

    /// Whether a vCPU, of `vcpus`, is the last one of its region.
    fn is_last(self, v: usize, vcpus: usize) -> bool {
        let mut end = 0;
        let ends_region = self.0.iter().any(|region| {
            end += region.size / SIZE;
            end == v as u64 + 1
        });
        ends_region || v + 1 == vcpus
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Iidr,
    Typer,
    /// CTLR, STATUSR, WAKER: there are no LPIs, no errors to report, no sleep.
    ZeroWord,
    /// PROPBASER, PENDBASER: without LPIs.
    ZeroDouble,
    Pidr2,
    Common(Common),
    /// Reads as zero, ignores writes, of any width.
    Reserved,
}

fn decode(offset: u32) -> Register {
    if let Some(offset) = offset.checked_sub(FRAME) {
        return private(offset);
    }
    match offset {
        0x0000..=0x0003 | 0x0010..=0x0017 => Register::ZeroWord,
        0x0004..=0x0007 => Register::Iidr,
        0x0008..=0x000f => Register::Typer,
        0x0070..=0x007f => Register::ZeroDouble,
        0xffe8..=0xffeb => Register::Pidr2,
        _ => Register::Reserved,
    }
}

/// In the second frame: those of the distributor's registers that are about private interrupts.
fn private(offset: u32) -> Register {
    match Common::decode(offset) {
        Some(common) if common.first() < LOCAL => Register::Common(common),
        _ => Register::Reserved,
    }
}

impl Register {
    /// Whether accesses of `1 << size` bytes are allowed.
    fn allows(self, size: u8) -> bool {
        match self {
            Self::Reserved => true,
            Self::Common(common) => common.allows(size),
            Self::Typer | Self::ZeroDouble => size == 2 || size == 3,
            _ => size == 2,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A load of `1 << size` bytes from the redistributor of vCPU `v`, which exists.
    pub(crate) fn gicr_read(
        &self,
        current: &Current<'_, M>,
        v: usize,
        offset: u32,
        size: u8,
    ) -> Result<u64, Unhandled> {
        Ok(match checked(offset, size)? {
            Register::Iidr => IIDR.into(),
            Register::Typer => {
                let all = current.domain.config.interrupts.redistributors;
                let vcpus = current.domain.vcpus_quickly().len();
                let last = if all.is_some_and(|all| all.is_last(v, vcpus)) { TYPER_LAST } else { 0 };
                part(affinity(v) << 32 | (v as u64) << 8 | last, offset, size)
            }
            Register::Pidr2 => PIDR2.into(),
            Register::Common(common) => current.domain.vgic.lock().read_common(v, common, size).into(),
            Register::ZeroWord | Register::ZeroDouble | Register::Reserved => 0,
        })
    }

    /// A store of `1 << size` bytes to it.
    pub(crate) fn gicr_write(
        &self,
        current: &Current<'_, M>,
        v: usize,
        offset: u32,
        size: u8,
        value: u64,
    ) -> Result<(), Unhandled> {
        match checked(offset, size)? {
            Register::Common(common) => self.write_common(current, v, common, size, value as u32),
            _ => Ok(()),
        }
    }
}

#[hot]
fn checked(offset: u32, size: u8) -> Result<Register, Unhandled> {
    let aligned = offset & ((1 << size) - 1) == 0;
    let register = decode(offset);
    if aligned && register.allows(size) { Ok(register) } else { Err(Unhandled) }
}
