//! Parameters of a domain (hypercall 34).

use xen_abi::{
    Domid, Errno,
    hvm::{HvmParam, op},
    hypercall::HVM_OP,
};

use super::with_arg;

/// Reads a parameter (see [`xen_abi::hvm::param`]).
///
/// # Errors
///
/// `EINVAL` for an unknown one, `ESRCH`, `EPERM`.
pub fn get_param(domid: Domid, index: u32) -> Result<u64, Errno> {
    let mut arg = HvmParam { domid, index, ..HvmParam::default() };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(HVM_OP, op::GET_PARAM, &mut arg) }?;
    Ok(arg.value)
}

/// Sets a parameter of a domain that we control.
///
/// # Errors
///
/// As [`get_param`].
pub fn set_param(domid: Domid, index: u32, value: u64) -> Result<(), Errno> {
    let mut arg = HvmParam { domid, pad: 0, index, value };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(HVM_OP, op::SET_PARAM, &mut arg) }.map(drop)
}
