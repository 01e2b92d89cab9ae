//! Event channels of the fake machine, delivered by the 2-level bitmaps.

use std::{mem::offset_of, sync::atomic::Ordering};

use xen_abi::{
    Domid, Errno, EvtchnPort,
    event_channel::{AllocUnbound, BindInterdomain, BindIpi, BindVirq, Status, status},
    xen::{SharedInfo, VcpuInfo, virq},
};

use super::{Domain, find};

/// One end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Port 0.
    Reserved,
    Closed,
    Unbound(Domid),
    Interdomain(Domid, EvtchnPort),
    Virq(u32),
    Ipi,
}

impl Channel {
    pub(super) fn is_open(self) -> bool {
        !matches!(self, Self::Reserved | Self::Closed)
    }
}

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const SEL: usize = offset_of!(VcpuInfo, evtchn_pending_sel);
const UPCALL: usize = offset_of!(VcpuInfo, evtchn_upcall_pending);
/// The highest port that the toolstack allows by default.
const MAX_PORT: usize = 1023;

impl Domain {
    pub(super) fn upcall_pending(&self) -> bool {
        self.0.shared_info.load_u8(UPCALL, Ordering::SeqCst) != 0
    }

    fn channel(&self, port: EvtchnPort) -> Channel {
        let ports = self.0.ports.borrow();
        ports.get(port.0 as usize).copied().unwrap_or(Channel::Closed)
    }

    fn set_channel(&self, port: EvtchnPort, channel: Channel) {
        self.0.ports.borrow_mut()[port.0 as usize] = channel;
    }

    fn open(&self, channel: Channel) -> Result<EvtchnPort, Errno> {
        let mut ports = self.0.ports.borrow_mut();
        let free = ports.iter().position(|c| *c == Channel::Closed);
        let index = free.unwrap_or(ports.len());
        if index > MAX_PORT {
            return Err(Errno::ENOSPC);
        }
        if index == ports.len() {
            ports.push(channel);
        } else {
            ports[index] = channel;
        }
        drop(ports);
        let port = EvtchnPort(index as u32);
        let info = &self.0.shared_info;
        info.clear_bits_u64(PENDING + 8 * (index / 64), 1 << (index % 64));
        Ok(port)
    }

    /// Sets a port pending.
    pub(super) fn raise(&self, port: EvtchnPort) {
        let (word, bit) = (port.0 as usize / 64, 1 << (port.0 % 64));
        let info = &self.0.shared_info;
        if info.set_bits_u64(PENDING + 8 * word, bit) & bit == 0 {
            self.propagate(port);
        }
    }

    fn propagate(&self, port: EvtchnPort) {
        let (word, bit) = (port.0 as usize / 64, 1 << (port.0 % 64));
        let info = &self.0.shared_info;
        if info.load_u64(MASK + 8 * word, Ordering::SeqCst) & bit == 0 {
            info.set_bits_u64(SEL, 1 << word);
            info.swap_u8(UPCALL, 1);
        }
    }

    /// Raises a virtual interrupt, if it is bound.
    pub fn raise_virq(&self, number: u32) {
        let ports = self.0.ports.borrow();
        let port = ports.iter().position(|c| *c == Channel::Virq(number));
        drop(ports);
        if let Some(port) = port {
            self.raise(EvtchnPort(port as u32));
        }
    }

    fn resolve(&self, dom: Domid) -> Result<Self, Errno> {
        if dom == Domid::SELF {
            return Ok(self.clone());
        }
        find(dom).ok_or(Errno::ESRCH)
    }

    pub(super) fn alloc_unbound(&self, arg: &mut AllocUnbound) -> Result<(), Errno> {
        let dom = self.resolve(arg.dom)?;
        let remote = self.resolve(arg.remote_dom).map_or(arg.remote_dom, |d| d.id());
        arg.port = dom.open(Channel::Unbound(remote))?;
        Ok(())
    }

    pub(super) fn bind_interdomain(&self, arg: &mut BindInterdomain) -> Result<(), Errno> {
        let remote = self.resolve(arg.remote_dom)?;
        if remote.channel(arg.remote_port) != Channel::Unbound(self.id()) {
            return Err(Errno::EINVAL);
        }
        let local = self.open(Channel::Interdomain(remote.id(), arg.remote_port))?;
        remote.set_channel(arg.remote_port, Channel::Interdomain(self.id(), local));
        self.raise(local);
        arg.local_port = local;
        Ok(())
    }

    pub(super) fn bind_virq(&self, arg: &mut BindVirq) -> Result<(), Errno> {
        if arg.virq >= virq::COUNT || arg.vcpu != 0 {
            return Err(Errno::EINVAL);
        }
        if self.0.ports.borrow().contains(&Channel::Virq(arg.virq)) {
            return Err(Errno::EEXIST);
        }
        arg.port = self.open(Channel::Virq(arg.virq))?;
        Ok(())
    }

    pub(super) fn bind_ipi(&self, arg: &mut BindIpi) -> Result<(), Errno> {
        if arg.vcpu != 0 {
            return Err(Errno::ENOENT);
        }
        arg.port = self.open(Channel::Ipi)?;
        Ok(())
    }

    pub(super) fn close(&self, port: EvtchnPort) -> Result<(), Errno> {
        match self.channel(port) {
            Channel::Reserved | Channel::Closed => return Err(Errno::EINVAL),
            Channel::Interdomain(remote, other) => {
                if let Some(remote) = find(remote) {
                    remote.set_channel(other, Channel::Unbound(self.id()));
                }
            }
            _ => {}
        }
        self.set_channel(port, Channel::Closed);
        Ok(())
    }

    pub(super) fn send(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.0.events_sent.set(self.0.events_sent.get() + 1);
        match self.channel(port) {
            Channel::Interdomain(remote, other) => {
                if let Some(remote) = find(remote) {
                    remote.raise(other);
                }
                Ok(())
            }
            Channel::Ipi => {
                self.raise(port);
                Ok(())
            }
            Channel::Unbound(_) => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(super) fn unmask(&self, port: EvtchnPort) -> Result<(), Errno> {
        if !self.channel(port).is_open() {
            return Err(Errno::EINVAL);
        }
        let (word, bit) = (port.0 as usize / 64, 1 << (port.0 % 64));
        let info = &self.0.shared_info;
        info.clear_bits_u64(MASK + 8 * word, bit);
        if info.load_u64(PENDING + 8 * word, Ordering::SeqCst) & bit != 0 {
            self.propagate(port);
        }
        Ok(())
    }

    pub(super) fn status(&self, arg: &mut Status) -> Result<(), Errno> {
        let dom = self.resolve(arg.dom)?;
        (arg.status, arg.u) = match dom.channel(arg.port) {
            Channel::Reserved => return Err(Errno::EINVAL),
            Channel::Closed => (status::CLOSED, [0, 0]),
            Channel::Unbound(remote) => (status::UNBOUND, [remote.0.into(), 0]),
            Channel::Interdomain(remote, port) => (status::INTERDOMAIN, [remote.0.into(), port.0]),
            Channel::Virq(number) => (status::VIRQ, [number, 0]),
            Channel::Ipi => (status::IPI, [0, 0]),
        };
        Ok(())
    }
}
