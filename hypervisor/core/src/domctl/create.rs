//! createdomain.

use xen_abi::{
    Errno, Gfn, Mfn, PAGE_SHIFT,
    arch::{gic, layout, tee},
    domctl::{CreateDomain, Domctl, GRANT_VERSION_MASK, cdf},
};

use super::{Result, Served};
use crate::{
    Hypervisor,
    current::Current,
    domain::{Domain, DomainConfig},
    domain_build::Board,
    machine::Machine,
    p2m::P2mType,
    vgic::{GuestInterrupts, max_vcpus},
};

/// Shared interrupts that there can be, of which a domain gets multiples of 32.
const MAX_SPIS: u32 = (1020 - 32) / 32 * 32;
/// The highest version of grant tables.
const GRANT_VERSION: u32 = 1;
/// Pages for tables before the toolstack says how many: enough for the interrupt controller.
const FIRST_TABLES: u32 = 16;

pub(super) fn create<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl) -> Result {
    let mut asked: CreateDomain = op.u.get();
    // An id is spent on what is refused, too: toolstacks tell the two domains apart.
    let id = cur.hv.domains.pick_id(op.domain)?;
    if asked.arch.gic_version == gic::NATIVE {
        asked.arch.gic_version = cur.hv.gic_version();
    }
    let config = config(cur, &asked)?;
    if asked.arch.gic_version != cur.hv.gic_version() {
        log::error!("{id}: the board's interrupt controller is of another version than the guest's");
        // Xen for 32-bit ARM does not know version 3, whatever the board.
        let unknown = asked.arch.gic_version == gic::V3 && !cfg!(target_arch = "aarch64");
        return Err(if unknown { Errno::EINVAL } else { Errno::ENODEV });
    }
    let domain = cur.hv.create_domain(id, config)?;
    // What a guest knows as its CPU interface is the hardware's virtual one.
    let mapped = cur.hv.map_virtual_cpu_interface(&domain, layout::GICC_BASE, layout::GICC_SIZE);
    if let Err(errno) = mapped {
        // Nothing has seen it yet, and nothing of it takes long.
        cur.hv.destroy_domain(&domain, &mut || false);
        return Err(errno);
    }
    cur.hv.update_wallclock(&domain);
    op.domain = domain.id;
    asked.arch.clock_frequency = cur.hv.board.get().map_or(0, |board| board.timer_frequency);
    op.u.set(&asked);
    Ok(Served::Answered)
}

/// Checks what is asked for.
fn config<M: Machine>(cur: &Current<'_, M>, asked: &CreateDomain) -> Result<DomainConfig> {
    let bad = asked.flags != cdf::HVM | cdf::HAP
        || asked.iommu_opts != 0
        || asked.grant_opts & !GRANT_VERSION_MASK != 0
        || !(1..=max_vcpus(asked.arch.gic_version)).contains(&asked.max_vcpus)
        || asked.vmtrace_size != 0
        || asked.max_grant_frames == 0
        || asked.arch.tee_type != tee::NONE
        || asked.arch.nr_spis > MAX_SPIS
        || !(1..=GRANT_VERSION).contains(&asked.grant_opts);
    if bad {
        return Err(Errno::EINVAL);
    }
    let pool = cur.hv.pool(asked.cpupool_id).map_err(|_| Errno::ESRCH)?;
    if pool.is_empty() {
        return Err(Errno::ENOENT);
    }
    let options = &cur.hv.options;
    Ok(DomainConfig {
        flags: asked.flags,
        max_vcpus: asked.max_vcpus,
        max_evtchn_port: asked.max_evtchn_port.min(i32::MAX as u32),
        max_grant_frames: up_to(asked.max_grant_frames, options.gnttab_max_frames)?,
        max_maptrack_frames: up_to(asked.max_maptrack_frames, options.gnttab_max_maptrack_frames)?,
        nr_spis: asked.arch.nr_spis.next_multiple_of(32),
        interrupts: GuestInterrupts::guest(asked.arch.gic_version),
        table_pages: Some(FIRST_TABLES),
        pool: pool.id,
        handle: asked.handle,
        ..DomainConfig::default()
    })
}

/// A limit within ours; negative for ours.
fn up_to(asked: i32, limit: u32) -> Result<u32> {
    match u32::try_from(asked) {
        Err(_) => Ok(limit),
        Ok(asked) if asked <= limit => Ok(asked),
        Ok(_) => Err(Errno::EINVAL),
    }
}

impl<M: Machine> Hypervisor<M> {
    /// The version of the board's interrupt controller.
    pub(crate) fn gic_version(&self) -> u8 {
        self.board.get().map_or(gic::V2, Board::gic_version)
    }

    /// Maps the virtual CPU interface where a guest looks for its CPU interface.
    pub(crate) fn map_virtual_cpu_interface(&self, domain: &Domain<M>, base: u64, size: u64) -> Result<()> {
        let Some(virtual_cpu) = self.board.get().and_then(|board| board.virtual_cpu) else {
            return Ok(());
        };
        let frames = size.min(virtual_cpu.size) >> PAGE_SHIFT;
        let behind = Mfn::containing(virtual_cpu.base);
        domain.p2m(self.mem()).map(Gfn::containing(base), behind, frames, P2mType::MmioDevice)
    }
}
