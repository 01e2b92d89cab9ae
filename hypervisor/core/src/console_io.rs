//! The hypervisor's console: output of domains that may write to it, and who gets what is typed.

use alloc::vec::Vec;
use core::{
    fmt::{self, Write as _},
    iter,
};

use lock::RareMutex;
use xen_abi::{Domid, Errno, console_io::op, xen::virq};

use crate::{
    Hypervisor,
    current::Current,
    domain::Domain,
    hypercall::{Args, HypercallResult, Stop},
    machine::Machine,
    vpl011,
};

/// Bytes written between two questions whether to stop.
const CHUNK: usize = 128;
/// The longest line of a domain that is put together.
const LINE: usize = 200;
/// Room for what says whose a line is.
const PREFIX: usize = 24;
/// Bytes of input that wait for the domain; a power of two.
const INPUT: usize = 128;
/// How often the switch character has to be typed.
const SWITCH_AFTER: u32 = 3;
/// What Ctrl leaves of a letter.
const CONTROL: u8 = 0x1f;

/// Who gets what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// A domain.
    Domain(Domid),
    /// The hypervisor: keys are commands.
    Hypervisor,
}

struct Input {
    bytes: [u8; INPUT],
    /// Free running.
    produced: usize,
    consumed: usize,
    focus: Focus,
    /// Switch characters typed in a row.
    held: u32,
}

/// What is typed on the serial line.
pub struct ConsoleInput(RareMutex<Input>);

impl ConsoleInput {
    pub(crate) const fn new(focus: Focus) -> Self {
        let bytes = [0; INPUT];
        Self(RareMutex::new(Input { bytes, produced: 0, consumed: 0, focus, held: 0 }))
    }
}

impl Input {
    /// Keeps a byte for the domain; it is lost when too many wait.
    fn push(&mut self, byte: u8) {
        if self.produced - self.consumed < INPUT {
            self.bytes[self.produced % INPUT] = byte;
            self.produced += 1;
        }
    }

    /// Takes what has come, up to the end of the ring.
    fn pop(&mut self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.produced - self.consumed);
        for byte in &mut to[..len] {
            *byte = self.bytes[self.consumed % INPUT];
            self.consumed += 1;
        }
        len
    }

    /// Takes a byte that was typed. The switch character is held back until it is known that it was
    /// not meant to switch.
    fn typed(&mut self, byte: u8, switch: u8) -> Typed {
        if byte == switch {
            self.held += 1;
            if self.held < SWITCH_AFTER {
                return Typed::Nothing;
            }
            self.held = 0;
            return Typed::Switch(self.focus);
        }
        let held = core::mem::take(&mut self.held);
        match self.focus {
            Focus::Hypervisor => Typed::Key(byte),
            Focus::Domain(Domid(0)) => {
                (0..held).for_each(|_| self.push(switch));
                self.push(byte);
                Typed::Input
            }
            Focus::Domain(id) => Typed::Guest(id, held),
        }
    }
}

/// What a byte that was typed came to.
enum Typed {
    Nothing,
    /// Somebody else than this one is to listen.
    Switch(Focus),
    Key(u8),
    /// Dom0 has something to read.
    Input,
    /// It is for that domain's UART, after so many switch characters that were none.
    Guest(Domid, u32),
}

/// Serves `console_io(command, count, at)`.
pub fn console_io<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    if !(cur.domain.is_control() || cur.domain.config.console) {
        return Err(Errno::EPERM.into());
    }
    let (count, at) = (args[1] as u32, args[2]);
    match args[0] as u32 {
        op::WRITE => cur.console_write(count, at),
        op::READ => cur.console_read(count, at),
        _ => Err(Errno::ENOSYS.into()),
    }
}

impl<M: Machine> Current<'_, M> {
    fn console_write(&self, count: u32, at: u64) -> HypercallResult {
        let mut left = count as usize;
        let mut at = at;
        let mut chunk = [0; CHUNK];
        while left > 0 {
            if left < count as usize && self.must_stop() {
                return Err(Stop::Preempted([op::WRITE.into(), left as u64, at, 0, 0]));
            }
            let text = &mut chunk[..left.min(CHUNK)];
            self.copy_from_guest(at, text)?;
            self.hv.print(self.domain, text);
            left -= text.len();
            at += text.len() as u64;
        }
        Ok(0)
    }

    fn console_read(&self, count: u32, at: u64) -> HypercallResult {
        if i32::try_from(count).is_err() {
            return Err(Errno::E2BIG.into());
        }
        // What was typed is dom0's, whoever else has a console. Xen 4.17 gives it to the first that asks.
        if !self.domain.is_hardware() {
            return Ok(0);
        }
        let mut done = 0;
        while done < count as usize {
            let mut chunk = [0; INPUT];
            let wanted = INPUT.min(count as usize - done);
            let len = self.hv.console.0.lock().pop(&mut chunk[..wanted]);
            if len == 0 {
                break;
            }
            self.copy_to_guest(at.checked_add(done as u64).ok_or(Errno::EFAULT)?, &chunk[..len])?;
            done += len;
        }
        Ok(done as u64)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Writes a domain's text. The hardware domain's may be a dialogue and goes out as it is; others'
    /// is put together into lines that say whose they are.
    fn print(&self, domain: &Domain<M>, text: &[u8]) {
        if domain.is_hardware() {
            self.machine.console_write(text);
            if self.options.console_to_ring {
                self.log.write(text);
            }
            return;
        }
        let mut line = domain.console_line.lock();
        for byte in text {
            self.print_byte(format_args!("({}) ", domain.id), &mut line, LINE, *byte);
        }
    }

    /// Writes a byte of a domain's UART. Who listens to the keyboard may be in a dialogue, and is
    /// shown as it is; others are shown line by line.
    pub(crate) fn uart_output(&self, domain: &Domain<M>, byte: u8) {
        let mut line = domain.console_line.lock();
        if self.console.0.lock().focus == Focus::Domain(domain.id) {
            self.show(b"", &mut line, byte);
        } else {
            self.print_byte(format_args!("(XEN) DOM{}: ", domain.id.0), &mut line, vpl011::LINE, byte);
        }
    }

    /// Adds a byte to a line of at most `most`, and shows it when it ends, behind `whose`.
    fn print_byte(&self, whose: fmt::Arguments<'_>, line: &mut Vec<u8>, most: usize, byte: u8) {
        match byte {
            b'\n' => self.end_line(whose, line),
            b'\t' | b' '..=b'~' => {
                if line.len() == most {
                    self.end_line(whose, line);
                }
                if line.try_reserve(1).is_ok() {
                    line.push(byte);
                }
            }
            _ => {}
        }
    }

    fn end_line(&self, whose: fmt::Arguments<'_>, line: &mut Vec<u8>) {
        let mut prefix = heapless::String::<PREFIX>::new();
        let _ = prefix.write_fmt(whose);
        self.show(prefix.as_bytes(), line, b'\n');
    }

    #[inline(never)]
    fn show(&self, before: &[u8], line: &mut Vec<u8>, after: u8) {
        for part in [before, line, &[after]] {
            self.machine.console_write(part);
            self.log.write(part);
        }
        line.clear();
    }

    /// A byte came in on the serial line.
    pub fn console_input(&self, byte: u8) {
        let switch = self.options.conswitch & CONTROL;
        let typed = self.console.0.lock().typed(byte, switch);
        match typed {
            Typed::Nothing => {}
            Typed::Switch(focus) => self.switch_input(focus),
            Typed::Key(key) => self.key_pressed(key),
            Typed::Input => self.send_global_virq(virq::CONSOLE),
            Typed::Guest(id, held) => {
                let bytes = iter::repeat_n(switch, held as usize).chain([byte]);
                let domain = self.domains.get(id);
                if !domain.is_some_and(|domain| self.uart_typed(&domain, bytes)) {
                    log::warn!("DOM{} has no UART to type to", id.0);
                }
            }
        }
    }

    /// Lets the next one listen: after dom0 the guests with a UART, then the hypervisor.
    fn switch_input(&self, focus: Focus) {
        let next = match focus {
            Focus::Hypervisor => Focus::Domain(Domid(0)),
            Focus::Domain(id) => {
                let guests = self.domains.iter().filter(|domain| domain.is_typed_to());
                let next = guests.map(|domain| domain.id).find(|other| *other > id);
                next.map_or(Focus::Hypervisor, Focus::Domain)
            }
        };
        self.console.0.lock().focus = next;
        self.announce_focus(next);
    }

    /// Says who gets what is typed.
    pub fn announce_focus(&self, focus: Focus) {
        let letter = char::from(self.options.conswitch);
        match focus {
            Focus::Domain(id) => {
                log::info!(
                    "*** Serial input to DOM{} (type 'CTRL-{letter}' three times to switch input)",
                    id.0
                );
            }
            Focus::Hypervisor => {
                log::info!("*** Serial input to Xen (type 'CTRL-{letter}' three times to switch input)");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::DomainConfig,
        fake::{FakeMachine, control_config, domain, guest_config, hypervisor},
        regs::Arm32Regs,
    };

    /// A guest from the device tree.
    fn built_here() -> DomainConfig {
        DomainConfig { console: true, ..guest_config() }
    }

    fn type_all(input: &mut Input, text: &[u8]) {
        for byte in text {
            input.typed(*byte, 1);
        }
    }

    #[test]
    fn three_switches_in_a_row_change_who_listens_and_two_do_not() {
        let input = ConsoleInput::new(Focus::Domain(Domid(0)));
        let mut input = input.0.lock();
        type_all(&mut input, b"\x01\x01a\x01\x01");
        assert!(matches!(input.typed(1, 1), Typed::Switch(Focus::Domain(Domid(0)))));
        input.focus = Focus::Hypervisor;
        assert!(matches!(input.typed(b'h', 1), Typed::Key(b'h')));
        type_all(&mut input, b"\x01\x01");
        assert!(matches!(input.typed(1, 1), Typed::Switch(Focus::Hypervisor)));
        input.focus = Focus::Domain(Domid(0));
        input.typed(b'b', 1);
        let mut text = [0; 8];
        let len = input.pop(&mut text);
        assert_eq!(&text[..len], b"\x01\x01ab");
    }

    #[test]
    fn the_switch_goes_round_dom0_guests_with_a_uart_and_the_hypervisor() {
        let hv: Hypervisor<FakeMachine<Arm32Regs>> = hypervisor(256, 1);
        let _dom0 = domain(&hv, 0, control_config(), 1);
        let guests = [1, 2, 3].map(|id| domain(&hv, id, built_here(), 1));
        hv.give_uart(&guests[0]).unwrap();
        hv.give_uart(&guests[2]).unwrap();
        let switch = || {
            (0..3).for_each(|_| hv.console_input(1));
            hv.console.0.lock().focus
        };
        let round = [Focus::Domain(Domid(1)), Focus::Domain(Domid(3)), Focus::Hypervisor];
        for focus in round.into_iter().chain([Focus::Domain(Domid(0))]).chain(round) {
            assert_eq!(switch(), focus);
        }
    }

    #[test]
    fn a_guests_uart_is_shown_by_lines_or_as_it_is_and_gets_what_is_typed() {
        const DR: u32 = 0;
        let hv: Hypervisor<FakeMachine<Arm32Regs>> = hypervisor(256, 1);
        let guest = domain(&hv, 1, built_here(), 1);
        hv.give_uart(&guest).unwrap();
        let shown = |text: &[u8]| {
            hv.machine.log(|log| log.console.clear());
            for byte in text {
                hv.uart_access(&guest, DR, 2, Some((*byte).into())).unwrap();
            }
            hv.machine.log(|log| log.console.clone())
        };
        assert_eq!(shown(b"a line\r\n\x1b[ and"), b"(XEN) DOM1: a line\n");
        assert_eq!(shown(&[b'x'; 2 * vpl011::LINE]).iter().filter(|byte| **byte == b'\n').count(), 2);
        (0..3).for_each(|_| hv.console_input(1));
        shown(b"\n");
        assert_eq!(shown(b"\x1b$ "), b"\x1b$ ");
        for byte in b"\x01\x01q" {
            hv.console_input(*byte);
        }
        let read = [(); 4].map(|()| hv.uart_access(&guest, DR, 2, None).unwrap());
        assert_eq!(read, [1, 1, u32::from(b'q'), 0]);
    }

    #[test]
    fn what_nobody_reads_is_lost_at_the_end_not_at_the_beginning() {
        let input = ConsoleInput::new(Focus::Domain(Domid(0)));
        let mut input = input.0.lock();
        for n in 0..300u32 {
            input.typed(b'0' + (n % 10) as u8, 1);
        }
        let mut text = [0; 300];
        assert_eq!(input.pop(&mut text), INPUT);
        assert_eq!(&text[..3], b"012");
        assert_eq!(input.pop(&mut text), 0);
    }
}
