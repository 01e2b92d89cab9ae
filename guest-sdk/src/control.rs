//! What the toolstack asks of a running domain: to power off, to reboot.

use core::fmt;

use xen_abi::sched::shutdown;

use crate::{
    start::Exit,
    xenstore::{Result, Watch, Xenstore},
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end.
    PowerOff,
    /// To end, and be started again.
    Reboot,
}

/// A program that ends with a request ends as it was asked to.
impl Exit for Request {
    fn reason(self) -> u32 {
        match self {
            Self::PowerOff => shutdown::POWEROFF,
            Self::Reboot => shutdown::REBOOT,
        }
    }
}

const NODE: &str = "control/shutdown";

/// Listens to the toolstack.
pub struct Control {
    store: Xenstore,
    watch: Watch,
}

impl Control {
    /// Says what this domain understands, and listens.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn new(store: &Xenstore) -> Result<Self> {
        for feature in ["poweroff", "reboot"] {
            let node = alloc::format!("control/feature-{feature}");
            store.write(&node, "1").await?;
        }
        Ok(Self { store: store.clone(), watch: store.watch(NODE).await? })
    }

    /// Waits for a request, and acknowledges it. What we do not understand is acknowledged, too,
    /// and not done.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn next(&mut self) -> Result<Request> {
        loop {
            self.watch.next().await?;
            let asked = match self.store.read_string(NODE).await {
                Err(error) if error.is_missing() => continue,
                asked => asked?,
            };
            if asked.is_empty() {
                continue;
            }
            self.store.write(NODE, "").await?;
            match asked.as_str() {
                "poweroff" | "halt" => return Ok(Request::PowerOff),
                "reboot" => return Ok(Request::Reboot),
                other => log::warn!("asked for {other:?}, which is nothing we know"),
            }
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use xen_abi::Domid;

    use super::*;
    use crate::{exec::spawn, fake::Machine};

    #[test]
    fn a_request_is_acknowledged_and_the_unknown_is_not_done() {
        let machine = Machine::new();
        let (dom0, guest) = (machine.domain(Domid(0)), machine.domain(Domid(1)));
        let asked = guest.spawn(async {
            let store = Xenstore::connect().await.unwrap();
            let mut control = Control::new(&store).await.unwrap();
            control.next().await
        });
        dom0.run(async {
            let store = Xenstore::connect().await.unwrap();
            let node = "/local/domain/1/control/shutdown";
            machine.settle();
            let feature = "/local/domain/1/control/feature-poweroff";
            assert_eq!(store.read_string(feature).await, Ok("1".to_string()));
            for request in ["dance", "reboot"] {
                store.write(node, request).await.unwrap();
                let wait = spawn({
                    let store = store.clone();
                    async move {
                        let mut watch = store.watch(node).await.unwrap();
                        while store.read(node).await != Ok(b"".to_vec()) {
                            watch.next().await.unwrap();
                        }
                    }
                });
                wait.await.unwrap();
            }
            assert_eq!(asked.await.unwrap(), Ok(Request::Reboot));
        });
    }
}
