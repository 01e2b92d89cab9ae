//! A guest's configuration, in xl's grammar and with xl's meanings (`xl.cfg(5)`).
//!
//! [`DomainConfig::parse`] reads a file: [`syntax`] finds the assignments, and what they mean is decided here. A value
//! that makes no sense is an error, for a guest other than the one asked for helps nobody; a key that is not served is
//! a warning, as the guest may well do without.

pub mod cpus;
pub mod disk;
mod keys;
mod settings;
pub mod syntax;
pub mod uuid;
pub mod vdev;
pub mod vif;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use self::cpus::CpuList;
use self::disk::Disk;
use self::settings::Settings;
use self::syntax::Place;
use self::uuid::Uuid;
use self::vif::Vif;

/// Something to tell about a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// Whether the guest can be started all the same.
    pub is_warning: bool,
    /// What it is.
    pub message: String,
}

impl Problem {
    pub(crate) fn error(place: Place, message: impl Into<String>) -> Self {
        Self { place, is_warning: false, message: message.into() }
    }

    fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::error(place, message) }
    }
}

impl fmt::Display for Problem {
    /// Writes `line:column: message`; the file's name goes in front of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        write!(f, "{}:{}: {kind}{}", self.place.line, self.place.column, self.message)
    }
}

/// What to do with a domain that has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Destroy it.
    Destroy,
    /// Destroy it and make a new one of the same configuration.
    Restart,
    /// Rename it and make a new one.
    RenameRestart,
    /// Keep it.
    Preserve,
    /// Write its memory to a file, then destroy it.
    CoredumpDestroy,
    /// Write its memory to a file, then restart it.
    CoredumpRestart,
    /// Let it go on with fresh interfaces.
    SoftReset,
}

impl Action {
    const NAMES: [(&str, Self); 7] = [
        ("destroy", Self::Destroy),
        ("restart", Self::Restart),
        ("rename-restart", Self::RenameRestart),
        ("preserve", Self::Preserve),
        ("coredump-destroy", Self::CoredumpDestroy),
        ("coredump-restart", Self::CoredumpRestart),
        ("soft-reset", Self::SoftReset),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, action)| action)
    }

    /// Gives the action's name in a configuration.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, action)| *action == self).map_or("destroy", |(name, _)| name)
    }
}

/// The actions for each reason of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// It powered off.
    pub poweroff: Action,
    /// It wants a restart.
    pub reboot: Action,
    /// Its watchdog fired.
    pub watchdog: Action,
    /// It crashed.
    pub crash: Action,
    /// It wants fresh interfaces.
    pub soft_reset: Action,
}

impl Default for Actions {
    fn default() -> Self {
        Self {
            poweroff: Action::Destroy,
            reboot: Action::Restart,
            watchdog: Action::Destroy,
            crash: Action::Destroy,
            soft_reset: Action::SoftReset,
        }
    }
}

/// The interrupt controller that a guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GicVersion {
    /// What the host has.
    #[default]
    Default,
    /// GICv2.
    V2,
    /// GICv3.
    V3,
}

/// A guest to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    /// Its name, which no other domain has.
    pub name: String,
    /// Its UUID; none to make one up.
    pub uuid: Option<Uuid>,
    /// The kernel's file.
    pub kernel: String,
    /// The initial ramdisk's file.
    pub ramdisk: Option<String>,
    /// The kernel's command line, joined of `cmdline`, or `root` and `extra`.
    pub cmdline: Option<String>,
    /// A partial device tree's file.
    pub device_tree: Option<String>,
    /// Memory that it starts with, in KiB.
    pub memory_kib: u64,
    /// Memory that it may ever have, in KiB.
    pub max_memory_kib: u64,
    /// Memory for its second-stage page tables, in KiB; none for what its size calls for.
    pub shadow_memory_kib: Option<u64>,
    /// vCPUs that are online at first.
    pub vcpus: u32,
    /// vCPUs that it may ever have.
    pub max_vcpus: u32,
    /// Where each vCPU may run; vCPUs beyond the list may run everywhere.
    pub cpus: Vec<CpuList>,
    /// Where each vCPU likes to run.
    pub cpus_soft: Vec<CpuList>,
    /// Its share of the CPUs.
    pub weight: Option<u16>,
    /// Its limit, in percent of a CPU.
    pub cap: Option<u16>,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network interfaces, which no guest gets yet.
    pub vifs: Vec<Vif>,
    /// What becomes of it when it shuts down.
    pub actions: Actions,
    /// Frames of its grant table; none for the hypervisor's default.
    pub max_grant_frames: Option<u32>,
    /// Frames of its grant mappings; none for the hypervisor's default.
    pub max_maptrack_frames: Option<u32>,
    /// Its event channels.
    pub max_event_channels: u32,
    /// Its interrupt controller.
    pub gic_version: GicVersion,
    /// Its shared peripheral interrupts.
    pub nr_spis: u32,
}

/// A configuration with what there is to warn of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The guest.
    pub config: DomainConfig,
    /// Warnings, in the order of their lines.
    pub warnings: Vec<Problem>,
}

const DEFAULT_MEMORY_MIB: u64 = 32;
const MOST_MEMORY_MIB: u64 = 1 << 30;

impl DomainConfig {
    /// Event channels of a guest whose configuration does not say.
    pub(crate) const DEFAULT_EVENT_CHANNELS: u32 = 1023;

    /// Reads a file. All mistakes in its syntax are reported, or else all in its values.
    pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
        let mut settings = Settings::new(syntax::parse(text)?);
        let config = read(&mut settings);
        settings.finish(config)
    }
}

fn read(settings: &mut Settings) -> DomainConfig {
    let (memory_kib, max_memory_kib) = memory(settings);
    let (vcpus, max_vcpus) = vcpus(settings);
    check_type(settings);
    DomainConfig {
        name: name(settings),
        uuid: settings.parsed("uuid", |text| Uuid::parse(text).ok_or_else(|| not_one("UUID", text))),
        kernel: required(settings, "kernel"),
        ramdisk: settings.string("ramdisk").filter(|path| !path.is_empty()),
        cmdline: cmdline(settings),
        device_tree: settings.string("device_tree"),
        memory_kib,
        max_memory_kib,
        shadow_memory_kib: settings.number("shadow_memory", 0, MOST_MEMORY_MIB).map(|mib| mib * 1024),
        vcpus,
        max_vcpus,
        cpus: cpu_lists(settings, "cpus", max_vcpus),
        cpus_soft: cpu_lists(settings, "cpus_soft", max_vcpus),
        weight: settings.number("cpu_weight", 1, 65535).map(|weight| weight as u16),
        cap: settings.number("cap", 0, 65535).map(|cap| cap as u16),
        disks: disks(settings),
        vifs: vifs(settings),
        actions: actions(settings),
        max_grant_frames: settings.number("max_grant_frames", 0, i32::MAX as u64).map(|count| count as u32),
        max_maptrack_frames: settings
            .number("max_maptrack_frames", 0, i32::MAX as u64)
            .map(|count| count as u32),
        max_event_channels: settings
            .number("max_event_channels", 1, i32::MAX as u64)
            .map_or(DomainConfig::DEFAULT_EVENT_CHANNELS, |count| count as u32),
        gic_version: gic_version(settings),
        nr_spis: settings.number("nr_spis", 0, 960).map_or(0, |count| count as u32),
    }
}

fn not_one(what: &str, text: &str) -> String {
    alloc::format!("`{text}' is no {what}")
}

fn required(settings: &mut Settings, key: &str) -> String {
    let text = settings.string(key).filter(|text| !text.is_empty());
    text.unwrap_or_else(|| {
        settings.problem_at_end(alloc::format!("{key} must be specified"));
        String::new()
    })
}

/// Reads the name, which becomes a part of lines that are printed and must not look like a number.
fn name(settings: &mut Settings) -> String {
    let place = settings.place("name");
    let name = required(settings, "name");
    if let Some(place) = place {
        if name.contains(|next: char| next.is_control() || next == '/') {
            settings.problem(place, "a name has neither slashes nor control characters");
        } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            settings.problem(place, "a name that is a number would be taken for a domain id");
        }
    }
    name
}

fn cmdline(settings: &mut Settings) -> Option<String> {
    let place = settings.place("cmdline");
    let (cmdline, root, extra) =
        (settings.string("cmdline"), settings.string("root"), settings.string("extra"));
    match (cmdline, root, extra) {
        (Some(cmdline), None, None) => Some(cmdline),
        (Some(cmdline), ..) => {
            settings.warn(place, "ignoring root= and extra= in favour of cmdline=");
            Some(cmdline)
        }
        (None, Some(root), Some(extra)) => Some(alloc::format!("root={root} {extra}")),
        (None, Some(root), None) => Some(alloc::format!("root={root}")),
        (None, None, extra) => extra,
    }
}

fn memory(settings: &mut Settings) -> (u64, u64) {
    let place = settings.place("maxmem");
    let memory = settings.number("memory", 1, MOST_MEMORY_MIB);
    let most = settings.number("maxmem", 1, MOST_MEMORY_MIB);
    let mib = memory.or(most).unwrap_or(DEFAULT_MEMORY_MIB);
    let most_mib = most.unwrap_or(mib);
    if let Some(place) = place.filter(|_| most_mib < mib) {
        settings.problem(place, "maxmem is less than memory");
    }
    (mib * 1024, most_mib * 1024)
}

fn vcpus(settings: &mut Settings) -> (u32, u32) {
    let place = settings.place("maxvcpus");
    // As in xl, nothing less than one vCPU is one.
    let vcpus = settings.number("vcpus", 0, 4096).unwrap_or(1).max(1) as u32;
    let most = settings.number("maxvcpus", 1, 4096).map_or(vcpus, |most| most as u32);
    if let Some(place) = place.filter(|_| most < vcpus) {
        settings.problem(place, "maxvcpus < vcpus");
    }
    (vcpus, most)
}

/// All guests on ARM are of one type, which goes by PVH; PV is taken for it, as xl does.
fn check_type(settings: &mut Settings) {
    settings.parsed("type", |kind| match kind {
        "pvh" | "pv" => Ok(()),
        "hvm" => Err("guests of type hvm are not supported on ARM".to_string()),
        _ => Err(alloc::format!("Invalid domain type {kind}.")),
    });
    settings.parsed("builder", |kind| match kind {
        "generic" => Ok(()),
        "hvm" => Err("guests of type hvm are not supported on ARM".to_string()),
        _ => Err(alloc::format!("Invalid domain type {kind}.")),
    });
}

fn cpu_lists(settings: &mut Settings, key: &str, vcpus: u32) -> Vec<CpuList> {
    let mut lists = if settings.is_list(key) {
        settings.parsed_list(key, CpuList::parse).into_iter().map(|(list, _)| list).collect()
    } else {
        let list = settings.parsed(key, CpuList::parse);
        list.map_or_else(Vec::new, |list| alloc::vec![list; vcpus as usize])
    };
    lists.truncate(vcpus as usize);
    lists
}

fn disks(settings: &mut Settings) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for (disk, place) in settings.parsed_list("disk", Disk::parse) {
        if disks.iter().any(|other| other.vdev == disk.vdev) {
            settings.problem(place, alloc::format!("there is another disk {}", disk.vdev_name));
        }
        disks.push(disk);
    }
    disks
}

fn vifs(settings: &mut Settings) -> Vec<Vif> {
    let place = settings.place("vif");
    let vifs: Vec<Vif> = settings.parsed_list("vif", Vif::parse).into_iter().map(|(vif, _)| vif).collect();
    if !vifs.is_empty() {
        settings
            .warn(place, "parameter `vif' is not supported here yet, the guest gets no network interface");
    }
    vifs
}

fn actions(settings: &mut Settings) -> Actions {
    let default = Actions::default();
    let mut action = |key: &str, default: Action| {
        let unknown = |name: &str| alloc::format!("Unknown {key} action \"{name}\" specified");
        let parse = |name: &str| Action::parse(name).ok_or_else(|| unknown(name));
        settings.parsed(key, parse).unwrap_or(default)
    };
    Actions {
        poweroff: action("on_poweroff", default.poweroff),
        reboot: action("on_reboot", default.reboot),
        watchdog: action("on_watchdog", default.watchdog),
        crash: action("on_crash", default.crash),
        soft_reset: action("on_soft_reset", default.soft_reset),
    }
}

fn gic_version(settings: &mut Settings) -> GicVersion {
    let parse = |version: &str| match version.to_ascii_lowercase().as_str() {
        "default" => Ok(GicVersion::Default),
        "v2" => Ok(GicVersion::V2),
        "v3" => Ok(GicVersion::V3),
        _ => Err(alloc::format!("Unknown gic_version \"{version}\" specified")),
    };
    settings.parsed("gic_version", parse).unwrap_or_default()
}

#[cfg(test)]
mod tests;
