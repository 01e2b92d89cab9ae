use std::vec;

use super::*;
use crate::fake::{Domain, Machine};

const BACK: Domid = Domid(0);
const FRONT: Domid = Domid(1);

fn two() -> (Machine, Domain, Domain) {
    let machine = Machine::new();
    let (back, front) = (machine.domain(BACK), machine.domain(FRONT));
    (machine, back, front)
}

fn lend(front: &Domain, count: usize, access: Access) -> Grant {
    front.within(|| Grant::of_zeroes(BACK, count, access).unwrap())
}

fn borrow(back: &Domain, grant: &Grant, access: Access) -> Result<Mapping, MapError> {
    back.within(|| Mapping::new(FRONT, grant.grefs(), access))
}

#[test]
fn lender_and_borrower_see_each_other_s_writes() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 1, Access::ReadWrite);
    let mapping = borrow(&back, &grant, Access::ReadWrite).unwrap();
    grant.shared().write_bytes(100, b"ping");
    let mut bytes = [0; 4];
    mapping.shared().read_bytes(100, &mut bytes);
    assert_eq!(&bytes, b"ping");
    mapping.shared().write_bytes(100, b"pong");
    grant.shared().read_bytes(100, &mut bytes);
    assert_eq!(&bytes, b"pong");
}

#[test]
fn a_grant_in_use_does_not_end_and_its_pages_come_back_later() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 3, Access::ReadWrite);
    let mapping = borrow(&back, &grant, Access::ReadWrite).unwrap();
    assert_eq!(back.mapped_grants(), 3);
    let grant = grant.end().unwrap_err();
    drop(mapping);
    assert_eq!(back.mapped_grants(), 0);
    assert_eq!(grant.end().unwrap().count(), 3);
}

#[test]
fn a_dropped_grant_is_held_until_the_borrower_lets_go() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 1, Access::ReadWrite);
    let gref = grant.gref();
    let mapping = borrow(&back, &grant, Access::ReadWrite).unwrap();
    drop(grant);
    assert_eq!(front.within(reap), 1);
    mapping.shared().write_bytes(0, b"still there");
    assert_ne!(lend(&front, 1, Access::ReadOnly).gref(), gref);
    drop(mapping);
    assert_eq!(front.within(reap), 0);
}

#[test]
fn a_reserved_reference_is_never_given_out() {
    let (_machine, _back, front) = two();
    let grant = lend(&front, 600, Access::ReadOnly);
    assert!(grant.grefs().iter().all(|gref| gref.0 >= 8));
}

#[test]
fn the_table_grows_until_it_is_full_and_says_so() {
    let (_machine, _back, front) = two();
    let all = lend(&front, 4 * 512 - 8, Access::ReadOnly);
    let more = front.within(|| Grant::of_zeroes(BACK, 1, Access::ReadOnly).map(drop));
    assert_eq!(more, Err(Errno::ENOSPC));
    drop(all);
    lend(&front, 1, Access::ReadOnly);
}

#[test]
fn a_read_only_grant_is_not_mapped_for_writing() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 1, Access::ReadOnly);
    let refused = borrow(&back, &grant, Access::ReadWrite).unwrap_err();
    assert_eq!(refused, MapError::Refused(grant.gref(), GrantStatus::GENERAL_ERROR));
    borrow(&back, &grant, Access::ReadOnly).unwrap();
}

#[test]
fn of_a_list_with_a_bad_reference_none_stays_mapped() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 2, Access::ReadWrite);
    let grefs = vec![grant.grefs()[0], Gref(99), grant.grefs()[1]];
    let refused = back.within(|| Mapping::new(FRONT, &grefs, Access::ReadWrite)).unwrap_err();
    assert!(matches!(refused, MapError::Refused(Gref(99), _)));
    assert_eq!(back.mapped_grants(), 0);
    grant.end().unwrap();
}

#[test]
fn copies_go_both_ways_and_cross_our_pages() {
    let (_machine, back, front) = two();
    let grant = lend(&front, 1, Access::ReadWrite);
    let place = Place { domid: FRONT, gref: grant.gref(), offset: 7 };
    back.within(|| {
        let out: Vec<u8> = (0..4000u32).map(|i| i as u8).collect();
        to_grant(place, &out).unwrap();
        let mut pages = Pages::new(2).unwrap();
        from_grant(place, &mut pages.bytes_mut()[200..4200]).unwrap();
        assert_eq!(pages.bytes()[200..4200], out);
        let beyond = Place { offset: 4000, ..place };
        assert_eq!(to_grant(beyond, &out[..97]), Err(CopyError::Refused(GrantStatus::BAD_COPY_ARG)));
    });
}
