//! The timers of a vCPU. The virtual one is the hardware's; the physical one is emulated.

use crate::{
    Hypervisor,
    current::Current,
    domain::Domain,
    machine::{CpuId, Machine},
    timers::{NEVER, TimerKind},
    vcpu::VcpuRef,
};

const ENABLE: u32 = 1 << 0;
const IMASK: u32 = 1 << 1;
const ISTATUS: u32 = 1 << 2;

/// The emulated physical timer (CNTP).
pub struct PhysicalTimer {
    /// ENABLE and IMASK.
    control: u32,
    compare: u64,
    /// Its interrupt was raised since it was last programmed.
    raised: bool,
}

/// Its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhysicalRegister {
    /// CNTP_CTL.
    Control,
    /// CNTP_CVAL.
    CompareValue,
    /// CNTP_TVAL.
    TimerValue,
}

/// What has to happen after a timer was programmed.
enum Due {
    Nothing,
    Now,
    At(u64),
}

impl PhysicalTimer {
    pub(crate) const fn new() -> Self {
        Self { control: 0, compare: 0, raised: false }
    }

    fn is_met(&self, now: u64) -> bool {
        self.control & ENABLE != 0 && now >= self.compare
    }

    fn read(&self, register: PhysicalRegister, now: u64) -> u64 {
        match register {
            PhysicalRegister::Control if self.is_met(now) => u64::from(self.control | ISTATUS),
            PhysicalRegister::Control => self.control.into(),
            PhysicalRegister::CompareValue => self.compare,
            PhysicalRegister::TimerValue => self.compare.wrapping_sub(now) & 0xffff_ffff,
        }
    }

    fn write(&mut self, register: PhysicalRegister, value: u64, now: u64) {
        match register {
            PhysicalRegister::Control => {
                self.control = value as u32 & (ENABLE | IMASK);
                // Masking and unmasking raises again what is still due.
                self.raised &= self.control == ENABLE;
            }
            PhysicalRegister::CompareValue => {
                self.compare = value;
                self.raised = false;
            }
            PhysicalRegister::TimerValue => {
                self.compare = now.wrapping_add_signed((value as i32).into());
                self.raised = false;
            }
        }
    }

    #[inline]
    fn due(&mut self, now: u64) -> Due {
        if self.control & (ENABLE | IMASK) != ENABLE || self.raised {
            Due::Nothing
        } else if now >= self.compare {
            self.raised = true;
            Due::Now
        } else {
            Due::At(self.compare)
        }
    }
}

impl<M: Machine> Current<'_, M> {
    pub(crate) fn read_physical_timer(&self, register: PhysicalRegister) -> u64 {
        self.vcpu.physical_timer.lock().read(register, self.hv.machine.ticks())
    }

    pub(crate) fn write_physical_timer(&self, register: PhysicalRegister, value: u64) {
        let now = self.hv.machine.ticks();
        let mut timer = self.vcpu.physical_timer.lock();
        timer.write(register, value, now);
        let due = timer.due(now);
        drop(timer);
        match due {
            Due::Nothing => {
                self.vcpu.timers.phys.stop();
            }
            Due::Now => {
                self.vcpu.timers.phys.stop();
                self.hv.inject_here(self.domain, self.vcpu, self.domain.config.interrupts.physical_timer, 0);
            }
            Due::At(deadline) => {
                self.hv.arm_timer(self.cpu, self.domain, self.vcpu, TimerKind::Physical, deadline);
            }
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// The virtual timer of the loaded vCPU fired; the machine has masked it in CNTV_CTL (IMASK).
    #[hot]
    pub fn virtual_timer_fired(&self, current: &mut Current<'_, M>) {
        let virq = current.domain.config.interrupts.virtual_timer;
        self.inject_here(current.domain, current.vcpu, virq, 0);
    }

    pub(crate) fn physical_timer_fired(&self, cpu: CpuId, vcpu: &VcpuRef<M>) {
        let due = vcpu.physical_timer.lock().due(self.machine.ticks());
        match due {
            Due::Nothing => {}
            Due::Now => self.inject_private(&vcpu.domain, vcpu, vcpu.domain.config.interrupts.physical_timer),
            Due::At(deadline) => self.arm_timer(cpu, &vcpu.domain, vcpu, TimerKind::Physical, deadline),
        }
    }

    /// When a virtual timer's compare value is reached, in ticks of the hardware's counter.
    pub(crate) fn virtual_timer_at(&self, domain: &Domain<M>, compare: u64) -> u64 {
        // What lies beyond the end of time never comes.
        compare.checked_add(domain.counter_offset).map_or(NEVER - 1, |at| at.min(NEVER - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_what_the_counter_says() {
        let mut timer = PhysicalTimer::new();
        timer.write(PhysicalRegister::TimerValue, 100, 1000);
        timer.write(PhysicalRegister::Control, 1, 1000);
        assert_eq!(timer.read(PhysicalRegister::Control, 1099), 1);
        assert_eq!(timer.read(PhysicalRegister::Control, 1100), 5);
        assert_eq!(timer.read(PhysicalRegister::TimerValue, 1101), 0xffff_ffff);
    }

    #[test]
    fn it_fires_once_until_it_is_programmed_again() {
        let mut timer = PhysicalTimer::new();
        timer.write(PhysicalRegister::CompareValue, 50, 0);
        timer.write(PhysicalRegister::Control, 3, 0);
        assert!(matches!(timer.due(60), Due::Nothing), "masked");
        timer.write(PhysicalRegister::Control, 1, 60);
        assert!(matches!(timer.due(60), Due::Now));
        assert!(matches!(timer.due(61), Due::Nothing));
        timer.write(PhysicalRegister::TimerValue, u64::from(u32::MAX), 61);
        assert!(matches!(timer.due(61), Due::Now), "one tick ago");
        timer.write(PhysicalRegister::CompareValue, u64::MAX, 62);
        assert!(matches!(timer.due(62), Due::At(u64::MAX)), "never arms nothing");
    }
}
