//! Where build products lie.
use crate::Arch;
use std::{
    env,
    path::{Path, PathBuf},
};

/// Gives the folder of the workspace.
///
/// Cargo tells the manifest's folder at run time; a path compiled in would go on naming the old
/// place after the tree and its target folder were moved.
pub fn workspace() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let start = Path::new(&manifest);
    start.ancestors().find(|dir| dir.join("Cargo.lock").is_file()).unwrap_or(start).to_owned()
}

/// Gives cargo's target folder.
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// Gives the folder of finished images: `hypervisor`, `dom0` and one file for each sample guest.
pub fn images(arch: Arch) -> PathBuf {
    target_dir().join("images").join(arch.name())
}

/// Where below `/root` the disk of a 64-bit machine has what is for 32-bit ARM.
pub const ARM32_FOLDER: &str = "arm32/";

/// Gives the name that Debian's kernel has on dom0's disk.
pub fn kernel_name(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm32 => "zImage",
        Arch::Arm64 => "Image",
    }
}

/// Gives the folder of what is made from Debian's packages.
pub fn debian(arch: Arch) -> PathBuf {
    target_dir().join("debian").join(arch.debian())
}

/// Gives the folder into which Debian's packages are unpacked.
pub fn debian_root(arch: Arch) -> PathBuf {
    debian(arch).join("root")
}

/// Finds Debian's hypervisor among the unpacked packages.
pub fn debian_xen(arch: Arch) -> Result<PathBuf, String> {
    in_boot(arch, "xen-", arch.debian())
}

/// Gives Debian's U-Boot among the unpacked packages.
pub fn debian_u_boot(arch: Arch) -> PathBuf {
    let board = match arch {
        Arch::Arm32 => "qemu_arm",
        Arch::Arm64 => "qemu_arm64",
    };
    debian_root(arch).join("usr/lib/u-boot").join(board).join("u-boot.bin")
}

/// Finds Debian's kernel among the unpacked packages.
pub fn debian_kernel(arch: Arch) -> Result<PathBuf, String> {
    in_boot(arch, "vmlinuz-", "")
}

fn in_boot(arch: Arch, start: &str, end: &str) -> Result<PathBuf, String> {
    let dir = debian_root(arch).join("boot");
    let wanted = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned());
        name.is_some_and(|n| n.starts_with(start) && n.ends_with(end))
    };
    let entries = dir.read_dir().map_err(|e| format!("{}: {e}", dir.display()))?;
    entries
        .flatten()
        .map(|e| e.path())
        .filter(wanted)
        .max()
        .ok_or_else(|| format!("{}: no {start}*{end}", dir.display()))
}
