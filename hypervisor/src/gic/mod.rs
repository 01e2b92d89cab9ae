//! The physical interrupt controller, and the virtual CPU interface for guests.
//!
//! The CPU interface runs with separate priority drop and deactivation. An interrupt of ours is
//! deactivated when it has been handled; one that a guest handles by the guest's own end of
//! interrupt, through the list register.

pub mod v2;
pub mod v3;

use hv_core::machine::{ListRegister, Trigger};

/// First interrupt id of shared peripherals.
pub const FIRST_SPI: u32 = 32;
/// Ids from here on are not interrupts.
pub const SPECIAL: u32 = 1020;
/// The SGI that makes a CPU look for work.
pub const KICK: u32 = 1;

/// All interrupts have one priority: none preempts another, the hypervisor being not preemptible.
const PRIORITIES: u32 = 0xa0a0_a0a0;
const PRIORITY_MASK: u32 = 0xff;
/// HCR of the virtual interface: on; interrupts when at most one list register is in use.
const HCR_ENABLE: u32 = 1 << 0;
const HCR_UNDERFLOW: u32 = 1 << 1;
/// The most list registers that are used.
const MAX_LIST_REGISTERS: usize = 16;

/// The controller that the board has.
pub enum Gic {
    /// Version 2.
    V2(v2::Gic),
    /// Version 3.
    V3(v3::Gic),
}

/// Does the same with whichever it is.
macro_rules! either {
    ($self:ident, $gic:ident => $what:expr) => {
        match $self {
            Self::V2($gic) => $what,
            Self::V3($gic) => $what,
        }
    };
}

impl Gic {
    /// Number of interrupt ids.
    pub fn lines(&self) -> u32 {
        either!(self, gic => gic.lines())
    }

    /// Number of list registers.
    #[inline]
    pub fn list_register_count(&self) -> usize {
        either!(self, gic => gic.list_register_count())
    }

    /// Sets up this CPU's own part; its private interrupts are off but for the kick.
    pub fn start_cpu(&self, cpu: usize) {
        either!(self, gic => gic.start_cpu(cpu));
    }

    /// Acknowledges the most urgent interrupt of this CPU and drops its priority.
    #[inline(always)]
    pub fn acknowledge(&self) -> Option<Acknowledged> {
        either!(self, gic => gic.acknowledge())
    }

    /// Deactivates an acknowledged interrupt.
    #[inline(always)]
    pub fn end(&self, interrupt: Acknowledged) {
        either!(self, gic => gic.end(interrupt));
    }

    /// Deactivates a shared interrupt that a guest had taken.
    pub fn deactivate(&self, id: u32) {
        either!(self, gic => gic.deactivate(id));
    }

    /// Whether a guest's end of a hardware interrupt deactivates it whichever CPU had acknowledged it. So it should
    /// (IHI 0048B, 3.2.2); in the GICv2 of QEMU 7.2 it stays active on the CPU that had.
    pub fn ends_anywhere(&self) -> bool {
        matches!(self, Self::V3(_))
    }

    /// Enables or disables an interrupt; a private one for this CPU.
    pub fn enable(&self, id: u32, on: bool) {
        either!(self, gic => gic.enable(id, on));
    }

    /// Sets trigger and target of a shared interrupt.
    pub fn route(&self, id: u32, trigger: Trigger, cpu: usize) {
        either!(self, gic => gic.route(id, trigger, cpu));
    }

    /// Makes a CPU take an exit.
    #[inline]
    pub fn kick(&self, cpu: usize) {
        either!(self, gic => gic.kick(cpu));
    }

    /// Reads a list register.
    #[inline]
    pub fn read_list_register(&self, index: usize) -> ListRegister {
        either!(self, gic => gic.read_list_register(index))
    }

    /// Makes the interrupt of a list register pending; false if it cannot be yet.
    #[inline(always)]
    pub fn pend_list_register(&self, index: usize, fresh: ListRegister) -> bool {
        either!(self, gic => gic.pend_list_register(index, fresh))
    }

    /// Writes a list register.
    #[inline(always)]
    pub fn write_list_register(&self, index: usize, value: ListRegister) {
        either!(self, gic => gic.write_list_register(index, value));
    }

    /// One bit for each list register that is free.
    #[inline]
    pub fn empty_list_registers(&self) -> u64 {
        either!(self, gic => gic.empty_list_registers())
    }

    /// Interrupts when at most one list register is in use.
    pub fn set_underflow_interrupt(&self, on: bool) {
        either!(self, gic => gic.set_underflow_interrupt(on));
    }

    /// Takes the virtual interface's state out of the hardware and leaves it empty.
    #[inline]
    pub fn save(&self, to: &mut VirtualState) {
        either!(self, gic => gic.save(to));
    }

    /// Puts it back into the empty hardware.
    #[inline]
    pub fn load(&self, from: &VirtualState) {
        either!(self, gic => gic.load(from));
    }
}

/// An interrupt that is active now, as IAR gave it.
#[derive(Clone, Copy)]
pub struct Acknowledged(u32);

impl Acknowledged {
    /// Its id. In version 2, the source CPU of an SGI lies above it.
    #[inline]
    pub fn id(self) -> u32 {
        self.0 & 0x3ff
    }
}

/// A vCPU's virtual CPU interface while it is not loaded, in the registers of either version.
#[derive(Clone)]
pub struct VirtualState {
    hcr: u32,
    vmcr: u32,
    /// Active priorities of both groups; version 2 has one register for both, the first.
    active: [[u32; 4]; 2],
    used: u32,
    lrs: [u64; MAX_LIST_REGISTERS],
}

impl VirtualState {
    /// As at reset, switched on.
    pub const RESET: Self =
        Self { hcr: HCR_ENABLE, vmcr: 0, active: [[0; 4]; 2], used: 0, lrs: [0; MAX_LIST_REGISTERS] };
}

/// The numbers of the bits that are set.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let index = mask.checked_ilog2()?;
        mask &= !(1 << index);
        Some(index as usize)
    })
}
