//! From assembly to Rust, and what the linker script says.
// UNSAFETY: entry points that assembly names, and symbols of the linker script.
#![allow(unsafe_code)]

use core::{ops::Range, ptr::addr_of};

use crate::mm::Image;

/// Bytes of a slot for the stacks of a vCPU: an unmapped page, the stack, the fault stack. The
/// linker script has it as `CPU_STACK`.
const CPU_STACK: usize = 0xb000;
const FAULT_STACK: usize = 0x2000;

unsafe extern "C" {
    static _image_start: u8;
    static _text_end: u8;
    static _rodata_end: u8;
    static _image_end: u8;
    static _window_end: u8;
    static _boot_stack_guard: u8;
    static _tables: u8;
    static _tables_end: u8;
    static _stacks: u8;
    static SPARE_TABLES: u8;
    fn guest_secondary_entry();
}

/// The address of a symbol.
macro_rules! address {
    ($symbol:ident) => {
        addr_of!($symbol) as usize as u64
    };
}

/// Where the image lies, loaded at `physical`.
pub(crate) fn image(physical: u64) -> Image {
    Image {
        physical,
        code: address!(_image_start)..address!(_text_end),
        constants: address!(_text_end)..address!(_rodata_end),
        data: address!(_rodata_end)..address!(_image_end),
        window: address!(_image_start)..address!(_window_end),
        guard: address!(_boot_stack_guard),
    }
}

/// The root of the translation tables, and the pages for tables that are not used yet: virtual.
pub(crate) fn tables() -> (u64, Range<u64>) {
    let spare = address!(SPARE_TABLES) * xen_abi::PAGE_SIZE as u64;
    let end = address!(_tables_end);
    (address!(_tables), end - spare..end)
}

/// Where the stacks of a vCPU other than the first go: what is to be mapped, and in it the end of
/// the stack and that of the fault stack.
pub(crate) fn vcpu_stacks(cpu: usize) -> (Range<u64>, u64, u64) {
    let slot = address!(_stacks) + (cpu * CPU_STACK) as u64;
    let end = slot + CPU_STACK as u64;
    let first = slot + xen_abi::PAGE_SIZE as u64;
    (first..end, end - FAULT_STACK as u64, end)
}

/// Where PSCI is to start a vCPU, as linked.
pub(crate) fn secondary_entry() -> u64 {
    guest_secondary_entry as *const () as usize as u64
}

/// vCPU 0, on the boot stack, with the image mapped at its address and nothing else.
#[unsafe(no_mangle)]
extern "C" fn guest_boot(device_tree: usize, image_at: usize, entered: u64) -> ! {
    crate::boot::first(device_tree as u64, image_at as u64, entered)
}

/// Another vCPU, on its own stack.
#[unsafe(no_mangle)]
extern "C" fn guest_secondary(cpu: usize) -> ! {
    crate::smp::bare::secondary(cpu)
}

/// An interrupt, with interrupts masked.
#[unsafe(no_mangle)]
extern "C" fn guest_interrupt() {
    crate::irq::dispatch();
}
