//! The blob as a whole: its header, and the one check of all of it.

use core::fmt;

use crate::address::Region;
use crate::node::{MAX_DEPTH, Node, Nodes};
use crate::token::{Blocks, Token, be_u32};

/// What a blob begins with, big-endian.
pub const MAGIC: u32 = 0xd00d_feed;

/// The version of the format that this reads, and the oldest one that is the same but for one header field.
const VERSION: u32 = 17;
const OLDEST: u32 = 16;

/// What is wrong with a tree, or with what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It does not begin with [`MAGIC`].
    NoMagic,
    /// The header says a version that this does not read.
    Version(u32),
    /// It ends before what its header, or one of its lengths, says.
    Truncated,
    /// The blocks do not lie as the header must say.
    Layout,
    /// There is something in the structure block that is no token.
    UnknownToken(u32),
    /// Nodes and properties are not nested as they must be.
    Nesting,
    /// Nodes are nested deeper than any board's.
    TooDeep,
    /// A name is missing or not one.
    BadName,
    /// A property's value has not the size or form that it must have.
    BadValue,
    /// An address has more cells than can be used, or none.
    Cells,
    /// A phandle names no node.
    NoSuchPhandle(u32),
    /// The interrupt parents do not lead to a controller.
    NoInterruptParent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMagic => f.write_str("not a device tree: wrong magic"),
            Self::Version(version) => write!(f, "device tree of version {version}, not 17"),
            Self::Truncated => f.write_str("device tree is cut off or lies about a length"),
            Self::Layout => f.write_str("device tree's header does not fit the rest"),
            Self::UnknownToken(token) => write!(f, "device tree holds an unknown token {token:#x}"),
            Self::Nesting => f.write_str("device tree's nodes are not properly nested"),
            Self::TooDeep => write!(f, "device tree is nested more than {MAX_DEPTH} nodes deep"),
            Self::BadName => f.write_str("device tree holds a bad name"),
            Self::BadValue => f.write_str("property has a value of the wrong form"),
            Self::Cells => f.write_str("property counts in cells that cannot be used"),
            Self::NoSuchPhandle(phandle) => write!(f, "phandle {phandle:#x} names no node"),
            Self::NoInterruptParent => f.write_str("interrupt parents lead nowhere"),
        }
    }
}

impl core::error::Error for Error {}

/// A device tree that has been checked; by default one without any node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tree<'a> {
    blob: &'a [u8],
    reservations: usize,
    pub(crate) blocks: Blocks<'a>,
}

/// Reads from the first 8 bytes how long a blob says it is; `None` without the magic.
pub fn total_size(start: &[u8]) -> Option<usize> {
    (be_u32(start, 0)? == MAGIC).then_some(be_u32(start, 4)? as usize)
}

impl<'a> Tree<'a> {
    /// Checks a blob, which may be followed by other bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if be_u32(bytes, 0) != Some(MAGIC) {
            return Err(Error::NoMagic);
        }
        let size = total_size(bytes).ok_or(Error::Truncated)?;
        let blob = bytes.get(..size).ok_or(Error::Truncated)?;
        let tree = Self::from_header(blob)?;
        tree.check_reservations()?;
        tree.check_structure()?;
        Ok(tree)
    }

    /// The same tree where its blob was copied to; `None` if that is not the same. It is not checked again.
    pub fn in_copy<'b>(&self, copy: &'b [u8]) -> Option<Tree<'b>> {
        if copy == self.blob { Tree::from_header(copy).ok() } else { None }
    }

    #[inline(never)]
    pub(crate) fn from_header(blob: &'a [u8]) -> Result<Self, Error> {
        let field = |index: usize| be_u32(blob, index * 4).ok_or(Error::Truncated);
        let (version, last_compatible) = (field(5)?, field(6)?);
        if version < OLDEST || last_compatible > VERSION {
            return Err(Error::Version(version));
        }
        let block = |offset: u32, size: usize| {
            let begin = offset as usize;
            blob.get(begin..begin.checked_add(size)?)
        };
        let (structure_offset, strings_offset) = (field(2)?, field(3)?);
        if !structure_offset.is_multiple_of(4) {
            return Err(Error::Layout);
        }
        let structure_size = if version >= VERSION {
            field(9)? as usize
        } else {
            blob.len().saturating_sub(structure_offset as usize)
        };
        let structure = block(structure_offset, structure_size).ok_or(Error::Layout)?;
        let strings = block(strings_offset, field(8)? as usize).ok_or(Error::Layout)?;
        Ok(Self { blob, reservations: field(4)? as usize, blocks: Blocks { structure, strings } })
    }

    /// The list of reservations must end within the blob.
    fn check_reservations(&self) -> Result<(), Error> {
        let mut at = self.reservations;
        loop {
            let entry = self.blob.get(at..).and_then(<[u8]>::first_chunk::<16>).ok_or(Error::Layout)?;
            if *entry == [0; 16] {
                return Ok(());
            }
            at += entry.len();
        }
    }

    fn check_structure(&self) -> Result<(), Error> {
        let mut at = 0;
        let mut depth = 0;
        let mut properties_allowed = false;
        loop {
            let (token, _, next) = self.blocks.token(at)?;
            at = next;
            match token {
                Token::Begin { name } => {
                    check_name(name, depth == 0)?;
                    if depth == MAX_DEPTH {
                        return Err(Error::TooDeep);
                    }
                    depth += 1;
                    properties_allowed = true;
                }
                Token::Property { name } if properties_allowed => {
                    check_name(self.blocks.name(name).ok_or(Error::BadName)?, false)?;
                }
                Token::EndNode if depth > 1 => {
                    depth -= 1;
                    properties_allowed = false;
                }
                Token::EndNode if depth == 1 => {
                    return match self.blocks.token(at)? {
                        (Token::End, ..) => Ok(()),
                        _ => Err(Error::Nesting),
                    };
                }
                _ => return Err(Error::Nesting),
            }
        }
    }

    /// The blob, without what may follow it.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.blob
    }

    /// The physical id of the CPU that boots.
    pub fn boot_cpu(&self) -> u32 {
        be_u32(self.blob, 7 * 4).unwrap_or(0)
    }

    /// Memory that the header says must not be touched.
    pub fn reservations(&self) -> impl Iterator<Item = Region> + use<'a> {
        let entries = self.blob.get(self.reservations..).unwrap_or_default().as_chunks::<16>().0;
        entries.iter().take_while(|entry| **entry != [0; 16]).map(|entry| {
            let number = |at: usize| {
                u64::from(be_u32(entry, at).unwrap_or(0)) << 32
                    | u64::from(be_u32(entry, at + 4).unwrap_or(0))
            };
            Region { base: number(0), size: number(8) }
        })
    }

    /// The root node.
    pub fn root(&self) -> Node<'a> {
        Node::root(*self)
    }

    /// All nodes, each before its children.
    pub fn nodes(&self) -> Nodes<'a> {
        Nodes::new(*self)
    }

    /// Finds a node by its path from the root (`/cpus/cpu@0`), or by an alias and the path from there. A
    /// component without a unit address finds the first node of that name, as everywhere.
    pub fn find(&self, path: &str) -> Option<Node<'a>> {
        let mut names = path.split('/');
        let mut node = self.root();
        if !path.starts_with('/') {
            let target = node.child("aliases")?.property(names.next()?)?.as_str()?;
            node = if target.starts_with('/') { self.find(target)? } else { return None };
        }
        for name in names {
            node = if name.is_empty() { node } else { node.child(name)? };
        }
        Some(node)
    }

    /// All nodes that say they are compatible with one of some names.
    pub fn compatible<'n>(&self, names: &'n [&'n str]) -> impl Iterator<Item = Node<'a>> + use<'a, 'n> {
        self.nodes().filter(move |node| node.is_compatible(names))
    }
}

/// Names are printable, and those of nodes have no slash; only the root's may be empty.
fn check_name(name: &[u8], is_root: bool) -> Result<(), Error> {
    let good = name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/');
    if good && name.is_empty() == is_root { Ok(()) } else { Err(Error::BadName) }
}
