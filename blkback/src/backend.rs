//! All disks of all guests.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::fmt;

use guest_sdk::abi::{Domid, features};
use guest_sdk::exec::{self, Either, JoinHandle, race};
use guest_sdk::hypercall::version;
use guest_sdk::xenbus::{self, Device};
use guest_sdk::xenstore::{self, Xenstore};

use crate::disks::Disks;
use crate::queue::Limits;
use crate::stop::Stop;
use crate::vbd::{Failure, Vbd};

/// Where in xenstore the toolstack makes disks.
const DIRECTORY: &str = "backend/vbd";

/// Whose disk, and its number there.
type Key = (Domid, String);

/// The back end of every disk that the toolstack makes in this domain. Dropped, it lets go of all guests at once,
/// as in a crash; [`stop`](Self::stop) is the orderly way.
#[derive(Debug)]
pub struct Backend {
    manager: JoinHandle<xenstore::Result<()>>,
    stop: Stop,
}

impl Backend {
    /// Starts to serve disks that `disks` opens, each within `limits`.
    #[must_use]
    pub fn start<D: Disks + 'static>(store: Xenstore, disks: D, limits: Limits) -> Self {
        let stop = Stop::default();
        let manager =
            Manager { store, disks: Rc::new(disks), limits, stop: stop.clone(), running: BTreeMap::new() };
        Self { manager: exec::spawn(manager.run()), stop }
    }

    /// Asks all guests to let go of their disks, and waits until they have, or had time enough to.
    ///
    /// # Errors
    ///
    /// The connection to the store had ended before.
    pub async fn stop(mut self) -> xenstore::Result<()> {
        self.stop.request();
        (&mut self.manager).await.unwrap_or(Err(xenstore::Error::Closed))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.manager.abort();
    }
}

/// A disk's task, which ends with this.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps a task for each disk.
struct Manager<D> {
    store: Xenstore,
    disks: Rc<D>,
    limits: Limits,
    stop: Stop,
    running: BTreeMap<Key, Task>,
}

impl<D: Disks + 'static> Manager<D> {
    async fn run(mut self) -> xenstore::Result<()> {
        let mut watch = self.store.watch(DIRECTORY).await?;
        while !self.stop.is_requested() {
            self.scan().await?;
            race(watch.next(), self.stop.requested()).await;
        }
        for mut task in core::mem::take(&mut self.running).into_values() {
            // One that is aborted has ended as well.
            let _ = (&mut task.0).await;
        }
        Ok(())
    }

    /// Starts what is new. A disk that has ended stays so until the toolstack has removed it, or made it anew.
    async fn scan(&mut self) -> xenstore::Result<()> {
        let listed = xenbus::backends(&self.store, "vbd").await?;
        self.running.retain(|key, task| !task.0.is_finished() || listed.contains(key));
        for key in listed {
            let ended = self.running.get(&key).is_none_or(|task| task.0.is_finished());
            if ended && self.is_online(&key).await? {
                let task = exec::spawn(serve(
                    self.store.clone(),
                    key.clone(),
                    self.disks.clone(),
                    self.limits,
                    self.stop.clone(),
                ));
                self.running.insert(key, Task(task));
            }
        }
        Ok(())
    }

    async fn is_online(&self, (domid, id): &Key) -> xenstore::Result<bool> {
        let node = format!("{DIRECTORY}/{}/{id}/online", domid.0);
        Ok(self.store.read_if_there(&node).await? == Some(1))
    }
}

impl<D> fmt::Debug for Manager<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.running.keys()).finish()
    }
}

/// One disk's task. After a failure it stays until the toolstack gives the disk up: to try again would fail again.
async fn serve<D: Disks + 'static>(
    store: Xenstore,
    (domid, id): Key,
    disks: Rc<D>,
    limits: Limits,
    stop: Stop,
) {
    let served = async {
        let device = Device::backend(&store, "vbd", domid, &id).await?;
        let path = device.path().to_string();
        let vbd = Vbd::open(device, &id, &*disks, limits, stop.clone()).await?;
        vbd.run().await?;
        Ok::<(), Failure>(tidy_up(&store, &path).await?)
    };
    let Err(failure) = served.await else {
        return;
    };
    log::warn!("blkback: disk {id} of {domid}: {failure}");
    if let Either::First(Err(error)) = race(given_up(&store, domid, &id), stop.requested()).await {
        log::warn!("blkback: disk {id} of {domid}: {error}");
    }
}

/// Removes the nodes of a disk whose life has ended, in a driver domain: there libxl leaves that to the back end, and
/// waits for it.
async fn tidy_up(store: &Xenstore, path: &str) -> xenstore::Result<()> {
    let dom0 = version::features(0).is_ok_and(|bits| bits & 1 << features::DOM0 != 0);
    let online: Option<u32> = store.read_if_there(&format!("{path}/online")).await?;
    if dom0 || online != Some(0) {
        return Ok(());
    }
    match store.remove(path).await {
        Err(error) if error.is_unseen() => Ok(()),
        done => done,
    }
}

/// Waits until a disk is not to be online any more.
async fn given_up(store: &Xenstore, domid: Domid, id: &str) -> xenstore::Result<()> {
    let node = format!("{DIRECTORY}/{}/{id}/online", domid.0);
    let mut watch = store.watch(&node).await?;
    while store.read_if_there(&node).await? == Some(1) {
        watch.next().await?;
    }
    Ok(())
}
