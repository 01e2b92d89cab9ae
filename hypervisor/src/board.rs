//! The machine that the core runs on.

use core::sync::atomic::{AtomicU32, Ordering};

use hv_core::{
    host::devices::Psci as PsciMethod,
    machine::{Access, CacheOp, CpuId, ListRegister, Machine, SysReg, Trigger, Vmid},
    predictor::{Core, Hardening},
    trap::Abort,
};
use xen_abi::{Errno, Gfn, Mfn, arch::VcpuGuestContext, psci::smccc};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    arch, build_id,
    context::{self, Context},
    gic::Gic,
    guest_tlb,
    mm::ram::Ram,
    percpu::PerCpu,
    psci, uart,
};

/// Interrupt ids of the board that mean something to the hypervisor itself.
#[derive(Clone, Copy, Debug)]
pub struct Interrupts {
    /// The hypervisor's timer.
    pub timer: u32,
    /// The guest's virtual timer.
    pub virtual_timer: u32,
    /// Maintenance of list registers.
    pub maintenance: u32,
    /// The serial line's, if it is used.
    pub console: Option<u32>,
}

/// The board.
pub struct Board {
    /// All RAM.
    pub ram: Ram,
    /// The interrupt controller.
    pub gic: Gic,
    /// Its interrupts.
    pub interrupts: Interrupts,
    psci: Option<PsciMethod>,
    cpus: AtomicU32,
}

impl Board {
    /// A board with the boot CPU.
    pub fn new(ram: Ram, gic: Gic, interrupts: Interrupts, psci: Option<PsciMethod>) -> Self {
        Self { ram, gic, interrupts, psci, cpus: AtomicU32::new(1) }
    }

    /// How CPUs are started, if they can be.
    pub fn psci(&self) -> Option<PsciMethod> {
        self.psci
    }

    /// Counts one more CPU that is up.
    pub fn add_cpu(&self) {
        self.cpus.fetch_add(1, Ordering::Release);
    }

    /// Sets up this CPU's part of the interrupt controller and what the hypervisor wants of it.
    pub fn start_cpu_interrupts(&self) {
        self.gic.start_cpu(PerCpu::this().id());
        let Interrupts { timer, virtual_timer, maintenance, .. } = self.interrupts;
        for id in [timer, virtual_timer, maintenance] {
            self.gic.enable(id, true);
        }
    }
}

impl Machine for Board {
    type Regs = arch::Regs;
    type Context = Context;

    #[inline(always)]
    fn this_cpu(&self) -> CpuId {
        CpuId(PerCpu::this().id() as u32)
    }

    fn cpu_count(&self) -> u32 {
        self.cpus.load(Ordering::Acquire)
    }

    fn kick(&self, cpu: CpuId) {
        self.gic.kick(cpu.0 as usize);
    }

    #[inline]
    fn interrupt_waiting(&self) -> bool {
        arch::interrupt_waiting()
    }

    #[inline]
    fn ticks(&self) -> u64 {
        arch::ticks()
    }

    fn ticks_per_second(&self) -> u32 {
        arch::ticks_per_second()
    }

    fn set_timer(&self, deadline: Option<u64>) {
        arch::set_timer(deadline);
    }

    fn shutdown(&self, reboot: bool) -> ! {
        if let Some(method) = self.psci {
            psci::system(method, reboot);
        }
        log::warn!("firmware cannot end the machine; halted");
        crate::panic::halt()
    }

    fn build_id(&self) -> &[u8] {
        build_id::build_id()
    }

    fn firmware(&self, function: u32, arg: u32) -> i32 {
        match self.psci {
            Some(PsciMethod::Standard) => arch::smc([function as usize, arg as usize, 0, 0]) as i32,
            _ => smccc::NOT_SUPPORTED,
        }
    }

    fn core(&self) -> Core {
        arch::hardening::core()
    }

    fn harden(&self, hardening: Hardening) -> bool {
        arch::hardening::install(&self.ram, hardening)
    }

    #[inline]
    fn is_ram(&self, mfn: Mfn) -> bool {
        self.ram.address(mfn).is_some()
    }

    #[inline]
    fn read_frame(&self, mfn: Mfn, offset: usize, to: &mut [u8]) {
        self.ram.read(mfn, offset, to);
    }

    #[inline]
    fn read_value<T: FromBytes>(&self, mfn: Mfn, offset: usize) -> T {
        self.ram.read_value(mfn, offset)
    }

    #[inline]
    fn read_value_at<T: FromBytes>(&self, address: u64) -> Option<T> {
        self.ram.read_value_at(address)
    }

    #[inline]
    fn write_value_at<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> bool {
        self.ram.write_value_at(address, value)
    }

    #[inline]
    fn write_frame(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        self.ram.write(mfn, offset, from);
    }

    #[inline(always)]
    fn copy_frame(&self, to: (Mfn, usize), from: (Mfn, usize), len: usize) {
        self.ram.copy(to, from, len);
    }

    fn zero_frame(&self, mfn: Mfn) {
        self.ram.zero(mfn);
    }

    fn cache_frame(&self, mfn: Mfn, offset: usize, len: usize, op: CacheOp) {
        self.ram.cache(mfn, offset, len, op);
    }

    #[inline]
    fn load32(&self, mfn: Mfn, offset: usize) -> u32 {
        self.ram.load32(mfn, offset)
    }

    #[inline]
    fn load32_at(&self, address: u64) -> Option<u32> {
        self.ram.load32_at(address)
    }

    #[inline]
    fn store32(&self, mfn: Mfn, offset: usize, value: u32) {
        self.ram.store32(mfn, offset, value);
    }

    #[inline]
    fn load64(&self, mfn: Mfn, offset: usize) -> u64 {
        self.ram.load64(mfn, offset)
    }

    #[inline]
    fn store64(&self, mfn: Mfn, offset: usize, value: u64) {
        self.ram.store64(mfn, offset, value);
    }

    #[inline]
    fn compare_exchange32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
        self.ram.compare_exchange32(mfn, offset, old, new)
    }

    #[inline(always)]
    fn try_change32(&self, mfn: Mfn, offset: usize, tries: u32, change: impl Fn(u32) -> Option<u32>) -> bool {
        self.ram.try_change32(mfn, offset, tries, change)
    }

    #[inline(always)]
    fn change64(&self, mfn: Mfn, offset: usize, change: impl FnOnce(u64) -> Option<u64>) -> bool {
        self.ram.change64(mfn, offset, change)
    }

    fn fetch_or64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        self.ram.update64(mfn, offset, |value| value | bits)
    }

    fn fetch_and64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        self.ram.update64(mfn, offset, |value| value & bits)
    }

    #[inline]
    fn fetch_or32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        self.ram.update32(mfn, offset, |value| value | bits)
    }

    #[inline]
    fn fetch_and32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        self.ram.update32(mfn, offset, |value| value & bits)
    }

    #[inline]
    fn swap8(&self, mfn: Mfn, offset: usize, value: u8) -> u8 {
        self.ram.swap8(mfn, offset, value)
    }

    fn translate_va(&self, va: u64, access: Access) -> Result<u64, Errno> {
        arch::translate::stage1(va, access).ok_or(Errno::EFAULT)
    }

    #[inline]
    fn translate_both(&self, va: u64, access: Access) -> Option<u64> {
        arch::translate::both_stages(va, access)
    }

    fn flush_guest_tlb(&self, vmid: Vmid) {
        guest_tlb::flush(vmid);
    }

    fn flush_guest_page(&self, vmid: Vmid, gfn: Gfn) {
        guest_tlb::flush_page(vmid, gfn);
    }

    fn table_barrier(&self) {
        arch::table_barrier();
    }

    fn new_context(&self, root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> Context {
        Context::new(root, vmid, vmpidr, counter_offset)
    }

    fn set_context(&self, context: &Context, to: &VcpuGuestContext, aarch32: bool) {
        context.set(to, aarch32);
    }

    fn get_context(&self, context: &Context) -> VcpuGuestContext {
        context.get()
    }

    #[inline]
    fn is_misreported(&self, abort: &Abort) -> bool {
        arch::errata::is_misreported(abort)
    }

    fn inject_undefined(&self, regs: &mut arch::Regs) {
        arch::inject::undefined(regs);
    }

    fn inject_abort(&self, regs: &mut arch::Regs, va: u64, instruction: bool) {
        arch::inject::abort(regs, va, instruction);
    }

    fn inject_serror(&self) {
        arch::inject::serror();
    }

    fn read_banked(&self, regs: &arch::Regs, n: u8) -> u64 {
        arch::registers::read_banked(regs, n)
    }

    fn write_banked(&self, regs: &mut arch::Regs, n: u8, value: u64) {
        arch::registers::write_banked(regs, n, value);
    }

    fn timer_control(&self) -> u32 {
        arch::registers::timer_control()
    }

    fn auxiliary_control(&self) -> u64 {
        arch::registers::auxiliary_control()
    }

    fn system_control(&self) -> u64 {
        arch::registers::system_control()
    }

    fn traps_translation_writes(&self) -> bool {
        context::traps_translation_writes()
    }

    fn set_traps_translation_writes(&self, on: bool) {
        context::set_traps_translation_writes(on);
    }

    fn write_translation_register(&self, register: SysReg, value: u64) -> bool {
        arch::registers::write_translation_register(register, value)
    }

    fn midr(&self) -> u32 {
        arch::registers::midr()
    }

    fn has_aarch32(&self) -> bool {
        arch::identity::has_aarch32()
    }

    fn id_register(&self, aarch32: bool, crm: u8, op2: u8) -> u64 {
        arch::identity::register(aarch32, crm, op2)
    }

    fn list_register_count(&self) -> usize {
        self.gic.list_register_count()
    }

    #[hot]
    fn read_list_register(&self, index: usize) -> ListRegister {
        self.gic.read_list_register(index)
    }

    #[inline(always)]
    fn pend_list_register(&self, index: usize, fresh: ListRegister) -> bool {
        self.gic.pend_list_register(index, fresh)
    }

    #[hot]
    fn write_list_register(&self, index: usize, value: ListRegister) {
        self.gic.write_list_register(index, value);
    }

    fn empty_list_registers(&self) -> u64 {
        self.gic.empty_list_registers()
    }

    fn set_underflow_interrupt(&self, on: bool) {
        self.gic.set_underflow_interrupt(on);
    }

    fn route_spi(&self, spi: u32, trigger: Trigger, cpu: CpuId) {
        self.gic.route(spi, trigger, cpu.0 as usize);
    }

    fn enable_spi(&self, spi: u32, on: bool) {
        self.gic.enable(spi, on);
    }

    fn deactivate(&self, intid: u32) {
        self.gic.deactivate(intid);
    }

    fn ends_anywhere(&self) -> bool {
        self.gic.ends_anywhere()
    }

    fn console_write(&self, bytes: &[u8]) {
        uart::write(bytes);
    }
}
