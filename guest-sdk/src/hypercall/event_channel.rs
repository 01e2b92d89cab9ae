//! Event channels (hypercall 32). [`crate::event::Port`] is the owned form.

use xen_abi::{
    Domid, Errno, EvtchnPort, VcpuId,
    event_channel::{
        AllocUnbound, BindInterdomain, BindIpi, BindVcpu, BindVirq, Close, Reset, Send, Status, Unmask, op,
    },
    hypercall::EVENT_CHANNEL_OP,
};

use super::with_arg;

fn event_op<T>(cmd: u32, arg: &mut T) -> Result<(), Errno> {
    // SAFETY: `T` is the structure of `cmd` in each use below; none of them has handles.
    unsafe { with_arg(EVENT_CHANNEL_OP, cmd, arg) }.map(drop)
}

/// Makes a port in `dom` that `remote` may connect to.
///
/// # Errors
///
/// `ESRCH` for a domain that is not there, `EPERM` for one not ours or kept apart by policy,
/// `ENOSPC` when no port is left.
pub fn alloc_unbound(dom: Domid, remote: Domid) -> Result<EvtchnPort, Errno> {
    let mut arg = AllocUnbound { dom, remote_dom: remote, port: EvtchnPort::NONE };
    event_op(op::ALLOC_UNBOUND, &mut arg)?;
    Ok(arg.port)
}

/// Connects to a port that `remote` made for us.
///
/// # Errors
///
/// `EINVAL` when it is not there for us; `ESRCH`, `EPERM`, `ENOSPC` as above.
pub fn bind_interdomain(remote: Domid, port: EvtchnPort) -> Result<EvtchnPort, Errno> {
    let mut arg =
        BindInterdomain { remote_dom: remote, pad: 0, remote_port: port, local_port: EvtchnPort::NONE };
    event_op(op::BIND_INTERDOMAIN, &mut arg)?;
    Ok(arg.local_port)
}

/// Receives a virtual interrupt (see [`xen_abi::xen::virq`]).
///
/// # Errors
///
/// `EINVAL`, `ENOENT` for bad numbers, `EEXIST` when it is bound already.
pub fn bind_virq(virq: u32, vcpu: VcpuId) -> Result<EvtchnPort, Errno> {
    let mut arg = BindVirq { virq, vcpu: vcpu.0, port: EvtchnPort::NONE };
    event_op(op::BIND_VIRQ, &mut arg)?;
    Ok(arg.port)
}

/// Makes a port to our own vCPU.
///
/// # Errors
///
/// `ENOENT` when there is no such vCPU, `ENOSPC` when no port is left.
pub fn bind_ipi(vcpu: VcpuId) -> Result<EvtchnPort, Errno> {
    let mut arg = BindIpi { vcpu: vcpu.0, port: EvtchnPort::NONE };
    event_op(op::BIND_IPI, &mut arg)?;
    Ok(arg.port)
}

/// Closes a port of ours.
///
/// # Errors
///
/// `EINVAL` when it is none.
pub fn close(port: EvtchnPort) -> Result<(), Errno> {
    event_op(op::CLOSE, &mut Close { port })
}

/// Sends an event.
///
/// # Errors
///
/// `EINVAL` when the port cannot send.
pub fn send(port: EvtchnPort) -> Result<(), Errno> {
    event_op(op::SEND, &mut Send { port })
}

/// Tells what a port of `dom` is.
///
/// # Errors
///
/// `ESRCH`, `EINVAL`, `EPERM`; `EACCES` for ports that the hypervisor itself listens to.
pub fn status(dom: Domid, port: EvtchnPort) -> Result<Status, Errno> {
    let mut arg = Status { dom, port, ..Status::default() };
    event_op(op::STATUS, &mut arg)?;
    Ok(arg)
}

/// Chooses the vCPU that a port notifies.
///
/// # Errors
///
/// `ENOENT` when there is no such vCPU, `EINVAL` for ports that are tied to one.
pub fn bind_vcpu(port: EvtchnPort, vcpu: VcpuId) -> Result<(), Errno> {
    event_op(op::BIND_VCPU, &mut BindVcpu { port, vcpu: vcpu.0 })
}

/// Unmasks a port; an event that came meanwhile is delivered.
///
/// # Errors
///
/// `EINVAL` when it is none.
pub fn unmask(port: EvtchnPort) -> Result<(), Errno> {
    event_op(op::UNMASK, &mut Unmask { port })
}

/// Closes all ports of a domain: this one, or a paused one we control.
///
/// # Errors
///
/// `EINVAL`, `EPERM`, `ESRCH`, `EBUSY`.
pub fn reset(dom: Domid) -> Result<(), Errno> {
    event_op(op::RESET, &mut Reset { dom })
}
