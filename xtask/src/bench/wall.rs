//! `bench --wall`: how long the work of Debian's dom0 and of its guest takes, by the clock on the wall.
//!
//! On this hypervisor and on Debian's Xen in turn, several times: the host does other things too, so of each figure
//! the median counts, and the processor time that QEMU had stands beside it.
use super::session::{Session, Took};
use crate::{
    Result, build, debian, debian_dom0, debian_guest,
    disk::{self, Contents},
    setup::{self, Purpose},
    step, write,
};
use machine::{Arch, Disk, Machine, paths};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often each hypervisor is measured.
const ROUNDS: usize = 3;

const BOOT: Duration = Duration::from_secs(600);
const COMMAND: Duration = Duration::from_secs(300);
const DOM0: &str = "dom0# ";
const GUEST: &str = "# ";
/// Leaves a guest's console.
const LEAVE: &[u8] = b"\x1d";

/// What is measured, and in what.
const ROWS: [(&str, &str, Unit); 6] = [
    ("boot", "QEMU's start to dom0's shell", Unit::Seconds),
    ("create", "xl create to the guest's shell", Unit::Seconds),
    ("destroy", "xl destroy", Unit::Seconds),
    ("read", "guest reads its disk", Unit::Mib(READ_MIB)),
    ("write", "guest writes its disk", Unit::Mib(WRITE_MIB)),
    ("tcp", "guest sends to dom0 by TCP", Unit::Mib(TCP_MIB)),
];

const READ_MIB: u32 = 48;
const WRITE_MIB: u32 = 24;
const TCP_MIB: u32 = 32;

/// What a time is told in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Itself.
    Seconds,
    /// MiB in a second: so much was moved.
    Mib(u32),
}

impl Unit {
    /// Its name, for the clock or for processor time.
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Mib(_) => "MiB/s",
        }
    }

    fn of(self, took: Duration) -> f64 {
        match self {
            Self::Seconds => took.as_secs_f64(),
            Self::Mib(mib) => f64::from(mib) / took.as_secs_f64(),
        }
    }
}

/// How long each row took, in one round.
type Times = [Took; ROWS.len()];

/// What a table is about.
type Clock = (&'static str, fn(Took) -> Duration);

const CLOCKS: [Clock; 2] = [("by the clock", |took| took.wall), ("processor time", |took| took.busy)];

/// Builds, measures, prints the table, and writes it with the figures into `target/bench/`.
pub fn run(arch: Arch) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Emulate, Purpose::Debian])?;
    build::images(arch, &["hypervisor".to_owned()])?;
    debian::xen(arch)?;
    let mut contents = Contents::default();
    contents.debian(&debian_guest::make(arch)?, paths::kernel_name(arch));
    disk::make(&data_disk(), &contents)?;

    let (mut ours, mut xen) = (vec![], vec![]);
    for round in 1..=ROUNDS {
        let image = paths::images(arch).join("hypervisor");
        ours.push(step(&format!("round {round}: this hypervisor"), || measure(arch, "ours", image))?);
        let image = paths::debian_xen(arch)?;
        xen.push(step(&format!("round {round}: Debian's Xen"), || measure(arch, "xen", image))?);
    }
    let table = CLOCKS.map(|clock| table(arch, clock, &ours, &xen)).join("\n");
    print!("{table}");
    let to = paths::target_dir().join("bench");
    write(&to.join(format!("{}-wall.json", arch.name())), json(&ours, &xen).as_bytes())?;
    write(&to.join(format!("{}-wall.md", arch.name())), table.as_bytes())?;
    eprintln!("xtask: figures and table are in {}", to.display());
    Ok(())
}

/// The disk with what Debian's dom0 starts.
fn data_disk() -> PathBuf {
    paths::target_dir().join("bench").join("wall.img")
}

/// Boots dom0, starts the guest, has it work, and destroys it.
fn measure(arch: Arch, name: &str, hypervisor: PathBuf) -> Result<Times> {
    let mut machine = Machine::new(arch, hypervisor);
    // QEMU's threads do not compete for the host's processors then.
    machine.cpus = 1;
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(debian_dom0::make(arch)?);
    machine.disks.push(Disk { file: data_disk(), snapshot: true });
    let mut s = Session::boot(&machine, &work(name))?;
    let boot = s.expect(DOM0, BOOT)?;
    prepare(&mut s)?;
    let create = s.command("xl create -c wall.cfg", "root on /dev/xvda", BOOT)? + s.expect(GUEST, COMMAND)?;
    let (read, write, tcp) = guest_works(&mut s)?;
    s.send(LEAVE)?;
    s.expect(DOM0, COMMAND)?;
    let destroy = s.command("xl destroy linux", DOM0, COMMAND)?;
    Ok([boot, create, destroy, read, write, tcp])
}

fn work(name: &str) -> PathBuf {
    Path::new(&paths::target_dir()).join("bench").join(name).join("wall")
}

/// Dom0's side: the guest's disk, a bridge, and somebody who takes what the guest sends.
fn prepare(s: &mut Session) -> Result<()> {
    const SETUP: [&str; 7] = [
        "cd /run; echo 1 > /proc/sys/kernel/printk",
        "losetup /dev/loop0 /root/disk.img",
        "modprobe xen-netback; modprobe bridge",
        "brctl addbr xenbr0; ip addr add 10.0.0.1/24 dev xenbr0",
        "ip link set xenbr0 up",
        "(cat /root/linux.cfg; echo 'vif=[\"bridge=xenbr0\"]') > wall.cfg",
        "nc -l -p 5001 > /dev/null &",
    ];
    SETUP.iter().try_for_each(|line| s.command(line, DOM0, COMMAND).map(drop))
}

/// What the guest does: reads, writes and sends.
fn guest_works(s: &mut Session) -> Result<(Took, Took, Took)> {
    const BLOCK_KIB: u32 = 64;
    let blocks = |mib: u32| mib * (1 << 10) / BLOCK_KIB;
    let drop_caches = "sync; echo 3 > /proc/sys/vm/drop_caches";
    s.command("ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up", GUEST, COMMAND)?;
    // The first time is for dom0, which has the whole disk in its memory then.
    let read = format!("dd if=/dev/xvda of=/dev/null bs={BLOCK_KIB}k count={}", blocks(READ_MIB));
    s.command(&read, GUEST, COMMAND)?;
    s.command(drop_caches, GUEST, COMMAND)?;
    let read = s.command(&read, GUEST, COMMAND)?;
    let write = format!("dd if=/dev/zero of=/big bs={BLOCK_KIB}k count={} conv=fsync", blocks(WRITE_MIB));
    let write = s.command(&write, GUEST, COMMAND)?;
    s.command("until ping -c 1 -W 1 10.0.0.1 > /dev/null; do :; done", GUEST, COMMAND)?;
    let send = format!("dd if=/dev/zero bs={BLOCK_KIB}k count={} | nc 10.0.0.1 5001", blocks(TCP_MIB));
    let send = s.command(&send, GUEST, COMMAND)?;
    Ok((read, write, send))
}

/// The middle of a row's figures, and how far apart the lowest and the highest are.
fn figures(rounds: &[Times], row: usize, clock: Clock) -> (f64, f64, f64) {
    let mut all: Vec<f64> = rounds.iter().map(|times| ROWS[row].2.of(clock.1(times[row]))).collect();
    all.sort_by(f64::total_cmp);
    match all[..] {
        [] => (0.0, 0.0, 0.0),
        [lowest, ..] => (all[all.len() / 2], lowest, all[all.len() - 1]),
    }
}

/// The table, as Markdown that reads well as it stands.
fn table(arch: Arch, clock: Clock, ours: &[Times], xen: &[Times]) -> String {
    let mut text = String::new();
    let mut line = |what: &str, cells: [&str; 2]| {
        let _ = writeln!(text, "| {what:<42} | {:>22} | {:>22} |", cells[0], cells[1]);
    };
    line(&format!("{}, {}: median (range)", arch.name(), clock.0), ["ours", "Debian's Xen"]);
    line(&"-".repeat(42), ["---------------------:", "---------------------:"]);
    for (row, (_, what, unit)) in ROWS.iter().enumerate() {
        let cell = |rounds: &[Times]| {
            let (middle, lowest, highest) = figures(rounds, row, clock);
            format!("{middle:.1} ({lowest:.1}-{highest:.1})")
        };
        line(&format!("{what}, {}", unit.name()), [&cell(ours), &cell(xen)]);
    }
    text
}

/// The same for programs.
fn json(ours: &[Times], xen: &[Times]) -> String {
    let all = |rounds: &[Times], row: usize, clock: Clock| {
        let all = rounds.iter().map(|times| format!("{:.3}", ROWS[row].2.of(clock.1(times[row]))));
        all.collect::<Vec<_>>().join(", ")
    };
    let row = |(row, (name, what, unit)): (usize, &(&str, &str, Unit))| {
        let [wall, busy] = CLOCKS.map(|clock| {
            format!("{{\"ours\": [{}], \"xen\": [{}]}}", all(ours, row, clock), all(xen, row, clock))
        });
        format!(
            "  {{\"name\": \"{name}\", \"what\": \"{what}\", \"unit\": \"{}\", \"wall\": {wall}, \"busy\": {busy}}}",
            unit.name()
        )
    };
    let rows: Vec<String> = ROWS.iter().enumerate().map(row).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seconds: [u64; 3]) -> Vec<Times> {
        let took = |s| Took { wall: Duration::from_secs(s), busy: Duration::from_secs(s) / 2 };
        seconds.map(|s| [took(s); ROWS.len()]).to_vec()
    }

    fn row(name: &str) -> usize {
        ROWS.iter().position(|row| row.0 == name).unwrap()
    }

    #[test]
    fn the_middle_of_three_counts_whatever_their_order() {
        assert_eq!(figures(&rounds([9, 3, 4]), row("boot"), CLOCKS[0]), (4.0, 3.0, 9.0));
        assert_eq!(figures(&rounds([9, 3, 4]), row("boot"), CLOCKS[1]), (2.0, 1.5, 4.5));
    }

    #[test]
    fn what_was_moved_is_told_by_the_second() {
        assert_eq!(figures(&rounds([2, 2, 4]), row("tcp"), CLOCKS[0]), (16.0, 8.0, 16.0));
    }

    #[test]
    fn table_and_figures_have_a_row_for_each() {
        let (ours, xen) = (rounds([1, 2, 3]), rounds([4, 5, 6]));
        let table = table(Arch::Arm32, CLOCKS[0], &ours, &xen);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), ROWS.len() + 2);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[2].contains("2.0 (1.0-3.0)") && lines[2].contains("5.0 (4.0-6.0)"), "{table}");
        let json = json(&ours, &xen);
        assert!(
            json.contains("\"unit\": \"s\", \"wall\": {\"ours\": [1.000, 2.000, 3.000], \"xen\""),
            "{json}"
        );
        assert!(json.contains("\"busy\": {\"ours\": [0.500, 1.000, 1.500], \"xen\""), "{json}");
    }
}
