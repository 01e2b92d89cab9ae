//! Guests with network interfaces under Debian's dom0: Linux's back end, its bridge and the hotplug
//! scripts.
use crate::{Console, artifacts::Hypervisor, debian_xl::boot};
use machine::paths;
use std::time::Duration;

const COMMAND: Duration = Duration::from_secs(60);
const TRANSFER: Duration = Duration::from_secs(120);
const DOM0: &str = "dom0# ";
const GUEST: &str = "# ";
/// Leaves a guest's console.
const LEAVE: &[u8] = b"\x1d";

/// Dom0's side: a bridge with an address, and a file to send about.
const DOM0_SETUP: [&str; 5] = [
    "cd /run; echo 1 > /proc/sys/kernel/printk",
    "modprobe xen-netback; modprobe bridge",
    "brctl addbr xenbr0; ip addr add 10.0.0.1/24 dev xenbr0",
    "ip link set xenbr0 up",
    "mkdir www; dd if=/dev/urandom of=www/file bs=65536 count=32 2>/dev/null",
];

/// Dom0 gives the file to whoever asks; a Linux guest's config but for its name.
const LINUX_SETUP: [&str; 4] = [
    "httpd -p 80 -h /run/www",
    "echo 'ramdisk=\"/root/initrd\"' > n.cfg",
    "echo 'extra=\"console=hvc0 root=none\"; memory=64' >> n.cfg",
    "echo 'vif=[\"bridge=xenbr0\"]' >> n.cfg",
];

/// Two guests ping dom0 and fetch a file from it by TCP, both at once; each gets it unchanged.
pub fn two_guests_fetch_a_file_by_tcp(on: Hypervisor) {
    let (mut c, sum) = dom0(&format!("debian-net-{on:?}").to_lowercase(), on);
    for line in LINUX_SETUP {
        c.command(line, DOM0, COMMAND);
    }
    let kernel = paths::kernel_name(on.arch());
    c.command(&format!("echo 'kernel=\"/root/{kernel}\"' >> n.cfg"), DOM0, COMMAND);
    for name in ["a", "b"] {
        let created = c.command(&format!("xl create n.cfg 'name=\"{name}\"'; echo rc $?"), DOM0, COMMAND);
        assert!(created.contains("rc 0"), "{created}");
    }
    let vifs = c.command("xl network-list a; ls /sys/class/net/xenbr0/brif", DOM0, COMMAND);
    assert!(vifs.contains("/local/domain/0/backend/vif/") && vifs.contains("vif1.0"), "{vifs}");
    for (name, address) in [("a", 2), ("b", 3)] {
        start_fetching(&mut c, name, address);
    }
    for name in ["a", "b"] {
        enter(&mut c, name);
        c.command("wait", GUEST, TRANSFER);
        let got = c.command("cat /sum", GUEST, COMMAND);
        assert!(got.contains(&sum), "{name} got {got}, and not {sum}");
        leave(&mut c);
    }
    for name in ["a", "b"] {
        c.command(&format!("xl destroy {name}"), DOM0, COMMAND);
    }
    let left = c.command("ls /sys/class/net/xenbr0/brif", DOM0, COMMAND);
    assert!(!left.contains("vif"), "an interface is left: {left}");
}

/// The echo server, a guest in Rust, answers dom0's pings, shows its page, and sends back unchanged what
/// it gets by TCP and UDP; it ends when its interface is taken away.
pub fn echo_server_sends_a_file_back(on: Hypervisor) {
    let (mut c, sum) = dom0(&format!("debian-echo-{on:?}").to_lowercase(), on);
    c.send_line("xl create -c /root/echo-server.cfg");
    c.expect("serving at 10.0.0.2/24", COMMAND);
    leave(&mut c);
    let ping = c.command("ping -c 3 10.0.0.2", DOM0, COMMAND);
    assert!(ping.contains("3 packets received"), "{ping}");
    for times in ["first", "second"] {
        let got = c.command("nc 10.0.0.2 7 < www/file | sha256sum", DOM0, TRANSFER);
        assert!(got.contains(&sum), "the {times} time {got} came back, and not {sum}");
    }
    let page = c.command("wget -qO- http://10.0.0.2/", DOM0, COMMAND);
    assert!(page.contains("A guest in Rust."), "{page}");
    let udp = "bash -c 'exec 3<>/dev/udp/10.0.0.2/7; echo by UDP >&3; timeout 9 head -n 1 <&3'";
    let datagram = c.command(udp, DOM0, COMMAND);
    assert!(datagram.contains("by UDP"), "{datagram}");

    c.command("xl network-detach echo-server 0", DOM0, COMMAND);
    c.command("while xl domid echo-server 2>/dev/null; do usleep 100000; done", DOM0, COMMAND);
    let left = c.command("ls /sys/class/net/xenbr0/brif", DOM0, COMMAND);
    assert!(!left.contains("vif"), "an interface is left: {left}");
}

/// Boots dom0 with its bridge; gives the checksum of its file, too.
#[track_caller]
fn dom0(name: &str, on: Hypervisor) -> (Console, String) {
    let mut c = boot(name, on);
    for line in DOM0_SETUP {
        c.command(line, DOM0, COMMAND);
    }
    let sum = c.command("sha256sum < www/file", DOM0, COMMAND);
    let sum = sum.split_whitespace().next().unwrap_or("none").to_owned();
    (c, sum)
}

/// Gives a guest its address, pings dom0, and lets it fetch in the background.
fn start_fetching(c: &mut Console, name: &str, address: u8) {
    c.send_line(&format!("xl console {name}"));
    c.expect("a shell instead", TRANSFER);
    c.expect(GUEST, COMMAND);
    c.command(&format!("ip addr add 10.0.0.{address}/24 dev eth0"), GUEST, COMMAND);
    c.command("ip link set eth0 up", GUEST, COMMAND);
    let ping = c.command("ping -c 3 10.0.0.1", GUEST, COMMAND);
    assert!(ping.contains("3 packets received"), "{ping}");
    c.send_line("wget -qO- http://10.0.0.1/file | sha256sum > /sum &");
    c.expect(GUEST, COMMAND);
    leave(c);
}

/// Opens a guest's console, at whose shell it is.
fn enter(c: &mut Console, name: &str) {
    c.send_line(&format!("xl console {name}"));
    // A line of our own brings a prompt that is new.
    c.send(b"echo en''tered\r");
    c.expect("entered", COMMAND);
    c.expect(GUEST, COMMAND);
}

fn leave(c: &mut Console) {
    c.send(LEAVE);
    c.expect(DOM0, COMMAND);
}
