//! Says how often a vCPU's saved program status (SPSR_EL1, which is SPSR_svc in AArch32) is another one when the vCPU
//! has let others run. Two vCPUs do the same, each with a value of its own; the first one counts.
// UNSAFETY: reads and writes a register that only exceptions use, and those are off meanwhile.
#![allow(unsafe_code)]
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

use core::sync::atomic::{AtomicBool, Ordering};

use guest_sdk::{Env, smp};

guest_sdk::main!(main);

/// How often the first vCPU lets others run.
const ROUNDS: u32 = 20_000;

/// The second vCPU runs.
static RUNNING: AtomicBool = AtomicBool::new(false);

async fn main(env: Env) -> Result<(), smp::StartError> {
    if env.vcpus() > 1 {
        smp::start(1, || {
            RUNNING.store(true, Ordering::Relaxed);
            loop {
                is_kept(1);
            }
        })?;
        while !RUNNING.load(Ordering::Relaxed) {
            is_kept(0);
        }
    }
    let lost = (0..ROUNDS).filter(|_| !is_kept(0)).count();
    log::info!("spsr: {lost} of {ROUNDS} lost");
    Ok(())
}

/// Whether the register has the same value before and after others ran.
fn is_kept(vcpu: u32) -> bool {
    // A condition flag, and the mode that this is.
    let value = 1 << (28 + vcpu) | MODE;
    across_a_yield(value) == value
}

/// Supervisor mode, interrupts masked.
#[cfg(not(target_arch = "aarch64"))]
const MODE: u32 = 0x1d3;
/// EL1 with its own stack pointer, interrupts masked.
#[cfg(target_arch = "aarch64")]
const MODE: u32 = 0x3c5;

/// Writes the register, has others run, and reads it.
#[cfg(all(target_os = "none", target_arch = "arm"))]
fn across_a_yield(value: u32) -> u32 {
    use guest_sdk::abi::{hypercall, sched};
    let read;
    // SAFETY: with interrupts masked nobody else wants the register; the hypercall changes nothing else.
    unsafe {
        core::arch::asm!(
            ".arch_extension virt",
            "cpsid i",
            "msr spsr_cxsf, {value}",
            "hvc #0xea1",
            "mrs {read}, spsr",
            "cpsie i",
            value = in(reg) value,
            read = out(reg) read,
            inlateout("r0") sched::op::YIELD => _,
            inlateout("r1") 0 => _,
            inlateout("r12") hypercall::SCHED_OP => _,
            options(nostack),
        );
    }
    read
}

/// Writes the register, has others run, and reads it.
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
fn across_a_yield(value: u32) -> u32 {
    use guest_sdk::abi::{hypercall, sched};
    let read: u64;
    // SAFETY: with interrupts masked nobody else wants the register; the hypercall changes nothing else.
    unsafe {
        core::arch::asm!(
            "msr daifset, #2",
            "msr spsr_el1, {value}",
            "hvc #0xea1",
            "mrs {read}, spsr_el1",
            "msr daifclr, #2",
            value = in(reg) u64::from(value),
            read = out(reg) read,
            inlateout("x0") u64::from(sched::op::YIELD) => _,
            inlateout("x1") 0u64 => _,
            inlateout("x16") u64::from(hypercall::SCHED_OP) => _,
            options(nostack),
        );
    }
    read as u32
}

/// There is no such register on the host.
#[cfg(not(target_os = "none"))]
fn across_a_yield(value: u32) -> u32 {
    value
}
