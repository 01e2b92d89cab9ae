//! The interrupt controller: what its versions have in common, and which one there is.
// UNSAFETY: makes the addresses of registers, within ranges that were mapped for them.
#![allow(unsafe_code)]

mod v2;
mod v3;

use core::ptr::NonNull;

use spin::Once;

use crate::{arch, board::Controller, mm::tables::MapError};

/// The id that says that there is no interrupt.
const SPURIOUS: u32 = 1020;
/// All interrupts have the same priority, and are let through.
const PRIORITY: u32 = 0xa0;
const LOWEST: u32 = 0xff;
/// The first interrupt that is not private to a vCPU.
const SHARED: u32 = 32;

enum Gic {
    V2(v2::Gic),
    V3(v3::Gic),
}

static GIC: Once<Gic> = Once::new();

/// Does the same with either version.
macro_rules! each {
    ($gic:ident => $what:expr) => {
        match GIC.get().expect("interrupts are used after they are set up") {
            Gic::V2($gic) => $what,
            Gic::V3($gic) => $what,
        }
    };
}

/// An interrupt that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(u32);

impl Taken {
    /// Its id.
    pub(crate) fn id(self) -> u32 {
        self.0 & 0x3ff
    }
}

fn register(base: NonNull<u8>, offset: usize) -> NonNull<u32> {
    // SAFETY: the offsets lie in the ranges that were mapped.
    unsafe { base.add(offset).cast() }
}

/// Where an interrupt's bit is in registers of bits.
fn word_and_bit(id: u32) -> (usize, u32) {
    (id as usize / 32 * 4, 1 << (id % 32))
}

/// Finds the controller, and switches it on for vCPU 0.
///
/// # Errors
///
/// That its registers cannot be mapped.
pub(crate) fn init(controller: &Controller) -> Result<(), MapError> {
    let gic = match controller {
        Controller::V2 { distributor, cpu_interface } => Gic::V2(v2::Gic::new(*distributor, *cpu_interface)?),
        Controller::V3 { distributor, redistributors } => {
            Gic::V3(v3::Gic::new(*distributor, redistributors)?)
        }
    };
    GIC.call_once(|| gic);
    init_cpu();
    Ok(())
}

/// Switches it on for this vCPU.
pub(crate) fn init_cpu() {
    each!(gic => gic.init_cpu());
}

/// Lets an interrupt in. For those private to a vCPU, to this one.
pub(crate) fn enable(id: u32) {
    each!(gic => gic.enable(id));
}

/// Sets up an interrupt: its priority and, if it is one for all, that it comes to vCPU 0.
pub(crate) fn configure(id: u32) {
    each!(gic => gic.configure(id));
}

/// Keeps an interrupt out.
pub(crate) fn disable(id: u32) {
    each!(gic => gic.disable(id));
}

/// Takes the interrupt that is due, if there is one.
pub(crate) fn take() -> Option<Taken> {
    let taken = Taken(each!(gic => gic.take()));
    (taken.id() < SPURIOUS).then_some(taken)
}

/// Is done with an interrupt.
pub(crate) fn finish(taken: Taken) {
    each!(gic => gic.finish(taken.0));
}

/// Interrupts another vCPU.
pub(crate) fn send_sgi(cpu: usize, id: u32) {
    // What the other one is to see is there before it looks.
    arch::barrier();
    each!(gic => gic.send_sgi(cpu, id));
}
