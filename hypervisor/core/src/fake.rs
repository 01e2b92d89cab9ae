//! A machine of plain memory, for tests of this crate and of those above it.
//!
//! It has as many CPUs as wanted, of which one is "this" at a time ([`FakeMachine::set_cpu`]); a
//! clock that stands still until told; and list registers that stay where they are loaded, so that
//! [`FakeCpu`], which plays the run loop, moves them as real hardware code does.

mod setup;

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use lock::Mutex;
use xen_abi::{Errno, Gfn, Mfn, PAGE_SIZE, arch::VcpuGuestContext};

use crate::{
    Hypervisor,
    current::Current,
    machine::{Access, CacheOp, CpuId, ListRegister, Machine, SysReg, Trigger, Vmid},
    predictor::{Core, Hardening},
    regs::{Arm32Regs, GuestRegs},
    sched::Next,
    trap::Abort,
    vcpu::VcpuRef,
};

pub use setup::{GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor};

/// List registers that each CPU has, as a Cortex-A15.
pub const LIST_REGISTERS: usize = 4;
/// First frame of RAM: not 0, so that mixing up frames and offsets shows.
pub const RAM_START: Mfn = Mfn(0x40000);

/// A vCPU's state while it is not loaded.
#[derive(Default)]
pub struct FakeContext {
    state: Mutex<ContextState>,
}

/// What [`FakeContext`] holds.
#[derive(Clone, Default)]
pub struct ContextState {
    /// EL1 and general registers as domctl sees them.
    pub guest: VcpuGuestContext,
    /// Its list registers.
    pub list_registers: [ListRegister; LIST_REGISTERS],
    /// Compare value of the virtual timer when it is enabled and not masked.
    pub virtual_timer: Option<u64>,
    /// What MPIDR reads.
    pub vmpidr: u64,
    /// CNTVOFF.
    pub counter_offset: u64,
    /// VTTBR.
    pub root: Option<(Mfn, Vmid)>,
}

impl FakeContext {
    /// Looks at or changes the state.
    pub fn with<R>(&self, f: impl FnOnce(&mut ContextState) -> R) -> R {
        f(&mut self.state.lock())
    }
}

/// What the linker would have named this build.
pub const BUILD_ID: [u8; 20] = *b"a build without code";

/// What one CPU of the fake holds.
#[derive(Clone, Default)]
struct Hardware {
    list_registers: [ListRegister; LIST_REGISTERS],
    list_register_writes: usize,
    list_register_reads: usize,
    underflow_interrupt: bool,
    timer: Option<u64>,
    timer_writes: usize,
    kicked: bool,
}

/// An exception that the core raised in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// Undefined instruction.
    Undefined,
    /// Data abort at this address.
    DataAbort(u64),
    /// Prefetch abort at this address.
    PrefetchAbort(u64),
    /// Asynchronous abort.
    SError,
}

/// The machine.
pub struct FakeMachine<R: GuestRegs = Arm32Regs> {
    ram: Vec<Mutex<[u8; PAGE_SIZE]>>,
    cpus: Vec<Mutex<Hardware>>,
    cpu: AtomicU32,
    ticks: AtomicU64,
    interrupt_waiting: AtomicBool,
    /// Virtual pages that translate elsewhere, or nowhere; the others translate to themselves.
    translations: Mutex<BTreeMap<u64, Option<(u64, bool)>>>,
    atomics_fail: AtomicU32,
    aarch64_only: AtomicBool,
    misreports: AtomicBool,
    log: Mutex<Log>,
    registers: core::marker::PhantomData<fn() -> R>,
}

/// What the core did to the machine.
#[derive(Clone, Default)]
pub struct Log {
    /// Exceptions raised in guests.
    pub injected: Vec<Injected>,
    /// Text on the serial line.
    pub console: Vec<u8>,
    /// SPIs routed: number, trigger, CPU.
    pub routed: Vec<(u32, Trigger, CpuId)>,
    /// SPIs enabled or disabled.
    pub enabled: Vec<(u32, bool)>,
    /// Interrupts deactivated.
    pub deactivated: Vec<u32>,
    /// TLB tags flushed; with the page when it was one.
    pub flushed: Vec<(Vmid, Option<Gfn>)>,
    /// Frames on which cache maintenance was done.
    pub cache: Vec<(Mfn, CacheOp)>,
    /// Writes of translation registers for a guest.
    pub translation_writes: Vec<(SysReg, u64)>,
    /// Whether such writes trap.
    pub traps_translation: bool,
    /// Banked registers.
    pub banked: BTreeMap<u8, u64>,
    /// CNTKCTL.
    pub timer_control: u32,
    /// SCTLR.
    pub system_control: u64,
    /// What firmware answers, by function and argument; it knows nothing else.
    pub firmware: BTreeMap<(u32, u32), i32>,
    /// What it was asked.
    pub firmware_calls: Vec<(u32, u32)>,
    /// What identification registers say.
    pub core: Core,
    /// What CPUs do when a guest stops.
    pub hardened: Vec<Hardening>,
}

impl<R: GuestRegs> FakeMachine<R> {
    /// A machine with `frames` frames of RAM from [`RAM_START`] on, and `cpus` CPUs.
    pub fn new(frames: usize, cpus: usize) -> Self {
        let mut ram = Vec::with_capacity(frames);
        ram.resize_with(frames, || Mutex::new([0; PAGE_SIZE]));
        let mut all = Vec::new();
        all.resize_with(cpus, Mutex::default);
        Self {
            ram,
            cpus: all,
            cpu: AtomicU32::new(0),
            ticks: AtomicU64::new(1_000),
            interrupt_waiting: AtomicBool::new(false),
            translations: Mutex::default(),
            atomics_fail: AtomicU32::new(0),
            aarch64_only: AtomicBool::new(false),
            misreports: AtomicBool::new(false),
            log: Mutex::default(),
            registers: core::marker::PhantomData,
        }
    }

    /// Says which CPU "this" is from now on.
    pub fn set_cpu(&self, cpu: CpuId) {
        self.cpu.store(cpu.0, Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, ticks: u64) {
        self.ticks.fetch_add(ticks, Ordering::SeqCst);
    }

    /// Says whether long operations find an interrupt waiting.
    pub fn set_interrupt_waiting(&self, waiting: bool) {
        self.interrupt_waiting.store(waiting, Ordering::SeqCst);
    }

    /// Lets the virtual page at `va` translate to `ipa`, writable or not, or to nothing.
    pub fn map_va(&self, va: u64, to: Option<(u64, bool)>) {
        self.translations.lock().insert(va & !0xfff, to);
    }

    /// Makes the next `count` compare-and-exchanges fail, as if a guest hammered the line.
    pub fn fail_atomics(&self, count: u32) {
        self.atomics_fail.store(count, Ordering::SeqCst);
    }

    /// Makes it one of processors whose EL1 is always in AArch64 state.
    pub fn lose_aarch32(&self) {
        self.aarch64_only.store(true, Ordering::Relaxed);
    }

    /// Makes aborts from here on ones that are not what they say, or ends that.
    pub fn misreport(&self, on: bool) {
        self.misreports.store(on, Ordering::Relaxed);
    }

    /// Looks at or changes what was recorded.
    pub fn log<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.log.lock())
    }

    /// Whether a CPU was kicked since the last call.
    pub fn take_kick(&self, cpu: CpuId) -> bool {
        core::mem::take(&mut self.hardware(cpu).lock().kicked)
    }

    /// What a CPU's hypervisor timer is set to.
    pub fn timer(&self, cpu: CpuId) -> Option<u64> {
        self.hardware(cpu).lock().timer
    }

    /// How often this CPU's list registers were read and written.
    pub fn list_register_accesses(&self) -> (usize, usize) {
        let here = self.here().lock();
        (here.list_register_reads, here.list_register_writes)
    }

    /// Whether this CPU asked for the underflow interrupt.
    pub fn underflow_interrupt(&self) -> bool {
        self.here().lock().underflow_interrupt
    }

    /// Plays the guest's CPU interface on this CPU: takes the pending interrupt of the highest
    /// priority. Gives its number and, for SGIs, the sender.
    pub fn guest_acknowledges(&self) -> Option<(u32, u8)> {
        let mut here = self.here().lock();
        let pending = here.list_registers.iter_mut().filter(|lr| lr.pending && !lr.active);
        let lr = pending.min_by_key(|lr| (lr.priority, lr.virq))?;
        (lr.pending, lr.active) = (false, true);
        Some((lr.virq, lr.source))
    }

    /// Plays the guest's end of interrupt on this CPU.
    pub fn guest_ends(&self, virq: u32) {
        let mut here = self.here().lock();
        let active = here.list_registers.iter_mut().find(|lr| lr.virq == virq && lr.active);
        active.expect("ended an interrupt that is not active").active = false;
    }

    /// Acknowledges and ends every pending interrupt; gives their numbers in the order taken.
    pub fn guest_takes_all(&self) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some((virq, _)) = self.guest_acknowledges() {
            taken.push(virq);
            self.guest_ends(virq);
        }
        taken
    }

    fn here(&self) -> &Mutex<Hardware> {
        self.hardware(self.this_cpu())
    }

    fn hardware(&self, cpu: CpuId) -> &Mutex<Hardware> {
        &self.cpus[cpu.0 as usize]
    }

    fn frame(&self, mfn: Mfn) -> &Mutex<[u8; PAGE_SIZE]> {
        assert!(self.is_ram(mfn), "frame {mfn:?} is not RAM");
        &self.ram[(mfn.0 - RAM_START.0) as usize]
    }

    fn load<const N: usize>(&self, mfn: Mfn, offset: usize) -> [u8; N] {
        assert!(offset.is_multiple_of(N), "offset {offset:#x} is not aligned to {N}");
        let frame = self.frame(mfn).lock();
        core::array::from_fn(|n| frame[offset + n])
    }

    fn update<const N: usize>(&self, mfn: Mfn, offset: usize, f: impl FnOnce([u8; N]) -> [u8; N]) -> [u8; N] {
        assert!(offset.is_multiple_of(N), "offset {offset:#x} is not aligned to {N}");
        let mut frame = self.frame(mfn).lock();
        let old = core::array::from_fn(|n| frame[offset + n]);
        frame[offset..offset + N].copy_from_slice(&f(old));
        old
    }

    fn swap_in(&self, context: &FakeContext) {
        let mut here = self.here().lock();
        here.list_registers = context.with(|state| state.list_registers);
    }

    fn swap_out(&self, context: &FakeContext) {
        let mut here = self.here().lock();
        context.with(|state| state.list_registers = here.list_registers);
        here.list_registers = Default::default();
    }
}

impl<R: GuestRegs> Machine for FakeMachine<R> {
    type Regs = R;
    type Context = FakeContext;

    fn this_cpu(&self) -> CpuId {
        CpuId(self.cpu.load(Ordering::SeqCst))
    }

    fn cpu_count(&self) -> u32 {
        self.cpus.len() as u32
    }

    fn kick(&self, cpu: CpuId) {
        self.hardware(cpu).lock().kicked = true;
    }

    fn interrupt_waiting(&self) -> bool {
        self.interrupt_waiting.load(Ordering::SeqCst)
    }

    fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::SeqCst)
    }

    fn ticks_per_second(&self) -> u32 {
        1_000_000
    }

    fn set_timer(&self, deadline: Option<u64>) {
        let mut here = self.here().lock();
        here.timer = deadline;
        here.timer_writes += 1;
    }

    fn shutdown(&self, reboot: bool) -> ! {
        panic!("the machine {}", if reboot { "restarts" } else { "powers off" })
    }

    fn build_id(&self) -> &[u8] {
        &BUILD_ID
    }

    fn firmware(&self, function: u32, arg: u32) -> i32 {
        self.log(|log| {
            log.firmware_calls.push((function, arg));
            log.firmware.get(&(function, arg)).copied().unwrap_or(-1)
        })
    }

    fn core(&self) -> Core {
        self.log(|log| log.core)
    }

    fn harden(&self, hardening: Hardening) -> bool {
        self.log(|log| log.hardened.push(hardening));
        true
    }

    fn is_ram(&self, mfn: Mfn) -> bool {
        mfn.0.checked_sub(RAM_START.0).is_some_and(|n| n < self.ram.len() as u64)
    }

    fn read_frame(&self, mfn: Mfn, offset: usize, to: &mut [u8]) {
        to.copy_from_slice(&self.frame(mfn).lock()[offset..offset + to.len()]);
    }

    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        self.frame(mfn).lock()[offset..offset + from.len()].copy_from_slice(from);
    }

    fn copy_frame(&self, to: (Mfn, usize), from: (Mfn, usize), len: usize) {
        let mut bytes = vec![0; len];
        self.read_frame(from.0, from.1, &mut bytes);
        self.write_frame(to.0, to.1, &bytes);
    }

    fn zero_frame(&self, mfn: Mfn) {
        *self.frame(mfn).lock() = [0; PAGE_SIZE];
    }

    fn cache_frame(&self, mfn: Mfn, offset: usize, len: usize, op: CacheOp) {
        assert!(offset + len <= PAGE_SIZE && self.is_ram(mfn));
        self.log(|log| log.cache.push((mfn, op)));
    }

    fn load32(&self, mfn: Mfn, offset: usize) -> u32 {
        u32::from_le_bytes(self.load(mfn, offset))
    }

    fn store32(&self, mfn: Mfn, offset: usize, value: u32) {
        self.update(mfn, offset, |_| value.to_le_bytes());
    }

    fn load64(&self, mfn: Mfn, offset: usize) -> u64 {
        u64::from_le_bytes(self.load(mfn, offset))
    }

    fn store64(&self, mfn: Mfn, offset: usize, value: u64) {
        self.update(mfn, offset, |_| value.to_le_bytes());
    }

    fn compare_exchange32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
        let order = Ordering::SeqCst;
        if self.atomics_fail.try_update(order, order, |n| n.checked_sub(1)).is_ok() {
            return Err(self.load32(mfn, offset));
        }
        let replace = |was| if u32::from_le_bytes(was) == old { new.to_le_bytes() } else { was };
        let was = u32::from_le_bytes(self.update(mfn, offset, replace));
        if was == old { Ok(was) } else { Err(was) }
    }

    fn fetch_or64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        u64::from_le_bytes(self.update(mfn, offset, |was| (u64::from_le_bytes(was) | bits).to_le_bytes()))
    }

    fn fetch_and64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        u64::from_le_bytes(self.update(mfn, offset, |was| (u64::from_le_bytes(was) & bits).to_le_bytes()))
    }

    fn fetch_or32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        u32::from_le_bytes(self.update(mfn, offset, |was| (u32::from_le_bytes(was) | bits).to_le_bytes()))
    }

    fn fetch_and32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        u32::from_le_bytes(self.update(mfn, offset, |was| (u32::from_le_bytes(was) & bits).to_le_bytes()))
    }

    fn swap8(&self, mfn: Mfn, offset: usize, value: u8) -> u8 {
        self.update(mfn, offset, |_: [u8; 1]| [value])[0]
    }

    fn translate_va(&self, va: u64, access: Access) -> Result<u64, Errno> {
        match self.translations.lock().get(&(va & !0xfff)) {
            None => Ok(va),
            Some(Some((ipa, writable))) if *writable || access == Access::Read => {
                Ok(ipa & !0xfff | va & 0xfff)
            }
            Some(_) => Err(Errno::EFAULT),
        }
    }

    fn flush_guest_tlb(&self, vmid: Vmid) {
        self.log(|log| log.flushed.push((vmid, None)));
    }

    fn flush_guest_page(&self, vmid: Vmid, gfn: Gfn) {
        self.log(|log| log.flushed.push((vmid, Some(gfn))));
    }

    fn table_barrier(&self) {}

    fn new_context(&self, root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> FakeContext {
        let state = ContextState { root: Some((root, vmid)), vmpidr, counter_offset, ..Default::default() };
        FakeContext { state: Mutex::new(state) }
    }

    fn set_context(&self, context: &FakeContext, to: &VcpuGuestContext, _aarch32: bool) {
        context.with(|state| state.guest = *to);
    }

    fn get_context(&self, context: &FakeContext) -> VcpuGuestContext {
        context.with(|state| state.guest)
    }

    fn inject_undefined(&self, _regs: &mut R) {
        self.log(|log| log.injected.push(Injected::Undefined));
    }

    fn inject_abort(&self, _regs: &mut R, va: u64, instruction: bool) {
        let abort = if instruction { Injected::PrefetchAbort(va) } else { Injected::DataAbort(va) };
        self.log(|log| log.injected.push(abort));
    }

    fn is_misreported(&self, _abort: &Abort) -> bool {
        self.misreports.load(Ordering::Relaxed)
    }

    fn inject_serror(&self) {
        self.log(|log| log.injected.push(Injected::SError));
    }

    fn read_banked(&self, _regs: &R, n: u8) -> u64 {
        self.log(|log| log.banked.get(&n).copied().unwrap_or(0))
    }

    fn write_banked(&self, _regs: &mut R, n: u8, value: u64) {
        self.log(|log| log.banked.insert(n, value));
    }

    fn timer_control(&self) -> u32 {
        self.log(|log| log.timer_control)
    }

    fn auxiliary_control(&self) -> u64 {
        0x41
    }

    fn system_control(&self) -> u64 {
        self.log(|log| log.system_control)
    }

    fn traps_translation_writes(&self) -> bool {
        self.log(|log| log.traps_translation)
    }

    fn set_traps_translation_writes(&self, on: bool) {
        self.log(|log| log.traps_translation = on);
    }

    fn write_translation_register(&self, register: SysReg, value: u64) -> bool {
        self.log(|log| {
            if register == SysReg::Cp15(0, 1, 0, 0) {
                log.system_control = value;
            }
            log.translation_writes.push((register, value));
        });
        true
    }

    fn midr(&self) -> u32 {
        0x412f_c0f1
    }

    fn has_aarch32(&self) -> bool {
        !self.aarch64_only.load(Ordering::Relaxed)
    }

    /// Each register reads as a number made of its name. Those that tell of it have a GICv3's CPU
    /// interface besides.
    fn id_register(&self, aarch32: bool, crm: u8, op2: u8) -> u64 {
        let gic = match (aarch32, crm, op2) {
            (true, 1, 1) => 1 << 28,
            (false, 4, 0) => 1 << 24,
            _ => 0,
        };
        gic | u64::from(aarch32) << 16 | u64::from(crm) << 8 | u64::from(op2)
    }

    fn list_register_count(&self) -> usize {
        LIST_REGISTERS
    }

    fn read_list_register(&self, index: usize) -> ListRegister {
        let mut here = self.here().lock();
        here.list_register_reads += 1;
        here.list_registers[index]
    }

    fn write_list_register(&self, index: usize, value: ListRegister) {
        let mut here = self.here().lock();
        here.list_register_writes += 1;
        here.list_registers[index] = value;
    }

    fn empty_list_registers(&self) -> u64 {
        let here = self.here().lock();
        let free = |(n, lr): (usize, &ListRegister)| u64::from(lr.is_free() && !lr.tells) << n;
        here.list_registers.iter().enumerate().map(free).sum()
    }

    fn set_underflow_interrupt(&self, on: bool) {
        self.here().lock().underflow_interrupt = on;
    }

    fn route_spi(&self, spi: u32, trigger: Trigger, cpu: CpuId) {
        self.log(|log| log.routed.push((spi, trigger, cpu)));
    }

    fn enable_spi(&self, spi: u32, on: bool) {
        self.log(|log| log.enabled.push((spi, on)));
    }

    fn deactivate(&self, intid: u32) {
        self.log(|log| log.deactivated.push(intid));
    }

    fn ends_anywhere(&self) -> bool {
        false
    }

    fn console_write(&self, bytes: &[u8]) {
        self.log(|log| log.console.extend_from_slice(bytes));
    }
}

/// A CPU's run loop without the assembly: the test plays the guest.
pub struct FakeCpu<'a, R: GuestRegs = Arm32Regs> {
    hv: &'a Hypervisor<FakeMachine<R>>,
    cpu: CpuId,
    loaded: Option<VcpuRef<FakeMachine<R>>>,
    /// The general registers of what is loaded.
    pub regs: R,
}

impl<'a, R: GuestRegs> FakeCpu<'a, R> {
    /// Brings the CPU up.
    pub fn new(hv: &'a Hypervisor<FakeMachine<R>>, cpu: CpuId) -> Self {
        hv.machine.set_cpu(cpu);
        hv.add_cpu(cpu);
        Self { hv, cpu, loaded: None, regs: R::default() }
    }

    /// The hypervisor that it runs.
    pub fn hypervisor(&self) -> &'a Hypervisor<FakeMachine<R>> {
        self.hv
    }

    /// What is loaded.
    pub fn loaded(&self) -> Option<&VcpuRef<FakeMachine<R>>> {
        self.loaded.as_ref()
    }

    /// Does what the scheduler says until a guest would be entered (and says which) or the CPU would
    /// wait (and gives nothing).
    pub fn schedule(&mut self) -> Option<VcpuRef<FakeMachine<R>>> {
        self.hv.machine.set_cpu(self.cpu);
        loop {
            match self.hv.pick_next(self.hv.percpu(self.cpu), self.loaded.as_ref()) {
                Next::Same => {}
                Next::Wait => return None,
                Next::Idle => {
                    self.unload();
                    return None;
                }
                Next::Switch(vcpu) => {
                    self.unload();
                    self.hv.machine.swap_in(&vcpu.context);
                    self.hv.switched_in(self.hv.percpu(self.cpu), &vcpu);
                    self.loaded = Some(vcpu);
                }
            }
            if self.prepare() {
                return self.loaded.clone();
            }
        }
    }

    fn prepare(&mut self) -> bool {
        let Some(vcpu) = self.loaded.clone() else { return false };
        let mut current = Current::new(self.hv, &vcpu, &mut self.regs, self.hv.percpu(self.cpu));
        self.hv.before_entry(&mut current)
    }

    fn unload(&mut self) {
        if let Some(vcpu) = self.loaded.take() {
            self.hv.machine.swap_out(&vcpu.context);
            let timer = vcpu.context.with(|state| state.virtual_timer);
            self.hv.switched_out(self.hv.percpu(self.cpu), vcpu, timer);
        }
    }

    /// Lets something happen in the loaded guest, such as a trap.
    pub fn run<T>(&mut self, f: impl FnOnce(&mut Current<'_, FakeMachine<R>>) -> T) -> T {
        self.hv.machine.set_cpu(self.cpu);
        let vcpu = self.loaded.clone().expect("a vCPU is loaded");
        let mut current = Current::new(self.hv, &vcpu, &mut self.regs, self.hv.percpu(self.cpu));
        f(&mut current)
    }

    /// The hypervisor timer's interrupt, if it is due.
    pub fn timer_interrupt(&mut self) -> bool {
        self.hv.machine.set_cpu(self.cpu);
        let due = self.hv.machine.timer(self.cpu).is_some_and(|at| at <= self.hv.machine.ticks());
        if due {
            self.hv.timer_expired(self.cpu);
        }
        due
    }
}
