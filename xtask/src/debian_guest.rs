//! The Debian guest: an unmodified kernel, an initial RAM disk with the drivers of its root disk, a
//! root file system, and for 32-bit ARM the kernel with an appended device tree.
use crate::{
    Result, debian, fresh,
    initramfs::Initramfs,
    make_dir, modules, output, read, setup, step, write,
    xenvm::{self, Layout},
    zimage,
};
use machine::{Arch, paths};
use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

const INITRD_INIT: &str = include_str!("../scripts/guest-initrd.sh");
const RC: &str = include_str!("../scripts/guest-rc.sh");
const INITTAB: &str = include_str!("../scripts/guest-inittab");

/// What Debian's kernel has as modules: PV devices, and what is between a disk and the root. Ext4's
/// checksums come from crc32c, by a name that no dependency shows.
const MODULES: [&str; 4] = ["xen-blkfront", "xen-netfront", "crc32c_generic", "ext4"];

/// The guest's command line.
pub const BOOTARGS: &str = "console=hvc0 root=/dev/xvda";

/// Memory of the guest, which its appended tree has to say.
const MEMORY: u64 = 128 << 20;

/// Where a loader puts a zImage, from the start of RAM.
const KERNEL_OFFSET: u64 = 0x8000;

/// Links of the root file system. The kernel runs the last two when the toolstack asks for them.
const LINKS: [(&str, &str); 5] = [
    ("bin/sh", "busybox"),
    ("etc/mtab", "/proc/mounts"),
    ("sbin/init", "../bin/busybox"),
    ("sbin/poweroff", "../bin/busybox"),
    ("sbin/reboot", "../bin/busybox"),
];

/// Size of the root file system.
const ROOT_SIZE: &str = "64M";

/// The files of the guest.
pub struct Guest {
    /// Debian's kernel as it is.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub initrd: PathBuf,
    /// Its root file system, ext4.
    pub root: PathBuf,
    /// Kernel, appended tree and initial RAM disk in one file that boots by itself. Only a zImage can
    /// have what comes behind it.
    pub joined: Option<Joined>,
}

/// Images by the generation of their trees.
pub struct Joined {
    /// With a tree of today's layout.
    pub today: PathBuf,
    /// With a tree of the 4.2 generation.
    pub xen_4_2: PathBuf,
}

/// Makes the guest's files where they are missing or old.
pub fn make(arch: Arch) -> Result<Guest> {
    debian::kernel(arch)?;
    let dir = paths::debian(arch).join("guest");
    let guest = Guest {
        kernel: paths::debian_kernel(arch)?,
        initrd: dir.join("initrd"),
        root: dir.join("root.ext4"),
        joined: (arch == Arch::Arm32)
            .then(|| Joined { today: dir.join("image"), xen_4_2: dir.join("image-4.2") }),
    };
    let xtask = env::current_exe().map_err(|e| e.to_string())?;
    let from = [guest.kernel.as_path(), xtask.as_path()];
    let joined = guest.joined.iter().flat_map(|joined| [&joined.today, &joined.xen_4_2]);
    if [&guest.initrd, &guest.root].into_iter().chain(joined).any(|f| !fresh(f, &from)) {
        step("making the Debian guest", || {
            make_initrd(arch, &guest.initrd)?;
            make_root(arch, &dir.join("staging"), &guest.root)?;
            guest.joined.as_ref().map_or(Ok(()), |joined| {
                make_image(&guest, &xenvm::TODAY, &joined.today)?;
                make_image(&guest, &xenvm::XEN_4_2, &joined.xen_4_2)
            })
        })?;
    }
    Ok(guest)
}

fn make_initrd(arch: Arch, to: &Path) -> Result<()> {
    let root = paths::debian_root(arch);
    let mut a = Initramfs::new()?;
    a.directory("newroot")?;
    a.package_file(&root, "bin/busybox")?;
    a.link("bin/sh", "busybox")?;
    a.file("init", INITRD_INIT.as_bytes(), 0o755)?;
    modules::add(&mut a, &root, &[], &MODULES)?;
    a.save(to)
}

/// Makes the root file system from a folder, without mounting anything.
fn make_root(arch: Arch, staging: &Path, to: &Path) -> Result<()> {
    if staging.exists() {
        fs::remove_dir_all(staging).map_err(|e| format!("{}: {e}", staging.display()))?;
    }
    for dir in ["bin", "sbin", "etc", "dev", "proc", "sys", "tmp", "root", "home", "mnt", "usr", "var"] {
        make_dir(&staging.join(dir))?;
    }
    write(&staging.join("bin/busybox"), &read(&paths::debian_root(arch).join("bin/busybox"))?)?;
    write(&staging.join("etc/rc"), RC.as_bytes())?;
    write(&staging.join("etc/inittab"), INITTAB.as_bytes())?;
    write(&staging.join("etc/passwd"), b"root::0:0:root:/root:/bin/sh\n")?;
    for file in ["bin/busybox", "etc/rc"] {
        let path = staging.join(file);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    for (link, target) in LINKS {
        let path = staging.join(link);
        symlink(target, &path).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let mke2fs = setup::program("mke2fs").ok_or("mke2fs is missing")?;
    let mut c = Command::new(mke2fs);
    c.args(["-q", "-F", "-t", "ext4", "-L", "root", "-E", "root_owner=0:0", "-d"]);
    output(c.arg(staging).arg(to).arg(ROOT_SIZE)).map(drop)
}

/// Joins kernel, tree and RAM disk. The tree names the RAM disk's place for a loader that puts the
/// file at the start of RAM, above all that the kernel uses to unpack itself.
fn make_image(guest: &Guest, layout: &Layout, to: &Path) -> Result<()> {
    let mut image = read(&guest.kernel)?;
    let initrd = read(&guest.initrd)?;
    let at = (zimage::footprint(&image)? + (1 << 20)).next_multiple_of(1 << 20);
    let start = layout.ram + KERNEL_OFFSET + at;
    let end = start + initrd.len() as u64;
    if end > layout.ram + MEMORY {
        return Err("the guest's kernel and RAM disk do not fit its memory".into());
    }
    image.extend(xenvm::tree(layout, MEMORY, BOOTARGS, start..end));
    image.resize(at as usize, 0);
    image.extend(initrd);
    write(to, &image)
}
