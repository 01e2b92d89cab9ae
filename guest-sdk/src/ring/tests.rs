use xen_abi::{
    Domid,
    io::blkif::{Request, Response},
};

use super::*;
use crate::{
    fake::Machine,
    grant::{Access, Grant},
};

type Front<'a> = FrontRing<Request, Response, &'a Grant>;
type Back<'a> = BackRing<Request, Response, &'a Grant>;

fn with_pages(count: usize, f: impl FnOnce(&Grant)) {
    Machine::new()
        .domain(Domid(1))
        .within(|| f(&Grant::of_zeroes(Domid(0), count, Access::ReadWrite).unwrap()));
}

fn request(id: u64) -> Request {
    Request { id, ..Request::default() }
}

fn response(id: u64) -> Response {
    Response { id, ..Response::default() }
}

#[test]
fn a_block_ring_has_the_slots_that_linux_gives_it() {
    for (pages, slots) in [(1, 32), (2, 64), (4, 128), (16, 512)] {
        with_pages(pages, |m| assert_eq!(Front::new(m).size(), slots));
    }
}

#[test]
fn requests_and_responses_pass_across_the_wrap() {
    with_pages(1, |m| {
        let (mut front, mut back) = (Front::new(m), Back::attach(m).unwrap());
        let (mut asked, mut told) = (0, 0);
        while told < 100 {
            while front.free() > 0 {
                front.push(&request(asked)).unwrap();
                asked += 1;
            }
            assert_eq!(front.push(&request(0)), Err(RingError::Full));
            let _ = front.publish();
            for _ in 0..7 {
                let taken = back.pop().unwrap().unwrap();
                back.push(&response(taken.id)).unwrap();
            }
            let _ = back.publish();
            while let Some(answer) = front.pop().unwrap() {
                assert_eq!(answer.id, told);
                told += 1;
            }
        }
    });
}

#[test]
fn the_peer_is_notified_only_when_it_asked() {
    with_pages(1, |m| {
        let (mut front, mut back) = (Front::new(m), Back::attach(m).unwrap());
        front.push(&request(1)).unwrap();
        assert!(front.publish(), "a new ring asks for the first");
        front.push(&request(2)).unwrap();
        assert!(!front.publish(), "the peer was told and has not looked");
        while back.pop().unwrap().is_some() {}
        assert!(!back.arm().unwrap());
        front.push(&request(3)).unwrap();
        assert!(front.publish(), "the peer looked and asked again");
        assert!(back.arm().unwrap(), "a request that came before is seen");
    });
}

#[test]
fn unpublished_entries_are_not_seen() {
    with_pages(1, |m| {
        let (mut front, mut back) = (Front::new(m), Back::attach(m).unwrap());
        front.push(&request(1)).unwrap();
        assert!(back.pop().unwrap().is_none());
        let _ = front.publish();
        back.pop().unwrap().unwrap();
        back.push(&response(1)).unwrap();
        assert!(front.pop().unwrap().is_none());
        assert_eq!(back.push(&response(1)), Err(RingError::Full));
    });
}

#[test]
fn a_front_end_that_claims_too_many_requests_is_found() {
    with_pages(1, |m| {
        let mut back = Back::attach(m).unwrap();
        for prod in [33, u32::MAX, 0x8000_0000] {
            m.shared().store_u32(REQ_PROD, prod, Ordering::Relaxed);
            assert_eq!(back.pop(), Err(RingError::BadIndex));
            assert_eq!(back.arm(), Err(RingError::BadIndex));
        }
        assert!(Back::attach(m).is_err());
    });
}

#[test]
fn a_front_end_that_takes_requests_back_is_found() {
    with_pages(1, |m| {
        let (mut front, mut back) = (Front::new(m), Back::attach(m).unwrap());
        front.push(&request(1)).unwrap();
        let _ = front.publish();
        back.pop().unwrap().unwrap();
        m.shared().store_u32(REQ_PROD, 0, Ordering::Relaxed);
        assert_eq!(back.pop(), Err(RingError::BadIndex));
    });
}

#[test]
fn a_back_end_that_answers_what_was_not_asked_is_found() {
    with_pages(1, |m| {
        let mut front = Front::new(m);
        front.push(&request(1)).unwrap();
        let _ = front.publish();
        front.push(&request(2)).unwrap();
        m.shared().store_u32(RSP_PROD, 2, Ordering::Relaxed);
        assert_eq!(front.pop(), Err(RingError::BadIndex));
        m.shared().store_u32(RSP_PROD, u32::MAX, Ordering::Relaxed);
        assert_eq!(front.arm(), Err(RingError::BadIndex));
    });
}

#[test]
fn a_back_end_joins_where_the_last_one_stopped() {
    with_pages(1, |m| {
        let (mut front, mut back) = (Front::new(m), Back::attach(m).unwrap());
        for id in 0..3 {
            front.push(&request(id)).unwrap();
        }
        let _ = front.publish();
        back.pop().unwrap().unwrap();
        back.push(&response(0)).unwrap();
        let _ = back.publish();
        let mut next = Back::attach(m).unwrap();
        assert_eq!(next.pop().unwrap().unwrap().id, 1);
    });
}
