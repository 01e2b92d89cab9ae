//! What a domain may use of the store, and what it uses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt::Write;

use crate::Domid;
use crate::error::{Error, Result};
use crate::path::Path;
use crate::perms::Caller;
use crate::store::Node;
use crate::wire;

/// The bounds for one unprivileged domain. The defaults are those of Xen's C daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes owned.
    pub nodes: usize,
    /// Watches set.
    pub watches: usize,
    /// Requests whose reply, or an event that they caused, is not yet delivered.
    pub outstanding: usize,
    /// Bytes of nodes, watches, transactions and undelivered messages.
    pub memory: usize,
    /// Bytes from which on a warning is logged.
    pub soft_memory: usize,
    /// Transactions open at a time.
    pub transactions: usize,
    /// Nodes that one transaction may look at or change.
    pub transaction_nodes: usize,
    /// Entries in one permission list.
    pub node_permissions: usize,
    /// Length of a path, not counting the prefix that leads into a domain's directory.
    pub path_max: usize,
    /// Bytes of one node: its value, its permissions and a header.
    pub node_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 1000,
            watches: 128,
            outstanding: 20,
            memory: 2560 * 1024,
            soft_memory: 2048 * 1024,
            transactions: 10,
            transaction_nodes: 1024,
            node_permissions: 5,
            path_max: wire::REL_PATH_MAX,
            node_size: 2048,
        }
    }
}

impl Limits {
    /// Lists the bounds by the names that `xenstore-control quota` knows.
    pub(crate) fn rows(&self) -> [(&'static str, &'static str, usize); 9] {
        [
            ("nodes", "Nodes per domain", self.nodes),
            ("watches", "Watches per domain", self.watches),
            ("outstanding", "Outstanding requests per domain", self.outstanding),
            ("memory", "Total Xenstore memory per domain", self.memory),
            ("transactions", "Active transactions per domain", self.transactions),
            ("transaction-nodes", "Max. number of accessed nodes per transaction", self.transaction_nodes),
            ("node-permissions", "Max. number of permissions per node", self.node_permissions),
            ("path-max", "Max. length of a node path", self.path_max),
            ("node-size", "Max. size of a node", self.node_size),
        ]
    }

    /// Sets the bound of that name.
    pub(crate) fn set(&mut self, name: &[u8], value: usize) -> Result<()> {
        let bound = match name {
            b"nodes" => &mut self.nodes,
            b"watches" => &mut self.watches,
            b"outstanding" => &mut self.outstanding,
            b"memory" => &mut self.memory,
            b"transactions" => &mut self.transactions,
            b"transaction-nodes" => &mut self.transaction_nodes,
            b"node-permissions" => &mut self.node_permissions,
            b"path-max" => &mut self.path_max,
            b"node-size" => &mut self.node_size,
            _ => return Err(Error::Einval),
        };
        *bound = value;
        Ok(())
    }
}

/// What one domain uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Nodes owned.
    pub nodes: usize,
    /// Bytes charged.
    pub memory: usize,
    /// Watches set.
    pub watches: usize,
    /// Transactions open.
    pub transactions: usize,
    /// Valid permission entries that name the domain, on whosever nodes, those as owner not counted.
    pub mentions: usize,
    warned: bool,
}

/// The accounts of all domains, and the limits that hold for the unprivileged ones.
#[derive(Debug)]
pub struct Accounts {
    /// The bounds.
    pub limits: Limits,
    accounts: BTreeMap<Domid, Account>,
}

impl Accounts {
    /// Opens the books.
    pub fn new(limits: Limits) -> Self {
        Self { limits, accounts: BTreeMap::new() }
    }

    /// Gives what a domain uses.
    pub fn get(&self, domid: Domid) -> Account {
        self.accounts.get(&domid).copied().unwrap_or_default()
    }

    /// Lists the domains that have something on their account.
    pub(crate) fn domains(&self) -> impl Iterator<Item = Domid> {
        self.accounts.keys().copied()
    }

    /// Gives a domain's account for a change of watches or transactions.
    pub(crate) fn get_mut(&mut self, domid: Domid) -> &mut Account {
        self.accounts.entry(domid).or_default()
    }

    /// Takes something off an account, which is forgotten once nothing is on it: the books stay as short as the list
    /// of domains that use the store.
    pub(crate) fn reduce(&mut self, domid: Domid, take: impl FnOnce(&mut Account)) {
        let account = self.get_mut(domid);
        take(account);
        if (Account { warned: false, ..*account }) == Account::default() {
            self.accounts.remove(&domid);
        }
    }

    /// Tells whether `caller` may have `more` of what `used` counts within `limit`, and says [`Error::Enospc`] if not.
    pub(crate) fn allow(caller: &Caller, used: usize, more: usize, limit: usize) -> Result<()> {
        if caller.privileged || used.saturating_add(more) <= limit { Ok(()) } else { Err(Error::Enospc) }
    }

    /// Tells whether the domain `payer` may be charged for `more` bytes at the wish of `caller`.
    pub(crate) fn allow_memory(&self, caller: &Caller, payer: Domid, more: usize) -> Result<()> {
        let fits = self.get(payer).memory.saturating_add(more) <= self.limits.memory;
        if caller.privileged || more == 0 || payer == Domid(0) || fits { Ok(()) } else { Err(Error::Enomem) }
    }

    /// Tells whether a domain's memory is used up, so that no further request of its is read.
    pub(crate) fn memory_used_up(&self, domid: Domid) -> bool {
        self.get(domid).memory >= self.limits.memory
    }

    /// Charges bytes, whatever the limit says.
    pub(crate) fn charge_memory(&mut self, domid: Domid, bytes: usize) {
        let soft_limit = self.limits.soft_memory;
        let account = self.get_mut(domid);
        account.memory += bytes;
        if account.memory > soft_limit && !account.warned && domid != Domid(0) {
            account.warned = true;
            log::warn!(
                "xenstore: d{} uses {} bytes, more than the {soft_limit} it should",
                domid.0,
                account.memory
            );
        }
    }

    /// Gives bytes back.
    pub(crate) fn release_memory(&mut self, domid: Domid, bytes: usize) {
        self.reduce(domid, |account| account.memory -= bytes);
    }

    /// Charges a node that goes into the store.
    pub(crate) fn charge_node(&mut self, path: &Path, node: &Node) {
        self.charge_memory(node.perms.owner(), node.cost(path));
        self.get_mut(node.perms.owner()).nodes += 1;
        for domid in node.perms.mentioned() {
            self.get_mut(domid).mentions += 1;
        }
    }

    /// Gives back what a node was charged that leaves the store.
    pub(crate) fn release_node(&mut self, path: &Path, node: &Node) {
        let cost = node.cost(path);
        self.reduce(node.perms.owner(), |account| {
            account.memory -= cost;
            account.nodes -= 1;
        });
        for domid in node.perms.mentioned() {
            self.reduce(domid, |account| account.mentions -= 1);
        }
    }

    /// Writes the limits as `xenstore-control quota` prints them.
    pub(crate) fn describe_limits(&self) -> String {
        let mut text = String::from("Quota settings:\n");
        for (name, meaning, value) in self.limits.rows() {
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{name:<17}: {value:>8} {meaning}");
        }
        text
    }

    /// Writes what a domain uses as `xenstore-control quota <domid>` prints it.
    pub(crate) fn describe(&self, domid: Domid, outstanding: usize) -> String {
        let account = self.get(domid);
        let mut text = String::new();
        let _ = writeln!(text, "Domain {}:", domid.0);
        for (name, value) in [
            ("nodes", account.nodes),
            ("watches", account.watches),
            ("outstanding", outstanding),
            ("memory", account.memory),
            ("transactions", account.transactions),
        ] {
            let _ = writeln!(text, "{name:<17}: {value:>8}");
        }
        text
    }
}
