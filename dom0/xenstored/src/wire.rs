//! Messages as they travel: the header, and the strings in a payload.

use alloc::vec::Vec;

use xen_abi::io::xs_wire::Header;
pub use xen_abi::io::xs_wire::{ABS_PATH_MAX, PAYLOAD_MAX, REL_PATH_MAX};
use zerocopy::{FromBytes, FromZeros};

use crate::Domid;
use crate::error::{Error, Result};

/// The size of a header.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// A request that arrived whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its header; the length is that of the payload.
    pub header: Header,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Reads a header. Any bytes are one.
pub fn header(bytes: &[u8; HEADER_SIZE]) -> Header {
    Header::read_from_bytes(bytes).unwrap_or_else(|_| Header::new_zeroed())
}

/// Lists the strings of a payload, each of which ends in a NUL; what follows the last NUL is not looked at.
pub fn strings(payload: &[u8]) -> Vec<&[u8]> {
    let mut strings: Vec<_> = payload.split(|&byte| byte == 0).collect();
    strings.pop();
    strings
}

/// Gives the only string of a payload that has nothing else.
pub fn only_string(payload: &[u8]) -> Result<&[u8]> {
    match payload.split_last() {
        Some((0, string)) if !string.contains(&0) => Ok(string),
        _ => Err(Error::Einval),
    }
}

/// Splits a payload into its first string and the rest.
pub fn first_string(payload: &[u8]) -> Result<(&[u8], &[u8])> {
    let end = payload.iter().position(|&byte| byte == 0).ok_or(Error::Einval)?;
    Ok((&payload[..end], &payload[end + 1..]))
}

/// Reads a decimal number: digits only, at least one.
pub fn parse_number(text: &[u8]) -> Result<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(Error::Einval);
    }
    let digits = core::str::from_utf8(text).map_err(|_| Error::Einval)?;
    digits.parse().map_err(|_| Error::Einval)
}

/// Reads a domain id.
pub fn parse_domid(text: &[u8]) -> Result<Domid> {
    u16::try_from(parse_number(text)?).map(Domid).map_err(|_| Error::Einval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_in_a_nul() {
        assert_eq!(strings(b"a\0bc\0\0"), [&b"a"[..], b"bc", b""]);
        assert_eq!(strings(b"a\0rest"), [b"a"]);
        assert!(strings(b"").is_empty() && strings(b"no end").is_empty());
        assert_eq!(first_string(b"path\0va\0lue"), Ok((&b"path"[..], &b"va\0lue"[..])));
        assert_eq!(first_string(b"path"), Err(Error::Einval));
    }

    #[test]
    fn a_single_argument_has_its_nul_at_the_very_end() {
        assert_eq!(only_string(b"path\0"), Ok(&b"path"[..]));
        assert_eq!(only_string(b"\0"), Ok(&b""[..]));
        for bad in [&b""[..], b"path", b"a\0b\0", b"a\0b"] {
            assert_eq!(only_string(bad), Err(Error::Einval), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        assert_eq!(parse_domid(b"65535"), Ok(Domid(65535)));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x1", b"65536", b"18446744073709551616"] {
            assert_eq!(parse_domid(bad), Err(Error::Einval), "{bad:?}");
        }
    }
}
