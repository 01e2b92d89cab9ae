//! xen_version: what guests and tools are told they run on.
//!
//! Debian's tools choose their libraries by the version, and refuse guest types that the capabilities do not name: the
//! version is that of the Xen whose interface this is.

use core::mem::offset_of;

use xen_abi::{
    Errno, GuestHandle, PAGE_SIZE,
    features::{
        ARM_SMCCC_SUPPORTED, AUTO_TRANSLATED_PHYSMAP, DIRECT_MAPPED, DOM0, MEMORY_OP_VNODE_SUPPORTED,
        NOT_DIRECT_MAPPED, WRITABLE_PAGE_TABLES,
    },
    version::{
        BuildId, CAPABILITIES_LEN, CHANGESET_LEN, COMMANDLINE_LEN, CompileInfo, EXTRAVERSION_LEN,
        FeatureInfo, PlatformParameters, op,
    },
};

use crate::{Current, domain::Domain, hypercall::HypercallResult, machine::Machine, xsm};

/// Version of the interface: major and minor.
pub(crate) const NUMBER: (u32, u32) = (4, 17);
/// The same in one number.
const VERSION: u64 = (NUMBER.0 as u64) << 16 | NUMBER.1 as u64;
/// What follows major and minor.
const EXTRAVERSION: &str = ".5";
/// What the guests of each machine may be.
fn capabilities(machine: &impl Machine) -> &'static str {
    match (cfg!(target_arch = "arm"), machine.has_aarch32()) {
        (true, _) => "xen-3.0-armv7l ",
        (false, true) => "xen-3.0-aarch64 xen-3.0-armv7l ",
        (false, false) => "xen-3.0-aarch64 ",
    }
}
/// Where the sources came from, as far as the build knows.
const CHANGESET: &str = concat!("xen-on-arm-in-rust ", env!("CARGO_PKG_VERSION"));
/// Where the hypervisor's own address space begins: for information only.
const VIRT_START: u64 = 0x20_0000;
/// The longest field for a text.
const LONGEST: usize = 1024;
/// What a caller reads that may not read the truth.
const DENIED: &str = "<denied>";

impl<M: Machine> Current<'_, M> {
    /// Serves `xen_version(cmd, arg)`.
    ///
    /// # Errors
    ///
    /// `ENOSYS` for an unknown command, `EFAULT` for a bad buffer, `EINVAL` and `EPERM` as each command has it.
    #[hot]
    pub(crate) fn xen_version(&mut self, cmd: u64, arg: u64) -> HypercallResult {
        match u32::try_from(cmd).unwrap_or(u32::MAX) {
            op::VERSION => Ok(VERSION),
            cmd => self.describe(cmd, arg),
        }
    }

    /// The commands that are rare.
    #[inline(never)]
    fn describe(&self, cmd: u32, arg: u64) -> HypercallResult {
        match cmd {
            op::EXTRAVERSION => self.write_text(arg, EXTRAVERSION, EXTRAVERSION_LEN)?,
            op::COMPILE_INFO => self.compile_info(arg)?,
            op::CAPABILITIES => self.write_text(arg, capabilities(&self.hv.machine), CAPABILITIES_LEN)?,
            op::CHANGESET => self.write_text(arg, CHANGESET, CHANGESET_LEN)?,
            op::PLATFORM_PARAMETERS => self.write(arg, &PlatformParameters { virt_start: VIRT_START })?,
            op::GET_FEATURES => self.get_features(arg)?,
            op::PAGESIZE if arg != 0 => return Err(Errno::EINVAL.into()),
            op::PAGESIZE => return Ok(PAGE_SIZE as u64),
            op::GUEST_HANDLE => {
                let handle = *self.domain.handle.lock();
                self.write(arg, &handle)?;
            }
            op::COMMANDLINE => {
                let allowed = xsm::control(self.domain).is_ok();
                let text = if allowed { self.hv.options.text } else { DENIED };
                self.write_text(arg, text, COMMANDLINE_LEN)?;
            }
            op::BUILD_ID => return self.build_id(arg),
            _ => return Err(Errno::ENOSYS.into()),
        }
        Ok(0)
    }

    /// Who built it, with what; nobody is told where and when.
    fn compile_info(&self, arg: u64) -> Result<(), Errno> {
        const BY: usize = offset_of!(CompileInfo, compile_by);
        self.write_text(arg, "rustc", BY)?;
        let at = arg.checked_add(BY as u64).ok_or(Errno::EFAULT)?;
        self.write_text(at, "cargo", size_of::<CompileInfo>() - BY)
    }

    #[inline(never)]
    fn write_text(&self, at: u64, text: &str, len: usize) -> Result<(), Errno> {
        self.copy_to_guest(at, field(&mut [0; LONGEST], text, len))
    }

    /// Writes the build id behind its length and gives how long it is; only that for no buffer.
    fn build_id(&self, arg: u64) -> HypercallResult {
        xsm::control(self.domain)?;
        let room = match arg {
            0 => None,
            _ => match self.read::<BuildId>(arg)?.len {
                0 => return Err(Errno::EINVAL.into()),
                len => Some(len as usize),
            },
        };
        let id = self.hv.machine.build_id();
        match room {
            _ if id.is_empty() => return Err(Errno::ENODATA.into()),
            Some(room) if room < id.len() => return Err(Errno::ENOBUFS.into()),
            Some(_) => {
                let bytes = arg.checked_add(size_of::<BuildId>() as u64).ok_or(Errno::EFAULT)?;
                self.copy_to_guest(bytes, id)?;
            }
            None => {}
        }
        Ok(id.len() as u64)
    }

    fn get_features(&self, arg: u64) -> Result<(), Errno> {
        let mut info: FeatureInfo = self.read(arg)?;
        if info.submap_idx != 0 {
            return Err(Errno::EINVAL);
        }
        info.submap = features(self.domain);
        self.write_item(GuestHandle::new(arg), 0, &info)
    }
}

/// The word of feature bits that `domain` sees.
fn features<M: Machine>(domain: &Domain<M>) -> u32 {
    let mapping = if domain.is_direct_mapped() { DIRECT_MAPPED } else { NOT_DIRECT_MAPPED };
    let mut bits = 1 << WRITABLE_PAGE_TABLES
        | 1 << AUTO_TRANSLATED_PHYSMAP
        | 1 << MEMORY_OP_VNODE_SUPPORTED
        | 1 << ARM_SMCCC_SUPPORTED
        | 1 << mapping;
    if domain.is_hardware() {
        bits |= 1 << DOM0;
    }
    bits
}

/// `text` in a field of `len` bytes, cut so that a NUL follows it.
fn field<'a>(room: &'a mut [u8; LONGEST], text: &str, len: usize) -> &'a [u8] {
    let text = &text.as_bytes()[..text.len().min(len - 1)];
    room[..text.len()].copy_from_slice(text);
    &room[..len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{
        BUILD_ID, FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor,
    };

    #[test]
    fn the_build_id_is_for_who_controls_and_for_buffers_that_hold_it() {
        let hv: crate::Hypervisor<FakeMachine> = hypervisor(64, 1);
        let dom0 = domain(&hv, 0, control_config(), 4);
        let guest = domain(&hv, 1, guest_config(), 4);
        let size = BUILD_ID.len() as u32;
        let at = GUEST_RAM.0 << 12;
        let end = (GUEST_RAM.0 + 4) << 12;
        let asked = |domain, arg, len: u32| {
            as_guest(&hv, domain, |cur| {
                if arg != 0 && arg < end {
                    cur.write(arg, &BuildId { len }).unwrap();
                }
                cur.xen_version(op::BUILD_ID.into(), arg)
            })
        };
        assert_eq!(asked(&guest, 0, 0), Err(Errno::EPERM.into()));
        assert_eq!(asked(&dom0, 0, 0), Ok(size.into()));
        assert_eq!(asked(&dom0, at, 0), Err(Errno::EINVAL.into()));
        assert_eq!(asked(&dom0, at, size - 1), Err(Errno::ENOBUFS.into()));
        for nowhere in [end - 4, end, u64::MAX - 3, u64::MAX] {
            assert_eq!(asked(&dom0, nowhere, size), Err(Errno::EFAULT.into()), "{nowhere:#x}");
        }
        assert_eq!(asked(&dom0, at, size), Ok(size.into()));
        let written = as_guest(&hv, &dom0, |cur| cur.read::<[u8; 24]>(at)).unwrap();
        assert_eq!(written[..4], size.to_le_bytes());
        assert_eq!(written[4..], BUILD_ID);
    }

    #[test]
    fn fields_end_in_a_nul_however_long_the_text() {
        assert_eq!(field(&mut [0; LONGEST], "abcdef", 4), b"abc\0");
        assert_eq!(field(&mut [0; LONGEST], "a", 4), b"a\0\0\0");
    }
}
