//! `xl list -l`: all that is known of domains, in libxl's names.

use alloc::string::String;
use alloc::vec::Vec;

use xen_abi::PAGE_SIZE;

use super::json::Json;
use super::scheduler_name;
use crate::Listed;
use crate::config::cpus::CpuList;
use crate::config::disk::{Disk, Format};
use crate::config::uuid::Uuid;
use crate::config::{Action, DomainConfig, GicVersion};

const OBJECT: [char; 2] = ['{', '}'];
const LIST: [char; 2] = ['[', ']'];

/// A share of the CPUs that was not asked for.
const DEFAULT_WEIGHT: u16 = 256;

/// Writes `xl list -l`: domains and, of those that were made here, what they were made of. The machine has so many
/// `cpus`, and the scheduler of this number.
pub fn list_long(domains: &[(&Listed, Option<&DomainConfig>)], cpus: u32, scheduler: u32) -> String {
    let mut json = Json::new();
    json.group("", LIST, |json| {
        for (listed, config) in domains {
            json.group("", OBJECT, |json| {
                json.number("domid", listed.info.domain.0);
                json.group("config", OBJECT, |json| domain(json, listed, *config, cpus, scheduler));
            });
        }
    });
    json.finish()
}

fn domain(json: &mut Json, listed: &Listed, config: Option<&DomainConfig>, cpus: u32, scheduler: u32) {
    json.group("c_info", OBJECT, |json| {
        json.string("type", "pvh");
        json.string("name", &listed.name);
        if config.is_some() {
            json.string("uuid", &alloc::format!("{}", Uuid(listed.info.handle)));
        }
    });
    json.group("b_info", OBJECT, |json| {
        let share = |json: &mut Json, weight: Option<u16>, cap: Option<u16>| {
            json.group("sched_params", OBJECT, |json| {
                json.string("sched", scheduler_name(scheduler));
                json.number("weight", weight.unwrap_or(DEFAULT_WEIGHT));
                json.number("cap", cap.unwrap_or(0));
            });
        };
        match config {
            Some(config) => build(json, config, cpus, share),
            None => {
                let kib = |pages: u64| pages.saturating_mul(PAGE_SIZE as u64 / 1024);
                json.number("max_memkb", kib(listed.info.max_pages));
                json.number("target_memkb", kib(listed.info.tot_pages));
                share(json, None, None);
            }
        }
    });
    let Some(config) = config else { return };
    if !config.disks.is_empty() {
        json.group("disks", LIST, |json| config.disks.iter().for_each(|disk| self::disk(json, disk)));
    }
    let actions = &config.actions;
    for (key, action) in [
        ("on_poweroff", actions.poweroff),
        ("on_reboot", actions.reboot),
        ("on_watchdog", actions.watchdog),
        ("on_crash", actions.crash),
        ("on_soft_reset", actions.soft_reset),
    ] {
        // The first of libxl's numbers is not written.
        if action != Action::Destroy {
            json.string(key, name(action));
        }
    }
}

/// An action in libxl's spelling, which is not that of a configuration.
fn name(action: Action) -> &'static str {
    match action {
        Action::Destroy => "destroy",
        Action::Restart => "restart",
        Action::RenameRestart => "restart_rename",
        Action::Preserve => "preserve",
        Action::CoredumpDestroy => "coredump_destroy",
        Action::CoredumpRestart => "coredump_restart",
        Action::SoftReset => "soft_reset",
    }
}

fn build(
    json: &mut Json,
    config: &DomainConfig,
    cpus: u32,
    share: impl FnOnce(&mut Json, Option<u16>, Option<u16>),
) {
    json.number("max_vcpus", config.max_vcpus);
    json.group("avail_vcpus", LIST, |json| (0..config.vcpus).for_each(|vcpu| json.number("", vcpu)));
    affinity(json, "vcpu_hard_affinity", &config.cpus, cpus);
    affinity(json, "vcpu_soft_affinity", &config.cpus_soft, cpus);
    json.number("max_memkb", config.max_memory_kib);
    json.number("target_memkb", config.memory_kib);
    let number = |json: &mut Json, key: &str, value: Option<u64>| {
        value.into_iter().for_each(|value| json.number(key, value));
    };
    number(json, "shadow_memkb", config.shadow_memory_kib);
    number(json, "max_grant_frames", config.max_grant_frames.map(u64::from));
    number(json, "max_maptrack_frames", config.max_maptrack_frames.map(u64::from));
    share(json, config.weight, config.cap);
    if config.max_event_channels != DomainConfig::DEFAULT_EVENT_CHANNELS {
        json.number("event_channels", config.max_event_channels);
    }
    json.string("kernel", &config.kernel);
    for (key, value) in
        [("cmdline", &config.cmdline), ("ramdisk", &config.ramdisk), ("device_tree", &config.device_tree)]
    {
        value.iter().for_each(|value| json.string(key, value));
    }
    let gic = match config.gic_version {
        GicVersion::Default => return,
        GicVersion::V2 => "v2",
        GicVersion::V3 => "v3",
    };
    json.group("arch_arm", OBJECT, |json| json.string("gic_version", gic));
}

/// Where each vCPU may run, if that was said.
fn affinity(json: &mut Json, key: &str, lists: &[CpuList], cpus: u32) {
    let maps: Vec<_> = lists.iter().filter_map(|list| list.resolve(cpus).ok()).collect();
    if maps.is_empty() {
        return;
    }
    json.group(key, LIST, |json| {
        for map in &maps {
            let members = (0..cpus).filter(|&cpu| map.contains(cpu));
            json.group("", LIST, |json| members.for_each(|cpu| json.number("", cpu)));
        }
    });
}

fn disk(json: &mut Json, disk: &Disk) {
    json.group("", OBJECT, |json| {
        json.string("pdev_path", &disk.target);
        json.string("vdev", &disk.vdev_name);
        json.string("format", if disk.format == Format::Raw { "raw" } else { "empty" });
        for (key, set) in [("removable", disk.cdrom), ("readwrite", disk.writable), ("is_cdrom", disk.cdrom)]
        {
            if set {
                json.number(key, 1);
            }
        }
        if let Some(discard) = disk.discard {
            json.string("discard_enable", if discard { "True" } else { "False" });
        }
    });
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use xen_abi::Domid;
    use xen_abi::domctl::{GetDomainInfo, scheduler};

    use super::*;

    fn listed(name: &str, domid: u16) -> Listed {
        let info = GetDomainInfo {
            domain: Domid(domid),
            max_pages: 131_072,
            tot_pages: 131_072,
            ..Default::default()
        };
        Listed { name: name.to_string(), info }
    }

    /// What Debian's xl printed, without the keys that say the same of every guest.
    const EXPECTED: &str = r#"[
    {
        "domid": 0,
        "config": {
            "c_info": {
                "type": "pvh",
                "name": "Domain-0"
            },
            "b_info": {
                "max_memkb": 524288,
                "target_memkb": 524288,
                "sched_params": {
                    "sched": "credit2",
                    "weight": 256,
                    "cap": 0
                }
            }
        }
    },
    {
        "domid": 2,
        "config": {
            "c_info": {
                "type": "pvh",
                "name": "ticker",
                "uuid": "00000000-0000-0000-0000-000000000000"
            },
            "b_info": {
                "max_vcpus": 4,
                "avail_vcpus": [
                    0,
                    1
                ],
                "vcpu_hard_affinity": [
                    [
                        0
                    ],
                    [
                        0
                    ]
                ],
                "max_memkb": 16384,
                "target_memkb": 16384,
                "shadow_memkb": 2048,
                "max_maptrack_frames": 7,
                "sched_params": {
                    "sched": "credit2",
                    "weight": 512,
                    "cap": 50
                },
                "event_channels": 64,
                "kernel": "/root/ticker",
                "cmdline": "say=\"hi\"",
                "ramdisk": "/root/initrd",
                "arch_arm": {
                    "gic_version": "v2"
                }
            },
            "disks": [
                {
                    "pdev_path": "/dev/loop0",
                    "vdev": "hdc",
                    "format": "raw",
                    "removable": 1,
                    "is_cdrom": 1
                },
                {
                    "pdev_path": "/dev/loop0",
                    "vdev": "xvdb",
                    "format": "raw",
                    "readwrite": 1,
                    "discard_enable": "True"
                }
            ],
            "on_reboot": "restart",
            "on_watchdog": "restart_rename",
            "on_crash": "preserve",
            "on_soft_reset": "soft_reset"
        }
    }
]
"#;

    #[test]
    fn all_that_is_known_looks_as_xl_prints_it() {
        let text = "name='ticker'; kernel='/root/ticker'; memory=16; vcpus=2; maxvcpus=4; cpus=['0','0']\n\
                    extra='say=\"hi\"'; ramdisk='/root/initrd'; shadow_memory=2; max_maptrack_frames=7\n\
                    cap=50; cpu_weight=512; gic_version='v2'; max_event_channels=64\n\
                    disk=['/dev/loop0,raw,hdc,cdrom', '/dev/loop0,raw,xvdb,rw,discard']\n\
                    on_watchdog='rename-restart'; on_crash='preserve'";
        let config = DomainConfig::parse(text).unwrap().config;
        let (dom0, ticker) = (listed("Domain-0", 0), listed("ticker", 2));
        let text = list_long(&[(&dom0, None), (&ticker, Some(&config))], 2, scheduler::CREDIT2);
        assert_eq!(text, EXPECTED);
    }
}
