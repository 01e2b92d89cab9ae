//! Vectors by which the branch predictor forgets what a guest taught it, before the first branch after the guest.
//!
//! Each CPU that needs them has a page of them, made when it comes up: the vectors of `entry.S` do nothing of the kind.

use alloc::alloc::{Layout, alloc};
use core::arch::asm;

use hv_core::{
    machine::CacheOp,
    predictor::{Core, Hardening},
};
use xen_abi::Mfn;

use super::{VECTORS, el2_vectors, sysregs::*};
use crate::{
    mm::{
        ram::Ram,
        tables::{MAP, Memory, PAGE_SIZE},
    },
    percpu::PerCpu,
};

/// Vectors, and instructions of each. The second half is for what comes from guests.
const COUNT: usize = 16;
const LENGTH: usize = 32;

const NOP: u32 = 0xd503_201f;
const ISB: u32 = 0xd503_3fdf;

/// What identification registers say of this CPU.
pub fn core() -> Core {
    Core {
        midr: MIDR_EL1::read() as u32,
        csv2: (ID_AA64PFR0_EL1::read() >> 56 & 0xf) as u8,
        drops_history: ID_AA64MMFR1_EL1::read() >> 60 != 0,
        clears_history: ID_AA64ISAR2_EL1::read() >> 28 & 0xf != 0,
        invalidates_predictor: false,
    }
}

/// The instructions of a workaround, which keep all registers. The stack below SP is free.
fn code(hardening: Hardening) -> Option<[u32; 8]> {
    let immediate = |value: u16| u32::from(value) << 5;
    Some(match hardening {
        Hardening::Loop(branches) => [
            0xa9bf_07e0,                       // stp x0, x1, [sp, #-16]!
            0xd280_0000 | immediate(branches), // mov x0, #branches
            0x1400_0001,                       // 1: b 2f
            0xf100_0400,                       // 2: subs x0, x0, #1
            0x54ff_ffc1,                       // b.ne 1b
            0xd503_379f,                       // dsb nsh
            ISB,
            0xa8c1_07e0, // ldp x0, x1, [sp], #16
        ],
        Hardening::Firmware(function) => [
            0xa9be_07e0,                                      // stp x0, x1, [sp, #-32]!
            0xa901_0fe2,                                      // stp x2, x3, [sp, #16]
            0x5280_0000 | immediate(function as u16),         // mov w0, #low
            0x72a0_0000 | immediate((function >> 16) as u16), // movk w0, #high, lsl #16
            0xd400_0003,                                      // smc #0
            0xa941_0fe2,                                      // ldp x2, x3, [sp, #16]
            0xa8c2_07e0,                                      // ldp x0, x1, [sp], #32
            NOP,
        ],
        // clrbhb
        Hardening::ClearHistory => [0xd503_22df, ISB, NOP, NOP, NOP, NOP, NOP, NOP],
        Hardening::InvalidatePredictor | Hardening::InvalidateInstructions => return None,
    })
}

/// Gives this CPU vectors of its own; says whether it has them.
pub fn install(ram: &Ram, hardening: Hardening) -> bool {
    code(hardening).and_then(|code| make(ram, code)).is_some()
}

fn make(ram: &Ram, code: [u32; 8]) -> Option<()> {
    let at = VECTORS.start + PerCpu::this().id() * PAGE_SIZE;
    let layout = Layout::from_size_align(PAGE_SIZE, PAGE_SIZE).ok()?;
    // SAFETY: the layout is not empty. The memory is never given back.
    let page = unsafe { alloc(layout) }.cast::<u32>();
    if page.is_null() {
        return None;
    }
    let original = (&raw const el2_vectors).addr();
    for vector in 0..COUNT {
        let code = if vector < COUNT / 2 { &[][..] } else { &code };
        let back = code.len();
        // `b` to the same vector of `entry.S`: how far that is fits in its 26 bits, since both are in the lowest 16 MiB.
        let distance = (original as isize - at as isize) / 4 - back as isize;
        let branch = 0x1400_0000 | distance as u32 & 0x03ff_ffff;
        for (n, word) in code.iter().chain([&branch]).enumerate() {
            // SAFETY: in the page, which is only ours.
            unsafe { page.add(vector * LENGTH + n).write(*word) };
        }
    }
    let frame = ram.physical(page.addr())?;
    ram.cache(Mfn(frame / PAGE_SIZE as u64), 0, PAGE_SIZE, CacheOp::Clean);
    MAP.lock().map(at, frame, PAGE_SIZE, Memory::Text).ok()?;
    // SAFETY: vectors, aligned as they have to be, which lead to those of `entry.S`.
    unsafe { asm!("msr vbar_el2, {}", "isb", in(reg) at, options(nostack)) };
    Some(())
}
