//! Real machines' trees, broken ones, and other crates' opinion of them.

mod boards;
mod hostile;
mod others;

/// QEMU's virt board, 32-bit.
const VIRT_ARM: &[u8] = include_bytes!("../trees/qemu-virt-arm.dtb");
/// QEMU's virt board, 64-bit, GICv3.
const VIRT_ARM64: &[u8] = include_bytes!("../trees/qemu-virt-arm64-gicv3.dtb");
/// Arm's Versatile Express with a Cortex-A15.
const VEXPRESS: &[u8] = include_bytes!("../trees/vexpress-v2p-ca15-tc1.dtb");
/// All of them.
const ALL: [&[u8]; 3] = [VIRT_ARM, VIRT_ARM64, VEXPRESS];
