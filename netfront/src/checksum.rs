//! Checksums that a sender on the same machine left blank.
//!
//! Between domains nothing damages a frame, so that a sender may leave TCP's and UDP's checksum to whoever has to know
//! it (`csum_blank` in `io/netif.h`). The stack above is not told; it gets the frame with the checksum filled in.

use core::ops::Range;

const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Fills in the checksum of a frame's TCP or UDP segment. None when it has no such segment, or not all of it.
pub(crate) fn complete(frame: &mut [u8]) -> Option<()> {
    let segment = locate(frame)?;
    let (at, shortest) = if segment.protocol == TCP { (16, 20) } else { (6, 8) };
    let body = frame.get_mut(segment.body)?;
    if body.len() < shortest {
        return None;
    }
    body[at..at + 2].fill(0);
    let pseudo_header = segment.addresses + u64::from(segment.protocol) + body.len() as u64;
    let sum = match fold(pseudo_header + sum(body)) {
        // To UDP, zero means that there is none.
        0 if segment.protocol == UDP => 0xffff,
        sum => sum,
    };
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// A TCP or UDP segment in a frame.
struct Segment {
    protocol: u8,
    body: Range<usize>,
    /// Sum of the IP header's two addresses.
    addresses: u64,
}

fn locate(frame: &[u8]) -> Option<Segment> {
    let (kind, start) = match word(frame, 12)? {
        ETHERTYPE_VLAN => (word(frame, 16)?, 18),
        kind => (kind, 14),
    };
    match kind {
        ETHERTYPE_IPV4 => ipv4(frame, start),
        ETHERTYPE_IPV6 => ipv6(frame, start),
        _ => None,
    }
    .filter(|segment| matches!(segment.protocol, TCP | UDP) && segment.body.end <= frame.len())
}

fn ipv4(frame: &[u8], start: usize) -> Option<Segment> {
    let header = frame.get(start..start + 20)?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let len = usize::from(word(header, 2)?);
    // All but the flag "don't fragment" is zero in a packet that is whole.
    let whole = word(header, 6)? & 0xbfff == 0;
    if header[0] >> 4 != 4 || header_len < 20 || len < header_len || !whole {
        return None;
    }
    let body = start + header_len..start + len;
    Some(Segment { protocol: header[9], body, addresses: sum(&header[12..20]) })
}

/// Finds a segment that follows the header at once: no back end leaves others blank.
fn ipv6(frame: &[u8], start: usize) -> Option<Segment> {
    let header = frame.get(start..start + 40)?;
    let body = start + 40..start + 40 + usize::from(word(header, 4)?);
    (header[0] >> 4 == 6).then(|| Segment { protocol: header[6], body, addresses: sum(&header[8..40]) })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The sum of a segment's words; a last odd byte is one's upper half.
fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    bytes.chunks(2).map(word).sum()
}

/// The one's complement of a sum in one's complement arithmetic.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
