//! What the commands need from the machine, and how it gets there: on Debian, as root, by apt-get;
//! elsewhere by a message that names everything missing.
use crate::{Result, check, output, toolchain};
use machine::Arch;
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What a need is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Cross building.
    Build,
    /// Booting in the emulator.
    Emulate,
    /// Artifacts made of Debian's packages: guests, dom0, the real Xen.
    Debian,
    /// The tests, beyond all of the above.
    Test,
}

/// How a need is found.
#[derive(Clone, Copy, Debug)]
enum Probe {
    Toolchain(Arch),
    Program(&'static str),
    File(&'static str),
}

/// Something that must be on the machine.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    probe: Probe,
    packages: &'static [&'static str],
    purpose: Purpose,
}

const fn need(purpose: Purpose, probe: Probe, packages: &'static [&'static str]) -> Need {
    Need { probe, packages, purpose }
}

/// Everything that any command needs.
pub const NEEDS: &[Need] = &[
    need(Purpose::Build, Probe::Toolchain(Arch::Arm32), &toolchain::DEBIAN_PACKAGES),
    need(Purpose::Test, Probe::Toolchain(Arch::Arm64), &toolchain::DEBIAN_PACKAGES),
    need(Purpose::Emulate, Probe::Program("qemu-system-arm"), &["qemu-system-arm"]),
    need(Purpose::Debian, Probe::Program("apt-get"), &["apt"]),
    need(Purpose::Debian, Probe::Program("dpkg-deb"), &["dpkg"]),
    need(Purpose::Debian, Probe::Program("mke2fs"), &["e2fsprogs"]),
    need(Purpose::Test, Probe::Program("arm-linux-gnueabihf-gcc"), &["gcc-arm-linux-gnueabihf"]),
    need(Purpose::Test, Probe::File("/usr/arm-linux-gnueabihf/include/stdint.h"), &["libc6-dev-armhf-cross"]),
    need(Purpose::Test, Probe::Program("aarch64-linux-gnu-gcc"), &["gcc-aarch64-linux-gnu"]),
    need(Purpose::Test, Probe::File("/usr/aarch64-linux-gnu/include/stdint.h"), &["libc6-dev-arm64-cross"]),
];

impl Need {
    /// Says what was found, or in `Err` what is missing.
    pub fn found(&self) -> std::result::Result<String, String> {
        match self.probe {
            Probe::Toolchain(arch) => match toolchain::Toolchain::find(arch.target())? {
                Some(t) => Ok(format!("{}: {}", arch.target(), t.describe())),
                None => Err(format!("a Rust toolchain for {} (or: rustup target add it)", arch.target())),
            },
            Probe::Program(name) => match program(name) {
                Some(path) => Ok(path.display().to_string()),
                None => Err(name.to_owned()),
            },
            Probe::File(path) => match Path::new(path).exists() {
                true => Ok(path.to_owned()),
                false => Err(path.to_owned()),
            },
        }
    }

    /// Names Debian's packages that hold it.
    pub fn packages(&self) -> String {
        self.packages.join(" ")
    }
}

/// Makes sure that everything for `purposes` is there.
pub fn ensure(purposes: &[Purpose]) -> Result<()> {
    let wanted = NEEDS.iter().filter(|n| purposes.contains(&n.purpose));
    let missing: Vec<(&Need, String)> = wanted.filter_map(|n| Some((n, n.found().err()?))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages = BTreeSet::new();
    for (need, what) in &missing {
        eprintln!("xtask: missing: {what} (Debian: {})", need.packages());
        packages.extend(need.packages.iter().copied());
    }
    let packages: Vec<&str> = packages.into_iter().collect();
    let command = format!("apt-get install {}", packages.join(" "));
    if !is_debian() {
        return Err("this is not Debian: install the above with its own package manager".into());
    }
    if !is_root() {
        return Err(format!("not root: run `{command}` as root, or this command"));
    }
    install(&packages, &command)?;
    let still: Vec<String> = missing.iter().filter_map(|(n, _)| n.found().err()).collect();
    match still.is_empty() {
        true => Ok(()),
        false => Err(format!("still missing after `{command}`: {}", still.join(", "))),
    }
}

fn install(packages: &[&str], command: &str) -> Result<()> {
    let apt = |args: &[&str]| {
        let mut c = Command::new("apt-get");
        c.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        c
    };
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(packages);
    eprintln!("xtask: installing: {command}");
    let mut simulate = vec!["--simulate"];
    simulate.extend(&args);
    let known = output(&mut apt(&simulate)).is_ok();
    // Lists can be missing, or so old that they name files the mirror no longer has.
    if known && check(&mut apt(&args)).is_ok() {
        return Ok(());
    }
    eprintln!("xtask: updating the package lists: apt-get update");
    check(&mut apt(&["update"]))?;
    check(&mut apt(&args))
}

/// Says whether this is a Debian system.
pub fn is_debian() -> bool {
    os_release("ID").as_deref() == Some("debian") && program("apt-get").is_some()
}

/// Gives a value of the system's description.
fn os_release(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// Says whether xtask runs as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// Finds a program as a shell would, also where Debian keeps the administrator's.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|p| p.is_file())
}
