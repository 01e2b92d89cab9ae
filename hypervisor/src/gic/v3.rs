//! GICv3 (ARM IHI 0069): distributor, a redistributor for each CPU, and the CPU and virtual interfaces
//! in system registers.
//!
//! Affinity routing is on, and all interrupts are of group 1: that of the non-secure state, and in a
//! system without security the one that is signalled as IRQ. LPIs stay off.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hv_core::{
    host,
    machine::{ListRegister, Trigger},
};
use lock::Mutex;

use super::{
    Acknowledged, FIRST_SPI, HCR_ENABLE, HCR_UNDERFLOW, KICK, MAX_LIST_REGISTERS, PRIORITIES, PRIORITY_MASK,
    SPECIAL, VirtualState, bits,
};
use crate::{
    arch::{self, gic_sysregs::*},
    mm::tables::MapError,
    mmio::Registers,
    percpu::{MAX_CPUS, PerCpu},
};

/// Offsets in the distributor; those for single interrupts are the same in a redistributor's second
/// frame.
const GICD_CTLR: usize = 0x0000;
const GICD_TYPER: usize = 0x0004;
const GICD_IGROUPR: usize = 0x0080;
const GICD_ISENABLER: usize = 0x0100;
const GICD_ICENABLER: usize = 0x0180;
const GICD_ICPENDR: usize = 0x0280;
const GICD_ICACTIVER: usize = 0x0380;
const GICD_IPRIORITYR: usize = 0x0400;
const GICD_ICFGR: usize = 0x0c00;
const GICD_IROUTER: usize = 0x6000;

const GICR_CTLR: usize = 0x00;
const GICR_TYPER: usize = 0x08;
const GICR_TYPER_AFFINITY: usize = 0x0c;
const GICR_WAKER: usize = 0x14;

/// GICD_CTLR: affinity routing; group 1, as it is called with one security state and with two.
const CTLR_ON: u32 = 1 << 4 | 1 << 1 | 1 << 0;
/// GICD_CTLR: a write has not come into effect everywhere.
const CTLR_PENDING: u32 = 1 << 31;
/// The same in GICR_CTLR.
const GICR_CTLR_PENDING: u32 = 1 << 3;
/// GICR_TYPER: has virtual LPIs, and two more frames with that; is the last of its region.
const TYPER_VIRTUAL_LPIS: u32 = 1 << 1;
const TYPER_LAST: u32 = 1 << 4;
const WAKER_SLEEP: u32 = 1 << 1;
const WAKER_ASLEEP: u32 = 1 << 2;
/// Size of a redistributor's frame.
const FRAME: u64 = 0x1_0000;

/// ICC_SRE_EL2: the CPU interface is in system registers, without bypass. EL1's accesses to its own
/// ICC_SRE trap.
const SRE_ON: u32 = 0b111;
/// ICC_CTLR.EOImode: writes to EOIR only drop the priority.
const CTLR_EOI_MODE: u32 = 1 << 1;

/// Without LR_HW: a maintenance interrupt at the end.
const LR_EOI: u64 = 1 << 41;
const LR_PENDING: u64 = 1 << 62;
const LR_ACTIVE: u64 = 1 << 63;
const LR_HW: u64 = 1 << 61;
const LR_GROUP_1: u64 = 1 << 60;
const LR_PRIORITY_SHIFT: u32 = 48;
const LR_PHYSICAL_SHIFT: u32 = 32;

/// Why the controller cannot be used.
pub enum Failure {
    /// Its registers cannot be mapped.
    Map(MapError),
    /// Firmware keeps the system registers away.
    NoRegisters,
    /// This CPU has no redistributor.
    NoRedistributor,
}

impl From<MapError> for Failure {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

/// A CPU's redistributor.
struct Redistributor {
    affinity: u32,
    cpu: Registers<0x1000>,
    /// The second frame, for private interrupts.
    private: Registers<0x1000>,
}

/// How a CPU that is up is reached.
struct Cpu {
    redistributor: AtomicUsize,
    /// Its affinity as IROUTER has it.
    router: AtomicU64,
    /// What of SGI1R addresses it.
    sgi: AtomicU64,
}

/// The controller.
pub struct Gic {
    distributor: Registers<0x1_0000>,
    redistributors: Vec<Redistributor>,
    cpus: [Cpu; MAX_CPUS],
    /// Serialises changes of registers that several interrupts share.
    shared: Mutex<()>,
    list_registers: usize,
    list_register_mask: u32,
    /// How many registers of active priorities each group has.
    active_registers: usize,
}

impl Gic {
    /// Sets up the distributor, all interrupts off.
    pub fn new(node: &host::gic::GicV3<'_>) -> Result<Self, Failure> {
        use_registers().ok_or(Failure::NoRegisters)?;
        let vtr = ICH_VTR_EL2::read();
        let list_registers = ((vtr & 0x1f) as usize + 1).min(MAX_LIST_REGISTERS);
        let preemption_bits = (vtr >> 26 & 7) + 1;
        let gic = Self {
            distributor: Registers::map(node.distributor.base)?,
            redistributors: redistributors(node)?,
            cpus: [const {
                Cpu { redistributor: AtomicUsize::new(0), router: AtomicU64::new(0), sgi: AtomicU64::new(0) }
            }; _],
            shared: Mutex::new(()),
            list_registers,
            list_register_mask: (1 << list_registers) - 1,
            active_registers: 1 << preemption_bits.saturating_sub(5).min(2),
        };
        gic.redistributor_with(affinity()).ok_or(Failure::NoRedistributor)?;
        gic.reset_distributor();
        Ok(gic)
    }

    fn reset_distributor(&self) {
        let d = &self.distributor;
        d.write(GICD_CTLR, 0);
        self.settle();
        for id in (FIRST_SPI..self.lines()).step_by(32) {
            let word = (id / 32 * 4) as usize;
            d.write(GICD_IGROUPR + word, !0);
            d.write(GICD_ICENABLER + word, !0);
            d.write(GICD_ICPENDR + word, !0);
            d.write(GICD_ICACTIVER + word, !0);
        }
        for id in (FIRST_SPI..self.lines()).step_by(4) {
            d.write(GICD_IPRIORITYR + id as usize, PRIORITIES);
        }
        d.write(GICD_CTLR, CTLR_ON);
        self.settle();
    }

    /// Waits until writes to the distributor have come into effect.
    fn settle(&self) {
        while self.distributor.read(GICD_CTLR) & CTLR_PENDING != 0 {
            core::hint::spin_loop();
        }
    }

    fn redistributor_with(&self, affinity: u32) -> Option<usize> {
        self.redistributors.iter().position(|one| one.affinity == affinity)
    }

    /// This CPU's redistributor.
    #[hot]
    fn own(&self) -> &Redistributor {
        &self.redistributors[self.cpus[PerCpu::this().id()].redistributor.load(Ordering::Relaxed)]
    }

    /// Number of interrupt ids.
    pub fn lines(&self) -> u32 {
        let typer = self.distributor.read(GICD_TYPER);
        (((typer & 0x1f) + 1) * 32).min(SPECIAL)
    }

    /// Number of list registers.
    pub fn list_register_count(&self) -> usize {
        self.list_registers
    }

    /// Sets up this CPU's redistributor and interfaces; its private interrupts are off but for the
    /// kick.
    ///
    /// # Panics
    ///
    /// When the CPU has no redistributor, or no system registers, although the first one has.
    pub fn start_cpu(&self, cpu: usize) {
        use_registers().expect("what the first CPU may use, all may");
        let affinity = affinity();
        let index = self.redistributor_with(affinity).expect("a redistributor for each CPU");
        let this = &self.cpus[cpu];
        this.redistributor.store(index, Ordering::Relaxed);
        this.router.store(router(affinity), Ordering::Release);
        this.sgi.store(sgi_target(affinity), Ordering::Release);
        self.redistributors[index].start();

        ICC_PMR_EL1::write(PRIORITY_MASK);
        ICC_BPR1_EL1::write(0);
        ICC_CTLR_EL1::write(CTLR_EOI_MODE);
        ICC_IGRPEN1_EL1::write(1);
        for index in 0..self.list_registers {
            write_list_register(index, 0);
        }
        ICH_HCR_EL2::write(HCR_ENABLE);
        synchronize();
    }

    /// Acknowledges the most urgent interrupt of this CPU and drops its priority.
    #[inline(always)]
    pub fn acknowledge(&self) -> Option<Acknowledged> {
        let iar = ICC_IAR1_EL1::read();
        if iar >= SPECIAL {
            return None;
        }
        // Only then is it sure to be active (ARM IHI 0069, 4.1.1).
        complete();
        ICC_EOIR1_EL1::write(iar);
        synchronize();
        Some(Acknowledged(iar))
    }

    /// Deactivates an acknowledged interrupt.
    #[inline(always)]
    pub fn end(&self, interrupt: Acknowledged) {
        ICC_DIR_EL1::write(interrupt.0);
        synchronize();
    }

    /// Deactivates a shared interrupt that a guest had taken.
    pub fn deactivate(&self, id: u32) {
        self.distributor.write(GICD_ICACTIVER + (id / 32 * 4) as usize, 1 << (id % 32));
    }

    /// Enables or disables an interrupt; a private one for this CPU.
    pub fn enable(&self, id: u32, on: bool) {
        let at = if on { GICD_ISENABLER } else { GICD_ICENABLER } + (id / 32 * 4) as usize;
        if id < FIRST_SPI {
            self.own().private.write(at, 1 << id);
            self.own().settle();
        } else {
            self.distributor.write(at, 1 << (id % 32));
            self.settle();
        }
    }

    /// Sets trigger and target of a shared interrupt.
    pub fn route(&self, id: u32, trigger: Trigger, cpu: usize) {
        let _lock = self.shared.lock();
        let d = &self.distributor;
        let at = GICD_ICFGR + (id / 16 * 4) as usize;
        let edge = 2 << (id % 16 * 2);
        let others = d.read(at) & !edge;
        d.write(at, if trigger == Trigger::Edge { others | edge } else { others });
        let router = self.cpus[cpu].router.load(Ordering::Acquire);
        let at = GICD_IROUTER + id as usize * 8;
        d.write(at, router as u32);
        d.write(at + 4, (router >> 32) as u32);
    }

    /// Makes a CPU take an exit.
    #[inline]
    pub fn kick(&self, cpu: usize) {
        let target = self.cpus[cpu].sgi.load(Ordering::Acquire);
        // What the CPU is to see has to be there before the interrupt.
        complete();
        ICC_SGI1R_EL1::write(target | u64::from(KICK) << 24);
        synchronize();
    }

    /// Reads a list register.
    pub fn read_list_register(&self, index: usize) -> ListRegister {
        decode(read_list_register(index))
    }

    /// Makes the interrupt of a list register pending; false if it cannot be yet.
    #[inline(always)]
    pub fn pend_list_register(&self, index: usize, fresh: ListRegister) -> bool {
        pend(index, encode(fresh), fresh.hw.is_some())
    }

    /// Writes a list register.
    #[inline(always)]
    pub fn write_list_register(&self, index: usize, value: ListRegister) {
        write_list_register(index, encode(value));
    }

    /// One bit for each list register that is free.
    pub fn empty_list_registers(&self) -> u64 {
        // Not before it knows of what was written.
        synchronize();
        u64::from(ICH_ELRSR_EL2::read() & self.list_register_mask)
    }

    /// Interrupts when at most one list register is in use.
    pub fn set_underflow_interrupt(&self, on: bool) {
        ICH_HCR_EL2::write(if on { HCR_ENABLE | HCR_UNDERFLOW } else { HCR_ENABLE });
    }

    /// Takes the virtual interface's state out of the hardware and leaves it empty.
    pub fn save(&self, to: &mut VirtualState) {
        to.used = self.list_register_mask & !(self.empty_list_registers() as u32);
        to.hcr = ICH_HCR_EL2::read();
        to.vmcr = ICH_VMCR_EL2::read();
        for index in 0..self.active_registers {
            to.active[0][index] = read_active(0, index);
            to.active[1][index] = read_active(1, index);
        }
        for index in bits(to.used) {
            to.lrs[index] = read_list_register(index);
            write_list_register(index, 0);
        }
        ICH_HCR_EL2::write(0);
    }

    /// Puts it back into the empty hardware.
    pub fn load(&self, from: &VirtualState) {
        ICH_VMCR_EL2::write(from.vmcr);
        for index in 0..self.active_registers {
            write_active(0, index, from.active[0][index]);
            write_active(1, index, from.active[1][index]);
        }
        for index in bits(from.used) {
            write_list_register(index, from.lrs[index]);
        }
        ICH_HCR_EL2::write(from.hcr);
    }
}

impl Redistributor {
    /// Wakes it up, all its interrupts off but for the kick.
    fn start(&self) {
        self.cpu.write(GICR_WAKER, self.cpu.read(GICR_WAKER) & !WAKER_SLEEP);
        while self.cpu.read(GICR_WAKER) & WAKER_ASLEEP != 0 {
            core::hint::spin_loop();
        }
        let p = &self.private;
        p.write(GICD_ICENABLER, !0);
        self.settle();
        p.write(GICD_IGROUPR, !0);
        p.write(GICD_ICPENDR, !0);
        p.write(GICD_ICACTIVER, !0);
        for id in (0..FIRST_SPI as usize).step_by(4) {
            p.write(GICD_IPRIORITYR + id, PRIORITIES);
        }
        p.write(GICD_ISENABLER, 1 << KICK);
        self.settle();
    }

    fn settle(&self) {
        while self.cpu.read(GICR_CTLR) & GICR_CTLR_PENDING != 0 {
            core::hint::spin_loop();
        }
    }
}

/// Makes the interfaces of this CPU those in system registers, for EL1 too; `None` where they are kept away.
fn use_registers() -> Option<()> {
    ICC_SRE_EL2::write(SRE_ON);
    synchronize();
    if ICC_SRE_EL2::read() & 1 == 0 {
        return None;
    }
    ICC_SRE_EL1::write(SRE_ON);
    synchronize();
    Some(())
}

/// Maps the redistributors of all CPUs.
fn redistributors(node: &host::gic::GicV3<'_>) -> Result<Vec<Redistributor>, MapError> {
    let mut all = Vec::new();
    for region in &node.redistributors {
        let (mut at, end) = (region.base, region.base.saturating_add(region.size));
        while end.saturating_sub(at) >= 2 * FRAME {
            let cpu = Registers::<0x1000>::map(at)?;
            let (kind, affinity) = (cpu.read(GICR_TYPER), cpu.read(GICR_TYPER_AFFINITY));
            all.push(Redistributor { affinity, cpu, private: Registers::map(at + FRAME)? });
            if kind & TYPER_LAST != 0 {
                break;
            }
            let frames = if kind & TYPER_VIRTUAL_LPIS != 0 { 4 } else { 2 };
            at = at.saturating_add(node.stride.unwrap_or(frames * FRAME));
        }
    }
    Ok(all)
}

/// This CPU's affinity, as GICR_TYPER has it: a byte for each level.
fn affinity() -> u32 {
    let mpidr = arch::affinity();
    (mpidr >> 8 & 0xff00_0000 | mpidr & 0x00ff_ffff) as u32
}

/// The same for IROUTER.
fn router(affinity: u32) -> u64 {
    u64::from(affinity >> 24) << 32 | u64::from(affinity & 0x00ff_ffff)
}

/// The same for SGI1R, where sixteen CPUs at a time have a bit each.
fn sgi_target(affinity: u32) -> u64 {
    let level = |n: u32| u64::from(affinity >> (8 * n) & 0xff);
    let (range, bit) = (level(0) >> 4, 1 << (level(0) & 0xf));
    level(3) << 48 | range << 44 | level(2) << 32 | level(1) << 16 | bit
}

/// Writes `fresh`, unless its interrupt is pending already. Out of the way of version 2.
#[hot]
#[inline(never)]
fn pend(index: usize, fresh: u64, is_hardware: bool) -> bool {
    let lr = read_list_register(index);
    if lr & LR_PENDING != 0 {
        return true;
    }
    let active = lr & LR_ACTIVE;
    if active != 0 && is_hardware {
        return false;
    }
    write_list_register(index, fresh | active);
    true
}

fn decode(lr: u64) -> ListRegister {
    ListRegister {
        virq: lr as u32,
        hw: (lr & LR_HW != 0).then_some((lr >> LR_PHYSICAL_SHIFT) as u32 & 0x3ff),
        priority: (lr >> LR_PRIORITY_SHIFT) as u8,
        pending: lr & LR_PENDING != 0,
        active: lr & LR_ACTIVE != 0,
        source: 0,
        tells: lr & (LR_HW | LR_EOI) == LR_EOI,
    }
}

#[inline(always)]
fn encode(lr: ListRegister) -> u64 {
    let physical = match lr.hw {
        Some(id) => LR_HW | u64::from(id & 0x3ff) << LR_PHYSICAL_SHIFT,
        None if lr.tells => LR_EOI,
        None => 0,
    };
    let pending = if lr.pending { LR_PENDING } else { 0 };
    let active = if lr.active { LR_ACTIVE } else { 0 };
    let priority = u64::from(lr.priority) << LR_PRIORITY_SHIFT;
    LR_GROUP_1 | physical | pending | active | priority | u64::from(lr.virq)
}
