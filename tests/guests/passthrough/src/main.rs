//! A guest that was given the board's clock, a PL031: says what the clock says it is, and that its alarm interrupts.
// UNSAFETY: accesses the registers of a device, which the SDK has mapped.
#![allow(unsafe_code)]
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

use device_tree::{Phandles, Tree, gic};
use guest_sdk::{Env, abi::Errno};

guest_sdk::main!(main);

/// Registers (PL031 technical reference manual, 3.2).
mod register {
    /// Seconds.
    pub const DATA: usize = 0x0;
    /// When the alarm is due.
    pub const MATCH: usize = 0x4;
    /// Whether it interrupts.
    pub const MASK: usize = 0x10;
    /// Part number, low byte.
    pub const PART: usize = 0xfe0;
}

#[cfg(target_os = "none")]
async fn main(env: Env) -> Result<(), Errno> {
    let tree = Tree::parse(env.device_tree()).map_err(|_| Errno::EINVAL)?;
    let clock = tree.compatible(&["arm,pl031"]).next().ok_or(Errno::ENODEV)?;
    let place = clock.regions().map_err(|_| Errno::EINVAL)?.next().ok_or(Errno::ENXIO)?;
    let interrupts = clock.interrupts(&Phandles::of(&tree)).map_err(|_| Errno::EINVAL)?;
    let (line, _) = interrupts.first().and_then(|first| gic::decode(&first.cells)).ok_or(Errno::ENOENT)?;

    let registers = guest_sdk::memory::map_device(place.base, place.size as usize)?;
    // SAFETY: all registers lie in the page that was mapped, and may be read and written.
    let at = |register: usize| unsafe { registers.as_ptr().add(register).cast::<u32>() };
    // SAFETY: as above.
    let read = |register| unsafe { at(register).read_volatile() };
    // SAFETY: as above.
    let write = |register, value| unsafe { at(register).write_volatile(value) };

    log::info!("clock: part {:#x} at {:#x}, interrupt {line}", read(register::PART), place.base);
    let line = guest_sdk::irq::Line::new(line)?;
    write(register::MASK, 1);
    write(register::MATCH, read(register::DATA) + 1);
    line.wait().await;
    log::info!("clock: the alarm came");
    Ok(())
}

/// There is no board on the host.
#[cfg(not(target_os = "none"))]
async fn main(env: Env) -> Result<(), Errno> {
    let _ = (Tree::parse(env.device_tree()).map(|tree| Phandles::of(&tree)), gic::decode(&[]));
    let _ = [register::DATA, register::MATCH, register::MASK, register::PART];
    Err(Errno::ENODEV)
}
