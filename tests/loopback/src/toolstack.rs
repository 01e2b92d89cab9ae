//! What a toolstack writes of a disk or a network interface, and how it takes one away.

use guest_sdk::abi::Domid;
use guest_sdk::xenbus::XenbusState;
use guest_sdk::xenstore::Xenstore;

/// The domain of the back end.
pub const BACK: Domid = Domid(0);
/// `xvda`.
pub const XVDA: &str = "51712";

/// The address of an interface.
pub const MAC: &str = "00:16:3e:00:00:01";

/// A device in xenstore.
#[derive(Clone, Debug)]
pub struct Nodes {
    front: String,
    back: String,
    domid: Domid,
    server: Domid,
}

impl Nodes {
    /// Disk `id` of `domid`, from the usual back end.
    #[must_use]
    pub fn disk(domid: Domid, id: &str) -> Self {
        Self::disk_served_by(BACK, domid, id)
    }

    /// Disk `id` of `domid`, from the back end in `server`.
    #[must_use]
    pub fn disk_served_by(server: Domid, domid: Domid, id: &str) -> Self {
        Self::new("vbd", server, domid, id)
    }

    /// The first interface of `domid`.
    #[must_use]
    pub fn interface(domid: Domid) -> Self {
        Self::new("vif", BACK, domid, "0")
    }

    fn new(kind: &str, server: Domid, domid: Domid, id: &str) -> Self {
        Self {
            front: format!("/local/domain/{}/device/{kind}/{id}", domid.0),
            back: format!("/local/domain/{}/backend/{kind}/{}/{id}", server.0, domid.0),
            domid,
            server,
        }
    }

    /// A node of the front end's.
    #[must_use]
    pub fn front(&self, key: &str) -> String {
        format!("{}/{key}", self.front)
    }

    /// A node of the back end's.
    #[must_use]
    pub fn back(&self, key: &str) -> String {
        format!("{}/{key}", self.back)
    }

    /// Makes the disk, as libxl does for one given as `phy:PARAMS,VDEV,MODE`.
    pub async fn make_disk(&self, store: &Xenstore, params: &str, mode: &str) {
        let id = self.front.rsplit('/').next().unwrap_or_default();
        let back = [
            ("params", params),
            ("type", "phy"),
            ("mode", mode),
            ("device-type", "disk"),
            ("discard-enable", "1"),
            ("removable", "0"),
            ("bootable", "1"),
            ("dev", "xvda"),
        ];
        self.make(store, &back, &[("virtual-device", id), ("device-type", "disk")]).await;
    }

    /// Makes the interface, as libxl does for one given as `mac=MAC`.
    pub async fn make_interface(&self, store: &Xenstore) {
        let back = [("mac", MAC), ("handle", "0"), ("type", "vif")];
        self.make(store, &back, &[("handle", "0"), ("mac", MAC)]).await;
    }

    /// Makes both ends with what is particular to their kind.
    async fn make(&self, store: &Xenstore, back: &[(&str, &str)], front: &[(&str, &str)]) {
        let frontend_id = self.domid.0.to_string();
        let backend_id = self.server.0.to_string();
        let common = [
            (self.back("frontend"), self.front.as_str()),
            (self.back("frontend-id"), &frontend_id),
            (self.back("online"), "1"),
            (self.back("state"), "1"),
            (self.front("backend"), &self.back),
            (self.front("backend-id"), &backend_id),
            (self.front("state"), "1"),
        ];
        let back = back.iter().map(|(key, value)| (self.back(key), *value));
        let front = front.iter().map(|(key, value)| (self.front(key), *value));
        let nodes: Vec<_> = back.chain(front).chain(common).collect();
        let write = async |store: &Xenstore| {
            for (path, value) in &nodes {
                store.write(path, value).await?;
            }
            Ok(())
        };
        store.transaction(write).await.expect("making a device");
    }

    /// Asks both ends to let go, as libxl does before it removes a device.
    pub async fn detach(&self, store: &Xenstore) {
        let write = async |store: &Xenstore| {
            store.write(&self.back("online"), "0").await?;
            store.write(&self.back("state"), "5").await
        };
        store.transaction(write).await.expect("detaching a device");
    }

    /// Removes all nodes.
    pub async fn remove(&self, store: &Xenstore) {
        store.remove(&self.front).await.expect("removing the front end");
        store.remove(&self.back).await.expect("removing the back end");
    }

    /// The states of both ends: front, back.
    pub async fn states(&self, store: &Xenstore) -> (XenbusState, XenbusState) {
        let front = store.read_if_there(&self.front("state")).await.expect("reading a state");
        let back = store.read_if_there(&self.back("state")).await.expect("reading a state");
        (XenbusState(front.unwrap_or(0)), XenbusState(back.unwrap_or(0)))
    }

    /// Waits until the back end is in a state.
    pub async fn await_back(&self, store: &Xenstore, wanted: XenbusState) {
        let mut watch = store.watch(&self.back("state")).await.expect("watching a state");
        while self.states(store).await.1 != wanted {
            watch.next().await.expect("watching a state");
        }
    }

    /// Waits until the front end is in a state.
    pub async fn await_front(&self, store: &Xenstore, wanted: XenbusState) {
        let mut watch = store.watch(&self.front("state")).await.expect("watching a state");
        while self.states(store).await.0 != wanted {
            watch.next().await.expect("watching a state");
        }
    }
}
