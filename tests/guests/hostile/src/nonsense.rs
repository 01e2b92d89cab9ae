//! Which calls are made: all numbers, all commands, and arguments that are wrong in every way known.

use guest_sdk::abi::{event_channel, hypercall as nr, memory, psci, sched};

use crate::calls::{self, Tally};

/// Commands that are tried of each hypercall; beyond the last there are some large ones.
const COMMANDS: usize = 48;

/// Commands and counts that overflow something, somewhere.
const LARGE: [usize; 4] = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x8000_000c];

/// Bytes of nonsense that are printed at a time.
const LONGEST_TEXT: usize = 16;

/// Words that the arguments' structures are filled with: domain ids, ports, frames, lengths, pointers.
const FILLINGS: [u64; 6] =
    [0, u64::MAX, 0x0000_7ff0_0000_7ff0, 0x0000_0000_ffff_fff8, 0xdead_beef_dead_beef, 0x7fff_ffff_7fff_ffff];

/// Addresses: null, not mapped, the end of the address space, the hypervisor's own, and one that works.
fn pointers() -> [usize; 8] {
    let good = calls::scratch();
    [0, 1, 0x20_0000, 0xdead_0000, 0xffff_fff8, good, good + 1, good + 4090]
}

/// Whether the call is made for stopping its caller, or takes away what this program prints with.
fn stops_us(number: usize, command: usize) -> bool {
    let (Ok(number), Ok(command)) = (u32::try_from(number), u32::try_from(command)) else { return false };
    match number {
        nr::SCHED_OP => matches!(
            command,
            sched::op::BLOCK
                | sched::op::SHUTDOWN
                | sched::op::POLL
                | sched::op::SHUTDOWN_CODE
                | sched::op::WATCHDOG
        ),
        nr::SCHED_OP_COMPAT => matches!(command, sched::op::BLOCK | sched::op::SHUTDOWN),
        nr::EVENT_CHANNEL_OP => matches!(
            command,
            event_channel::op::CLOSE | event_channel::op::RESET | event_channel::op::INIT_CONTROL
        ),
        // The command is in the structure.
        nr::EVENT_CHANNEL_OP_COMPAT => true,
        nr::MEMORY_OP => command & 0x3f == memory::op::DECREASE_RESERVATION,
        // Its entries name calls of their own.
        nr::MULTICALL => true,
        _ => false,
    }
}

/// Every hypercall number with every command, filling and pointer.
pub fn run() -> Tally {
    let mut walked = Tally::default();
    for number in (0..64).chain(LARGE) {
        for command in (0..COMMANDS).chain(LARGE) {
            if stops_us(number, command) {
                continue;
            }
            for filling in FILLINGS {
                for pointer in pointers() {
                    calls::fill_scratch(filling);
                    walked.call([number, command, pointer, 1, pointer, 0]);
                }
            }
        }
    }
    for id in firmware_ids() {
        for argument in [0, 1, usize::MAX, calls::scratch()] {
            let result = calls::firmware(id, [argument, argument, argument]);
            walked.made += 1;
            walked.refused += u32::from(result < 0);
        }
    }
    walked
}

/// Calls to firmware, but for those that stop or start a CPU or the domain.
fn firmware_ids() -> impl Iterator<Item = usize> {
    let stops = [
        psci::v0_1::CPU_OFF,
        psci::v0_1::CPU_ON,
        psci::id::CPU_OFF,
        psci::id::CPU_ON,
        psci::id::CPU_SUSPEND,
        psci::id::SYSTEM_OFF,
        psci::id::SYSTEM_RESET,
    ];
    let bases =
        [0_u32, 0x8000_0000, 0x8400_0000, 0x8400_ff00, 0x8500_ff00, 0xc400_0000, 0xb200_0000, 0xffff_ffe0];
    bases
        .into_iter()
        .flat_map(|base| (0..32).map(move |n| base.wrapping_add(n)))
        .filter(move |id| !stops.contains(&(id & !psci::id::SMC64)))
        .map(|id| id as usize)
}

/// Keeps a number from being an address of this program: what is written there would be the end of it, not of anybody
/// else.
fn not_ours(address: usize) -> usize {
    /// Where the image and the memory of a guest lie.
    const OURS: [core::ops::Range<usize>; 2] = [0..0x1000_0000, 0x4000_0000..0x8000_0000];
    if OURS.iter().any(|range| range.contains(&address)) { address | 0x8000_0000 } else { address }
}

/// Calls that a generator of numbers chooses.
pub struct Random(u32);

impl Random {
    /// A generator (Marsaglia's xorshift), the same calls for the same seed.
    pub fn new(seed: u32) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize
    }

    /// A number.
    pub fn word(&mut self) -> u32 {
        self.next() as u32
    }

    fn of<T: Copy, const N: usize>(&mut self, list: [T; N]) -> T {
        list[self.next() % N]
    }

    fn argument(&mut self) -> usize {
        match self.next() % 3 {
            0 => self.of(pointers()),
            1 => self.next() % 64,
            _ => not_ours(self.next()),
        }
    }

    /// Makes one.
    pub fn call(&mut self) {
        let number = self.next() % 45;
        let command = if self.next().is_multiple_of(8) { self.next() } else { self.next() % COMMANDS };
        let filling = self.of(FILLINGS) ^ (self.next() % 4) as u64;
        let arguments = [self.argument(), self.argument(), self.argument(), self.argument()];
        if !stops_us(number, command) {
            calls::fill_scratch(filling);
            let [mut a, mut b, c, d] = arguments;
            match u32::try_from(number) {
                // A length: more would only drown the log of what went wrong.
                Ok(nr::CONSOLE_IO) => a %= LONGEST_TEXT,
                // A number of entries, each of which is written to.
                Ok(nr::GRANT_TABLE_OP) => b %= calls::SCRATCH_ENTRIES,
                _ => {}
            }
            calls::hypercall([number, command, a, b, c, d]);
        }
    }
}
