//! The emulated UART of a guest from the device tree.

use core::convert::Infallible;

use device_tree::Tree;
use guest_sdk::{Env, memory::map_device};

use crate::{Failure, arch::load, measure};

/// Offset of the flag register.
const FLAGS: usize = 0x18;

/// Measures a read of its flags.
pub fn run(env: &Env, times: u32) -> Result<(), Failure> {
    let missing = || Failure("the device tree has no UART");
    let tree = Tree::parse(env.device_tree()).map_err(|_| missing())?;
    let node = tree.compatible(&["arm,sbsa-uart", "arm,pl011"]).next().ok_or_else(missing)?;
    let region = node.regions().ok().and_then(|mut all| all.next()).ok_or_else(missing)?;
    let registers = map_device(region.base, region.size as usize)?.as_ptr().addr();
    measure("uart_read", times, || {
        load(registers + FLAGS);
        Ok::<_, Infallible>(())
    })
}
