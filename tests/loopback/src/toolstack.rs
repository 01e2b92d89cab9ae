//! What a toolstack writes of a disk, and how it takes one away.

use guest_sdk::abi::Domid;
use guest_sdk::xenbus::XenbusState;
use guest_sdk::xenstore::Xenstore;

/// The domain of the back end.
pub const BACK: Domid = Domid(0);
/// `xvda`.
pub const XVDA: &str = "51712";

/// A disk in xenstore.
#[derive(Clone, Debug)]
pub struct DiskNodes {
    front: String,
    back: String,
    domid: Domid,
    server: Domid,
}

impl DiskNodes {
    /// Disk `id` of `domid`, from the usual back end.
    #[must_use]
    pub fn new(domid: Domid, id: &str) -> Self {
        Self::served_by(BACK, domid, id)
    }

    /// Disk `id` of `domid`, from the back end in `server`.
    #[must_use]
    pub fn served_by(server: Domid, domid: Domid, id: &str) -> Self {
        Self {
            front: format!("/local/domain/{}/device/vbd/{id}", domid.0),
            back: format!("/local/domain/{}/backend/vbd/{}/{id}", server.0, domid.0),
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
    pub async fn make(&self, store: &Xenstore, params: &str, mode: &str) {
        let id = self.front.rsplit('/').next().unwrap_or_default();
        let frontend_id = self.domid.0.to_string();
        let backend_id = self.server.0.to_string();
        let nodes = [
            (self.back("frontend"), self.front.as_str()),
            (self.back("frontend-id"), &frontend_id),
            (self.back("params"), params),
            (self.back("type"), "phy"),
            (self.back("mode"), mode),
            (self.back("device-type"), "disk"),
            (self.back("discard-enable"), "1"),
            (self.back("removable"), "0"),
            (self.back("bootable"), "1"),
            (self.back("dev"), "xvda"),
            (self.back("online"), "1"),
            (self.back("state"), "1"),
            (self.front("backend"), &self.back),
            (self.front("backend-id"), &backend_id),
            (self.front("virtual-device"), id),
            (self.front("device-type"), "disk"),
            (self.front("state"), "1"),
        ];
        let write = async |store: &Xenstore| {
            for (path, value) in &nodes {
                store.write(path, value).await?;
            }
            Ok(())
        };
        store.transaction(write).await.expect("making a disk");
    }

    /// Asks both ends to let go, as libxl does before it removes a disk.
    pub async fn detach(&self, store: &Xenstore) {
        let write = async |store: &Xenstore| {
            store.write(&self.back("online"), "0").await?;
            store.write(&self.back("state"), "5").await
        };
        store.transaction(write).await.expect("detaching a disk");
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
