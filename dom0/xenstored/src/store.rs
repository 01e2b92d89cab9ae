//! The tree of nodes, as all clients see it outside of transactions.
//!
//! Nodes lie in one ordered map by full path, so that no operation recurses however deep a tree is, and a transaction
//! starts without copying anything. The store keeps two invariants: every node but the root has a parent, and each
//! [`Account`](crate::quota::Account) is charged for exactly the nodes its domain owns and the entries that name it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};

use crate::Domid;
use crate::path::Path;
use crate::perms::Perms;
use crate::quota::Accounts;

/// A number that no two changes of the store share.
pub type Generation = u64;

/// A node's content. Cloning shares the value and the permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value, of any bytes.
    pub value: Arc<[u8]>,
    /// Who may do what; the owner pays.
    pub perms: Perms,
    /// When value or permissions changed last.
    pub changed: Generation,
    /// When a child was made or removed last, or the node itself made.
    pub children_changed: Generation,
}

impl Node {
    /// What the C daemon charges for a node beyond its content; quotas are counted in its units.
    const HEADER: usize = 24;
    const PERM: usize = 8;

    /// Makes the content of a node; the store stamps it when it goes in.
    pub fn new(value: &[u8], perms: Perms) -> Self {
        Self { value: value.into(), perms, changed: 0, children_changed: 0 }
    }

    /// Gives the size that the quota on a single node bounds, in bytes.
    pub fn size(&self) -> usize {
        Self::HEADER + Self::PERM * self.perms.entries().len() + self.value.len()
    }

    /// Gives what the owner is charged for the node at `path`, in bytes.
    pub fn cost(&self, path: &Path) -> usize {
        self.size() + path.as_str().len()
    }
}

/// The tree.
#[derive(Debug)]
pub struct Store {
    nodes: BTreeMap<Path, Node>,
    generation: Generation,
}

impl Store {
    /// Makes a store with the nodes that every client may expect, owned by `owner`.
    pub fn new(owner: Domid, accounts: &mut Accounts) -> Self {
        let mut store = Self { nodes: BTreeMap::new(), generation: 0 };
        for path in ["/", "/tool", "/tool/xenstored", Path::INTRODUCE_DOMAIN, Path::RELEASE_DOMAIN] {
            store.put(&Path::known(path), Node::new(&[], Perms::private(owner)), accounts);
        }
        store
    }

    /// Gives a new number for a change.
    pub fn next_generation(&mut self) -> Generation {
        self.generation += 1;
        self.generation
    }

    /// Gives a node.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Puts a node in, new or in the place of an old one. The parent exists.
    pub fn put(&mut self, path: &Path, mut node: Node, accounts: &mut Accounts) {
        node.changed = self.next_generation();
        node.children_changed = node.changed;
        accounts.charge_node(path, &node);
        let old = match self.nodes.get_mut(path.as_str()) {
            Some(place) => {
                node.children_changed = place.children_changed;
                Some(core::mem::replace(place, node))
            }
            None => {
                let changed = node.changed;
                self.nodes.insert(path.clone(), node);
                self.stamp_parent(path, changed);
                None
            }
        };
        if let Some(old) = old {
            accounts.release_node(path, &old);
        }
    }

    /// Takes one node out, whose children are gone or go in the same step.
    pub fn remove(&mut self, path: &Path, accounts: &mut Accounts) -> Option<Node> {
        let node = self.nodes.remove(path.as_str())?;
        accounts.release_node(path, &node);
        let changed = self.next_generation();
        self.stamp_parent(path, changed);
        Some(node)
    }

    fn stamp_parent(&mut self, path: &Path, changed: Generation) {
        if path.is_special() {
            return;
        }
        if let Some(parent) = path.parent().and_then(|parent| self.nodes.get_mut(parent.as_str())) {
            parent.children_changed = changed;
        }
    }

    /// Lists the names of a node's children in order.
    pub fn children(&self, dir: &str) -> Vec<String> {
        let nodes = &self.nodes;
        child_names(dir, |from, to| {
            nodes.range::<str, _>((Included(from), Excluded(to))).next().map(|(path, _)| path.as_str())
        })
    }

    /// Lists a node and all below it, parents before their children.
    pub fn subtree(&self, root: &Path) -> Vec<Path> {
        let Some((own, _)) = self.nodes.get_key_value(root.as_str()) else { return Vec::new() };
        let (from, to) = below(root.as_str());
        let below = self.nodes.range::<str, _>((Excluded(from.as_str()), Excluded(to.as_str())));
        core::iter::once(own).chain(below.map(|(path, _)| path)).cloned().collect()
    }

    /// Gives the first node after `path` in order, or the very first. A walk goes on from the last path it saw, so
    /// that it stands changes of the tree under way.
    pub fn next(&self, path: Option<&Path>) -> Option<(&Path, &Node)> {
        let from = path.map_or(Unbounded, |path| Excluded(path.as_str()));
        self.nodes.range::<str, _>((from, Unbounded)).next()
    }
}

/// Gives the two bounds between which all paths below `dir` lie; `dir` itself is the lower one when it is the root,
/// and no path at all otherwise.
pub(crate) fn below(dir: &str) -> (String, String) {
    // '0' follows '/' in ASCII.
    if dir == "/" { ("/".into(), "0".into()) } else { (format!("{dir}/"), format!("{dir}0")) }
}

/// Lists the children of `dir`, given a way to find the first path in a half-open range.
pub(crate) fn child_names<'a>(dir: &str, first_in: impl Fn(&str, &str) -> Option<&'a str>) -> Vec<String> {
    let (prefix, end) = below(dir);
    let mut names = Vec::new();
    // The smallest path that may lie below, since a name has at least one character.
    let mut cursor = format!("{prefix}-");
    while let Some(path) = first_in(&cursor, &end) {
        let name = path.get(prefix.len()..).unwrap_or_default();
        match name.split_once('/') {
            None => {
                names.push(name.into());
                // A NUL cannot be part of a path: this is the next one after `path`.
                cursor = format!("{path}\0");
            }
            // Below a child that was listed before: on behind that child's subtree.
            Some((child, _)) => cursor = format!("{prefix}{child}0"),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Limits;

    fn store_of(paths: &[&str]) -> (Store, Accounts) {
        let mut accounts = Accounts::new(Limits::default());
        let mut store = Store::new(Domid(0), &mut accounts);
        for path in paths {
            let node = Node::new(path.as_bytes(), Perms::private(Domid(0)));
            store.put(&Path::known(path), node, &mut accounts);
        }
        (store, accounts)
    }

    #[test]
    fn a_new_store_has_the_nodes_that_clients_expect() {
        let (store, accounts) = store_of(&[]);
        assert_eq!(store.children("/"), ["tool"]);
        assert_eq!(store.children("/tool"), ["xenstored"]);
        assert!(store.get("@releaseDomain").is_some() && store.get("@introduceDomain").is_some());
        assert_eq!(accounts.get(Domid(0)).nodes, 5);
    }

    #[test]
    fn names_that_sort_around_the_slash_are_listed_once() {
        let (store, _) =
            store_of(&["/a", "/a/b", "/a/b-c", "/a/b-c/d", "/a/b/x", "/a/b/x/y", "/a/b0", "/a/b0/z", "/a-b"]);
        assert_eq!(store.children("/a"), ["b", "b-c", "b0"]);
        assert_eq!(store.children("/"), ["a", "a-b", "tool"]);
        assert_eq!(store.children("/a/b"), ["x"]);
        assert!(store.children("/a/b0/z").is_empty());
    }

    #[test]
    fn a_subtree_has_no_neighbours() {
        let (store, _) = store_of(&["/a", "/a/b", "/a/b-c", "/a/b-c/d", "/a/b/x", "/a/b0"]);
        let subtree = |path| {
            store.subtree(&Path::known(path)).iter().map(|path| path.as_str().into()).collect::<Vec<String>>()
        };
        assert_eq!(subtree("/a/b"), ["/a/b", "/a/b/x"]);
        assert_eq!(subtree("/a/none"), [""; 0]);
        assert_eq!(subtree("/").len(), 9);
    }

    #[test]
    fn every_change_of_the_children_stamps_the_parent() {
        let (mut store, mut accounts) = store_of(&["/a"]);
        let before = store.get("/a").unwrap().clone();
        store.put(&Path::known("/a/b"), Node::new(b"", Perms::private(Domid(0))), &mut accounts);
        let made = store.get("/a").unwrap().clone();
        assert_eq!(made.changed, before.changed);
        assert!(made.children_changed > before.children_changed);
        store.put(&Path::known("/a/b"), Node::new(b"new", Perms::private(Domid(0))), &mut accounts);
        assert_eq!(store.get("/a").unwrap(), &made);
        store.remove(&Path::known("/a/b"), &mut accounts);
        assert!(store.get("/a").unwrap().children_changed > made.children_changed);
    }

    #[test]
    fn charges_follow_the_nodes() {
        let (mut store, mut accounts) = store_of(&["/a"]);
        let path = Path::known("/a/b");
        let node = Node::new(b"12345", Perms::private(Domid(4)));
        store.put(&path, node.clone(), &mut accounts);
        assert_eq!((accounts.get(Domid(4)).nodes, accounts.get(Domid(4)).memory), (1, node.cost(&path)));
        store.put(&path, Node::new(b"1", Perms::private(Domid(5))), &mut accounts);
        assert_eq!((accounts.get(Domid(4)).nodes, accounts.get(Domid(4)).memory), (0, 0));
        assert_eq!(accounts.get(Domid(5)).nodes, 1);
        store.remove(&path, &mut accounts);
        assert_eq!((accounts.get(Domid(5)).nodes, accounts.get(Domid(5)).memory), (0, 0));
    }
}
