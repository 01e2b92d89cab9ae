#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod connection;
mod control;
mod daemon;
mod domains;
mod doorbell;
mod error;
mod path;
mod perms;
mod pipe;
mod quota;
mod ratelimit;
mod requests;
mod ring;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod view;
mod watch;
mod wire;

pub use daemon::{Daemon, Work};
pub use domains::{DomainState, Host};
pub use doorbell::Doorbell;
pub use error::Error;
pub use pipe::LocalClient;
pub use quota::Limits;
pub use ring::RingPage;
pub use watch::ConnectionId;
use xen_abi::Domid;

/// The domain for which permissions and quotas do not count: dom0, in which the store runs.
const CONTROL: Domid = Domid(0);
