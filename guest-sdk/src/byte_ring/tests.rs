use std::vec::Vec;

use xen_abi::Domid;

use super::*;
use crate::{
    fake::Machine,
    grant::{Access, Grant},
};

fn with_page(f: impl FnOnce(&Grant)) {
    Machine::new().domain(Domid(1)).within(|| f(&Grant::of_zeroes(Domid(0), 1, Access::ReadWrite).unwrap()));
}

const RING: Direction = Direction::CONSOLE_IN;

#[test]
fn a_stream_longer_than_the_ring_comes_out_as_it_went_in() {
    with_page(|page| {
        // Near the end of the indices, so that they wrap on the way.
        for index in [RING.prod, RING.cons] {
            page.shared().store_u32(index, u32::MAX - 700, Ordering::Relaxed);
        }
        let (mut producer, mut consumer) = (Producer::new(page, RING), Consumer::new(page, RING));
        let input: Vec<u8> = (0..5000u32).map(|i| (i * 7) as u8).collect();
        let (mut sent, mut output) = (0, Vec::new());
        while output.len() < input.len() {
            sent += producer.write(&input[sent..]).unwrap();
            let mut part = [0; 600];
            let n = consumer.read(&mut part).unwrap();
            output.extend_from_slice(&part[..n]);
        }
        assert_eq!(input, output);
        assert!(producer.is_drained());
    });
}

#[test]
fn a_full_ring_takes_nothing_and_an_empty_one_gives_nothing() {
    with_page(|page| {
        let (mut producer, mut consumer) = (Producer::new(page, RING), Consumer::new(page, RING));
        assert_eq!(consumer.read(&mut [0; 4]), Ok(0));
        assert_eq!(producer.write(&[1; 2000]), Ok(1024));
        assert_eq!(producer.write(&[1]), Ok(0));
        assert!(!producer.is_drained());
    });
}

#[test]
fn impossible_indices_are_refused() {
    with_page(|page| {
        let (mut producer, mut consumer) = (Producer::new(page, RING), Consumer::new(page, RING));
        page.shared().store_u32(RING.prod, 1025, Ordering::Relaxed);
        assert_eq!(consumer.read(&mut [0; 4]), Err(RingError::BadIndex));
        page.shared().store_u32(RING.cons, 1, Ordering::Relaxed);
        assert_eq!(producer.write(&[1]), Err(RingError::BadIndex));
    });
}
