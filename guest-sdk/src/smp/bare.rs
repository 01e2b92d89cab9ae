//! Starting vCPUs, and waking them.
// UNSAFETY: hands a vCPU its stack and entry by PSCI; both are made here.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, Ordering};

use xen_abi::{Errno, VcpuId, psci};

use super::{MAX_VCPUS, StartError};
use crate::{arch, boot, event, gic, irq, lock::IrqLock, memory::Pages, mm, shared_info};

/// What a vCPU is to do.
type Work = Box<dyn FnOnce() + Send>;

static WORK: [IrqLock<Option<Work>>; MAX_VCPUS] = [const { IrqLock::new(None) }; MAX_VCPUS];

/// What a vCPU finds by r0 when it starts; the assembly reads it.
#[repr(C)]
struct Context {
    stack: AtomicU32,
    fault_stack: AtomicU32,
    cpu: AtomicU32,
}

static CONTEXTS: [Context; MAX_VCPUS] =
    [const { Context { stack: AtomicU32::new(0), fault_stack: AtomicU32::new(0), cpu: AtomicU32::new(0) } };
        MAX_VCPUS];

/// See [`super::start`].
pub(crate) fn start_cpu(cpu: usize, work: Work) -> Result<(), StartError> {
    let affinity = boot::vcpu_affinity(cpu).filter(|_| cpu > 0);
    let affinity = affinity.ok_or(StartError::NoSuchVcpu)?;
    let (stacks, stack, fault_stack) = arch::vcpu_stacks(cpu);
    if WORK[cpu].lock().is_some() || is_on(affinity) {
        return Err(StartError::AlreadyOn);
    }
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
    *WORK[cpu].lock() = Some(work);
    let context = &CONTEXTS[cpu];
    context.stack.store(stack as u32, Ordering::Relaxed);
    context.fault_stack.store(fault_stack as u32, Ordering::Relaxed);
    context.cpu.store(cpu as u32, Ordering::Relaxed);
    let entry = boot::secondary_entry() as u32;
    let args = [affinity, entry, core::ptr::from_ref(context) as u32];
    arch::barrier();
    // SAFETY: the entry point and what it reads are as the assembly wants them.
    match unsafe { arch::smccc(boot::cpu_on(), args) } {
        psci::ret::SUCCESS => Ok(()),
        code => {
            WORK[cpu].lock().take();
            Err(match code {
                psci::ret::ALREADY_ON => StartError::AlreadyOn,
                code => StartError::Refused(code),
            })
        }
    }
}

fn is_on(affinity: u32) -> bool {
    // SAFETY: the function only asks.
    let state = unsafe { arch::smccc(psci::id::AFFINITY_INFO, [affinity, 0, 0]) };
    state == psci::AFFINITY_ON as i32
}

/// A vCPU's first Rust code.
pub(crate) fn secondary(cpu: usize) -> ! {
    arch::set_cpu(cpu);
    arch::forbid_writable_code();
    gic::init_cpu();
    irq::init_cpu();
    // Registering its vcpu_info marked events as pending, with an interrupt that is lost on a vCPU
    // that is off: as long as the mark stands, Xen lets no WFI wait.
    event::upcall(VcpuId(cpu as u32));
    arch::irq_enable();
    let work = WORK[cpu].lock().take();
    if let Some(work) = work {
        work();
    }
    arch::irq_save();
    arch::timer_set(None);
    // SAFETY: nothing of this vCPU is needed any more.
    unsafe { arch::smccc(psci::id::CPU_OFF, [0; 3]) };
    arch::halt()
}

/// Has a vCPU look whether there is something to do.
pub(crate) fn kick(cpu: usize) {
    if cpu != arch::cpu() {
        gic::send_sgi(cpu, irq::KICK);
    }
}
