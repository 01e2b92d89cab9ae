//! What each CPU does for ever: run a guest, find out why it stopped, serve that.

use hv_core::{
    Current, Hypervisor,
    machine::{CpuId, Machine},
    sched::Next,
    trap::Exit,
    vcpu::VcpuRef,
};

use crate::{
    arch,
    board::Board,
    gic::{self, v2::KICK},
    panic, uart,
};

/// What is in this CPU's registers.
struct Loaded {
    vcpu: VcpuRef<Board>,
    regs: arch::Regs,
}

/// Runs whatever the scheduler says, on this CPU.
pub fn run(hv: &'static Hypervisor<Board>) -> ! {
    let cpu = hv.machine.this_cpu();
    let mut loaded: Option<Loaded> = None;
    loop {
        match hv.pick_next(cpu, loaded.as_ref().map(|loaded| &loaded.vcpu)) {
            Next::Same => {}
            Next::Switch(vcpu) => {
                unload(hv, cpu, loaded.take());
                let regs = vcpu.context.load(&hv.machine.gic);
                hv.switched_in(cpu, &vcpu);
                loaded = Some(Loaded { vcpu, regs });
            }
            Next::Wait => {
                arch::wait();
                serve_interrupt(hv, cpu, loaded.as_mut());
                continue;
            }
            Next::Idle => {
                unload(hv, cpu, loaded.take());
                arch::wait();
                serve_interrupt(hv, cpu, None);
                continue;
            }
        }
        if let Some(loaded) = &mut loaded {
            run_guest(hv, cpu, loaded);
        }
    }
}

fn unload(hv: &Hypervisor<Board>, cpu: CpuId, loaded: Option<Loaded>) {
    if let Some(Loaded { vcpu, regs }) = loaded {
        vcpu.context.save(&regs, &hv.machine.gic);
        hv.switched_out(cpu, vcpu);
    }
}

/// Runs the guest that is loaded until the scheduler has to be asked.
fn run_guest(hv: &Hypervisor<Board>, cpu: CpuId, loaded: &mut Loaded) {
    while hv.before_entry(&mut current(hv, cpu, loaded)) {
        match arch::enter(&mut loaded.regs) {
            arch::Exit::Trap(syndrome) => {
                let exit = Exit::decode(syndrome, || arch::fault_registers(syndrome));
                hv.handle(&mut current(hv, cpu, loaded), exit);
            }
            arch::Exit::Interrupt => serve_interrupt(hv, cpu, Some(loaded)),
        }
    }
}

fn current<'a>(hv: &'a Hypervisor<Board>, cpu: CpuId, loaded: &'a mut Loaded) -> Current<'a, Board> {
    Current::new(hv, &loaded.vcpu, &mut loaded.regs, cpu)
}

/// Serves the most urgent interrupt, if one waits. The next one interrupts again at once.
fn serve_interrupt(hv: &Hypervisor<Board>, cpu: CpuId, loaded: Option<&mut Loaded>) {
    let board = &hv.machine;
    let Some(interrupt) = board.gic.acknowledge() else { return };
    let id = interrupt.id();
    if id == board.interrupts.virtual_timer {
        // Whoever is loaded; its timer stays quiet until the guest sets it again.
        if let Some(loaded) = loaded
            && arch::context::mask_loaded_timer()
        {
            hv.virtual_timer_fired(&mut current(hv, cpu, loaded));
        }
    } else if id == KICK {
        if panic::somewhere() {
            panic::halt();
        }
        hv.kicked(cpu);
    } else if id == board.interrupts.timer {
        hv.timer_expired(cpu);
    } else if id == board.interrupts.maintenance {
        if let Some(loaded) = loaded {
            hv.maintenance_interrupt(&mut current(hv, cpu, loaded));
        }
    } else if Some(id) == board.interrupts.console {
        for byte in uart::received() {
            hv.console_input(byte);
        }
    } else if id >= gic::FIRST_SPI {
        // The guest's end of interrupt deactivates it.
        hv.guest_spi(cpu, id);
        return;
    }
    board.gic.end(interrupt);
}
