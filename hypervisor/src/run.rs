//! What each CPU does for ever: run a guest, find out why it stopped, serve that.

use hv_core::{
    Current, Hypervisor,
    machine::{CpuId, Machine},
    percpu::PerCpu,
    sched::Next,
    trap::{Exit, FaultRegisters},
    vcpu::VcpuRef,
};

use crate::{
    arch,
    board::Board,
    context,
    gic::{self, KICK},
    panic, uart,
};

/// Runs whatever the scheduler says, on this CPU.
#[hot]
pub fn run(hv: &'static Hypervisor<Board>) -> ! {
    let pcpu = hv.percpu(hv.machine.this_cpu());
    let mut loaded: Option<VcpuRef<Board>> = None;
    // The general registers of the one that is loaded.
    let mut regs = arch::Regs::default();
    let timed = hv.options.exit_times;
    // Since when this CPU has been deciding.
    let mut since = arch::ticks();
    loop {
        match hv.pick_next(pcpu, loaded.as_ref()) {
            Next::Same => {}
            Next::Switch(vcpu) => {
                unload(hv, pcpu, loaded.take(), &regs);
                vcpu.context.load(&mut regs, &hv.machine.gic);
                hv.switched_in(pcpu, &vcpu);
                loaded = Some(vcpu);
            }
            Next::Wait => {
                idle(hv);
                since = arch::ticks();
                let mut current = loaded.as_ref().map(|vcpu| Current::new(hv, vcpu, &mut regs, pcpu));
                serve_interrupt(hv, pcpu.id, current.as_mut());
                continue;
            }
            Next::Idle => {
                unload(hv, pcpu, loaded.take(), &regs);
                // What was unloaded may have woken meanwhile.
                if !pcpu.wants_reschedule() {
                    idle(hv);
                }
                since = arch::ticks();
                serve_interrupt(hv, pcpu.id, None);
                continue;
            }
        }
        if let Some(vcpu) = &loaded {
            let mut current = Current::new(hv, vcpu, &mut regs, pcpu);
            if hv.before_entry(&mut current) {
                if timed {
                    current.decision_took(arch::ticks().wrapping_sub(since));
                }
                arch::run(&mut current, timed);
                if timed {
                    since = arch::ticks();
                }
            }
        }
    }
}

/// Uses the time until an interrupt waits, then sleeps until one does.
#[hot]
fn idle(hv: &Hypervisor<Board>) {
    while !hv.machine.interrupt_waiting() && hv.frames.scrub_one(&hv.machine) {}
    arch::wait();
}

#[hot]
fn unload(hv: &Hypervisor<Board>, pcpu: &PerCpu<Board>, loaded: Option<VcpuRef<Board>>, regs: &arch::Regs) {
    if let Some(vcpu) = loaded {
        let timer = vcpu.context.save(regs, &hv.machine.gic);
        hv.switched_out(pcpu, vcpu, timer);
    }
}

// What stops a guest. Each says whether it may go on at once; else the scheduler has to be asked. Those
// that are `timed` note what they took; hypercalls, to be as quick as they can be, arrive as traps then.

/// A hypercall. Kept out of the way of all else.
#[hot]
pub extern "C" fn hypercall(current: &mut Current<'_, Board>) -> bool {
    current.hypercall();
    current.hv.before_entry(current)
}

/// Any other trap, with its syndrome.
#[hot]
pub extern "C" fn trap(current: &mut Current<'_, Board>, syndrome: u32, timed: bool) -> bool {
    if timed {
        return time(current, Some(syndrome));
    }
    let exit = decode(syndrome, || arch::fault_registers(syndrome));
    current.hv.handle(current, exit);
    current.hv.before_entry(current)
}

/// A physical interrupt.
#[hot]
pub extern "C" fn interrupt(current: &mut Current<'_, Board>, timed: bool) -> bool {
    if timed {
        return time(current, None);
    }
    current.vcpu.exits.count(&Exit::Interrupt);
    serve_interrupt(current.hv, current.cpu, Some(current));
    current.hv.before_entry(current)
}

#[inline(always)]
fn decode(syndrome: u32, faults: impl FnOnce() -> FaultRegisters) -> Exit {
    if arch::is_asynchronous(syndrome) { Exit::SError } else { Exit::decode(syndrome, faults) }
}

/// Serves a trap, or an interrupt, and notes what that took.
#[cold]
fn time(current: &mut Current<'_, Board>, syndrome: Option<u32>) -> bool {
    let since = arch::ticks();
    let goes_on = match syndrome {
        Some(syndrome) => trap(current, syndrome, false),
        None => interrupt(current, false),
    };
    let took = arch::ticks().wrapping_sub(since);
    let exit = syndrome.map_or(Exit::Interrupt, |syndrome| decode(syndrome, FaultRegisters::default));
    current.exit_took(&exit, took);
    goes_on
}

/// Serves the most urgent interrupt, if one waits. The next one interrupts again at once.
#[hot]
#[inline(never)]
fn serve_interrupt(hv: &Hypervisor<Board>, cpu: CpuId, current: Option<&mut Current<'_, Board>>) {
    let board = &hv.machine;
    let Some(interrupt) = board.gic.acknowledge() else { return };
    let id = interrupt.id();
    if id == board.interrupts.virtual_timer {
        // Whoever is loaded; its timer stays quiet until the guest sets it again.
        if let Some(current) = current
            && context::mask_loaded_timer()
        {
            hv.virtual_timer_fired(current);
        }
    } else if id == KICK {
        if panic::somewhere() {
            panic::halt();
        }
        hv.kicked(cpu);
    } else if id == board.interrupts.timer {
        hv.timer_expired(cpu);
    } else if id == board.interrupts.maintenance {
        if let Some(current) = current {
            hv.maintenance_interrupt(current);
        }
    } else if Some(id) == board.interrupts.console {
        for byte in uart::received() {
            hv.console_input(byte);
        }
    } else if id >= gic::FIRST_SPI {
        // The guest's end of interrupt deactivates it.
        hv.guest_spi(id);
        return;
    }
    board.gic.end(interrupt);
}
