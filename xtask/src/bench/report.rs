//! The rows of the comparison, as a table and as JSON.
use super::{
    Setup,
    results::{
        Measured,
        Unit::{self, Count, Ticks},
    },
};
use crate::Result;
use machine::Arch;
use std::fmt::Write;

/// What can be compared.
struct Known {
    /// As the guest names it.
    name: &'static str,
    /// For people.
    what: &'static str,
    unit: Unit,
    /// What is to be reached, on a hypervisor of 32 and of 64 bits.
    reach: [Option<u64>; 2],
}

/// A disk's rows are named so.
const DISK: [&str; 2] = ["block_", "events_"];

const ROWS: &[Known] = &[
    row("version", "hypercall xen_version", Ticks, [Some(220), Some(200)]),
    row("vgic_read", "vGIC distributor read", Ticks, [Some(300), Some(300)]),
    row("id_read", "ID register read (trapped)", Ticks, [None, Some(200)]),
    row("uart_read", "vPL011 flag read", Ticks, [None, Some(300)]),
    row("timer", "virtual timer interrupt, there and back", Ticks, [Some(450), Some(450)]),
    row("timer_asleep", "timer to handler, out of WFI", Ticks, [None, Some(1_500)]),
    row("sgi", "SGI to self, there and back", Ticks, [Some(500), Some(500)]),
    row("sgi_other", "SGI to another vCPU and back, by WFI", Ticks, [None, Some(4_000)]),
    row("event_pending", "event send, already pending", Ticks, [Some(300), Some(300)]),
    row("event_taken", "event send, interrupt taken, back", Ticks, [Some(650), Some(650)]),
    row("map_unmap", "grant map and unmap", Ticks, [Some(1_700), Some(1_700)]),
    row("copy", "grant copy of 4 KiB", Ticks, [None, Some(1_600)]),
    row("yield", "yield with nothing else to run", Ticks, [Some(600), Some(600)]),
    row("switch", "switch between two domains on one CPU", Ticks, [Some(1_200), Some(1_200)]),
    row("request", "request to another domain and back", Ticks, [None, None]),
    row("block_1", "4 KiB block read, one at a time", Ticks, [None, None]),
    row("block_32", "4 KiB block read, 32 at a time", Ticks, [None, None]),
    row("events_1", "events for 100 blocks, one at a time", Count, [None, None]),
    row("events_32", "events for 100 blocks, 32 at a time", Count, [None, None]),
    row("entry", "hypervisor entry to dom0 entry", Ticks, [Some(3_000_000), Some(3_000_000)]),
    row("image", "hypervisor image, bytes", Count, [Some(300_000), Some(300_000)]),
    row("idle", "idle guest, bytes beyond its memory", Count, [Some(128 << 10), Some(256 << 10)]),
];

const fn row(name: &'static str, what: &'static str, unit: Unit, reach: [Option<u64>; 2]) -> Known {
    Known { name, what, unit, reach }
}

/// One row.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub ours: u64,
    pub xen: u64,
    pub reach: Option<u64>,
}

/// All rows of one kind of machine.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub title: &'static str,
    pub rows: Vec<Row>,
}

impl Report {
    /// Puts together what was measured on both.
    ///
    /// # Errors
    ///
    /// Which row was not measured.
    pub fn new(setup: &Setup, ours: &Measured, xen: &Measured) -> Result<Self> {
        let measured = |known: &&Known| setup.disk || !DISK.iter().any(|disk| known.name.starts_with(disk));
        let row = |&Known { name, what, unit, reach }: &Known| {
            let reach = reach[usize::from(setup.arch == Arch::Arm64)];
            Ok(Row { name, what, ours: ours.value(name, unit)?, xen: xen.value(name, unit)?, reach })
        };
        let rows = ROWS.iter().filter(measured).map(row).collect::<Result<_>>()?;
        Ok(Self { title: setup.title, rows })
    }

    /// The table, as Markdown that reads well as it stands.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, cells: [&str; 3]| {
            let [ours, xen, reach] = cells;
            let _ = writeln!(text, "| {what:<40} | {ours:>10} | {xen:>14} | {reach:>10} |");
        };
        line(&format!("{}, instructions", self.title), ["ours", "Debian's Xen", "reach"]);
        line(&"-".repeat(40), ["---------:", "-------------:", "---------:"]);
        for row in &self.rows {
            let reach = row.reach.map(grouped).unwrap_or_default();
            line(row.what, [&grouped(row.ours), &grouped(row.xen), &reach]);
        }
        text
    }

    /// The same for programs: one member of an object.
    pub fn json(&self) -> String {
        let row = |row: &Row| {
            let reach = row.reach.map_or("null".to_owned(), |r| r.to_string());
            format!(
                "    {{\"name\": \"{}\", \"what\": \"{}\", \"ours\": {}, \"xen\": {}, \"reach\": {reach}}}",
                row.name, row.what, row.ours, row.xen
            )
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!("  \"{}\": [\n{}\n  ]", self.title, rows.join(",\n"))
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && i % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::setups;
    use super::*;

    fn report() -> Report {
        let row = |name, ours, xen, reach| Row { name, what: "what is done", ours, xen, reach };
        let rows = vec![row("one", 105, 488, Some(220)), row("two", 1_234_567, 999_999, None)];
        Report { title: "here", rows }
    }

    #[test]
    fn thousands_are_kept_apart() {
        let all = [0, 999, 1_000, 123_456, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }

    #[test]
    fn the_table_has_a_line_for_each_row() {
        let table = report().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{table}");
        assert!(lines[2].contains("105 |") && lines[2].contains("488 |") && lines[2].contains("220 |"));
        assert!(lines[3].contains("1,234,567"));
    }

    #[test]
    fn json_says_null_where_nothing_is_to_be_reached() {
        let json = report().json();
        assert!(json.starts_with("  \"here\": [\n") && json.ends_with("}\n  ]"), "{json}");
        assert!(json.contains(
            "\"name\": \"one\", \"what\": \"what is done\", \"ours\": 105, \"xen\": 488, \"reach\": 220},"
        ));
        assert!(json.contains("\"xen\": 999999, \"reach\": null}\n  ]"), "{json}");
    }

    #[test]
    fn a_row_that_was_not_measured_is_named() {
        let nothing = Measured::new(1);
        assert!(Report::new(&setups(Arch::Arm64)[0], &nothing, &nothing).unwrap_err().contains("version"));
    }
}
