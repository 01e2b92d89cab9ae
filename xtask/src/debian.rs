//! Which of Debian's packages are used, and for what.
use crate::{Result, apt::Apt};
use machine::Arch;

/// The peers' release of Xen.
const XEN: &str = "4.17";

/// Fetches Debian's kernel and the static busybox: what a Linux guest is made of.
pub fn kernel(arch: Arch) -> Result<()> {
    let apt = Apt::open(arch)?;
    let metapackage = match arch {
        Arch::Arm32 => "linux-image-armmp-lpae",
        Arch::Arm64 => "linux-image-arm64",
    };
    let kernel = apt.resolve(metapackage, "linux-image-")?;
    apt.unpack(&[kernel, "busybox-static".into()])
}

/// Fetches Debian's Xen.
pub fn xen(arch: Arch) -> Result<()> {
    Apt::open(arch)?.unpack(&[format!("xen-hypervisor-{XEN}-{}", arch.debian())])
}

/// Fetches U-Boot for the emulated boards.
pub fn u_boot(arch: Arch) -> Result<()> {
    Apt::open(arch)?.unpack(&["u-boot-qemu".into()])
}

/// Fetches Xen's toolstack and daemons with the libraries that they need.
pub fn toolstack(arch: Arch) -> Result<()> {
    let mut packages: Vec<String> = [
        "bash",
        "libc6",
        "libfdt1",
        "libgcc-s1",
        "libncurses6",
        "libtinfo6",
        "libuuid1",
        "libxencall1",
        "libxendevicemodel1",
        "libxenevtchn1",
        "libxenforeignmemory1",
        "libxengnttab1",
        "libxenhypfs1",
        "libxenstore4",
        "libxentoolcore1",
        "libxentoollog1",
        "libyajl2",
        "ncurses-base",
        "util-linux",
        "xen-utils-common",
        "xenstore-utils",
        "zlib1g",
    ]
    .map(str::to_owned)
    .into();
    packages.extend([format!("xen-utils-{XEN}"), format!("libxenmisc{XEN}")]);
    Apt::open(arch)?.unpack(&packages)
}

/// Fetches Xen's public headers.
pub fn headers(arch: Arch) -> Result<()> {
    Apt::open(arch)?.unpack(&["libxen-dev".into()])
}
