use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::disk::Format;
use super::vdev::Vdev;
use super::*;

/// The configuration that the project's readme begins with.
const WIN: &str = r#"
kernel = "/root/image"
memory = 128
name = "win"
vcpus = 1
disk = [ 'phy:/dev/loop0,xvda,w' ]
"#;

fn parse(text: &str) -> DomainConfig {
    let parsed = DomainConfig::parse(text).unwrap();
    assert_eq!(parsed.warnings, []);
    parsed.config
}

/// Parses a configuration that has a name and a kernel, and some lines more.
fn with(text: &str) -> DomainConfig {
    parse(&alloc::format!("name='a'\nkernel='k'\n{text}"))
}

fn problems(text: &str) -> Vec<String> {
    let text = alloc::format!("name='a';kernel='k';\n{text}");
    DomainConfig::parse(&text).unwrap_err().iter().map(Problem::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let text = alloc::format!("name='a';kernel='k';\n{text}");
    DomainConfig::parse(&text).unwrap().warnings.iter().map(Problem::to_string).collect()
}

#[test]
fn the_sample_configuration_works_as_it_stands() {
    let config = parse(WIN);
    assert_eq!((config.name.as_str(), config.kernel.as_str()), ("win", "/root/image"));
    assert_eq!((config.memory_kib, config.max_memory_kib), (131_072, 131_072));
    assert_eq!((config.vcpus, config.max_vcpus), (1, 1));
    let [disk] = &config.disks[..] else { panic!("{:?}", config.disks) };
    assert_eq!((disk.target.as_str(), disk.vdev, disk.writable), ("/dev/loop0", Vdev(51712), true));
    assert_eq!(disk.format, Format::Raw);
    assert_eq!((config.ramdisk, config.cmdline, config.device_tree), (None, None, None));
    assert_eq!(config.actions, Actions::default());
    assert_eq!((config.max_event_channels, config.max_grant_frames), (1023, None));
}

#[test]
fn everything_that_is_served_is_read() {
    let config = with(
        "ramdisk='r'; device_tree='/d'; uuid='f3e04816-ce5a-401d-a547-f4fc2b16a1c8'\n\
         memory='0x100'; maxmem=512; shadow_memory=8; vcpus=2; maxvcpus=4; cpu_weight=512; cap=50\n\
         on_poweroff='preserve'; on_reboot='rename-restart'; on_watchdog='restart'; on_crash='coredump-destroy'\n\
         on_soft_reset='destroy'; max_grant_frames=0100; max_maptrack_frames=1024; max_event_channels=50\n\
         type='pvh'; gic_version='V3'; nr_spis=32; cpus='0-1'; cpus_soft=['0','1']",
    );
    assert_eq!((config.memory_kib, config.max_memory_kib), (256 * 1024, 512 * 1024));
    assert_eq!((config.vcpus, config.max_vcpus, config.shadow_memory_kib), (2, 4, Some(8192)));
    assert_eq!((config.weight, config.cap), (Some(512), Some(50)));
    assert_eq!((config.cpus.len(), config.cpus_soft.len()), (4, 2));
    assert_eq!((config.max_grant_frames, config.max_maptrack_frames), (Some(64), Some(1024)));
    assert_eq!((config.max_event_channels, config.nr_spis, config.gic_version), (50, 32, GicVersion::V3));
    assert_eq!(config.uuid.unwrap().to_string(), "f3e04816-ce5a-401d-a547-f4fc2b16a1c8");
    let names = |actions: Actions| {
        let Actions { poweroff, reboot, watchdog, crash, soft_reset } = actions;
        [poweroff, reboot, watchdog, crash, soft_reset].map(Action::name)
    };
    assert_eq!(
        names(config.actions),
        ["preserve", "rename-restart", "restart", "coredump-destroy", "destroy"]
    );
}

#[test]
fn the_command_line_is_joined_as_xl_does() {
    assert_eq!(with("cmdline='a b'").cmdline.as_deref(), Some("a b"));
    assert_eq!(with("root='/dev/xvda'").cmdline.as_deref(), Some("root=/dev/xvda"));
    assert_eq!(with("extra='quiet'").cmdline.as_deref(), Some("quiet"));
    assert_eq!(
        with("root='/dev/xvda ro'; extra='quiet'").cmdline.as_deref(),
        Some("root=/dev/xvda ro quiet")
    );
    let text = "cmdline='a'\nextra='b'";
    assert_eq!(warnings(text), ["2:1: warning: ignoring root= and extra= in favour of cmdline="]);
}

#[test]
fn memory_and_vcpus_have_defaults() {
    assert_eq!(with("").memory_kib, 32 * 1024);
    assert_eq!(with("maxmem=64").memory_kib, 64 * 1024);
    assert_eq!((with("vcpus=0").vcpus, with("maxvcpus=3").vcpus, with("maxvcpus=3").max_vcpus), (1, 1, 3));
}

#[test]
fn keys_that_are_not_served_give_a_warning_with_their_line() {
    assert_eq!(
        warnings("vnc = 1\n\npci = [ '00:1f.0' ]\nmemroy = 5\nvnc = 0"),
        [
            "4:1: warning: parameter `pci' is not supported here and is ignored",
            "5:1: warning: parameter `memroy' is unknown and is ignored",
            "6:1: warning: parameter `vnc' is not supported here and is ignored",
        ]
    );
}

#[test]
fn interfaces_are_read_with_a_warning() {
    let text = "name='a';kernel='k'\nvif=['bridge=xenbr0',]";
    let parsed = DomainConfig::parse(text).unwrap();
    assert_eq!(parsed.config.vifs[0].bridge.as_deref(), Some("xenbr0"));
    let warning =
        "2:1: warning: parameter `vif' is not supported here yet, the guest gets no network interface";
    assert_eq!(parsed.warnings.iter().map(Problem::to_string).collect::<Vec<_>>(), [warning]);
}

#[test]
fn values_without_sense_name_line_and_column() {
    for (text, problem) in [
        ("memory = 'much'", "2:10: parameter `memory' is not a valid number: `much'"),
        ("memory = [1]", "2:10: parameter `memory' is a list but should be a single value"),
        ("memory = 0", "2:10: value `0' is smaller than minimum bound '1'"),
        (
            "memory = 99999999999999999999",
            "2:10: parameter `memory' is not a valid number: `99999999999999999999'",
        ),
        ("memory = 2; maxmem = 1", "2:13: maxmem is less than memory"),
        ("vcpus = 2\nmaxvcpus = 1", "3:1: maxvcpus < vcpus"),
        ("disk = 'phy:/dev/loop0,xvda,w'", "2:8: parameter `disk' is a single value but should be a list"),
        ("disk = [ ['a'] ]", "2:10: value is not a string"),
        ("disk = [\n 'phy:/dev/loop0,xvda,w',\n 'x,,' ]", "4:2: disk: no vdev specified"),
        ("disk = [ '/a,,xvda', '/b,,d0p0' ]", "2:22: there is another disk d0p0"),
        ("on_crash = 'explode'", "2:12: Unknown on_crash action \"explode\" specified"),
        ("uuid = 'x'", "2:8: `x' is no UUID"),
        ("type = 'hvm'", "2:8: guests of type hvm are not supported on ARM"),
        ("cpu_weight = 65536", "2:14: value `65536' is greater than maximum bound '65535'"),
        ("cpus = '3-1'", "2:8: Invalid pcpu range: 3-1."),
        ("vif = [ 'mac=1' ]", "2:9: vif: Invalid parameter `mac': 1"),
        ("name = '17'", "2:1: a name that is a number would be taken for a domain id"),
        ("name = 'a/b'", "2:1: a name has neither slashes nor control characters"),
        ("gic_version = 'v9'", "2:15: Unknown gic_version \"v9\" specified"),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let problems = DomainConfig::parse("memory = 1\n").unwrap_err();
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["name must be specified", "kernel must be specified"]);
}

#[test]
fn all_mistakes_are_reported_in_order() {
    assert_eq!(problems("vcpus='x'\non_crash='y'\nmemory='z'").len(), 3);
    let lines: Vec<_> =
        problems("vcpus='x'\non_crash='y'").iter().map(|line| line[..1].to_string()).collect();
    assert_eq!(lines, ["2", "3"]);
}
