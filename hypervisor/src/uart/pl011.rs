//! ARM PL011 and its SBSA subset (ARM DDI 0183).

use crate::mmio::Registers;

/// Its registers.
pub type Block = Registers<0x1000>;

const DR: usize = 0x00;
const FR: usize = 0x18;
const CR: usize = 0x30;
const IFLS: usize = 0x34;
const IMSC: usize = 0x38;
const ICR: usize = 0x44;

const FR_RX_EMPTY: u32 = 1 << 4;
const FR_TX_FULL: u32 = 1 << 5;
/// CR: receiver, transmitter, UART on.
const CR_ON: u32 = 1 << 9 | 1 << 8 | 1;
/// IFLS: receive interrupt from an eighth of the FIFO on.
const IFLS_EARLY: u32 = 0;
/// Receive, receive timeout.
const RX_INTERRUPTS: u32 = 1 << 4 | 1 << 6;
const ALL_INTERRUPTS: u32 = 0x7ff;

/// The serial port.
#[derive(Clone, Copy)]
pub struct Pl011 {
    registers: Block,
}

impl Pl011 {
    /// Takes over a port that the firmware has set up: line speed and format stay.
    ///
    /// `sbsa` ones have neither control nor FIFO level registers.
    pub fn new(registers: Block, sbsa: bool) -> Self {
        registers.write(IMSC, 0);
        registers.write(ICR, ALL_INTERRUPTS);
        if !sbsa {
            registers.write(IFLS, IFLS_EARLY);
            registers.write(CR, registers.read(CR) | CR_ON);
        }
        Self { registers }
    }

    /// Sends a byte as soon as the FIFO has room.
    pub fn send(&self, byte: u8) {
        while self.registers.read(FR) & FR_TX_FULL != 0 {
            core::hint::spin_loop();
        }
        self.registers.write(DR, byte.into());
    }

    /// Takes a received byte.
    pub fn receive(&self) -> Option<u8> {
        (self.registers.read(FR) & FR_RX_EMPTY == 0).then(|| self.registers.read(DR) as u8)
    }

    /// Interrupts on reception from now on.
    pub fn listen(&self) {
        self.registers.write(IMSC, RX_INTERRUPTS);
    }

    /// Acknowledges the interrupt, before what was received is taken.
    pub fn acknowledge(&self) {
        self.registers.write(ICR, RX_INTERRUPTS);
    }
}
