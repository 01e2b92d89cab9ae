//! event_channel_op: command, pointer.

use core::sync::atomic::Ordering;

use lock::LockRarely;
use xen_abi::{
    Errno, Gfn, PAGE_SIZE,
    event_channel::{
        BindPirq, Close, ExpandArray, FifoControlBlock, InitControl, Reset, Send, SetPriority, Unmask, fifo,
        op,
    },
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Delivery, Fifo, Raised, port::State, two_level};
use crate::{
    current::Current,
    hypercall::{HypercallResult, Stop},
    machine::Machine,
};

/// Physical interrupts that Xen has numbers for.
const PIRQS: u32 = 1024;
/// Control blocks are aligned to this.
const CONTROL_ALIGNMENT: u32 = 8;

/// Serves `event_channel_op(command, at)`.
#[hot]
pub fn event_channel_op<M: Machine>(cur: &mut Current<'_, M>, command: u64, at: u64) -> HypercallResult {
    // By far the most frequent, without what the others need.
    if command as u32 == op::SEND {
        let send: Send = cur.read(at)?;
        cur.op_send(send.port.0)?;
        return Ok(0);
    }
    rare_op(cur, command as u32, at)
}

#[inline(never)]
fn rare_op<M: Machine>(cur: &mut Current<'_, M>, command: u32, at: u64) -> HypercallResult {
    match command {
        op::UNMASK => {
            let unmask: Unmask = cur.read(at)?;
            cur.op_unmask(unmask.port.0)?;
        }
        op::CLOSE => {
            let close: Close = cur.read(at)?;
            cur.hv.close_port(cur.domain, close.port.0)?;
        }
        op::ALLOC_UNBOUND => answered(cur, at, |cur, op| cur.op_alloc_unbound(op))?,
        op::BIND_INTERDOMAIN => answered(cur, at, |cur, op| cur.op_bind_interdomain(op))?,
        op::BIND_VIRQ => answered(cur, at, |cur, op| cur.op_bind_virq(op))?,
        op::BIND_IPI => answered(cur, at, |cur, op| cur.op_bind_ipi(op))?,
        op::STATUS => answered(cur, at, |cur, op| cur.op_status(op))?,
        op::BIND_VCPU => {
            let bind = cur.read(at)?;
            cur.op_bind_vcpu(&bind)?;
        }
        op::BIND_PIRQ => {
            // There are none to bind, however many could be.
            let bind: BindPirq = cur.read(at)?;
            return Err(if bind.pirq < PIRQS { Errno::ENOMEM } else { Errno::EINVAL }.into());
        }
        op::INIT_CONTROL => answered(cur, at, |cur, op| cur.op_init_control(op))?,
        op::EXPAND_ARRAY => {
            let expand: ExpandArray = cur.read(at)?;
            cur.op_expand_array(Gfn(expand.array_gfn))?;
        }
        op::SET_PRIORITY => {
            let set = cur.read(at)?;
            cur.op_set_priority(&set)?;
        }
        op::RESET | op::RESET_CONT => {
            let reset: Reset = cur.read(at)?;
            if !cur.op_reset(reset.dom, command == op::RESET_CONT)? {
                return Err(Stop::Preempted([op::RESET_CONT.into(), at, 0, 0, 0]));
            }
        }
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// Reads the structure, lets it be served, and writes it back when that went well.
fn answered<M: Machine, T: FromBytes + IntoBytes + Immutable>(
    cur: &Current<'_, M>,
    at: u64,
    serve: impl FnOnce(&Current<'_, M>, &mut T) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut op: T = cur.read(at)?;
    serve(cur, &mut op)?;
    cur.write(at, &op)
}

impl<M: Machine> Current<'_, M> {
    fn op_unmask(&self, number: u32) -> Result<(), Errno> {
        let port = self.domain.events.port(number)?;
        let v = port.vcpu.load(Ordering::Relaxed);
        let Some(vcpu) = self.domain.vcpu(v) else { return Ok(()) };
        let machine = &self.hv.machine;
        let mut delivery = self.domain.events.delivery.lock_rarely();
        let raised = match &mut *delivery {
            Delivery::TwoLevel if !Delivery::has_bit(number) => return Err(Errno::EINVAL),
            Delivery::TwoLevel => {
                let upcall = two_level::unmask(machine, self.domain.shared_info, number, &vcpu.events);
                Raised { news: false, upcall }
            }
            Delivery::Fifo(fifo) => fifo.unmask(machine, number, port, v),
        };
        self.hv.follow_up(self.domain, vcpu, number, raised, delivery);
        Ok(())
    }

    fn op_init_control(&self, op: &mut InitControl) -> Result<(), Errno> {
        op.link_bits = fifo::LINK_BITS as u8;
        let v = op.vcpu as usize;
        self.domain.vcpu(op.vcpu).ok_or(Errno::ENOENT)?;
        let last = (PAGE_SIZE - size_of::<FifoControlBlock>()) as u32;
        if op.offset > last || !op.offset.is_multiple_of(CONTROL_ALIGNMENT) {
            return Err(Errno::EINVAL);
        }
        let held = self.hv.hold_page(self.domain, Gfn(op.control_gfn)).ok_or(Errno::EINVAL)?;
        let _bind = self.domain.events.bind.lock();
        let mut delivery = self.domain.events.delivery.lock_rarely();
        if matches!(*delivery, Delivery::TwoLevel) {
            let fifo = Fifo::new(self.domain.vcpus().len())?;
            self.carry_over();
            *delivery = Delivery::Fifo(fifo);
        }
        if let Delivery::Fifo(fifo) = &mut *delivery {
            if fifo.has_control(v) {
                return Err(Errno::EINVAL);
            }
            fifo.set_control(v, held.keep(), op.offset as usize);
        }
        Ok(())
    }

    /// Events that are pending in the bitmaps are raised again once the ports have their words.
    #[hot]
    fn carry_over(&self) {
        let machine = &self.hv.machine;
        for number in 1..xen_abi::event_channel::NR_CHANNELS_2L {
            let Ok(port) = self.domain.events.port(number) else { break };
            port.priority.store(fifo::PRIORITY_DEFAULT, Ordering::Relaxed);
            if two_level::is_pending(machine, self.domain.shared_info, number) {
                port.early.store(true, Ordering::Relaxed);
            }
        }
    }

    fn op_expand_array(&self, gfn: Gfn) -> Result<(), Errno> {
        let held = self.hv.hold_page(self.domain, gfn);
        let _bind = self.domain.events.bind.lock();
        let ports = match &mut *self.domain.events.delivery.lock_rarely() {
            Delivery::TwoLevel => return Err(Errno::EOPNOTSUPP),
            Delivery::Fifo(fifo) if fifo.is_full() => return Err(Errno::ENOSPC),
            Delivery::Fifo(fifo) => fifo.add_page(held.ok_or(Errno::EINVAL)?.keep()),
        };
        for number in ports {
            let Ok(port) = self.domain.events.port(number) else { break };
            let _state = port.state.lock_rarely();
            if port.early.swap(false, Ordering::Relaxed) {
                self.hv.set_pending(self.domain, number, port);
            }
        }
        Ok(())
    }

    fn op_set_priority(&self, op: &SetPriority) -> Result<(), Errno> {
        let _bind = self.domain.events.bind.lock();
        let port = self.domain.events.port(op.port.0)?;
        if matches!(*self.domain.events.delivery.lock_rarely(), Delivery::TwoLevel) {
            return Err(Errno::ENOSYS);
        }
        if matches!(*port.state.lock_rarely(), State::Free | State::Reserved) {
            return Err(Errno::EACCES);
        }
        if op.priority > fifo::PRIORITY_MIN {
            return Err(Errno::EINVAL);
        }
        port.priority.store(op.priority, Ordering::Relaxed);
        Ok(())
    }
}
