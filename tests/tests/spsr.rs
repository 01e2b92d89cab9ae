//! What a vCPU's saved program status is after others ran on its CPU.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{Ours, OursArm64, XenArm64},
    spsr::is_lost,
};

#[test]
fn two_vcpus_keep_theirs() {
    assert!(!is_lost(Ours, &[(Arm32, 2)]));
}

#[test]
fn two_vcpus_keep_theirs_on_arm64() {
    assert!(!is_lost(OursArm64, &[(Arm64, 2)]));
}

#[test]
fn a_32_bit_vcpu_keeps_its_own_among_others_on_arm64() {
    assert!(!is_lost(OursArm64, &[(Arm32, 1), (Arm64, 2)]));
}

/// When the emulator gets this right, README has to be put right as well.
#[test]
fn two_32_bit_vcpus_lose_theirs_in_the_emulator_on_arm64() {
    assert!(is_lost(OursArm64, &[(Arm32, 2)]));
    assert!(is_lost(XenArm64, &[(Arm32, 2)]));
}
