extern crate std;

use std::{string::ToString, vec::Vec};

use crate::{MAGIC, Table, encode};

fn table() -> Vec<u8> {
    encode([
        (0x20_0000, "_start"),
        (0x20_1000, "hv_core::sched::pick"),
        (0x20_0400, "hv_core::sched::wake"),
        (0x20_8000, "<hypervisor::Board as hv_core::Machine>::kick"),
    ])
}

fn name(bytes: &[u8], address: u32) -> Option<std::string::String> {
    Some(Table::parse(bytes)?.find(address)?.to_string())
}

#[test]
fn an_address_finds_the_function_around_it() {
    let bytes = table();
    assert_eq!(name(&bytes, 0x20_0000).unwrap(), "_start+0x0");
    assert_eq!(name(&bytes, 0x20_0404).unwrap(), "hv_core::sched::wake+0x4");
    assert_eq!(name(&bytes, 0x20_1ffc).unwrap(), "hv_core::sched::pick+0xffc");
    assert_eq!(name(&bytes, 0x20_8010).unwrap(), "<hypervisor::Board as hv_core::Machine>::kick+0x10");
}

#[test]
fn an_address_before_all_functions_finds_none() {
    assert_eq!(name(&table(), 0x10), None);
}

#[test]
fn a_path_is_stored_once() {
    let one = encode([(0, "a::long::path::x")]).len();
    let two = encode([(0, "a::long::path::x"), (4, "a::long::path::y")]).len();
    assert_eq!(two - one, 4);
    let longer = encode([(0, "a::long::path::x"), (4, "a::long::path::on::y")]).len();
    assert_eq!(longer - two, 4);
}

#[test]
fn what_repeats_is_packed() {
    let names: Vec<_> = (0..100).map(|n| std::format!("<[u8; {n}] as hv_core::Packed>::repeated")).collect();
    let bytes = encode((0..).step_by(8).zip(names.iter().map(|n| n.as_str())));
    for (at, expected) in (0..).step_by(8).zip(&names) {
        assert_eq!(name(&bytes, at).unwrap(), std::format!("{expected}+0x0"));
    }
    let plain: usize = names.iter().map(|n| n.len()).sum();
    assert!(bytes.len() < plain / 2, "{} of {plain}", bytes.len());
}

#[test]
fn pairs_that_are_wrong_end() {
    let mut bytes =
        encode([(0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]);
    let pairs = usize::from(bytes[MAGIC.len() + 4]);
    assert!(pairs > 2);
    for at in 0..2 * pairs {
        for value in 0x80..0x90 {
            bytes[MAGIC.len() + 5 + at] = value;
            assert!(name(&bytes, 0).unwrap().chars().count() <= 127 + "+0x0".len());
        }
    }
}

#[test]
fn a_table_that_is_cut_off_is_none() {
    let bytes = table();
    for len in 0..bytes.len() {
        assert!(Table::parse(&bytes[..len]).is_none());
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let bytes = table();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            name(&bytes, 0x20_1000);
        }
    }
}
