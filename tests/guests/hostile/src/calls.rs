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

/// How many calls were made, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// All.
    pub made: u32,
    /// Those with a negative result.
    pub refused: u32,
}

impl Tally {
    /// Makes a hypercall and counts it.
    pub fn call(&mut self, registers: Registers) -> isize {
        let result = hypercall(registers);
        self.made += 1;
        self.refused += u32::from(result < 0);
        result
    }

    /// Makes a call of a number, a command and one structure, and counts it.
    pub fn op<T>(&mut self, number: u32, command: u32, structure: &mut T) -> isize {
        let at = core::ptr::from_mut(structure) as usize;
        self.call([number as usize, command as usize, at, 1, 0, 0])
    }
}

/// Makes a hypercall.
pub fn hypercall([nr, a, b, c, d, e]: Registers) -> isize {
    // SAFETY: what the hypervisor writes to lies in the scratch pages or in the caller's structures, or is refused.
    unsafe { guest_sdk::hypercall::raw(nr, [a, b, c, d, e]) as isize }
}

/// Makes a call to firmware.
pub fn firmware(id: usize, args: [usize; 3]) -> i32 {
    let result: usize;
    // SAFETY: no call that is made so changes what runs here.
    #[cfg(all(target_os = "none", target_arch = "arm"))]
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
    // SAFETY: as above. The convention lets x4 to x17 come back as anything.
    #[cfg(all(target_os = "none", target_arch = "aarch64"))]
    unsafe {
        core::arch::asm!(
            "hvc #0",
            inout("x0") id => result,
            inout("x1") args[0] => _,
            inout("x2") args[1] => _,
            inout("x3") args[2] => _,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
        );
    }
    // There is no firmware to annoy on the host.
    #[cfg(not(target_os = "none"))]
    {
        let _ = (id, args);
        result = usize::MAX;
    }
    result as i32
}
