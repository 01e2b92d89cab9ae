//! What the toolstack asks of the store.

use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use guest_sdk::xenstore::{Error, Permission, Result};
use xen_abi::{Domid, EvtchnPort, Gfn};

/// Events of a watch.
#[allow(async_fn_in_trait, reason = "everything in dom0 runs on one vCPU, so no future has to be `Send`")]
pub trait Watch {
    /// Waits for the next event. The first comes at once.
    async fn next(&mut self) -> Result<()>;
}

/// A connection to the store, or a transaction on it.
#[allow(async_fn_in_trait, reason = "as above")]
pub trait Store: Sized {
    /// Events of a watch, which ends when this is dropped.
    type Watch: Watch;

    /// Gives the value of a node.
    async fn read(&self, path: &str) -> Result<String>;
    /// Sets the value of a node; it is made if it is missing, and all above it.
    async fn write(&self, path: &str, value: &str) -> Result<()>;
    /// Makes a node if it is missing.
    async fn mkdir(&self, path: &str) -> Result<()>;
    /// Removes a node and all below it.
    async fn remove(&self, path: &str) -> Result<()>;
    /// Sets who may do what with a node.
    async fn set_permissions(&self, path: &str, list: &[Permission]) -> Result<()>;
    /// Lists the names of a node's children.
    async fn directory(&self, path: &str) -> Result<Vec<String>>;
    /// Runs `f` as if nobody else were there, again and again until that is so.
    async fn transaction<T, F: AsyncFn(&Self) -> Result<T>>(&self, f: F) -> Result<T>;
    /// Watches a node and all below it.
    async fn watch(&self, path: &str) -> Result<Self::Watch>;
    /// Connects a domain to the store.
    async fn introduce(&self, domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<()>;

    /// Gives the value of a node, or none if there is no such node.
    async fn read_if_there(&self, path: &str) -> Result<Option<String>> {
        match self.read(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the number in a node, or none if there is none: guests write what they like.
    async fn number<T: FromStr>(&self, path: &str) -> Result<Option<T>> {
        match self.read_if_there(path).await {
            Ok(value) => Ok(value.and_then(|value| value.trim().parse().ok())),
            Err(Error::Malformed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists the names of a node's children: none if there is no such node.
    async fn children(&self, path: &str) -> Result<Vec<String>> {
        match self.directory(path).await {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            names => names,
        }
    }

    /// Removes a node and all below it; that it is missing is no error.
    async fn remove_if_there(&self, path: &str) -> Result<()> {
        match self.remove(path).await {
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }

    /// Removes a node, and the directories above it that are empty then.
    async fn prune(&self, path: &str) -> Result<()> {
        self.remove_if_there(path).await?;
        let mut rest = path;
        while let Some((dir, _)) = rest.rsplit_once('/').filter(|(dir, _)| !dir.is_empty()) {
            match self.directory(dir).await {
                Ok(names) if names.is_empty() => self.remove(dir).await?,
                Ok(_) => return Ok(()),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
            rest = dir;
        }
        Ok(())
    }

    /// Makes a node with a value and permissions.
    async fn write_with(&self, path: &str, value: &str, list: &[Permission]) -> Result<()> {
        self.write(path, value).await?;
        self.set_permissions(path, list).await
    }
}

impl Watch for guest_sdk::xenstore::Watch {
    async fn next(&mut self) -> Result<()> {
        self.next().await.map(drop)
    }
}

impl Store for guest_sdk::xenstore::Xenstore {
    type Watch = guest_sdk::xenstore::Watch;

    async fn read(&self, path: &str) -> Result<String> {
        self.read_string(path).await
    }

    async fn write(&self, path: &str, value: &str) -> Result<()> {
        self.write(path, value).await
    }

    async fn mkdir(&self, path: &str) -> Result<()> {
        self.mkdir(path).await
    }

    async fn remove(&self, path: &str) -> Result<()> {
        self.remove(path).await
    }

    async fn set_permissions(&self, path: &str, list: &[Permission]) -> Result<()> {
        self.set_permissions(path, list).await
    }

    async fn directory(&self, path: &str) -> Result<Vec<String>> {
        self.directory(path).await
    }

    async fn transaction<T, F: AsyncFn(&Self) -> Result<T>>(&self, f: F) -> Result<T> {
        self.transaction(f).await
    }

    async fn watch(&self, path: &str) -> Result<Self::Watch> {
        self.watch(path).await
    }

    async fn introduce(&self, domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<()> {
        self.introduce(domid, ring, port).await
    }
}
