//! Who is told of what, and when.

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0};

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);

#[test]
fn a_watch_begins_with_an_event_and_reports_changes_below() {
    let mut bed = Bed::with_guests(1);
    assert_eq!(bed.ask(DOM0, msg::WATCH, "/local/domain/1/data|tok|"), "OK|");
    assert_eq!(bed.events(DOM0), ["/local/domain/1/data|tok|"]);
    bed.write(G1, "data/x/y", "1");
    bed.write(G1, "data", "1");
    bed.ask(G1, msg::SET_PERMS, "data/x|r1|");
    bed.write(G1, "other", "1");
    assert_eq!(
        bed.events(DOM0),
        ["/local/domain/1/data/x/y|tok|", "/local/domain/1/data|tok|", "/local/domain/1/data/x|tok|"]
    );
    assert_eq!(bed.ask(DOM0, msg::UNWATCH, "/local/domain/1/data|tok|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::UNWATCH, "/local/domain/1/data|tok|"), "ENOENT|");
    bed.write(G1, "data", "2");
    assert!(bed.events(DOM0).is_empty());
}

#[test]
fn relative_watches_report_relative_paths() {
    let mut bed = Bed::with_guests(1);
    bed.ask(G1, msg::WATCH, "device|t|");
    assert_eq!(bed.events(G1), ["device|t|"]);
    bed.write(DOM0, "/local/domain/1/device/vbd/51712/state", "1");
    assert_eq!(bed.events(G1), ["device/vbd/51712/state|t|"]);
    assert_eq!(bed.ask(G1, msg::WATCH, "/local/domain/1/device|t|"), "EEXIST|");
    assert_eq!(bed.ask(G1, msg::UNWATCH, "/local/domain/1/device|t|"), "OK|");
}

#[test]
fn removing_a_tree_reports_the_watched_nodes_in_it() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "a/b/c", "");
    for path in ["a", "a/b/c", "a/b/none"] {
        bed.ask(G1, msg::WATCH, &std::format!("{path}|t|"));
    }
    bed.events(G1);
    bed.ask(G1, msg::RM, "a/b|");
    assert_eq!(bed.events(G1), ["a/b/c|t|", "a/b|t|"]);
}

#[test]
fn transactions_report_at_their_commit_only() {
    let mut bed = Bed::with_guests(1);
    bed.ask(DOM0, msg::WATCH, "/local/domain/1|t|");
    bed.events(DOM0);
    let tx = bed.start(G1);
    for path in ["b", "a", "b"] {
        bed.ask_in(tx, G1, msg::WRITE, &std::format!("{path}|x"));
    }
    assert!(bed.events(DOM0).is_empty());
    assert_eq!(bed.end(tx, G1, "T|"), "OK|");
    assert_eq!(bed.events(DOM0), ["/local/domain/1/b|t|", "/local/domain/1/a|t|"]);
    let tx = bed.start(G1);
    bed.ask_in(tx, G1, msg::WRITE, "c|x");
    bed.end(tx, G1, "F|");
    assert!(bed.events(DOM0).is_empty());
}

#[test]
fn whoever_loses_access_is_told_so_and_nothing_more() {
    let mut bed = Bed::with_guests(2);
    bed.write(G1, "shared", "");
    bed.ask(G1, msg::SET_PERMS, "shared|n1|r2|");
    bed.ask(G2, msg::WATCH, "/local/domain/1/shared|t|");
    bed.events(G2);
    bed.ask(G1, msg::SET_PERMS, "shared|n1|");
    assert_eq!(bed.events(G2), ["/local/domain/1/shared|t|"]);
    bed.write(G1, "shared", "secret");
    assert!(bed.events(G2).is_empty());
}

#[test]
fn equal_events_are_sent_once_while_they_wait() {
    let mut bed = Bed::with_guests(1);
    bed.ask(DOM0, msg::WATCH, "/x|t|");
    bed.ask(DOM0, msg::WATCH, "@releaseDomain|t|");
    bed.events(DOM0);
    for _ in 0..5 {
        bed.send(DOM0, msg::WRITE, "/x|v");
    }
    bed.run();
    for _ in 0..5 {
        assert!(bed.reply(DOM0).is_some());
    }
    let events = bed.events(DOM0);
    assert!(!events.is_empty() && events.len() <= 5);
}

#[test]
fn resetting_drops_watches_and_transactions_of_the_caller_alone() {
    let mut bed = Bed::with_guests(2);
    for guest in [G1, G2] {
        bed.ask(guest, msg::WATCH, "x|t|");
        bed.events(guest);
    }
    let tx = bed.start(G1);
    assert_eq!(bed.ask(G1, msg::RESET_WATCHES, "|"), "OK|");
    assert_eq!(bed.ask_in(tx, G1, msg::READ, "x|"), "ENOENT|");
    bed.write(G1, "x", "");
    bed.write(G2, "x", "");
    assert!(bed.events(G1).is_empty());
    assert_eq!(bed.events(G2), ["x|t|"]);
    assert_eq!(bed.daemon.accounts.get(G1).watches, 0);
}
