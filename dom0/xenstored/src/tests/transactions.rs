//! Isolation and conflicts.

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0};

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);

#[test]
fn changes_show_inside_at_once_and_outside_after_the_commit() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "old/child", "1");
    let tx = bed.start(G1);
    bed.ask_in(tx, G1, msg::WRITE, "new/x|2");
    bed.ask_in(tx, G1, msg::RM, "old|");
    assert_eq!(bed.ask_in(tx, G1, msg::DIRECTORY, "/local/domain/1|"), "new|");
    assert_eq!(bed.ask_in(tx, G1, msg::READ, "old/child|"), "ENOENT|");
    assert_eq!(bed.ask_in(tx, G1, msg::READ, "new/x|"), "2");
    assert_eq!(bed.list(G1, "/local/domain/1"), "old|");
    assert_eq!(bed.end(tx, G1, "T|"), "OK|");
    assert_eq!(bed.list(G1, "/local/domain/1"), "new|");
    assert_eq!(bed.read(G1, "new/x"), "2");
    assert_eq!(bed.end(tx, G1, "T|"), "ENOENT|");
    bed.check();
}

#[test]
fn an_aborted_transaction_leaves_no_trace() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "a", "1");
    let (before, account) = (bed.dump(), bed.daemon.accounts.get(G1));
    let tx = bed.start(G1);
    bed.ask_in(tx, G1, msg::WRITE, "a|2");
    bed.ask_in(tx, G1, msg::WRITE, "b/c/d|2");
    bed.ask_in(tx, G1, msg::RM, "a|");
    assert_ne!(bed.daemon.accounts.get(G1), account);
    assert_eq!(bed.end(tx, G1, "F|"), "OK|");
    assert_eq!((bed.dump(), bed.daemon.accounts.get(G1)), (before, account));
}

#[test]
fn a_change_of_what_was_read_makes_the_commit_fail() {
    for (look, payload) in
        [(msg::READ, "a|"), (msg::GET_PERMS, "a|"), (msg::DIRECTORY, "a|"), (msg::READ, "none|")]
    {
        for (change, what) in [
            (msg::WRITE, "a|2"),
            (msg::SET_PERMS, "a|r1|"),
            (msg::WRITE, "a/child|"),
            (msg::RM, "a|"),
            (msg::WRITE, "none|"),
        ] {
            let mut bed = Bed::with_guests(1);
            bed.write(G1, "a", "1");
            let tx = bed.start(DOM0);
            bed.ask_in(tx, DOM0, look, &std::format!("/local/domain/1/{payload}"));
            bed.ask_in(tx, DOM0, msg::WRITE, "/result|x");
            assert_eq!(bed.ask(G1, change, what), "OK|");
            let seen = payload.trim_end_matches('|');
            let conflicts = match what {
                "a/child|" => look == msg::DIRECTORY,
                "none|" => seen == "none",
                _ => seen == "a",
            };
            let outcome = bed.end(tx, DOM0, "T|");
            assert_eq!(
                outcome == "EAGAIN|",
                conflicts,
                "{look} {payload} against {change} {what}: {outcome}"
            );
            assert_eq!(bed.read(DOM0, "/result") == "x", !conflicts);
        }
    }
}

#[test]
fn transactions_in_different_places_do_not_disturb_one_another() {
    let mut bed = Bed::with_guests(2);
    let (one, two) = (bed.start(G1), bed.start(G2));
    bed.ask_in(one, G1, msg::WRITE, "device/a|1");
    bed.ask_in(two, G2, msg::WRITE, "device/a|2");
    assert_eq!(bed.end(one, G1, "T|"), "OK|");
    assert_eq!(bed.end(two, G2, "T|"), "OK|");
}

#[test]
fn children_of_one_directory_can_be_made_side_by_side() {
    let mut bed = Bed::new();
    let (one, two) = (bed.start(DOM0), bed.start(DOM0));
    bed.ask_in(one, DOM0, msg::WRITE, "/tool/a|1");
    bed.ask_in(two, DOM0, msg::WRITE, "/tool/b|2");
    assert_eq!(bed.end(one, DOM0, "T|"), "OK|");
    assert_eq!(bed.end(two, DOM0, "T|"), "OK|");
    assert_eq!(bed.list(DOM0, "/tool"), "a|b|xenstored|");
}

#[test]
fn the_same_node_cannot_be_made_twice() {
    let mut bed = Bed::new();
    let (one, two) = (bed.start(DOM0), bed.start(DOM0));
    bed.ask_in(one, DOM0, msg::WRITE, "/x/a|1");
    bed.ask_in(two, DOM0, msg::WRITE, "/x/b|2");
    assert_eq!(bed.end(one, DOM0, "T|"), "OK|");
    assert_eq!(bed.end(two, DOM0, "T|"), "EAGAIN|");
}

#[test]
fn nothing_is_made_in_a_directory_that_went() {
    let mut bed = Bed::new();
    bed.write(DOM0, "/x", "");
    let tx = bed.start(DOM0);
    bed.ask_in(tx, DOM0, msg::WRITE, "/x/a|1");
    bed.ask(DOM0, msg::RM, "/x|");
    assert_eq!(bed.end(tx, DOM0, "T|"), "EAGAIN|");
    let tx = bed.start(DOM0);
    bed.write(DOM0, "/y/z", "");
    bed.ask_in(tx, DOM0, msg::RM, "/y|");
    bed.write(DOM0, "/y/z/late", "");
    assert_eq!(bed.end(tx, DOM0, "T|"), "EAGAIN|");
    assert_eq!(bed.list(DOM0, "/y/z"), "late|");
    bed.check();
}

#[test]
fn what_is_removed_can_be_made_again_in_the_same_transaction() {
    let mut bed = Bed::new();
    bed.write(DOM0, "/x/old/deep", "1");
    let tx = bed.start(DOM0);
    bed.ask_in(tx, DOM0, msg::RM, "/x|");
    bed.ask_in(tx, DOM0, msg::WRITE, "/x/new|2");
    assert_eq!(bed.ask_in(tx, DOM0, msg::DIRECTORY, "/x|"), "new|");
    assert_eq!(bed.end(tx, DOM0, "T|"), "OK|");
    assert_eq!(bed.list(DOM0, "/x"), "new|");
    bed.check();
}

#[test]
fn transaction_numbers_belong_to_the_connection() {
    let mut bed = Bed::with_guests(2);
    let tx = bed.start(G1);
    assert_eq!(bed.ask_in(tx, G2, msg::READ, "x|"), "ENOENT|");
    assert_eq!(bed.ask_in(tx, G1, msg::TRANSACTION_START, "|"), "EBUSY|");
    assert_eq!(bed.ask_in(tx + 1, G1, msg::WRITE, "x|"), "ENOENT|");
    assert_eq!(bed.ask_in(0, G1, msg::TRANSACTION_END, "T|"), "ENOENT|");
    assert_eq!(bed.ask_in(77, G1, msg::WATCH, "x|t|"), "OK|");
    bed.events(G1);
}
