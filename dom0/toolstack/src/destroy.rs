//! Taking a domain down.

use core::time::Duration;

use xen_abi::{Domid, Errno};

use crate::control::Control;
use crate::devices::Device;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::nodes;

/// How often the hypervisor is asked to go on, and how long is waited in between once it makes no progress.
const ATTEMPTS: u32 = 10_000;
const IMPATIENT: u32 = 100;
const WAIT: Duration = Duration::from_millis(10);

/// Destroys a domain and all that belongs to it. Every step is tried, whatever became of those before; the first
/// error is given.
pub(crate) async fn destroy<H: Host>(host: &H, domid: Domid) -> Result<()> {
    // One that cannot be paused is gone, or going.
    let _ = host.control().pause(domid);
    let devices = Device::remove_all(host, domid).await;
    let nodes = nodes::remove(host.store(), domid).await;
    let domain = end(host, domid).await;
    domain.and(devices).and(nodes.map_err(Error::from))
}

/// Ends the domain itself.
async fn end<H: Host>(host: &H, domid: Domid) -> Result<()> {
    for attempt in 0..ATTEMPTS {
        match host.control().destroy(domid) {
            Ok(()) | Err(Errno::ESRCH) => return Ok(()),
            Err(Errno::EAGAIN | Errno::ERESTART | Errno::EBUSY) if attempt < IMPATIENT => host.pause().await,
            Err(Errno::EAGAIN | Errno::ERESTART | Errno::EBUSY) => host.sleep(WAIT).await,
            Err(errno) => return Err(Error::hypercall("destroy the domain")(errno)),
        }
    }
    Err(Error::hypercall("destroy the domain")(Errno::EBUSY))
}

/// Waits until nothing of a domain is left, but not for ever: what others still have mapped of it keeps its pages.
pub(crate) async fn gone<H: Host>(host: &H, domid: Domid) {
    for _ in 0..IMPATIENT {
        if host.control().domain(domid).is_err() {
            return;
        }
        host.sleep(WAIT).await;
    }
}
