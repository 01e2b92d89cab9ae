//! A domain that counts together with another, in memory that they share since they were built: each of the two adds
//! one in turn. Whose turn it is an event tells, on a port that is there from the start, too.
// UNSAFETY: accesses memory that another domain has as well, which the SDK has mapped.
#![allow(unsafe_code)]
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

use device_tree::Tree;
use guest_sdk::{
    Env,
    abi::{Errno, EvtchnPort},
    event::Port,
};

guest_sdk::main!(main);

/// How often each adds one.
const TURNS: u32 = 3;
/// In the last page: the counter.
const COUNTER: usize = 0x1ff8;

#[cfg(target_os = "none")]
async fn main(env: Env) -> Result<(), Errno> {
    let tree = Tree::parse(env.device_tree()).map_err(|_| Errno::EINVAL)?;
    let node = tree.compatible(&["xen,shared-memory-v1"]).next().ok_or(Errno::ENODEV)?;
    let place = node.regions().map_err(|_| Errno::EINVAL)?.next().ok_or(Errno::ENXIO)?;
    log::info!("shared: {:?} at {:#x}+{:#x}", node.str("xen,id").unwrap_or(""), place.base, place.size);
    let number = env.bootarg("port").and_then(|port| port.parse().ok()).ok_or(Errno::EINVAL)?;
    let port = Port::adopt(EvtchnPort(number))?;

    let memory = guest_sdk::memory::map_device(place.base, place.size as usize)?;
    // SAFETY: the counter lies in what was mapped; whoever else writes it waits for its turn.
    let counter = unsafe { memory.as_ptr().add(COUNTER).cast::<u32>() };
    for _ in 0..TURNS {
        port.wait().await;
        // SAFETY: as above.
        let count = unsafe { counter.read_volatile() } + 1;
        // SAFETY: as above.
        unsafe { counter.write_volatile(count) };
        log::info!("shared: counted to {count}.");
        port.notify()?;
    }
    // The end of dom0 would be the machine's.
    core::future::pending().await
}

/// Nothing is shared on the host.
#[cfg(not(target_os = "none"))]
async fn main(env: Env) -> Result<(), Errno> {
    let _ = (Tree::parse(env.device_tree()), EvtchnPort(TURNS + COUNTER as u32), Port::adopt);
    Err(Errno::ENODEV)
}
