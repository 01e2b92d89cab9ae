//! What each CPU does for ever: run a guest, find out why it stopped, serve that.

use hv_core::{
    Current, Hypervisor,
    machine::{CpuId, Machine},
    sched::Next,
    trap::Exit,
    vcpu::VcpuRef,
};
use xen_abi::hypercall::HVC_TAG;

use crate::{
    arch,
    board::Board,
    context,
    gic::{self, KICK},
    panic, uart,
};

/// Runs whatever the scheduler says, on this CPU.
pub fn run(hv: &'static Hypervisor<Board>) -> ! {
    let cpu = hv.machine.this_cpu();
    let mut loaded: Option<VcpuRef<Board>> = None;
    // The general registers of the one that is loaded.
    let mut regs = arch::Regs::default();
    loop {
        match hv.pick_next(cpu, loaded.as_ref()) {
            Next::Same => {}
            Next::Switch(vcpu) => {
                unload(hv, cpu, loaded.take(), &regs);
                vcpu.context.load(&mut regs, &hv.machine.gic);
                hv.switched_in(cpu, &vcpu);
                loaded = Some(vcpu);
            }
            Next::Wait => {
                arch::wait();
                let mut current = loaded.as_ref().map(|vcpu| Current::new(hv, vcpu, &mut regs, cpu));
                serve_interrupt(hv, cpu, current.as_mut());
                continue;
            }
            Next::Idle => {
                unload(hv, cpu, loaded.take(), &regs);
                arch::wait();
                serve_interrupt(hv, cpu, None);
                continue;
            }
        }
        if let Some(vcpu) = &loaded {
            run_guest(&mut Current::new(hv, vcpu, &mut regs, cpu));
        }
    }
}

fn unload(hv: &Hypervisor<Board>, cpu: CpuId, loaded: Option<VcpuRef<Board>>, regs: &arch::Regs) {
    if let Some(vcpu) = loaded {
        vcpu.context.save(regs, &hv.machine.gic);
        hv.switched_out(cpu, vcpu);
    }
}

/// Runs the guest that is loaded until the scheduler has to be asked. Hypercalls take the first
/// branch; all else is kept out of their way.
#[inline(never)]
fn run_guest(current: &mut Current<'_, Board>) {
    while current.hv.before_entry(current) {
        match arch::enter(current.regs) {
            arch::Exit::Trap(arch::HYPERCALL) => current.hv.handle(current, Exit::Hvc(HVC_TAG)),
            arch::Exit::Trap(syndrome) => serve_trap(current, syndrome),
            arch::Exit::Interrupt => {
                current.vcpu.exits.count(&Exit::Interrupt);
                serve_interrupt(current.hv, current.cpu, Some(current));
            }
        }
    }
}

#[inline(never)]
fn serve_trap(current: &mut Current<'_, Board>, syndrome: u32) {
    if arch::errata::is_misreported(syndrome) {
        return;
    }
    let exit = if arch::is_asynchronous(syndrome) {
        Exit::SError
    } else {
        Exit::decode(syndrome, || arch::fault_registers(syndrome))
    };
    current.hv.handle(current, exit);
}

/// Serves the most urgent interrupt, if one waits. The next one interrupts again at once.
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
