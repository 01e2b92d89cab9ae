//! Who may do what to whom: the default policy, with SILO.
//!
//! The control domain may do everything. Others act on themselves, or on the one domain that they
//! serve as device model; under SILO they share memory and events only with the control domain.

use xen_abi::Errno;

use crate::{Hypervisor, domain::Domain, machine::Machine};

fn allow(allowed: bool) -> Result<(), Errno> {
    if allowed { Ok(()) } else { Err(Errno::EPERM) }
}

/// For what only the control domain does.
pub fn control<M: Machine>(caller: &Domain<M>) -> Result<(), Errno> {
    allow(caller.is_control())
}

/// For what a domain does to itself, or the control domain to any.
pub fn target<M: Machine>(caller: &Domain<M>, domain: &Domain<M>) -> Result<(), Errno> {
    allow(caller.id == domain.id || caller.is_control())
}

/// For what a device model does to the domain it serves, or the control domain to any.
pub fn device_model<M: Machine>(caller: &Domain<M>, domain: &Domain<M>) -> Result<(), Errno> {
    allow(caller.is_control() || caller.serves() == Some(domain.id))
}

/// For what xenstore's domain may ask about all domains, as the control domain may.
pub fn xenstore<M: Machine>(caller: &Domain<M>) -> Result<(), Errno> {
    allow(caller.is_control() || caller.is_xenstore())
}

/// Whether two domains may exchange memory or events (SILO).
#[inline]
pub fn may_share<M: Machine>(hv: &Hypervisor<M>, one: &Domain<M>, other: &Domain<M>) -> Result<(), Errno> {
    allow(!hv.options.silo || one.id == other.id || one.is_control() || other.is_control())
}
