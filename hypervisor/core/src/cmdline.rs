//! The hypervisor's own command line.
//!
//! Words between spaces, `name=value` or `name` alone; a boolean also as `no-name`. Names, values and
//! defaults are Xen's (docs/misc/xen-command-line.pandoc), but for `exit_times`. What is not known here, or not
//! understood, is reported to the caller, who warns.

use core::ops::RangeInclusive;

/// How log lines are stamped with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Not at all.
    None,
    /// Date and time, or the uptime while nobody has set a wall clock.
    Date,
    /// The same with milliseconds.
    DateMs,
    /// Seconds and microseconds since boot.
    Boot,
    /// Counter ticks.
    Raw,
}

/// Which messages are logged: all at or above the first level; those below it and at or above the
/// second at a limited rate. 0 none, 1 error, 2 warning, 3 info, 4 debug and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLevels {
    /// Always logged.
    pub always: u8,
    /// Logged, but not too many.
    pub limited: u8,
}

/// Largest extents by class of caller (`memop-max-order`), log2 of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxOrders {
    /// Any domain.
    pub domu: u32,
    /// The control domain.
    pub control: u32,
    /// The hardware domain.
    pub hardware: u32,
    /// A domain with devices of its own.
    pub passthrough: u32,
}

/// What the command line says. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// All of it, as the control domain may read it.
    pub text: &'a str,
    /// `dom0_mem`.
    pub dom0_mem: Option<u64>,
    /// `dom0_max_vcpus`: dom0 has as many as there are CPUs, within these bounds.
    pub dom0_max_vcpus: RangeInclusive<u32>,
    /// `dom0_vcpus_pin`.
    pub dom0_vcpus_pin: bool,
    /// `dtuart`: path or alias of the console, with options after a colon.
    pub dtuart: Option<&'a str>,
    /// `console`: whether there is one at all.
    pub console: bool,
    /// `console_timestamps`.
    pub console_timestamps: Timestamps,
    /// `console_to_ring`: guests' output goes to the log ring too.
    pub console_to_ring: bool,
    /// `conring_size`.
    pub conring_size: u32,
    /// `conswitch`: the letter that, with Ctrl, three times, switches the input.
    pub conswitch: u8,
    /// `conswitch=..x`: input stays with the hypervisor at boot.
    pub console_keep: bool,
    /// `loglvl`.
    pub loglvl: LogLevels,
    /// `guest_loglvl`.
    pub guest_loglvl: LogLevels,
    /// `noreboot`.
    pub noreboot: bool,
    /// `maxcpus`.
    pub maxcpus: Option<u32>,
    /// `sched`, if one was asked for by name.
    pub sched: Option<&'a str>,
    /// `sched_ratelimit_us`.
    pub sched_ratelimit_us: Option<u32>,
    /// `sched_credit_tslice_ms`.
    pub sched_credit_tslice_ms: Option<u32>,
    /// `vwfi=native`: WFI and WFE are not trapped.
    pub vwfi_native: bool,
    /// `serrors=panic`.
    pub serrors_panic: bool,
    /// `gnttab_max_frames`.
    pub gnttab_max_frames: u32,
    /// `gnttab_max_maptrack_frames`.
    pub gnttab_max_maptrack_frames: u32,
    /// `memop-max-order`.
    pub max_orders: MaxOrders,
    /// `low_mem_virq_limit`.
    pub low_mem_virq_limit: u64,
    /// `harden-branch-predictor`: whether a CPU's predictor is made to forget what guests teach it, even where firmware
    /// does not say that it does; by need, and by what firmware says, if nothing is said.
    pub harden_branch_predictor: Option<bool>,
    /// `ext_regions`: a 64-bit dom0 is told where to map others' memory.
    pub ext_regions: bool,
    /// `exit_times`, which is not Xen's: it is noted what serving the exits of each kind takes.
    pub exit_times: bool,
    /// `xsm`: whether unprivileged domains are kept from talking to each other.
    pub silo: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            text: "",
            dom0_mem: None,
            dom0_max_vcpus: 1..=u32::MAX,
            dom0_vcpus_pin: false,
            dtuart: None,
            console: true,
            console_timestamps: Timestamps::None,
            console_to_ring: false,
            conring_size: 16 << 10,
            conswitch: b'a',
            console_keep: false,
            loglvl: LogLevels { always: 2, limited: 2 },
            guest_loglvl: LogLevels { always: 0, limited: 2 },
            noreboot: false,
            maxcpus: None,
            sched: None,
            sched_ratelimit_us: None,
            sched_credit_tslice_ms: None,
            vwfi_native: false,
            serrors_panic: false,
            gnttab_max_frames: 64,
            gnttab_max_maptrack_frames: 1024,
            max_orders: MaxOrders { domu: 9, control: 18, hardware: 10, passthrough: 10 },
            low_mem_virq_limit: 64 << 20,
            harden_branch_predictor: None,
            ext_regions: true,
            exit_times: false,
            silo: true,
        }
    }
}

/// Options that are Xen's too and say nothing to this hypervisor: they are taken without a warning,
/// because what they ask for holds anyway or has no counterpart.
const WITHOUT_EFFECT: &[&str] = &[
    "acpi",
    "badpage",
    "bootscrub",
    "bootscrub_chunk",
    "cpufreq",
    "dom0-iommu",
    "efi",
    "hmp-unsafe",
    "iommu",
    "max_lpi_bits",
    "pci-passthrough",
    "scrub-domheap",
    "serial_tx_buffer",
    "sync_console",
    "xenheap_megabytes",
];

impl<'a> Options<'a> {
    /// Reads a command line. `unknown` hears of each word that is not known or not understood.
    pub fn parse(line: &'a str, unknown: &mut dyn FnMut(&'a str)) -> Self {
        let mut options = Self { text: line.trim_ascii(), ..Self::default() };
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            if options.word(word).is_none() {
                unknown(word);
            }
        }
        options
    }

    fn word(&mut self, word: &'a str) -> Option<()> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let text = value.unwrap_or("");
        match name {
            "dom0_mem" => self.dom0_mem = Some(size(text)?),
            "dom0_max_vcpus" => self.dom0_max_vcpus = range(text)?,
            "dtuart" => self.dtuart = Some(text),
            "console" => self.console = text.split(',').any(|device| device != "none"),
            "console_timestamps" => self.console_timestamps = timestamps(value)?,
            "conring_size" => self.conring_size = u32::try_from(size(text)?).ok()?,
            "conswitch" => (self.conswitch, self.console_keep) = conswitch(text)?,
            "loglvl" => self.loglvl = log_levels(text)?,
            "guest_loglvl" => self.guest_loglvl = log_levels(text)?,
            "maxcpus" => self.maxcpus = Some(number(text)?),
            "sched" => self.sched = Some(text),
            "sched_ratelimit_us" => self.sched_ratelimit_us = Some(number(text)?),
            "sched_credit_tslice_ms" => self.sched_credit_tslice_ms = Some(number(text)?),
            "vwfi" => self.vwfi_native = one_of(text, "native", "trap")?,
            "serrors" => self.serrors_panic = one_of(text, "panic", "diverse")?,
            "gnttab_max_frames" => self.gnttab_max_frames = number(text)?,
            "gnttab_max_maptrack_frames" => self.gnttab_max_maptrack_frames = number(text)?,
            "gnttab" => gnttab(text)?,
            "memop-max-order" => self.orders(text)?,
            "low_mem_virq_limit" => self.low_mem_virq_limit = size(text)?,
            "xsm" => self.silo = one_of(text, "silo", "dummy")?,
            _ => return self.boolean(name, value),
        }
        Some(())
    }

    fn boolean(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        let (plain, negated) = match name.strip_prefix("no-") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let said = || match value {
            None | Some("") => Some(!negated),
            Some(value) => Some(boolean(value)? != negated),
        };
        let field = match plain {
            "harden-branch-predictor" => self.harden_branch_predictor.insert(said()?),
            "dom0_vcpus_pin" => &mut self.dom0_vcpus_pin,
            "console_to_ring" => &mut self.console_to_ring,
            "noreboot" => &mut self.noreboot,
            "ext_regions" => &mut self.ext_regions,
            "exit_times" => &mut self.exit_times,
            _ => return WITHOUT_EFFECT.contains(&plain).then_some(()),
        };
        *field = said()?;
        Some(())
    }

    /// `domu,control,hardware,passthrough`; the ones left out keep their values.
    fn orders(&mut self, text: &str) -> Option<()> {
        let orders = &mut self.max_orders;
        let mut given = text.split(',');
        for order in [&mut orders.domu, &mut orders.control, &mut orders.hardware, &mut orders.passthrough] {
            match given.next() {
                None => return Some(()),
                Some("") => {}
                Some(value) => *order = number(value)?,
            }
        }
        given.next().is_none().then_some(())
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "yes" | "on" | "true" | "enable" => Some(true),
        "0" | "no" | "off" | "false" | "disable" => Some(false),
        _ => None,
    }
}

/// True for the first word, false for the second.
fn one_of(text: &str, yes: &str, no: &str) -> Option<bool> {
    if text == yes { Some(true) } else { (text == no).then_some(false) }
}

/// Decimal, or hexadecimal after 0x.
fn number(text: &str) -> Option<u32> {
    long(text)?.try_into().ok()
}

fn long(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number with a unit: B, K, M, G or T; KiB without one.
fn size(text: &str) -> Option<u64> {
    let digits = match text.as_bytes() {
        [digits @ .., b'A'..=b'Z' | b'a'..=b'z'] if !text.starts_with("0x") => &text[..digits.len()],
        _ => text,
    };
    let shift = match text.get(digits.len()..)? {
        "B" | "b" => 0,
        "" | "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    long(digits)?.checked_mul(1 << shift)
}

/// `n`, `min-`, `-max` or `min-max`.
fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let Some((min, max)) = text.split_once('-') else {
        let exactly = number(text).filter(|n| *n > 0)?;
        return Some(exactly..=exactly);
    };
    let min = if min.is_empty() { 1 } else { number(min)?.max(1) };
    let max = if max.is_empty() { u32::MAX } else { number(max)? };
    (min <= max).then_some(min..=max)
}

fn timestamps(value: Option<&str>) -> Option<Timestamps> {
    Some(match value {
        None | Some("date") => Timestamps::Date,
        Some("none") => Timestamps::None,
        Some("datems") => Timestamps::DateMs,
        Some("boot") => Timestamps::Boot,
        Some("raw") => Timestamps::Raw,
        Some(other) => {
            if boolean(other)? {
                Timestamps::Date
            } else {
                Timestamps::None
            }
        }
    })
}

fn conswitch(text: &str) -> Option<(u8, bool)> {
    match text.as_bytes() {
        [letter @ b'a'..=b'z'] => Some((*letter, false)),
        [letter @ b'a'..=b'z', b'x'] => Some((*letter, true)),
        _ => None,
    }
}

fn level(text: &str) -> Option<u8> {
    Some(match text {
        "none" => 0,
        "error" => 1,
        "warning" => 2,
        "info" => 3,
        "debug" | "all" => 4,
        _ => return None,
    })
}

/// `always` or `always/limited`.
fn log_levels(text: &str) -> Option<LogLevels> {
    let (always, limited) = match text.split_once('/') {
        Some((always, limited)) => (level(always)?, level(limited)?),
        None => (level(text)?, level(text)?),
    };
    Some(LogLevels { always, limited: limited.max(always) })
}

/// Only version 1 exists here, so `max-ver:1` is all that can be asked for.
fn gnttab(text: &str) -> Option<()> {
    text.split(',').all(|part| part == "max-ver:1").then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn parse(line: &str) -> (Options<'_>, Vec<&str>) {
        let mut unknown = Vec::new();
        let options = Options::parse(line, &mut |word| unknown.push(word));
        (options, unknown)
    }

    #[test]
    fn an_empty_line_gives_the_defaults() {
        assert_eq!(parse("  "), (Options::default(), Vec::new()));
    }

    #[test]
    fn sizes_take_units() {
        for (text, bytes) in [
            ("512M", 512 << 20),
            ("1G", 1 << 30),
            ("131072", 128 << 20),
            ("64k", 64 << 10),
            ("4096B", 4096),
            ("0x400M", 0),
        ] {
            let expected = (bytes != 0).then_some(bytes);
            let line = alloc::format!("dom0_mem={text}");
            assert_eq!(Options::parse(&line, &mut |_| {}).dom0_mem, expected, "{text}");
        }
        assert_eq!(parse("dom0_mem=99999999999999G").1, ["dom0_mem=99999999999999G"]);
        assert_eq!(parse("dom0_mem=0x400").0.dom0_mem, Some(0x400 << 10));
    }

    #[test]
    fn vcpus_are_a_number_or_a_range() {
        assert_eq!(parse("dom0_max_vcpus=2").0.dom0_max_vcpus, 2..=2);
        assert_eq!(parse("dom0_max_vcpus=2-4").0.dom0_max_vcpus, 2..=4);
        assert_eq!(parse("dom0_max_vcpus=-4").0.dom0_max_vcpus, 1..=4);
        assert_eq!(parse("dom0_max_vcpus=3-").0.dom0_max_vcpus, 3..=u32::MAX);
        for bad in ["dom0_max_vcpus=0", "dom0_max_vcpus=4-2", "dom0_max_vcpus=x"] {
            assert_eq!(parse(bad).1, [bad]);
        }
    }

    #[test]
    fn booleans_can_be_negated() {
        assert!(parse("noreboot").0.noreboot);
        assert!(!parse("noreboot no-noreboot").0.noreboot);
        assert!(!parse("noreboot=off").0.noreboot);
        assert!(parse("").0.ext_regions && !parse("ext_regions=0").0.ext_regions);
        assert!(parse("exit_times").0.exit_times && !parse("").0.exit_times);
        assert!(parse("no-console_to_ring=0").0.console_to_ring);
        assert_eq!(parse("noreboot=maybe").1, ["noreboot=maybe"]);
        assert_eq!(parse("harden-branch-predictor").0.harden_branch_predictor, Some(true));
        assert_eq!(parse("no-harden-branch-predictor").0.harden_branch_predictor, Some(false));
        assert_eq!(parse("harden-branch-predictor=maybe").0.harden_branch_predictor, None);
    }

    #[test]
    fn the_console_can_be_chosen_and_switched_off() {
        let (options, unknown) =
            parse("console=dtuart dtuart=/pl011@9000000:115200 conswitch=bx conring_size=64k");
        assert_eq!(unknown, [""; 0]);
        assert_eq!(options.dtuart, Some("/pl011@9000000:115200"));
        assert_eq!((options.conswitch, options.console_keep), (b'b', true));
        assert_eq!(options.conring_size, 64 << 10);
        assert!(options.console);
        assert!(!parse("console=none").0.console);
    }

    #[test]
    fn log_levels_have_a_limited_part() {
        let levels = |always, limited| LogLevels { always, limited };
        assert_eq!(parse("loglvl=all").0.loglvl, levels(4, 4));
        assert_eq!(parse("guest_loglvl=error/warning").0.guest_loglvl, levels(1, 2));
        assert_eq!(parse("loglvl=loud").1, ["loglvl=loud"]);
    }

    #[test]
    fn extent_orders_may_be_left_out() {
        let orders = parse("memop-max-order=4,,12").0.max_orders;
        assert_eq!((orders.domu, orders.control, orders.hardware), (4, 18, 12));
        assert_eq!(parse("memop-max-order=1,2,3,4,5").1, ["memop-max-order=1,2,3,4,5"]);
    }

    #[test]
    fn unknown_words_are_reported_and_the_rest_is_read() {
        let (options, unknown) = parse("frobnicate=3 dom0_mem=256M --flag iommu=no sync_console");
        assert_eq!(unknown, ["frobnicate=3", "--flag"]);
        assert_eq!(options.dom0_mem, Some(256 << 20));
    }
}
