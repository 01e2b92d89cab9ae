//! The operations on nodes, as one caller sees the tree: directly, or inside a transaction.
//!
//! Every operation checks everything first (path, permissions, quotas) and changes something only then, so that a
//! refused one leaves no trace.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::path::Path;
use crate::perms::{Access, Caller, Perms};
use crate::quota::Accounts;
use crate::store::{Generation, Node, Store};
use crate::transaction::Transaction;
use crate::watch::Change;

/// The tree through the eyes of one caller.
pub struct View<'a> {
    /// The tree.
    pub store: &'a mut Store,
    /// Who pays.
    pub accounts: &'a mut Accounts,
    /// The transaction that the operations belong to.
    pub transaction: Option<&'a mut Transaction>,
    /// Who asks.
    pub caller: Caller,
}

impl View<'_> {
    /// Gives a node's value.
    pub fn read(&mut self, path: &Path) -> Result<Node> {
        self.get(path, Access::READ)
    }

    /// Lists a node's children, with a number that changes whenever the list does.
    pub fn directory(&mut self, path: &Path) -> Result<(Generation, Vec<String>)> {
        let node = self.get(path, Access::READ)?;
        self.note(path, true)?;
        let generation = node.changed.max(node.children_changed);
        Ok(match &self.transaction {
            Some(transaction) => {
                let names = transaction.children(path.as_str(), self.store);
                (generation.max(transaction.last_change()), names)
            }
            None => (generation, self.store.children(path.as_str())),
        })
    }

    /// Sets a node's value; the node and the directories above it are made if they are missing.
    pub fn write(&mut self, path: &Path, value: &[u8]) -> Result<Vec<Change>> {
        match self.get(path, Access::WRITE) {
            Ok(node) => {
                self.put_all(&[(path.clone(), Node::new(value, node.perms))])?;
                Ok(self.changed(path, None))
            }
            Err(Error::Enoent) => self.create(path, value),
            Err(error) => Err(error),
        }
    }

    /// Makes a node with an empty value unless it exists.
    pub fn make_directory(&mut self, path: &Path) -> Result<Vec<Change>> {
        match self.get(path, Access::WRITE) {
            Ok(_) => Ok(Vec::new()),
            Err(Error::Enoent) => self.create(path, &[]),
            Err(error) => Err(error),
        }
    }

    /// Removes a node with all below it. That it is missing is no error, unless its directory is missing too.
    pub fn remove(&mut self, path: &Path) -> Result<Vec<Change>> {
        match self.get(path, Access::WRITE) {
            Ok(_) if path.is_root() => Err(Error::Einval),
            Ok(_) => self.remove_subtree(path),
            Err(Error::Enoent) => match path.parent() {
                Some(parent) if self.look(&parent)?.is_some() => Ok(Vec::new()),
                _ => Err(Error::Enoent),
            },
            Err(error) => Err(error),
        }
    }

    /// Gives a node's permissions.
    pub fn permissions(&mut self, path: &Path) -> Result<Perms> {
        Ok(self.get(path, Access::READ)?.perms)
    }

    /// Sets a node's permissions.
    pub fn set_permissions(&mut self, path: &Path, perms: Perms) -> Result<Vec<Change>> {
        Accounts::allow(&self.caller, 0, perms.entries().len(), self.accounts.limits.node_permissions)?;
        if perms.entries().first().is_some_and(|owner| owner.void) {
            return Err(Error::Enoent);
        }
        let node = self.get(path, Access::WRITE.with(Access::OWNER))?;
        if !self.caller.privileged && perms.owner() != node.perms.owner() {
            return Err(Error::Eperm);
        }
        self.put_all(&[(path.clone(), Node { perms, ..node.clone() })])?;
        Ok(self.changed(path, Some(node.perms)))
    }

    /// Looks at a node, noting so in the transaction.
    fn look(&mut self, path: &Path) -> Result<Option<Node>> {
        self.note(path, false)?;
        Ok(match &self.transaction {
            Some(transaction) => transaction.get(path.as_str(), self.store).cloned(),
            None => self.store.get(path.as_str()).cloned(),
        })
    }

    fn note(&mut self, path: &Path, with_children: bool) -> Result<()> {
        let Some(transaction) = self.transaction.as_deref_mut() else { return Ok(()) };
        if !transaction.knows(path) {
            let limit = self.accounts.limits.transaction_nodes;
            Accounts::allow(&self.caller, transaction.nodes_seen(), 1, limit)?;
            self.accounts.allow_memory(&self.caller, self.caller.domid, Transaction::note_cost(path, 0))?;
        }
        let taken = transaction.note(path, self.store, with_children);
        self.accounts.charge_memory(self.caller.domid, taken);
        Ok(())
    }

    /// Gives a node if the caller has the access that it needs. Whoever may not do the same in the directory that the
    /// node lies in does not even learn whether there is one.
    fn get(&mut self, path: &Path, need: Access) -> Result<Node> {
        let error = match self.look(path)? {
            Some(node) if node.perms.access(&self.caller).covers(need) => return Ok(node),
            Some(_) => Error::Eacces,
            None => Error::Enoent,
        };
        let may_know = self.nearest_directory(path)?.perms.access(&self.caller).overlaps(need);
        Err(if may_know { error } else { Error::Eacces })
    }

    /// Gives the lowest node above `path` that exists.
    fn nearest_directory(&mut self, path: &Path) -> Result<Node> {
        let mut dir = path.clone();
        while let Some(parent) = dir.parent() {
            if let Some(node) = self.look(&parent)? {
                return Ok(node);
            }
            dir = parent;
        }
        // Only the root has no parent, and it is never removed.
        self.look(&Path::root())?.ok_or(Error::Eio)
    }

    /// Makes a node and the missing directories above it. All of them are made or none.
    fn create(&mut self, path: &Path, value: &[u8]) -> Result<Vec<Change>> {
        let mut missing = Vec::new();
        let mut next = Some(path.clone());
        let parent = loop {
            let Some(place) = next else { return Err(Error::Eio) };
            match self.look(&place)? {
                Some(node) => break node,
                None => {
                    next = place.parent();
                    missing.push(place);
                }
            }
        };
        let perms = parent.perms.inherited_by(&self.caller);
        let value_of = |place: &Path| if place == path { value } else { &[] };
        let nodes: Vec<_> = missing
            .into_iter()
            .rev()
            .map(|place| {
                let node = Node::new(value_of(&place), perms.clone());
                (place, node)
            })
            .collect();
        self.put_all(&nodes)?;
        Ok(self.changed(path, None))
    }

    /// Puts nodes in after checking that quotas allow all of them. They were looked at before.
    fn put_all(&mut self, nodes: &[(Path, Node)]) -> Result<()> {
        self.check_quotas(nodes)?;
        for (path, node) in nodes {
            match self.transaction.as_deref_mut() {
                Some(transaction) => {
                    let taken = transaction.set(path, Some(node.clone()), self.store);
                    self.accounts.charge_memory(self.caller.domid, taken);
                }
                None => self.store.put(path, node.clone(), self.accounts),
            }
        }
        Ok(())
    }

    fn check_quotas(&self, nodes: &[(Path, Node)]) -> Result<()> {
        let limits = &self.accounts.limits;
        for (_, node) in nodes {
            // As in the C daemon, a node stays below this limit where others may be reached.
            Accounts::allow(&self.caller, node.size(), 1, limits.node_size)?;
        }
        let domid = self.caller.domid;
        match &self.transaction {
            Some(transaction) => {
                let new = nodes
                    .iter()
                    .filter(|(path, _)| transaction.get(path.as_str(), self.store).is_none())
                    .count();
                let owned =
                    self.accounts.get(domid).nodes.saturating_add_signed(transaction.node_growth(domid));
                if new > 0 {
                    Accounts::allow(&self.caller, owned, new, limits.nodes)?;
                }
                let taken = nodes.iter().map(|(path, node)| Transaction::note_cost(path, node.size())).sum();
                self.accounts.allow_memory(&self.caller, domid, taken)
            }
            None => {
                let new = nodes.iter().filter(|(path, _)| self.store.get(path.as_str()).is_none()).count();
                if new > 0 {
                    Accounts::allow(&self.caller, self.accounts.get(domid).nodes, new, limits.nodes)?;
                }
                self.check_memory(nodes)
            }
        }
    }

    /// Checks that the owners have room for what the nodes take more than those in their places. Nodes put in by one
    /// request have one owner.
    fn check_memory(&self, nodes: &[(Path, Node)]) -> Result<()> {
        let Some((_, first)) = nodes.first() else { return Ok(()) };
        let more = |(path, node): &(Path, Node)| {
            let old = self.store.get(path.as_str()).map_or(0, |old| old.cost(path));
            node.cost(path).saturating_sub(old)
        };
        self.accounts.allow_memory(&self.caller, first.perms.owner(), nodes.iter().map(more).sum())
    }

    fn remove_subtree(&mut self, root: &Path) -> Result<Vec<Change>> {
        let paths = match &self.transaction {
            Some(transaction) => transaction.subtree(root, self.store),
            None => self.store.subtree(root),
        };
        if self.transaction.is_none() {
            return Ok(remove_all(self.store, self.accounts, root));
        }
        self.check_removal(&paths)?;
        for path in &paths {
            self.note(path, true)?;
        }
        let Some(transaction) = self.transaction.as_deref_mut() else { return Ok(Vec::new()) };
        for path in paths.iter().rev() {
            let taken = transaction.set(path, None, self.store);
            self.accounts.charge_memory(self.caller.domid, taken);
            transaction.touch(path, path == root);
        }
        Ok(Vec::new())
    }

    /// Checks that the transaction has room to note the removal of all these nodes.
    fn check_removal(&self, paths: &[Path]) -> Result<()> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let new = paths.iter().filter(|path| !transaction.knows(path)).count();
        Accounts::allow(&self.caller, transaction.nodes_seen(), new, self.accounts.limits.transaction_nodes)?;
        let taken = paths.iter().map(|path| Transaction::note_cost(path, 0)).sum();
        self.accounts.allow_memory(&self.caller, self.caller.domid, taken)
    }

    /// Gives the change at `path` for watches to fire, or keeps it for the commit.
    fn changed(&mut self, path: &Path, old: Option<Perms>) -> Vec<Change> {
        match self.transaction.as_deref_mut() {
            Some(transaction) => {
                transaction.touch(path, true);
                Vec::new()
            }
            None => {
                let mut change = Change::new(path, true, old);
                change.show_to_readers_of(self.store);
                alloc::vec![change]
            }
        }
    }
}

/// Removes a node with all below it from the store, children before their parents.
pub(crate) fn remove_all(store: &mut Store, accounts: &mut Accounts, root: &Path) -> Vec<Change> {
    let mut changes = Vec::new();
    for path in store.subtree(root).into_iter().rev() {
        let mut change = Change::new(&path, path == *root, None);
        change.show_to_readers_of(store);
        changes.push(change);
        store.remove(&path, accounts);
    }
    changes
}
