//! Attacks known from the security advisories of Xen's store daemons. Each test is named for what does not work.

use core::mem::offset_of;
use std::string::String;
use std::vec::Vec;

use xen_abi::Domid;
use xen_abi::io::xs_wire::{DomainInterface, msg};

use super::bed::{Bed, DOM0, text};
use crate::Work;

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);

/// XSA-72, 420: lengths of messages.
#[test]
fn empty_payloads_harm_no_request() {
    let mut bed = Bed::with_guests(1);
    for kind in (0..30).filter(|&kind| kind != msg::WRITE) {
        for from in [G1, DOM0] {
            let answer = bed.request(from, kind, 0, b"");
            let fine = kind == msg::RESET_WATCHES || kind == msg::TRANSACTION_START;
            assert_eq!(answer.header.kind == msg::ERROR, !fine, "{kind}");
        }
    }
    assert_eq!(bed.ask(G1, msg::WRITE, ""), "EINVAL|");
    assert_eq!(bed.ask(G1, msg::READ, "|"), "EINVAL|");
    bed.check();
}

/// XSA-206: transactions of others failing for ever.
#[test]
fn writing_without_pause_does_not_starve_a_transaction() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "hot", "0");
    let flood: Vec<u8> = (0..5).flat_map(|_| bed.message(msg::WRITE, 0, b"hot\x001")).collect();
    let mut failures = 0;
    loop {
        let tx = bed.start(DOM0);
        bed.ask_in(tx, DOM0, msg::READ, "/local/domain/1/hot|");
        // A millisecond passes in each transaction, in which the guest writes as much as its ring takes.
        bed.now += 1;
        bed.page(G1).put(&flood);
        bed.daemon.doorbell().ring_domain(G1);
        bed.run();
        while bed.reply(G1).is_some() {}
        if bed.end(tx, DOM0, "T|") == "OK|" {
            break;
        }
        failures += 1;
        assert!(failures < 50);
    }
    assert!(failures > 0, "the first writes of a burst do pass");
    let Work::Until(Some(deadline)) = bed.daemon.round(bed.now) else {
        panic!("the guest waits for nothing")
    };
    assert!(deadline > bed.now && deadline < bed.now + 1000);
}

/// XSA-322: rights of a dead domain.
#[test]
fn a_new_domain_does_not_inherit_from_one_with_its_id() {
    let mut bed = Bed::with_guests(2);
    bed.write(G2, "for-1", "secret");
    assert_eq!(bed.ask(G2, msg::SET_PERMS, "for-1|n2|b1|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::SET_PERMS, "@releaseDomain|n0|r1|"), "OK|");
    bed.write(DOM0, "/for-1", "");
    bed.ask(DOM0, msg::SET_PERMS, "/for-1|n0|b1|");
    bed.write(G1, "/for-1/mine/deep", "old");
    assert_eq!(bed.read(G1, "/local/domain/2/for-1"), "secret");
    bed.destroy(G1);
    assert_eq!(bed.ask(DOM0, msg::GET_PERMS, "@releaseDomain|"), "n0|");
    assert_eq!(bed.list(DOM0, "/for-1"), "");
    bed.add_guest(G1);
    assert_eq!(bed.read(G1, "/local/domain/2/for-1"), "EACCES|");
    assert_eq!(bed.read(G1, "/for-1"), "EACCES|");
    bed.check();
}

/// XSA-322: rights for a domain to come.
#[test]
fn a_right_for_a_domain_that_does_not_exist_is_void_for_ever() {
    let mut bed = Bed::with_guests(2);
    bed.write(G1, "x", "1");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "x|n1|r3|r2|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::SET_PERMS, "/local/domain/1/x|n3|"), "ENOENT|");
    bed.add_guest(Domid(3));
    assert_eq!(bed.read(Domid(3), "/local/domain/1/x"), "EACCES|");
    assert_eq!(bed.read(G2, "/local/domain/1/x"), "1");
    assert_eq!(bed.ask(G1, msg::GET_PERMS, "x|"), "n1|r3|r2|");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "x|n1|r3|"), "OK|");
    assert_eq!(bed.read(Domid(3), "/local/domain/1/x"), "1");
}

/// XSA-353: the root.
#[test]
fn the_root_survives_an_owner_that_dies() {
    let mut bed = Bed::with_guests(1);
    bed.ask(DOM0, msg::SET_PERMS, "/|n1|");
    bed.ask(DOM0, msg::SET_PERMS, "@introduceDomain|b1|");
    assert_eq!(bed.ask(G1, msg::RM, "/|"), "EINVAL|");
    bed.destroy(G1);
    assert_eq!(bed.ask(DOM0, msg::GET_PERMS, "/|"), "n0|");
    assert_eq!(bed.ask(DOM0, msg::GET_PERMS, "@introduceDomain|"), "n0|");
    assert_eq!(bed.list(DOM0, "/"), "local|tool|");
    bed.check();
}

/// XSA-324: an event longer than a message.
#[test]
fn a_long_path_with_a_long_token_fires_nothing() {
    let mut bed = Bed::with_guests(1);
    let (path, token) = ("p".repeat(1900), "t".repeat(2100));
    assert_eq!(bed.ask(G1, msg::WATCH, &std::format!("{path}|{token}|")), "OK|");
    assert_eq!(bed.events(G1).len(), 1);
    assert_eq!(bed.write(DOM0, &std::format!("/local/domain/1/{path}/{}", "c".repeat(1000)), ""), "OK|");
    assert!(bed.events(G1).is_empty());
    assert_eq!(bed.write(G1, &path, ""), "OK|");
    assert_eq!(bed.events(G1).len(), 1);
}

/// Sends requests while the daemon takes them, without taking anything from the ring.
fn flood(bed: &mut Bed, from: Domid, kind: u32, payload: &str) {
    for index in 0..2000 {
        let message = bed.message(kind, 0, std::format!("{payload}{index}").replace('|', "\0").as_bytes());
        if bed.page(from).room() >= message.len() {
            bed.page(from).put(&message);
        }
        bed.daemon.doorbell().ring_domain(from);
        while bed.daemon.round(bed.now) == Work::More {}
    }
}

/// XSA-326: replies that are not taken.
#[test]
fn a_guest_that_takes_no_replies_is_not_read_from() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "big", &"x".repeat(2000));
    let taken = bed.page(G1).get(offset_of!(DomainInterface, req_cons));
    flood(&mut bed, G1, msg::WRITE, "small|");
    assert!(bed.daemon.connections.values().all(|conn| conn.outstanding() <= 20));
    let bytes = bed.page(G1).get(offset_of!(DomainInterface, req_cons)).wrapping_sub(taken);
    assert!(bytes < 100 * 40, "{bytes} bytes were read");
    assert!(bed.daemon.accounts.get(G1).memory < 20_000);
    bed.run();
    while bed.reply(G1).is_some() {}
    assert_eq!(bed.write(G1, "small", "again"), "OK|");
}

/// XSA-326: events that a victim does not take.
#[test]
fn a_guest_cannot_flood_one_that_sleeps() {
    let mut bed = Bed::with_guests(2);
    bed.write(G1, "shared", "");
    bed.ask(G1, msg::SET_PERMS, "shared|r1|");
    bed.ask(G2, msg::WATCH, "/local/domain/1/shared|token|");
    bed.events(G2);
    let sleeper = bed.page(G2);
    bed.daemon.host.pages.remove(&G2);
    let mut written = 0;
    for index in 0..200 {
        let message = bed.message(msg::WRITE, 0, std::format!("shared/{index}\0").as_bytes());
        bed.page(G1).put(&message);
        bed.daemon.doorbell().ring_domain(G1);
        bed.run();
        if bed.reply(G1).is_none() {
            break;
        }
        written += 1;
    }
    // The sleeper's ring takes some, then twenty requests stay open.
    assert!((20..80).contains(&written), "{written}");
    assert!(bed.daemon.accounts.get(G2).memory < 10_000);
    let Work::Until(Some(deadline)) = bed.daemon.round(bed.now) else { panic!("nothing expires") };
    assert!(deadline <= bed.now + 20_000);
    bed.now = deadline;
    bed.run();
    assert_eq!(text(&bed.reply(G1).expect("the writer goes on after the timeout").payload), "OK|");
    assert!(bed.daemon.accounts.get(G2).memory < 2_000);
    // The sleeper wakes up, and finds whole messages.
    bed.daemon.host.pages.insert(G2, sleeper);
    bed.run();
    assert!(!bed.events(G2).is_empty());
    assert_eq!(bed.read(G2, "x"), "ENOENT|");
}

/// XSA-233, 330: ending things twice.
#[test]
fn ending_a_thing_twice_ends_it_once() {
    let mut bed = Bed::with_guests(1);
    bed.ask(G1, msg::WATCH, "x|t|");
    bed.events(G1);
    let tx = bed.start(G1);
    for _ in 0..2 {
        bed.ask(G1, msg::UNWATCH, "x|t|");
        bed.ask_in(tx, G1, msg::TRANSACTION_END, "F|");
        bed.ask(G1, msg::RESET_WATCHES, "|");
    }
    let account = bed.daemon.accounts.get(G1);
    assert_eq!((account.watches, account.transactions, bed.daemon.open_transactions), (0, 0, 0));
    assert_eq!(bed.ask(DOM0, msg::RELEASE, "1|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::RELEASE, "1|"), "ENOENT|");
    bed.destroy(G1);
    bed.check();
}

/// XSA-417: nodes of a dead domain below those of others.
#[test]
fn nodes_die_with_their_owner_wherever_they_are() {
    let mut bed = Bed::with_guests(2);
    bed.write(G2, "open", "");
    bed.ask(G2, msg::SET_PERMS, "open|n2|b1|");
    bed.write(G1, "/local/domain/2/open/a/b", "");
    bed.ask(DOM0, msg::WATCH, "/local/domain/2|t|");
    bed.events(DOM0);
    bed.destroy(G1);
    assert_eq!(bed.list(G2, "open"), "");
    assert_eq!(bed.events(DOM0), ["/local/domain/2/open/a|t|"]);
    let account = bed.daemon.accounts.get(G1);
    assert_eq!(account, crate::quota::Account::default());
    bed.check();
}

/// XSA-322, 417: a domain that was never introduced.
#[test]
fn a_domain_that_dies_before_its_introduction_leaves_nothing() {
    let mut bed = Bed::new();
    bed.create_guest(G1);
    bed.write(DOM0, "/local/domain/1", "");
    assert_eq!(bed.ask(DOM0, msg::SET_PERMS, "/local/domain/1|n1|"), "OK|");
    bed.destroy(G1);
    assert_eq!(bed.list(DOM0, "/local/domain"), "");
    bed.check();
}

/// XSA-418, 421: depth.
#[test]
fn a_tree_as_deep_as_paths_are_long_can_be_made_and_removed() {
    let mut bed = Bed::with_guests(1);
    let deep = "/a".repeat(1535);
    assert_eq!(bed.write(DOM0, &deep, "bottom"), "OK|");
    assert_eq!(bed.read(DOM0, &deep), "bottom");
    let tx = bed.start(DOM0);
    assert_eq!(bed.ask_in(tx, DOM0, msg::RM, "/a|"), "OK|");
    assert_eq!(bed.end(tx, DOM0, "T|"), "OK|");
    assert_eq!(bed.list(DOM0, "/"), "local|tool|");
    assert_eq!(bed.write(G1, &std::format!("x{}", "/a".repeat(990)), ""), "OK|");
    bed.destroy(G1);
    assert_eq!(bed.dump().len(), 7);
    bed.check();
}

/// XSA-425: one client that always has something.
#[test]
fn every_connection_gets_one_request_in_a_round() {
    let mut bed = Bed::with_guests(3);
    let busy: Vec<u8> = (0..20).flat_map(|_| bed.message(msg::READ, 0, b"a\0")).collect();
    for guest in [G1, G2] {
        bed.page(guest).put(&busy);
        bed.daemon.doorbell().ring_domain(guest);
    }
    let quiet = bed.message(msg::READ, 0, b"a\0");
    bed.page(Domid(3)).put(&quiet);
    bed.daemon.doorbell().ring_domain(Domid(3));
    let cons = |bed: &Bed, guest| bed.page(guest).get(offset_of!(DomainInterface, req_cons));
    let before: Vec<u32> = [G1, G2].iter().map(|&guest| cons(&bed, guest)).collect();
    assert_eq!(bed.daemon.round(bed.now), Work::More);
    for (guest, before) in [G1, G2].into_iter().zip(before) {
        assert_eq!(cons(&bed, guest).wrapping_sub(before), 18);
    }
    assert!(!bed.page(Domid(3)).take().is_empty());
}

/// XSA-484: the same removal over and over in a transaction.
#[test]
fn removing_again_in_a_transaction_counts_once() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "x/y", "");
    let tx = bed.start(G1);
    for _ in 0..5 {
        assert_eq!(bed.ask_in(tx, G1, msg::RM, "x|"), "OK|");
    }
    bed.ask_in(tx, G1, msg::WRITE, "x/z|");
    bed.ask_in(tx, G1, msg::RM, "x/z|");
    assert_eq!(bed.end(tx, G1, "T|"), "OK|");
    assert_eq!(bed.daemon.accounts.get(G1).nodes, 2);
    bed.check();
}

/// Any bytes in the ring, any indices.
#[test]
fn garbage_ends_at_most_the_connection_that_sent_it() {
    let mut random = super::model::Random(99);
    let mut bed = Bed::with_guests(2);
    for round in 0..300 {
        let page = bed.page(G1);
        let bytes: Vec<u8> = (0..random.below(1024))
            .map(|_| if random.below(3) == 0 { random.below(256) as u8 } else { 0 })
            .collect();
        if round % 10 == 9 {
            page.set(2048 + 4 * random.below(8), random.next() as u32);
        } else if page.get(offset_of!(DomainInterface, error)) == 0 {
            page.put(&bytes);
        }
        bed.daemon.doorbell().ring_domain(G1);
        while bed.daemon.round(bed.now) == Work::More {}
        bed.now += 1000;
        // The broken guest's messages are of no interest; its ring is made sane again.
        let prod = page.get(offset_of!(DomainInterface, rsp_prod));
        page.set(offset_of!(DomainInterface, rsp_cons), prod);
        if page.get(offset_of!(DomainInterface, error)) != 0 {
            page.set(offset_of!(DomainInterface, connection), 1);
        }
        let value = std::format!("{round}");
        bed.daemon.host.pages.remove(&G1);
        assert_eq!(bed.write(G2, "alive", &value), "OK|");
        bed.daemon.host.pages.insert(G1, page);
    }
    let _: String = text(b"");
    bed.daemon.host.pages.remove(&G1);
    bed.check();
}
