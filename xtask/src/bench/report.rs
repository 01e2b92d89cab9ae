//! The rows of the comparison, as a table and as JSON.
use super::results::{
    Measured,
    Unit::{self, Count, Ticks},
};
use crate::Result;
use std::fmt::Write;

/// What is compared, as the guest names it and for people, in what, and what is to be reached.
const ROWS: &[(&str, &str, Unit, Option<u64>)] = &[
    ("version", "hypercall xen_version", Ticks, Some(220)),
    ("vgic_read", "vGIC distributor read", Ticks, Some(300)),
    ("timer", "virtual timer interrupt, there and back", Ticks, Some(450)),
    ("sgi", "SGI to self, there and back", Ticks, Some(500)),
    ("event_pending", "event send, already pending", Ticks, Some(300)),
    ("event_taken", "event send, interrupt taken, back", Ticks, Some(650)),
    ("map_unmap", "grant map and unmap", Ticks, Some(1_700)),
    ("copy", "grant copy of 4 KiB", Ticks, None),
    ("yield", "yield with nothing else to run", Ticks, Some(600)),
    ("switch", "switch between two domains on one CPU", Ticks, Some(1_200)),
    ("request", "request to another domain and back", Ticks, None),
    ("block_1", "4 KiB block read, one at a time", Ticks, None),
    ("block_32", "4 KiB block read, 32 at a time", Ticks, None),
    ("events_1", "events for 100 blocks, one at a time", Count, None),
    ("events_32", "events for 100 blocks, 32 at a time", Count, None),
    ("entry", "hypervisor entry to dom0 entry", Ticks, Some(3_000_000)),
    ("image", "hypervisor image, bytes", Count, Some(300_000)),
    ("idle", "idle guest, bytes beyond its memory", Count, Some(128 << 10)),
];

/// One row.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub what: &'static str,
    pub ours: u64,
    pub xen: u64,
    pub reach: Option<u64>,
}

/// All rows.
#[derive(Debug)]
pub struct Report(pub Vec<Row>);

impl Report {
    /// Puts together what was measured on both.
    ///
    /// # Errors
    ///
    /// Which row was not measured.
    pub fn new(ours: &Measured, xen: &Measured) -> Result<Self> {
        let row = |&(name, what, unit, reach): &(&'static str, &'static str, Unit, _)| {
            Ok(Row { name, what, ours: ours.value(name, unit)?, xen: xen.value(name, unit)?, reach })
        };
        ROWS.iter().map(row).collect::<Result<_>>().map(Self)
    }

    /// The table, as Markdown that reads well as it stands.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, cells: [&str; 3]| {
            let [ours, xen, reach] = cells;
            let _ = writeln!(text, "| {what:<40} | {ours:>10} | {xen:>14} | {reach:>10} |");
        };
        line("operation, arm32, instructions", ["ours", "Debian's Xen", "reach"]);
        line(&"-".repeat(40), ["---------:", "-------------:", "---------:"]);
        for row in &self.0 {
            let reach = row.reach.map(grouped).unwrap_or_default();
            line(row.what, [&grouped(row.ours), &grouped(row.xen), &reach]);
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> String {
        let row = |row: &Row| {
            let reach = row.reach.map_or("null".to_owned(), |r| r.to_string());
            format!(
                "  {{\"name\": \"{}\", \"what\": \"{}\", \"ours\": {}, \"xen\": {}, \"reach\": {reach}}}",
                row.name, row.what, row.ours, row.xen
            )
        };
        let rows: Vec<String> = self.0.iter().map(row).collect();
        format!("[\n{}\n]\n", rows.join(",\n"))
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
    use super::*;

    fn report() -> Report {
        let row = |name, ours, xen, reach| Row { name, what: "what is done", ours, xen, reach };
        Report(vec![row("one", 105, 488, Some(220)), row("two", 1_234_567, 999_999, None)])
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
        assert!(json.starts_with("[\n") && json.ends_with("}\n]\n"), "{json}");
        assert!(json.contains(
            "\"name\": \"one\", \"what\": \"what is done\", \"ours\": 105, \"xen\": 488, \"reach\": 220},"
        ));
        assert!(json.contains("\"xen\": 999999, \"reach\": null}\n]"), "{json}");
    }

    #[test]
    fn a_row_that_was_not_measured_is_named() {
        let nothing = Measured::new(1);
        assert!(Report::new(&nothing, &nothing).unwrap_err().contains("version"));
    }
}
