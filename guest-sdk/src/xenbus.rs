//! Devices that are split between two domains, as they meet in xenstore.
//!
//! Each end has a directory with a `state`; each names the other's. [`Device`] is one end with the
//! paths of both: it reads and writes its own, reads the other's, says its state and waits for the
//! other's. What a device then does with its nodes is its protocol's business; [`frontend`]
//! is what all front ends do.

pub mod frontend;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use xen_abi::Domid;
pub use xen_abi::io::xenbus::XenbusState;

use crate::xenstore::{Error, Result, Watch, Xenstore};

/// The numbers of this domain's devices of a kind, such as "vbd".
///
/// # Errors
///
/// The store's; none of that kind is an empty list.
pub async fn frontends(store: &Xenstore, kind: &str) -> Result<Vec<String>> {
    children(store, &format!("device/{kind}")).await
}

/// The back ends of a kind that the toolstack wants this domain to have: the front end's domain and
/// the device's number there.
///
/// # Errors
///
/// The store's; none of that kind is an empty list.
pub async fn backends(store: &Xenstore, kind: &str) -> Result<Vec<(Domid, String)>> {
    let mut list = Vec::new();
    for domain in children(store, &format!("backend/{kind}")).await? {
        let Ok(domid) = domain.parse() else {
            continue;
        };
        let ids = children(store, &format!("backend/{kind}/{domain}")).await?;
        list.extend(ids.into_iter().map(|id| (Domid(domid), id)));
    }
    Ok(list)
}

async fn children(store: &Xenstore, path: &str) -> Result<Vec<String>> {
    match store.directory(path).await {
        Err(error) if error.is_unseen() => Ok(Vec::new()),
        list => list,
    }
}

/// One end of a device.
#[derive(Clone)]
pub struct Device {
    store: Xenstore,
    path: String,
    other: Domid,
    other_path: String,
}

impl Device {
    /// This domain's front end `device/<kind>/<id>`.
    ///
    /// # Errors
    ///
    /// The store's; [`Error::Malformed`] when its nodes do not name a back end.
    pub async fn frontend(store: &Xenstore, kind: &str, id: &str) -> Result<Self> {
        Self::at(store, format!("device/{kind}/{id}"), "backend").await
    }

    /// This domain's back end for device `id` of domain `other`, `backend/<kind>/<other>/<id>`.
    ///
    /// # Errors
    ///
    /// The store's; [`Error::Malformed`] when its nodes do not name a front end.
    pub async fn backend(store: &Xenstore, kind: &str, other: Domid, id: &str) -> Result<Self> {
        let path = format!("backend/{kind}/{}/{id}", other.0);
        let device = Self::at(store, path, "frontend").await?;
        if device.other != other {
            return Err(Error::Malformed);
        }
        Ok(device)
    }

    /// The end in a directory whose nodes name the other end by `role` and `role-id`.
    async fn at(store: &Xenstore, path: String, role: &str) -> Result<Self> {
        let other_path = store.read_string(&format!("{path}/{role}")).await?;
        let other = store.read_as(&format!("{path}/{role}-id")).await?;
        Ok(Self { store: store.clone(), path, other: Domid(other), other_path })
    }

    /// The same device, with all requests made in a transaction.
    pub fn on(&self, store: &Xenstore) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }

    /// The store.
    pub fn store(&self) -> &Xenstore {
        &self.store
    }

    /// Our directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The other end's directory.
    pub fn other_path(&self) -> &str {
        &self.other_path
    }

    /// The other end's domain.
    pub fn other(&self) -> Domid {
        self.other
    }

    fn node(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    fn other_node(&self, key: &str) -> String {
        format!("{}/{key}", self.other_path)
    }

    /// A node of ours.
    ///
    /// # Errors
    ///
    /// The store's; [`Error::Malformed`] when it is not a `T`.
    pub async fn read<T: FromStr>(&self, key: &str) -> Result<T> {
        self.store.read_as(&self.node(key)).await
    }

    /// A node of ours that may be missing.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but for `ENOENT`.
    pub async fn read_if_there<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.store.read_if_there(&self.node(key)).await
    }

    /// Sets a node of ours.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn write(&self, key: &str, value: impl fmt::Display) -> Result<()> {
        self.store.write(&self.node(key), value.to_string()).await
    }

    /// Removes a node of ours, if it is there.
    ///
    /// # Errors
    ///
    /// The store's, but for `ENOENT`.
    pub async fn remove(&self, key: &str) -> Result<()> {
        match self.store.remove(&self.node(key)).await {
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }

    /// A node of the other end: hostile, like all it says.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_other<T: FromStr>(&self, key: &str) -> Result<T> {
        self.store.read_as(&self.other_node(key)).await
    }

    /// A node of the other end that may be missing.
    ///
    /// # Errors
    ///
    /// As [`read_if_there`](Self::read_if_there).
    pub async fn read_other_if_there<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.store.read_if_there(&self.other_node(key)).await
    }

    /// Our state; unknown when it was never set.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn state(&self) -> Result<XenbusState> {
        read_state(&self.store, &self.node("state")).await
    }

    /// The other end's state; unknown when it is gone.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn other_state(&self) -> Result<XenbusState> {
        read_state(&self.store, &self.other_node("state")).await
    }

    /// Goes to a state. Written only when it is another one, so that no one is told twice; never
    /// into a directory that the toolstack has removed.
    ///
    /// # Errors
    ///
    /// `ENOENT` when the directory is gone; the store's.
    pub async fn switch_state(&self, to: XenbusState) -> Result<()> {
        let node = self.node("state");
        if !self.store.exists(&self.path).await? {
            return Err(xen_abi::Errno::ENOENT.into());
        }
        if read_state(&self.store, &node).await? == to {
            return Ok(());
        }
        self.store.write(&node, to.0.to_string()).await
    }

    /// Follows the other end's state.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn watch_other(&self) -> Result<OtherState> {
        let node = self.other_node("state");
        Ok(OtherState { watch: self.store.watch(&node).await?, node, last: None })
    }

    /// Waits until the other end's state is one that `wanted` accepts; gives it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn wait_other(&self, wanted: impl Fn(XenbusState) -> bool) -> Result<XenbusState> {
        let mut states = self.watch_other().await?;
        loop {
            let state = states.next().await?;
            if wanted(state) {
                return Ok(state);
            }
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({} and {})", self.path, self.other_path)
    }
}

async fn read_state(store: &Xenstore, node: &str) -> Result<XenbusState> {
    match store.read_if_there(node).await {
        Ok(state) => Ok(state.map_or(XenbusState::UNKNOWN, XenbusState)),
        Err(Error::Malformed) => Ok(XenbusState::UNKNOWN),
        Err(error) => Err(error),
    }
}

/// The other end's states, as they change.
#[derive(Debug)]
pub struct OtherState {
    watch: Watch,
    node: String,
    last: Option<XenbusState>,
}

impl OtherState {
    /// The next state that is not the last one given. The first comes at once.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn next(&mut self) -> Result<XenbusState> {
        loop {
            self.watch.next().await?;
            let state = read_state(&self.watch.store(), &self.node).await?;
            if self.last != Some(state) {
                self.last = Some(state);
                return Ok(state);
            }
        }
    }
}

#[cfg(test)]
mod tests;
