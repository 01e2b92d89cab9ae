//! `run`: boots the machine with its console on the terminal.
use crate::{
    Result,
    args::{Hypervisor, Run, Subject},
    build, check, debian, debian_dom0, debian_guest,
    disk::{self, Contents},
    setup::{self, Purpose},
};
use machine::{Arch, Console, Disk, Domain, Machine, paths};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Boots what the user asked for.
pub fn run(arch: Arch, what: &Run) -> Result<()> {
    let mut purposes = vec![Purpose::Build, Purpose::Emulate];
    if what.what != Subject::Dom0 || what.hypervisor == Hypervisor::DebianXen {
        purposes.push(Purpose::Debian);
    }
    // Before anything is built or installed.
    if let Hypervisor::File(file) = &what.hypervisor
        && !file.is_file()
    {
        return Err(format!("{}: no such file", file.display()));
    }
    setup::ensure(&purposes)?;
    for guests in guest_archs(arch) {
        build::images(guests, &build::samples()?)?;
    }
    let dom0_arch = what.dom0.unwrap_or(arch);
    if !guest_archs(arch).contains(&dom0_arch) {
        return Err(format!("a hypervisor for {} has no dom0 for {}", arch.name(), dom0_arch.name()));
    }
    if what.what != Subject::Debian {
        build::images(dom0_arch, &["dom0".into()])?;
    }
    if what.hypervisor == Hypervisor::Ours {
        build::images(arch, &["hypervisor".into()])?;
    }
    let mut machine = Machine::new(arch, hypervisor(arch, &what.hypervisor)?);
    machine.console = Console::Terminal;
    machine.gic_version = what.gic_version;
    if let Some(cpu) = what.cpu {
        machine.cpu = cpu;
    }
    machine.dom0 = Some(dom0(dom0_arch, what.what)?);
    if what.what == Subject::Debian {
        machine.memory_mib = 2048;
        machine.hypervisor_args += " dom0_mem=512M";
    } else {
        machine.hypervisor_args += " dom0_mem=128M";
    }
    let disk = paths::target_dir().join("disks").join(format!("{}.img", arch.name()));
    data_disk(arch, what.what, &disk)?;
    machine.disks.push(Disk { file: disk, snapshot: false });

    let mut qemu = machine.prepare(&paths::target_dir().join("run").join(arch.name()))?;
    if what.dry_run {
        println!("{qemu:?}");
        return Ok(());
    }
    eprintln!("xtask: booting; Ctrl-A three times switches the console between dom0 and hypervisor,");
    eprintln!("xtask: Ctrl-\\ x ends the machine. {}", hint(what.what));
    check(&mut qemu)
}

/// The states of guests on a hypervisor, its own first.
pub fn guest_archs(hypervisor: Arch) -> Vec<Arch> {
    match hypervisor {
        Arch::Arm32 => vec![Arch::Arm32],
        Arch::Arm64 => vec![Arch::Arm64, Arch::Arm32],
    }
}

fn hypervisor(arch: Arch, which: &Hypervisor) -> Result<PathBuf> {
    match which {
        Hypervisor::Ours => Ok(paths::images(arch).join("hypervisor")),
        Hypervisor::File(file) => Ok(file.clone()),
        Hypervisor::DebianXen => {
            debian::xen(arch)?;
            paths::debian_xen(arch)
        }
    }
}

fn dom0(arch: Arch, what: Subject) -> Result<Domain> {
    match what {
        Subject::Debian => debian_dom0::make(arch),
        Subject::Dom0 | Subject::Linux => {
            Ok(Domain { kernel: paths::images(arch).join("dom0"), ramdisk: None, args: String::new() })
        }
    }
}

/// Makes the disk that dom0 has as `/dev/vda`, or brings it up to date. What is for 32-bit ARM lies in a
/// folder of its own on the disk of a 64-bit machine.
pub fn data_disk(arch: Arch, what: Subject, to: &Path) -> Result<()> {
    let mut contents = Contents::default();
    for guests in guest_archs(arch) {
        if guests != arch {
            contents.set_folder(paths::ARM32_FOLDER);
        }
        for name in build::samples()? {
            add_sample(&mut contents, guests, &name);
        }
        if what != Subject::Dom0 {
            contents.debian(&debian_guest::make(guests)?, paths::kernel_name(guests));
        }
    }
    disk::make(to, &contents)
}

/// Adds a sample guest, with the config of its README.
pub fn add_sample(contents: &mut Contents, arch: Arch, name: &str) {
    let readme = paths::workspace().join("sample-guests").join(name).join("README.md");
    let readme = fs::read_to_string(readme).unwrap_or_default();
    contents.sample(name, paths::images(arch).join(name), &readme);
}

fn hint(what: Subject) -> &'static str {
    match what {
        Subject::Dom0 => "Try: xl create -c /root/hello.cfg",
        Subject::Linux | Subject::Debian => {
            "Try: losetup /dev/loop0 /root/disk.img; xl create -c /root/win.cfg"
        }
    }
}
