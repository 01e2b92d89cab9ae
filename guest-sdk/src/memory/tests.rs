use xen_abi::Domid;

use super::*;
use crate::{fake::Machine, shared::Memory};

#[test]
fn pages_are_zeroed_also_when_used_again() {
    Machine::new().domain(Domid(1)).within(|| {
        let mut pages = Pages::new(3).unwrap();
        assert_eq!(pages.len(), 3 * PAGE_SIZE);
        pages.bytes_mut().fill(0xa5);
        drop(pages);
        assert!(Pages::new(3).unwrap().bytes().iter().all(|&b| b == 0));
        assert_eq!(Pages::new(0).map(drop), Err(Errno::EINVAL));
    });
}

#[test]
fn holes_do_not_overlap_and_are_used_again() {
    Machine::new().domain(Domid(1)).within(|| {
        let holes: [Hole; 5] = [3, 1, 20, 2, 7].map(|n| Hole::new(n).unwrap());
        let mut all: Vec<u64> = holes.iter().flat_map(Hole::gfns).map(|g| g.0).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 33);
        let first = holes[0].gfn(0);
        drop(holes);
        assert!(all.contains(&Hole::new(30).map_or(0, |h| h.gfn(0).0)) || first.0 > 0);
        assert_eq!(Hole::new(3).unwrap().gfn(0), first);
    });
}

#[test]
fn dom0_sees_frames_of_a_guest_and_a_guest_does_not() {
    let machine = Machine::new();
    let (dom0, guest) = (machine.domain(Domid(0)), machine.domain(Domid(1)));
    let mut pages = guest.within(|| Pages::new(2).unwrap());
    pages.bytes_mut()[PAGE_SIZE] = 42;
    let gfns = guest.within(|| [pages.gfn(1), pages.gfn(0)]);
    let mapping = dom0.within(|| ForeignMapping::new(Domid(1), &gfns).unwrap());
    assert_eq!(mapping.shared().read::<u8>(0), 42);
    let bad = [gfns[0], Gfn(1)];
    let error = dom0.within(|| ForeignMapping::new(Domid(1), &bad).map(drop));
    assert_eq!(error, Err(Errno::EINVAL));
    let error = guest.within(|| ForeignMapping::new(Domid(0), &gfns).map(drop));
    assert_eq!(error, Err(Errno::EPERM));
}
