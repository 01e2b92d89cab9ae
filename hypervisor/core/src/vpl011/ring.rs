//! The page through which a UART's bytes come from a console daemon and go to it
//! ([`console::XenconsInterface`]).
//!
//! With a daemon it is memory of the guest's that the daemon's domain maps: either may write anything
//! into it at any time. What its indexes say is read once for each use, and never means more bytes than the
//! queue has.

use core::mem::offset_of;

use xen_abi::{
    EvtchnPort, Mfn,
    io::console::{IN_SIZE, OUT_SIZE, XenconsInterface},
};

use crate::machine::Machine;

/// The page, and how the other end is told.
pub(super) struct Ring {
    /// Held.
    pub page: Mfn,
    /// The hypervisor's, in the guest's name, when the other end is a daemon.
    pub port: Option<EvtchnPort>,
}

/// One of the two queues of bytes.
pub(super) struct Queue {
    bytes: usize,
    /// A power of two.
    size: u32,
    /// Where the two indexes are: up to where bytes were taken, and, in the next word, put.
    cons: usize,
}

/// Towards the guest.
pub(super) const INPUT: Queue = Queue {
    bytes: offset_of!(XenconsInterface, input),
    size: IN_SIZE as u32,
    cons: offset_of!(XenconsInterface, in_cons),
};
/// From the guest.
pub(super) const OUTPUT: Queue = Queue {
    bytes: offset_of!(XenconsInterface, output),
    size: OUT_SIZE as u32,
    cons: offset_of!(XenconsInterface, out_cons),
};

impl Queue {
    /// The indexes, taken and put, and how many bytes wait.
    #[hot]
    fn look<M: Machine>(&self, machine: &M, page: Mfn) -> (u32, u32, u32) {
        let both = machine.load64(page, self.cons);
        let (cons, prod) = (both as u32, (both >> u32::BITS) as u32);
        (cons, prod, self.waiting(prod, cons))
    }

    /// How many bytes wait, however far apart the indexes are: no more than there is room for.
    fn waiting(&self, prod: u32, cons: u32) -> u32 {
        match prod.wrapping_sub(cons) {
            0 => 0,
            apart => ((apart - 1) & (self.size - 1)) + 1,
        }
    }

    /// Where the byte of an index is.
    fn at(&self, index: u32) -> usize {
        self.bytes + (index & (self.size - 1)) as usize
    }
}

impl Ring {
    /// How many bytes wait for the guest, and how many for the daemon.
    pub fn levels<M: Machine>(&self, machine: &M) -> (u32, u32) {
        let level = |queue: &Queue| queue.look(machine, self.page).2;
        (level(&INPUT), level(&OUTPUT))
    }

    /// Takes the oldest byte for the guest, 0 when there is none; tells how many wait still.
    pub fn take<M: Machine>(&self, machine: &M) -> (u8, u32) {
        let (cons, _, waiting) = INPUT.look(machine, self.page);
        let Some(left) = waiting.checked_sub(1) else { return (0, 0) };
        let byte = machine.read_value(self.page, INPUT.at(cons));
        machine.store32(self.page, INPUT.cons, cons.wrapping_add(1));
        (byte, left)
    }

    /// Puts a byte into a queue, and tells how many wait then. Nothing happens when there is no room.
    #[hot]
    #[inline(never)]
    pub fn put<M: Machine>(&self, machine: &M, queue: &Queue, byte: u8) -> Option<u32> {
        let (_, prod, waiting) = queue.look(machine, self.page);
        if waiting == queue.size {
            return None;
        }
        machine.write_frame(self.page, queue.at(prod), &[byte]);
        machine.store32(self.page, queue.cons + size_of::<u32>(), prod.wrapping_add(1));
        Some(waiting + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_holds_no_more_than_it_has_room_for() {
        let size = INPUT.size;
        assert_eq!(INPUT.waiting(7, 7), 0);
        assert_eq!(INPUT.waiting(8, 7), 1);
        assert_eq!(INPUT.waiting(3, u32::MAX - 4), 8);
        assert_eq!(INPUT.waiting(size, 0), size);
        assert_eq!(INPUT.waiting(size + 1, 0), 1);
        assert_eq!(INPUT.waiting(7, 8), size - 1);
        assert_eq!(OUTPUT.waiting(0x8000_0000, 0), OUTPUT.size);
    }
}
