//! What Debian's unmodified `xl` says and does, command by command, on either hypervisor.
use crate::{
    Console,
    artifacts::{self, Hypervisor},
};
use std::{collections::BTreeSet, time::Duration};

const BOOT: Duration = Duration::from_secs(180);
const COMMAND: Duration = Duration::from_secs(60);
const PROMPT: &str = "dom0# ";

/// The commands, one a line, typed to dom0's shell. What a line with `@` prints is not compared: it
/// prepares something or waits.
const SCRIPT: &str = include_str!("debian_xl.txt");

/// Where our hypervisor answers otherwise than Debian's Xen on purpose: how the command begins, how
/// the lines begin that may differ (none: all of them), and why.
const DIFFERENCES: [(&str, &[&str], &str); 9] = [
    ("xl info", &["virt_caps"], "no virtual PMU, which Debian's Xen announces"),
    ("xl info", &["total_memory", "free_memory", "0: "], "our image is smaller, and not counted as RAM"),
    ("xl info", &["xen_changeset", "cc_", "build_id"], "made elsewhere and with other tools"),
    ("xl debug-keys", &[], "the log has its own words"),
    ("xl set-parameters", &["libxl:"], "no hypfs; Debian's Xen has it, without parameters"),
    ("xl list -l t", &["\"uuid\""], "made by chance"),
    ("xl uptime", &[], "the time of day"),
    ("xenstore-ls /local", &["vm = "], "a uuid"),
    ("xenstore-ls /vm", &[], "uuids and times"),
];

/// A command and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    command: &'static str,
    output: String,
}

/// Checks that `xl` answers on our hypervisor as it does on Debian's Xen.
#[track_caller]
pub fn answers_are_the_references(ours: Hypervisor, reference: Hypervisor) {
    let reference = transcript(reference);
    let ours = transcript(ours);
    let mut report = String::new();
    for (theirs, ours) in reference.iter().zip(&ours) {
        let (theirs_left, ours_left) = (comparable(theirs), comparable(ours));
        if theirs_left != ours_left {
            report += &format!("$ {}\n{}", theirs.command, differing(&theirs_left, &ours_left));
        }
    }
    assert!(report.is_empty(), "- is Debian's Xen, + is ours\n{report}");
}

/// Runs the script and gives what was printed.
#[track_caller]
fn transcript(on: Hypervisor) -> Vec<Step> {
    let mut c = boot(&format!("debian-xl-{on:?}").to_lowercase(), on);
    let mut steps = vec![];
    for line in SCRIPT.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_prefix('@') {
            Some(quiet) => drop(c.command(quiet, PROMPT, COMMAND)),
            None => {
                let output = c.command(&format!("{line}; echo rc $?"), PROMPT, COMMAND);
                steps.push(Step { command: line, output });
            }
        }
    }
    steps
}

/// Boots Debian's dom0 to its shell.
#[track_caller]
pub(crate) fn boot(name: &str, on: Hypervisor) -> Console {
    let mut machine = on.machine();
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(artifacts::debian_dom0_for(on.arch()));
    machine.disks.push(on.data_disk());
    let mut c = Console::boot(name, &machine);
    c.expect("init: dom0 is ready", BOOT);
    c.expect(PROMPT, COMMAND);
    c
}

/// Gives the lines of a step that have to be the same on both.
fn comparable(step: &Step) -> Vec<String> {
    let known: Vec<_> = DIFFERENCES.iter().filter(|d| step.command.starts_with(d.0)).collect();
    if known.iter().any(|d| d.1.is_empty()) {
        return vec![];
    }
    let differs = |line: &str| known.iter().any(|d| d.1.iter().any(|start| line.starts_with(start)));
    // The hypervisor's own lines come between dom0's.
    let lines = step.output.lines().filter(|line| !line.starts_with("(XEN)")).map(normal);
    lines.filter(|line| !line.is_empty() && !differs(line)).collect()
}

/// Makes one blank of several, and `T` of the seconds that a domain ran.
fn normal(line: &str) -> String {
    line.split_whitespace().map(|w| if is_seconds(w) { "T" } else { w }).collect::<Vec<_>>().join(" ")
}

/// Whether it is a number with one decimal.
fn is_seconds(word: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    word.split_once('.').is_some_and(|(a, b)| !a.is_empty() && digits(a) && b.len() == 1 && digits(b))
}

/// Gives the lines that only one of them has.
fn differing(theirs: &[String], ours: &[String]) -> String {
    let only = |sign: char, these: &[String], those: &[String]| -> String {
        let those: BTreeSet<_> = those.iter().collect();
        these.iter().filter(|l| !those.contains(l)).map(|l| format!("{sign} {l}\n")).collect()
    };
    only('-', theirs, ours) + &only('+', ours, theirs)
}

/// Makes and ends guests `times` over; nothing of them is left.
#[track_caller]
pub fn guests_leave_nothing_behind(on: Hypervisor, times: u32) {
    let mut c = boot(&format!("debian-cycles-{on:?}-{times}").to_lowercase(), on);
    for line in [
        "cd /run",
        "echo 'kernel=\"/root/ticker\"; name=\"t\"; memory=16; vcpus=2' > t.cfg",
        "echo 'acpi=0; extra=\"ticks=100000 period=1000\"' >> t.cfg",
        "gone() { while xl domid t > /dev/null 2>&1; do usleep 50000; done; }",
        "cycle() { xl create -q t.cfg && xl destroy t && gone; }",
        "cycles() { n=$1; while [ $n -gt 0 ]; do cycle; n=$((n-1)); done; }",
        "left() { echo left $(xenstore-ls / | wc -l) $(xl list | wc -l); }",
        // The first guest makes the nodes that stay.
        "cycle",
    ] {
        c.command(line, PROMPT, COMMAND);
    }
    let (nodes, free) = left(&mut c);
    // Three seconds each on a quiet host, many times that on a busy one.
    c.command(&format!("cycles {times}"), PROMPT, COMMAND * times.div_ceil(3));
    let (nodes_after, free_after) = left(&mut c);
    assert_eq!(nodes_after, nodes, "nodes of the store and domains");
    // A few pages may go to tables that only grow; one for each guest may not.
    let lost_pages = free.saturating_sub(free_after) / 4;
    assert!(lost_pages < u64::from(times), "{free} kB were free, {free_after} kB are");
}

/// Counts what there is: nodes of the store and domains; free memory in kB.
#[track_caller]
fn left(c: &mut Console) -> (String, u64) {
    let out = c.command("left; xl debug-keys m", PROMPT, COMMAND);
    let kb = |line: &str| line.split("kB free").next()?.split_whitespace().last()?.parse().ok();
    let free = out.lines().filter(|line| line.contains("kB free")).filter_map(kb).next_back();
    let nodes = out.lines().find(|line| line.starts_with("left "));
    match (nodes, free) {
        (Some(nodes), Some(free)) => (nodes.into(), free),
        _ => c.fail(&format!("'{out}' does not say what is left")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_do_not_count_and_hypervisor_lines_are_left_out() {
        let output = "(XEN) x\nt   9  16   1 -b----  3.6\nrc 0\n".into();
        let step = Step { command: "xl list", output };
        assert_eq!(comparable(&step), ["t 9 16 1 -b---- T", "rc 0"]);
    }

    #[test]
    fn versions_are_no_times() {
        assert!(is_seconds("12.5") && !is_seconds("4.17.5") && !is_seconds("62.500") && !is_seconds("."));
    }
}
