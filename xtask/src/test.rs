//! `test`: the host's tests, then the systems booted in QEMU.
use crate::{
    Result,
    args::{Subject, Test},
    bench, build, check, debian, debian_dom0, headers, run,
    setup::{self, Purpose},
    step,
};
use machine::{Arch, paths};
use std::{env, fs, process::Command};

/// What the names of system tests of 64-bit ARM have in them, and no others'.
const ON_ARM64: &str = "arm64";

/// Runs all tests of both states, or of the one that is asked for; those that take long only when asked to.
pub fn run(what: &Test) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Emulate, Purpose::Debian, Purpose::Test])?;
    step("host tests", || host_tests(what))?;
    let states: &[Arch] = match what.arch {
        Some(Arch::Arm32) => &[Arch::Arm32],
        // The 64-bit hypervisor runs 32-bit guests.
        Some(Arch::Arm64) | None => &[Arch::Arm32, Arch::Arm64],
    };
    for &arch in states {
        build::all(arch)?;
        data_disk(arch)?;
        debian::xen(arch)?;
        debian::u_boot(arch)?;
        debian_dom0::make(arch)?;
        build::test_guests(arch)?;
    }
    step("system tests", || system_tests(what))?;
    // Times are to be read: none of them is a failure.
    if what.all && what.filter.is_none() && states.contains(&Arch::Arm32) {
        bench::wall::run(Arch::Arm32)?;
    }
    Ok(())
}

/// Makes dom0's disk, a new one each time, whatever a user left on their own.
fn data_disk(arch: Arch) -> Result<()> {
    let disk = paths::target_dir().join("disks").join(format!("{}-test.img", arch.name()));
    if disk.exists() {
        fs::remove_file(&disk).map_err(|e| format!("{}: {e}", disk.display()))?;
    }
    run::data_disk(arch, Subject::Debian, &disk)
}

fn cargo() -> Command {
    let mut c = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    c.current_dir(paths::workspace());
    c
}

fn host_tests(what: &Test) -> Result<()> {
    lint("fmt", &["--check"])?;
    // What the workspace denies fails here; the rest is shown.
    lint("clippy", &["--all-targets"])?;
    lint("clippy", &["--package", "system-tests", "--all-targets"])?;
    check(cargo().arg("test").args(&what.filter).envs(headers::environment()?))?;
    check(cargo().args(["test", "--package", "system-tests", "--test", "combinations", "readme"]))
}

/// Runs a tool that not every toolchain has.
fn lint(tool: &str, args: &[&str]) -> Result<()> {
    let there = cargo().args([tool, "--version"]).output().is_ok_and(|o| o.status.success());
    if there {
        return check(cargo().arg(tool).args(args));
    }
    eprintln!("xtask: cargo {tool} is not installed, left out");
    Ok(())
}

/// One machine at a time: each has two CPUs.
fn system_tests(what: &Test) -> Result<()> {
    let mut c = cargo();
    // What fails in one file says nothing of the others.
    c.args(["test", "--no-fail-fast", "--package", "system-tests"]).args(&what.filter);
    c.args(["--", "--test-threads=1"]);
    match what.arch {
        Some(Arch::Arm32) => c.args(["--skip", ON_ARM64]),
        Some(Arch::Arm64) => c.arg(ON_ARM64),
        None => &mut c,
    };
    if what.all {
        c.arg("--include-ignored");
    }
    check(&mut c)
}
