//! The console that every guest has.

use alloc::string::ToString;

use xen_abi::io::xenbus::XenbusState;
use xen_abi::{Domid, EvtchnPort, Gfn};

use super::{Device, Kind, Nodes};
use crate::error::Result;
use crate::nodes::DOM0;
use crate::store::Store;

/// Bytes that the daemon keeps of what a guest says while nobody listens, for daemons that look here.
const LIMIT: u32 = 1 << 20;

/// Writes the nodes of a guest's first console, from which the console daemon takes what it needs.
pub(crate) async fn add<S: Store>(store: &S, domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<()> {
    let nodes = Nodes {
        back: [
            ("frontend-id", domid.0.to_string()),
            ("online", "1".to_string()),
            ("state", XenbusState::INITIALISING.0.to_string()),
            ("protocol", "vt100".to_string()),
        ]
        .into(),
        front: [("backend-id", DOM0.0.to_string())].into(),
        front_read_only: [
            ("limit", LIMIT.to_string()),
            ("type", "xenconsoled".to_string()),
            ("output", "pty".to_string()),
            ("tty", "".to_string()),
            ("port", port.0.to_string()),
            ("ring-ref", ring.0.to_string()),
        ]
        .into(),
    };
    Device { kind: Kind::Console, domid, devid: 0 }.add(store, &nodes).await
}
