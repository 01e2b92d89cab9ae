//! The GICv2 distributor as a guest sees it (Arm IHI 0048B, section 4.3; deviations are Xen's).

use xen_abi::PAGE_SIZE;

use super::state::{LOCAL, NOBODY};
use crate::{Hypervisor, current::Current, machine::Machine};

/// An access that the distributor does not have: a data abort to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhandled;

/// Implementer: Arm; what Xen shows.
const IIDR: u32 = 0x43b;
/// ICPIDR2: architecture revision 2. Xen 4.17 aborts.
const PIDR2: u32 = 0x20;

/// A register, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Ctlr,
    Typer,
    Iidr,
    /// Reads as zero, ignores writes, of any width.
    Reserved,
    /// The same, but 32 bits wide.
    ZeroWord,
    /// One bit for each interrupt; the index of the word.
    Isenabler(u32),
    Icenabler(u32),
    Ispendr(u32),
    Isactiver,
    /// One byte for each interrupt; the first interrupt.
    Ipriorityr(u32),
    Itargetsr(u32),
    /// Two bits for each interrupt; the index of the word.
    Icfgr(u32),
    Sgir,
    /// Reads as zero; writes abort.
    PendSgir,
    Pidr2,
    /// Reads as zero; writes abort.
    LastIds,
}

/// Most registers come in groups of 128 bytes.
fn decode(offset: u32) -> Register {
    let word = offset % 128 / 4;
    match offset / 128 {
        0x00 => match offset {
            0x000..=0x003 => Register::Ctlr,
            0x004..=0x007 => Register::Typer,
            0x008..=0x00b => Register::Iidr,
            _ => Register::Reserved,
        },
        0x01 | 0x05 | 0x07 | 0x1c | 0x1d => Register::ZeroWord,
        0x02 => Register::Isenabler(word),
        0x03 => Register::Icenabler(word),
        0x04 => Register::Ispendr(word),
        0x06 => Register::Isactiver,
        // The last word of either is not theirs: interrupts end at 1019.
        0x0f | 0x17 if offset % 0x400 >= 0x3fc => Register::Reserved,
        0x08..=0x0f => Register::Ipriorityr(offset - 0x400),
        0x10..=0x17 => Register::Itargetsr(offset - 0x800),
        0x18 | 0x19 => Register::Icfgr((offset - 0xc00) / 4),
        0x1e => match offset {
            0xf00..=0xf03 => Register::Sgir,
            0xf10..=0xf2f => Register::PendSgir,
            _ => Register::Reserved,
        },
        0x1f => match offset {
            0xfe8..=0xfeb => Register::Pidr2,
            0xfec..=0xfff => Register::LastIds,
            _ => Register::Reserved,
        },
        _ => Register::Reserved,
    }
}

impl Register {
    /// Whether accesses of `1 << size` bytes are allowed.
    fn allows(self, size: u8) -> bool {
        match self {
            Self::Reserved | Self::LastIds => true,
            Self::Ipriorityr(_) | Self::Itargetsr(_) | Self::PendSgir => size == 0 || size == 2,
            _ => size == 2,
        }
    }
}

/// Bytes of an access to registers with a byte for each interrupt.
fn bytes(first: u32, size: u8) -> core::ops::Range<u32> {
    first..first + (1 << size)
}

impl<M: Machine> Hypervisor<M> {
    /// A load of `1 << size` bytes from the distributor.
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
            Register::Isenabler(n) | Register::Icenabler(n) => {
                vgic.bank(v, n * 32).map_or(0, |bank| bank.enabled)
            }
            Register::Ipriorityr(first) => {
                vgic.bank(v, first).map_or(0, |bank| gather(&bank.priority, first, size))
            }
            Register::Itargetsr(first) => vgic.targets(v, first, size),
            Register::Icfgr(n) => vgic.bank(v, n * 16).map_or(0, |bank| bank.config[n as usize % 2]),
            Register::Pidr2 => PIDR2,
            _ => 0,
        })
    }

    /// A store of `1 << size` bytes to it.
    pub(crate) fn gicd_write(
        &self,
        current: &Current<'_, M>,
        offset: u32,
        size: u8,
        value: u32,
    ) -> Result<(), Unhandled> {
        match checked(offset, size)? {
            Register::Ctlr => current.domain.vgic.lock().control = value & 1,
            Register::Isenabler(n) => self.enable_interrupts(current, n, value),
            Register::Icenabler(n) => self.disable_interrupts(current, n, value),
            Register::Ispendr(n) => self.pend_interrupts(current, n, value),
            Register::Isactiver if value != 0 => return Err(Unhandled),
            Register::Ipriorityr(first) => {
                let v = current.vcpu.id as usize;
                if let Some(bank) = current.domain.vgic.lock().bank_mut(v, first) {
                    for (n, virq) in bytes(first, size).enumerate() {
                        bank.priority[virq as usize % 32] = (value >> (n * 8)) as u8;
                    }
                }
            }
            Register::Itargetsr(first) => self.retarget(current, first, size, value),
            Register::Icfgr(n) => self.configure(current, n, value),
            Register::Sgir => return self.send_sgi(current, value),
            Register::PendSgir | Register::LastIds => return Err(Unhandled),
            _ => {}
        }
        Ok(())
    }

    fn enable_interrupts(&self, current: &Current<'_, M>, word: u32, bits: u32) {
        let v = current.vcpu.id as usize;
        let mut vgic = current.domain.vgic.lock();
        let Some(bank) = vgic.bank_mut(v, word * 32) else { return };
        let fresh = bits & !bank.enabled;
        bank.enabled |= bits;
        let (pending, hardware) = (fresh & bank.pending, fresh & bank.hardware);
        drop(vgic);
        if word > 0 {
            self.switch_hardware(word, hardware, true);
        }
        for virq in each(word, pending) {
            self.announce(current, virq);
        }
    }

    /// A pending interrupt was enabled: whoever it goes to has to notice.
    fn announce(&self, current: &Current<'_, M>, virq: u32) {
        let v = match virq {
            0..LOCAL => Some(current.vcpu.id as usize),
            _ => current.domain.vgic.lock().goes_to(virq),
        };
        if let Some(vcpu) = v.and_then(|v| current.domain.vcpus().get(v))
            && !vcpu.sched.is_down()
        {
            self.deliver_to(current.domain, vcpu, false);
        }
    }

    fn disable_interrupts(&self, current: &Current<'_, M>, word: u32, bits: u32) {
        let v = current.vcpu.id as usize;
        let mut vgic = current.domain.vgic.lock();
        let Some(bank) = vgic.bank_mut(v, word * 32) else { return };
        let fresh = bits & bank.enabled;
        bank.enabled &= !bits;
        let hardware = fresh & bank.hardware;
        drop(vgic);
        if word > 0 {
            self.switch_hardware(word, hardware, false);
        }
        for virq in each(word, fresh) {
            self.withdraw(current, virq);
        }
    }

    /// An interrupt was disabled: a list register may have it pending.
    fn withdraw(&self, current: &Current<'_, M>, virq: u32) {
        let mut vgic = current.domain.vgic.lock();
        let v = match virq {
            0..LOCAL => current.vcpu.id as usize,
            _ => match vgic.spi_bank(virq).map_or(NOBODY, |bank| bank.holder[virq as usize % 32]) {
                NOBODY => return,
                holder => holder.into(),
            },
        };
        let Some(cpu) = vgic.cpus.get_mut(v) else { return };
        if !cpu.holds(virq) {
            return;
        }
        cpu.recheck = true;
        drop(vgic);
        if let Some(vcpu) = current.domain.vcpus().get(v) {
            self.deliver_to(current.domain, vcpu, false);
        }
    }

    fn switch_hardware(&self, word: u32, bits: u32, on: bool) {
        for spi in each(word, bits) {
            self.machine.enable_spi(spi, on);
        }
    }

    fn pend_interrupts(&self, current: &Current<'_, M>, word: u32, bits: u32) {
        for virq in each(word, bits) {
            match virq {
                0..LOCAL => self.inject_private(current.domain, current.vcpu, virq),
                _ => self.inject_spi(current.domain, virq),
            }
        }
    }

    fn retarget(&self, current: &Current<'_, M>, first: u32, size: u8, value: u32) {
        if first < LOCAL {
            return;
        }
        for (n, spi) in bytes(first, size).enumerate() {
            let wanted = value >> (n * 8) & 0xff;
            let mut vgic = current.domain.vgic.lock();
            let valid = wanted & ((1u32 << vgic.cpus.len().min(8)) - 1);
            let Some(bank) = vgic.spi_bank(spi) else { return };
            let target = valid.trailing_zeros() as u8;
            if valid == 0 || bank.target[spi as usize % 32] == target {
                continue;
            }
            bank.target[spi as usize % 32] = target;
            let bit = 1 << (spi % 32);
            let (hardware, pending) = (bank.bank.hardware & bit != 0, bank.bank.pending & bit != 0);
            drop(vgic);
            if hardware {
                self.redirect_spi(current.domain, spi, target.into());
            }
            if pending {
                self.announce(current, spi);
            }
        }
    }

    fn configure(&self, current: &Current<'_, M>, word: u32, value: u32) {
        // SGIs are what they are, and Xen keeps the PPIs as they are too.
        if word < 2 {
            return;
        }
        if let Some(bank) = current.domain.vgic.lock().bank_mut(0, word * 16) {
            bank.config[word as usize % 2] = value;
        }
    }

    fn send_sgi(&self, current: &Current<'_, M>, value: u32) -> Result<(), Unhandled> {
        let (sgi, listed) = (value & 0xf, value >> 16 & 0xff);
        let me = current.vcpu.id;
        if value >> 24 & 3 == 2 {
            self.inject_here(current.domain, current.vcpu, sgi, me as u8);
            return Ok(());
        }
        let all = (1u32 << current.domain.vcpus().len().min(8)) - 1;
        let mut targets = match value >> 24 & 3 {
            0 => listed & all,
            1 => all & !(1 << me),
            _ => return Err(Unhandled),
        };
        while targets != 0 {
            let v = targets.trailing_zeros();
            targets &= targets - 1;
            if let Some(vcpu) = current.domain.vcpus().get(v as usize) {
                self.inject_from(current.domain, vcpu, sgi, me as u8);
            }
        }
        Ok(())
    }
}

fn checked(offset: u32, size: u8) -> Result<Register, Unhandled> {
    let aligned = offset & ((1 << size) - 1) == 0;
    let register = decode(offset % PAGE_SIZE as u32);
    if aligned && register.allows(size) { Ok(register) } else { Err(Unhandled) }
}

/// The interrupts of a word whose bits are set.
fn each(word: u32, mut bits: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let n = bits.checked_ilog2().map(|_| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(word * 32 + n)
    })
}

/// Puts together the bytes that belong to interrupts from `first` on.
fn gather(all: &[u8; 32], first: u32, size: u8) -> u32 {
    let shifted = bytes(first, size).enumerate();
    shifted.map(|(n, virq)| u32::from(all[virq as usize % 32]) << (n * 8)).sum()
}

impl super::Vgic {
    /// ITARGETSR: a private interrupt's target is whoever asks.
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
