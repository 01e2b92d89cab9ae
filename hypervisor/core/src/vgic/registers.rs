//! The registers that both versions have: some bits, or a byte, for each interrupt.

use super::{
    Unhandled, Vgic,
    state::{LOCAL, NOBODY},
};
use crate::{Hypervisor, current::Current, machine::Machine};

/// A word of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    /// Reads as zero, ignores writes.
    Zero,
    /// One bit for each interrupt; the index of the word.
    Isenabler(u32),
    Icenabler(u32),
    Ispendr(u32),
    Isactiver,
    /// One byte for each interrupt; the first interrupt.
    Ipriorityr(u32),
    /// Two bits for each interrupt; the index of the word.
    Icfgr(u32),
}

impl Common {
    /// They come in groups of 128 bytes.
    pub(super) fn decode(offset: u32) -> Option<Self> {
        let word = offset % 128 / 4;
        Some(match offset / 128 {
            0x01 | 0x05 | 0x07 => Self::Zero,
            0x02 => Self::Isenabler(word),
            0x03 => Self::Icenabler(word),
            0x04 => Self::Ispendr(word),
            0x06 => Self::Isactiver,
            // The last word is not theirs: interrupts end at 1019.
            0x08..=0x0f if offset < 0x7fc => Self::Ipriorityr(offset - 0x400),
            0x18 | 0x19 => Self::Icfgr((offset - 0xc00) / 4),
            _ => return None,
        })
    }

    /// The first interrupt that it is about.
    pub(super) fn first(self) -> u32 {
        match self {
            Self::Zero | Self::Isactiver => 0,
            Self::Isenabler(word) | Self::Icenabler(word) | Self::Ispendr(word) => word * 32,
            Self::Ipriorityr(first) => first,
            Self::Icfgr(word) => word * 16,
        }
    }

    /// Whether accesses of `1 << size` bytes are allowed.
    pub(super) fn allows(self, size: u8) -> bool {
        size == 2 || size == 0 && matches!(self, Self::Ipriorityr(_))
    }
}

/// Bytes of an access to registers with a byte for each interrupt.
pub(super) fn bytes(first: u32, size: u8) -> core::ops::Range<u32> {
    first..first + (1 << size)
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

impl Vgic {
    /// What one reads, where private interrupts are those of vCPU `v`.
    #[hot]
    pub(super) fn read_common(&self, v: usize, register: Common, size: u8) -> u32 {
        match register {
            Common::Isenabler(n) | Common::Icenabler(n) => {
                self.bank(v, n * 32).map_or(0, |bank| bank.enabled)
            }
            Common::Ipriorityr(first) => {
                self.bank(v, first).map_or(0, |bank| gather(&bank.priority, first, size))
            }
            Common::Icfgr(n) => self.bank(v, n * 16).map_or(0, |bank| bank.config[n as usize % 2]),
            Common::Zero | Common::Ispendr(_) | Common::Isactiver => 0,
        }
    }

    fn set_priorities(&mut self, v: usize, first: u32, size: u8, value: u32) {
        if let Some(bank) = self.bank_mut(v, first) {
            for (n, virq) in bytes(first, size).enumerate() {
                bank.priority[virq as usize % 32] = (value >> (n * 8)) as u8;
            }
        }
    }

    fn configure(&mut self, v: usize, word: u32, value: u32) {
        // SGIs are what they are.
        if word == 0 {
            return;
        }
        if let Some(bank) = self.bank_mut(v, word * 16) {
            bank.config[word as usize % 2] = value;
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Writes one of them, where private interrupts are those of vCPU `v`.
    #[hot]
    pub(super) fn write_common(
        &self,
        current: &Current<'_, M>,
        v: usize,
        register: Common,
        size: u8,
        value: u32,
    ) -> Result<(), Unhandled> {
        match register {
            Common::Isenabler(n) => self.enable_interrupts(current, v, n, value),
            Common::Icenabler(n) => self.disable_interrupts(current, v, n, value),
            Common::Ispendr(n) => self.pend_interrupts(current, v, n, value),
            Common::Isactiver if value != 0 => return Err(Unhandled),
            Common::Ipriorityr(first) => {
                current.domain.vgic.lock().set_priorities(v, first, size, value);
            }
            Common::Icfgr(n) => current.domain.vgic.lock().configure(v, n, value),
            Common::Zero | Common::Isactiver => {}
        }
        Ok(())
    }

    fn enable_interrupts(&self, current: &Current<'_, M>, v: usize, word: u32, bits: u32) {
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
            self.announce(current, v, virq);
        }
    }

    /// A pending interrupt was enabled: whoever it goes to has to notice.
    #[hot]
    fn announce(&self, current: &Current<'_, M>, v: usize, virq: u32) {
        let v = match virq {
            0..LOCAL => Some(v),
            _ => current.domain.vgic.lock().goes_to(virq),
        };
        if let Some(vcpu) = v.and_then(|v| current.domain.vcpus_quickly().get(v))
            && !vcpu.sched.is_down()
        {
            self.deliver_to(current.domain, vcpu, false);
        }
    }

    fn disable_interrupts(&self, current: &Current<'_, M>, v: usize, word: u32, bits: u32) {
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
            self.withdraw(current, v, virq);
        }
    }

    /// An interrupt was disabled: a list register may have it pending.
    fn withdraw(&self, current: &Current<'_, M>, v: usize, virq: u32) {
        let mut vgic = current.domain.vgic.lock();
        let v = match virq {
            0..LOCAL => v,
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
        if let Some(vcpu) = current.domain.vcpus_quickly().get(v) {
            self.deliver_to(current.domain, vcpu, false);
        }
    }

    fn switch_hardware(&self, word: u32, bits: u32, on: bool) {
        for spi in each(word, bits) {
            self.machine.enable_spi(spi, on);
        }
    }

    fn pend_interrupts(&self, current: &Current<'_, M>, v: usize, word: u32, bits: u32) {
        let Some(vcpu) = current.domain.vcpus_quickly().get(v) else { return };
        for virq in each(word, bits) {
            match virq {
                0..LOCAL => self.inject_private(current.domain, vcpu, virq),
                _ => self.inject_spi(current.domain, virq),
            }
        }
    }

    /// The guest sends a shared interrupt to vCPU `target` from now on.
    pub(super) fn retarget(&self, current: &Current<'_, M>, spi: u32, target: u8) {
        let mut vgic = current.domain.vgic.lock();
        let Some(bank) = vgic.spi_bank(spi) else { return };
        if bank.target[spi as usize % 32] == target {
            return;
        }
        bank.target[spi as usize % 32] = target;
        let bit = 1 << (spi % 32);
        let (hardware, pending) = (bank.bank.hardware & bit != 0, bank.bank.pending & bit != 0);
        drop(vgic);
        if hardware {
            self.redirect_spi(current.domain, spi, target.into());
        }
        if pending {
            self.announce(current, target.into(), spi);
        }
    }
}
