//! The command line.
use crate::Result;
use lexopt::prelude::*;
use machine::Arch;
use std::path::PathBuf;

/// What the user asked for.
pub struct Args {
    pub command: Command,
    pub arch: Arch,
}

pub enum Command {
    Build,
    Run(Run),
    Test(Test),
    Bench {
        /// By the clock instead of by instructions.
        wall: bool,
    },
    Doctor,
    Help,
}

/// What `run` boots.
pub struct Run {
    pub what: Subject,
    pub hypervisor: Hypervisor,
    pub gic_version: u32,
    /// The emulated processor, if not the usual one.
    pub cpu: Option<&'static str>,
    /// The state that dom0 is built for, if not the hypervisor's.
    pub dom0: Option<Arch>,
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The Rust dom0.
    Dom0,
    /// The Rust dom0, with a Debian guest prepared.
    Linux,
    /// Debian's dom0.
    Debian,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    Ours,
    DebianXen,
    File(PathBuf),
}

/// What `test` runs.
#[derive(Default)]
pub struct Test {
    pub all: bool,
    pub filter: Option<String>,
    /// Systems of one state only.
    pub arch: Option<Arch>,
}

impl Args {
    pub fn from_env() -> Result<Self> {
        Self::parse(lexopt::Parser::from_env()).map_err(|e| format!("{e} (cargo xtask help)"))
    }

    fn parse(mut p: lexopt::Parser) -> std::result::Result<Self, lexopt::Error> {
        let mut words = vec![];
        let mut arch = None;
        let mut hypervisor = Hypervisor::Ours;
        let mut gic_version = 2;
        let mut dom0 = None;
        let mut cpu = None;
        let (mut dry_run, mut help, mut wall) = (false, false, false);
        let mut test = Test::default();
        let mut seen: Vec<(&str, &[&str])> = vec![];
        while let Some(arg) = p.next()? {
            match arg {
                Short('h') | Long("help") => help = true,
                Value(v) => words.push(v.string()?),
                Long("arch") => {
                    seen.push(("--arch", &["build", "run", "test", "bench"]));
                    arch = Some(Arch::parse(&p.value()?.string()?)?);
                }
                Long("hypervisor") => {
                    seen.push(("--hypervisor", &["run"]));
                    hypervisor = named(p.value()?.into());
                }
                Long("gic") => {
                    seen.push(("--gic", &["run"]));
                    gic_version = gic(&p.value()?.string()?)?;
                }
                Long("dom0") => {
                    seen.push(("--dom0", &["run"]));
                    dom0 = Some(Arch::parse(&p.value()?.string()?)?);
                }
                Long("cpu") => {
                    seen.push(("--cpu", &["run"]));
                    cpu = Some(p.value()?.string()?);
                }
                Long("dry-run") => {
                    seen.push(("--dry-run", &["run"]));
                    dry_run = true;
                }
                Long("wall") => {
                    seen.push(("--wall", &["bench"]));
                    wall = true;
                }
                Long("all") => {
                    seen.push(("--all", &["test"]));
                    test.all = true;
                }
                Long("filter") => {
                    seen.push(("--filter", &["test"]));
                    test.filter = Some(p.value()?.string()?);
                }
                other => return Err(other.unexpected()),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(command) = words.first()
            && let Some((option, of)) = seen.iter().find(|(_, of)| !of.contains(command))
            && !help
        {
            return Err(format!("{option} belongs to '{}', not to '{command}'", of.join("', '")).into());
        }
        test.arch = arch;
        if test.arch.is_some() && test.filter.is_some() {
            return Err(
                "--arch and --filter do not go together: tests of 64-bit ARM have arm64 in their names"
                    .into(),
            );
        }
        let arch = arch.unwrap_or(Arch::Arm32);
        let cpu = match cpu {
            Some(name) => Some(processor(arch, &name)?),
            None => None,
        };
        let run = |what| Command::Run(Run { what, hypervisor, gic_version, cpu, dom0, dry_run });
        let command = match words[..] {
            _ if help => Command::Help,
            [] | ["help"] => Command::Help,
            ["build"] => Command::Build,
            ["run"] => run(Subject::Dom0),
            ["run", "linux"] => run(Subject::Linux),
            ["run", "debian"] => run(Subject::Debian),
            ["test"] => Command::Test(test),
            ["bench"] => Command::Bench { wall },
            ["doctor"] => Command::Doctor,
            _ => return Err(format!("unknown command '{}'", words.join(" ")).into()),
        };
        Ok(Self { command, arch })
    }
}

fn processor(arch: Arch, name: &str) -> std::result::Result<&'static str, String> {
    let cpus = arch.cpus();
    let known = cpus.iter().find(|cpu| **cpu == name);
    known
        .copied()
        .ok_or_else(|| format!("unknown processor '{name}' for {} ({})", arch.name(), cpus.join(", ")))
}

fn gic(version: &str) -> std::result::Result<u32, String> {
    match version {
        "2" => Ok(2),
        "3" => Ok(3),
        _ => Err(format!("unknown version '{version}' of the interrupt controller (2, 3)")),
    }
}

fn named(value: PathBuf) -> Hypervisor {
    match value.to_str() {
        Some("xen") => Hypervisor::DebianXen,
        Some("ours") => Hypervisor::Ours,
        _ => Hypervisor::File(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> std::result::Result<Args, String> {
        let words = line.split_whitespace();
        Args::parse(lexopt::Parser::from_args(words)).map_err(|e| e.to_string())
    }

    #[test]
    fn debian_on_the_real_xen_is_understood() {
        let a = parse("run debian --hypervisor xen --gic 3 --arch arm64 --dom0 arm32").unwrap();
        let Command::Run(r) = a.command else { panic!("no run") };
        assert_eq!((r.what, r.gic_version), (Subject::Debian, 3));
        assert_eq!(r.hypervisor, Hypervisor::DebianXen);
        assert_eq!((a.arch, r.dom0), (Arch::Arm64, Some(Arch::Arm32)));
    }

    #[test]
    fn options_of_another_command_are_refused() {
        let e = parse("build --all").err().unwrap();
        assert!(e.contains("--all belongs to 'test'"), "{e}");
        let e = parse("doctor --arch arm64").err().unwrap();
        assert!(e.contains("--arch belongs to 'build', 'run', 'test', 'bench', not to 'doctor'"), "{e}");
        let e = parse("test --arch arm64 --filter hello").err().unwrap();
        assert!(e.contains("--arch and --filter do not go together"), "{e}");
    }

    #[test]
    fn unknown_words_are_named() {
        assert!(parse("run windows").err().unwrap().contains("run windows"));
        assert!(parse("run --cpu cortex-a53").err().unwrap().contains("'cortex-a53' for arm32"));
        assert!(parse("run --arch arm64 --cpu cortex-a53").is_ok());
        assert!(parse("run --gic 4").err().unwrap().contains("'4'"));
        assert!(parse("--arch mips build").err().unwrap().contains("mips"));
    }
}
