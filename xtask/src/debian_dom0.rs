//! Debian's dom0: an initramfs with its unmodified xl, xenstored, xenconsoled and hotplug scripts.
use crate::{Result, debian, fresh, initramfs::Initramfs, modules, step};
use machine::{Arch, Domain, paths};
use std::{env, path::Path};

const INIT: &str = include_str!("../scripts/dom0-init.sh");

const XEN_PROGRAMS: [&str; 10] = [
    "init-dom0less",
    "libxl-save-helper",
    "xen-diag",
    "xen-init-dom0",
    "xenconsole",
    "xenconsoled",
    "xenperf",
    "xenstored",
    "xentop",
    "xl",
];
const STORE_PROGRAMS: [&str; 8] = ["chmod", "exists", "list", "ls", "read", "rm", "watch", "write"];

/// Loaded at start: Xen's devices, the back ends, and the disk that holds `/root`.
const MODULES: [&str; 12] = [
    "xen-evtchn",
    "xen-privcmd",
    "xenfs",
    "xen-gntdev",
    "xen-gntalloc",
    "loop",
    "xen-blkback",
    "virtio_mmio",
    "virtio_blk",
    "nls_cp437",
    "nls_ascii",
    "vfat",
];

/// Makes Debian's dom0; gives its kernel, initramfs and command line.
pub fn make(arch: Arch) -> Result<Domain> {
    debian::kernel(arch)?;
    debian::toolstack(arch)?;
    let archive = paths::debian(arch).join("dom0.cpio");
    let kernel = paths::debian_kernel(arch)?;
    let xtask = env::current_exe().map_err(|e| e.to_string())?;
    if !fresh(&archive, &[&kernel, &xtask]) {
        step("making Debian's dom0", || write(arch, &archive))?;
    }
    Ok(Domain { kernel, ramdisk: Some(archive), args: "console=hvc0 rdinit=/init".into() })
}

fn write(arch: Arch, to: &Path) -> Result<()> {
    let root = paths::debian_root(arch);
    let mut a = Initramfs::new()?;
    for dir in ["data", "mnt", "var/lib/xen", "var/lib/xenstored", "var/log/xen"] {
        a.directory(dir)?;
    }
    a.link("var/run", "/run")?;
    a.link("var/lock", "/run/lock")?;
    a.link("bin/sh", "busybox")?;
    a.file("init", INIT.as_bytes(), 0o755)?;
    a.file("etc/xen/xl.conf", b"autoballoon=0\n", 0o644)?;
    a.package_file(&root, "bin/busybox")?;
    // Bash, flock and getopt are what the hotplug scripts run.
    for file in ["bin/bash", "usr/bin/flock", "usr/bin/getopt"] {
        a.package_file(&root, file)?;
    }
    // Loaded by name when a thread of a daemon is cancelled.
    a.package_library(&root, "libgcc_s.so.1")?;
    // Xentop draws with the terminal's description, which init names.
    a.package_file(&root, "lib/terminfo/l/linux")?;
    for program in XEN_PROGRAMS {
        a.package_file(&root, &format!("usr/lib/xen-4.17/bin/{program}"))?;
    }
    for program in STORE_PROGRAMS {
        a.package_file(&root, &format!("usr/bin/xenstore-{program}"))?;
    }
    a.package_folder(&root, "etc/xen/scripts")?;
    modules::add(&mut a, &root, &["xen-netback", "bridge", "virtio_net"], &MODULES)?;
    a.save(to)
}
