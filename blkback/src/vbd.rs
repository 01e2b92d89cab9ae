//! One virtual disk, from the toolstack's making it to its removing it.
//!
//! [`Vbd::run`] looks at where both ends stand whenever something may have changed, does what follows from that,
//! and serves requests meanwhile. Nothing is remembered of how a state was reached, so a front end may come, go
//! and lie in any order.

use alloc::format;
use alloc::rc::Rc;
use core::fmt;
use core::time::Duration;

use guest_sdk::exec::{Either, race, sleep};
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::{self, Watch};
use log::Level;

use crate::connect::{self, ConnectError};
use crate::disks::{Description, Disks, OpenError};
use crate::queue::{Limits, Queue};
use crate::reports::Reports;
use crate::request::Rules;
use crate::stop::Stop;
use crate::store::{Geometry, Store};

/// How long a front end may take to let go of its disk when asked to, before it is cut off.
const PATIENCE: Duration = Duration::from_secs(5);

/// A virtual disk.
pub(crate) struct Vbd<S> {
    device: Device,
    disk: Description,
    reports: Reports,
    store: Rc<S>,
    rules: Rules,
    limits: Limits,
    queue: Option<Queue<S>>,
    /// Our state, as last written or found.
    state: XenbusState,
    stop: Stop,
}

/// Where everybody stands.
#[derive(Clone, Copy, Debug)]
struct View {
    /// The toolstack still has the disk in its books.
    present: bool,
    /// It is to stay when the front end goes.
    online: bool,
    front: XenbusState,
}

/// Whether a disk's life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    GoesOn,
    Ends,
}

impl<S: Store + 'static> Vbd<S> {
    /// Opens the disk of `device` and tells the toolstack how that went.
    pub(crate) async fn open<D: Disks<Store = S>>(
        device: Device,
        id: &str,
        disks: &D,
        limits: Limits,
        stop: Stop,
    ) -> Result<Self, Failure> {
        let disk = connect::describe(&device, id).await?;
        let opened = disks.open(&disk).await.map_err(Failure::Open).and_then(|store| {
            let geometry = store.geometry();
            if geometry.is_consistent() { Ok((store, geometry)) } else { Err(Failure::Geometry(geometry)) }
        });
        let (store, mut geometry) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                report(&device, &failure).await;
                device.write("hotplug-error", &failure).await?;
                device.write("hotplug-status", "error").await?;
                return Err(failure);
            }
        };
        geometry.read_only |= disk.read_only;
        geometry.discard = geometry.discard.filter(|_| !disk.no_discard);
        let rules = Rules { geometry, max_indirect: limits.indirect_segments.min(4096) };
        let state = device.state().await?;
        let reports = Reports::new(&disk);
        Ok(Self { device, disk, reports, store, rules, limits, queue: None, state, stop })
    }

    /// Serves the disk until the toolstack removes it, or the back end is stopped.
    pub(crate) async fn run(mut self) -> xenstore::Result<()> {
        let front = format!("{}/state", self.device.other_path());
        let own = format!("{}/online", self.device.path());
        let mut front = self.device.store().watch(&front).await?;
        let mut own = self.device.store().watch(&own).await?;
        self.begin().await?;
        while self.step().await? == Life::GoesOn {
            self.serve(&mut front, &mut own).await?;
        }
        Ok(())
    }

    /// Announces the disk. One that was connected to a back end before us has to be closed first: which of its
    /// requests were answered nobody knows.
    async fn begin(&mut self) -> xenstore::Result<()> {
        self.device.write("hotplug-status", "connected").await?;
        match self.state {
            XenbusState::CONNECTED | XenbusState::CLOSING => self.switch(XenbusState::CLOSING).await,
            XenbusState::CLOSED => Ok(()),
            _ => self.offer().await,
        }
    }

    async fn offer(&mut self) -> xenstore::Result<()> {
        connect::publish(&self.device, &self.disk, &self.rules, &self.limits).await?;
        self.switch(XenbusState::INIT_WAIT).await
    }

    /// Serves requests until something else is to be looked at.
    async fn serve(&mut self, front: &mut Watch, own: &mut Watch) -> xenstore::Result<()> {
        let broken = {
            let requests = async {
                match &mut self.queue {
                    Some(queue) => queue.serve().await,
                    None => core::future::pending().await,
                }
            };
            let news = race(race(front.next(), own.next()), self.stop.requested());
            match race(requests, news).await {
                Either::First(broken) => broken,
                Either::Second(Either::First(Either::First(event) | Either::Second(event))) => {
                    return event.map(drop);
                }
                Either::Second(Either::Second(())) => return Ok(()),
            }
        };
        self.cut_off(&broken).await
    }

    async fn look(&self) -> xenstore::Result<View> {
        let online: Option<u32> = self.device.read_if_there("online").await?;
        let present = online.is_some() || self.device.store().exists(self.device.path()).await?;
        let front = self.device.other_state().await?;
        Ok(View { present, online: online == Some(1), front })
    }

    /// Does what follows from where everybody stands.
    async fn step(&mut self) -> xenstore::Result<Life> {
        let view = self.look().await?;
        if !view.present {
            self.disconnect().await;
            return Ok(Life::Ends);
        }
        match view.front {
            XenbusState::INITIALISING if self.state != XenbusState::INIT_WAIT => {
                self.disconnect().await;
                self.offer().await?;
            }
            XenbusState::INITIALISED | XenbusState::CONNECTED => self.connect().await?,
            XenbusState::CLOSING if self.queue.is_some() => {
                self.switch(XenbusState::CLOSING).await?;
            }
            XenbusState::CLOSED | XenbusState::UNKNOWN if self.state != XenbusState::INITIALISING => {
                self.disconnect().await;
                self.switch(XenbusState::CLOSED).await?;
            }
            _ => {}
        }
        if view.online && !self.stop.is_requested() {
            return Ok(Life::GoesOn);
        }
        self.leave().await
    }

    /// Connects to a front end that is ready, unless that is done or the disk is closing.
    async fn connect(&mut self) -> xenstore::Result<()> {
        if self.queue.is_some() || self.state != XenbusState::INIT_WAIT {
            return Ok(());
        }
        match connect::connect(&self.device, &self.limits).await {
            Ok(connection) => {
                self.reports.say(Level::Info, format_args!("connected"));
                let (store, rules, limits) = (self.store.clone(), self.rules, self.limits);
                let (peer, reports) = (self.disk.domid, self.reports.clone());
                self.queue = Some(Queue::new(connection, peer, reports, store, rules, limits));
                self.switch(XenbusState::CONNECTED).await
            }
            Err(ConnectError::Node(xenstore::Error::Closed)) => Err(xenstore::Error::Closed),
            Err(error) => self.cut_off(&error).await,
        }
    }

    /// Ends the connection with a front end that broke the protocol. It may close its end and start anew.
    async fn cut_off(&mut self, error: &impl fmt::Display) -> xenstore::Result<()> {
        self.reports.say(Level::Warn, format_args!("{error}"));
        self.disconnect().await;
        report(&self.device, error).await;
        self.switch(XenbusState::CLOSING).await
    }

    /// Lets go of the front end's ring and pages, once the store is done with what is under way.
    async fn disconnect(&mut self) {
        if let Some(mut queue) = self.queue.take() {
            queue.drain().await;
            self.reports.say(Level::Info, format_args!("disconnected: {}", queue.statistics()));
        }
    }

    /// Ends the disk's life: asks the front end to close its end, and waits for that a while.
    async fn leave(&mut self) -> xenstore::Result<Life> {
        if self.queue.is_some() {
            self.switch(XenbusState::CLOSING).await?;
            let closed =
                self.device.wait_other(|state| matches!(state, XenbusState::CLOSED | XenbusState::UNKNOWN));
            let serve = async {
                if let Some(queue) = &mut self.queue {
                    queue.serve().await;
                }
                core::future::pending::<()>().await
            };
            race(serve, race(closed, sleep(PATIENCE))).await;
            self.disconnect().await;
        }
        self.switch(XenbusState::CLOSED).await?;
        Ok(Life::Ends)
    }

    async fn switch(&mut self, state: XenbusState) -> xenstore::Result<()> {
        self.state = state;
        match self.device.switch_state(state).await {
            // The toolstack has just removed the disk: the next look will find that.
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }
}

/// Why a disk cannot be served.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The toolstack's nodes, or the store's daemon.
    Node(xenstore::Error),
    /// What is to be behind it.
    Open(OpenError),
    /// The store's numbers contradict each other.
    Geometry(Geometry),
}

impl From<xenstore::Error> for Failure {
    fn from(error: xenstore::Error) -> Self {
        Self::Node(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => write!(f, "{error}"),
            Self::Open(error) => write!(f, "{error}"),
            Self::Geometry(geometry) => write!(f, "the store contradicts itself: {geometry:?}"),
        }
    }
}

/// Leaves a message where the toolstack looks for it, if that is allowed in this domain.
async fn report(device: &Device, error: &impl fmt::Display) {
    let node = format!("error/{}/error", device.path());
    if let Err(error) = device.store().write_display(&node, error).await {
        log::debug!("blkback: {node}: {error}");
    }
}
