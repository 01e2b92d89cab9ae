//! What `xenstore-control` asks of the daemon itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::daemon::Daemon;
use crate::domains::Host;
use crate::error::{Error, Result};
use crate::quota::Accounts;
use crate::requests::OK;
use crate::store::Store;
use crate::{Domid, wire};

const HELP: &str = "check           \n\
                    print           <string>\n\
                    quota           [set <name> <val>|<domid>]\n\
                    help            \n";

impl<H: Host> Daemon<H> {
    pub(crate) fn control(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        let strings = wire::strings(payload);
        let (command, arguments) = strings.split_first().ok_or(Error::Einval)?;
        match (*command, arguments) {
            (b"check", []) => self.check().map(|()| OK.to_vec()),
            (b"print", [text]) => {
                log::info!("xenstore: {}", String::from_utf8_lossy(text));
                Ok(OK.to_vec())
            }
            (b"quota", []) => Ok(text(self.accounts.describe_limits())),
            (b"quota", [b"set", name, value]) => self.set_quota(name, value),
            (b"quota", [domid]) => self.domain_quota(wire::parse_domid(domid)?),
            (b"help", []) => Ok(text(HELP.into())),
            _ => Err(Error::Einval),
        }
    }

    fn set_quota(&mut self, name: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let value = u32::try_from(wire::parse_number(value)?).map_err(|_| Error::Einval)?;
        if value == 0 {
            return Err(Error::Einval);
        }
        self.accounts.limits.set(name, value as usize)?;
        Ok(OK.to_vec())
    }

    fn domain_quota(&mut self, domid: Domid) -> Result<Vec<u8>> {
        if !self.domain_exists(domid) {
            return Err(Error::Enoent);
        }
        let conns = self.connections.values().filter(|conn| conn.domid == domid);
        let outstanding = conns.map(|conn| conn.outstanding()).sum();
        Ok(text(self.accounts.describe(domid, outstanding)))
    }

    /// Checks the invariants that everything rests on, and says in the log which one does not hold.
    pub(crate) fn check(&self) -> Result<()> {
        let findings = orphans(&self.store).chain(wrong_accounts(&self.store, &self.accounts));
        let mut sound = true;
        for finding in findings {
            log::error!("xenstore: {finding}");
            sound = false;
        }
        if sound { Ok(()) } else { Err(Error::Eio) }
    }
}

fn text(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.push(0);
    bytes
}

/// Lists nodes without a parent.
fn orphans(store: &Store) -> impl Iterator<Item = String> {
    let mut last = None;
    core::iter::from_fn(move || {
        let (path, _) = store.next(last.as_ref())?;
        last = Some(path.clone());
        Some(path)
    })
    .filter(|path| path.parent().is_some_and(|parent| store.get(parent.as_str()).is_none()))
    .map(|path| alloc::format!("{path} has no parent"))
}

/// Lists accounts that do not say what the tree says.
fn wrong_accounts(store: &Store, accounts: &Accounts) -> impl Iterator<Item = String> {
    let mut counts: BTreeMap<Domid, (usize, usize)> = BTreeMap::new();
    let mut last = None;
    while let Some((path, node)) = store.next(last.as_ref()) {
        counts.entry(node.perms.owner()).or_default().0 += 1;
        for domid in node.perms.mentioned() {
            counts.entry(domid).or_default().1 += 1;
        }
        last = Some(path.clone());
    }
    let known: Vec<_> = accounts.domains().chain(counts.keys().copied()).collect();
    known.into_iter().filter_map(move |domid| {
        let (nodes, mentions) = counts.get(&domid).copied().unwrap_or_default();
        let account = accounts.get(domid);
        let right = (account.nodes, account.mentions) == (nodes, mentions);
        (!right).then(|| alloc::format!("{domid} has {nodes} nodes and {mentions} entries, not {account:?}"))
    })
}
