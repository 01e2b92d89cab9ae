//! What a guest's trap means.

mod esr;

pub use esr::{
    Abort, CacheMaintenance, Condition, Exit, Fault, FaultRegisters, Instruction, RegisterAccess, Transfer,
};
