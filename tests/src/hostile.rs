//! A guest that does to hypervisor and back ends what none should, while others work. It says `WRONG` when it got
//! something that it must not get, or lost something that it must not lose.
use crate::{
    Mix,
    artifacts::{self, Hypervisor},
    host_disk::HostDisk,
    rust_dom0::{BOOT, COMMAND, LEAVE_CONSOLE, PROMPT, Prompt, free_kib, machine, name},
};
use machine::{DomU, Domain};
use std::time::Duration;

/// Each of its attacks takes so long at most, on a busy host.
const ATTACKS: Duration = Duration::from_secs(180);
/// What dom0 may keep of the memory that was free.
const KEPT_KIB: u64 = 32;
/// What needs nothing but the hypervisor, in the order in which it is done.
const ON_THE_HYPERVISOR: [&str; 9] =
    ["calls", "multicall", "memory", "firmware", "registers", "devices", "grants", "events", "storm"];
/// Those of them that fault and go on, which a 32-bit guest of a 64-bit hypervisor cannot in QEMU 7.2 (see the README
/// on SPSRs).
const FAULTING: [&str; 2] = ["registers", "devices"];
/// What needs dom0, whose part of the connection to the store is lost at the end.
const ON_DOM0: [&str; 5] = ["flood", "grants", "events", "disk", "store"];

/// Waits until the guest has done it all, without anything wrong.
#[track_caller]
fn suffer(p: &mut Prompt, attacks: &[&str]) {
    for attack in attacks {
        let (wrong, said) =
            p.0.expect_one_of(&[&format!("hostile: {attack}: "), "WRONG", "panic on"], ATTACKS);
        if wrong != 0 {
            p.0.fail(&format!("{attack}: {said}"));
        }
    }
}

/// The hypervisor outlives a guest that makes every hypercall, firmware call and register access with bad arguments
/// and at bad moments, on three vCPUs of which one faults for ever; dom0 answers, and starts another guest that does
/// its work and ends.
pub fn outlives_a_guest(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = machine(mix, mix.on.data_disk());
    // The hostile guest prints on the hypervisor's console, which shows that at this level only.
    machine.hypervisor_args += " guest_loglvl=all";
    let faults_return = mix.guest == mix.on.arch();
    let can_be_done = |attack: &&str| faults_return || !FAULTING.contains(attack);
    let attacks: Vec<_> = ON_THE_HYPERVISOR.into_iter().filter(can_be_done).collect();
    let args = format!("attacks={} rounds=1000000", attacks.join(","));
    machine.domus.push(DomU {
        vcpus: 3,
        ..DomU::new(Domain { kernel: artifacts::image_for(mix.guest, "hostile"), ramdisk: None, args })
    });
    let mut p = Prompt::start(&mix.name("hostile"), &machine);
    suffer(&mut p, &attacks);
    for _ in 0..2 {
        p.0.expect("still here", ATTACKS);
        p.0.send_line(&format!("xl create /root/{}hello.cfg", mix.folder()));
        p.0.expect("has shut down, reason code 0 0x0", ATTACKS);
        p.0.expect(PROMPT, COMMAND);
    }
    p.0.expect("still here", ATTACKS);
    // Its lines may come between the letters of the echo.
    p.0.send_line("xl list");
    p.0.expect("Domain-0", COMMAND);
    p.0.expect("r-----", COMMAND);
}

/// Dom0's back ends outlive it as well: the disk of another guest is copied right meanwhile, the prompt answers, and
/// memory, disks and nodes of the store are what they were when it has gone, whichever way it goes.
pub fn back_ends_outlive_a_guest(on: Hypervisor) {
    let name = name("hostile-back-ends", on);
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    for (file, bytes) in files(on) {
        disk.put(file, &bytes).expect("space on the disk");
    }
    let mut p = Prompt::boot(&name, on, disk.attach());
    for (number, file) in [(0, "victim.img"), (1, "from.img"), (2, "to.img")] {
        p.quiet(&format!("losetup /dev/loop{number} /root/{file}"));
    }
    // The first guest of all makes directories that stay.
    copy_a_disk(&mut p);
    let (before, free) = (nodes(&mut p), free_kib(&mut p));

    p.quiet("xl create -q /root/hostile.cfg");
    copy_a_disk(&mut p);
    p.says("xl list", &["hostile "]);
    p.0.send_line("xl console hostile");
    suffer(&mut p, &ON_DOM0[1..]);
    p.0.expect("still here", ATTACKS);
    p.types(LEAVE_CONSOLE, "\n");
    copy_a_disk(&mut p);
    p.quiet("xl destroy hostile");
    p.alone();

    for end in ["cpu-off", "off", "reset", "stack", "shutdown"] {
        let args = format!("'extra=\"attacks=firmware rounds=1 end={end}\"' 'on_reboot=\"destroy\"'");
        p.0.send_line(&format!("xl create -qc /root/hostile.cfg {args}"));
        p.0.expect(&format!("hostile: ends by {end}"), BOOT);
        if end == "cpu-off" {
            p.types(LEAVE_CONSOLE, "\n");
            p.quiet("xl destroy hostile");
        } else {
            p.0.expect(PROMPT, COMMAND);
        }
        p.alone();
    }
    assert_eq!(nodes(&mut p), before);
    let lost = free.saturating_sub(free_kib(&mut p));
    assert!(lost <= KEPT_KIB, "{lost} KiB");
}

/// A guest copies a disk to another and compares.
#[track_caller]
fn copy_a_disk(p: &mut Prompt) {
    let disks = "'disk=[ \"phy:/dev/loop1,xvda,r\", \"phy:/dev/loop2,xvdb,w\" ]'";
    p.0.send_line(&format!("xl create -qc /root/disk-copy.cfg {disks}"));
    p.0.expect("both are equal", ATTACKS);
    p.0.expect(PROMPT, COMMAND);
    while p.run("xl list").contains("disk-copy ") {}
}

/// All that is in the store.
fn nodes(p: &mut Prompt) -> String {
    p.run("xenstore-ls -f")
}

/// The guest with its config, and disks.
fn files(on: Hypervisor) -> Vec<(&'static str, Vec<u8>)> {
    let config = format!(
        "kernel = \"/root/hostile\"\nname = \"hostile\"\nmemory = 32\nvcpus = 3\n\
         disk = [ 'phy:/dev/loop0,xvda,w' ]\nextra = \"attacks={} rounds=1000000\"\n",
        ON_DOM0.join(",")
    );
    let mut state = 1u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    vec![
        ("hostile", std::fs::read(on.image("hostile")).expect("hostile was built")),
        ("hostile.cfg", config.into_bytes()),
        ("victim.img", vec![0; 1 << 20]),
        ("from.img", (0..2 << 20).map(|_| byte()).collect()),
        ("to.img", vec![0; 2 << 20]),
    ]
}
