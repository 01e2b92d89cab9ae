//! Transactions: a list of what was seen, and a list of what is to change.
//!
//! Starting one costs nothing. The first look at a node notes the generation that it had; changes stay in the
//! transaction. A commit compares every noted generation with the store's and, if all still hold, puts the changes in:
//! the outcome is as if the whole transaction had happened at the moment of its commit. Only what it saw counts, so
//! transactions in different parts of the tree never disturb one another.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included};

use crate::Domid;
use crate::error::{Error, Result};
use crate::path::Path;
use crate::perms::{Caller, Perms};
use crate::quota::Accounts;
use crate::store::{Generation, Node, Store, child_names};
use crate::watch::Change;

/// What a node was like when the transaction first looked.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The generation of its content; none when there was no such node.
    content: Option<Generation>,
    /// The generation of its list of children, once that list mattered.
    children: Option<Generation>,
}

/// A change for which watches are to fire at the commit.
#[derive(Clone, Copy, Debug)]
struct Touched {
    order: usize,
    subtree: bool,
}

/// A transaction under way.
#[derive(Debug, Default)]
pub struct Transaction {
    seen: BTreeMap<Path, Seen>,
    /// Changed nodes; none for one that is to go.
    changes: BTreeMap<Path, Option<Node>>,
    touched: BTreeMap<Path, Touched>,
    /// How many nodes more or fewer each domain will own.
    nodes: BTreeMap<Domid, isize>,
    /// Bytes charged to the domain that runs the transaction.
    memory: usize,
    last_change: Generation,
}

impl Transaction {
    /// Roughly what the note of a node seen or changed takes beside its path.
    const NOTE: usize = 64;

    /// Gives the number of nodes looked at.
    pub fn nodes_seen(&self) -> usize {
        self.seen.len()
    }

    /// Gives the bytes charged for the transaction.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Gives how many nodes more `domid` will own.
    pub fn node_growth(&self, domid: Domid) -> isize {
        self.nodes.get(&domid).copied().unwrap_or(0)
    }

    /// Gives the generation of the last change made in the transaction.
    pub fn last_change(&self) -> Generation {
        self.last_change
    }

    /// Tells whether the path was looked at before, so that doing so again takes nothing.
    pub fn knows(&self, path: &Path) -> bool {
        self.seen.contains_key(path.as_str())
    }

    /// Gives what looking at `path`, and changing it into a node of `size` bytes, takes at most.
    pub fn note_cost(path: &Path, size: usize) -> usize {
        2 * (Self::NOTE + path.as_str().len()) + size
    }

    /// Notes what the store has at `path`. The bytes that takes are returned, for the caller to charge.
    pub fn note(&mut self, path: &Path, store: &Store, with_children: bool) -> usize {
        let node = store.get(path.as_str());
        let children = node.filter(|_| with_children).map(|node| node.children_changed);
        if let Some(seen) = self.seen.get_mut(path.as_str()) {
            seen.children = seen.children.or(children);
            return 0;
        }
        self.seen.insert(path.clone(), Seen { content: node.map(|node| node.changed), children });
        self.grow(Self::NOTE + path.as_str().len())
    }

    fn grow(&mut self, bytes: usize) -> usize {
        self.memory += bytes;
        bytes
    }

    /// Gives a node as the transaction sees it, having noted it.
    pub fn get<'a>(&'a self, path: &str, store: &'a Store) -> Option<&'a Node> {
        match self.changes.get(path) {
            Some(change) => change.as_ref(),
            None => store.get(path),
        }
    }

    /// Puts a node in, or takes it out. The bytes that takes are returned, for the caller to charge; a change that
    /// replaces another keeps what was charged for that one.
    pub fn set(&mut self, path: &Path, node: Option<Node>, store: &mut Store) -> usize {
        let before = self.get(path.as_str(), store).map(|node| node.perms.owner());
        if let Some(owner) = before {
            *self.nodes.entry(owner).or_default() -= 1;
        }
        if let Some(node) = &node {
            *self.nodes.entry(node.perms.owner()).or_default() += 1;
        }
        self.last_change = store.next_generation();
        let size = node.as_ref().map_or(0, Node::size);
        match self.changes.insert(path.clone(), node) {
            Some(_) => self.grow(size),
            None => self.grow(size + Self::NOTE + path.as_str().len()),
        }
    }

    /// Notes that watches are to fire for `path` at the commit.
    pub fn touch(&mut self, path: &Path, subtree: bool) {
        let order = self.touched.len();
        let touched = self.touched.entry(path.clone()).or_insert(Touched { order, subtree });
        touched.subtree |= subtree;
    }

    /// Lists a node's children as the transaction sees them.
    pub fn children(&self, dir: &str, store: &Store) -> Vec<String> {
        let changed = child_names(dir, |from, to| {
            self.changes.range::<str, _>((Included(from), Excluded(to))).next().map(|(path, _)| path.as_str())
        });
        let prefix = if dir == "/" { "" } else { dir };
        let exists = |name: &String| self.get(&alloc::format!("{prefix}/{name}"), store).is_some();
        let mut names = store.children(dir);
        names.extend(changed);
        names.sort_unstable();
        names.dedup();
        names.retain(exists);
        names
    }

    /// Lists a node and all below it as the transaction sees them.
    pub fn subtree(&self, root: &Path, store: &Store) -> Vec<Path> {
        let (from, to) = crate::store::below(root.as_str());
        let mut paths = store.subtree(root);
        let changed = self.changes.range::<str, _>((Excluded(from.as_str()), Excluded(to.as_str())));
        paths.extend(changed.map(|(path, _)| path.clone()));
        paths.push(root.clone());
        paths.sort_unstable();
        paths.dedup();
        paths.retain(|path| self.get(path.as_str(), store).is_some());
        paths
    }

    /// Tells whether the store still has all that the transaction saw.
    fn holds(&self, store: &Store) -> bool {
        self.seen.iter().all(|(path, seen)| {
            let node = store.get(path.as_str());
            let children = node.map(|node| node.children_changed);
            node.map(|node| node.changed) == seen.content
                && (seen.children.is_none() || seen.children == children)
        })
    }

    fn check_nodes(&self, caller: &Caller, accounts: &Accounts) -> Result<()> {
        let more = usize::try_from(self.node_growth(caller.domid)).unwrap_or(0);
        if more == 0 {
            return Ok(());
        }
        Accounts::allow(caller, accounts.get(caller.domid).nodes, more, accounts.limits.nodes)
    }

    /// Puts the changes into the store, and gives those that watches are to fire for in the order they were made. On
    /// [`Error::Eagain`] and any other error the store is as it was.
    pub fn commit(self, caller: &Caller, store: &mut Store, accounts: &mut Accounts) -> Result<Vec<Change>> {
        if !self.holds(store) {
            return Err(Error::Eagain);
        }
        self.check_nodes(caller, accounts)?;
        let mut events = self.events(store);
        for (path, change) in self.changes {
            match change {
                Some(node) => store.put(&path, node, accounts),
                None => drop(store.remove(&path, accounts)),
            }
        }
        for event in &mut events {
            event.show_to_readers_of(store);
        }
        Ok(events)
    }

    /// Lists the changes that watches are to fire for, visible so far to those who could read the nodes before.
    fn events(&self, store: &Store) -> Vec<Change> {
        let mut touched: Vec<_> = self.touched.iter().collect();
        touched.sort_unstable_by_key(|(_, touched)| touched.order);
        let old = |path: &Path| -> Option<Perms> { store.get(path.as_str()).map(|node| node.perms.clone()) };
        touched.into_iter().map(|(path, touched)| Change::new(path, touched.subtree, old(path))).collect()
    }
}
