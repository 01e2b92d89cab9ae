//! Calls by the SMC Calling Convention, PSCI's among them, and instructions that are no calls.

use alloc::vec::Vec;

use guest_sdk::abi::{
    hypercall as nr,
    psci::{id, smccc, v0_1},
};

use crate::{conduit::Conduit, transcript::Transcript};

/// What the registers have that are no matter.
const REST: [usize; 3] = [0x11, 0x22, 0x33];
/// In a number of 64 bits: what the convention says is ignored.
const ABOVE: u64 = 0xdead_0000_0000_0000;

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    for conduit in [Conduit::Hvc, Conduit::Smc] {
        functions(t, conduit);
        services(t, conduit);
        architecture(t, conduit);
        features(t, conduit);
        starts(t, conduit);
        states(t, conduit);
    }
    // A 32-bit guest does not find back there from the first that is undefined, in QEMU 7.2.
    if t.on_arm64 == cfg!(target_arch = "aarch64") {
        instructions(t);
    }
}

/// A call whose arguments are no matter.
fn plain(t: &mut Transcript, conduit: Conduit, function: u32) {
    let [a, b, c] = REST;
    t.firmware(conduit, [function as usize, a, b, c], 0);
}

/// What this state has of these: all or, on 32-bit ARM, those of 32 bits.
fn words(values: &[u64]) -> Vec<usize> {
    values.iter().filter_map(|value| usize::try_from(*value).ok()).collect()
}

/// Numbers in the 32-bit and the 64-bit form.
fn both(functions: &[u32]) -> Vec<u32> {
    functions.iter().flat_map(|function| [*function, function | id::SMC64]).collect()
}

/// Functions that there are and that there are not, but for those that stop this vCPU.
fn functions(t: &mut Transcript, conduit: Conduit) {
    const STOP: [u32; 6] = [
        v0_1::CPU_OFF,
        id::CPU_SUSPEND,
        id::CPU_SUSPEND | id::SMC64,
        id::CPU_OFF,
        id::SYSTEM_OFF,
        id::SYSTEM_RESET,
    ];
    for base in [0, 0x0100_0000, 0x0400_0000, 0x4000_0000, 0x8000_0000, 0x8400_0000, 0xc000_0000, 0xc400_0000]
    {
        for function in (base..base + 48).filter(|function| !STOP.contains(function)) {
            plain(t, conduit, function);
        }
    }
    for function in [
        // The last of the old numbers, and the first after them.
        0x0100_ffff,
        0x0101_0000,
        0x7fff_ffff,
        0xffff_ffff,
        // TRNG_VERSION, PV_TIME_FEATURES, SDEI_VERSION, MM_VERSION, FFA_VERSION.
        0x8400_0050,
        0xc500_0020,
        0xc400_0020,
        0x8400_0040,
        0x8400_0063,
        // Of the chip's, the board's, the trusted system's makers.
        0x8200_0000,
        0x8300_0000,
        0xb200_0000,
        0xbf00_ff01,
        0xbfff_ffff,
    ] {
        plain(t, conduit, function);
    }
    for function in [smccc::VERSION, id::VERSION, id::MIGRATE_INFO_TYPE, id::MIGRATE] {
        for register in words(&[ABOVE | u64::from(function)]) {
            t.firmware(conduit, [register, 0, 0, 0], 0);
        }
    }
}

/// Whose services there are, and what they say of themselves.
fn services(t: &mut Transcript, conduit: Conduit) {
    const QUESTIONS: [u32; 4] =
        [smccc::FUNC_CALL_COUNT, smccc::FUNC_CALL_UID, 0xff02, smccc::FUNC_CALL_REVISION];
    for owner in 0..=smccc::OWNER_MASK {
        for question in QUESTIONS {
            plain(t, conduit, smccc::FAST | owner << smccc::OWNER_SHIFT | question);
        }
    }
    for owner in [smccc::OWNER_ARCH, smccc::OWNER_STANDARD, smccc::OWNER_HYPERVISOR] {
        for question in QUESTIONS {
            let function = owner << smccc::OWNER_SHIFT | question;
            for form in [0, id::SMC64, smccc::FAST | id::SMC64] {
                plain(t, conduit, form | function);
            }
        }
    }
}

/// ARCH_SOC_ID.
const SOC_ID: u32 = 0x8000_0002;

/// The architecture's functions.
fn architecture(t: &mut Transcript, conduit: Conduit) {
    let functions = both(&[
        smccc::VERSION,
        smccc::ARCH_FEATURES,
        SOC_ID,
        smccc::ARCH_WORKAROUND_1,
        smccc::ARCH_WORKAROUND_2,
        smccc::ARCH_WORKAROUND_3,
        id::VERSION,
    ]);
    for &asked in &functions {
        t.firmware(conduit, [smccc::ARCH_FEATURES as usize, asked as usize, 2, 3], 0);
    }
    for asked in words(&[ABOVE | u64::from(smccc::ARCH_WORKAROUND_1), 0x11, u64::MAX]) {
        t.firmware(conduit, [smccc::ARCH_FEATURES as usize, asked, 2, 3], 0);
    }
    for &function in &functions {
        for argument in [0, 1, 2] {
            t.firmware(conduit, [function as usize, argument, 2, 3], 0);
        }
    }
}

/// PSCI_FEATURES of each function.
fn features(t: &mut Transcript, conduit: Conduit) {
    let functions = (id::VERSION..id::VERSION + 32).flat_map(|function| [function, function | id::SMC64]);
    let others = [
        v0_1::CPU_SUSPEND,
        v0_1::CPU_OFF,
        v0_1::CPU_ON,
        v0_1::MIGRATE,
        smccc::VERSION,
        smccc::VERSION | id::SMC64,
        smccc::ARCH_FEATURES,
        smccc::ARCH_WORKAROUND_1,
        u32::MAX,
    ];
    for function in functions.chain(others) {
        t.firmware(conduit, [id::FEATURES as usize, function as usize, 2, 3], 0);
    }
    for function in words(&[ABOVE | u64::from(id::VERSION)]) {
        t.firmware(conduit, [id::FEATURES as usize, function, 2, 3], 0);
    }
}

/// vCPUs: the one there is, and those there are not.
const TARGETS: &[u64] = &[
    0,
    1,
    15,
    16,
    0xff,
    0x100,
    0xff00,
    0x1_0000,
    0xff_0000,
    0x100_0000,
    0x4000_0000,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0xff_0000_0000,
    0x100_0000_0000,
    u64::MAX,
];

/// CPU_ON, which has nothing to start: one vCPU is all there is.
fn starts(t: &mut Transcript, conduit: Conduit) {
    for function in [v0_1::CPU_ON, id::CPU_ON, id::CPU_ON | id::SMC64] {
        for target in words(TARGETS) {
            for entry in [0x4000_0000, 0x4000_0001] {
                t.firmware(conduit, [function as usize, target, entry, 3], 0);
            }
        }
    }
}

/// AFFINITY_INFO.
fn states(t: &mut Transcript, conduit: Conduit) {
    for function in both(&[id::AFFINITY_INFO]) {
        for target in words(TARGETS) {
            for level in 0..5 {
                t.firmware(conduit, [function as usize, target, level, 3], 0);
            }
        }
        for level in words(&[5, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, u64::MAX]) {
            t.firmware(conduit, [function as usize, 0, level, 3], 0);
        }
    }
}

/// Numbers in the instruction that mean nothing, and hypercalls that are none.
fn instructions(t: &mut Transcript) {
    let version = [id::VERSION as usize, 1, 2, 3];
    for conduit in [
        Conduit::Hvc1,
        Conduit::HvcEa0,
        Conduit::HvcEa2,
        Conduit::HvcFfff,
        Conduit::Smc1,
        Conduit::SmcF,
        Conduit::Hvc,
        Conduit::Smc,
    ] {
        t.firmware(conduit, version, nr::XEN_VERSION as usize);
    }
    let numbers = [u64::from(nr::XEN_VERSION) | 1 << 32, ABOVE | 99, 1 << 63, u64::MAX, 99, 0xffff_ffff];
    for number in words(&numbers) {
        t.firmware(Conduit::HvcEa1, [0, 1, 2, 3], number);
    }
}
