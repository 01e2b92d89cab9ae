//! Nodes and the ways around the tree.

use core::fmt;

use crate::property::Property;
use crate::token::{Blocks, Token};
use crate::tree::Tree;

/// How deep nodes may be nested, as in Xen (`DEVICE_TREE_MAX_DEPTH`).
pub(crate) const MAX_DEPTH: usize = 16;

/// A node. It knows its way from the root, so that going up costs nothing.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: Tree<'a>,
    /// Where the nodes on the way begin, the root first and this one last.
    path: [u32; MAX_DEPTH],
    /// How many of them there are.
    depth: usize,
    /// Where this one's properties begin: behind its name, which is not searched for its end again.
    body: usize,
}

impl<'a> Node<'a> {
    pub(crate) fn root(tree: Tree<'a>) -> Self {
        let (begin, body) = tree.blocks.token(0).map_or((0, usize::MAX), |(_, at, next)| (at, next));
        let mut path = [0; MAX_DEPTH];
        path[0] = begin as u32;
        Self { tree, path, depth: 1, body }
    }

    /// A child that begins at `begin` and has its properties at `body`.
    fn below(parent: &Self, begin: usize, body: usize) -> Option<Self> {
        let mut node = *parent;
        node.descend(begin, body)?;
        Some(node)
    }

    /// Becomes its child that begins at `begin` and has its properties at `body`.
    fn descend(&mut self, begin: usize, body: usize) -> Option<()> {
        *self.path.get_mut(self.depth)? = begin as u32;
        self.depth += 1;
        self.body = body;
        Some(())
    }

    fn begin(&self) -> usize {
        self.path[self.depth - 1] as usize
    }

    /// Which node this is, for errors.
    pub fn at(&self) -> NodeAt<'a> {
        NodeAt { tree: self.tree.as_bytes(), begin: self.begin() as u32 }
    }

    /// The tree it belongs to.
    pub fn tree(&self) -> Tree<'a> {
        self.tree
    }

    /// The name with the unit address; empty for the root.
    pub fn name(&self) -> &'a str {
        core::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    fn name_bytes(&self) -> &'a [u8] {
        match self.tree.blocks.token(self.begin()) {
            Ok((Token::Begin { name }, ..)) => name,
            _ => &[],
        }
    }

    /// The name without the unit address.
    pub fn base_name(&self) -> &'a str {
        let base = self.name_bytes().split(|byte| *byte == b'@').next().unwrap_or_default();
        core::str::from_utf8(base).unwrap_or_default()
    }

    /// The unit address: what follows the `@`.
    pub fn unit_address(&self) -> Option<&'a str> {
        self.name().split_once('@').map(|(_, address)| address)
    }

    /// Says whether this is the root.
    pub fn is_root(&self) -> bool {
        self.depth == 1
    }

    /// How many nodes are above it.
    pub fn depth(&self) -> usize {
        self.depth - 1
    }

    /// The node above it.
    pub fn parent(&self) -> Option<Self> {
        let depth = self.depth.checked_sub(1).filter(|depth| *depth > 0)?;
        let begin = self.path[depth - 1] as usize;
        let body = self.tree.blocks.token(begin).map_or(usize::MAX, |(_, _, next)| next);
        Some(Self { depth, body, ..*self })
    }

    /// Its properties.
    pub fn properties(&self) -> Properties<'a> {
        Properties { blocks: self.tree.blocks, at: self.body }
    }

    /// Finds a property.
    #[inline(never)]
    pub fn property(&self, name: &str) -> Option<Property<'a>> {
        self.properties().find_any(&[name])
    }

    /// Says whether there is such a property.
    pub fn has(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// A property's value, if it is one cell.
    #[inline(never)]
    pub fn u32(&self, name: &str) -> Option<u32> {
        self.property(name)?.as_u32()
    }

    /// A property's value, if it is one string.
    pub fn str(&self, name: &str) -> Option<&'a str> {
        self.property(name)?.as_str()
    }

    /// The nodes below it, without theirs.
    pub fn children(&self) -> Children<'a> {
        Children { parent: *self, at: self.tree.blocks.skip_properties(self.body) }
    }

    /// Finds a child; without a unit address, the first one of that name.
    pub fn child(&self, name: &str) -> Option<Self> {
        let by_base = !name.contains('@');
        let mut children = self.children();
        loop {
            let (found, begin, body) = children.advance()?;
            let rest = found.strip_prefix(name.as_bytes());
            if rest.is_some_and(|rest| rest.is_empty() || by_base && rest[0] == b'@') {
                return Self::below(self, begin, body);
            }
        }
    }

    /// Its phandle, under either name.
    pub fn phandle(&self) -> Option<u32> {
        self.properties().find_any(&["phandle", "linux,phandle"])?.as_u32()
    }

    /// Says whether it is compatible with one of some names.
    pub fn is_compatible(&self, names: &[&str]) -> bool {
        self.property("compatible").is_some_and(|compatible| compatible.has_any(names))
    }

    /// Says whether its device is there to be used: no `status`, or `okay`.
    pub fn is_available(&self) -> bool {
        self.property("status").is_none_or(|status| matches!(status.as_str(), Some("okay" | "ok")))
    }
}

impl PartialEq for Node<'_> {
    /// Nodes of one blob are the same if they begin at the same place.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.tree.as_bytes(), other.tree.as_bytes()) && self.begin() == other.begin()
    }
}

impl Eq for Node<'_> {}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Node<'_> {
    /// Writes the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        for depth in 2..=self.depth {
            write!(f, "/{}", Self { depth, ..*self }.name())?;
        }
        Ok(())
    }
}

/// Which node of a tree, without the way there: small, to be carried in errors.
#[derive(Clone, Copy)]
pub struct NodeAt<'a> {
    tree: &'a [u8],
    begin: u32,
}

impl PartialEq for NodeAt<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.tree, other.tree) && self.begin == other.begin
    }
}

impl Eq for NodeAt<'_> {}

impl fmt::Debug for NodeAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeAt<'_> {
    /// Writes the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = Tree::from_header(self.tree).map_err(|_| fmt::Error)?;
        let node = tree.nodes().find(|node| node.begin() == self.begin as usize);
        node.map_or(Ok(()), |node| node.fmt(f))
    }
}

/// The properties of a node.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    blocks: Blocks<'a>,
    at: usize,
}

impl<'a> Properties<'a> {
    /// The next one's place among the names, and its value.
    #[inline(always)]
    fn next_raw(&mut self) -> Option<(usize, &'a [u8])> {
        let blocks = &self.blocks;
        loop {
            if let Some((name, value, next)) = blocks.property(self.at) {
                self.at = next;
                return Some((name, value));
            }
            let at = blocks.skip_nops(self.at);
            if at == self.at {
                return None;
            }
            self.at = at;
        }
    }

    /// The first one that has one of some names.
    fn find_any(mut self, names: &[&str]) -> Option<Property<'a>> {
        while let Some((found, value)) = self.next_raw() {
            if let Some(name) = names.iter().find_map(|name| self.blocks.string(found, name)) {
                return Some(Property { name, value });
            }
        }
        None
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.next_raw()?;
        let name = self.blocks.name(name).unwrap_or_default();
        Some(Property { name: core::str::from_utf8(name).unwrap_or_default(), value })
    }
}

/// The children of a node.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    parent: Node<'a>,
    at: usize,
}

impl<'a> Children<'a> {
    /// The next one's name, where it begins and where its properties are.
    fn advance(&mut self) -> Option<(&'a [u8], usize, usize)> {
        let blocks = &self.parent.tree.blocks;
        let Ok((Token::Begin { name }, begin, body)) = blocks.token(self.at) else { return None };
        let (mut open, mut next) = (1, body);
        while open > 0 {
            let (token, _, after) = blocks.token(blocks.skip_properties(next)).ok()?;
            next = after;
            match token {
                Token::Begin { .. } => open += 1,
                Token::EndNode => open -= 1,
                Token::Property { .. } => {}
                Token::End => return None,
            }
        }
        self.at = next;
        Some((name, begin, body))
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, begin, body) = self.advance()?;
        Node::below(&self.parent, begin, body)
    }
}

impl Default for Children<'_> {
    /// None.
    fn default() -> Self {
        let nothing = Node { tree: Tree::default(), path: [0; MAX_DEPTH], depth: 1, body: 0 };
        Self { parent: nothing, at: 0 }
    }
}

/// All nodes of a tree, each before its children.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    tree: Tree<'a>,
    /// The node that was found last, or the way to an ancestor of it.
    last: Option<Node<'a>>,
    at: usize,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(tree: Tree<'a>) -> Self {
        Self { tree, last: None, at: 0 }
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let blocks = &self.tree.blocks;
            let (token, begin, next) = blocks.token(blocks.skip_properties(self.at)).ok()?;
            match token {
                Token::Begin { .. } => {
                    match &mut self.last {
                        Some(node) => node.descend(begin, next)?,
                        none => *none = Some(Node::root(self.tree)),
                    }
                    self.at = next;
                    return self.last;
                }
                // Only the way matters: this one is not given out again.
                Token::EndNode => {
                    let node = self.last.as_mut().filter(|node| !node.is_root())?;
                    node.depth -= 1;
                }
                Token::Property { .. } => {}
                Token::End => return None,
            }
            self.at = next;
        }
    }
}
