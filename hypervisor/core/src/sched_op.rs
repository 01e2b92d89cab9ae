//! sched_op: a guest says what its vCPUs and the domain itself want to do.

use xen_abi::{
    Domid, Errno, EvtchnPort,
    sched::{PinOverride, Poll, RemoteShutdown, Shutdown, Watchdog, op},
};

use crate::{
    current::Current,
    hypercall::HypercallResult,
    machine::Machine,
    timers::{TimerKind, WATCHDOGS},
    xsm,
};

/// Ports that one poll may name.
const MAX_POLLED: u32 = 128;

/// Serves `sched_op(command, at)`.
#[hot]
pub fn sched_op<M: Machine>(cur: &mut Current<'_, M>, command: u64, at: u64) -> HypercallResult {
    match command as u32 {
        op::YIELD => cur.hv.yield_cpu(cur.pcpu),
        op::BLOCK => cur.wait_for_interrupt(),
        op::SHUTDOWN => {
            let shutdown: Shutdown = cur.read(at)?;
            cur.hv.shutdown_domain(cur.domain, shutdown.reason as u8);
        }
        op::POLL => {
            let poll: Poll = cur.read(at)?;
            cur.poll(&poll)?;
        }
        op::REMOTE_SHUTDOWN => {
            let shutdown: RemoteShutdown = cur.read(at)?;
            cur.remote_shutdown(&shutdown)?;
        }
        op::SHUTDOWN_CODE => {
            let shutdown: Shutdown = cur.read(at)?;
            cur.domain.life().note_code(shutdown.reason as u8);
        }
        op::WATCHDOG => {
            let watchdog: Watchdog = cur.read(at)?;
            return Ok(cur.watchdog(&watchdog)?);
        }
        op::PIN_OVERRIDE => {
            if !cur.domain.is_hardware() {
                return Err(Errno::EPERM.into());
            }
            let pin: PinOverride = cur.read(at)?;
            cur.pin_override(pin.pcpu)?;
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

impl<M: Machine> Current<'_, M> {
    /// Sleeps until one of the ports is pending, something else is, or the time has come.
    fn poll(&self, poll: &Poll) -> Result<(), Errno> {
        if poll.nr_ports > MAX_POLLED {
            return Err(Errno::EINVAL);
        }
        let hv = self.hv;
        // First asleep, then looking: whatever comes in between wakes.
        hv.start_polling(self.domain, self.vcpu, None);
        hv.block(self.pcpu, self.vcpu);
        let pending = self.any_pending(poll);
        if pending != Ok(false) || hv.has_interrupt(self) {
            hv.wake(self.domain, self.vcpu);
            return pending.map(|_| ());
        }
        if poll.timeout != 0 {
            let deadline = hv.clock.at_system_ns(poll.timeout);
            hv.arm_timer(self.cpu, self.domain, self.vcpu, TimerKind::Poll, deadline);
        }
        Ok(())
    }

    fn any_pending(&self, poll: &Poll) -> Result<bool, Errno> {
        for n in 0..u64::from(poll.nr_ports) {
            let EvtchnPort(port) = self.read_item(poll.ports, n)?;
            if !self.hv.is_pollable(self.domain, port) {
                return Err(Errno::EINVAL);
            }
            if self.hv.is_port_pending(self.domain, port) {
                return Ok(true);
            }
            if poll.nr_ports == 1 {
                self.hv.start_polling(self.domain, self.vcpu, Some(port));
                // It may have come just before it was polled.
                return Ok(self.hv.is_port_pending(self.domain, port));
            }
        }
        Ok(false)
    }

    fn remote_shutdown(&self, shutdown: &RemoteShutdown) -> Result<(), Errno> {
        let id = shutdown.domain_id;
        if id == Domid::SELF {
            return Err(Errno::ESRCH);
        }
        let domain = self.hv.domains.get(id).ok_or(Errno::ESRCH)?;
        xsm::device_model(self.domain, &domain)?;
        self.hv.shutdown_domain(&domain, shutdown.reason as u8);
        Ok(())
    }

    /// Gives the watchdog's number when a new one is made.
    fn watchdog(&self, wanted: &Watchdog) -> Result<u64, Errno> {
        let watchdogs = &self.domain.sched.watchdogs;
        let _life = self.domain.life();
        let (index, made) = match wanted.id as usize {
            0 => {
                let free = watchdogs.iter().position(|watchdog| !watchdog.is_armed());
                let index = free.ok_or(Errno::ENOSPC)?;
                (index, index as u64 + 1)
            }
            id if id > WATCHDOGS || !watchdogs[id - 1].is_armed() => return Err(Errno::EINVAL),
            id => (id - 1, 0),
        };
        // A new one that waits for nothing expires at once.
        if wanted.timeout == 0 && wanted.id != 0 {
            watchdogs[index].stop();
            return Ok(0);
        }
        let ticks = u64::from(wanted.timeout) * u64::from(self.hv.clock.frequency());
        let deadline = self.hv.machine.ticks().saturating_add(ticks);
        let kind = TimerKind::Watchdog(index as u8);
        self.hv.arm_timer(self.cpu, self.domain, self.vcpu, kind, deadline);
        Ok(made)
    }

    /// Pins this vCPU to a CPU for a while, or releases it.
    fn pin_override(&self, pcpu: i32) -> Result<(), Errno> {
        let Ok(cpu) = u32::try_from(pcpu) else {
            return self.hv.release_pin(self.vcpu);
        };
        if 1_u64.checked_shl(cpu).is_none_or(|cpu| cpu & self.hv.cpus_for(self.domain) == 0) {
            return Err(Errno::EINVAL);
        }
        self.hv.pin(self.vcpu, crate::machine::CpuId(cpu))
    }
}
