//! Making, connecting and closing ports.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use lock::{LockRarely, RareGuard};
use xen_abi::{
    Domid, Errno, EvtchnPort,
    event_channel::{AllocUnbound, BindInterdomain, BindIpi, BindVcpu, BindVirq, Status, status},
    xen::virq,
};

use super::{
    Binding, Delivery, Port, State,
    port::{BUCKET, HYPERVISOR},
    virq::is_global,
};
use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine, xsm};

type Bind<'a> = RareGuard<'a, Binding>;

/// Locks the bindings of one or two domains, in the order of their ids.
fn lock_both<'a, M: Machine>(
    one: &'a Domain<M>,
    other: Option<&'a Domain<M>>,
) -> (Bind<'a>, Option<Bind<'a>>) {
    match other.filter(|other| !core::ptr::eq(*other, one)) {
        None => (one.events.bind.lock(), None),
        Some(other) if other.id < one.id => {
            let theirs = other.events.bind.lock();
            (one.events.bind.lock(), Some(theirs))
        }
        Some(other) => (one.events.bind.lock(), Some(other.events.bind.lock())),
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Finds the lowest free port.
    fn free_port<'a>(&self, domain: &'a Domain<M>, bind: &mut Binding) -> Result<(u32, &'a Port<M>), Errno> {
        if bind.dead {
            return Err(Errno::EINVAL);
        }
        let events = &domain.events;
        let end = events.delivery.lock_rarely().end().min(events.highest.saturating_add(1));
        let mut lowest = None;
        for number in bind.first_free..end {
            let port = events.ports.make(number)?;
            if !matches!(*port.state.lock_rarely(), State::Free) {
                continue;
            }
            bind.first_free = *lowest.get_or_insert(number);
            if !self.is_busy(domain, number) {
                return Ok((number, port));
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Finds a port by its number, which has to be free. All below it exist then, as where ports are used in turn.
    fn chosen_port<'a>(&self, domain: &'a Domain<M>, number: u32) -> Result<&'a Port<M>, Errno> {
        let events = &domain.events;
        if number > events.highest || number >= events.delivery.lock_rarely().end() {
            return Err(Errno::ENOSPC);
        }
        for below in (0..number).step_by(BUCKET as usize) {
            events.ports.make(below)?;
        }
        let port = events.ports.make(number)?;
        if matches!(*port.state.lock_rarely(), State::Free) { Ok(port) } else { Err(Errno::EBUSY) }
    }

    /// Connects ports of two domains that do not run yet, unless they are connected; SILO keeps apart what guests
    /// want, not what the tree does. As one that binds, the second domain finds its port pending.
    pub(crate) fn connect(
        &self,
        (one, first): (&Arc<Domain<M>>, u32),
        (other, second): (&Arc<Domain<M>>, u32),
    ) -> Result<(), Errno> {
        if let Ok(port) = one.events.port(first)
            && let State::Interdomain(remote, number) = &*port.state.lock_rarely()
            && Arc::ptr_eq(remote, other)
            && *number == second
        {
            return Ok(());
        }
        let (mut mine, mut theirs) = lock_both(one, Some(other));
        let port = self.chosen_port(one, first)?;
        let their_port = self.chosen_port(other, second)?;
        if core::ptr::eq(port, their_port) {
            return Err(Errno::EBUSY);
        }
        self.bind_port(&mut mine, port, State::Interdomain(other.clone(), second), 0);
        let theirs = theirs.as_deref_mut().unwrap_or(&mut mine);
        self.bind_port(theirs, their_port, State::Interdomain(one.clone(), first), 0);
        self.set_pending(other, second, their_port);
        Ok(())
    }

    /// Whether the guest still has the port of an earlier binding in a queue.
    fn is_busy(&self, domain: &Domain<M>, number: u32) -> bool {
        match &*domain.events.delivery.lock_rarely() {
            Delivery::TwoLevel => false,
            Delivery::Fifo(fifo) => fifo.is_busy(&self.machine, number),
        }
    }

    /// Makes a free port what it is to be.
    fn bind_port(&self, bind: &mut Binding, port: &Port<M>, state: State<M>, vcpu: u32) {
        port.reset();
        port.vcpu.store(vcpu, Ordering::Relaxed);
        *port.state.lock_rarely() = state;
        bind.active += u32::from(vcpu != HYPERVISOR);
    }

    /// Makes a port of `domain` to which only `remote` may connect.
    pub fn alloc_unbound(&self, domain: &Arc<Domain<M>>, remote: Domid) -> Result<EvtchnPort, Errno> {
        self.alloc_unbound_for(domain, remote, 0)
    }

    /// The same, for the hypervisor: what `remote` sends is for the domain's UART.
    pub(crate) fn alloc_own_unbound(
        &self,
        domain: &Arc<Domain<M>>,
        remote: Domid,
    ) -> Result<EvtchnPort, Errno> {
        self.alloc_unbound_for(domain, remote, HYPERVISOR)
    }

    fn alloc_unbound_for(
        &self,
        domain: &Arc<Domain<M>>,
        remote: Domid,
        vcpu: u32,
    ) -> Result<EvtchnPort, Errno> {
        let mut bind = domain.events.bind.lock();
        let (number, port) = self.free_port(domain, &mut bind)?;
        self.bind_port(&mut bind, port, State::Unbound(remote), vcpu);
        Ok(EvtchnPort(number))
    }

    /// Closes a port.
    pub(super) fn close_port(&self, domain: &Arc<Domain<M>>, number: u32) -> Result<(), Errno> {
        let mut peer = None;
        loop {
            match self.try_close(domain, number, peer.as_ref())? {
                None => return Ok(()),
                Some(connected) => peer = Some(connected),
            }
        }
    }

    /// One attempt, with the bindings of `domain` and `peer` locked. Gives the domain at the other
    /// end if that one has to be locked too.
    fn try_close(
        &self,
        domain: &Arc<Domain<M>>,
        number: u32,
        peer: Option<&Arc<Domain<M>>>,
    ) -> Result<Option<Arc<Domain<M>>>, Errno> {
        let port = domain.events.port(number)?;
        let (mut mine, _theirs) = lock_both(domain, peer.map(|peer| &**peer));
        let mut state = port.state.lock_rarely();
        let hypervisors = port.is_hypervisors();
        match &*state {
            State::Free | State::Reserved => return Err(Errno::EINVAL),
            _ if hypervisors && !mine.dead => return Err(Errno::EINVAL),
            State::Unbound(_) | State::Ipi => {}
            State::Virq(virq) => unbind_virq(domain, *virq, number),
            State::Interdomain(remote, their_number) => {
                let is_locked = peer.is_some_and(|peer| Arc::ptr_eq(peer, remote));
                if !is_locked && !Arc::ptr_eq(remote, domain) {
                    return Ok(Some(remote.clone()));
                }
                let theirs = remote.events.port(*their_number)?;
                *theirs.state.lock_rarely() = State::Unbound(domain.id);
            }
        }
        self.clear_pending(domain, number, port);
        port.reset();
        *state = State::Free;
        mine.active -= u32::from(!hypervisors);
        mine.first_free = mine.first_free.min(number);
        Ok(None)
    }
}

fn unbind_virq<M: Machine>(domain: &Domain<M>, virq: u32, number: u32) {
    for vcpu in domain.vcpus() {
        let bound = &vcpu.events.virqs[virq as usize % virq::COUNT as usize];
        let _ = bound.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst);
    }
}

impl<M: Machine> Current<'_, M> {
    pub(super) fn op_alloc_unbound(&self, op: &mut AllocUnbound) -> Result<(), Errno> {
        let domain = self.any_domain(op.dom)?;
        let mut bind = domain.events.bind.lock();
        let (number, port) = self.hv.free_port(&domain, &mut bind)?;
        let remote = if op.remote_dom == Domid::SELF { self.domain.id } else { op.remote_dom };
        xsm::target(self.domain, &domain)?;
        if let Some(remote) = self.hv.domains.get(remote) {
            xsm::may_share(self.hv, &domain, &remote)?;
        } else if self.hv.options.silo {
            return Err(Errno::ESRCH);
        }
        self.hv.bind_port(&mut bind, port, State::Unbound(remote), 0);
        op.port = EvtchnPort(number);
        Ok(())
    }

    pub(super) fn op_bind_interdomain(&self, op: &mut BindInterdomain) -> Result<(), Errno> {
        let remote = self.any_domain(op.remote_dom)?;
        let (mut mine, _theirs) = lock_both(self.domain, Some(&remote));
        let (number, port) = self.hv.free_port(self.domain, &mut mine)?;
        let their_number = op.remote_port.0;
        let their_port = remote.events.port(their_number)?;
        let mut their_state = their_port.state.lock_rarely();
        if !matches!(*their_state, State::Unbound(whom) if whom == self.domain.id) {
            return Err(Errno::EINVAL);
        }
        xsm::may_share(self.hv, self.domain, &remote)?;
        *their_state = State::Interdomain(self.domain.clone(), number);
        let state = State::Interdomain(remote.clone(), their_number);
        self.hv.bind_port(&mut mine, port, state, 0);
        // Whatever the other end sent before this was lost: let the caller look.
        self.hv.set_pending(self.domain, number, port);
        op.local_port = EvtchnPort(number);
        Ok(())
    }

    pub(super) fn op_bind_virq(&self, op: &mut BindVirq) -> Result<(), Errno> {
        if op.virq >= virq::COUNT || (is_global(op.virq) && op.vcpu != 0) {
            return Err(Errno::EINVAL);
        }
        let vcpu = self.domain.vcpu(op.vcpu).ok_or(Errno::ENOENT)?;
        let bound = &vcpu.events.virqs[op.virq as usize];
        let mut bind = self.domain.events.bind.lock();
        if bound.load(Ordering::Relaxed) != 0 {
            return Err(Errno::EEXIST);
        }
        let (number, port) = self.hv.free_port(self.domain, &mut bind)?;
        self.hv.bind_port(&mut bind, port, State::Virq(op.virq), op.vcpu);
        // The port is ready before anything can be sent to it.
        bound.store(number, Ordering::Release);
        op.port = EvtchnPort(number);
        Ok(())
    }

    pub(super) fn op_bind_ipi(&self, op: &mut BindIpi) -> Result<(), Errno> {
        self.domain.vcpu(op.vcpu).ok_or(Errno::ENOENT)?;
        let mut bind = self.domain.events.bind.lock();
        let (number, port) = self.hv.free_port(self.domain, &mut bind)?;
        self.hv.bind_port(&mut bind, port, State::Ipi, op.vcpu);
        op.port = EvtchnPort(number);
        Ok(())
    }

    pub(super) fn op_bind_vcpu(&self, op: &BindVcpu) -> Result<(), Errno> {
        self.domain.vcpu(op.vcpu).ok_or(Errno::ENOENT)?;
        let _bind = self.domain.events.bind.lock();
        let port = self.domain.events.port(op.port.0)?;
        match &*port.state.lock_rarely() {
            State::Virq(virq) if is_global(*virq) => {}
            State::Unbound(_) | State::Interdomain(..) if !port.is_hypervisors() => {}
            _ => return Err(Errno::EINVAL),
        }
        port.vcpu.store(op.vcpu, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn op_status(&self, op: &mut Status) -> Result<(), Errno> {
        let domain = self.any_domain(op.dom)?;
        let port = domain.events.port(op.port.0)?;
        xsm::target(self.domain, &domain)?;
        let (status, u) = match &*port.state.lock_rarely() {
            State::Free | State::Reserved => (status::CLOSED, None),
            State::Unbound(remote) => (status::UNBOUND, Some([remote.0.into(), 0])),
            State::Interdomain(remote, number) => (status::INTERDOMAIN, Some([remote.id.0.into(), *number])),
            State::Virq(virq) => (status::VIRQ, Some([*virq, 0])),
            State::Ipi => (status::IPI, None),
        };
        op.status = status;
        op.vcpu = if port.is_hypervisors() { 0 } else { port.vcpu.load(Ordering::Relaxed) };
        op.u = u.unwrap_or(op.u);
        Ok(())
    }

    /// Sends an event through a port.
    pub(super) fn op_send(&self, number: u32) -> Result<(), Errno> {
        let port = self.domain.events.port(number)?;
        if port.is_hypervisors() {
            return Err(Errno::EINVAL);
        }
        match &*port.state.lock() {
            // While this port's lock is held, the other end stays what it is.
            State::Interdomain(remote, their_number) => {
                let their_port = remote.events.port(*their_number)?;
                self.hv.set_pending(remote, *their_number, their_port);
            }
            State::Ipi => self.hv.set_pending(self.domain, number, port),
            State::Unbound(_) => {}
            State::Free | State::Reserved | State::Virq(_) => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Tells whoever is connected to a port of the hypervisor's. No lock is held.
    pub(crate) fn send_own(&self, domain: &Domain<M>, number: EvtchnPort) {
        let Ok(port) = domain.events.port(number.0) else { return };
        if let State::Interdomain(remote, their_number) = &*port.state.lock_rarely()
            && let Ok(their_port) = remote.events.port(*their_number)
        {
            self.set_pending(remote, *their_number, their_port);
        }
    }
}
