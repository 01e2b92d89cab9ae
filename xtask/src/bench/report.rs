//! The rows of the comparison, as a table and as JSON.
use super::results::Measured;
use crate::Result;
use std::fmt::Write;

/// What is compared, as the guest names it and for people, and what is to be reached: instructions, or bytes.
const ROWS: &[(&str, &str, Option<u64>)] = &[
    ("version", "hypercall xen_version", Some(220)),
    ("vgic_read", "vGIC distributor read", Some(300)),
    ("timer", "virtual timer interrupt, there and back", Some(450)),
    ("sgi", "SGI to self, there and back", Some(500)),
    ("event_pending", "event send, already pending", Some(300)),
    ("event_taken", "event send, interrupt taken, back", Some(650)),
    ("map_unmap", "grant map and unmap", Some(1_700)),
    ("copy", "grant copy of 4 KiB", None),
    ("yield", "yield with nothing else to run", Some(600)),
    ("switch", "switch between two domains on one CPU", Some(1_200)),
    ("request", "request to another domain and back", None),
    ("entry", "hypervisor entry to dom0 entry", Some(3_000_000)),
    ("image", "hypervisor image, bytes", Some(300_000)),
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
        let row = |&(name, what, reach): &(&'static str, &'static str, _)| {
            Ok(Row { name, what, ours: ours.value(name)?, xen: xen.value(name)?, reach })
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
