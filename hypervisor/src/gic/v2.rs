//! GICv2 (ARM IHI 0048): distributor, CPU interface, virtual interface control.
//!
//! The CPU interface runs with separate priority drop and deactivation. An interrupt of ours is
//! deactivated when it has been handled; one that a guest handles by the guest's own end of
//! interrupt, through the list register.

use core::sync::atomic::{AtomicU8, Ordering};

use hv_core::machine::{ListRegister, Trigger};
use lock::Mutex;

use super::{
    Acknowledged, FIRST_SPI, HCR_ENABLE, HCR_UNDERFLOW, KICK, MAX_LIST_REGISTERS, PRIORITIES, PRIORITY_MASK,
    SPECIAL, VirtualState, bits,
};
use crate::{arch::gic_sysregs, mmio::Registers};

const GICD_CTLR: usize = 0x000;
const GICD_TYPER: usize = 0x004;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_ISPENDR: usize = 0x200;
const GICD_ICPENDR: usize = 0x280;
const GICD_ICACTIVER: usize = 0x380;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ITARGETSR: usize = 0x800;
const GICD_ICFGR: usize = 0xc00;
const GICD_SGIR: usize = 0xf00;

const GICC_CTLR: usize = 0x0000;
const GICC_PMR: usize = 0x0004;
const GICC_BPR: usize = 0x0008;
const GICC_IAR: usize = 0x000c;
const GICC_EOIR: usize = 0x0010;
const GICC_DIR: usize = 0x1000;

const GICH_HCR: usize = 0x00;
const GICH_VTR: usize = 0x04;
const GICH_VMCR: usize = 0x08;
const GICH_ELRSR: usize = 0x30;
const GICH_APR: usize = 0xf0;
const GICH_LR: usize = 0x100;

const CTLR_ENABLE: u32 = 1 << 0;
/// GICC_CTLR.EOImode: writes to EOIR only drop the priority.
const CTLR_EOI_MODE: u32 = 1 << 9;
/// The id of an interrupt in IAR; for SGIs the source CPU lies above it.
const IAR_ID: u32 = 0x3ff;

/// Without LR_HW: a maintenance interrupt at the end.
const LR_EOI: u32 = 1 << 19;
const LR_PENDING: u32 = 1 << 28;
const LR_ACTIVE: u32 = 1 << 29;
const LR_HW: u32 = 1 << 31;

/// What the device tree says of the controller.
pub struct Blocks {
    /// Distributor.
    pub distributor: Registers<0x1000>,
    /// CPU interface, banked.
    pub cpu: Registers<0x2000>,
    /// Virtual interface control, banked.
    pub control: Registers<0x200>,
}

/// The controller.
pub struct Gic {
    blocks: Blocks,
    /// CPU interface numbers by CPU id: a bit each, as ITARGETSR and SGIR want it.
    targets: [AtomicU8; crate::percpu::MAX_CPUS],
    /// Serialises changes of registers that several interrupts share.
    distributor: Mutex<()>,
    list_registers: usize,
    list_register_mask: u32,
}

impl Gic {
    /// Sets up the distributor, all interrupts off.
    pub fn new(blocks: Blocks) -> Self {
        let implemented = (blocks.control.read(GICH_VTR) & 0x3f) as usize + 1;
        let list_registers = implemented.min(MAX_LIST_REGISTERS);
        let gic = Self {
            blocks,
            targets: [const { AtomicU8::new(0) }; _],
            distributor: Mutex::new(()),
            list_registers,
            list_register_mask: (1 << list_registers) - 1,
        };
        gic.reset_distributor();
        gic
    }

    fn reset_distributor(&self) {
        let d = &self.blocks.distributor;
        d.write(GICD_CTLR, 0);
        for id in (FIRST_SPI..self.lines()).step_by(32) {
            let word = (id / 32 * 4) as usize;
            d.write(GICD_ICENABLER + word, !0);
            d.write(GICD_ICPENDR + word, !0);
            d.write(GICD_ICACTIVER + word, !0);
        }
        for id in (FIRST_SPI..self.lines()).step_by(4) {
            d.write(GICD_IPRIORITYR + id as usize, PRIORITIES);
        }
        d.write(GICD_CTLR, CTLR_ENABLE);
    }

    /// Number of interrupt ids.
    pub fn lines(&self) -> u32 {
        let typer = self.blocks.distributor.read(GICD_TYPER);
        (((typer & 0x1f) + 1) * 32).min(SPECIAL)
    }

    /// Number of list registers.
    pub fn list_register_count(&self) -> usize {
        self.list_registers
    }

    /// Sets up this CPU's banked part; its private interrupts are off but for the kick.
    pub fn start_cpu(&self, cpu: usize) {
        gic_sysregs::leave_to_memory();
        let d = &self.blocks.distributor;
        // The byte of a banked interrupt reads as this CPU's own bit.
        let own = d.read(GICD_ITARGETSR) as u8;
        self.targets[cpu].store(own, Ordering::Release);
        d.write(GICD_ICENABLER, 0xffff_0000);
        d.write(GICD_ICPENDR, 0xffff_0000);
        d.write(GICD_ICACTIVER, !0);
        for id in (0..FIRST_SPI as usize).step_by(4) {
            d.write(GICD_IPRIORITYR + id, PRIORITIES);
        }
        d.write(GICD_ISENABLER, 1 << KICK);

        let c = &self.blocks.cpu;
        c.write(GICC_PMR, PRIORITY_MASK);
        c.write(GICC_BPR, 0);
        c.write(GICC_CTLR, CTLR_ENABLE | CTLR_EOI_MODE);

        let h = &self.blocks.control;
        h.write(GICH_HCR, HCR_ENABLE);
        for index in 0..self.list_registers {
            h.write(GICH_LR + index * 4, 0);
        }
    }

    /// Acknowledges the most urgent interrupt of this CPU and drops its priority.
    #[inline(always)]
    pub fn acknowledge(&self) -> Option<Acknowledged> {
        let iar = self.blocks.cpu.read(GICC_IAR);
        if iar & IAR_ID >= SPECIAL {
            return None;
        }
        self.blocks.cpu.write(GICC_EOIR, iar);
        Some(Acknowledged(iar))
    }

    /// Deactivates an acknowledged interrupt.
    #[inline(always)]
    pub fn end(&self, interrupt: Acknowledged) {
        self.blocks.cpu.write(GICC_DIR, interrupt.0);
    }

    /// Deactivates an interrupt that a guest had taken.
    pub fn deactivate(&self, id: u32) {
        let d = &self.blocks.distributor;
        d.write(GICD_ICACTIVER + (id / 32 * 4) as usize, 1 << (id % 32));
    }

    /// Enables or disables an interrupt; a private one for this CPU.
    pub fn enable(&self, id: u32, on: bool) {
        let register = if on { GICD_ISENABLER } else { GICD_ICENABLER };
        let d = &self.blocks.distributor;
        d.write(register + (id / 32 * 4) as usize, 1 << (id % 32));
    }

    /// Sets trigger and target of a shared interrupt.
    pub fn route(&self, id: u32, trigger: Trigger, cpu: usize) {
        let _lock = self.distributor.lock();
        let d = &self.blocks.distributor;
        let at = GICD_ICFGR + (id / 16 * 4) as usize;
        let edge = 2 << (id % 16 * 2);
        let others = d.read(at) & !edge;
        d.write(at, if trigger == Trigger::Edge { others | edge } else { others });
        let target = self.targets[cpu].load(Ordering::Acquire);
        d.write8(GICD_ITARGETSR + id as usize, target);
        // A pending one goes along (IHI 0048B, 4.3.12), but with QEMU 7.2, which leaves it where it was, to be
        // signalled to neither. Once too often does an edge no harm.
        let (word, bit) = ((id / 32 * 4) as usize, 1 << (id % 32));
        if trigger == Trigger::Edge && d.read(GICD_ISPENDR + word) & bit != 0 {
            d.write(GICD_ICPENDR + word, bit);
            d.write(GICD_ISPENDR + word, bit);
        }
    }

    /// Makes a CPU take an exit.
    pub fn kick(&self, cpu: usize) {
        let target = self.targets[cpu].load(Ordering::Acquire);
        self.blocks.distributor.write(GICD_SGIR, u32::from(target) << 16 | KICK);
    }

    /// Reads a list register.
    pub fn read_list_register(&self, index: usize) -> ListRegister {
        decode(self.blocks.control.read(GICH_LR + index * 4))
    }

    /// Makes the interrupt of a list register pending; false if it cannot be yet.
    #[inline(always)]
    pub fn pend_list_register(&self, index: usize, fresh: ListRegister) -> bool {
        let lr = self.blocks.control.read(GICH_LR + index * 4);
        if lr & LR_PENDING != 0 {
            return true;
        }
        let active = lr & LR_ACTIVE;
        if active != 0 && fresh.hw.is_some() {
            return false;
        }
        self.blocks.control.write(GICH_LR + index * 4, encode(fresh) | active);
        true
    }

    /// Writes a list register.
    #[inline(always)]
    pub fn write_list_register(&self, index: usize, value: ListRegister) {
        self.blocks.control.write(GICH_LR + index * 4, encode(value));
    }

    /// One bit for each list register that is free.
    pub fn empty_list_registers(&self) -> u64 {
        u64::from(self.blocks.control.read(GICH_ELRSR) & self.list_register_mask)
    }

    /// Interrupts when at most one list register is in use.
    pub fn set_underflow_interrupt(&self, on: bool) {
        let value = if on { HCR_ENABLE | HCR_UNDERFLOW } else { HCR_ENABLE };
        self.blocks.control.write(GICH_HCR, value);
    }

    /// Takes the virtual interface's state out of the hardware and leaves it empty.
    pub fn save(&self, to: &mut VirtualState) {
        let h = &self.blocks.control;
        to.hcr = h.read(GICH_HCR);
        to.vmcr = h.read(GICH_VMCR);
        to.active[0][0] = h.read(GICH_APR);
        to.used = self.used();
        for index in bits(to.used) {
            to.lrs[index] = h.read(GICH_LR + index * 4).into();
            h.write(GICH_LR + index * 4, 0);
        }
        h.write(GICH_HCR, 0);
    }

    /// Puts it back into the empty hardware.
    pub fn load(&self, from: &VirtualState) {
        let h = &self.blocks.control;
        h.write(GICH_VMCR, from.vmcr);
        h.write(GICH_APR, from.active[0][0]);
        for index in bits(from.used) {
            h.write(GICH_LR + index * 4, from.lrs[index] as u32);
        }
        h.write(GICH_HCR, from.hcr);
    }

    /// Which list registers hold an interrupt.
    fn used(&self) -> u32 {
        self.list_register_mask & !self.blocks.control.read(GICH_ELRSR)
    }
}

fn decode(lr: u32) -> ListRegister {
    let virq = lr & 0x3ff;
    let above = lr >> 10 & 0x3ff;
    ListRegister {
        virq,
        hw: (lr & LR_HW != 0).then_some(above),
        priority: (lr >> 23 & 0x1f) as u8 * 8,
        pending: lr & LR_PENDING != 0,
        active: lr & LR_ACTIVE != 0,
        source: if lr & LR_HW == 0 { (above & 7) as u8 } else { 0 },
        tells: lr & (LR_HW | LR_EOI) == LR_EOI,
    }
}

#[inline(always)]
fn encode(lr: ListRegister) -> u32 {
    let above = match lr.hw {
        Some(physical) => LR_HW | (physical & 0x3ff) << 10,
        None if lr.tells => LR_EOI,
        None => u32::from(lr.source & 7) << 10,
    };
    let pending = if lr.pending { LR_PENDING } else { 0 };
    let active = if lr.active { LR_ACTIVE } else { 0 };
    lr.virq & 0x3ff | above | u32::from(lr.priority / 8) << 23 | pending | active
}
