//! `build`: the bare-metal images.
use crate::{
    Result, diagnostics, image,
    setup::{self, Purpose},
    step, symbols,
    toolchain::{Favour, Toolchain},
    write,
};
use machine::{Arch, paths};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

const HYPERVISOR: &str = "hypervisor";

/// Makes sure of a toolchain, builds all images and says where they are.
pub fn run(arch: Arch) -> Result<()> {
    setup::ensure(&[Purpose::Build])?;
    for image in all(arch)? {
        println!("{}", image.display());
    }
    Ok(())
}

/// Builds hypervisor, dom0 and every sample guest; gives their flat images.
pub fn all(arch: Arch) -> Result<Vec<PathBuf>> {
    let mut packages = vec![HYPERVISOR.to_owned(), "dom0".to_owned()];
    packages.extend(samples()?);
    images(arch, &packages)
}

/// Builds the guests that are there for tests only.
pub fn test_guests(arch: Arch) -> Result<Vec<PathBuf>> {
    images(arch, &packages_in("tests/guests")?)
}

/// Builds bare-metal packages; gives their flat images.
pub fn images(arch: Arch, packages: &[String]) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::require(arch.target())?;
    step(&format!("building for {} with {}", arch.name(), toolchain.describe()), || {
        packages.iter().map(|package| one(&toolchain, arch, package)).collect()
    })
}

/// Builds one package alone, so that no other's choice of features reaches it.
fn one(toolchain: &Toolchain, arch: Arch, package: &str) -> Result<PathBuf> {
    if package == HYPERVISOR
        && let target = arch.smallest_target()
        && let Some(toolchain) = Toolchain::find(target)?
    {
        return with(toolchain.cargo(target, Favour::Size), target, arch, package);
    }
    with(toolchain.cargo(arch.target(), Favour::Speed), arch.target(), arch, package)
}

fn with(mut cargo: Command, target: &str, arch: Arch, package: &str) -> Result<PathBuf> {
    let dir = paths::target_dir().join("bare");
    // `rustc` is `build` with flags for the last crate, which with fat LTO is all that becomes code.
    let flags = flags(arch, package);
    let command = if flags.is_empty() { "build" } else { "rustc" };
    cargo.current_dir(paths::workspace()).args([command, "--package", package, "--profile", "bare"]);
    cargo.args(["--target", target, "--target-dir"]).arg(&dir);
    diagnostics::ask(&mut cargo);
    if !flags.is_empty() {
        cargo.arg("--").args(flags);
    }
    diagnostics::check(&mut cargo)?;
    let elf = dir.join(target).join("bare").join(package);
    let mut flat = image::flatten(&elf)?;
    symbols::append(&elf, &mut flat)?;
    let to = paths::images(arch).join(package);
    write(&to, &flat)?;
    Ok(to)
}

/// How code is made of a package, besides what `.cargo/config.toml` says for every package.
fn flags(arch: Arch, package: &str) -> &'static [&'static str] {
    match (arch, package) {
        // It is smaller than 1 MiB with all its data, so that one instruction makes any address.
        (Arch::Arm64, HYPERVISOR) => &["-Ccode-model=tiny"],
        _ => &[],
    }
}

/// Names the sample guests.
pub fn samples() -> Result<Vec<String>> {
    packages_in("sample-guests")
}

/// Names the packages in a folder of the workspace.
fn packages_in(folder: &str) -> Result<Vec<String>> {
    let dir = paths::workspace().join(folder);
    let entries = dir.read_dir().map_err(|e| format!("{}: {e}", dir.display()))?;
    let is_package = |p: &PathBuf| p.join("Cargo.toml").is_file();
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.path()).filter(is_package).map(|p| name(&p)).collect();
    names.sort();
    Ok(names)
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
