//! Why the guest stopped: the syndrome (HSR, ESR_EL2), decoded once. Both states use the same
//! encoding (Arm ARM, "ISS encoding").

use crate::machine::SysReg;

/// Exception classes.
mod ec {
    pub const WFX: u32 = 0x01;
    pub const CP15: u32 = 0x03;
    pub const CP15_WIDE: u32 = 0x04;
    pub const CP14: u32 = 0x05;
    pub const CP14_DC: u32 = 0x06;
    pub const COPROCESSOR: u32 = 0x07;
    pub const CP10_ID: u32 = 0x08;
    pub const CP14_WIDE: u32 = 0x0c;
    pub const HVC32: u32 = 0x12;
    pub const SMC32: u32 = 0x13;
    pub const HVC64: u32 = 0x16;
    pub const SMC64: u32 = 0x17;
    pub const SYSREG: u32 = 0x18;
    pub const INSTRUCTION_ABORT: u32 = 0x20;
    pub const DATA_ABORT: u32 = 0x24;
}

/// What the machine gives with an abort, as its registers hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRegisters {
    /// HDFAR, HIFAR, FAR_EL2: the virtual address.
    pub far: u64,
    /// HPFAR: the page of the intermediate address, shifted as the register has it.
    pub hpfar: u64,
}

/// The condition of a trapped instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// That of the instruction itself (14: always).
    Known(u8),
    /// That of the If-Then block that the guest is in, if any.
    FromItState,
}

/// The condition that always holds.
pub(super) const ALWAYS: u8 = 14;

/// What every trapped instruction has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// 2 or 4 bytes.
    pub len: u8,
    /// Whether it was to be executed at all.
    pub condition: Condition,
}

/// A read or write of a system register. Holds the syndrome, and takes out of it what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterAccess {
    esr: u32,
    space: Space,
}

/// Where registers are, by the exception class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Cp15,
    Cp15Wide,
    Cp14,
    Cp14Wide,
    A64,
}

impl RegisterAccess {
    #[inline]
    fn field(self, shift: u32, mask: u32) -> u8 {
        (self.esr >> shift & mask) as u8
    }

    /// The instruction.
    #[inline]
    pub fn instruction(self) -> Instruction {
        match self.space {
            Space::A64 => Instruction { len: len(self.esr), condition: Condition::Known(ALWAYS) },
            _ => instruction(self.esr),
        }
    }

    /// Which register.
    #[inline]
    pub fn register(self) -> SysReg {
        let (op1, crn, crm, op2) =
            (self.field(14, 7), self.field(10, 0xf), self.field(1, 0xf), self.field(17, 7));
        let wide_op1 = self.field(16, 0xf);
        match self.space {
            Space::Cp15 => SysReg::Cp15(op1, crn, crm, op2),
            Space::Cp15Wide => SysReg::Cp15Wide(wide_op1, crm),
            Space::Cp14 => SysReg::Cp14(op1, crn, crm, op2),
            Space::Cp14Wide => SysReg::Cp14Wide(wide_op1, crm),
            Space::A64 => SysReg::A64(self.field(20, 3), op1, crn, crm, op2),
        }
    }

    /// CRm and op2 if an identification register is read: op0 3 of AArch64 and coprocessor 15 have those with
    /// op1 and CRn 0 and CRm 1 to 7.
    #[inline]
    pub fn identification(self) -> Option<(u8, u8)> {
        const NAME: u32 = 3 << 20 | 7 << 14 | 0xf << 10;
        const OP0: u32 = 3 << 20;
        let name = match self.space {
            Space::A64 => self.esr & NAME,
            Space::Cp15 => self.esr & NAME | OP0,
            _ => return None,
        };
        let (crm, op2) = (self.field(1, 0xf), self.field(17, 7));
        (name == OP0 && self.is_read() && (1..=7).contains(&crm)).then_some((crm, op2))
    }

    /// Whether AArch64 state names the register.
    #[inline]
    pub fn is_a64(self) -> bool {
        self.space == Space::A64
    }

    /// General register that takes or gives the value; its low half for a 64-bit access of AArch32.
    #[inline]
    pub fn rt(self) -> u8 {
        self.field(5, 0x1f)
    }

    /// The high half then.
    #[inline]
    pub fn rt2(self) -> u8 {
        self.field(10, 0x1f)
    }

    /// Whether the register is read.
    #[inline]
    pub fn is_read(self) -> bool {
        self.esr & 1 != 0
    }
}

/// How an abort came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is mapped at stage 2.
    Translation,
    /// Stage 2 does not allow the access.
    Permission,
    /// The access was not marked yet.
    AccessFlag,
    /// Anything else: external aborts among them.
    Other,
}

/// An abort of stage 2. Holds the registers, and takes out of them what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    esr: u32,
    registers: FaultRegisters,
}

impl Abort {
    /// Virtual address.
    pub fn va(&self) -> u64 {
        self.registers.far
    }

    /// Intermediate address; not valid for [`Fault::Permission`].
    pub fn ipa(&self) -> u64 {
        (self.registers.hpfar & !0xf) << 8 | (self.registers.far & 0xfff)
    }

    /// What went wrong.
    #[inline]
    pub fn fault(&self) -> Fault {
        match self.esr & 0x3c {
            0x04 => Fault::Translation,
            0x08 => Fault::AccessFlag,
            0x0c => Fault::Permission,
            _ => Fault::Other,
        }
    }

    /// Whether the guest's own tables were being walked.
    pub fn on_walk(&self) -> bool {
        self.esr >> 7 & 1 != 0
    }

    /// Length of the instruction.
    pub fn instruction_len(&self) -> u8 {
        len(self.esr)
    }

    /// Of a data abort: whether a cache maintenance instruction caused it.
    pub fn is_cache_maintenance(&self) -> bool {
        self.esr >> 8 & 1 != 0
    }

    /// Of a data abort: what the instruction wanted, if the syndrome says.
    pub fn transfer(&self) -> Option<Transfer> {
        (self.esr >> 24 & 1 != 0).then_some(Transfer(self.esr))
    }
}

/// A load or store that can be done for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer(u32);

impl Transfer {
    /// log2 of the bytes.
    pub fn size(self) -> u8 {
        (self.0 >> 22 & 3) as u8
    }

    /// General register.
    pub fn rt(self) -> u8 {
        (self.0 >> 16 & 0x1f) as u8
    }

    /// Whether memory is written.
    pub fn is_write(self) -> bool {
        self.0 >> 6 & 1 != 0
    }

    /// Whether a loaded value is sign-extended.
    pub fn sign_extend(self) -> bool {
        self.0 >> 21 & 1 != 0
    }

    /// Whether the register is 64 bits wide.
    pub fn is_wide(self) -> bool {
        self.0 >> 15 & 1 != 0
    }
}

/// Why the guest stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A physical interrupt; the machine has acknowledged and served it by now.
    Interrupt,
    /// `HVC` with this immediate.
    Hvc(u16),
    /// `SMC`; AArch64 tells its immediate.
    Smc(Instruction, u16),
    /// `WFI`.
    WaitForInterrupt(Instruction),
    /// `WFE`.
    WaitForEvent(Instruction),
    /// A system register.
    Register(RegisterAccess),
    /// `VMRS` of an identification register, by its number there.
    FloatId(RegisterAccess),
    /// Other coprocessor accesses, none of which a guest has.
    Coprocessor(Instruction),
    /// A data abort.
    DataAbort(Abort),
    /// An instruction abort.
    InstructionAbort(Abort),
    /// An asynchronous abort that the guest caused.
    SError,
    /// Anything else that traps: an undefined instruction to the guest.
    Undefined,
}

impl Exit {
    /// Decodes a syndrome. `faults` is asked for only where its registers matter.
    #[inline(always)]
    pub fn decode(esr: u32, faults: impl FnOnce() -> FaultRegisters) -> Self {
        let register = |space| RegisterAccess { esr, space };
        match esr >> 26 {
            ec::HVC32 | ec::HVC64 => Self::Hvc(esr as u16),
            ec::DATA_ABORT => Self::DataAbort(Abort { esr, registers: faults() }),
            ec::INSTRUCTION_ABORT => Self::InstructionAbort(Abort { esr, registers: faults() }),
            ec::WFX if esr & 1 == 0 => Self::WaitForInterrupt(instruction(esr)),
            ec::WFX => Self::WaitForEvent(instruction(esr)),
            ec::CP15 => Self::Register(register(Space::Cp15)),
            ec::CP14 => Self::Register(register(Space::Cp14)),
            ec::CP15_WIDE => Self::Register(register(Space::Cp15Wide)),
            ec::CP14_WIDE => Self::Register(register(Space::Cp14Wide)),
            ec::CP10_ID => Self::FloatId(register(Space::Cp15)),
            ec::CP14_DC | ec::COPROCESSOR => Self::Coprocessor(instruction(esr)),
            ec::SYSREG => Self::Register(register(Space::A64)),
            ec::SMC32 => Self::Smc(smc_instruction(esr), 0),
            ec::SMC64 => Self::Smc(instruction(esr), esr as u16),
            _ => Self::Undefined,
        }
    }
}

fn len(esr: u32) -> u8 {
    if esr >> 25 & 1 != 0 { 4 } else { 2 }
}

#[inline]
fn instruction(esr: u32) -> Instruction {
    let known = esr >> 24 & 1 != 0;
    // AArch64 has no conditional instructions that trap, and says so by "valid, always".
    let condition = if known { Condition::Known((esr >> 20 & 0xf) as u8) } else { Condition::FromItState };
    Instruction { len: len(esr), condition }
}

/// ARMv8 says in bit 19 whether CV and COND mean anything; ARMv7 leaves all of them zero, as `SMC`
/// traps before its condition is looked at.
fn smc_instruction(esr: u32) -> Instruction {
    if esr & 0x01ff_ffff == 0 || esr >> 19 & 1 != 0 {
        return instruction(esr);
    }
    Instruction { len: len(esr), condition: Condition::Known(ALWAYS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_faults() -> FaultRegisters {
        panic!("not an abort")
    }

    #[test]
    fn a_hypercall_is_told_by_its_immediate() {
        assert_eq!(Exit::decode(0x4a00_0ea1, no_faults), Exit::Hvc(0xea1));
        assert_eq!(Exit::decode(0x5a00_0000, no_faults), Exit::Hvc(0));
    }

    #[test]
    fn a_load_from_a_device_says_where_and_into_what() {
        // LDR r3, [..] faulting at 0x3001004: EC 0x24, IL, ISV, word, SRT 3, translation level 3.
        let esr = 0x24 << 26 | 1 << 25 | 1 << 24 | 2 << 22 | 3 << 16 | 0x07;
        let registers = FaultRegisters { far: 0xf000_1004, hpfar: 0x3001 << 4 };
        let Exit::DataAbort(abort) = Exit::decode(esr, || registers) else { panic!("a data abort") };
        assert_eq!((abort.ipa(), abort.va(), abort.fault()), (0x300_1004, 0xf000_1004, Fault::Translation));
        let transfer = abort.transfer().expect("a syndrome");
        assert_eq!(
            (transfer.size(), transfer.rt(), transfer.is_write(), abort.instruction_len()),
            (2, 3, false, 4)
        );
        assert!(!abort.is_cache_maintenance());
    }

    #[test]
    fn the_upper_half_of_a_40_bit_address_comes_from_hpfar() {
        let registers = FaultRegisters { far: 0xabc, hpfar: 0xf_ffff_fff0 };
        let Exit::InstructionAbort(abort) = Exit::decode(0x20 << 26 | 0x0f, || registers) else {
            panic!("an instruction abort")
        };
        assert_eq!((abort.ipa(), abort.fault()), (0xff_ffff_ffff_fabc & 0xfff_ffff_ffff, Fault::Permission));
    }

    #[test]
    fn an_arm_mcr_names_its_register() {
        // MCR p15, 0, r4, c14, c2, 1 (CNTP_CTL), condition AL.
        let esr = 0x03 << 26 | 1 << 25 | 1 << 24 | 14 << 20 | 1 << 17 | 14 << 10 | 4 << 5 | 2 << 1;
        let Exit::Register(access) = Exit::decode(esr, no_faults) else { panic!("a register") };
        assert_eq!(access.register(), SysReg::Cp15(0, 14, 2, 1));
        assert_eq!((access.rt(), access.is_read()), (4, false));
        assert_eq!(access.instruction(), Instruction { len: 4, condition: Condition::Known(14) });
    }

    #[test]
    fn a_64_bit_read_names_two_registers() {
        // MRRC p15, 2, r6, r7, c14 (CNTP_CVAL).
        let esr = 0x04 << 26 | 1 << 25 | 1 << 24 | 14 << 20 | 2 << 16 | 7 << 10 | 6 << 5 | 14 << 1 | 1;
        let Exit::Register(access) = Exit::decode(esr, no_faults) else { panic!("a register") };
        assert_eq!(access.register(), SysReg::Cp15Wide(2, 14));
        assert_eq!((access.rt(), access.rt2(), access.is_read()), (6, 7, true));
    }

    #[test]
    fn every_syndrome_decodes_to_something() {
        for ec in 0..64 {
            for iss in [0, 0x1ff_ffff, 0xaa_aaaa, 0x155_5555] {
                let _ = Exit::decode(ec << 26 | iss, FaultRegisters::default);
            }
        }
    }
}
