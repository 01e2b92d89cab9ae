//! The interrupts of a domain: which are enabled, pending, how urgent, and for whom.

use alloc::boxed::Box;

use xen_abi::Errno;

use super::slots::Interface;
use crate::{machine::CpuId, shared::filled};

/// Interrupts that each vCPU has for itself: SGIs and PPIs.
pub const LOCAL: u32 = 32;
/// SGIs among them.
pub const SGIS: u32 = 16;
/// No vCPU.
pub(super) const NOBODY: u8 = 0xff;

/// The state of 32 interrupts; one bit each.
pub(super) struct Bank {
    pub(super) enabled: u32,
    /// Pending and not in a list register.
    pub(super) pending: u32,
    /// Cannot go to a list register before the guest ends it; tried again at the next refill.
    pub(super) deferred: u32,
    /// Backed by a physical interrupt of the same number.
    pub(super) hardware: u32,
    /// What the guest wrote to ICFGR.
    pub(super) config: [u32; 2],
    pub(super) priority: [u8; 32],
}

impl Bank {
    pub(super) const fn new() -> Self {
        Self { enabled: 0, pending: 0, deferred: 0, hardware: 0, config: [0; 2], priority: [0; 32] }
    }

    /// Notes that an interrupt of this bank is pending; says whether it is enabled.
    #[hot]
    #[inline]
    pub(super) fn pend(&mut self, virq: u32) -> bool {
        let bit = 1 << (virq % 32);
        self.pending |= bit;
        self.enabled & bit != 0
    }

    /// Notes that it has gone to a list register.
    #[inline]
    pub(super) fn placed(&mut self, virq: u32) {
        self.pending &= !(1 << (virq % 32));
    }

    fn candidates(&self) -> u32 {
        self.pending & self.enabled & !self.deferred
    }

    /// The most urgent of the interrupts in `mask`.
    #[inline]
    fn best(&self, mut mask: u32) -> Option<(u32, u8)> {
        let mut best: Option<(u32, u8)> = None;
        while mask != 0 {
            let n = mask.trailing_zeros();
            mask &= mask - 1;
            let priority = self.priority[n as usize];
            if best.is_none_or(|(_, least)| priority < least) {
                best = Some((n, priority));
            }
        }
        best
    }
}

/// 32 shared interrupts.
pub(super) struct SpiBank {
    pub(super) bank: Bank,
    /// The vCPU each goes to.
    pub(super) target: [u8; 32],
    /// The vCPU whose list register has it.
    pub(super) holder: [u8; 32],
    /// The CPU that acknowledged it last, of those that hardware has.
    taken_by: [u8; 32],
}

impl SpiBank {
    const fn new() -> Self {
        Self { bank: Bank::new(), target: [0; 32], holder: [NOBODY; 32], taken_by: [0; 32] }
    }

    /// Where interrupt `n` has to go: what is under way completes where it began.
    #[inline]
    fn goes_to(&self, n: usize) -> u8 {
        if self.holder[n] == NOBODY { self.target[n] } else { self.holder[n] }
    }

    #[inline]
    fn of_vcpu(&self, v: usize, mut mask: u32) -> u32 {
        let mut mine = 0;
        while mask != 0 {
            let n = mask.trailing_zeros();
            mask &= mask - 1;
            mine |= u32::from(usize::from(self.goes_to(n as usize)) == v) << n;
        }
        mine
    }
}

/// All interrupts of a domain. Behind the domain's vgic lock.
pub struct Vgic {
    /// GICD_CTLR as the guest wrote it.
    pub(super) control: u32,
    pub(super) spis: Box<[SpiBank]>,
    pub(super) cpus: Box<[Interface]>,
    /// One bit for each bank of SPIs that may have pending ones.
    spi_news: u32,
    any_deferred: bool,
    /// An SPI was let go of that is pending for another vCPU.
    orphans: bool,
}

impl Vgic {
    /// For `vcpus` vCPUs and `nr_spis` shared interrupts (rounded up to 32, at most 988).
    pub fn new(vcpus: u32, nr_spis: u32) -> Result<Self, Errno> {
        let banks = nr_spis.div_ceil(32).min(31) as usize;
        Ok(Self {
            control: 0,
            spis: filled(banks, SpiBank::new)?,
            cpus: filled(vcpus as usize, Interface::new)?,
            spi_news: 0,
            any_deferred: false,
            orphans: false,
        })
    }

    /// How many interrupts there are, private ones included.
    pub(super) fn lines(&self) -> u32 {
        (self.spis.len() as u32 + 1) * 32
    }

    #[inline]
    pub(super) fn bank(&self, v: usize, virq: u32) -> Option<&Bank> {
        match virq / 32 {
            0 => self.cpus.get(v).map(|cpu| &cpu.bank),
            n => self.spis.get(n as usize - 1).map(|spi| &spi.bank),
        }
    }

    #[inline]
    pub(super) fn bank_mut(&mut self, v: usize, virq: u32) -> Option<&mut Bank> {
        match virq / 32 {
            0 => self.cpus.get_mut(v).map(|cpu| &mut cpu.bank),
            n => self.spis.get_mut(n as usize - 1).map(|spi| &mut spi.bank),
        }
    }

    pub(super) fn spi_bank(&mut self, virq: u32) -> Option<&mut SpiBank> {
        self.spis.get_mut((virq / 32).checked_sub(1)? as usize)
    }

    #[inline]
    pub(super) fn is_enabled(&self, v: usize, virq: u32) -> bool {
        self.bank(v, virq).is_some_and(|bank| bank.enabled >> (virq % 32) & 1 != 0)
    }

    #[inline]
    pub(super) fn priority(&self, v: usize, virq: u32) -> u8 {
        self.bank(v, virq).map_or(0xff, |bank| bank.priority[virq as usize % 32])
    }

    #[inline]
    pub(super) fn is_hardware(&self, virq: u32) -> bool {
        virq >= LOCAL && self.bank(0, virq).is_some_and(|bank| bank.hardware >> (virq % 32) & 1 != 0)
    }

    /// Notes that `cpu` acknowledged a hardware interrupt.
    pub(super) fn note_taken(&mut self, spi: u32, cpu: CpuId) {
        if let Some(bank) = self.spi_bank(spi) {
            bank.taken_by[spi as usize % 32] = cpu.0 as u8;
        }
    }

    /// Whether `cpu` was the last to acknowledge one.
    pub(super) fn was_taken_by(&self, spi: u32, cpu: CpuId) -> bool {
        let bank = (spi / 32).checked_sub(1).and_then(|n| self.spis.get(n as usize));
        bank.is_some_and(|bank| bank.taken_by[spi as usize % 32] == cpu.0 as u8)
    }

    /// Whether vCPU `v` is sent any hardware interrupt.
    pub(super) fn hardware_of(&self, v: usize) -> bool {
        let sent = |spis: &SpiBank| {
            (0..32).any(|n| spis.bank.hardware >> n & 1 != 0 && usize::from(spis.target[n]) == v)
        };
        self.spis.iter().any(sent)
    }

    /// Notes that an interrupt is pending; `source` is an SGI's sender. Says whether it is enabled.
    #[hot]
    pub(super) fn pend(&mut self, v: usize, virq: u32, source: u8) -> bool {
        match virq {
            0..LOCAL => self.cpus.get_mut(v).is_some_and(|cpu| cpu.pend(virq, source)),
            _ => self.pend_shared(virq),
        }
    }

    #[hot]
    #[inline(never)]
    fn pend_shared(&mut self, spi: u32) -> bool {
        self.spi_news |= 1 << (spi / 32 - 1);
        self.spi_bank(spi).is_some_and(|spis| spis.bank.pend(spi))
    }

    /// Notes that it has gone to a list register.
    pub(super) fn placed(&mut self, v: usize, virq: u32, source: u8) {
        match virq {
            0..LOCAL => {
                if let Some(cpu) = self.cpus.get_mut(v) {
                    cpu.placed(virq, source);
                }
            }
            _ => {
                if let Some(spis) = self.spi_bank(virq) {
                    spis.bank.placed(virq);
                }
            }
        }
    }

    /// Whether shared interrupts may wait for a list register, or deferred ones, of whichever vCPU.
    pub(super) fn has_spi_news(&self) -> bool {
        self.spi_news != 0 || self.any_deferred
    }

    /// The vCPU whose list register has an SPI, or to which it goes next.
    #[inline]
    pub(super) fn goes_to(&mut self, spi: u32) -> Option<usize> {
        let bank = self.spi_bank(spi)?;
        let v = usize::from(bank.goes_to(spi as usize % 32));
        (v < self.cpus.len()).then_some(v)
    }

    #[inline]
    pub(super) fn target(&mut self, spi: u32) -> Option<usize> {
        let bank = self.spi_bank(spi)?;
        Some(bank.target[spi as usize % 32].into())
    }

    pub(super) fn hold(&mut self, spi: u32, v: usize) {
        if let Some(bank) = self.spi_bank(spi) {
            bank.holder[spi as usize % 32] = v as u8;
        }
    }

    /// No list register of vCPU `v` has the SPI any more.
    pub(super) fn let_go(&mut self, spi: u32, v: usize) {
        let n = spi as usize % 32;
        if let Some(bank) = self.spi_bank(spi) {
            bank.holder[n] = NOBODY;
            let elsewhere = usize::from(bank.target[n]) != v && bank.bank.pending >> n & 1 != 0;
            self.orphans |= elsewhere;
        }
    }

    /// Whether an SPI was let go of that is pending for another vCPU.
    pub(super) fn take_orphans(&mut self) -> bool {
        core::mem::take(&mut self.orphans)
    }

    /// Switches off what is pending for a vCPU that starts anew.
    pub(super) fn reset_cpu(&mut self, v: usize) {
        if let Some(cpu) = self.cpus.get_mut(v) {
            cpu.reset = true;
            cpu.bank.pending = 0;
            cpu.sources = [0; SGIS as usize];
        }
    }

    /// The most urgent interrupt that waits for a list register of vCPU `v`.
    pub(super) fn next_candidate(&mut self, v: usize) -> Option<(u32, u8)> {
        let local = self.cpus.get(v)?;
        let mut best = local.bank.best(local.bank.candidates());
        let mut news = self.spi_news;
        while news != 0 {
            let n = news.trailing_zeros();
            news &= news - 1;
            let Some(spis) = self.spis.get(n as usize) else { break };
            if spis.bank.pending == 0 {
                self.spi_news &= !(1 << n);
                continue;
            }
            let mine = spis.of_vcpu(v, spis.bank.candidates());
            if let Some((spi, priority)) = spis.bank.best(mine)
                && best.is_none_or(|(_, least)| priority < least)
            {
                best = Some(((n + 1) * 32 + spi, priority));
            }
        }
        best.map(|(virq, _)| (virq, self.cpus.get(v).map_or(0, |cpu| cpu.source_of(virq))))
    }

    /// Whether anything waits for a list register of vCPU `v`, deferred ones too.
    #[hot]
    pub(super) fn has_pending(&self, v: usize) -> bool {
        let Some(local) = self.cpus.get(v) else { return false };
        if local.bank.pending & local.bank.enabled != 0 {
            return true;
        }
        self.spi_news != 0
            && self.spis.iter().any(|spis| spis.of_vcpu(v, spis.bank.pending & spis.bank.enabled) != 0)
    }

    /// Notes that an interrupt has to wait until the guest ends it.
    pub(super) fn defer(&mut self, v: usize, virq: u32) {
        self.any_deferred = true;
        if let Some(bank) = self.bank_mut(v, virq) {
            bank.deferred |= 1 << (virq % 32);
        }
    }

    pub(super) fn is_deferred(&self, v: usize, virq: u32) -> bool {
        self.bank(v, virq).is_some_and(|bank| bank.deferred >> (virq % 32) & 1 != 0)
    }

    /// Lets deferred interrupts be tried again.
    pub(super) fn retry_deferred(&mut self, v: usize) {
        if !core::mem::take(&mut self.any_deferred) {
            return;
        }
        if let Some(cpu) = self.cpus.get_mut(v) {
            cpu.bank.deferred = 0;
        }
        for spis in &mut self.spis {
            spis.bank.deferred = 0;
        }
    }
}
