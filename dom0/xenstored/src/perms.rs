//! Permissions of nodes.
//!
//! The first entry of a list names the owner and what everybody without an entry of his own may do; the owner and
//! privileged callers may do everything.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::Domid;
use crate::error::{Error, Result};
use crate::wire;

/// What an entry grants, and what an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// See the value, the children and the permissions.
    pub const READ: Self = Self(1);
    /// Change the value, make and remove children.
    pub const WRITE: Self = Self(2);
    /// Reading and writing.
    pub const BOTH: Self = Self(3);
    /// Change the permissions; no entry grants it, being the owner does.
    pub const OWNER: Self = Self(4);
    const ALL: Self = Self(7);

    /// Joins two needs.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Tells whether this grants all that `need` asks for.
    pub const fn covers(self, need: Self) -> bool {
        self.0 & need.0 == need.0
    }

    /// Tells whether this grants any part of `need`.
    pub const fn overlaps(self, need: Self) -> bool {
        self.0 & need.0 != 0
    }
}

/// One entry of a permission list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perm {
    /// Whom the entry is about.
    pub domid: Domid,
    /// What it grants.
    pub access: Access,
    /// Set when no such domain existed as the entry was made: it is shown and grants nothing, or a later domain with
    /// this id would inherit it.
    pub void: bool,
}

impl Perm {
    /// Makes a valid entry.
    pub const fn new(domid: Domid, access: Access) -> Self {
        Self { domid, access, void: false }
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let (letter, digits) = text.split_first().ok_or(Error::Einval)?;
        let access = match letter {
            b'n' => Access::NONE,
            b'r' => Access::READ,
            b'w' => Access::WRITE,
            b'b' => Access::BOTH,
            _ => return Err(Error::Einval),
        };
        Ok(Self::new(wire::parse_domid(digits)?, access))
    }

    fn letter(self) -> char {
        match (self.access.covers(Access::READ), self.access.covers(Access::WRITE)) {
            (false, false) => 'n',
            (true, false) => 'r',
            (false, true) => 'w',
            (true, true) => 'b',
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The domain at the other end of the connection.
    pub domid: Domid,
    /// The domain that this one is the device model of.
    pub target: Option<Domid>,
    /// Whether this is the control domain, for which permissions and quotas do not count.
    pub privileged: bool,
}

impl Caller {
    fn is(&self, domid: Domid) -> bool {
        domid == self.domid || Some(domid) == self.target
    }
}

/// A permission list: never empty, shared between the nodes that inherited it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Perms(Arc<[Perm]>);

impl Perms {
    /// Makes the list of a node that belongs to `owner` alone.
    pub fn private(owner: Domid) -> Self {
        Self([Perm::new(owner, Access::NONE)].into())
    }

    /// Makes a list; an empty one is refused.
    pub fn new(entries: &[Perm]) -> Result<Self> {
        if entries.is_empty() { Err(Error::Einval) } else { Ok(Self(entries.into())) }
    }

    /// Reads a list as it stands in a request.
    pub fn parse(strings: &[&[u8]]) -> Result<Self> {
        let entries = strings.iter().map(|text| Perm::parse(text)).collect::<Result<Vec<_>>>()?;
        Self::new(&entries)
    }

    /// Writes the list as it stands in a reply: each entry ends in a NUL.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut text = String::new();
        for perm in self.entries() {
            // Writing to a `String` does not fail.
            let _ = write!(text, "{}{}\0", perm.letter(), perm.domid.0);
        }
        text.into_bytes()
    }

    /// Gives the entries.
    pub fn entries(&self) -> &[Perm] {
        &self.0
    }

    /// Lists the domains that have a valid entry of their own beside the owner's.
    pub(crate) fn mentioned(&self) -> impl Iterator<Item = Domid> {
        self.entries().iter().skip(1).filter(|perm| !perm.void).map(|perm| perm.domid)
    }

    /// Gives the domain that owns the node and pays for it.
    pub fn owner(&self) -> Domid {
        self.0[0].domid
    }

    /// Gives the list that a node gets which `caller` makes below one with this list.
    pub fn inherited_by(&self, caller: &Caller) -> Self {
        if caller.privileged || self.owner() == caller.domid {
            return self.clone();
        }
        let mut entries = Vec::from(self.entries());
        entries[0] = Perm::new(caller.domid, entries[0].access);
        Self(entries.into())
    }

    /// Tells what `caller` may do.
    pub fn access(&self, caller: &Caller) -> Access {
        if caller.privileged || caller.is(self.owner()) {
            return Access::ALL;
        }
        let entry = self.0[1..].iter().find(|perm| !perm.void && caller.is(perm.domid));
        entry.unwrap_or(&self.0[0]).access
    }

    /// Marks the entries of domains that do not exist as void.
    pub fn voiding(&self, mut exists: impl FnMut(Domid) -> bool) -> Self {
        let marked = self.0.iter().map(|perm| Perm { void: !exists(perm.domid), ..*perm });
        Self(marked.collect())
    }

    /// Gives the list without the valid entries of `domid`, or none when it has no such entry. The owner stays.
    pub fn without(&self, domid: Domid) -> Option<Self> {
        let (owner, rest) = self.0.split_first()?;
        let about = |perm: &&Perm| !perm.void && perm.domid == domid;
        rest.iter().find(about)?;
        let kept = rest.iter().filter(|perm| !about(perm));
        Some(Self(core::iter::once(owner).chain(kept).copied().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(domid: u16) -> Caller {
        Caller { domid: Domid(domid), target: None, privileged: false }
    }

    #[test]
    fn lists_read_back_as_they_were_written() {
        let perms = Perms::parse(&[b"n3", b"r1", b"w2", b"b65535"]).unwrap();
        assert_eq!(perms.to_wire(), b"n3\0r1\0w2\0b65535\0");
        assert_eq!(perms.owner(), Domid(3));
        for bad in [&b""[..], b"x1", b"r", b"r-1", b"r65536", b"r1 ", b"r99999999999999999999"] {
            assert_eq!(Perms::parse(&[bad]), Err(Error::Einval), "{bad:?}");
        }
        assert_eq!(Perms::parse(&[]), Err(Error::Einval));
    }

    #[test]
    fn the_first_entry_speaks_for_all_who_have_none() {
        let perms = Perms::parse(&[b"r3", b"n1", b"w2", b"b1"]).unwrap();
        assert_eq!(perms.access(&guest(3)), Access::ALL);
        assert_eq!(perms.access(&guest(1)), Access::NONE);
        assert_eq!(perms.access(&guest(2)), Access::WRITE);
        assert_eq!(perms.access(&guest(9)), Access::READ);
        assert_eq!(perms.access(&Caller { privileged: true, ..guest(0) }), Access::ALL);
    }

    #[test]
    fn a_device_model_acts_for_its_target() {
        let perms = Perms::parse(&[b"n3", b"r4"]).unwrap();
        let model = |target| Caller { target: Some(Domid(target)), ..guest(8) };
        assert_eq!(perms.access(&model(3)), Access::ALL);
        assert_eq!(perms.access(&model(4)), Access::READ);
        assert_eq!(perms.access(&model(5)), Access::NONE);
    }

    #[test]
    fn a_void_entry_is_shown_and_grants_nothing() {
        let perms = Perms::parse(&[b"n3", b"b5"]).unwrap().voiding(|domid| domid == Domid(3));
        assert_eq!(perms.to_wire(), b"n3\0b5\0");
        assert_eq!(perms.access(&guest(5)), Access::NONE);
    }

    #[test]
    fn unprivileged_creators_own_what_they_make() {
        let parent = Perms::parse(&[b"r0", b"b4"]).unwrap();
        assert_eq!(parent.inherited_by(&guest(4)).to_wire(), b"r4\0b4\0");
        assert_eq!(parent.inherited_by(&Caller { privileged: true, ..guest(0) }), parent);
    }

    #[test]
    fn entries_of_a_dead_domain_go() {
        let perms = Perms::parse(&[b"n4", b"b5", b"r4", b"r5"]).unwrap();
        assert_eq!(perms.without(Domid(5)).unwrap().to_wire(), b"n4\0r4\0");
        assert_eq!(perms.without(Domid(6)), None);
    }
}
