//! What xl prints: the same columns and the same words.

mod json;
mod long;

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

pub use long::list_long;
use xen_abi::domctl::{dominf, scheduler};
use xen_abi::sysctl::{PhysInfo, physcap};

use crate::config::uuid::Uuid;
use crate::control::Version;
use crate::devices::disk::DiskInfo;
use crate::lifecycle::shutdown_reason;
use crate::{Listed, ListedVcpu};

/// Pages of a MiB.
const PAGES_PER_MIB: u64 = 256;

/// Writes nanoseconds as seconds with one digit behind the point.
fn seconds(ns: u64) -> String {
    let tenths = (ns / 10_000_000).saturating_add(5) / 10;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Writes `xl list`; with `verbose`, UUIDs and reasons of shutdowns too.
pub fn list(domains: &[Listed], verbose: bool) -> String {
    let mut text = String::from("Name                                        ID   Mem VCPUs\tState\tTime(s)");
    if verbose {
        text += "   UUID                            Reason-Code\tSecurity Label";
    }
    text.push('\n');
    for Listed { name, info } in domains {
        // What xl prints for one that is gone but for its pages.
        let name = if name.is_empty() { "(null)" } else { name };
        let flag = |bit: u32, letter: char| if info.flags & bit != 0 { letter } else { '-' };
        let reason =
            shutdown_reason(info).map_or('-', |reason| "-rscwS".chars().nth(reason as usize).unwrap_or('?'));
        // Writing to a `String` does not fail, here and below.
        let _ = write!(
            text,
            "{name:<40} {:>5} {:>5} {:>5}     {}{}{}{}{reason}{}  {:>8}",
            info.domain.0,
            (info.tot_pages + info.outstanding_pages) / PAGES_PER_MIB,
            info.nr_online_vcpus,
            flag(dominf::RUNNING, 'r'),
            flag(dominf::BLOCKED, 'b'),
            flag(dominf::PAUSED, 'p'),
            flag(dominf::SHUTDOWN, 's'),
            flag(dominf::DYING, 'd'),
            seconds(info.cpu_time),
        );
        if verbose {
            let reason = shutdown_reason(info).map_or("-".into(), |reason| format!("{reason:x}"));
            let _ = write!(text, " {} {reason:>8} {:>16}", Uuid(info.handle), "-");
        }
        text.push('\n');
    }
    text
}

/// Writes the first line of `xl vcpu-list`.
pub fn vcpu_list_header() -> &'static str {
    "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n"
}

/// Writes a domain's lines of `xl vcpu-list`, on a machine with so many CPUs.
pub fn vcpu_list(name: &str, domid: u16, vcpus: &[ListedVcpu], cpus: u32) -> String {
    let mut text = String::new();
    for listed in vcpus {
        let info = &listed.info;
        let _ = write!(text, "{name:<32} {domid:>5} {:>5}", listed.vcpu.0);
        let _ = if info.online == 0 {
            write!(text, "{:>5} {:>3}-p ", '-', '-')
        } else {
            let flag = |on: u8, letter: char| if on != 0 { letter } else { '-' };
            write!(text, "{:>5} {:>3}{}- ", info.cpu, flag(info.running, 'r'), flag(info.blocked, 'b'))
        };
        let (hard, soft) = (listed.hard.describe(cpus), listed.soft.describe(cpus));
        let _ = writeln!(text, "{:>9}  {hard} / {soft}", seconds(info.cpu_time));
    }
    text
}

/// Writes the first line of `xl block-list`.
pub fn block_list_header() -> String {
    format!(
        "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}\n",
        "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path"
    )
}

/// Writes a domain's lines of `xl block-list`.
pub fn block_list(disks: &[DiskInfo]) -> String {
    let mut text = String::new();
    for disk in disks {
        let _ = writeln!(
            text,
            "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}",
            disk.vdev.0,
            disk.backend_id,
            disk.frontend_id,
            disk.state,
            disk.event_channel,
            disk.ring_ref,
            disk.backend
        );
    }
    text
}

/// Writes the first line of `xl uptime`.
pub fn uptime_header() -> String {
    format!("{:<33} {:>4} Uptime\n", "Name", "ID")
}

/// Writes a domain's line of `xl uptime`.
pub fn uptime(name: &str, domid: u16, seconds: u64) -> String {
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{name:<33} {domid:>4} {days}{hours:>2}:{minutes:02}:{seconds:02}\n")
}

/// What dom0 says of itself, in the place of `uname`.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// The host's name.
    pub host: &'a str,
    /// The version of dom0's program.
    pub release: &'a str,
    /// What else there is to tell the version by.
    pub version: &'a str,
    /// The kind of CPU: `armv7l`.
    pub machine: &'a str,
}

fn scheduler_name(id: u32) -> &'static str {
    match id {
        scheduler::CREDIT => "credit",
        scheduler::CREDIT2 => "credit2",
        scheduler::ARINC653 => "arinc653",
        scheduler::RTDS => "rtds",
        scheduler::NULL => "null",
        _ => "unknown",
    }
}

fn virt_caps(capabilities: u32) -> String {
    let has = |bit: u32| capabilities & bit != 0;
    let words = [
        ("pv", has(physcap::PV)),
        ("hvm", has(physcap::HVM)),
        ("hvm_directio", has(physcap::HVM) && has(physcap::DIRECTIO)),
        ("pv_directio", has(physcap::PV) && has(physcap::DIRECTIO)),
        ("hap", has(physcap::HAP)),
        ("shadow", has(physcap::SHADOW)),
        ("iommu_hap_pt_share", has(physcap::IOMMU_HAP_PT_SHARE)),
        ("vmtrace", has(physcap::VMTRACE)),
        ("vpmu", has(physcap::VPMU)),
        ("gnttab-v1", has(physcap::GNTTAB_V1)),
        ("gnttab-v2", has(physcap::GNTTAB_V2)),
    ];
    words.into_iter().filter(|(_, there)| *there).fold(String::new(), |text, (word, _)| text + " " + word)
}

/// Writes `xl info`.
pub fn info(node: &Node, machine: &PhysInfo, free_cpus: u32, version: &Version, sched_id: u32) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<23}: {value}");
    };
    line("host", node.host);
    line("release", node.release);
    line("version", node.version);
    line("machine", node.machine);
    line("nr_cpus", &format!("{}", machine.nr_cpus));
    line("max_cpu_id", &format!("{}", machine.max_cpu_id));
    line("nr_nodes", &format!("{}", machine.nr_nodes));
    line("cores_per_socket", &format!("{}", machine.cores_per_socket));
    line("threads_per_core", &format!("{}", machine.threads_per_core));
    line("cpu_mhz", &format!("{}.{:03}", machine.cpu_khz / 1000, machine.cpu_khz % 1000));
    let hw_caps = machine.hw_cap.map(|word| format!("{word:08x}"));
    line("hw_caps", &hw_caps.join(":"));
    // xl puts each of these words behind a blank of its own.
    line("virt_caps", virt_caps(machine.capabilities).trim_start());
    line("total_memory", &format!("{}", machine.total_pages / PAGES_PER_MIB));
    let free = machine.free_pages.saturating_sub(machine.outstanding_pages);
    line("free_memory", &format!("{}", free / PAGES_PER_MIB));
    line("sharing_freed_memory", "0");
    line("sharing_used_memory", "0");
    line("outstanding_claims", &format!("{}", machine.outstanding_pages / PAGES_PER_MIB));
    line("free_cpus", &format!("{free_cpus}"));
    let Version { major, minor, extra, .. } = version;
    line("xen_major", &format!("{major}"));
    line("xen_minor", &format!("{minor}"));
    line("xen_extra", extra);
    line("xen_version", &format!("{major}.{minor}{extra}"));
    line("xen_caps", &version.capabilities);
    line("xen_scheduler", scheduler_name(sched_id));
    line("xen_pagesize", &format!("{}", version.page_size));
    line("platform_params", &format!("virt_start={:#x}", version.virt_start));
    line("xen_changeset", &version.changeset);
    line("xen_commandline", &version.command_line);
    line("cc_compiler", &version.compiler);
    line("cc_compile_by", &version.compile_by);
    line("cc_compile_domain", &version.compile_domain);
    line("cc_compile_date", &version.compile_date);
    line("build_id", &version.build_id);
    line("xend_config_format", "4");
    text
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use xen_abi::domctl::{GetDomainInfo, GetVcpuInfo};
    use xen_abi::{Domid, VcpuId};

    use super::*;
    use crate::config::cpus::CpuMap;
    use crate::config::vdev::Vdev;

    fn domain(name: &str, domid: u16, mib: u64, flags: u32, cpu_time: u64) -> Listed {
        let info = GetDomainInfo {
            domain: Domid(domid),
            flags: flags | dominf::HVM_GUEST | dominf::HAP,
            tot_pages: mib * PAGES_PER_MIB,
            nr_online_vcpus: 1,
            cpu_time,
            ..GetDomainInfo::default()
        };
        Listed { name: name.to_string(), info }
    }

    #[test]
    fn a_list_looks_as_xl_prints_it() {
        let none = dominf::SHUTDOWN_MASK << dominf::SHUTDOWN_SHIFT;
        let domains = [
            domain("Domain-0", 0, 512, dominf::RUNNING | none, 4_850_000_000),
            domain("d1", 1, 128, dominf::BLOCKED | dominf::PAUSED | none, 3_430_000_000),
            domain("d2", 2, 128, dominf::SHUTDOWN | 3 << dominf::SHUTDOWN_SHIFT, 49_999_999),
            domain("", 31000, 0, dominf::SHUTDOWN | dominf::DYING | 9 << dominf::SHUTDOWN_SHIFT, u64::MAX),
        ];
        let lines = [
            "Name                                        ID   Mem VCPUs\tState\tTime(s)",
            "Domain-0                                     0   512     1     r-----       4.9",
            "d1                                           1   128     1     -bp---       3.4",
            "d2                                           2   128     1     ---sc-       0.0",
            "(null)                                   31000     0     1     ---s?d  18446744073.7",
            "",
        ];
        assert_eq!(list(&domains, false), lines.join("\n"));

        let verbose = list(&domains, true);
        let mut lines = lines.iter().zip(verbose.lines());
        let (_, header) = lines.next().unwrap();
        assert!(header.ends_with("Time(s)   UUID                            Reason-Code\tSecurity Label"));
        let uuid = "00000000-0000-0000-0000-000000000000";
        for ((short, long), reason) in lines.zip(["-", "-", "3", "9"]) {
            assert_eq!(long, format!("{short} {uuid} {reason:>8}                -"));
        }
    }

    #[test]
    fn vcpus_look_as_xl_prints_them() {
        let map = |cpus: &[u32]| {
            let mut map = CpuMap::none(2);
            cpus.iter().for_each(|&cpu| map.set(cpu, true));
            map
        };
        let vcpu = |number, online, running, blocked| ListedVcpu {
            vcpu: VcpuId(number),
            info: GetVcpuInfo {
                vcpu: number,
                online,
                running,
                blocked,
                cpu: 1,
                cpu_time: 3_400_000_000,
                ..GetVcpuInfo::default()
            },
            hard: map(&[0, 1]),
            soft: map(&[1]),
        };
        let lines = vcpu_list("d1", 1, &[vcpu(0, 1, 1, 0), vcpu(1, 1, 0, 1), vcpu(2, 0, 0, 0)], 2);
        let expected = "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n\
                        d1                                   1     0    1   r--       3.4  all / 1\n\
                        d1                                   1     1    1   -b-       3.4  all / 1\n\
                        d1                                   1     2    -   --p       3.4  all / 1\n";
        assert_eq!(vcpu_list_header().to_string() + &lines, expected);
    }

    #[test]
    fn disks_look_as_xl_prints_them() {
        let disk = DiskInfo {
            vdev: Vdev(51712),
            backend_id: 0,
            frontend_id: 1,
            state: 4,
            event_channel: 3,
            ring_ref: -1,
            backend: "/local/domain/0/backend/vbd/1/51712".to_string(),
        };
        assert_eq!(
            block_list_header() + &block_list(&[disk]),
            "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n\
             51712 0   1      4     3      -1       /local/domain/0/backend/vbd/1/51712\n"
        );
    }

    #[test]
    fn uptimes_look_as_xl_prints_them() {
        assert_eq!(
            uptime_header() + &uptime("Domain-0", 0, 11) + &uptime("d1", 1, 8 * 3600 + 61),
            "Name                                ID Uptime\n\
             Domain-0                             0  0:00:11\n\
             d1                                   1  8:01:01\n"
        );
        assert!(uptime("a", 1, 86_400).ends_with(" 1 day,  0:00:00\n"));
        assert!(uptime("a", 1, 86_400 * 3 + 3600).ends_with(" 3 days,  1:00:00\n"));
    }

    #[test]
    fn the_machine_looks_as_xl_prints_it() {
        let node = Node { host: "(none)", release: "6.1", version: "#1", machine: "armv7l" };
        let machine = PhysInfo {
            threads_per_core: 1,
            cores_per_socket: 1,
            nr_cpus: 1,
            nr_nodes: 1,
            cpu_khz: 62_500,
            capabilities: physcap::HVM | physcap::HAP | physcap::VPMU | physcap::GNTTAB_V1,
            total_pages: 2048 * PAGES_PER_MIB,
            free_pages: 1455 * PAGES_PER_MIB + 17,
            ..PhysInfo::default()
        };
        let version = Version {
            major: 4,
            minor: 17,
            extra: ".5".into(),
            capabilities: "xen-3.0-armv7l ".into(),
            page_size: 4096,
            virt_start: 0x20_0000,
            ..Version::default()
        };
        let text = info(&node, &machine, 0, &version, scheduler::CREDIT2);
        let lines: Vec<&str> = text.lines().collect();
        for line in [
            "host                   : (none)",
            "cpu_mhz                : 62.500",
            "hw_caps                : 00000000:00000000:00000000:00000000:00000000:00000000:00000000:00000000",
            "virt_caps              : hvm hap vpmu gnttab-v1",
            "free_memory            : 1455",
            "xen_version            : 4.17.5",
            "xen_caps               : xen-3.0-armv7l ",
            "xen_scheduler          : credit2",
            "platform_params        : virt_start=0x200000",
            "xen_changeset          : ",
            "xend_config_format     : 4",
        ] {
            assert!(lines.contains(&line), "{line:?} in {text}");
        }
        assert_eq!(lines.len(), 34);
    }
}
