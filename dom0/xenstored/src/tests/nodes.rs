//! Values, children and permissions.

use std::string::String;
use std::vec::Vec;

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0, text};

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);

#[test]
fn what_was_written_is_read_back() {
    let mut bed = Bed::with_guests(1);
    assert_eq!(bed.write(G1, "data/x", "hello"), "OK|");
    assert_eq!(bed.read(G1, "data/x"), "hello");
    assert_eq!(bed.read(DOM0, "/local/domain/1/data/x"), "hello");
    assert_eq!(bed.read(G1, "data"), "");
    assert_eq!(bed.list(G1, "data"), "x|");
    let answer = bed.request(DOM0, msg::WRITE, 0, b"/bin\0a\0\xff\0");
    assert_eq!(text(&answer.payload), "OK|");
    assert_eq!(bed.request(DOM0, msg::READ, 0, b"/bin\0").payload, b"a\0\xff\0");
}

#[test]
fn making_a_directory_leaves_an_existing_one_alone() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "a", "value");
    assert_eq!(bed.ask(G1, msg::MKDIR, "a|"), "OK|");
    assert_eq!(bed.ask(G1, msg::MKDIR, "b/c|"), "OK|");
    assert_eq!((bed.read(G1, "a"), bed.read(G1, "b/c")), ("value".into(), "".into()));
}

#[test]
fn removing_takes_the_subtree_and_nothing_else() {
    let mut bed = Bed::with_guests(1);
    for path in ["a/b/c", "a/b-c", "a/b0"] {
        bed.write(G1, path, "");
    }
    assert_eq!(bed.ask(G1, msg::RM, "a/b|"), "OK|");
    assert_eq!(bed.list(G1, "a"), "b-c|b0|");
    assert_eq!(bed.ask(G1, msg::RM, "a/b|"), "OK|");
    assert_eq!(bed.ask(G1, msg::RM, "none/b|"), "ENOENT|");
    assert_eq!(bed.ask(DOM0, msg::RM, "/|"), "EINVAL|");
}

#[test]
fn requests_that_do_not_parse_are_invalid() {
    let mut bed = Bed::with_guests(1);
    for (kind, payload) in [
        (msg::READ, "a"),
        (msg::READ, ""),
        (msg::READ, "a|b|"),
        (msg::READ, "@releaseDomain|"),
        (msg::WRITE, "path"),
        (msg::WRITE, "@releaseDomain|x"),
        (msg::SET_PERMS, "a|"),
        (msg::SET_PERMS, "a|q1|"),
        (msg::WATCH, "a|"),
        (msg::WATCH, "a|b|c|"),
        (msg::UNWATCH, "a|"),
        (msg::TRANSACTION_END, "X|"),
        (msg::DIRECTORY_PART, "a|"),
        (msg::DIRECTORY_PART, "a|-1|"),
        (msg::GET_DOMAIN_PATH, "x|"),
    ] {
        assert_eq!(bed.ask(G1, kind, payload), "EINVAL|", "{kind} {payload}");
    }
    for kind in [msg::WATCH_EVENT, msg::ERROR, 20, 23, 24, 25, 26, 27, msg::INVALID, u32::MAX] {
        assert_eq!(bed.ask(G1, kind, "a|"), "ENOSYS|", "{kind}");
    }
    assert_eq!(bed.ask(G1, msg::GET_DOMAIN_PATH, "007|"), "/local/domain/7|");
}

#[test]
fn a_guest_sees_only_what_it_may() {
    let mut bed = Bed::with_guests(2);
    bed.write(G1, "secret", "x");
    let path = "/local/domain/1/secret";
    for (kind, payload) in
        [(msg::READ, ""), (msg::DIRECTORY, ""), (msg::GET_PERMS, ""), (msg::RM, ""), (msg::WRITE, "y")]
    {
        assert_eq!(bed.ask(G2, kind, &std::format!("{path}|{payload}")), "EACCES|");
        assert_eq!(bed.ask(G2, kind, &std::format!("{path}-none|{payload}")), "EACCES|", "existence leaks");
    }
    assert_eq!(bed.ask(G2, msg::SET_PERMS, &std::format!("{path}|n2|")), "EACCES|");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "secret|n1|r2|"), "OK|");
    assert_eq!(bed.read(G2, path), "x");
    assert_eq!(bed.write(G2, path, "y"), "EACCES|");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "secret|n1|b2|"), "OK|");
    assert_eq!(bed.write(G2, path, "y"), "OK|");
    assert_eq!(bed.read(G1, "secret"), "y");
}

#[test]
fn a_missing_node_is_admitted_where_the_directory_may_be_read() {
    let mut bed = Bed::with_guests(2);
    assert_eq!(bed.read(G1, "none/at/all"), "ENOENT|");
    bed.ask(G1, msg::MKDIR, "open|");
    bed.ask(G1, msg::SET_PERMS, "open|r1|");
    assert_eq!(bed.read(G2, "/local/domain/1/open/none"), "ENOENT|");
    assert_eq!(bed.write(G2, "/local/domain/1/open/none", ""), "EACCES|");
}

#[test]
fn a_guest_owns_what_it_makes_and_cannot_give_it_away() {
    let mut bed = Bed::with_guests(2);
    bed.ask(DOM0, msg::WRITE, "/shared|");
    bed.ask(DOM0, msg::SET_PERMS, "/shared|n0|b1|r2|");
    assert_eq!(bed.write(G1, "/shared/mine/deep", "x"), "OK|");
    assert_eq!(bed.ask(G1, msg::GET_PERMS, "/shared/mine/deep|"), "n1|b1|r2|");
    assert_eq!(bed.ask(G1, msg::SET_PERMS, "/shared/mine|n2|"), "EPERM|");
    assert_eq!(bed.ask(DOM0, msg::SET_PERMS, "/shared/mine|n2|"), "OK|");
    assert_eq!(bed.read(G1, "/shared/mine"), "EACCES|");
    assert_eq!(bed.ask(DOM0, msg::WRITE, "/shared/by0|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::GET_PERMS, "/shared/by0|"), "n0|b1|r2|");
    bed.check();
}

#[test]
fn special_nodes_have_permissions_and_nothing_else() {
    let mut bed = Bed::with_guests(1);
    assert_eq!(bed.ask(DOM0, msg::GET_PERMS, "@releaseDomain|"), "n0|");
    assert_eq!(bed.ask(DOM0, msg::SET_PERMS, "@releaseDomain|n0|r1|"), "OK|");
    assert_eq!(bed.ask(G1, msg::GET_PERMS, "@releaseDomain|"), "n0|r1|");
    assert_eq!(bed.ask(G1, msg::GET_PERMS, "@introduceDomain|"), "EACCES|");
    assert_eq!(bed.ask(DOM0, msg::RM, "@releaseDomain|"), "EINVAL|");
    assert_eq!(bed.list(DOM0, "/"), "local|tool|");
}

#[test]
fn a_long_directory_is_listed_in_parts() {
    let mut bed = Bed::new();
    let names: Vec<String> = (0..1000).map(|index| std::format!("name-{index:04}")).collect();
    for name in &names {
        bed.write(DOM0, &std::format!("/long/{name}"), "");
    }
    assert_eq!(bed.list(DOM0, "/long"), "E2BIG|");
    let mut list = String::new();
    let mut generations = Vec::new();
    loop {
        let part = bed.ask(DOM0, msg::DIRECTORY_PART, &std::format!("/long|{}|", list.len()));
        let (generation, names) = part.split_once('|').unwrap();
        generations.push(String::from(generation));
        list.push_str(names);
        if list.ends_with("||") || names == "|" {
            break;
        }
    }
    assert_eq!(list.trim_end_matches('|').split('|').collect::<Vec<_>>(), names);
    assert!(generations.len() > 2 && generations.iter().all(|generation| *generation == generations[0]));
    bed.write(DOM0, "/long/one-more", "");
    let part = bed.ask(DOM0, msg::DIRECTORY_PART, "/long|999999|");
    let (generation, rest) = part.split_once('|').unwrap();
    assert!(generation != generations[0] && rest == "|");
    assert_eq!(bed.ask(DOM0, msg::DIRECTORY_PART, "/tool/xenstored|0|").split_once('|').unwrap().1, "|");
}

#[test]
fn control_answers_the_control_domain_only() {
    let mut bed = Bed::with_guests(1);
    assert_eq!(bed.ask(G1, msg::CONTROL, "check|"), "EACCES|");
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "print|hello|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "nonsense|"), "EINVAL|");
    assert_eq!(bed.ask(DOM0, msg::CONTROL, ""), "EINVAL|");
    assert!(bed.ask(DOM0, msg::CONTROL, "help|").contains("quota"));
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "quota|set|nodes|7|"), "OK|");
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "quota|set|nodes|0|"), "EINVAL|");
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "quota|set|nothing|1|"), "EINVAL|");
    assert!(bed.ask(DOM0, msg::CONTROL, "quota|").contains("nodes            :        7 Nodes per domain"));
    assert!(bed.ask(DOM0, msg::CONTROL, "quota|1|").starts_with("Domain 1:\nnodes            :        1\n"));
    assert_eq!(bed.ask(DOM0, msg::CONTROL, "quota|77|"), "ENOENT|");
}
