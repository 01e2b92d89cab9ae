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
    /// Debian's Xen, the reference.
    Xen,
}

impl Hypervisor {
    fn image(self) -> PathBuf {
        match self {
            Self::Ours | Self::OursGicv3 => image("hypervisor"),
            Self::Xen => made(paths::debian_xen(Arch::Arm32).expect("cargo xtask test unpacks Debian's Xen")),
        }
    }

    /// Gives a machine with this hypervisor and nothing else: one CPU that counts instructions, so
    /// that a run repeats and costs little.
    pub fn machine(self) -> Machine {
        let mut machine = Machine::new(Arch::Arm32, self.image());
        machine.cpus = 1;
        machine.deterministic = true;
        machine.gic_version = if self == Self::OursGicv3 { 3 } else { 2 };
        machine
    }
}

/// Gives the flat image of a bare-metal package.
pub fn image(name: &str) -> PathBuf {
    made(paths::images(Arch::Arm32).join(name))
}

/// Gives Debian's dom0.
pub fn debian_dom0() -> Domain {
    Domain {
        kernel: made(paths::debian_kernel(Arch::Arm32).expect("cargo xtask test unpacks Debian's kernel")),
        ramdisk: Some(made(paths::debian(Arch::Arm32).join("dom0.cpio"))),
        args: "console=hvc0 rdinit=/init".into(),
    }
}

/// Gives Debian's kernel with the RAM disk that looks for a root disk.
pub fn debian_guest(args: &str) -> Domain {
    let initrd = made(paths::debian(Arch::Arm32).join("guest/initrd"));
    Domain { kernel: debian_dom0().kernel, ramdisk: Some(initrd), args: args.into() }
}

/// Gives the disk with dom0's `/root`; what a test writes to it ends with the machine.
pub fn data_disk() -> Disk {
    Disk { file: made(paths::target_dir().join("disks/arm32-test.img")), snapshot: true }
}

fn made(file: PathBuf) -> PathBuf {
    assert!(file.is_file(), "{} is missing: run cargo xtask test", file.display());
    file
}
