//! Start-up: disk, store, console daemon, disks' back end, toolstack, prompt, each on what came before.

use alloc::rc::Rc;
use core::{convert::Infallible, fmt::Write};

use blkback::{Backend, Limits};
use device_tree::Tree;
use guest_sdk::{Env, abi::Errno, exec};
use toolstack::Toolstack;

use crate::{
    boxed::boxed,
    commands::Session,
    consoles::Consoles,
    devices::Devices,
    host::Dom0,
    probe::{self, ProbeError},
    prompt,
    storage::{FsError, Volume},
    store::Store,
    terminal::Terminal,
};

/// What the user reads first.
const BANNER: &str = "\nThis is the Rust dom0. Type help for its commands, xl help for those about guests.\n\
    To begin with: ls, then xl create -c FILE.cfg. Ctrl-] leaves a guest's console.\n\n";

/// Why dom0 cannot start.
#[derive(Debug)]
pub enum StartError {
    /// It has no disk.
    Disk(ProbeError),
    /// The disk has no volume.
    Volume(FsError),
    /// The hypervisor refused something: this is not dom0.
    Hypervisor(Errno),
    /// The store did not take what dom0 says of itself.
    Toolstack(toolstack::Error),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Disk(e) => e.fmt(f),
            Self::Volume(e) => write!(f, "dom0's disk: {e}"),
            Self::Hypervisor(e) => write!(f, "the hypervisor refuses ({e}): is this the control domain?"),
            Self::Toolstack(e) => e.fmt(f),
        }
    }
}

/// Runs dom0.
///
/// # Errors
///
/// What keeps it from starting.
pub async fn run(env: Env) -> Result<Infallible, StartError> {
    let store = Store::start().map_err(StartError::Hypervisor)?;
    let disk = probe::disk(env.device_tree()).map_err(StartError::Disk)?;
    let volume = Rc::new(Volume::mount(disk.clone()).await.map_err(StartError::Volume)?);
    let devices = Devices::new(disk, volume.clone());
    let consoles = Consoles::start(store.client());
    let backend = Backend::start(store.client(), devices.clone(), Limits::default());
    let host = Dom0::new(store.client(), volume.clone(), &seed(env.device_tree()));
    let toolstack = Rc::new(Toolstack::new(host));
    boxed(|| toolstack.register_dom0()).await.map_err(StartError::Toolstack)?;
    let supervised = toolstack.clone();
    exec::spawn(boxed(|| async move {
        let error = supervised.supervise().await;
        log::error!("guests are not looked after any more: {error}");
    }));
    let mut terminal = Terminal::new(env.console());
    // The terminal takes everything.
    let _ = write!(terminal, "{BANNER}");
    let session = Session { toolstack, store: store.client(), volume, consoles, devices };
    let _serving_disks = backend;
    boxed(|| prompt::run(session, &mut terminal)).await
}

/// The random numbers that the loader left.
fn seed(device_tree: &[u8]) -> alloc::vec::Vec<u8> {
    let tree = Tree::parse(device_tree).ok();
    let chosen = tree.and_then(|tree| tree.find("/chosen"));
    let seed = chosen.and_then(|chosen| chosen.property("rng-seed"));
    seed.map(|seed| seed.value.to_vec()).unwrap_or_default()
}
