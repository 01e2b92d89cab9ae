use zerocopy::FromBytes;

use super::*;
use crate::store::Discard;

const SECTORS: u64 = 1000;

fn rules() -> Rules {
    let discard = Discard { granularity: 512, alignment: 0, secure: false };
    let geometry = Geometry { discard: Some(discard), ..Geometry::plain(SECTORS) };
    Rules { geometry, max_indirect: 600 }
}

fn large_sectors() -> Rules {
    let geometry = Geometry { sector_size: 4096, physical_sector_size: 4096, ..Geometry::plain(SECTORS) };
    Rules { geometry, max_indirect: 0 }
}

fn read_only() -> Rules {
    Rules { geometry: Geometry { read_only: true, ..rules().geometry }, ..rules() }
}

fn seg(first_sect: u8, last_sect: u8) -> blkif::Segment {
    blkif::Segment { gref: Gref(9), first_sect, last_sect, pad: 0 }
}

fn request(operation: u8, sector: u64, segments: &[blkif::Segment]) -> blkif::Request {
    let mut raw = blkif::Request {
        operation,
        nr_segments: segments.len() as u8,
        id: 0x1234,
        sector_number: sector,
        ..Default::default()
    };
    raw.seg[..segments.len()].copy_from_slice(segments);
    raw
}

fn discard_request(sector: u64, nr_sectors: u64, flag: u8) -> blkif::Request {
    let raw = blkif::RequestDiscard {
        operation: op::DISCARD,
        flag,
        id: 7,
        sector_number: sector,
        nr_sectors,
        ..Default::default()
    };
    widen(raw.as_bytes())
}

fn indirect_request(indirect_op: u8, nr_segments: u16) -> blkif::Request {
    let raw = blkif::RequestIndirect {
        operation: op::INDIRECT,
        indirect_op,
        nr_segments,
        id: 8,
        sector_number: 0,
        indirect_grefs: core::array::from_fn(|i| Gref(100 + i as u32)),
        ..Default::default()
    };
    widen(raw.as_bytes())
}

/// A whole ring entry that begins with `bytes`.
fn widen(bytes: &[u8]) -> blkif::Request {
    let mut raw = blkif::Request::default();
    raw.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    raw
}

fn status(raw: &blkif::Request, rules: &Rules) -> i16 {
    match decode(raw, rules) {
        Ok(_) => rsp::OKAY,
        Err(refusal) => refusal.status,
    }
}

#[test]
fn a_read_names_its_pages_and_length() {
    let (tag, action) = decode(&request(op::READ, 4, &[seg(0, 7), seg(2, 3)]), &rules()).unwrap();
    assert_eq!(tag, Tag { id: 0x1234, op: op::READ });
    let segments =
        [Segment { gref: Gref(9), offset: 0, len: 4096 }, Segment { gref: Gref(9), offset: 1024, len: 1024 }];
    let expected = Transfer { kind: Kind::Read, sector: 4, segments: segments.to_vec(), len: 5120 };
    assert_eq!(action, Action::Transfer(expected));
}

#[test]
fn an_answer_repeats_id_and_operation() {
    let answer = Tag { id: 5, op: op::WRITE }.answer(rsp::ERROR);
    assert_eq!((answer.id, answer.operation, answer.status), (5, op::WRITE, rsp::ERROR));
}

#[test]
fn an_unknown_operation_is_not_supported() {
    for operation in [4, 7, 255] {
        assert_eq!(status(&request(operation, 0, &[seg(0, 0)]), &rules()), rsp::EOPNOTSUPP);
    }
}

#[test]
fn segments_must_lie_within_a_page() {
    for (first, last) in [(0, 8), (8, 8), (3, 2), (255, 255), (0, 255), (255, 0)] {
        assert_eq!(status(&request(op::READ, 0, &[seg(first, last)]), &rules()), rsp::ERROR);
    }
    assert_eq!(status(&request(op::READ, 0, &[seg(7, 7)]), &rules()), rsp::OKAY);
}

#[test]
fn a_transfer_without_segments_is_refused() {
    assert_eq!(status(&request(op::READ, 0, &[]), &rules()), rsp::ERROR);
    assert_eq!(status(&request(op::WRITE, 0, &[]), &rules()), rsp::ERROR);
    assert_eq!(status(&request(op::WRITE_BARRIER, 0, &[]), &rules()), rsp::OKAY);
}

#[test]
fn more_segments_than_fit_are_refused() {
    let mut raw = request(op::READ, 0, &[seg(0, 0); 11]);
    assert_eq!(status(&raw, &rules()), rsp::OKAY);
    for nr_segments in [12, 128, 255] {
        raw.nr_segments = nr_segments;
        assert_eq!(status(&raw, &rules()), rsp::ERROR);
    }
}

#[test]
fn the_last_sector_is_the_end() {
    let full = [seg(0, 7)];
    assert_eq!(status(&request(op::READ, SECTORS - 8, &full), &rules()), rsp::OKAY);
    assert_eq!(status(&request(op::READ, SECTORS - 7, &full), &rules()), rsp::ERROR);
    for sector in [SECTORS, u64::MAX, u64::MAX - 7, u64::MAX / 512 + 1] {
        assert_eq!(status(&request(op::READ, sector, &full), &rules()), rsp::ERROR);
    }
}

#[test]
fn a_read_only_disk_takes_no_writes() {
    for operation in [op::WRITE, op::WRITE_BARRIER] {
        assert_eq!(status(&request(operation, 0, &[seg(0, 0)]), &read_only()), rsp::ERROR);
    }
    assert_eq!(status(&request(op::FLUSH_DISKCACHE, 0, &[seg(0, 0)]), &read_only()), rsp::ERROR);
    assert_eq!(status(&discard_request(0, 1, 0), &read_only()), rsp::ERROR);
    assert_eq!(status(&request(op::FLUSH_DISKCACHE, 0, &[]), &read_only()), rsp::OKAY);
    assert_eq!(status(&request(op::READ, 0, &[seg(0, 0)]), &read_only()), rsp::OKAY);
}

#[test]
fn a_disk_of_large_sectors_takes_whole_ones_only() {
    let rules = large_sectors();
    assert_eq!(status(&request(op::READ, 8, &[seg(0, 7)]), &rules), rsp::OKAY);
    assert_eq!(status(&request(op::READ, 8, &[seg(0, 3)]), &rules), rsp::ERROR);
    assert_eq!(status(&request(op::READ, 4, &[seg(0, 7)]), &rules), rsp::ERROR);
}

#[test]
fn data_with_a_flush_makes_it_a_barrier() {
    let (_, action) = decode(&request(op::FLUSH_DISKCACHE, 0, &[seg(0, 0)]), &rules()).unwrap();
    assert!(matches!(action, Action::Transfer(Transfer { kind: Kind::Barrier, len: 512, .. })));
}

#[test]
fn a_discard_keeps_within_the_disk() {
    assert_eq!(
        decode(&discard_request(10, 20, blkif::DISCARD_SECURE), &rules()).unwrap().1,
        Action::Discard { sector: 10, count: 20, secure: false }
    );
    assert_eq!(status(&discard_request(1, SECTORS, 0), &rules()), rsp::ERROR);
    assert_eq!(status(&discard_request(u64::MAX, 2, 0), &rules()), rsp::ERROR);
    assert_eq!(status(&discard_request(0, 8, 0), &large_sectors()), rsp::EOPNOTSUPP);
}

#[test]
fn an_indirect_request_names_as_many_pages_as_it_needs() {
    for (count, pages) in [(1, 1), (512, 1), (513, 2), (600, 2)] {
        let (tag, action) = decode(&indirect_request(op::WRITE, count), &rules()).unwrap();
        assert_eq!(tag, Tag { id: 8, op: op::WRITE });
        let Action::Indirect(indirect) = action else { panic!("{action:?}") };
        assert_eq!(indirect.pages().len(), pages);
        assert_eq!(indirect.pages()[0], Gref(100));
    }
}

#[test]
fn an_indirect_request_keeps_to_what_was_advertised() {
    for count in [0, 601, u16::MAX] {
        assert_eq!(status(&indirect_request(op::READ, count), &rules()), rsp::ERROR);
    }
    assert_eq!(status(&indirect_request(op::READ, 1), &large_sectors()), rsp::ERROR);
    for operation in [op::FLUSH_DISKCACHE, op::DISCARD, op::INDIRECT] {
        assert_eq!(status(&indirect_request(operation, 1), &rules()), rsp::ERROR);
    }
}

#[test]
fn indirect_segments_are_checked_like_direct_ones() {
    let (tag, action) = decode(&indirect_request(op::WRITE, 2), &rules()).unwrap();
    let Action::Indirect(indirect) = action else { panic!("{action:?}") };
    assert!(indirect.resolve(tag, &[seg(0, 7), seg(0, 7)], &rules()).is_ok());
    assert!(indirect.resolve(tag, &[seg(0, 7), seg(0, 8)], &rules()).is_err());
    assert!(indirect.resolve(tag, &[seg(0, 7), seg(0, 7)], &read_only()).is_err());
    assert!(indirect.resolve(tag, &[seg(0, 7); 200], &rules()).is_err());
}

#[test]
fn no_ring_entry_whatever_gets_past_the_end() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200_000 {
        let mut bytes = [0; size_of::<blkif::Request>()];
        for byte in &mut bytes {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (noise >> 33) as u8;
        }
        if round % 2 == 0 {
            // Most noise fails at the first look: let half of it get further.
            bytes[0] %= 8;
            bytes[1] %= 12;
            bytes[18..24].fill(0);
            for segment in bytes[24..].as_chunks_mut::<8>().0 {
                segment[4] %= 9;
                segment[5] %= 9;
            }
        }
        let raw = blkif::Request::read_from_bytes(&bytes).unwrap();
        match decode(&raw, &rules()) {
            Ok((_, Action::Transfer(transfer))) => {
                assert!(transfer.sector + (transfer.len / SECTOR_SIZE) as u64 <= SECTORS);
                assert!(transfer.segments.iter().all(|s| s.offset + s.len <= 4096 && s.len > 0));
            }
            Ok((_, Action::Discard { sector, count, .. })) => assert!(sector + count <= SECTORS),
            _ => {}
        }
    }
}
