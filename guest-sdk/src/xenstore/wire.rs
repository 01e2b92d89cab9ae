//! Messages: putting bytes together into them, and taking their payload apart.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::{mem, str::FromStr};

use xen_abi::io::xs_wire::{Header, PAYLOAD_MAX};
use zerocopy::{FromBytes, IntoBytes};

use super::{Error, Result};

const HEADER: usize = size_of::<Header>();

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its head; `len` is the payload's.
    pub header: Header,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// Puts a message together.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the payload is too long.
    pub fn new(kind: u32, req_id: u32, tx_id: u32, parts: &[&[u8]]) -> Result<Self> {
        let payload = parts.concat();
        if payload.len() > PAYLOAD_MAX {
            return Err(Error::Invalid);
        }
        Ok(Self { header: Header { kind, req_id, tx_id, len: payload.len() as u32 }, payload })
    }

    /// The bytes to send.
    pub fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.header.as_bytes().iter().chain(&self.payload)
    }
}

/// Puts a stream of bytes together into messages.
#[derive(Debug, Default)]
pub struct Assembler(Vec<u8>);

impl Assembler {
    /// How many bytes there are still to come before there can be a message: never 0.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the head that came claims too long a payload.
    pub fn wants(&self) -> Result<usize> {
        Ok(self.total()? - self.0.len())
    }

    fn total(&self) -> Result<usize> {
        match Header::read_from_prefix(&self.0) {
            Err(_) => Ok(HEADER),
            Ok((header, _)) if header.len as usize > PAYLOAD_MAX => Err(Error::Malformed),
            Ok((header, _)) => Ok(HEADER + header.len as usize),
        }
    }

    /// Takes in bytes, no more than it wants; gives a message when that completed one.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`], as [`wants`](Self::wants).
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Message>> {
        self.0.extend_from_slice(bytes);
        if self.0.len() < HEADER || self.0.len() < self.total()? {
            return Ok(None);
        }
        let all = mem::take(&mut self.0);
        let (header, payload) = Header::read_from_prefix(&all).map_err(|_| Error::Malformed)?;
        Ok(Some(Message { header, payload: payload.to_owned() }))
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    core::str::from_utf8(bytes).map_err(|_| Error::Malformed)
}

/// One string, with or without its NUL.
///
/// # Errors
///
/// [`Error::Malformed`] when it is not text.
pub fn string(payload: &[u8]) -> Result<String> {
    text(payload.strip_suffix(b"\0").unwrap_or(payload)).map(ToOwned::to_owned)
}

/// A number in text.
///
/// # Errors
///
/// [`Error::Malformed`] when it is none.
pub fn number<T: FromStr>(payload: &[u8]) -> Result<T> {
    string(payload)?.parse().map_err(|_| Error::Malformed)
}

/// The first string, and what follows it.
///
/// # Errors
///
/// [`Error::Malformed`] when it does not end, or is not text.
pub fn split_string(payload: &[u8]) -> Result<(&str, &[u8])> {
    let end = payload.iter().position(|&b| b == 0);
    let end = end.ok_or(Error::Malformed)?;
    Ok((text(&payload[..end])?, &payload[end + 1..]))
}

/// All strings.
///
/// # Errors
///
/// [`Error::Malformed`] when the last one does not end, or one is not text.
pub fn strings(payload: &[u8]) -> Result<Vec<String>> {
    let mut list = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let (first, others) = split_string(rest)?;
        list.push(first.to_owned());
        rest = others;
    }
    Ok(list)
}
