//! Nodes, watches and transactions of the fake store.

use std::{
    collections::BTreeMap,
    format,
    rc::{Rc, Weak},
    string::{String, ToString},
    vec::Vec,
};

use xen_abi::{Domid, Errno};

use super::Client;

type Nodes = BTreeMap<String, Vec<u8>>;
type Result<T> = core::result::Result<T, Errno>;

/// A watch of a domain.
pub(super) struct Watch {
    pub(super) domid: Domid,
    /// As the domain named it, and in full.
    given: String,
    full: String,
    pub(super) token: String,
}

impl Watch {
    /// Whether a change of `path` is to be told.
    pub(super) fn covers(&self, path: &str) -> bool {
        is_below(path, &self.full)
    }

    /// The path as the watcher would name it.
    pub(super) fn named(&self, path: &str) -> String {
        match path.strip_prefix(&self.full) {
            Some(rest) => format!("{}{rest}", self.given),
            None => self.given.clone(),
        }
    }
}

/// A copy of the tree, and what was done to it.
struct Transaction {
    nodes: Nodes,
    /// State of the tree that it began from.
    generation: u64,
    changed: Vec<String>,
}

/// Everything the daemon keeps.
#[derive(Default)]
pub(super) struct Tree {
    nodes: Nodes,
    generation: u64,
    watches: Vec<Watch>,
    transactions: BTreeMap<u32, Transaction>,
    last_tx: u32,
    clients: BTreeMap<Domid, Weak<Client>>,
}

fn is_below(path: &str, top: &str) -> bool {
    top == "/" || path == top || path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').skip(1).map(|(at, _)| &path[..at])
}

impl Tree {
    pub(super) fn add_client(&mut self, domid: Domid, client: Weak<Client>) {
        self.clients.insert(domid, client);
    }

    pub(super) fn client(&self, domid: Domid) -> Option<Rc<Client>> {
        self.clients.get(&domid)?.upgrade()
    }

    pub(super) fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.watches.iter()
    }

    fn nodes(&self, tx: u32) -> Result<&Nodes> {
        if tx == 0 {
            return Ok(&self.nodes);
        }
        self.transactions.get(&tx).map(|t| &t.nodes).ok_or(Errno::ENOENT)
    }

    /// Changes the tree, or a transaction's copy, and tells the watchers of what changed.
    fn change(&mut self, tx: u32, changed: String, f: impl FnOnce(&mut Nodes)) -> Result<()> {
        if tx == 0 {
            f(&mut self.nodes);
            self.generation += 1;
            self.announce(&[changed]);
            return Ok(());
        }
        let t = self.transactions.get_mut(&tx).ok_or(Errno::ENOENT)?;
        f(&mut t.nodes);
        t.changed.push(changed);
        Ok(())
    }

    pub(super) fn read(&self, tx: u32, path: &str) -> Result<Vec<u8>> {
        self.nodes(tx)?.get(path).cloned().ok_or(Errno::ENOENT)
    }

    pub(super) fn directory(&self, tx: u32, path: &str) -> Result<Vec<u8>> {
        let nodes = self.nodes(tx)?;
        let top = path.trim_end_matches('/');
        if !top.is_empty() && !nodes.contains_key(top) {
            return Err(Errno::ENOENT);
        }
        let mut names = Vec::new();
        for node in nodes.keys() {
            let below = node.strip_prefix(top).and_then(|rest| rest.strip_prefix('/'));
            if let Some(name) = below.filter(|name| !name.contains('/')) {
                names.extend_from_slice(name.as_bytes());
                names.push(0);
            }
        }
        Ok(names)
    }

    pub(super) fn write(&mut self, tx: u32, path: &str, value: &[u8]) -> Result<()> {
        self.change(tx, path.to_string(), |nodes| {
            for parent in parents(path) {
                nodes.entry(parent.to_string()).or_default();
            }
            nodes.insert(path.to_string(), value.to_vec());
        })
    }

    pub(super) fn mkdir(&mut self, tx: u32, path: &str) -> Result<()> {
        if self.nodes(tx)?.contains_key(path) {
            return Ok(());
        }
        self.write(tx, path, b"")
    }

    pub(super) fn remove(&mut self, tx: u32, path: &str) -> Result<()> {
        let nodes = self.nodes(tx)?;
        if !nodes.contains_key(path) {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            return nodes.contains_key(parent).then_some(()).ok_or(Errno::ENOENT);
        }
        let below: Vec<String> = nodes.keys().filter(|n| is_below(n, path)).cloned().collect();
        let watched: Vec<String> = self.watches.iter().map(|w| w.full.clone()).collect();
        self.change(tx, path.to_string(), |nodes| {
            for node in &below {
                nodes.remove(node);
            }
        })?;
        // Whoever watches something that went with it is told so by its own path.
        for node in watched.iter().filter(|w| *w != path && below.contains(w)) {
            self.change(tx, node.clone(), |_| ())?;
        }
        Ok(())
    }

    pub(super) fn watch(&mut self, domid: Domid, given: &str, full: &str, token: &str) {
        self.watches.push(Watch {
            domid,
            given: given.to_string(),
            full: full.to_string(),
            token: token.to_string(),
        });
    }

    pub(super) fn unwatch(&mut self, domid: Domid, token: &str) {
        self.watches.retain(|w| w.domid != domid || w.token != token);
    }

    pub(super) fn begin(&mut self) -> u32 {
        self.last_tx += 1;
        let copy =
            Transaction { nodes: self.nodes.clone(), generation: self.generation, changed: Vec::new() };
        self.transactions.insert(self.last_tx, copy);
        self.last_tx
    }

    /// Any change since the transaction began counts as a conflict.
    pub(super) fn end(&mut self, tx: u32, commit: bool) -> Result<()> {
        let t = self.transactions.remove(&tx).ok_or(Errno::ENOENT)?;
        if !commit {
            return Ok(());
        }
        if t.generation != self.generation {
            return Err(Errno::EAGAIN);
        }
        if !t.changed.is_empty() {
            self.nodes = t.nodes;
            self.generation += 1;
            self.announce(&t.changed);
        }
        Ok(())
    }
}
