//! Trapped instructions: whether they were to be executed at all, and going on behind them.

use xen_abi::arch::psr;

use super::esr::{ALWAYS, Condition, Instruction};
use crate::regs::GuestRegs;

const N: u64 = 1 << 31;
const Z: u64 = 1 << 30;
const C: u64 = 1 << 29;
const V: u64 = 1 << 28;

/// Whether the guest would have executed the instruction. Most are not conditional.
#[inline]
pub fn passes(regs: &impl GuestRegs, instruction: Instruction) -> bool {
    match instruction.condition {
        Condition::Known(ALWAYS..) => true,
        Condition::Known(condition) => holds(regs.pstate(), condition),
        Condition::FromItState => {
            let condition = condition_of_it(it_state(regs.pstate()));
            condition >= ALWAYS || holds(regs.pstate(), condition)
        }
    }
}

/// Goes on behind the instruction.
#[inline]
pub fn skip(regs: &mut impl GuestRegs, len: u8) {
    let pstate = regs.pstate();
    if pstate & u64::from(psr::MODE_BIT) != 0 && pstate & u64::from(psr::IT_MASK) != 0 {
        regs.set_pstate(with_it_state(pstate, next_it(it_state(pstate))));
    }
    regs.set_pc(regs.pc().wrapping_add(len.into()));
}

#[hot]
#[inline(never)]
fn holds(flags: u64, condition: u8) -> bool {
    let set = |flag: u64| flags & flag != 0;
    let base = match condition >> 1 {
        0 => set(Z),
        1 => set(C),
        2 => set(N),
        3 => set(V),
        4 => set(C) && !set(Z),
        5 => set(N) == set(V),
        6 => set(N) == set(V) && !set(Z),
        _ => true,
    };
    base != (condition & 1 != 0)
}

fn it_state(pstate: u64) -> u8 {
    ((pstate >> 25 & 3) | (pstate >> 8 & 0xfc)) as u8
}

fn with_it_state(pstate: u64, it: u8) -> u64 {
    let it = u64::from(it);
    pstate & !u64::from(psr::IT_MASK) | (it & 3) << 25 | (it & 0xfc) << 8
}

fn condition_of_it(it: u8) -> u8 {
    if it == 0 { ALWAYS } else { it >> 4 }
}

fn next_it(it: u8) -> u8 {
    if it & 7 == 0 { 0 } else { it & 0xe0 | it << 1 & 0x1f }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regs::{Arm32Regs, Arm64Regs};

    fn in_thumb(flags: u32, it: u8) -> Arm32Regs {
        let pstate = with_it_state(u64::from(flags | psr::THUMB | psr::MODE_SVC), it);
        Arm32Regs { cpsr: pstate as u32, pc: 0x1000, ..Default::default() }
    }

    #[test]
    fn each_condition_is_the_opposite_of_its_neighbour() {
        for flags in 0..16u64 {
            for condition in (0..14).step_by(2) {
                assert_ne!(holds(flags << 28, condition), holds(flags << 28, condition + 1));
            }
        }
        assert!(holds(Z, 0) && !holds(0, 0), "EQ");
        assert!(holds(N, 11) && holds(N | V, 10) && holds(0, 12) && !holds(Z, 12), "LT, GE, GT");
    }

    #[test]
    fn an_it_block_goes_on_with_the_next_condition() {
        // ITE EQ: then, else.
        let it = 0b0000_1100;
        let mut regs = in_thumb(psr::Z, it);
        let instruction = Instruction { len: 4, condition: Condition::FromItState };
        assert!(passes(&regs, instruction));
        skip(&mut regs, 4);
        assert_eq!(it_state(regs.pstate()), 0b0001_1000);
        assert!(!passes(&regs, instruction), "NE of an equal result");
        skip(&mut regs, 2);
        assert_eq!((it_state(regs.pstate()), regs.pc), (0, 0x1006));
        assert!(passes(&regs, instruction));
    }

    #[test]
    fn a_64_bit_guest_has_no_it_state() {
        let mut regs = Arm64Regs { pstate: 0x0600_03c5, pc: 8, ..Default::default() };
        skip(&mut regs, 4);
        assert_eq!((regs.pstate, regs.pc), (0x0600_03c5, 12));
    }
}
