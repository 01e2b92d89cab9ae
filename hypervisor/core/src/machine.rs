//! What a machine gives the core: frames, translation, time, CPUs, list registers.
//!
//! `hypervisor` implements this once for the real board; `fake` (feature `fakes`) once in plain
//! memory. Every method is callable from any CPU unless it says "this CPU" or "the vCPU that is
//! loaded here". None blocks, none allocates.

use xen_abi::{Gfn, Mfn, PAGE_SIZE, errno::Errno};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    predictor::{Core, Hardening},
    regs::GuestRegs,
    trap::Abort,
};

/// A physical CPU, numbered from 0 (the boot CPU) in the order they came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

impl CpuId {
    /// Its bit in a word of CPUs.
    pub(crate) fn bit(self) -> usize {
        1 << (self.0 % usize::BITS)
    }
}

/// A TLB tag of a stage-2 table; 0 is never a guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmid(pub u16);

/// What an access wants of each translation stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads.
    Read,
    /// Stores (and loads).
    Write,
}

/// A maintenance operation on a frame's cache lines, to the point of coherency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOp {
    /// Write back.
    Clean,
    /// Discard without writing back; the caller has checked that nothing of another owner is lost.
    Invalidate,
    /// Write back and discard.
    CleanInvalidate,
}

/// Contents of a list register, in the form both GIC versions share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListRegister {
    /// Virtual interrupt id (0..1020).
    pub virq: u32,
    /// Physical interrupt that the guest's end-of-interrupt deactivates, for hardware ones.
    pub hw: Option<u32>,
    /// Priority 0 (highest) to 255.
    pub priority: u8,
    /// Pending at the virtual CPU interface.
    pub pending: bool,
    /// Taken by the guest and not yet deactivated.
    pub active: bool,
    /// For SGIs on GICv2: the vCPU that sent it.
    pub source: u8,
    /// A maintenance interrupt tells of its end, when `hw` does not see to that.
    pub tells: bool,
}

impl ListRegister {
    /// Neither pending nor active: the register is free.
    pub fn is_free(&self) -> bool {
        !self.pending && !self.active
    }
}

/// A system register as a trapped instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysReg {
    /// A 32-bit one of coprocessor 15: opc1, CRn, CRm, opc2.
    Cp15(u8, u8, u8, u8),
    /// A 64-bit one of coprocessor 15: opc1, CRm.
    Cp15Wide(u8, u8),
    /// A 32-bit one of coprocessor 14: opc1, CRn, CRm, opc2.
    Cp14(u8, u8, u8, u8),
    /// A 64-bit one of coprocessor 14: opc1, CRm.
    Cp14Wide(u8, u8),
    /// Of AArch64: op0, op1, CRn, CRm, op2.
    A64(u8, u8, u8, u8, u8),
}

/// How a physical interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Level sensitive.
    Level,
    /// Edge triggered.
    Edge,
}

/// The hardware, as the core sees it.
pub trait Machine: Sync + Send + Sized + 'static {
    /// The general registers that every trap saves.
    type Regs: GuestRegs;
    /// All other state of a vCPU: banked and system registers, floating point, timers. Its owner
    /// is the CPU it is loaded on, or whoever holds the vCPU descheduled.
    type Context: Send + Sync;

    // CPUs and time.

    /// This CPU.
    fn this_cpu(&self) -> CpuId;
    /// How many CPUs are up; their ids are 0..n.
    fn cpu_count(&self) -> u32;
    /// Makes `cpu` leave its guest or its idle wait and look for work. Also allowed on itself.
    fn kick(&self, cpu: CpuId);
    /// Whether a physical interrupt waits for this CPU: long operations stop and continue later.
    fn interrupt_waiting(&self) -> bool;
    /// CNTPCT: ticks since the counter began.
    fn ticks(&self) -> u64;
    /// CNTFRQ: ticks in a second, not zero.
    fn ticks_per_second(&self) -> u32;
    /// Arms this CPU's hypervisor timer for the absolute tick count, or disarms it.
    /// At the deadline `Hypervisor::timer_expired` is called on this CPU.
    fn set_timer(&self, deadline: Option<u64>);
    /// Ends the machine: power off or reset. Does not return to the caller's work.
    fn shutdown(&self, reboot: bool) -> !;
    /// How the linker named this build; empty where it did not.
    fn build_id(&self) -> &[u8];
    /// Makes a fast call of this CPU's firmware with one argument (Arm DEN0028); all ones where there is none.
    fn firmware(&self, function: u32, arg: u32) -> i32;
    /// What this CPU's identification registers say of its branch predictor.
    fn core(&self) -> Core;
    /// Has this CPU do that each time that a guest stops, before its first branch; says whether it does. Called
    /// once, before it runs a guest.
    fn harden(&self, hardening: Hardening) -> bool;

    // RAM, by frame. `offset + len` is at most a page (4 KiB); a frame outside RAM is a bug of ours.
    // Guests may write the same bytes at any time: each access is one volatile or atomic one.

    /// Whether `mfn` is RAM that the frame table covers.
    fn is_ram(&self, mfn: Mfn) -> bool;
    /// Copies bytes out of a frame.
    fn read_frame(&self, mfn: Mfn, offset: usize, to: &mut [u8]);
    /// Copies a value out of a frame.
    fn read_value<T: FromBytes + IntoBytes>(&self, mfn: Mfn, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.read_frame(mfn, offset, value.as_mut_bytes());
        value
    }
    /// Copies a value from a physical address; `None` outside RAM, across the end of a frame, or where it
    /// cannot be had word by word.
    fn read_value_at<T: FromBytes + IntoBytes>(&self, address: u64) -> Option<T> {
        let (mfn, offset) = (Mfn::containing(address), address as usize % PAGE_SIZE);
        let there = self.is_ram(mfn) && size_of::<T>() <= PAGE_SIZE - offset;
        there.then(|| self.read_value(mfn, offset))
    }
    /// Copies a value to a physical address; false, with nothing done, where
    /// [`Machine::read_value_at`] gives none.
    fn write_value_at<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> bool {
        let (mfn, offset) = (Mfn::containing(address), address as usize % PAGE_SIZE);
        let there = self.is_ram(mfn) && size_of::<T>() <= PAGE_SIZE - offset;
        if there {
            self.write_frame(mfn, offset, value.as_bytes());
        }
        there
    }
    /// Copies bytes into a frame.
    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]);
    /// Copies between frames; they may be the same, the ranges must not overlap then.
    fn copy_frame(&self, to: (Mfn, usize), from: (Mfn, usize), len: usize);
    /// Fills a whole frame with zeroes.
    fn zero_frame(&self, mfn: Mfn);
    /// Cache maintenance by address on part of a frame.
    fn cache_frame(&self, mfn: Mfn, offset: usize, len: usize, op: CacheOp);
    /// Atomic load (acquire) of a naturally aligned word.
    fn load32(&self, mfn: Mfn, offset: usize) -> u32;
    /// The same by address; nothing where there is no RAM. `address` is aligned.
    fn load32_at(&self, address: u64) -> Option<u32> {
        let mfn = Mfn::containing(address);
        self.is_ram(mfn).then(|| self.load32(mfn, address as usize % xen_abi::PAGE_SIZE))
    }
    /// Atomic store (release).
    fn store32(&self, mfn: Mfn, offset: usize, value: u32);
    /// Atomic load of a naturally aligned double word.
    fn load64(&self, mfn: Mfn, offset: usize) -> u64;
    /// Atomic store of a naturally aligned double word: how table entries are written.
    fn store64(&self, mfn: Mfn, offset: usize, value: u64);
    /// One strong compare-and-exchange, sequentially consistent; `Err` holds what was there.
    /// Bounded: a guest that hammers the line makes it fail, never hang.
    fn compare_exchange32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32>;
    /// Changes a word by compare-and-exchange to what `change` makes of it. False when it makes nothing
    /// of it, and when the word was another one each of `tries` times: a guest keeps changing it.
    fn try_change32(&self, mfn: Mfn, offset: usize, tries: u32, change: impl Fn(u32) -> Option<u32>) -> bool {
        let mut word = self.load32(mfn, offset);
        for _ in 0..tries {
            let Some(new) = change(word) else { return false };
            match self.compare_exchange32(mfn, offset, word, new) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
    /// Stores what `change` makes of a double word that nobody else changes meanwhile, if it makes
    /// anything of it; says whether it did.
    fn change64(&self, mfn: Mfn, offset: usize, change: impl FnOnce(u64) -> Option<u64>) -> bool {
        let new = change(self.load64(mfn, offset));
        if let Some(new) = new {
            self.store64(mfn, offset, new);
        }
        new.is_some()
    }
    /// Atomically sets bits, sequentially consistent; gives the old value.
    fn fetch_or64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64;
    /// Atomically keeps only `bits`; gives the old value.
    fn fetch_and64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64;
    /// Atomically sets bits of a word; gives the old value.
    fn fetch_or32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32;
    /// Atomically keeps only `bits` of a word; gives the old value.
    fn fetch_and32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32;
    /// Atomically replaces a byte; gives the old one.
    fn swap8(&self, mfn: Mfn, offset: usize, value: u8) -> u8;

    // Translation.

    /// Stage 1 of the vCPU that is loaded here, at EL1 privilege (no PAN): guest virtual address to
    /// guest physical address. `EFAULT` where the guest's tables deny the access.
    fn translate_va(&self, va: u64, access: Access) -> Result<u64, Errno>;
    /// Both stages of the vCPU that is loaded here: guest virtual address to machine address, where
    /// both allow the access. `None` where they do not or the machine cannot tell: then each stage is
    /// asked for itself.
    fn translate_both(&self, va: u64, access: Access) -> Option<u64> {
        let _ = (va, access);
        None
    }
    /// Drops every stage-2 translation of `vmid` on all CPUs, and what stage 1 cached of it.
    fn flush_guest_tlb(&self, vmid: Vmid);
    /// The same for one page, where the hardware can; else everything of `vmid`.
    fn flush_guest_page(&self, vmid: Vmid, gfn: Gfn);
    /// Orders table writes before what follows, for a table walker on any CPU.
    fn table_barrier(&self);

    // vCPU contexts.

    /// A context as at reset, for vCPU `index` of a domain whose guests see `vmpidr`; `root` is the
    /// stage-2 root and `vmid` its tag; `counter_offset` goes to CNTVOFF.
    fn new_context(&self, root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> Self::Context;
    /// Sets EL1 state and general registers of a vCPU that is not running (domctl, PSCI CPU_ON,
    /// domain building), whose EL1 is in AArch32 state or not.
    fn set_context(&self, context: &Self::Context, to: &xen_abi::arch::VcpuGuestContext, aarch32: bool);
    /// Reads them; the vCPU is not running, or is the one loaded here.
    fn get_context(&self, context: &Self::Context) -> xen_abi::arch::VcpuGuestContext;
    /// Whether an abort, which has just come, is not the second stage's fault that it says it is: the guest,
    /// when it goes on, has a fault of its first stage.
    fn is_misreported(&self, abort: &Abort) -> bool;
    /// Raises an undefined-instruction exception in the vCPU that is loaded here.
    fn inject_undefined(&self, regs: &mut Self::Regs);
    /// Raises a synchronous external abort there; `instruction` for a fetch, else a data access.
    fn inject_abort(&self, regs: &mut Self::Regs, va: u64, instruction: bool);
    /// Makes an asynchronous abort pending there, taken when the guest unmasks them.
    fn inject_serror(&self);

    // Registers of the vCPU that is loaded here, beside those that a trap saves.

    /// A general register that `regs` says is banked ([`GuestRegs::is_banked`]).
    fn read_banked(&self, regs: &Self::Regs, n: u8) -> u64;
    /// Writes it.
    fn write_banked(&self, regs: &mut Self::Regs, n: u8, value: u64);
    /// CNTKCTL: what user mode may read of the timers.
    fn timer_control(&self) -> u32;
    /// ACTLR.
    fn auxiliary_control(&self) -> u64;
    /// SCTLR.
    fn system_control(&self) -> u64;
    /// Whether writes of the registers that control stage 1 trap (HCR.TVM).
    fn traps_translation_writes(&self) -> bool;
    /// Switches that on or off.
    fn set_traps_translation_writes(&self, on: bool);
    /// Does such a write for the guest; false where there is no such register.
    fn write_translation_register(&self, register: SysReg, value: u64) -> bool;

    // What the processors are.

    /// MIDR.
    fn midr(&self) -> u32;
    /// Whether EL1 can be in AArch32 state on all CPUs.
    fn has_aarch32(&self) -> bool;
    /// An identification register: coprocessor 15, c0, `crm` (1..=7), `op2` of the AArch32 ones when
    /// `aarch32`, else the AArch64 one of `op0` 3, `op1` 0, c0. What all CPUs have in common.
    fn id_register(&self, aarch32: bool, crm: u8, op2: u8) -> u64;

    // Interrupts.

    /// Number of list registers, at most 64.
    fn list_register_count(&self) -> usize;
    /// Reads a list register of the vCPU that is loaded here.
    fn read_list_register(&self, index: usize) -> ListRegister;
    /// Makes the interrupt that a list register has, or had until the guest ended it, pending: `fresh`
    /// is what to write if it has ended. False, with nothing done, for a hardware interrupt that the
    /// guest has yet to end.
    fn pend_list_register(&self, index: usize, fresh: ListRegister) -> bool {
        let lr = self.read_list_register(index);
        if lr.pending {
            return true;
        }
        if lr.active && fresh.hw.is_some() {
            return false;
        }
        self.write_list_register(index, ListRegister { active: lr.active, ..fresh });
        true
    }
    /// Writes it.
    fn write_list_register(&self, index: usize, value: ListRegister);
    /// One bit for each list register that is neither pending nor active there, nor has an end to tell of (ELRSR).
    fn empty_list_registers(&self) -> u64;
    /// Asks for (or not) a maintenance interrupt when list registers run empty.
    fn set_underflow_interrupt(&self, on: bool);
    /// Sets up a shared peripheral interrupt for a guest: trigger, target CPU, enabled or not.
    fn route_spi(&self, spi: u32, trigger: Trigger, cpu: CpuId);
    /// Enables or disables a routed SPI at the distributor.
    fn enable_spi(&self, spi: u32, on: bool);
    /// Deactivates a physical interrupt that the guest will not deactivate itself any more.
    fn deactivate(&self, intid: u32);
    /// Whether a guest's end of a hardware interrupt deactivates it whichever CPU had acknowledged it.
    fn ends_anywhere(&self) -> bool;

    // Console.

    /// Writes to the serial line, blocking until it is in the FIFO; carriage returns are added.
    fn console_write(&self, bytes: &[u8]);
}
