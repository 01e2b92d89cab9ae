//! Putting kernel, RAM disk and device tree into a domain's memory, and its first vCPU at the kernel's entry.

use alloc::sync::Arc;

use guest_board::{Arch, Placement, Region, boot};
use kernel_image::Kernel;
use xen_abi::{Gfn, PAGE_SIZE};

use super::BuildError;
use crate::{
    Hypervisor,
    domain::Domain,
    frames::Mem,
    machine::{Access, CacheOp, Machine},
};

impl<M: Machine> Hypervisor<M> {
    /// Finds places in a bank of memory for a kernel, a RAM disk, and a device tree of at most `room` bytes.
    ///
    /// # Errors
    ///
    /// There are none, or the kernel is for a state in which guests cannot start.
    #[inline(never)]
    pub(super) fn place<'a>(
        &self,
        kernel: &'a [u8],
        ramdisk: Option<&[u8]>,
        room: usize,
        bank: Region,
    ) -> Result<Placement<'a>, BuildError<'a>> {
        let kernel = Kernel::parse(kernel).map_err(guest_board::Error::Kernel)?;
        let ramdisk = ramdisk.map(|file| file.len() as u64);
        let place = guest_board::place(&kernel, ramdisk, room as u64, bank)?;
        let runs = match place.arch {
            Arch::Arm32 => self.machine.has_aarch32(),
            Arch::Arm64 => !cfg!(target_arch = "arm"),
        };
        if runs { Ok(place) } else { Err(BuildError::State(place.arch)) }
    }

    /// Copies them there.
    pub(super) fn load<'e>(
        &self,
        domain: &Domain<M>,
        place: &Placement<'_>,
        ramdisk: Option<&[u8]>,
        tree: &[u8],
    ) -> Result<(), BuildError<'e>> {
        load(self.mem(), domain, place.kernel_base, place.kernel)?;
        if let (Some(region), Some(file)) = (place.initrd, ramdisk) {
            load(self.mem(), domain, region.base, file)?;
        }
        load(self.mem(), domain, place.tree.base, tree)
    }

    /// Lets the first vCPU start, once the domain may run.
    pub(super) fn start_first_vcpu(&self, domain: &Arc<Domain<M>>, place: &Placement<'_>) {
        let context = boot::first_vcpu(place.arch, place.entry, place.tree.base);
        let _life = domain.life();
        self.start_vcpu(domain, &domain.vcpus()[0], &context);
    }
}

/// Copies bytes to a guest-physical address, so that the guest sees them with its caches off.
///
/// # Errors
///
/// [`BuildError::Memory`] when the domain has no memory there.
fn load<'e, M: Machine>(
    mem: Mem<'_, M>,
    domain: &Domain<M>,
    address: u64,
    bytes: &[u8],
) -> Result<(), BuildError<'e>> {
    let p2m = domain.p2m(mem);
    let (mut at, mut left) = (address, bytes);
    while !left.is_empty() {
        let offset = (at % PAGE_SIZE as u64) as usize;
        let (now, rest) = left.split_at(left.len().min(PAGE_SIZE - offset));
        let held = p2m.hold_own(Gfn::containing(at), Access::Write);
        let held = held.ok_or(BuildError::Memory(bytes.len() as u64))?;
        mem.machine.write_frame(held.mfn(), offset, now);
        mem.machine.cache_frame(held.mfn(), offset, now.len(), CacheOp::Clean);
        at += now.len() as u64;
        left = rest;
    }
    Ok(())
}
