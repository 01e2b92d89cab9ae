//! On the host there is nothing to call.

use super::{Conduit, Outcome};

pub fn vectors() -> usize {
    0
}

pub fn mask() -> usize {
    0
}

pub fn restore(_: usize) {}

pub fn swap_vectors(_: usize) -> usize {
    0
}

pub fn call(conduit: Conduit, registers: [usize; 4], _: usize) -> Outcome {
    match conduit {
        Conduit::Hvc | Conduit::Smc | Conduit::HvcEa1 => Outcome::Answered(registers),
        _ => Outcome::Undefined { vector: 0, back: 0, syndrome: 0 },
    }
}
