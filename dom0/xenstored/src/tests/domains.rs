//! Domains that come and go.

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0, GFN};
use crate::DomainState;

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);

#[test]
fn introduction_and_death_are_announced() {
    let mut bed = Bed::new();
    for special in ["@introduceDomain", "@releaseDomain"] {
        bed.ask(DOM0, msg::WATCH, &std::format!("{special}|t|"));
    }
    bed.events(DOM0);
    bed.add_guest(G1);
    assert_eq!(bed.events(DOM0), ["@introduceDomain|t|"]);
    assert_eq!(bed.ask(DOM0, msg::IS_DOMAIN_INTRODUCED, "1|"), "T|");
    bed.destroy(G1);
    assert_eq!(bed.events(DOM0), ["@releaseDomain|t|"]);
    assert_eq!(bed.ask(DOM0, msg::IS_DOMAIN_INTRODUCED, "1|"), "F|");
}

#[test]
fn a_shutdown_is_announced_once_and_again_after_a_resume() {
    let mut bed = Bed::with_guests(1);
    bed.ask(DOM0, msg::WATCH, "@releaseDomain|t|");
    bed.events(DOM0);
    bed.daemon.host.states.insert(G1, DomainState { shutdown: true, dying: false });
    for expected in [1, 0] {
        bed.daemon.doorbell().domain_states_changed();
        assert_eq!(bed.events(DOM0).len(), expected);
    }
    assert_eq!(bed.read(G1, "x"), "ENOENT|", "still connected");
    assert_eq!(bed.ask(DOM0, msg::RESUME, "1|"), "OK|");
    bed.daemon.doorbell().domain_states_changed();
    assert_eq!(bed.events(DOM0).len(), 1);
    bed.daemon.host.states.insert(G1, DomainState { shutdown: true, dying: true });
    bed.daemon.doorbell().domain_states_changed();
    assert_eq!(bed.events(DOM0).len(), 1);
    assert_eq!(bed.ask(DOM0, msg::IS_DOMAIN_INTRODUCED, "1|"), "F|");
}

#[test]
fn only_the_control_domain_manages_domains() {
    let mut bed = Bed::with_guests(2);
    for (kind, payload) in [
        (msg::INTRODUCE, "3|1|1|"),
        (msg::RELEASE, "2|"),
        (msg::RESUME, "2|"),
        (msg::SET_TARGET, "1|2|"),
        (msg::IS_DOMAIN_INTRODUCED, "2|"),
    ] {
        assert_eq!(bed.ask(G1, kind, payload), "EACCES|");
    }
}

#[test]
fn introductions_that_make_no_sense_are_refused() {
    let mut bed = Bed::new();
    for payload in ["1|", "x|1|1|", "0|1|1|", "1|1|0|", "1|1|-1|", "32752|1|1|", "1|1|4294967296|", ""] {
        assert_eq!(bed.ask(DOM0, msg::INTRODUCE, payload), "EINVAL|", "{payload}");
    }
    assert_eq!(bed.ask(DOM0, msg::INTRODUCE, &std::format!("9|{}|1|", GFN.0)), "EIO|");
    assert!(bed.daemon.domains.is_empty());
    for (kind, payload) in [(msg::RELEASE, "9|"), (msg::RESUME, "9|"), (msg::SET_TARGET, "9|9|")] {
        assert_eq!(bed.ask(DOM0, kind, payload), "ENOENT|");
    }
    assert_eq!(bed.ask(DOM0, msg::RELEASE, "0|"), "EINVAL|");
}

#[test]
fn a_second_introduction_binds_the_new_channel_and_starts_afresh() {
    let mut bed = Bed::with_guests(1);
    bed.ask(G1, msg::WATCH, "x|t|");
    bed.events(G1);
    assert_eq!(bed.ask(DOM0, msg::INTRODUCE, &std::format!("1|{}|77|", GFN.0)), "OK|");
    assert_eq!(bed.daemon.host.bound[&G1].0, 77);
    bed.write(G1, "x", "");
    assert!(bed.events(G1).is_empty());
}

#[test]
fn a_released_domain_loses_its_connection_and_its_nodes() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "x", "");
    assert_eq!(bed.ask(DOM0, msg::RELEASE, "1|"), "OK|");
    assert_eq!(bed.read(DOM0, "/local/domain/1"), "ENOENT|");
    assert_eq!(bed.daemon.connections.len(), 1);
    bed.check();
}

#[test]
fn a_device_model_acts_for_its_target_while_that_lives() {
    let mut bed = Bed::with_guests(2);
    bed.write(G1, "x", "1");
    assert_eq!(bed.read(G2, "/local/domain/1/x"), "EACCES|");
    assert_eq!(bed.ask(DOM0, msg::SET_TARGET, "2|1|"), "OK|");
    assert_eq!(bed.read(G2, "/local/domain/1/x"), "1");
    bed.destroy(G1);
    bed.add_guest(G1);
    bed.write(G1, "x", "1");
    assert_eq!(bed.read(G2, "/local/domain/1/x"), "EACCES|");
}

#[test]
fn special_watches_need_permission() {
    let mut bed = Bed::with_guests(2);
    for guest in [G1, G2] {
        assert_eq!(bed.ask(guest, msg::WATCH, "@introduceDomain|t|"), "OK|");
        bed.events(guest);
    }
    bed.ask(DOM0, msg::SET_PERMS, "@introduceDomain|n0|r2|");
    bed.events(G2);
    bed.add_guest(Domid(3));
    assert!(bed.events(G1).is_empty());
    assert_eq!(bed.events(G2), ["@introduceDomain|t|"]);
}
