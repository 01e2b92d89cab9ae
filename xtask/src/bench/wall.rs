//! `bench --wall`: how long the work of a dom0 and of its Debian guest takes, by the clock on the wall.
//!
//! Of Debian's dom0 on this hypervisor and on Debian's Xen, and of the Rust dom0, in turn, several times: the host does
//! other things too, so of each figure the median counts, and the processor time that QEMU had stands beside it.
use super::session::{Session, Took};
use crate::{
    Result, build, debian, debian_dom0, debian_guest,
    disk::{self, Contents},
    setup::{self, Purpose},
    step, write,
};
use machine::{Arch, Disk, Domain, Machine, paths};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often each system is measured.
const ROUNDS: usize = 3;

/// A hypervisor with a dom0.
struct System {
    /// Its name in the figures.
    name: &'static str,
    /// The one in the table.
    title: &'static str,
    is_xen: bool,
    /// Whether it has the Rust dom0, and not Debian's.
    is_rust: bool,
}

const SYSTEMS: [System; 3] = [
    System { name: "ours", title: "ours", is_xen: false, is_rust: false },
    System { name: "xen", title: "Debian's Xen", is_xen: true, is_rust: false },
    System { name: "rust", title: "ours, Rust dom0", is_xen: false, is_rust: true },
];

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

/// How long each row took, in one round, where it was measured: the Rust dom0 has no network.
type Times = [Option<Took>; ROWS.len()];

/// The rounds of each system.
type Measured = [Vec<Times>; SYSTEMS.len()];

/// What a table is about.
type Clock = (&'static str, fn(Took) -> Duration);

const CLOCKS: [Clock; 2] = [("by the clock", |took| took.wall), ("processor time", |took| took.busy)];

/// Builds, measures, prints the table, and writes it with the figures into `target/bench/`.
pub fn run(arch: Arch) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Emulate, Purpose::Debian])?;
    build::images(arch, &["hypervisor".to_owned(), "dom0".to_owned()])?;
    debian::xen(arch)?;
    let mut contents = Contents::default();
    contents.debian(&debian_guest::make(arch)?, paths::kernel_name(arch));
    disk::make(&data_disk(), &contents)?;

    let mut measured = Measured::default();
    for round in 1..=ROUNDS {
        for (system, rounds) in SYSTEMS.iter().zip(&mut measured) {
            rounds.push(step(&format!("round {round}: {}", system.title), || measure(arch, system))?);
        }
    }
    let table = CLOCKS.map(|clock| table(arch, clock, &measured)).join("\n");
    print!("{table}");
    let to = paths::target_dir().join("bench");
    write(&to.join(format!("{}-wall.json", arch.name())), json(&measured).as_bytes())?;
    write(&to.join(format!("{}-wall.md", arch.name())), table.as_bytes())?;
    eprintln!("xtask: figures and table are in {}", to.display());
    Ok(())
}

/// The disk with what Debian's dom0 starts.
fn data_disk() -> PathBuf {
    paths::target_dir().join("bench").join("wall.img")
}

/// Boots dom0, starts the guest, has it work, and destroys it.
fn measure(arch: Arch, system: &System) -> Result<Times> {
    let images = paths::images(arch);
    let hypervisor = if system.is_xen { paths::debian_xen(arch)? } else { images.join("hypervisor") };
    let mut machine = Machine::new(arch, hypervisor);
    // QEMU's threads do not compete for the host's processors then.
    machine.cpus = 1;
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(if system.is_rust {
        Domain { kernel: images.join("dom0"), ramdisk: None, args: String::new() }
    } else {
        debian_dom0::make(arch)?
    });
    machine.disks.push(Disk { file: data_disk(), snapshot: true });
    let mut s = Session::boot(&machine, &work(system.name))?;
    let boot = s.expect(DOM0, BOOT)?;
    let config = prepare(&mut s, system)?;
    let create = format!("xl create -c {config}");
    let create = s.command(&create, "root on /dev/xvda", BOOT)? + s.expect(GUEST, COMMAND)?;
    let (read, write) = disk_works(&mut s)?;
    let tcp = if system.is_rust { None } else { Some(network_works(&mut s)?) };
    s.send(LEAVE)?;
    s.expect(DOM0, COMMAND)?;
    let destroy = s.command("xl destroy linux", DOM0, COMMAND)?;
    Ok([Some(boot), Some(create), Some(destroy), Some(read), Some(write), tcp])
}

fn work(name: &str) -> PathBuf {
    Path::new(&paths::target_dir()).join("bench").join(name).join("wall")
}

/// Dom0's side: the guest's disk and, where there is a network, a bridge and somebody who takes what the guest sends.
/// Gives the guest's config.
fn prepare(s: &mut Session, system: &System) -> Result<&'static str> {
    const DISK: &str = "losetup /dev/loop0 /root/disk.img";
    const NETWORK: [&str; 6] = [
        "cd /run; echo 1 > /proc/sys/kernel/printk",
        "modprobe xen-netback; modprobe bridge",
        "brctl addbr xenbr0; ip addr add 10.0.0.1/24 dev xenbr0",
        "ip link set xenbr0 up",
        "(cat /root/linux.cfg; echo 'vif=[\"bridge=xenbr0\"]') > wall.cfg",
        "nc -l -p 5001 > /dev/null &",
    ];
    s.command(DISK, DOM0, COMMAND)?;
    if system.is_rust {
        return Ok("/root/linux.cfg");
    }
    NETWORK.iter().try_for_each(|line| s.command(line, DOM0, COMMAND).map(drop))?;
    Ok("wall.cfg")
}

const BLOCK_KIB: u32 = 64;

fn blocks(mib: u32) -> u32 {
    mib * (1 << 10) / BLOCK_KIB
}

/// The guest reads and writes its disk.
fn disk_works(s: &mut Session) -> Result<(Took, Took)> {
    let drop_caches = "sync; echo 3 > /proc/sys/vm/drop_caches";
    // The first time is for dom0, which has the whole disk in its memory then.
    let read = format!("dd if=/dev/xvda of=/dev/null bs={BLOCK_KIB}k count={}", blocks(READ_MIB));
    s.command(&read, GUEST, COMMAND)?;
    s.command(drop_caches, GUEST, COMMAND)?;
    let read = s.command(&read, GUEST, COMMAND)?;
    let write = format!("dd if=/dev/zero of=/big bs={BLOCK_KIB}k count={} conv=fsync", blocks(WRITE_MIB));
    let write = s.command(&write, GUEST, COMMAND)?;
    Ok((read, write))
}

/// The guest sends to dom0.
fn network_works(s: &mut Session) -> Result<Took> {
    s.command("ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up", GUEST, COMMAND)?;
    s.command("until ping -c 1 -W 1 10.0.0.1 > /dev/null; do :; done", GUEST, COMMAND)?;
    let send = format!("dd if=/dev/zero bs={BLOCK_KIB}k count={} | nc 10.0.0.1 5001", blocks(TCP_MIB));
    s.command(&send, GUEST, COMMAND)
}

/// The figures of a row, from the lowest to the highest.
fn figures(rounds: &[Times], row: usize, clock: Clock) -> Vec<f64> {
    let took = rounds.iter().filter_map(|times| times[row]);
    let mut all: Vec<f64> = took.map(|took| ROWS[row].2.of(clock.1(took))).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The middle of a row's figures, and how far apart the lowest and the highest are.
fn cell(rounds: &[Times], row: usize, clock: Clock) -> String {
    match figures(rounds, row, clock)[..] {
        [] => String::new(),
        ref all @ [lowest, ..] => {
            format!("{:.1} ({lowest:.1}-{:.1})", all[all.len() / 2], all[all.len() - 1])
        }
    }
}

/// The table, as Markdown that reads well as it stands.
fn table(arch: Arch, clock: Clock, measured: &Measured) -> String {
    let mut text = String::new();
    let mut line = |what: &str, cells: [String; SYSTEMS.len()]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>22} |")).collect();
        let _ = writeln!(text, "| {what:<42} |{cells}");
    };
    let titles = SYSTEMS.each_ref().map(|system| system.title.to_owned());
    line(&format!("{}, {}: median (range)", arch.name(), clock.0), titles);
    line(&"-".repeat(42), SYSTEMS.each_ref().map(|_| "---------------------:".to_owned()));
    for (row, (_, what, unit)) in ROWS.iter().enumerate() {
        let cells = measured.each_ref().map(|rounds| cell(rounds, row, clock));
        line(&format!("{what}, {}", unit.name()), cells);
    }
    text
}

/// The same for programs.
fn json(measured: &Measured) -> String {
    let all = |row: usize, clock: Clock| {
        let of = |(system, rounds): (&System, &Vec<Times>)| {
            let all: Vec<_> = figures(rounds, row, clock).iter().map(|x| format!("{x:.3}")).collect();
            format!("\"{}\": [{}]", system.name, all.join(", "))
        };
        SYSTEMS.iter().zip(measured).map(of).collect::<Vec<_>>().join(", ")
    };
    let row = |(row, (name, what, unit)): (usize, &(&str, &str, Unit))| {
        let [wall, busy] = CLOCKS.map(|clock| format!("{{{}}}", all(row, clock)));
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
        seconds.map(|s| [Some(took(s)); ROWS.len()]).to_vec()
    }

    fn row(name: &str) -> usize {
        ROWS.iter().position(|row| row.0 == name).unwrap()
    }

    #[test]
    fn the_middle_of_three_counts_whatever_their_order() {
        assert_eq!(cell(&rounds([9, 3, 4]), row("boot"), CLOCKS[0]), "4.0 (3.0-9.0)");
        assert_eq!(cell(&rounds([9, 3, 4]), row("boot"), CLOCKS[1]), "2.0 (1.5-4.5)");
    }

    #[test]
    fn what_was_moved_is_told_by_the_second() {
        assert_eq!(figures(&rounds([2, 2, 4]), row("tcp"), CLOCKS[0]), [8.0, 16.0, 16.0]);
    }

    #[test]
    fn table_and_figures_have_a_row_for_each() {
        let mut rust = rounds([7, 8, 9]);
        rust.iter_mut().for_each(|times| times[row("tcp")] = None);
        let measured = [rounds([1, 2, 3]), rounds([4, 5, 6]), rust];
        let table = table(Arch::Arm32, CLOCKS[0], &measured);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), ROWS.len() + 2);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[2].contains("2.0 (1.0-3.0)") && lines[2].contains("5.0 (4.0-6.0)"), "{table}");
        assert!(
            lines[2].contains("8.0 (7.0-9.0)") && lines[2 + row("tcp")].ends_with(&format!("| {:22} |", ""))
        );
        let json = json(&measured);
        assert!(
            json.contains("\"unit\": \"s\", \"wall\": {\"ours\": [1.000, 2.000, 3.000], \"xen\""),
            "{json}"
        );
        assert!(json.contains("\"busy\": {\"ours\": [0.500, 1.000, 1.500], \"xen\""), "{json}");
        assert!(json.contains("\"rust\": []"), "{json}");
    }
}
