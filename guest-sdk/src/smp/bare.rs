//! Starting vCPUs, and waking them.
// UNSAFETY: hands a vCPU its stack and entry by PSCI; both are made here.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use xen_abi::{Errno, VcpuId, psci};

use super::{MAX_VCPUS, StartError};
use crate::{arch, boot, event, gic, irq, lock::IrqLock, memory::Pages, mm, shared_info};

/// What a vCPU is to do.
type Work = Box<dyn FnOnce() + Send>;

static WORK: [IrqLock<Option<Work>>; MAX_VCPUS] = [const { IrqLock::new(None) }; MAX_VCPUS];

/// What a vCPU finds by its first register when it starts; the assembly reads it.
#[repr(C)]
struct Context {
    stack: AtomicUsize,
    fault_stack: AtomicUsize,
    cpu: AtomicUsize,
}

static CONTEXTS: [Context; MAX_VCPUS] = [const {
    Context { stack: AtomicUsize::new(0), fault_stack: AtomicUsize::new(0), cpu: AtomicUsize::new(0) }
}; MAX_VCPUS];

/// What a vCPU is doing.
mod state {
    /// Never started.
    pub(super) const OFF: u8 = 0;
    /// At work.
    pub(super) const BUSY: u8 = 1;
    /// Done with its work, and asleep.
    pub(super) const PARKED: u8 = 2;
}

static STATE: [AtomicU8; MAX_VCPUS] = [const { AtomicU8::new(state::OFF) }; MAX_VCPUS];

/// See [`super::start`].
pub(crate) fn start_cpu(cpu: usize, work: Work) -> Result<(), StartError> {
    let affinity = boot::vcpu_affinity(cpu).filter(|_| cpu > 0);
    let affinity = affinity.ok_or(StartError::NoSuchVcpu)?;
    match STATE[cpu].swap(state::BUSY, Ordering::AcqRel) {
        state::BUSY => Err(StartError::AlreadyOn),
        state::PARKED => {
            *WORK[cpu].lock() = Some(work);
            kick(cpu);
            Ok(())
        }
        _ => {
            *WORK[cpu].lock() = Some(work);
            power_on(cpu, affinity).inspect_err(|_| {
                WORK[cpu].lock().take();
                STATE[cpu].store(state::OFF, Ordering::Release);
            })
        }
    }
}

/// Starts a vCPU that was never on.
fn power_on(cpu: usize, affinity: u32) -> Result<(), StartError> {
    let (stacks, stack, fault_stack) = arch::vcpu_stacks(cpu);
    if !mm::is_mapped(stacks.start) {
        let size = stacks.end - stacks.start;
        let pages = Pages::new(size as usize / xen_abi::PAGE_SIZE);
        let pages = pages.map_err(|_| StartError::NoMemory)?;
        let mapped = mm::map(stacks.start, pages.address(), size, mm::Kind::Data);
        mapped.map_err(|_| StartError::NoMemory)?;
        // They are the vCPU's for good.
        core::mem::forget(pages);
    }
    match shared_info::register(VcpuId(cpu as u32)) {
        Ok(()) => {}
        Err(Errno::ENOMEM) => return Err(StartError::NoMemory),
        Err(_) => return Err(StartError::NoSuchVcpu),
    }
    let context = &CONTEXTS[cpu];
    context.stack.store(stack as usize, Ordering::Relaxed);
    context.fault_stack.store(fault_stack as usize, Ordering::Relaxed);
    context.cpu.store(cpu, Ordering::Relaxed);
    let entry = boot::secondary_entry() as usize;
    let args = [affinity as usize, entry, core::ptr::from_ref(context) as usize];
    arch::barrier();
    // SAFETY: the entry point and what it reads are as the assembly wants them.
    match unsafe { arch::smccc(boot::cpu_on(), args) } {
        psci::ret::SUCCESS => Ok(()),
        code => Err(StartError::Refused(code)),
    }
}

/// A vCPU's first Rust code. It works, and sleeps until there is more to do. It is never switched
/// off: Xen 4.17, asked to switch a vCPU on again right after that, starts it with the registers
/// that it is still saving.
pub(crate) fn secondary(cpu: usize) -> ! {
    arch::set_cpu(cpu);
    arch::forbid_writable_code();
    gic::init_cpu();
    irq::init_cpu();
    // Registering its vcpu_info marked events as pending, with an interrupt that is lost on a vCPU
    // that is off: as long as the mark stands, Xen lets no WFI wait.
    event::upcall(VcpuId(cpu as u32));
    arch::irq_enable();
    loop {
        let work = WORK[cpu].lock().take();
        if let Some(work) = work {
            work();
            STATE[cpu].store(state::PARKED, Ordering::Release);
        }
        let flags = arch::irq_save();
        if WORK[cpu].lock().is_none() {
            arch::wait(None);
        }
        arch::irq_restore(flags);
    }
}

/// Has a vCPU look whether there is something to do.
pub(crate) fn kick(cpu: usize) {
    if cpu != arch::cpu() {
        gic::send_sgi(cpu, irq::KICK);
    }
}
