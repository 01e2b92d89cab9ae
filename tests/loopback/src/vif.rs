//! What a toolstack writes of a network interface, and how it takes one away.

use guest_sdk::abi::Domid;
use guest_sdk::xenbus::XenbusState;
use guest_sdk::xenstore::Xenstore;

use crate::toolstack::BACK;

/// The interface's address.
pub const MAC: &str = "00:16:3e:00:00:01";

/// The first interface of a domain, in xenstore.
#[derive(Clone, Debug)]
pub struct VifNodes {
    front: String,
    back: String,
    domid: Domid,
}

impl VifNodes {
    /// That of `domid`.
    #[must_use]
    pub fn new(domid: Domid) -> Self {
        Self {
            front: format!("/local/domain/{}/device/vif/0", domid.0),
            back: format!("/local/domain/{}/backend/vif/{}/0", BACK.0, domid.0),
            domid,
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

    /// Makes the interface, as libxl does for one given as `mac=MAC`.
    ///
    /// # Panics
    ///
    /// If xenstore fails.
    pub async fn make(&self, store: &Xenstore) {
        let frontend_id = self.domid.0.to_string();
        let backend_id = BACK.0.to_string();
        let nodes = [
            (self.back("frontend"), self.front.as_str()),
            (self.back("frontend-id"), &frontend_id),
            (self.back("online"), "1"),
            (self.back("state"), "1"),
            (self.back("mac"), MAC),
            (self.back("handle"), "0"),
            (self.back("type"), "vif"),
            (self.front("backend"), &self.back),
            (self.front("backend-id"), &backend_id),
            (self.front("handle"), "0"),
            (self.front("mac"), MAC),
            (self.front("state"), "1"),
        ];
        let write = async |store: &Xenstore| {
            for (path, value) in &nodes {
                store.write(path, value).await?;
            }
            Ok(())
        };
        store.transaction(write).await.expect("making an interface");
    }

    /// Asks both ends to let go, as libxl does before it removes an interface.
    ///
    /// # Panics
    ///
    /// If xenstore fails.
    pub async fn detach(&self, store: &Xenstore) {
        let write = async |store: &Xenstore| {
            store.write(&self.back("online"), "0").await?;
            store.write(&self.back("state"), "5").await
        };
        store.transaction(write).await.expect("detaching an interface");
    }

    /// Removes all nodes.
    ///
    /// # Panics
    ///
    /// If xenstore fails.
    pub async fn remove(&self, store: &Xenstore) {
        store.remove(&self.front).await.expect("removing the front end");
        store.remove(&self.back).await.expect("removing the back end");
    }

    /// Waits until the front end is in a state.
    ///
    /// # Panics
    ///
    /// If xenstore fails.
    pub async fn await_front(&self, store: &Xenstore, wanted: XenbusState) {
        let node = self.front("state");
        let mut watch = store.watch(&node).await.expect("watching a state");
        while store.read_if_there(&node).await.expect("reading a state") != Some(wanted.0) {
            watch.next().await.expect("watching a state");
        }
    }
}
