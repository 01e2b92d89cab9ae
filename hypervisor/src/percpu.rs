//! What each CPU has for itself, found through a system register.
#![allow(unsafe_code)]
// UNSAFETY: the register holds a pointer.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use crate::arch;

/// The most CPUs; GICv2 has no more interfaces.
pub const MAX_CPUS: usize = 8;

/// One CPU's own.
#[repr(C)]
pub struct PerCpu {
    /// Top of the stack on which faults of the hypervisor itself are reported. `entry.S` reads it.
    pub fault_stack: AtomicUsize,
    /// Its number.
    id: AtomicU32,
    /// The vCPU that ran last, by VMID.
    last_ran: [AtomicU8; 256],
}

static CPUS: [PerCpu; MAX_CPUS] = [const {
    PerCpu {
        fault_stack: AtomicUsize::new(0),
        id: AtomicU32::new(0),
        last_ran: [const { AtomicU8::new(0) }; 256],
    }
}; MAX_CPUS];

impl PerCpu {
    /// Makes this CPU number `id`, with a stack for faults.
    pub fn install(id: usize, fault_stack: usize) {
        let this = &CPUS[id];
        this.id.store(id as u32, Ordering::Relaxed);
        this.fault_stack.store(fault_stack, Ordering::Relaxed);
        // SAFETY: `this` says which CPU is running, and nothing has asked for it before.
        unsafe { arch::set_per_cpu(core::ptr::from_ref(this).addr()) };
    }

    /// This CPU's.
    #[inline(always)]
    pub fn this() -> &'static Self {
        // SAFETY: `install` runs before anything else on each CPU and put a pointer to a static.
        unsafe { &*(arch::per_cpu() as *const Self) }
    }

    /// Its number.
    #[inline(always)]
    pub fn id(&self) -> usize {
        self.id.load(Ordering::Relaxed) as usize
    }

    /// Notes which vCPU of a guest runs here now, of at most 128; says whether it was another one the last
    /// time.
    #[inline]
    pub fn ran_another(&self, vmid: u8, vcpu: u8) -> bool {
        let last = &self.last_ran[usize::from(vmid)];
        // 0 is nobody.
        let now = vcpu | 0x80;
        let before = last.load(Ordering::Relaxed);
        last.store(now, Ordering::Relaxed);
        before != now && before != 0
    }
}
