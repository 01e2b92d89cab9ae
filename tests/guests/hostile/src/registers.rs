//! Every system register that an instruction can name, and calls whose number means nothing.

use crate::{calls::Tally, probe};

/// Does all that.
pub fn run() -> Tally {
    let mut tally = Tally::default();
    for n in (0..probe::REGISTERS).filter(|n| !probe::takes_interrupt(*n)) {
        tally.made += 1;
        tally.refused += u32::from(!probe::read_register(n));
    }
    for value in [0, 1, u32::MAX - 64] {
        tally.refused += probe::write_registers(value).wrapping_sub(value);
    }
    tally.refused += probe::calls_with_other_numbers();
    tally
}
