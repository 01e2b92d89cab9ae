//! What one guest can use.

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0};

const G1: Domid = Domid(1);

#[test]
fn nodes_are_limited_and_given_back() {
    let mut bed = Bed::with_guests(1);
    // The guest's own directory is its first node.
    for index in 0..999 {
        assert_eq!(bed.write(G1, &std::format!("n{index}"), ""), "OK|");
    }
    let before = bed.dump();
    assert_eq!(bed.write(G1, "one-more", ""), "ENOSPC|");
    assert_eq!(bed.ask(G1, msg::RM, "n0|"), "OK|");
    assert_eq!(bed.write(G1, "a/b", ""), "ENOSPC|", "both or none");
    assert_eq!(bed.write(G1, "n0", ""), "OK|");
    assert_eq!(bed.dump(), before);
    assert_eq!(bed.write(DOM0, "/local/domain/1/by-dom0", ""), "OK|");
    bed.check();
}

#[test]
fn nodes_in_a_transaction_count_as_well() {
    let mut bed = Bed::with_guests(1);
    for index in 0..900 {
        bed.write(G1, &std::format!("n{index}"), "");
    }
    let tx = bed.start(G1);
    for index in 0..99 {
        assert_eq!(bed.ask_in(tx, G1, msg::WRITE, &std::format!("t{index}|")), "OK|");
    }
    assert_eq!(bed.ask_in(tx, G1, msg::WRITE, "one-more|"), "ENOSPC|");
    assert_eq!(bed.write(G1, "outside", ""), "OK|");
    assert_eq!(bed.end(tx, G1, "T|"), "ENOSPC|");
    assert_eq!(bed.daemon.accounts.get(G1).nodes, 902);
    bed.check();
}

#[test]
fn a_transaction_looks_at_a_limited_number_of_nodes() {
    let mut bed = Bed::with_guests(1);
    let tx = bed.start(G1);
    let mut answers = (0..1100).map(|index| bed.ask_in(tx, G1, msg::READ, &std::format!("n{index}|")));
    assert!(answers.by_ref().take(1000).all(|answer| answer == "ENOENT|"));
    assert!(answers.any(|answer| answer == "ENOSPC|"));
    assert_eq!(bed.end(tx, G1, "T|"), "OK|");
}

#[test]
fn watches_transactions_permissions_and_sizes_are_limited() {
    let mut bed = Bed::with_guests(1);
    for index in 0..128 {
        assert_eq!(bed.ask(G1, msg::WATCH, &std::format!("w|{index}|")), "OK|");
    }
    assert_eq!(bed.ask(G1, msg::WATCH, "w|128|"), "ENOSPC|");
    bed.ask(G1, msg::UNWATCH, "w|5|");
    assert_eq!(bed.ask(G1, msg::WATCH, "w|128|"), "OK|");
    bed.events(G1);
    for _ in 0..10 {
        bed.start(G1);
    }
    assert_eq!(bed.ask(G1, msg::TRANSACTION_START, "|"), "ENOSPC|");
    bed.write(G1, "p", "");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "p|n1|r0|r0|r0|r0|"), "OK|");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "p|n1|r0|r0|r0|r0|r0|"), "ENOSPC|");
    assert_eq!(bed.write(G1, "q", &"x".repeat(2048 - 24 - 8 - 1)), "OK|");
    assert_eq!(bed.write(G1, "q", &"x".repeat(2048 - 24 - 8)), "ENOSPC|");
    assert_eq!(bed.write(DOM0, "/big", &"x".repeat(4000)), "OK|");
}

#[test]
fn memory_is_limited() {
    let mut bed = Bed::with_guests(1);
    bed.daemon.accounts.limits.memory = 100_000;
    let value = "x".repeat(1900);
    let answers: std::vec::Vec<_> =
        (0..60).map(|index| bed.write(G1, &std::format!("n{index}"), &value)).collect();
    assert!(answers[..50].iter().all(|answer| answer == "OK|"));
    assert_eq!(answers[59], "ENOMEM|");
    assert_eq!(bed.ask(G1, msg::RM, "n0|"), "OK|", "a guest can always make room");
    assert_eq!(bed.write(G1, "n0", &value), "OK|");
    let tx = bed.start(G1);
    assert_eq!(bed.ask_in(tx, G1, msg::WRITE, &std::format!("n1|{value}x")), "ENOMEM|");
    assert!(bed.daemon.accounts.get(G1).memory <= 100_000);
    bed.check();
}

#[test]
fn permissions_set_over_and_over_do_not_move_the_accounts() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "x", "1");
    let account = bed.daemon.accounts.get(G1);
    for _ in 0..50 {
        assert_eq!(bed.ask(G1, msg::SET_PERMS, "x|n1|"), "OK|");
        assert_eq!(bed.ask(G1, msg::SET_PERMS, "x|r2|"), "ENOENT|", "no such owner");
    }
    assert_eq!(bed.daemon.accounts.get(G1), account);
    bed.check();
}
