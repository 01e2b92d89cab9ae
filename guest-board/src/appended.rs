//! What a kernel file brings with it behind the kernel: a device tree, and an initrd that the tree names.
//!
//! A file of kernel, tree and initrd boots wherever a loader puts it at the start of memory, as the tree says
//! where in memory the initrd then is. Who loads the parts apart has to find it in the file by that address.

use device_tree::{Region, Tree};
use kernel_image::ZImage;

use crate::carry::old_memory;
use crate::error::Error;
use crate::place::ZIMAGE_OFFSET;

/// What stands behind a kernel in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended<'k> {
    /// The device tree.
    pub tree: &'k [u8],
    /// The initrd.
    pub initrd: Option<&'k [u8]>,
}

/// Finds what stands behind a kernel in its file; none without a device tree. An address that the tree gives to its
/// initrd and that is not behind the tree means none: what is there is a loader's business.
pub fn appended<'k>(image: &ZImage<'k>) -> Result<Option<Appended<'k>>, Error> {
    let Some(tree) = image.appended_tree()? else { return Ok(None) };
    let Some(named) = named_initrd(image, &Tree::parse(tree)?) else {
        return Ok(Some(Appended { tree, initrd: None }));
    };
    let behind = image.behind_tree();
    let file_size = behind.start + behind.bytes.len() as u64;
    if named.base < behind.start || named.base >= file_size {
        return Ok(Some(Appended { tree, initrd: None }));
    }
    let rest = usize::try_from(named.base - behind.start).ok().and_then(|skip| behind.bytes.get(skip..));
    let rest = rest.unwrap_or_default();
    let initrd = usize::try_from(named.size).ok().and_then(|size| rest.get(..size));
    let truncated = Error::TruncatedInitrd { expected: named.size, actual: rest.len() as u64 };
    Ok(Some(Appended { tree, initrd: Some(initrd.ok_or(truncated)?) }))
}

/// Where in the file the initrd is, if the file is loaded where a zImage goes in the memory that the tree tells of.
fn named_initrd(image: &ZImage<'_>, tree: &Tree<'_>) -> Option<Region> {
    let chosen = tree.root().child("chosen")?;
    let [start, end] = ["linux,initrd-start", "linux,initrd-end"]
        .map(|name| chosen.property(name).and_then(|property| property.as_u64()));
    let (start, end) = (start?, end?);
    let loaded = match image.start() {
        Some(address) => u64::from(address),
        None => old_memory(&tree.root())?.base.checked_add(ZIMAGE_OFFSET)?,
    };
    let size = end.checked_sub(start).filter(|size| *size > 0)?;
    Some(Region { base: start.checked_sub(loaded)?, size })
}
