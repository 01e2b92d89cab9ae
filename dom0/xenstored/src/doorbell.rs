//! What tells the store that there is work, from outside the task that runs it.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::task::{Context, Poll, Waker};

use spin::Mutex;

use crate::Domid;
use crate::watch::ConnectionId;

#[derive(Debug, Default)]
struct Inbox {
    connections: BTreeSet<ConnectionId>,
    domains: BTreeSet<Domid>,
    states_changed: bool,
    server: Option<Waker>,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.domains.is_empty() && !self.states_changed
    }
}

/// A handle for those who see the events. Clones ring the same bell.
#[derive(Clone, Debug, Default)]
pub struct Doorbell(Arc<Mutex<Inbox>>);

impl Doorbell {
    /// A domain signalled the event channel of its ring.
    pub fn ring_domain(&self, domid: Domid) {
        self.push(|inbox| {
            inbox.domains.insert(domid);
        });
    }

    /// The hypervisor says that some domain shut down or died (`VIRQ_DOM_EXC`).
    pub fn domain_states_changed(&self) {
        self.push(|inbox| inbox.states_changed = true);
    }

    pub(crate) fn ring(&self, conn: ConnectionId) {
        self.push(|inbox| {
            inbox.connections.insert(conn);
        });
    }

    fn push(&self, note: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.0.lock();
        note(&mut inbox);
        let server = inbox.server.take();
        drop(inbox);
        if let Some(waker) = server {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.0.lock();
        if !inbox.is_empty() {
            return Poll::Ready(());
        }
        inbox.server = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Empties the inbox: connections, domains, and whether domains changed their state.
    pub(crate) fn take(&self) -> (BTreeSet<ConnectionId>, BTreeSet<Domid>, bool) {
        let mut inbox = self.0.lock();
        (
            core::mem::take(&mut inbox.connections),
            core::mem::take(&mut inbox.domains),
            core::mem::take(&mut inbox.states_changed),
        )
    }
}
