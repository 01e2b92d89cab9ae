//! Guests that run, shut down, restart and end.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use xen_abi::Domid;
use xen_abi::sched::shutdown;

use super::create::{config, host};
use super::host::FakeHost;
use crate::config::disk::Disk;
use crate::config::vdev::Vdev;
use crate::{End, Interrupt, Order, Toolstack};

const DISK: &str = "disk = [ 'phy:/dev/loop0,xvda,w' ]";

fn started<'h>(host: &'h FakeHost, more: &str) -> (Toolstack<&'h FakeHost>, Domid) {
    let toolstack = Toolstack::new(host);
    host.run(toolstack.register_dom0()).unwrap();
    let domid = host.run(toolstack.create(config(more), false, &Interrupt::default())).unwrap();
    (toolstack, domid)
}

/// Does all that the state of the guests calls for.
fn follow_up(host: &FakeHost, toolstack: &Toolstack<&FakeHost>) {
    toolstack.due().into_iter().for_each(|task| host.run(task));
}

fn ids(host: &FakeHost) -> Vec<u16> {
    host.control.machine.borrow().domains.keys().map(|domid| domid.0).collect()
}

#[test]
fn a_destroyed_guest_leaves_nothing() {
    let host = host();
    let toolstack = Toolstack::new(&host);
    host.run(toolstack.register_dom0()).unwrap();
    let (before, free) = (host.store.dump("/"), host.control.machine.borrow().free_pages);
    for _ in 0..3 {
        let domid = host.run(toolstack.create(config(DISK), false, &Interrupt::default())).unwrap();
        assert_ne!(host.store.dump("/"), before);
        host.run(toolstack.destroy(domid)).unwrap();
        host.store.check_domains();
        assert_eq!(host.store.dump("/"), before);
        assert_eq!(host.control.machine.borrow().free_pages, free);
        assert_eq!(host.store.watches(), 0);
    }
    let gone = host.run(toolstack.destroy(Domid(1))).unwrap_err();
    assert_eq!(gone.to_string(), "1 is an invalid domain identifier");
    assert!(host.run(toolstack.destroy(Domid(0))).is_err());
}

#[test]
fn the_end_of_a_guest_is_waited_for() {
    let host = host();
    let (toolstack, domid) = started(&host, "on_poweroff = 'preserve'");
    host.control.shut_down(domid, shutdown::POWEROFF);
    assert_eq!(host.run(toolstack.ended(domid)).unwrap(), End::ShutDown(shutdown::POWEROFF));
    host.run(toolstack.destroy(domid)).unwrap();
    assert_eq!(host.run(toolstack.ended(domid)).unwrap(), End::Destroyed);
    assert_eq!(host.store.watches(), 0);
}

#[test]
fn a_guest_is_destroyed_whatever_fails_on_the_way() {
    for step in 0..60 {
        let host = host();
        let (toolstack, domid) = started(&host, DISK);
        host.faults.count.set(0);
        host.faults.fail_at.set(Some(step));
        if host.run(toolstack.destroy(domid)).is_err() {
            host.faults.fail_at.set(None);
            // What was left is taken away by a second attempt, if there is a domain left to name.
            let _ = host.run(toolstack.destroy(domid));
        }
        assert!(ids(&host).is_empty(), "step {step}");
    }
}

#[test]
fn a_disk_whose_guest_does_not_let_go_ends_with_the_guest() {
    let host = host();
    let (toolstack, domid) = started(&host, "disk = [ 'phy:/dev/busy,xvda,w' ]");
    let detach = host.run(toolstack.detach_disk(domid, Vdev(51712), false));
    assert_eq!(detach.unwrap_err().to_string(), "disk xvda: the guest does not let go of it");
    assert_eq!(host.run(toolstack.disks(domid)).unwrap().len(), 1);
    host.run(toolstack.destroy(domid)).unwrap();
    assert!(ids(&host).is_empty() && host.store.names("/local/domain/0/backend").is_empty());
}

#[test]
fn disks_come_and_go() {
    let host = host();
    let (toolstack, domid) = started(&host, DISK);
    let disk = Disk::parse("phy:/dev/loop1,xvdb,r").unwrap();
    host.run(toolstack.attach_disk(domid, disk.clone(), &Interrupt::default())).unwrap();
    let again = host.run(toolstack.attach_disk(domid, disk, &Interrupt::default())).unwrap_err();
    assert_eq!(again.to_string(), "disk xvdb: device already exists in xenstore");
    let front = format!("/local/domain/{}/device/vbd/51712", domid.0);
    host.store.put(&format!("{front}/ring-ref"), "8");
    host.store.put(&format!("{front}/event-channel"), "3");
    let disks = host.run(toolstack.disks(domid)).unwrap();
    let shown: Vec<_> = disks
        .iter()
        .map(|disk| (disk.vdev.0, disk.backend_id, disk.frontend_id, disk.state, disk.ring_ref))
        .collect();
    assert_eq!(shown, [(51712, 0, 1, 1, 8), (51728, 0, 1, 1, -1)]);
    host.run(toolstack.detach_disk(domid, Vdev(51728), false)).unwrap();
    assert_eq!(host.run(toolstack.disks(domid)).unwrap().len(), 1);
    assert!(host.run(toolstack.detach_disk(domid, Vdev(51728), false)).is_err());
}

#[test]
fn orders_wait_for_their_acknowledgement() {
    let host = host();
    let (toolstack, domid) = started(&host, "");
    host.run(toolstack.order(domid, Order::Poweroff)).unwrap();
    host.guests_answer.set(false);
    let deaf = host.run(toolstack.order(domid, Order::Reboot));
    assert_eq!(deaf.unwrap_err().to_string(), "domain 1 does not answer");
    let path = format!("/local/domain/{}/control/shutdown", domid.0);
    assert_eq!(host.store.get(&path).as_deref(), Some(""), "the order was taken back");
    assert!(host.run(toolstack.order(Domid(0), Order::Poweroff)).is_err());
}

fn after(reason: u32, more: &str) -> (FakeHost, Vec<u16>) {
    let host = host();
    let (toolstack, domid) = started(&host, more);
    host.control.shut_down(domid, reason);
    follow_up(&host, &toolstack);
    follow_up(&host, &toolstack);
    let ids = ids(&host);
    drop(toolstack);
    (host, ids)
}

#[test]
fn shutdowns_are_followed_by_what_the_configuration_says() {
    for (reason, more, expected) in [
        (shutdown::POWEROFF, "", &[][..]),
        (shutdown::REBOOT, "", &[2]),
        (shutdown::CRASH, "", &[]),
        (shutdown::WATCHDOG, "on_watchdog='restart'", &[2]),
        (shutdown::SUSPEND, "", &[1]),
        (shutdown::SOFT_RESET, "", &[]),
        (shutdown::POWEROFF, "on_poweroff='preserve'", &[1]),
        (shutdown::CRASH, "on_crash='coredump-restart'", &[2]),
        (shutdown::REBOOT, "on_reboot='destroy'", &[]),
        (99, "", &[]),
    ] {
        let (host, ids) = after(reason, &format!("{more}\n{DISK}"));
        assert_eq!(ids, expected, "{reason} {more}");
        let named: Vec<String> = ids.iter().map(|id| format!("/local/domain/{id}/name")).collect();
        assert!(named.iter().all(|path| host.store.get(path).as_deref() == Some("win")));
    }
}

#[test]
fn a_restarted_guest_keeps_its_uuid_and_later_disks() {
    let host = host();
    let (toolstack, domid) = started(&host, DISK);
    let uuid = host.control.machine.borrow().domains[&domid].handle;
    let disk = Disk::parse("phy:/dev/loop1,xvdb,w").unwrap();
    host.run(toolstack.attach_disk(domid, disk, &Interrupt::default())).unwrap();
    host.control.shut_down(domid, shutdown::REBOOT);
    follow_up(&host, &toolstack);
    assert_eq!(ids(&host), [2]);
    assert_eq!(host.control.machine.borrow().domains[&Domid(2)].handle, uuid);
    assert_eq!(host.run(toolstack.disks(Domid(2))).unwrap().len(), 2);
    assert_eq!(host.run(toolstack.find("win")), Ok(Domid(2)));
}

#[test]
fn a_renamed_guest_stays_beside_its_successor() {
    let host = host();
    let (toolstack, domid) = started(&host, "on_crash='rename-restart'");
    let uuid = host.control.machine.borrow().domains[&domid].handle;
    host.control.shut_down(domid, shutdown::CRASH);
    follow_up(&host, &toolstack);
    follow_up(&host, &toolstack);
    assert_eq!(ids(&host), [1, 2]);
    assert_eq!(host.run(toolstack.find("win-20240101T0000Z")), Ok(Domid(1)));
    assert_eq!(host.run(toolstack.find("win")), Ok(Domid(2)));
    let machine = host.control.machine.borrow();
    assert_eq!(machine.domains[&Domid(2)].handle, uuid);
    assert_ne!(machine.domains[&Domid(1)].handle, uuid);
    drop(machine);
    assert_eq!(host.store.names("/vm").len(), 2);
    host.run(toolstack.destroy(Domid(1))).unwrap();
    assert_eq!(host.store.names("/vm").len(), 1);
    assert!(host.run(toolstack.uptime(Domid(2))).unwrap().is_some());
}

#[test]
fn a_guest_that_somebody_else_ended_is_cleared_away() {
    let host = host();
    let (toolstack, domid) = started(&host, DISK);
    host.control.machine.borrow_mut().domains.remove(&domid);
    host.store.check_domains();
    follow_up(&host, &toolstack);
    assert!(host.store.names("/libxl").is_empty() && host.store.names("/vm").is_empty());
    assert_eq!(host.store.names("/local/domain"), ["0"]);
    assert!(host.run(toolstack.find("win")).is_err());
    host.run(toolstack.create(config(DISK), false, &Interrupt::default())).unwrap();
}

#[test]
fn domains_are_found_by_id_and_name() {
    let host = host();
    let (toolstack, domid) = started(&host, "");
    assert_eq!(host.run(toolstack.find("win")), Ok(domid));
    assert_eq!(host.run(toolstack.find("1")), Ok(domid));
    // A domain that was not made here, but has a name.
    let other = host
        .run(Toolstack::new(&host).create(
            crate::config::DomainConfig { name: "other".into(), ..config("") },
            true,
            &Interrupt::default(),
        ))
        .unwrap();
    assert_eq!(host.run(toolstack.find("other")), Ok(other));
    for unknown in ["2222", "lose", "", "-1", "99999"] {
        assert!(host.run(toolstack.find(unknown)).is_err(), "{unknown}");
    }
    let names: Vec<_> = host.run(toolstack.list()).unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names, ["Domain-0", "win", "other"]);
    assert_eq!(host.run(toolstack.uptime(Domid(0))), Ok(Some(11)));
    assert_eq!(host.run(toolstack.uptime(domid)), Ok(Some(0)));
    assert_eq!(host.run(toolstack.uptime(other)), Ok(Some(0)));
    assert_eq!(host.run(toolstack.uptime(Domid(9))), Ok(None));
    assert_eq!(toolstack.vcpus(domid).unwrap().len(), 1);
}

#[test]
fn the_supervisor_wakes_at_shutdowns() {
    use core::task::{Context, Waker};

    let host = host();
    let (toolstack, domid) = started(&host, "on_poweroff='restart'");
    let mut supervisor = std::boxed::Box::pin(toolstack.supervise());
    let mut poll = || {
        for _ in 0..50 {
            assert!(supervisor.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            host.let_others_run();
        }
    };
    poll();
    assert_eq!(ids(&host), [1]);
    host.control.shut_down(domid, shutdown::POWEROFF);
    host.store.check_domains();
    poll();
    assert_eq!(ids(&host), [2]);
}
