//! Giving devices' memory and interrupts to domains.

use alloc::sync::Arc;

use xen_abi::{
    Errno, Gfn, Mfn, PAGE_SHIFT,
    domctl::{
        BindPtIrq, Domctl, IomemPermission, IrqPermission, MemoryMapping, PT_IRQ_TYPE_SPI, VUART_OP_INIT,
        VUART_TYPE_VPL011, VuartOp,
    },
};

use super::{Result, Served};
use crate::{
    current::Current,
    domain::Domain,
    machine::Machine,
    p2m::{P2mType, Ram},
    resources::IRQS,
};

/// Width of a physical address, and of a guest's.
const PA_BITS: u32 = 40;
const FRAMES: u64 = 1 << (PA_BITS - PAGE_SHIFT);
/// Frames that may be mapped in one request.
const MAX_MAPPING: u64 = 64;

/// The end of a range of frames that are some.
fn end_of(first: u64, frames: u64) -> Result<u64> {
    first.checked_add(frames).filter(|end| *end > first).ok_or(Errno::EINVAL)
}

fn may_use<M: Machine>(domain: &Domain<M>, first: u64, end: u64) -> Result<()> {
    let allowed = domain.resources.lock().iomem.contains(first, end);
    if allowed { Ok(()) } else { Err(Errno::EPERM) }
}

pub(super) fn permit_memory<M: Machine>(
    cur: &Current<'_, M>,
    op: &Domctl,
    domain: &Arc<Domain<M>>,
) -> Result {
    let asked: IomemPermission = op.u.get();
    let end = end_of(asked.first_mfn, asked.nr_mfns)?;
    may_use(cur.domain, asked.first_mfn, end)?;
    let mut resources = domain.resources.lock();
    if asked.allow_access != 0 {
        resources.iomem.insert(asked.first_mfn, end)?;
    } else {
        resources.iomem.remove(asked.first_mfn, end)?;
    }
    Ok(Served::Quietly)
}

pub(super) fn permit_interrupt<M: Machine>(
    cur: &Current<'_, M>,
    op: &Domctl,
    domain: &Arc<Domain<M>>,
) -> Result {
    let asked: IrqPermission = op.u.get();
    if asked.pirq >= IRQS {
        return Err(Errno::EINVAL);
    }
    if !cur.domain.resources.lock().has_irq(asked.pirq) {
        return Err(Errno::EPERM);
    }
    domain.resources.lock().set_irq(asked.pirq, asked.allow_access != 0);
    Ok(Served::Quietly)
}

/// Maps device memory, or unmaps it, where both the caller and the domain may use it.
pub(super) fn map<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: MemoryMapping = op.u.get();
    let end = end_of(asked.first_mfn, asked.nr_mfns)?;
    let gfn_end = end_of(asked.first_gfn, asked.nr_mfns)?;
    if end > FRAMES {
        return Err(Errno::EINVAL);
    }
    if asked.nr_mfns > MAX_MAPPING {
        return Err(Errno::E2BIG);
    }
    may_use(cur.domain, asked.first_mfn, end)?;
    may_use(domain, asked.first_mfn, end)?;
    if cur.hv.frames.overlaps(Mfn(asked.first_mfn), asked.nr_mfns) {
        return Err(Errno::EPERM);
    }
    if gfn_end > FRAMES {
        return Err(Errno::EINVAL);
    }
    let mut p2m = domain.p2m(cur.hv.mem());
    let (gfn, mfn) = (Gfn(asked.first_gfn), Mfn(asked.first_mfn));
    if asked.add_mapping != 0 {
        p2m.map(gfn, mfn, asked.nr_mfns, P2mType::MmioDevice)?;
        return Ok(Served::Quietly);
    }
    // Only what is there as it says.
    for index in 0..asked.nr_mfns {
        let at = Gfn(gfn.0 + index);
        if p2m.lookup(at).is_some_and(|mapping| mapping.mfn.0 == mfn.0 + index) {
            p2m.unmap(at, Ram::Keep)?;
        }
    }
    Ok(Served::Quietly)
}

/// The interrupt that a request is about: the guest knows it by the host's number.
fn interrupt<M: Machine>(cur: &Current<'_, M>, op: &Domctl) -> Result<u32> {
    let asked: BindPtIrq = op.u.get();
    if asked.irq_type != PT_IRQ_TYPE_SPI {
        return Err(Errno::EOPNOTSUPP);
    }
    let spi = u32::from(asked.spi());
    if spi != asked.machine_irq {
        return Err(Errno::EINVAL);
    }
    if cur.domain.resources.lock().has_irq(spi) { Ok(spi) } else { Err(Errno::EPERM) }
}

pub(super) fn bind<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let spi = interrupt(cur, op)?;
    let trigger = cur.hv.board.get().map_or(crate::machine::Trigger::Level, |board| board.trigger(spi));
    cur.hv.route_guest_spi(domain, spi, trigger)?;
    Ok(Served::Quietly)
}

pub(super) fn unbind<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let spi = interrupt(cur, op)?;
    if cur.hv.unroute_guest_spi(domain, spi) { Ok(Served::Quietly) } else { Err(Errno::EINVAL) }
}

/// Gives a domain that has not run yet an emulated UART, with its other end in another domain.
pub(super) fn give_uart<M: Machine>(
    cur: &Current<'_, M>,
    op: &mut Domctl,
    domain: &Arc<Domain<M>>,
) -> Result {
    let mut asked: VuartOp = op.u.get();
    if asked.pad != [0; 2] || asked.cmd != VUART_OP_INIT {
        return Err(Errno::EINVAL);
    }
    if domain.life().is_created() {
        return Err(Errno::EPERM);
    }
    if asked.kind != VUART_TYPE_VPL011 {
        return Err(Errno::EOPNOTSUPP);
    }
    asked.evtchn = cur.hv.connect_uart(domain, Gfn(asked.gfn), asked.console_domid)?;
    op.u.set(&asked);
    Ok(Served::Answered)
}
