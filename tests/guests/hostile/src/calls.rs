//! The traps themselves, with any number in any register.
// UNSAFETY: this program's purpose is to pass addresses that are not valid. The hypervisor may write through
// those that are, which are all in scratch pages that nothing else uses.
#![allow(unsafe_code)]

/// Registers of a hypercall: number and five arguments.
pub type Registers = [usize; 6];

/// Entries of the longest kind that fit behind a pointer to anywhere in the first page of the scratch memory.
pub const SCRATCH_ENTRIES: usize = 64;

/// Pages that a hypercall may write anything into.
#[repr(C, align(4096))]
struct Scratch(core::cell::UnsafeCell<[u8; 3 * 4096]>);

// SAFETY: one vCPU uses it, by volatile accesses.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(core::cell::UnsafeCell::new([0; 3 * 4096]));

/// Its address.
pub fn scratch() -> usize {
    SCRATCH.0.get() as usize
}

/// Fills the first scratch page with a pattern.
pub fn fill_scratch(word: u64) {
    let start = SCRATCH.0.get().cast::<u64>();
    for index in 0..4096 / size_of::<u64>() {
        // SAFETY: within the page.
        unsafe { start.add(index).write_volatile(word) };
    }
}

/// Makes a hypercall.
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub fn hypercall([nr, a, b, c, d, e]: Registers) -> isize {
    let result: usize;
    // SAFETY: what the hypervisor writes to lies in the scratch pages, or is refused.
    unsafe {
        core::arch::asm!(
            ".arch_extension virt",
            "hvc #0xea1",
            inout("r0") a => result,
            inout("r1") b => _,
            inout("r2") c => _,
            inout("r3") d => _,
            inout("r4") e => _,
            inout("r12") nr => _,
        );
    }
    result as isize
}

/// Makes a call to firmware.
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub fn firmware(id: usize, args: [usize; 3]) -> isize {
    let result: usize;
    // SAFETY: no call that `nonsense` lets through changes what runs here.
    unsafe {
        core::arch::asm!(
            ".arch_extension virt",
            "hvc #0",
            inout("r0") id => result,
            inout("r1") args[0] => _,
            inout("r2") args[1] => _,
            inout("r3") args[2] => _,
        );
    }
    result as isize
}

/// There is no hypervisor to annoy on the host.
#[cfg(not(all(target_os = "none", target_arch = "arm")))]
pub fn hypercall(_: Registers) -> isize {
    -38
}

/// There is no firmware to annoy on the host.
#[cfg(not(all(target_os = "none", target_arch = "arm")))]
pub fn firmware(_: usize, _: [usize; 3]) -> isize {
    -1
}
