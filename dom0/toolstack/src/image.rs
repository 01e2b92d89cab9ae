//! What a guest is started from: its kernel, its ramdisk and its device tree.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use device_tree::Tree;
use guest_board::{Appended, Arch, Board, Placement, Region, appended, banks, carry, place};
use kernel_image::Kernel;

use crate::config::DomainConfig;
use crate::error::{Error, Result};
use crate::fdt::Fdt;
use crate::host::{Host, Source};

/// The files of a guest, read and checked as far as that goes without the guest.
pub(crate) struct Image<S> {
    kernel_path: String,
    kernel: Vec<u8>,
    ramdisk: Option<(String, S)>,
    given_tree: Option<(String, Vec<u8>)>,
}

/// A guest's ramdisk.
pub(crate) enum Ramdisk<'a, S> {
    /// A file of its own, and its name.
    File(&'a str, &'a S),
    /// A part of the kernel's file.
    Bytes(&'a [u8]),
}

impl<S: Source> Ramdisk<'_, S> {
    /// Gives its size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::File(_, file) => file.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// Everything ready to be written into the guest.
pub(crate) struct Layout<'k> {
    pub placement: Placement<'k>,
    pub tree: Vec<u8>,
}

/// How large a device tree may be.
const MAX_TREE: u64 = 1 << 20;

impl<S: Source> Image<S> {
    /// Reads the files that a configuration names.
    pub async fn read<H: Host<Source = S>>(host: &H, config: &DomainConfig) -> Result<Self> {
        let memory = config.memory_kib * 1024;
        let kernel = open(host, &config.kernel).await?;
        fits(&config.kernel, &kernel, memory)?;
        let kernel = read(&config.kernel, &kernel).await?;
        let ramdisk = match &config.ramdisk {
            Some(path) => {
                let file = open(host, path).await?;
                if file.is_empty() {
                    return Err(failure(path, "the file is empty"));
                }
                fits(path, &file, memory)?;
                Some((path.clone(), file))
            }
            None => None,
        };
        let given_tree = match &config.device_tree {
            Some(path) => {
                let file = open(host, path).await?;
                if file.len() > MAX_TREE {
                    return Err(failure(
                        path,
                        format!("the file has {} bytes, {MAX_TREE} are the most", file.len()),
                    ));
                }
                Some((path.clone(), read(path, &file).await?))
            }
            None => None,
        };
        let image = Self { kernel_path: config.kernel.clone(), kernel, ramdisk, given_tree };
        image.appended()?;
        Ok(image)
    }

    fn kernel(&self) -> Result<Kernel<'_>> {
        Kernel::parse(&self.kernel).map_err(|error| failure(&self.kernel_path, error))
    }

    /// What stands behind the kernel in its file.
    fn appended(&self) -> Result<Option<Appended<'_>>> {
        match self.kernel()? {
            Kernel::ZImage(image) => appended(&image).map_err(|error| failure(&self.kernel_path, error)),
            Kernel::Image(_) | Kernel::UImage(_) => Ok(None),
        }
    }

    /// Gives the ramdisk: that of the configuration, else what comes with the kernel.
    pub fn ramdisk(&self) -> Result<Option<Ramdisk<'_, S>>> {
        match &self.ramdisk {
            Some((path, file)) => Ok(Some(Ramdisk::File(path, file))),
            None => Ok(self.appended()?.and_then(|appended| appended.initrd).map(Ramdisk::Bytes)),
        }
    }

    /// Tells what state the kernel starts in.
    pub fn arch(&self, config: &DomainConfig) -> Result<Arch> {
        Ok(self.place(config, 0)?.arch)
    }

    fn place(&self, config: &DomainConfig, tree_size: u64) -> Result<Placement<'_>> {
        let banks = banks(config.memory_kib * 1024).map_err(Error::guest)?;
        let bank = *banks.first().ok_or_else(|| Error::guest("the guest has no memory"))?;
        let ramdisk_size = self.ramdisk()?.map(|ramdisk| ramdisk.size());
        place(&self.kernel()?, ramdisk_size, tree_size, bank).map_err(Error::guest)
    }

    /// Finds places for everything, and makes the device tree.
    pub fn lay_out(&self, config: &DomainConfig, board: &Board<'_>) -> Result<Layout<'_>> {
        // The tree's size does not depend on where the ramdisk is.
        let somewhere = self.ramdisk()?.map(|ramdisk| Region { base: 0, size: ramdisk.size() });
        let size = self.tree(&Board { initrd: somewhere, ..*board })?.len() as u64;
        if size > MAX_TREE {
            return Err(Error::guest(format!("the device tree has {size} bytes, {MAX_TREE} are the most")));
        }
        let placement = self.place(config, size)?;
        let tree = self.tree(&Board { initrd: placement.initrd, ..*board })?;
        if tree.len() as u64 > size {
            return Err(Error::guest("the device tree depends on where the ramdisk is"));
        }
        Ok(Layout { placement, tree })
    }

    /// Makes the device tree: of a whole one that was given, of the one after the kernel, or anew with what a given
    /// part adds.
    fn tree(&self, board: &Board<'_>) -> Result<Vec<u8>> {
        let appended = self.appended()?.map(|appended| appended.tree);
        match (&self.given_tree, appended) {
            (Some((path, given)), appended) => match (is_whole(path, given)?, appended) {
                (true, _) => carry::carry(given, board),
                (false, None) => board.tree_with_partial(given),
                (false, Some(_)) => {
                    let message = "is a part of a device tree, and the kernel brings a tree of its own";
                    return Err(failure(path, message));
                }
            }
            .map_err(|error| failure(path, error)),
            (None, Some(tree)) => {
                carry::carry(tree, board).map_err(|error| failure(&self.kernel_path, error))
            }
            (None, None) => {
                let mut fdt = Fdt::new();
                board.write_tree(&mut fdt).map_err(Error::guest)?;
                fdt.finish().map_err(|error| Error::guest(format!("device tree cannot be written: {error}")))
            }
        }
    }
}

/// Tells whether a device tree is that of a whole guest, and not what xl's `device_tree` adds to one.
fn is_whole(path: &str, tree: &[u8]) -> Result<bool> {
    let tree = Tree::parse(tree).map_err(|error| failure(path, error))?;
    Ok(carry::is_whole_guest(&tree))
}

fn failure(path: &str, message: impl ToString) -> Error {
    Error::File { path: path.into(), message: message.to_string() }
}

async fn open<H: Host>(host: &H, path: &str) -> Result<H::Source> {
    host.open(path).await.map_err(|message| failure(path, message))
}

/// Refuses what the guest has no room for.
fn fits(path: &str, file: &impl Source, memory: u64) -> Result<()> {
    if file.len() <= memory {
        Ok(())
    } else {
        Err(failure(path, "the file is larger than the guest's memory"))
    }
}

/// Reads a whole file.
async fn read(path: &str, file: &impl Source) -> Result<Vec<u8>> {
    let size = usize::try_from(file.len()).map_err(|_| failure(path, "the file is too large"))?;
    let mut bytes = Vec::new();
    let too_large = |_| failure(path, format!("there is no memory in dom0 to read {size} bytes"));
    bytes.try_reserve_exact(size).map_err(too_large)?;
    bytes.resize(size, 0);
    file.read_at(0, &mut bytes).await.map_err(|message| failure(path, message))?;
    Ok(bytes)
}
