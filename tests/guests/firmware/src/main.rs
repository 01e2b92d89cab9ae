//! Firmware for one CPU of QEMU's 64-bit board with a GICv2: it starts the hypervisor in EL2, says that the CPU needs
//! SMCCC_ARCH_WORKAROUND_1, and when the machine is switched off how often that was called. On 32-bit ARM it does nothing.
// UNSAFETY: it is assembly.
#![allow(unsafe_code)]
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(include_str!("arm64.S"));
#[cfg(target_arch = "arm")]
core::arch::global_asm!(".pushsection .head, \"ax\"", ".global _start", "_start: b _start", ".popsection");

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_os = "none"))]
fn main() {}
