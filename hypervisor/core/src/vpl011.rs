//! An emulated UART: Arm's "SBSA generic UART", a PL011 without its line settings.
//!
//! [`Uart`] is the device as a state machine: register accesses and typed bytes go in, output and
//! the state of its interrupt line come out. It behaves as that of Xen 4.17: its receive queue is
//! as long as a console ring, its transmit queue is never full, and because virtual interrupts are
//! edges, its interrupt is raised whenever a cause comes up that was not up before.
//!
//! Only guests have one that the hypervisor builds itself; what they write goes to its console, and
//! they read what is typed there.

use alloc::{collections::VecDeque, sync::Arc};

use lock::{Mutex, MutexGuard};
use xen_abi::{arch::layout, io::console};

use crate::{Hypervisor, domain::Domain, machine::Machine, vgic::Unhandled};

/// Registers (PL011 technical reference manual, 3.2), those that the SBSA keeps.
mod register {
    /// Data.
    pub const DR: u32 = 0x00;
    /// Receive status; a write clears it.
    pub const RSR: u32 = 0x04;
    /// Flags.
    pub const FR: u32 = 0x18;
    /// Which interrupts are let through.
    pub const IMSC: u32 = 0x38;
    /// Interrupts.
    pub const RIS: u32 = 0x3c;
    /// Interrupts that are let through.
    pub const MIS: u32 = 0x40;
    /// Clears interrupts.
    pub const ICR: u32 = 0x44;
}

/// Bits of FR.
mod flag {
    /// Nothing to read.
    pub const RXFE: u32 = 1 << 4;
    /// No more can be received.
    pub const RXFF: u32 = 1 << 6;
    /// Nothing left to send.
    pub const TXFE: u32 = 1 << 7;
}

/// Bits of RIS, MIS, IMSC and ICR.
mod interrupt {
    /// The receive queue is nearly full.
    pub const RX: u32 = 1 << 4;
    /// There is room to send.
    pub const TX: u32 = 1 << 5;
    /// Something was received and has waited.
    pub const RT: u32 = 1 << 6;
}

/// Bytes of input that wait for the guest.
const INPUT: usize = console::IN_SIZE;
/// With so many of them the queue is nearly full.
const NEARLY_FULL: usize = INPUT - 16;
/// The longest line that is put together, as Xen cuts them.
pub(crate) const LINE: usize = 126;
/// Size of an access that no register takes: 64 bits.
const DOUBLE_WORD: u8 = 3;

/// The device.
pub struct Uart {
    flags: u32,
    causes: u32,
    let_through: u32,
    /// The causes that were let through when the interrupt was last looked at.
    known: u32,
    input: VecDeque<u8>,
}

impl Uart {
    /// A device that has nothing to tell.
    pub fn new() -> Self {
        Self { flags: flag::TXFE | flag::RXFE, causes: 0, let_through: 0, known: 0, input: VecDeque::new() }
    }

    /// A guest reads `1 << size` bytes.
    ///
    /// # Errors
    ///
    /// There is no such register, or it cannot be read so.
    pub fn read(&mut self, offset: u32, size: u8) -> Result<u32, Unhandled> {
        if size >= DOUBLE_WORD {
            return Err(Unhandled);
        }
        let value = match offset {
            register::DR => self.receive(),
            register::RSR => 0,
            register::FR => self.flags,
            register::IMSC => self.let_through,
            register::RIS => self.causes,
            register::MIS => self.causes & self.let_through,
            _ => return Err(Unhandled),
        };
        Ok(value & bits_of(size))
    }

    /// A guest writes `1 << size` bytes; gives the byte that it sends, if it does.
    ///
    /// # Errors
    ///
    /// There is no such register, or it cannot be written so.
    pub fn write(&mut self, offset: u32, size: u8, value: u32) -> Result<Option<u8>, Unhandled> {
        if matches!(offset, register::FR | register::RIS | register::MIS) {
            return Ok(None);
        }
        if size >= DOUBLE_WORD {
            return Err(Unhandled);
        }
        let mask = bits_of(size);
        match offset {
            register::DR => {
                self.causes |= interrupt::TX;
                self.flags &= !flag::TXFE;
                return Ok(Some(value as u8));
            }
            register::RSR => {}
            register::IMSC => self.let_through = self.let_through & !mask | value & mask,
            register::ICR => self.causes &= !(value & mask),
            _ => return Err(Unhandled),
        }
        Ok(None)
    }

    /// Takes a byte for the guest; it is lost when too many wait.
    pub fn typed(&mut self, byte: u8) {
        if self.input.len() == INPUT || self.input.try_reserve(1).is_err() {
            return;
        }
        self.input.push_back(byte);
        self.flags = self.flags & !flag::RXFE | flag::TXFE;
        self.causes |= interrupt::RT | interrupt::TX;
        if self.input.len() == INPUT {
            self.flags |= flag::RXFF;
        }
        if self.input.len() >= NEARLY_FULL {
            self.causes |= interrupt::RX;
        }
    }

    /// The oldest byte that waits; 0 when none does.
    fn receive(&mut self) -> u32 {
        let byte = self.input.pop_front().unwrap_or(0);
        if self.input.is_empty() {
            self.flags |= flag::RXFE;
            self.causes &= !interrupt::RT;
        }
        if self.input.len() < NEARLY_FULL {
            self.causes &= !interrupt::RX;
        }
        self.flags &= !flag::RXFF;
        byte.into()
    }

    /// Whether the interrupt has to be raised: a cause is let through that was not before.
    pub fn take_interrupt(&mut self) -> bool {
        let now = self.causes & self.let_through;
        let news = now & !self.known;
        self.known = now;
        news != 0
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}

/// The bits of a register that an access of `1 << size` bytes concerns.
fn bits_of(size: u8) -> u32 {
    match size {
        0 => 0xff,
        1 => 0xffff,
        _ => u32::MAX,
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Gives a domain a UART, where the virtual board has it.
    pub(crate) fn give_uart(&self, domain: &Domain<M>) {
        domain.uart.call_once(|| Mutex::new(Uart::new()));
    }

    pub(crate) fn uart_read(&self, domain: &Arc<Domain<M>>, offset: u32, size: u8) -> Result<u32, Unhandled> {
        let mut uart = domain.uart.get().ok_or(Unhandled)?.lock();
        let value = uart.read(offset, size)?;
        self.follow_uart(domain, uart);
        Ok(value)
    }

    pub(crate) fn uart_write(
        &self,
        domain: &Arc<Domain<M>>,
        offset: u32,
        size: u8,
        value: u32,
    ) -> Result<(), Unhandled> {
        let mut uart = domain.uart.get().ok_or(Unhandled)?.lock();
        if let Some(byte) = uart.write(offset, size, value)? {
            self.uart_output(domain, byte);
        }
        self.follow_uart(domain, uart);
        Ok(())
    }

    /// Hands a domain with a UART what was typed; false if it has none.
    pub(crate) fn uart_typed(&self, domain: &Arc<Domain<M>>, bytes: impl Iterator<Item = u8>) -> bool {
        let Some(uart) = domain.uart.get() else { return false };
        let mut uart = uart.lock();
        bytes.for_each(|byte| uart.typed(byte));
        self.follow_uart(domain, uart);
        true
    }

    /// Raises the interrupt if it is to be, with the device let go.
    fn follow_uart(&self, domain: &Arc<Domain<M>>, mut uart: MutexGuard<'_, Uart>) {
        let raise = uart.take_interrupt();
        drop(uart);
        if raise {
            self.inject_spi(domain, layout::VPL011_SPI);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: u8 = 2;

    fn flags(uart: &mut Uart) -> u32 {
        uart.read(register::FR, WORD).unwrap()
    }

    #[test]
    fn what_is_typed_is_read_in_order_and_then_nothing() {
        let mut uart = Uart::new();
        assert_eq!(flags(&mut uart), flag::RXFE | flag::TXFE);
        uart.typed(b'a');
        uart.typed(0xff);
        assert_eq!(flags(&mut uart), flag::TXFE);
        assert_eq!(uart.read(register::DR, WORD), Ok(u32::from(b'a')));
        assert_eq!(uart.read(register::DR, 0), Ok(0xff));
        assert_eq!(flags(&mut uart) & flag::RXFE, flag::RXFE);
        assert_eq!(uart.read(register::DR, WORD), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_lost_and_the_full_queue_says_so() {
        let mut uart = Uart::new();
        for n in 0..INPUT {
            assert_eq!(flags(&mut uart) & flag::RXFF, 0);
            assert_eq!(uart.read(register::RIS, WORD).unwrap() & interrupt::RX != 0, n >= NEARLY_FULL);
            uart.typed(n as u8);
        }
        uart.typed(0x77);
        assert_eq!(flags(&mut uart) & flag::RXFF, flag::RXFF);
        for n in 0..INPUT {
            assert_eq!(uart.read(register::DR, WORD), Ok(n as u32 & 0xff));
            assert_eq!(flags(&mut uart) & flag::RXFF, 0);
        }
        assert_eq!(uart.read(register::RIS, WORD).unwrap() & (interrupt::RX | interrupt::RT), 0);
    }

    #[test]
    fn output_comes_out_and_there_is_always_room_for_more() {
        let mut uart = Uart::new();
        assert_eq!(uart.write(register::DR, WORD, 0x1234_5678), Ok(Some(0x78)));
        assert_eq!(flags(&mut uart), flag::RXFE);
        assert_eq!(uart.read(register::RIS, WORD), Ok(interrupt::TX));
    }

    #[test]
    fn a_cause_raises_the_interrupt_once_until_it_was_gone() {
        let mut uart = Uart::new();
        uart.typed(b'x');
        assert!(!uart.take_interrupt(), "nothing is let through");
        uart.write(register::IMSC, WORD, interrupt::RT).unwrap();
        assert!(uart.take_interrupt() && !uart.take_interrupt());
        uart.typed(b'y');
        assert!(!uart.take_interrupt(), "it is up already");
        uart.write(register::ICR, WORD, interrupt::RT).unwrap();
        assert_eq!((uart.read(register::MIS, WORD), uart.take_interrupt()), (Ok(0), false));
        uart.typed(b'z');
        assert!(uart.take_interrupt());
        uart.write(register::IMSC, WORD, 0).unwrap();
        assert!(!uart.take_interrupt());
        uart.write(register::IMSC, WORD, u32::MAX).unwrap();
        assert!(uart.take_interrupt());
    }

    #[test]
    fn accesses_narrower_than_the_register_concern_their_bits_only() {
        let mut uart = Uart::new();
        uart.write(register::IMSC, WORD, 0xffff_ffff).unwrap();
        uart.write(register::IMSC, 0, 0).unwrap();
        assert_eq!(uart.read(register::IMSC, WORD), Ok(0xffff_ff00));
        assert_eq!(uart.read(register::IMSC, 1), Ok(0xff00));
    }

    #[test]
    fn what_is_not_there_or_too_wide_is_refused() {
        let mut uart = Uart::new();
        for offset in [0x1, 0x8, 0x19, 0x24, 0x2c, 0x30, 0x34, register::ICR, 0x48, 0xfe0, u32::MAX] {
            assert_eq!(uart.read(offset, WORD), Err(Unhandled), "{offset:#x}");
        }
        for offset in [0x1, 0x8, 0x19, 0x24, 0x2c, 0x30, 0x34, 0x48, 0xfe0, u32::MAX] {
            assert_eq!(uart.write(offset, WORD, 0), Err(Unhandled), "{offset:#x}");
        }
        assert_eq!(uart.read(register::FR, DOUBLE_WORD), Err(Unhandled));
        assert_eq!(uart.write(register::DR, DOUBLE_WORD, 0), Err(Unhandled));
        for offset in [register::FR, register::RIS, register::MIS, register::RSR] {
            assert_eq!(uart.write(offset, WORD, u32::MAX), Ok(None), "ignored at {offset:#x}");
        }
        assert_eq!(flags(&mut uart), flag::RXFE | flag::TXFE);
    }
}
