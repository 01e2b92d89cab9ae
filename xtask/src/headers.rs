//! Xen's public headers from Debian's packages, against which the ABI crate's layouts are checked.
use crate::{Result, debian};
use machine::{Arch, paths};
use std::path::PathBuf;

/// The environment of the layout test: the folder that holds each architecture's `xen/xen.h`, and that a missing
/// compiler is an error.
pub fn environment() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut out = vec![("XEN_ABI_LAYOUT", "require".into())];
    for (name, arch) in [("XEN_HEADERS_ARMHF", Arch::Arm32), ("XEN_HEADERS_ARM64", Arch::Arm64)] {
        debian::headers(arch)?;
        out.push((name, paths::debian_root(arch).join("usr/include")));
    }
    Ok(out)
}
