//! What a front end asks for, checked.
//!
//! A request is copied out of the ring once, and so is each page of an indirect one. This module looks at the
//! copies only and returns either something that is safe to carry out or the answer that refuses it. The
//! `handle` of a request is not looked at: the ring says which disk is meant, and front ends differ in what
//! they put there.

use alloc::vec::Vec;

use guest_sdk::abi::Gref;
use guest_sdk::abi::io::blkif::{self, op, rsp};
use zerocopy::{FromBytes, IntoBytes};

use crate::store::{Geometry, SECTOR_SIZE};

/// Sectors in a granted page.
const SECTORS_PER_PAGE: u8 = 8;

/// What requests are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The store behind the disk, read-only also when only this guest's view of it is.
    pub geometry: Geometry,
    /// Most segments of an indirect request, as advertised.
    pub max_indirect: u16,
}

/// What an answer repeats of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The front end's own number for the request.
    pub id: u64,
    /// The operation; of an indirect request, the inner one.
    pub op: u8,
}

impl Tag {
    /// The answer to the request.
    #[must_use]
    pub fn answer(self, status: i16) -> blkif::Response {
        blkif::Response { id: self.id, operation: self.op, status, ..Default::default() }
    }

    fn refuse(self, why: &'static str) -> Refusal {
        Refusal { tag: self, status: rsp::ERROR, why }
    }

    fn unsupported(self, why: &'static str) -> Refusal {
        Refusal { tag: self, status: rsp::EOPNOTSUPP, why }
    }
}

/// A request that is answered without doing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the request.
    pub tag: Tag,
    /// The status to answer with.
    pub status: i16,
    /// For the log.
    pub why: &'static str,
}

/// A request that can be carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Moves data.
    Transfer(Transfer),
    /// Moves data; which pages is still to be read from the granted ones.
    Indirect(Indirect),
    /// Makes completed writes durable.
    Flush,
    /// Forgets sectors.
    Discard {
        /// The first sector.
        sector: u64,
        /// How many.
        count: u64,
        /// Beyond recovery.
        secure: bool,
    },
}

/// Which way data moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the store to the guest.
    Read,
    /// From the guest to the store.
    Write,
    /// A write after everything before it and before everything after it, durable when answered.
    Barrier,
}

impl Kind {
    /// Whether the store changes.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// Data to be moved between consecutive sectors and parts of granted pages.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which way.
    pub kind: Kind,
    /// The first sector; all sectors are within the store.
    pub sector: u64,
    /// Where the data is, in order. Empty only for a barrier.
    pub segments: Vec<Segment>,
    /// Sum of the segments' lengths.
    pub len: usize,
}

/// A part of a granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The page.
    pub gref: Gref,
    /// Byte offset of the part.
    pub offset: usize,
    /// Its length in bytes, at least one sector; within the page.
    pub len: usize,
}

/// A transfer whose segments are still in the guest's memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Indirect {
    kind: Kind,
    sector: u64,
    count: usize,
    grefs: [Gref; blkif::MAX_INDIRECT_PAGES_PER_REQUEST],
}

impl Indirect {
    /// The pages that hold the segments, in order.
    #[must_use]
    pub fn pages(&self) -> &[Gref] {
        let pages = self.count.div_ceil(blkif::SEGMENTS_PER_INDIRECT_PAGE);
        &self.grefs[..pages.min(self.grefs.len())]
    }

    /// How many segments there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The transfer, given a copy of the `count` segments.
    ///
    /// # Errors
    ///
    /// A segment or the range of sectors is not valid.
    pub fn resolve(&self, tag: Tag, segments: &[blkif::Segment], rules: &Rules) -> Result<Transfer, Refusal> {
        transfer(tag, self.kind, self.sector, segments, rules)
    }
}

/// What a front end's request asks for, and what its answer repeats.
///
/// # Errors
///
/// The request is to be refused.
pub fn decode(raw: &blkif::Request, rules: &Rules) -> Result<(Tag, Action), Refusal> {
    let tag = Tag { id: raw.id, op: raw.operation };
    let action = match raw.operation {
        op::READ => direct(tag, Kind::Read, raw, rules)?,
        op::WRITE => direct(tag, Kind::Write, raw, rules)?,
        op::WRITE_BARRIER => direct(tag, Kind::Barrier, raw, rules)?,
        // Nothing in the protocol forbids data here; flushing around it is what its sender can mean at most.
        op::FLUSH_DISKCACHE if raw.nr_segments > 0 => direct(tag, Kind::Barrier, raw, rules)?,
        op::FLUSH_DISKCACHE => Action::Flush,
        op::DISCARD => discard(tag, raw, rules)?,
        op::INDIRECT => return indirect(raw, rules),
        _ => return Err(tag.unsupported("unknown operation")),
    };
    Ok((tag, action))
}

fn direct(tag: Tag, kind: Kind, raw: &blkif::Request, rules: &Rules) -> Result<Action, Refusal> {
    let segments = raw
        .seg
        .get(..usize::from(raw.nr_segments))
        .ok_or(tag.refuse("more segments than a request holds"))?;
    transfer(tag, kind, raw.sector_number, segments, rules).map(Action::Transfer)
}

fn indirect(raw: &blkif::Request, rules: &Rules) -> Result<(Tag, Action), Refusal> {
    let outer = Tag { id: raw.id, op: raw.operation };
    let raw = blkif::RequestIndirect::read_from_prefix(raw.as_bytes())
        .map_err(|_| outer.refuse("short request"))?
        .0;
    // The id of an indirect request lies where that of any other does.
    let tag = Tag { id: raw.id, op: raw.indirect_op };
    let kind = match raw.indirect_op {
        op::READ => Kind::Read,
        op::WRITE => Kind::Write,
        _ => return Err(tag.refuse("indirect request neither reads nor writes")),
    };
    if raw.nr_segments == 0 || raw.nr_segments > rules.max_indirect {
        return Err(tag.refuse("bad number of indirect segments"));
    }
    let indirect = Indirect {
        kind,
        sector: raw.sector_number,
        count: usize::from(raw.nr_segments),
        grefs: raw.indirect_grefs,
    };
    Ok((tag, Action::Indirect(indirect)))
}

fn transfer(
    tag: Tag,
    kind: Kind,
    sector: u64,
    raw: &[blkif::Segment],
    rules: &Rules,
) -> Result<Transfer, Refusal> {
    if raw.is_empty() && kind != Kind::Barrier {
        return Err(tag.refuse("no segments"));
    }
    if kind.writes() && rules.geometry.read_only {
        return Err(tag.refuse("write to a read-only disk"));
    }
    let segments = raw.iter().map(|raw| segment(tag, raw, rules)).collect::<Result<Vec<_>, _>>()?;
    let len = segments.iter().map(|segment| segment.len).sum();
    check_range(tag, sector, (len / SECTOR_SIZE) as u64, rules)?;
    Ok(Transfer { kind, sector, segments, len })
}

fn segment(tag: Tag, raw: &blkif::Segment, rules: &Rules) -> Result<Segment, Refusal> {
    if raw.last_sect >= SECTORS_PER_PAGE || raw.first_sect > raw.last_sect {
        return Err(tag.refuse("segment is not within a page"));
    }
    let offset = usize::from(raw.first_sect) * SECTOR_SIZE;
    let len = usize::from(raw.last_sect - raw.first_sect + 1) * SECTOR_SIZE;
    let unit = rules.geometry.sector_size as usize;
    if !offset.is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return Err(tag.refuse("segment is not whole sectors of the disk"));
    }
    Ok(Segment { gref: raw.gref, offset, len })
}

fn discard(tag: Tag, raw: &blkif::Request, rules: &Rules) -> Result<Action, Refusal> {
    let raw =
        blkif::RequestDiscard::read_from_prefix(raw.as_bytes()).map_err(|_| tag.refuse("short request"))?.0;
    let Some(ability) = rules.geometry.discard else {
        return Err(tag.unsupported("discard on a disk without it"));
    };
    if rules.geometry.read_only {
        return Err(tag.refuse("discard on a read-only disk"));
    }
    check_range(tag, raw.sector_number, raw.nr_sectors, rules)?;
    Ok(Action::Discard {
        sector: raw.sector_number,
        count: raw.nr_sectors,
        secure: ability.secure && raw.flag & blkif::DISCARD_SECURE != 0,
    })
}

/// Checks that `count` sectors from `sector` on are whole units of the store and within it.
fn check_range(tag: Tag, sector: u64, count: u64, rules: &Rules) -> Result<(), Refusal> {
    let end = sector.checked_add(count).ok_or(tag.refuse("sector numbers overflow"))?;
    if end > rules.geometry.sectors {
        return Err(tag.refuse("beyond the end of the disk"));
    }
    let unit = u64::from(rules.geometry.sector_size) / SECTOR_SIZE as u64;
    if !sector.is_multiple_of(unit) || !count.is_multiple_of(unit) {
        return Err(tag.refuse("not whole sectors of the disk"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
