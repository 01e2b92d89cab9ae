//! Event channels: doorbells between domains, and from the hypervisor.
//!
//! [`Port`] owns one end. Events are counted as "at least one since I last looked": [`Port::wait`]
//! ends once there was one, so the pattern is always to look at the shared state, wait, and look
//! again. A handler set by [`Port::on_event`] runs in interrupt context instead.
//!
//! Delivery is by Xen's 2-level bitmaps, at the upcall interrupt of vCPU 0 unless
//! [`Port::bind_vcpu`] moves it.

use alloc::{boxed::Box, vec::Vec};
use core::{
    fmt,
    future::poll_fn,
    sync::atomic::{AtomicU32, Ordering},
    task::{Poll, Waker},
};

use xen_abi::{Domid, Errno, EvtchnPort, VcpuId};

use crate::{arch, hypercall::event_channel as evtchn, lock::IrqLock, shared_info, system::system};

/// What runs in interrupt context when an event arrives.
type Handler = Box<dyn FnMut() + Send>;

/// What is known of a port in use.
#[derive(Default)]
struct Entry {
    pending: bool,
    waiter: Option<Waker>,
    handler: Option<Handler>,
}

/// The ports of this domain, by number, and how many events there were.
pub(crate) struct Table {
    ports: IrqLock<Vec<Option<Entry>>>,
    sent: AtomicU32,
    taken: AtomicU32,
}

impl Table {
    pub(crate) const fn new() -> Self {
        let (sent, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { ports: IrqLock::new(Vec::new()), sent, taken }
    }

    fn with<T>(&self, port: EvtchnPort, f: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut ports = self.ports.lock();
        ports.get_mut(port.0 as usize)?.as_mut().map(f)
    }

    fn insert(&self, port: EvtchnPort) {
        let mut ports = self.ports.lock();
        let index = port.0 as usize;
        if ports.len() <= index {
            ports.resize_with(index + 1, || None);
        }
        ports[index] = Some(Entry::default());
    }

    /// Takes the entry out; it is dropped by the caller, outside the lock.
    fn remove(&self, port: EvtchnPort) -> Option<Entry> {
        self.ports.lock().get_mut(port.0 as usize)?.take()
    }

    /// Notes an event and tells who waits for it. The handler runs outside the lock, so that it
    /// may use the table.
    fn deliver(&self, port: EvtchnPort) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let Some((waiter, handler)) = self.with(port, |entry| {
            entry.pending = true;
            (entry.waiter.take(), entry.handler.take())
        }) else {
            return;
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        if let Some(mut handler) = handler {
            handler();
            self.with(port, |entry| _ = entry.handler.get_or_insert(handler));
        }
    }
}

/// Handles the upcall interrupt on `vcpu`: delivers all that is pending there.
pub(crate) fn upcall(vcpu: VcpuId) {
    shared_info::take_pending(vcpu, |port| system().events.deliver(port));
}

/// How many events there were since the start, of all ports together. The numbers wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Sent by this domain.
    pub sent: u32,
    /// Taken by it; several that were sent before the first was taken are one.
    pub taken: u32,
}

/// Counts events.
pub fn counts() -> Counts {
    let Table { sent, taken, .. } = &system().events;
    Counts { sent: sent.load(Ordering::Relaxed), taken: taken.load(Ordering::Relaxed) }
}

/// The page with the ports' bits, for a program that handles the upcall interrupt itself.
#[cfg(target_os = "none")]
pub fn shared_info() -> Option<&'static crate::shared::SharedMemory> {
    shared_info::page()
}

/// An event channel of this domain, closed when dropped.
pub struct Port {
    port: EvtchnPort,
    /// Whether it is ours to close.
    owned: bool,
    home: arch::Home,
}

impl Port {
    fn open(port: EvtchnPort, owned: bool) -> Result<Self, Errno> {
        system().events.insert(port);
        let port = Self { port, owned, home: arch::home() };
        evtchn::unmask(port.port)?;
        Ok(port)
    }

    /// Makes a channel that `remote` may connect to; its number is what `remote` has to know.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when this domain has no port left, `ESRCH` when there is no such domain, `EPERM`
    /// when policy keeps the two apart.
    pub fn alloc_unbound(remote: Domid) -> Result<Self, Errno> {
        Self::open(evtchn::alloc_unbound(Domid::SELF, remote)?, true)
    }

    /// Connects to `port` of `remote`, which it made for this domain. It is pending at once.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the port is not there for us, and as [`alloc_unbound`](Self::alloc_unbound).
    pub fn bind_interdomain(remote: Domid, port: EvtchnPort) -> Result<Self, Errno> {
        Self::open(evtchn::bind_interdomain(remote, port)?, true)
    }

    /// Receives a virtual interrupt of the hypervisor (see [`xen_abi::xen::virq`]); global ones have to be bound to vCPU 0.
    ///
    /// # Errors
    ///
    /// `EEXIST` when it is bound already, `EINVAL` and `ENOENT` for bad numbers.
    pub fn bind_virq(virq: u32, vcpu: VcpuId) -> Result<Self, Errno> {
        Self::open(evtchn::bind_virq(virq, vcpu)?, true)
    }

    /// Makes a channel from this domain to its own `vcpu`.
    ///
    /// # Errors
    ///
    /// `ENOENT` when there is no such vCPU, `ENOSPC` when there is no port left.
    pub fn bind_ipi(vcpu: VcpuId) -> Result<Self, Errno> {
        Self::open(evtchn::bind_ipi(vcpu)?, true)
    }

    /// Uses a port that the toolstack made for this domain, as for console and store. It is left
    /// open when dropped.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there is no such port.
    pub fn adopt(port: EvtchnPort) -> Result<Self, Errno> {
        Self::open(port, false)
    }

    /// What is known of it.
    fn with<T>(&self, f: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        arch::within(self.home, || system().events.with(self.port, f))?
    }

    /// An operation of its domain.
    fn call(&self, f: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        arch::within(self.home, f).unwrap_or(Err(Errno::ESRCH))
    }

    /// Its number, as the peer has to know it.
    pub fn number(&self) -> EvtchnPort {
        self.port
    }

    /// Sends an event to the other end. What was written to shared memory before is visible to
    /// whoever gets it.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the port is of a kind that cannot send. An end that nobody is connected to
    /// drops the event without an error.
    pub fn notify(&self) -> Result<(), Errno> {
        self.call(|| {
            system().events.sent.fetch_add(1, Ordering::Relaxed);
            evtchn::send(self.port)
        })
    }

    /// Whether an event arrived since this or [`wait`](Self::wait) last looked.
    pub fn take(&self) -> bool {
        self.with(|entry| core::mem::take(&mut entry.pending)).unwrap_or(false)
    }

    /// Waits until an event arrived since this or [`take`](Self::take) last looked. One task may
    /// wait at a time.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            let waiting = self.with(|entry| {
                if core::mem::take(&mut entry.pending) {
                    return false;
                }
                entry.waiter = Some(cx.waker().clone());
                true
            });
            match waiting {
                Some(true) => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Has `handler` run in interrupt context at each event, besides waking who waits.
    pub fn on_event(&self, handler: impl FnMut() + Send + 'static) {
        let handler: Handler = Box::new(handler);
        let old = self.with(|entry| entry.handler.replace(handler));
        drop(old);
    }

    /// Has its events arrive at `vcpu`.
    ///
    /// # Errors
    ///
    /// `ENOENT` when there is no such vCPU, `EINVAL` for ports that are tied to one.
    pub fn bind_vcpu(&self, vcpu: VcpuId) -> Result<(), Errno> {
        self.call(|| evtchn::bind_vcpu(self.port, vcpu))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let closed = self.call(|| {
            shared_info::mask(self.port);
            drop(system().events.remove(self.port));
            match self.owned {
                true => evtchn::close(self.port),
                false => Ok(()),
            }
        });
        if let Err(error) = closed {
            log::warn!("closing event channel {}: {error}", self.port.0);
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.port.0)
    }
}

#[cfg(test)]
mod tests;
