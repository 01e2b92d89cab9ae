//! Finds dom0's disk: the virtio-mmio block device among those that the device tree names.
// UNSAFETY: hands the registers of a device, mapped for as long as dom0 runs, to the driver crate.
#![allow(unsafe_code)]

use core::{fmt, ptr::NonNull};

use device_tree::{Node, Phandles, Tree};
use guest_sdk::{abi::Errno, exec, irq::Line, memory};
use virtio_drivers::transport::{
    DeviceType, Transport,
    mmio::{MmioTransport, VirtIOHeader},
};

use crate::storage::{DiskError, VirtioDisk};

/// Why there is no disk.
#[derive(Debug)]
pub enum ProbeError {
    /// The device tree cannot be read.
    Tree(device_tree::Error),
    /// No virtio block device is there.
    None,
    /// The device does not start.
    Device(DiskError),
    /// Its registers cannot be mapped, or its interrupt cannot be taken.
    Resource(Errno),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(e) => write!(f, "device tree: {e}"),
            Self::None => f.write_str("no virtio block device; give the machine one (virtio-blk-device)"),
            Self::Device(e) => write!(f, "virtio block device: {e}"),
            Self::Resource(e) => write!(f, "virtio block device: {e}"),
        }
    }
}

/// Starts the first virtio block device, and the task that serves its interrupt.
///
/// # Errors
///
/// As [`ProbeError`] says.
pub fn disk(device_tree: &[u8]) -> Result<VirtioDisk, ProbeError> {
    let tree = Tree::parse(device_tree).map_err(ProbeError::Tree)?;
    let phandles = Phandles::of(&tree);
    let nodes = tree.compatible(&["virtio,mmio"]).filter(Node::is_available);
    for node in nodes {
        if let Some(transport) = transport(&node)? {
            return start(transport, interrupt(&node, &phandles)?);
        }
    }
    Err(ProbeError::None)
}

/// Maps the registers of `node`; none when what answers there is no block device.
fn transport(node: &Node<'_>) -> Result<Option<MmioTransport<'static>>, ProbeError> {
    let Some(region) = node.regions().map_err(ProbeError::Tree)?.next() else { return Ok(None) };
    let Ok(size) = usize::try_from(region.size) else { return Ok(None) };
    let registers = memory::map_device(region.base, size).map_err(ProbeError::Resource)?;
    let header: NonNull<VirtIOHeader> = registers.cast();
    // SAFETY: the region is a virtio-mmio device's, says the device tree, and stays mapped.
    let transport = unsafe { MmioTransport::new(header, size) };
    // A place without a device answers with device type 0, which is an error here.
    Ok(transport.ok().filter(|t| t.device_type() == DeviceType::Block))
}

fn interrupt(node: &Node<'_>, phandles: &Phandles<'_>) -> Result<u32, ProbeError> {
    let interrupts = node.interrupts(phandles).map_err(ProbeError::Tree)?;
    let first = interrupts.first().and_then(|i| device_tree::gic::decode(&i.cells));
    first.map(|(id, _)| id).ok_or(ProbeError::Resource(Errno::EINVAL))
}

fn start(transport: MmioTransport<'static>, interrupt: u32) -> Result<VirtioDisk, ProbeError> {
    let line = Line::new(interrupt).map_err(ProbeError::Resource)?;
    let disk = VirtioDisk::new(transport).map_err(ProbeError::Device)?;
    let served = disk.clone();
    exec::spawn(async move {
        loop {
            line.wait().await;
            served.handle_interrupt();
        }
    });
    Ok(disk)
}
