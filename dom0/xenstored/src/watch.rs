//! Watches: who is told of which change.
//!
//! Watches are found by the paths they lie on, so that a change costs as much as its path is deep, however many
//! watches there are elsewhere.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error::{Error, Result};
use crate::path::Path;
use crate::perms::{Access, Caller, Perms};
use crate::store::Store;
use crate::wire;

/// The number of a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

/// A change that watches fire for.
#[derive(Clone, Debug)]
pub struct Change {
    path: Path,
    /// Whether watches on the directories above fire too. It is not so for a node that goes because one above it is
    /// removed.
    subtree: bool,
    /// Lists of which one must let the watcher read: those of the node before and after, and of its directory.
    shown_to: Vec<Perms>,
}

impl Change {
    /// Makes a change at `path`, shown to those who may read by `perms`.
    pub fn new(path: &Path, subtree: bool, perms: Option<Perms>) -> Self {
        Self { path: path.clone(), subtree, shown_to: perms.into_iter().collect() }
    }

    /// Shows the change to those who may read the node, or the directory that it lies in, as the store has them now.
    pub fn show_to_readers_of(&mut self, store: &Store) {
        let parent = self.path.parent();
        let paths = [Some(self.path.as_str()), parent.as_ref().map(Path::as_str)];
        let nodes = paths.into_iter().flatten().filter_map(|path| store.get(path));
        self.shown_to.extend(nodes.map(|node| node.perms.clone()));
    }

    fn visible_to(&self, caller: &Caller) -> bool {
        self.shown_to.iter().any(|perms| perms.access(caller).covers(Access::READ))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch {
    token: Arc<[u8]>,
    /// How much of the path the client left out when it set the watch.
    hidden_prefix: usize,
}

/// All watches of all connections.
#[derive(Debug, Default)]
pub struct Watches {
    by_path: BTreeMap<Path, BTreeMap<ConnectionId, Vec<Watch>>>,
    paths_of: BTreeMap<ConnectionId, BTreeSet<Path>>,
}

impl Watches {
    /// Gives what a watch is charged, in bytes.
    pub fn cost(path: &Path, token: &[u8]) -> usize {
        path.as_str().len() + token.len()
    }

    /// Tells whether this very watch is set.
    pub fn contains(&self, conn: ConnectionId, path: &Path, token: &[u8]) -> bool {
        let watches = self.by_path.get(path).and_then(|watches| watches.get(&conn));
        watches.is_some_and(|watches| watches.iter().any(|watch| *watch.token == *token))
    }

    /// Sets a watch, and gives the event that tells the client so.
    pub fn add(
        &mut self,
        conn: ConnectionId,
        path: &Path,
        token: &[u8],
        hidden_prefix: usize,
    ) -> Result<Arc<[u8]>> {
        if self.contains(conn, path, token) {
            return Err(Error::Eexist);
        }
        let watch = Watch { token: token.into(), hidden_prefix };
        let event = watch.event(path);
        self.by_path.entry(path.clone()).or_default().entry(conn).or_default().push(watch);
        self.paths_of.entry(conn).or_default().insert(path.clone());
        Ok(event)
    }

    /// Removes a watch.
    pub fn remove(&mut self, conn: ConnectionId, path: &Path, token: &[u8]) -> Result<()> {
        if !self.contains(conn, path, token) {
            return Err(Error::Enoent);
        }
        self.retain(conn, path, |watch| *watch.token != *token);
        Ok(())
    }

    /// Removes all watches of a connection, and gives their number and what they were charged.
    pub fn remove_all(&mut self, conn: ConnectionId) -> (usize, usize) {
        let mut count = 0;
        let mut cost = 0;
        for path in self.paths_of.get(&conn).cloned().unwrap_or_default() {
            self.retain(conn, &path, |watch| {
                count += 1;
                cost += Self::cost(&path, &watch.token);
                false
            });
        }
        (count, cost)
    }

    fn retain(&mut self, conn: ConnectionId, path: &Path, keep: impl FnMut(&Watch) -> bool) {
        let Some(connections) = self.by_path.get_mut(path) else { return };
        let Some(watches) = connections.get_mut(&conn) else { return };
        watches.retain(keep);
        if !watches.is_empty() {
            return;
        }
        connections.remove(&conn);
        if connections.is_empty() {
            self.by_path.remove(path);
        }
        if let Some(paths) = self.paths_of.get_mut(&conn) {
            paths.remove(path);
            if paths.is_empty() {
                self.paths_of.remove(&conn);
            }
        }
    }

    /// Lists the events that a change causes. `caller_of` says who is behind a connection.
    pub fn events(
        &self,
        change: &Change,
        caller_of: impl Fn(ConnectionId) -> Option<Caller>,
    ) -> Vec<(ConnectionId, Arc<[u8]>)> {
        let levels = if change.subtree { usize::MAX } else { 1 };
        let mut events = Vec::new();
        for place in change.path.ancestry().take(levels) {
            for (conn, watches) in self.by_path.get(place).into_iter().flatten() {
                if caller_of(*conn).is_some_and(|caller| change.visible_to(&caller)) {
                    events.extend(watches.iter().map(|watch| (*conn, watch.event(&change.path))));
                }
            }
        }
        events.retain(|(_, event)| event.len() <= wire::PAYLOAD_MAX);
        events
    }
}

impl Watch {
    fn event(&self, path: &Path) -> Arc<[u8]> {
        let path = path.as_str().get(self.hidden_prefix..).unwrap_or(path.as_str());
        [path.as_bytes(), b"\0", &self.token, b"\0"].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domid;

    const CONN: ConnectionId = ConnectionId(1);

    fn caller(privileged: bool) -> impl Fn(ConnectionId) -> Option<Caller> {
        move |_| Some(Caller { domid: Domid(4), target: None, privileged })
    }

    fn fired(watches: &Watches, path: &str, subtree: bool) -> Vec<Vec<u8>> {
        let change = Change::new(&Path::known(path), subtree, Some(Perms::private(Domid(4))));
        watches.events(&change, caller(false)).into_iter().map(|(_, event)| event.to_vec()).collect()
    }

    #[test]
    fn a_watch_fires_for_the_node_and_all_below_it() {
        let mut watches = Watches::default();
        watches.add(CONN, &Path::known("/a"), b"t", 0).unwrap();
        assert_eq!(fired(&watches, "/a", true), [b"/a\0t\0"]);
        assert_eq!(fired(&watches, "/a/b/c", true), [b"/a/b/c\0t\0"]);
        assert!(fired(&watches, "/a-b", true).is_empty());
        assert!(fired(&watches, "/", true).is_empty());
        assert!(fired(&watches, "/a/b", false).is_empty());
    }

    #[test]
    fn a_watch_on_the_root_sees_everything_but_special_events() {
        let mut watches = Watches::default();
        watches.add(CONN, &Path::root(), b"t", 0).unwrap();
        assert_eq!(fired(&watches, "/x", true), [b"/x\0t\0"]);
        assert_eq!(fired(&watches, "/", true), [b"/\0t\0"]);
        assert!(fired(&watches, "@releaseDomain", true).is_empty());
    }

    #[test]
    fn a_relative_watch_is_answered_in_its_own_terms() {
        let mut watches = Watches::default();
        let path = Path::known("/local/domain/4/device");
        let event = watches.add(CONN, &path, b"t", "/local/domain/4/".len()).unwrap();
        assert_eq!(&*event, b"device\0t\0");
        assert_eq!(fired(&watches, "/local/domain/4/device/vbd", true), [b"device/vbd\0t\0"]);
    }

    #[test]
    fn nodes_that_the_watcher_may_not_read_fire_nothing() {
        let mut watches = Watches::default();
        watches.add(CONN, &Path::known("/a"), b"t", 0).unwrap();
        let change = Change::new(&Path::known("/a"), true, Some(Perms::private(Domid(0))));
        assert!(watches.events(&change, caller(false)).is_empty());
        assert_eq!(watches.events(&change, caller(true)).len(), 1);
    }

    #[test]
    fn events_that_fit_no_message_are_dropped() {
        let mut watches = Watches::default();
        watches.add(CONN, &Path::known("/a"), &[b't'; 2000], 0).unwrap();
        assert_eq!(fired(&watches, &alloc::format!("/a/{}", "b".repeat(2000)), true).len(), 1);
        assert!(fired(&watches, &alloc::format!("/a/{}", "b".repeat(2100)), true).is_empty());
    }

    #[test]
    fn watches_are_told_apart_by_path_and_token() {
        let mut watches = Watches::default();
        let path = Path::known("/a");
        watches.add(CONN, &path, b"1", 0).unwrap();
        watches.add(CONN, &path, b"2", 0).unwrap();
        assert_eq!(watches.add(CONN, &path, b"1", 0), Err(Error::Eexist));
        assert_eq!(watches.remove(CONN, &path, b"3"), Err(Error::Enoent));
        watches.remove(CONN, &path, b"1").unwrap();
        assert_eq!(fired(&watches, "/a", true), [b"/a\x002\0"]);
        assert_eq!(watches.remove_all(CONN), (1, 3));
        assert_eq!(watches.remove_all(CONN), (0, 0));
        assert!(watches.by_path.is_empty() && watches.paths_of.is_empty());
    }
}
