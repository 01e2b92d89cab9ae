//! An emulated UART: Arm's "SBSA generic UART", a PL011 without its line settings.
//!
//! [`Uart`] is the device as a state machine: register accesses and typed bytes go in, output and
//! the state of its interrupt line come out. It behaves as that of Xen 4.17: its receive queue is
//! as long as a console ring, its transmit queue as long as what is behind it takes, and because virtual interrupts are
//! edges, its interrupt is raised whenever a cause comes up that was not up before.
//!
//! What the other end is depends on who built the guest. If the toolstack did, it is a console daemon,
//! with which a [`Ring`] is shared. If the hypervisor did, from the device tree, it is the hypervisor's
//! console: what is typed there goes into a ring that nobody else sees, and output straight to it.

mod ring;

use alloc::sync::Arc;

use lock::{Mutex, MutexGuard};
use xen_abi::{Domid, Errno, EvtchnPort, Gfn, io::console};

use crate::{Hypervisor, domain::Domain, machine::Machine, vgic::Unhandled};
use ring::Ring;

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
    /// Sending; for a UART without line settings, as long as no more can be sent.
    pub const BUSY: u32 = 1 << 3;
    /// Nothing to read.
    pub const RXFE: u32 = 1 << 4;
    /// No more can be sent.
    pub const TXFF: u32 = 1 << 5;
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
const INPUT: u32 = console::IN_SIZE as u32;
/// Half of the queues that the device would have.
const HALF: u32 = 16;
/// With so many bytes of input the queue is nearly full.
const NEARLY_FULL: u32 = INPUT - HALF;
/// Bytes of output that wait for a daemon.
const OUTPUT: u32 = console::OUT_SIZE as u32;
/// The longest line that is put together, as Xen cuts them.
pub(crate) const LINE: usize = 126;
/// The first shared interrupt.
const FIRST_SPI: u32 = 32;
/// Size of an access that no register takes: 64 bits.
const DOUBLE_WORD: u8 = 3;

/// The device.
pub struct Uart {
    flags: u32,
    causes: u32,
    let_through: u32,
    /// The causes that were let through when the interrupt was last looked at.
    known: u32,
    ring: Ring,
}

impl Uart {
    /// A device that has nothing to tell.
    fn new(ring: Ring) -> Self {
        Self { flags: flag::TXFE | flag::RXFE, causes: 0, let_through: 0, known: 0, ring }
    }

    /// A guest reads `1 << size` bytes.
    ///
    /// # Errors
    ///
    /// There is no such register, or it cannot be read so.
    pub fn read<M: Machine>(&mut self, machine: &M, offset: u32, size: u8) -> Result<u32, Unhandled> {
        if size >= DOUBLE_WORD {
            return Err(Unhandled);
        }
        let value = match offset {
            register::DR => self.receive(machine),
            register::RSR => 0,
            register::FR => self.flags,
            register::IMSC => self.let_through,
            register::RIS => self.causes,
            register::MIS => self.causes & self.let_through,
            _ => return Err(Unhandled),
        };
        Ok(value & bits_of(size))
    }

    /// A guest writes `1 << size` bytes; gives the byte that it sends to the hypervisor's console, if it
    /// does.
    ///
    /// # Errors
    ///
    /// There is no such register, or it cannot be written so.
    pub fn write<M: Machine>(
        &mut self,
        machine: &M,
        offset: u32,
        size: u8,
        value: u32,
    ) -> Result<Option<u8>, Unhandled> {
        if matches!(offset, register::FR | register::RIS | register::MIS) {
            return Ok(None);
        }
        if size >= DOUBLE_WORD {
            return Err(Unhandled);
        }
        let mask = bits_of(size);
        match offset {
            register::DR => return Ok(self.send(machine, value as u8)),
            register::RSR => {}
            register::IMSC => self.let_through = self.let_through & !mask | value & mask,
            register::ICR => self.causes &= !(value & mask),
            _ => return Err(Unhandled),
        }
        Ok(None)
    }

    /// Takes a byte for the guest from the hypervisor's console; it is lost when too many wait.
    pub fn typed<M: Machine>(&mut self, machine: &M, byte: u8) {
        if self.ring.put(machine, &ring::INPUT, byte).is_some() {
            self.notified(machine);
        }
    }

    /// The other end has put bytes into the ring, or taken some out.
    #[hot]
    fn notified<M: Machine>(&mut self, machine: &M) {
        let (input, output) = self.ring.levels(machine);
        self.came(input);
        self.left(output);
    }

    /// So many bytes of input wait now.
    fn came(&mut self, waiting: u32) {
        if waiting > 0 {
            self.flags &= !flag::RXFE;
            self.causes |= interrupt::RT;
        }
        if waiting == INPUT {
            self.flags |= flag::RXFF;
        }
        if waiting >= NEARLY_FULL {
            self.causes |= interrupt::RX;
        }
    }

    /// So many bytes of output wait still.
    fn left(&mut self, waiting: u32) {
        if waiting < OUTPUT {
            self.flags &= !(flag::TXFF | flag::BUSY);
            self.queued(waiting);
        }
        if waiting == 0 {
            self.flags |= flag::TXFE;
        }
    }

    /// Whether there is room for what a guest sends at a time.
    fn queued(&mut self, waiting: u32) {
        if waiting <= OUTPUT - HALF {
            self.causes |= interrupt::TX;
        } else {
            self.causes &= !interrupt::TX;
        }
    }

    /// Sends a byte; gives it back if it is for the hypervisor's console.
    fn send<M: Machine>(&mut self, machine: &M, byte: u8) -> Option<u8> {
        self.flags &= !flag::TXFE;
        if self.ring.port.is_none() {
            self.queued(0);
            return Some(byte);
        }
        // When the ring is full the guest has been told, and what it sends all the same is lost.
        if let Some(waiting) = self.ring.put(machine, &ring::OUTPUT, byte) {
            if waiting == OUTPUT {
                self.flags |= flag::TXFF | flag::BUSY;
            }
            self.queued(waiting);
        }
        None
    }

    /// The oldest byte that waits; 0 when none does.
    fn receive<M: Machine>(&mut self, machine: &M) -> u32 {
        let (byte, waiting) = self.ring.take(machine);
        if waiting == 0 {
            self.flags |= flag::RXFE;
            self.causes &= !interrupt::RT;
        }
        if waiting < NEARLY_FULL {
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

/// The bits of a register that an access of `1 << size` bytes concerns.
fn bits_of(size: u8) -> u32 {
    match size {
        0 => 0xff,
        1 => 0xffff,
        _ => u32::MAX,
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Gives a domain that has none a UART on the hypervisor's console.
    pub(crate) fn give_uart(&self, domain: &Domain<M>) -> Result<(), Errno> {
        let page = self.frames.alloc(&self.machine, 0).ok_or(Errno::ENOMEM)?;
        set_uart(domain, Ring { page, port: None });
        Ok(())
    }

    /// Gives a domain that never ran a UART whose bytes go through a page of its memory to a daemon in
    /// another domain, which is to connect to the port. The caller holds the control lock.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has one, or has not the page or the interrupt; those of making a port.
    pub(crate) fn connect_uart(
        &self,
        domain: &Arc<Domain<M>>,
        gfn: Gfn,
        daemon: Domid,
    ) -> Result<EvtchnPort, Errno> {
        if domain.uart.is_completed() || domain.config.uart.spi >= FIRST_SPI + domain.config.nr_spis {
            return Err(Errno::EINVAL);
        }
        let page = self.hold_page(domain, gfn).ok_or(Errno::EINVAL)?;
        let port = self.alloc_own_unbound(domain, daemon)?;
        set_uart(domain, Ring { page: page.keep(), port: Some(port) });
        Ok(port)
    }

    /// Lets go of the page that a dying domain's UART used: neither its vCPUs nor, as its port is
    /// closed, the daemon can reach it any more.
    pub(crate) fn disconnect_uart(&self, domain: &Domain<M>) {
        let page = domain.uart.get().map(|uart| uart.lock().ring.page);
        if let Some(page) = page {
            self.frames.let_go(&self.machine, page);
        }
    }

    /// Does a guest's access of `1 << size` bytes: writes a value, or gives what it reads.
    #[inline(never)]
    #[hot]
    pub(crate) fn uart_access(
        &self,
        domain: &Arc<Domain<M>>,
        offset: u32,
        size: u8,
        written: Option<u32>,
    ) -> Result<u32, Unhandled> {
        let mut uart = domain.uart.get().ok_or(Unhandled)?.lock();
        let mut read = 0;
        match written {
            None => read = uart.read(&self.machine, offset, size)?,
            Some(value) => {
                if let Some(byte) = uart.write(&self.machine, offset, size, value)? {
                    self.uart_output(domain, byte);
                }
            }
        }
        let daemon = uart.ring.port.filter(|_| offset == register::DR);
        self.follow_uart(domain, uart);
        if let Some(port) = daemon {
            self.send_own(domain, port);
        }
        Ok(read)
    }

    /// Hands a domain with a UART on the hypervisor's console what was typed; false if it has none.
    pub(crate) fn uart_typed(&self, domain: &Arc<Domain<M>>, bytes: impl Iterator<Item = u8>) -> bool {
        let Some(uart) = domain.uart.get() else { return false };
        let mut uart = uart.lock();
        bytes.for_each(|byte| uart.typed(&self.machine, byte));
        self.follow_uart(domain, uart);
        true
    }

    /// The daemon at the other end sent an event. The lock of its port is held.
    #[cold]
    #[hot]
    pub(crate) fn uart_notified(&self, domain: &Arc<Domain<M>>) {
        if let Some(uart) = domain.uart.get() {
            let mut uart = uart.lock();
            uart.notified(&self.machine);
            self.follow_uart(domain, uart);
        }
    }

    /// Raises the interrupt if it is to be, with the device let go.
    #[inline(never)]
    fn follow_uart(&self, domain: &Arc<Domain<M>>, mut uart: MutexGuard<'_, Uart>) {
        let raise = uart.take_interrupt();
        drop(uart);
        if raise {
            self.inject_spi(domain, domain.config.uart.spi);
        }
    }
}

#[inline(never)]
fn set_uart<M: Machine>(domain: &Domain<M>, ring: Ring) {
    domain.uart.call_once(|| Mutex::new(Uart::new(ring)));
}

#[cfg(test)]
mod tests {
    use xen_abi::{Mfn, io::console::XenconsInterface};

    use super::*;
    use crate::{
        fake::{FakeMachine, GUEST_RAM, control_config, domain, guest_config, hypervisor},
        regs::Arm32Regs,
    };

    type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
    type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

    const WORD: u8 = 2;

    /// A device on the hypervisor's console.
    struct Tested {
        uart: Uart,
        machine: FakeMachine<Arm32Regs>,
    }

    impl Tested {
        fn new() -> Self {
            let ring = Ring { page: crate::fake::RAM_START, port: None };
            Self { uart: Uart::new(ring), machine: FakeMachine::new(1, 1) }
        }

        fn read(&mut self, offset: u32, size: u8) -> Result<u32, Unhandled> {
            self.uart.read(&self.machine, offset, size)
        }

        fn write(&mut self, offset: u32, size: u8, value: u32) -> Result<Option<u8>, Unhandled> {
            self.uart.write(&self.machine, offset, size, value)
        }

        fn typed(&mut self, byte: u8) {
            self.uart.typed(&self.machine, byte);
        }

        fn take_interrupt(&mut self) -> bool {
            self.uart.take_interrupt()
        }
    }

    fn flags(uart: &mut Tested) -> u32 {
        uart.read(register::FR, WORD).unwrap()
    }

    /// A guest whose UART ends in its second page, and the hypervisor.
    fn connected() -> (Hv, Dom) {
        let hv = hypervisor(256, 1);
        let guest = domain(&hv, 1, guest_config(), 2);
        hv.connect_uart(&guest, PAGE, Domid(0)).unwrap();
        (hv, guest)
    }

    const PAGE: Gfn = Gfn(GUEST_RAM.0 + 1);
    const IN_PROD: usize = core::mem::offset_of!(XenconsInterface, in_prod);
    const OUT_CONS: usize = core::mem::offset_of!(XenconsInterface, out_cons);
    const OUT_PROD: usize = core::mem::offset_of!(XenconsInterface, out_prod);
    const OUTPUT_AT: usize = core::mem::offset_of!(XenconsInterface, output);

    fn page(hv: &Hv, guest: &Dom) -> Mfn {
        guest.p2m(hv.mem()).lookup(PAGE).expect("RAM").mfn
    }

    fn put(hv: &Hv, guest: &Dom, index: usize, value: u32) {
        hv.machine.store32(page(hv, guest), index, value);
        hv.uart_notified(guest);
    }

    fn reads(hv: &Hv, guest: &Dom, offset: u32) -> u32 {
        hv.uart_access(guest, offset, WORD, None).unwrap()
    }

    fn writes(hv: &Hv, guest: &Dom, byte: u32) {
        hv.uart_access(guest, register::DR, WORD, Some(byte)).unwrap();
    }

    #[test]
    fn a_daemon_gets_what_is_sent_and_makes_room_for_more() {
        let (hv, guest) = connected();
        let ready = flag::RXFE | flag::TXFE;
        assert_eq!(reads(&hv, &guest, register::FR), ready);
        for n in 0..OUTPUT {
            assert_eq!(reads(&hv, &guest, register::FR) & (flag::TXFF | flag::BUSY), 0);
            writes(&hv, &guest, n);
            let room = reads(&hv, &guest, register::RIS) & interrupt::TX != 0;
            assert_eq!(room, n < OUTPUT - HALF, "byte {n}");
        }
        let full = flag::RXFE | flag::TXFF | flag::BUSY;
        assert_eq!(reads(&hv, &guest, register::FR), full);
        writes(&hv, &guest, 0x77);
        let sent: XenconsInterface = hv.machine.read_value(page(&hv, &guest), 0);
        assert_eq!((sent.out_prod, sent.output[0], sent.output[OUTPUT as usize - 1]), (OUTPUT, 0, 0xff));
        hv.uart_notified(&guest);
        assert_eq!(reads(&hv, &guest, register::FR), full, "nothing was taken");
        put(&hv, &guest, OUT_CONS, 1);
        assert_eq!(reads(&hv, &guest, register::FR), flag::RXFE);
        put(&hv, &guest, OUT_CONS, OUTPUT);
        assert_eq!(reads(&hv, &guest, register::FR), ready);
        assert_eq!(reads(&hv, &guest, register::RIS), interrupt::TX);
    }

    #[test]
    fn what_a_daemon_puts_is_read_in_order() {
        let (hv, guest) = connected();
        hv.machine.write_frame(page(&hv, &guest), 0, b"ab");
        put(&hv, &guest, IN_PROD, 2);
        assert_eq!(reads(&hv, &guest, register::RIS), interrupt::RT | interrupt::TX);
        assert_eq!([(); 2].map(|()| reads(&hv, &guest, register::DR)), [0x61, 0x62]);
        assert_eq!(reads(&hv, &guest, register::FR) & flag::RXFE, flag::RXFE);
        assert_eq!(reads(&hv, &guest, register::DR), 0);
        put(&hv, &guest, IN_PROD, 2 + INPUT);
        assert_eq!(reads(&hv, &guest, register::FR) & (flag::RXFE | flag::RXFF), flag::RXFF);
        assert_eq!(reads(&hv, &guest, register::RIS) & interrupt::RX, interrupt::RX);
    }

    #[test]
    fn indexes_far_apart_mean_bytes_of_the_queue_and_no_more() {
        let (hv, guest) = connected();
        put(&hv, &guest, OUT_PROD, u32::MAX);
        put(&hv, &guest, OUT_CONS, 5);
        writes(&hv, &guest, 0x61);
        let last = OUTPUT_AT + OUTPUT as usize - 1;
        assert_eq!(hv.machine.read_value::<u8>(page(&hv, &guest), last), 0x61);
        assert_eq!(hv.machine.load32(page(&hv, &guest), OUT_PROD), 0);
        put(&hv, &guest, IN_PROD, 0x8000_0007);
        for _ in 0..7 {
            assert_eq!(reads(&hv, &guest, register::FR) & flag::RXFE, 0);
            reads(&hv, &guest, register::DR);
        }
        assert_eq!(reads(&hv, &guest, register::FR) & flag::RXFE, flag::RXFE);
    }

    #[test]
    fn a_domain_has_one_uart_and_only_with_a_page_and_an_interrupt() {
        let (hv, guest) = connected();
        let fails = |domain: &Dom, gfn| hv.connect_uart(domain, gfn, Domid(0)) == Err(Errno::EINVAL);
        assert!(fails(&guest, PAGE), "it has one");
        let without = domain(&hv, 2, crate::domain::DomainConfig { nr_spis: 0, ..guest_config() }, 2);
        assert!(fails(&without, PAGE), "no such interrupt");
        let other = domain(&hv, 3, guest_config(), 1);
        assert!(fails(&other, PAGE), "no such page");
        assert!(!guest.is_typed_to());
    }

    #[test]
    fn the_page_is_held_until_the_domain_ends() {
        let hv: Hv = hypervisor(512, 1);
        let _dom0 = domain(&hv, 0, control_config(), 1);
        let before = hv.frames.free();
        let guest = domain(&hv, 1, guest_config(), 2);
        hv.connect_uart(&guest, PAGE, Domid(0)).unwrap();
        guest.p2m(hv.mem()).unmap(PAGE, crate::p2m::Ram::Free).unwrap();
        writes(&hv, &guest, 0x61);
        assert_eq!(guest.account.owned(), 2, "its own still");
        assert!(hv.destroy_domain(&guest, &mut || false));
        drop(guest);
        assert_eq!(hv.frames.free(), before);
    }

    #[test]
    fn what_is_typed_is_read_in_order_and_then_nothing() {
        let mut uart = Tested::new();
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
        let mut uart = Tested::new();
        for n in 0..INPUT {
            assert_eq!(flags(&mut uart) & flag::RXFF, 0);
            assert_eq!(uart.read(register::RIS, WORD).unwrap() & interrupt::RX != 0, n >= NEARLY_FULL);
            uart.typed(n as u8);
        }
        uart.typed(0x77);
        assert_eq!(flags(&mut uart) & flag::RXFF, flag::RXFF);
        for n in 0..INPUT {
            assert_eq!(uart.read(register::DR, WORD), Ok(n & 0xff));
            assert_eq!(flags(&mut uart) & flag::RXFF, 0);
        }
        assert_eq!(uart.read(register::RIS, WORD).unwrap() & (interrupt::RX | interrupt::RT), 0);
    }

    #[test]
    fn output_comes_out_and_there_is_always_room_for_more() {
        let mut uart = Tested::new();
        assert_eq!(uart.write(register::DR, WORD, 0x1234_5678), Ok(Some(0x78)));
        assert_eq!(flags(&mut uart), flag::RXFE);
        assert_eq!(uart.read(register::RIS, WORD), Ok(interrupt::TX));
    }

    #[test]
    fn a_cause_raises_the_interrupt_once_until_it_was_gone() {
        let mut uart = Tested::new();
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
        let mut uart = Tested::new();
        uart.write(register::IMSC, WORD, 0xffff_ffff).unwrap();
        uart.write(register::IMSC, 0, 0).unwrap();
        assert_eq!(uart.read(register::IMSC, WORD), Ok(0xffff_ff00));
        assert_eq!(uart.read(register::IMSC, 1), Ok(0xff00));
    }

    #[test]
    fn what_is_not_there_or_too_wide_is_refused() {
        let mut uart = Tested::new();
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
