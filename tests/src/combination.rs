//! Combinations of a hypervisor with a dom0 and a guest, each with the case that proves it, and the table of them.
//!
//! A case is chosen by what is combined, and its machine is made of the same values: a row of the table can only say
//! what its test runs.
use crate::{
    Mix,
    artifacts::Hypervisor::{self, Ours, OursArm64, OursArm64Gicv3, OursGicv3, Xen, XenArm64, XenArm64Gicv3},
    cases, rust_dom0,
};
use machine::Arch;
use std::{collections::BTreeMap, fmt};

/// The control domain, and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dom0 {
    /// None: the hypervisor starts the guest.
    NoDom0,
    /// This repository's.
    RustDom0(Arch),
    /// Debian's, with its `xl`.
    DebianDom0(Arch),
}

/// What runs beside it, and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guest {
    /// Nothing.
    NoGuest,
    /// The smallest sample.
    Hello(Arch),
    /// The sample with two vCPUs.
    Ticker(Arch),
    /// Two samples, each on a CPU of its own.
    TwoTickers(Arch),
    /// Debian, with a vCPU on each CPU.
    DebianGuest(Arch),
    /// The same beside the sample with two vCPUs.
    DebianAndTicker(Arch),
}

use Dom0::{DebianDom0, NoDom0, RustDom0};
use Guest::{DebianAndTicker, DebianGuest, Hello, NoGuest, Ticker, TwoTickers};

/// When a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// With `cargo xtask test`.
    Always,
    /// With `--all`.
    All,
}

/// What a test proves.
#[derive(Clone, Copy, Debug)]
pub struct Combination {
    on: Hypervisor,
    dom0: Dom0,
    guest: Guest,
    cpus: u32,
    /// What the CPUs are, by QEMU's name, when not the usual ones.
    cpu: Option<&'static str>,
}

impl Combination {
    /// Of these, on so many CPUs of the usual kind.
    pub const fn new(on: Hypervisor, dom0: Dom0, guest: Guest, cpus: u32) -> Self {
        Self { on, dom0, guest, cpus, cpu: None }
    }

    /// The same on CPUs that QEMU calls `cpu`.
    pub const fn of(self, cpu: &'static str) -> Self {
        Self { cpu: Some(cpu), ..self }
    }

    fn mix(&self) -> Mix {
        let mix = Mix::from(self.on);
        Mix {
            dom0: self.dom0.arch().unwrap_or(mix.dom0),
            guest: self.guest.arch().unwrap_or(mix.guest),
            cpus: self.cpus,
            cpu: self.cpu.unwrap_or(mix.cpu),
            ..mix
        }
    }

    /// Runs the case of this combination.
    #[track_caller]
    pub fn prove(&self) {
        let mix = self.mix();
        match (self.dom0, self.guest) {
            (NoDom0, Hello(_)) => cases::hello_starts_without_dom0(mix),
            (NoDom0, DebianGuest(_)) if self.cpus == 1 => cases::debian_guest_starts_without_dom0(mix),
            (NoDom0, DebianGuest(_)) => cases::debian_guest_uses_all_cpus(mix),
            (RustDom0(_), Hello(_)) => rust_dom0::runs_hello(mix),
            (RustDom0(_), Ticker(_)) => rust_dom0::runs_ticker(mix),
            (RustDom0(_), TwoTickers(_)) => rust_dom0::two_guests_run_on_two_cpus(mix),
            (RustDom0(_), DebianGuest(_)) => rust_dom0::debian_guest_keeps_its_disk(mix),
            (DebianDom0(_), NoGuest) if self.cpus == 1 => cases::debian_dom0_runs_xl(mix),
            (DebianDom0(_), NoGuest) => cases::debian_dom0_uses_all_cpus(mix),
            (DebianDom0(_), Hello(_)) => cases::hello_runs_under_xl(mix),
            (DebianDom0(_), Ticker(_)) => cases::ticker_runs_on_two_vcpus(mix),
            (DebianDom0(_), DebianGuest(_)) => cases::debian_guest_keeps_its_disk(mix),
            (DebianDom0(_), DebianAndTicker(_)) => cases::debian_guest_keeps_its_disk_beside_a_ticker(mix),
            _ => panic!("no case proves {self:?}"),
        }
    }
}

impl Dom0 {
    fn arch(self) -> Option<Arch> {
        match self {
            NoDom0 => None,
            RustDom0(arch) | DebianDom0(arch) => Some(arch),
        }
    }
}

impl fmt::Display for Dom0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoDom0 => f.write_str("none"),
            RustDom0(arch) => write!(f, "Rust, {}", state(*arch)),
            DebianDom0(arch) => write!(f, "Debian, {}", state(*arch)),
        }
    }
}

impl Guest {
    fn arch(self) -> Option<Arch> {
        match self {
            NoGuest => None,
            Hello(arch) | Ticker(arch) | TwoTickers(arch) | DebianGuest(arch) | DebianAndTicker(arch) => {
                Some(arch)
            }
        }
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoGuest => f.write_str("none"),
            Hello(arch) => write!(f, "hello, {}", state(*arch)),
            Ticker(arch) => write!(f, "ticker, {}", state(*arch)),
            TwoTickers(arch) => write!(f, "two tickers, {}", state(*arch)),
            DebianGuest(arch) => write!(f, "Debian, {}", state(*arch)),
            DebianAndTicker(arch) => write!(f, "Debian and a ticker, {}", state(*arch)),
        }
    }
}

/// How the table calls a state.
fn state(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm32 => "32-bit",
        Arch::Arm64 => "64-bit",
    }
}

/// The hypervisors in the order of the table's columns, with what stands above them.
const COLUMNS: [(Hypervisor, &str); 7] = [
    (Ours, "32-bit"),
    (OursGicv3, "32-bit, GICv3"),
    (OursArm64, "64-bit"),
    (OursArm64Gicv3, "64-bit, GICv3"),
    (Xen, "Xen, 32-bit"),
    (XenArm64, "Xen, 64-bit"),
    (XenArm64Gicv3, "Xen, 64-bit, GICv3"),
];

/// Gives the table of what is proven, in Markdown: a row for each dom0 with each guest, a column for each hypervisor,
/// and in them on how many CPUs.
pub fn table(proven: &[(When, Combination)]) -> String {
    let mut rows: BTreeMap<(Dom0, Guest), [Vec<Entry>; COLUMNS.len()]> = BTreeMap::new();
    for (when, what) in proven {
        let at = COLUMNS.iter().position(|(on, _)| *on == what.on).expect("each hypervisor has a column");
        let row = rows.entry((what.dom0, what.guest)).or_default();
        let other = what.cpu.map(|_| what.mix().cpu_name());
        row[at].push((what.cpus, other, *when));
    }
    let heads = COLUMNS.map(|(_, head)| head).join(" | ");
    let mut table = format!("| dom0 | guest | {heads} |\n|{}\n", " --- |".repeat(2 + COLUMNS.len()));
    for ((dom0, guest), cells) in &rows {
        let cells = cells.each_ref().map(|entries| cell(entries)).join(" | ");
        table += &format!("| {dom0} | {guest} | {cells} |\n");
    }
    table
}

/// In a cell of the table: the number of CPUs, their kind if it is another than usual, when the test runs.
type Entry = (u32, Option<&'static str>, When);

fn cell(entries: &[Entry]) -> String {
    let mut entries = entries.to_vec();
    entries.sort();
    let shown = entries.iter().map(|(cpus, kind, when)| {
        let kind = kind.map_or(String::new(), |kind| format!(" {kind}"));
        let star = if *when == When::All { "\\*" } else { "" };
        format!("{cpus}{kind}{star}")
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Arch::{Arm32, Arm64};

    #[test]
    fn a_cell_says_how_many_cpus_of_which_kind_and_when() {
        let debian = DebianGuest(Arm64);
        let table = table(&[
            (When::All, Combination::new(OursArm64, NoDom0, debian, 4).of("max,pauth-impdef=on")),
            (When::Always, Combination::new(OursArm64, NoDom0, debian, 1)),
            (When::Always, Combination::new(Ours, NoDom0, Hello(Arm32), 1)),
        ]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| none | hello, 32-bit | 1 |  |  |  |  |  |  |",
                "| none | Debian, 64-bit |  |  | 1; 4 max\\* |  |  |  |  |"
            ]
        );
    }
}
