//! What the hypervisor is (hypercall 17).

use alloc::{string::String, vec, vec::Vec};

use xen_abi::{
    Errno,
    hypercall::XEN_VERSION,
    types::DomainHandle,
    version::{
        CAPABILITIES_LEN, CHANGESET_LEN, COMMANDLINE_LEN, CompileInfo, EXTRAVERSION_LEN, FeatureInfo,
        PlatformParameters, op,
    },
};
use zerocopy::FromBytes;

use super::{call, until_nul, with_arg};

fn without_arg(cmd: u32) -> Result<u64, Errno> {
    // SAFETY: these commands take no argument.
    unsafe { call(XEN_VERSION, [cmd as usize, 0]) }
}

/// Major and minor version.
///
/// # Errors
///
/// None that is known.
pub fn version() -> Result<(u16, u16), Errno> {
    let v = without_arg(op::VERSION)?;
    Ok(((v >> 16) as u16, v as u16))
}

fn text(cmd: u32, len: usize) -> Result<String, Errno> {
    let mut buffer = vec![0u8; len];
    // SAFETY: the buffer is as long as the command says it must be.
    unsafe { call(XEN_VERSION, [cmd as usize, buffer.as_mut_ptr() as usize]) }?;
    Ok(String::from_utf8_lossy(until_nul(&buffer)).into_owned())
}

/// What follows major and minor: ".5".
///
/// # Errors
///
/// None that is known.
pub fn extraversion() -> Result<String, Errno> {
    text(op::EXTRAVERSION, EXTRAVERSION_LEN)
}

/// The kinds of guest it runs: "xen-3.0-armv7l".
///
/// # Errors
///
/// None that is known.
pub fn capabilities() -> Result<String, Errno> {
    text(op::CAPABILITIES, CAPABILITIES_LEN)
}

/// Which source it was made from.
///
/// # Errors
///
/// None that is known.
pub fn changeset() -> Result<String, Errno> {
    text(op::CHANGESET, CHANGESET_LEN)
}

/// Its command line; `<denied>` for all but dom0.
///
/// # Errors
///
/// None that is known.
pub fn commandline() -> Result<String, Errno> {
    text(op::COMMANDLINE, COMMANDLINE_LEN)
}

/// Who made it: compiler, user, domain, date.
///
/// # Errors
///
/// None that is known.
pub fn compile_info() -> Result<[String; 4], Errno> {
    let mut arg = CompileInfo::default();
    // SAFETY: there are no handles in it.
    unsafe { with_arg(XEN_VERSION, op::COMPILE_INFO, &mut arg) }?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(until_nul(bytes)).into_owned();
    Ok([text(&arg.compiler), text(&arg.compile_by), text(&arg.compile_domain), text(&arg.compile_date)])
}

/// Its first virtual address.
///
/// # Errors
///
/// None that is known.
pub fn virt_start() -> Result<u64, Errno> {
    let mut arg = PlatformParameters::default();
    // SAFETY: there are no handles in it.
    unsafe { with_arg(XEN_VERSION, op::PLATFORM_PARAMETERS, &mut arg) }?;
    Ok(arg.virt_start)
}

/// A word of feature bits: see [`xen_abi::features`].
///
/// # Errors
///
/// `EINVAL` for a word that is not there.
pub fn features(submap_idx: u32) -> Result<u32, Errno> {
    let mut arg = FeatureInfo { submap_idx, submap: 0 };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(XEN_VERSION, op::GET_FEATURES, &mut arg) }?;
    Ok(arg.submap)
}

/// Bytes of a page.
///
/// # Errors
///
/// None that is known.
pub fn page_size() -> Result<u64, Errno> {
    without_arg(op::PAGESIZE)
}

/// Our own UUID.
///
/// # Errors
///
/// None that is known.
pub fn guest_handle() -> Result<DomainHandle, Errno> {
    let mut arg = DomainHandle::default();
    // SAFETY: there are no handles in it.
    unsafe { with_arg(XEN_VERSION, op::GUEST_HANDLE, &mut arg) }?;
    Ok(arg)
}

/// The id that the linker gave it.
///
/// # Errors
///
/// `EPERM` for all but dom0, `ENODATA` when it has none.
pub fn build_id() -> Result<Vec<u8>, Errno> {
    // SAFETY: a null buffer asks for the length.
    let len = unsafe { call(XEN_VERSION, [op::BUILD_ID as usize, 0]) }? as usize;
    let mut buffer = vec![0u8; size_of::<u32>() + len];
    buffer[..4].copy_from_slice(&(len as u32).to_le_bytes());
    let args = [op::BUILD_ID as usize, buffer.as_mut_ptr() as usize];
    // SAFETY: the buffer begins with its length, as the command wants it.
    unsafe { call(XEN_VERSION, args) }?;
    let (len, bytes) = u32::read_from_prefix(&buffer).map_err(|_| Errno::EIO)?;
    bytes.get(..len as usize).map(<[u8]>::to_vec).ok_or(Errno::EIO)
}
