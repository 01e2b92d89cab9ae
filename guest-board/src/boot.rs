//! What the first vCPU of a guest starts with (Linux's booting documents for both states).

use xen_abi::arch::{self, VcpuGuestContext, psr};

use crate::Arch;

/// The machine number of AArch32 Linux that means: read the device tree.
const NO_MACHINE: u64 = 0xffff_ffff;

/// The registers for an entry point and the address of the device tree.
pub fn first_vcpu(arch: Arch, entry: u64, tree: u64) -> VcpuGuestContext {
    let mut context = VcpuGuestContext {
        flags: arch::VGCF_ONLINE,
        sctlr: arch::SCTLR_GUEST_INIT,
        ..VcpuGuestContext::default()
    };
    let registers = &mut context.user_regs;
    registers.pc = entry;
    match arch {
        Arch::Arm32 => {
            registers.x[1] = NO_MACHINE;
            registers.x[2] = tree;
            registers.cpsr = psr::GUEST32_INIT.into();
        }
        Arch::Arm64 => {
            registers.x[0] = tree;
            registers.cpsr = psr::GUEST64_INIT.into();
        }
    }
    context
}
