//! What a 64-bit processor may have, and guests have not: it is not announced, and using it is undefined.
// UNSAFETY: vectors that pass instructions by, and instructions that fault.
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};

use guest_sdk::Env;

use crate::{Outcome, check};

global_asm!(
    ".pushsection .text.features, \"ax\"",
    ".balign 2048",
    "features_vectors:",
    "mrs x9, esr_el1",
    "mrs x10, elr_el1",
    "add x10, x10, #4",
    "msr elr_el1, x10",
    "eret",
    ".balign 128",
    ".popsection",
);

/// Executes one instruction, which may write x11; gives the syndrome of its exception, if it had one, and x11.
macro_rules! attempt {
    ($instruction:expr) => {{
        let (syndrome, value): (u64, u64);
        // SAFETY: interrupts are masked while the vectors are ours; those change x9 and x10 only.
        unsafe {
            asm!(
                "mrs {flags}, daif", "msr daifset, #2",
                "mrs {old}, vbar_el1", "ldr x9, =features_vectors", "msr vbar_el1, x9", "isb",
                "mov x9, #-1", "mov x11, #0",
                $instruction,
                "msr vbar_el1, {old}", "isb", "msr daif, {flags}",
                flags = out(reg) _, old = out(reg) _, out("x9") syndrome, out("x10") _, out("x11") value,
            );
        }
        ((syndrome != u64::MAX).then_some(syndrome), value)
    }};
}

/// Reads a register; `None` if it is undefined.
macro_rules! register {
    ($name:literal) => {
        match attempt!(concat!("mrs x11, ", $name)) {
            (None, value) => Some(value),
            (Some(_), _) => None,
        }
    };
}

/// ESR of an undefined instruction: exception class 0, 4 bytes long.
const UNDEFINED: u64 = 1 << 25;

fn field(register: Option<u64>, shift: u32) -> u64 {
    register.map_or(u64::MAX, |value| value >> shift & 0xf)
}

/// Looks at the identification registers, and tries.
pub(crate) async fn what_no_guest_has_is_undefined(_: Env) -> Outcome {
    let pfr0 = register!("id_aa64pfr0_el1");
    // RAS, SVE, MPAM, AMU.
    check!([28, 32, 40, 44].iter().all(|&shift| field(pfr0, shift) == 0));
    let pfr1 = register!("id_aa64pfr1_el1");
    // MTE, SME.
    check!([8, 24].iter().all(|&shift| field(pfr1, shift) == 0));
    // APA, API, GPA, GPI.
    let isar1 = register!("id_aa64isar1_el1");
    check!([4, 8, 24, 28].iter().all(|&shift| field(isar1, shift) == 0));
    // APA3, GPA3.
    let isar2 = register!("S3_0_C0_C6_2");
    check!([8, 12].iter().all(|&shift| field(isar2, shift) == 0));
    // ID_AA64ZFR0, ID_AA64SMFR0.
    check!(register!("S3_0_C0_C4_4") == Some(0));
    check!(register!("S3_0_C0_C4_5") == Some(0));

    let before = allow_all();
    let tried = try_all();
    set_cpacr(before);
    tried
}

/// CPACR_EL1: lets everything through that there is; gives what it was.
fn allow_all() -> u64 {
    /// ZEN, FPEN, SMEN.
    const ALL: u64 = 3 << 16 | 3 << 20 | 3 << 24;
    let before = register!("cpacr_el1").unwrap_or(0);
    set_cpacr(before | ALL);
    before
}

fn set_cpacr(value: u64) {
    // SAFETY: registers that nothing here uses.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) value, options(nomem, nostack)) };
}

fn try_all() -> Outcome {
    // ZCR_EL1, RDVL.
    check!(attempt!("mrs x11, S3_0_C1_C2_0").0 == Some(UNDEFINED));
    check!(attempt!(".inst 0x04bf502b").0 == Some(UNDEFINED));
    // SMCR_EL1.
    check!(attempt!("mrs x11, S3_0_C1_C2_6").0 == Some(UNDEFINED));
    // APIAKeyLo_EL1.
    check!(attempt!("mrs x11, S3_0_C2_C1_0").0 == Some(UNDEFINED));
    // RGSR_EL1, TFSR_EL1.
    check!(attempt!("mrs x11, S3_0_C1_C0_5").0 == Some(UNDEFINED));
    check!(attempt!("mrs x11, S3_0_C5_C6_0").0 == Some(UNDEFINED));
    // ERRIDR_EL1.
    check!(attempt!("mrs x11, S3_0_C5_C3_0").0 == Some(UNDEFINED));
    // TRFCR_EL1, and VBAR_EL2, which is not EL1's.
    check!(attempt!("mrs x11, S3_0_C1_C2_1").0 == Some(UNDEFINED));
    check!(attempt!("mrs x11, vbar_el2").0 == Some(UNDEFINED));
    Ok(())
}

/// Debug and performance monitor registers read as zero.
pub(crate) async fn debug_registers_read_as_zero(_: Env) -> Outcome {
    check!(register!("mdscr_el1") == Some(0));
    check!(register!("dbgbcr0_el1") == Some(0));
    check!(register!("pmcr_el0") == Some(0));
    check!(register!("pmccntr_el0") == Some(0));
    Ok(())
}
