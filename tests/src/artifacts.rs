//! The images and packages that `cargo xtask test` made.
use machine::{Arch, Disk, Domain, Machine, paths};
use std::path::PathBuf;

/// Which hypervisor a case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    /// This repository's.
    Ours,
    /// The same on a board with a GICv3.
    OursGicv3,
    /// This repository's for 64-bit ARM.
    OursArm64,
    /// The same on a board with a GICv3.
    OursArm64Gicv3,
    /// Debian's Xen, the reference.
    Xen,
    /// The same for 64-bit ARM.
    XenArm64,
    /// The same on a board with a GICv3.
    XenArm64Gicv3,
}

impl Hypervisor {
    /// The architecture of its board.
    pub fn arch(self) -> Arch {
        match self {
            Self::Ours | Self::OursGicv3 | Self::Xen => Arch::Arm32,
            Self::OursArm64 | Self::OursArm64Gicv3 | Self::XenArm64 | Self::XenArm64Gicv3 => Arch::Arm64,
        }
    }

    /// The version of the board's interrupt controller.
    pub fn gic_version(self) -> u32 {
        match self {
            Self::Ours | Self::OursArm64 | Self::Xen | Self::XenArm64 => 2,
            Self::OursGicv3 | Self::OursArm64Gicv3 | Self::XenArm64Gicv3 => 3,
        }
    }

    fn hypervisor(self) -> PathBuf {
        match self {
            Self::Ours | Self::OursGicv3 | Self::OursArm64 | Self::OursArm64Gicv3 => self.image("hypervisor"),
            Self::Xen | Self::XenArm64 | Self::XenArm64Gicv3 => {
                made(paths::debian_xen(self.arch()).expect("cargo xtask test unpacks Debian's Xen"))
            }
        }
    }

    /// Gives a machine with this hypervisor and nothing else: one CPU that counts instructions, so
    /// that a run repeats and costs little.
    pub fn machine(self) -> Machine {
        let mut machine = Machine::new(self.arch(), self.hypervisor());
        machine.cpus = 1;
        machine.deterministic = true;
        machine.gic_version = self.gic_version();
        machine
    }

    /// Gives the flat image of a bare-metal package for its architecture.
    pub fn image(self, name: &str) -> PathBuf {
        image_for(self.arch(), name)
    }

    /// Gives the disk with dom0's `/root`; what a test writes to it ends with the machine.
    pub fn data_disk(self) -> Disk {
        let file = paths::target_dir().join(format!("disks/{}-test.img", self.arch().name()));
        Disk { file: made(file), snapshot: true }
    }
}

/// Gives the flat image of a bare-metal package for 32-bit ARM.
pub fn image(name: &str) -> PathBuf {
    image_for(Arch::Arm32, name)
}

/// Gives the flat image of a bare-metal package.
pub fn image_for(arch: Arch, name: &str) -> PathBuf {
    made(paths::images(arch).join(name))
}

/// Gives Debian's U-Boot.
pub fn u_boot(arch: Arch) -> PathBuf {
    made(paths::debian_u_boot(arch))
}

/// Gives Debian's dom0 of 32-bit ARM.
pub fn debian_dom0() -> Domain {
    debian_dom0_for(Arch::Arm32)
}

/// Gives Debian's dom0.
pub fn debian_dom0_for(arch: Arch) -> Domain {
    Domain {
        kernel: made(paths::debian_kernel(arch).expect("cargo xtask test unpacks Debian's kernel")),
        ramdisk: Some(made(paths::debian(arch).join("dom0.cpio"))),
        args: "console=hvc0 rdinit=/init".into(),
    }
}

/// Gives Debian's kernel with the RAM disk that looks for a root disk.
pub fn debian_guest(arch: Arch, args: &str) -> Domain {
    let initrd = made(paths::debian(arch).join("guest/initrd"));
    Domain { kernel: debian_dom0_for(arch).kernel, ramdisk: Some(initrd), args: args.into() }
}

/// Gives the disk with dom0's `/root` of 32-bit ARM; what a test writes to it ends with the machine.
pub fn data_disk() -> Disk {
    Hypervisor::Ours.data_disk()
}

fn made(file: PathBuf) -> PathBuf {
    assert!(file.is_file(), "{} is missing: run cargo xtask test", file.display());
    file
}
