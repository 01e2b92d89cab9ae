//! Event channels (`event_channel.h`).

use crate::types::{Domid, EvtchnPort};

/// Commands of event_channel_op; each takes a pointer to the structure of its name.
pub mod op {
    /// [`super::BindInterdomain`].
    pub const BIND_INTERDOMAIN: u32 = 0;
    /// [`super::BindVirq`].
    pub const BIND_VIRQ: u32 = 1;
    /// [`super::BindPirq`]; ARM has no pirqs.
    pub const BIND_PIRQ: u32 = 2;
    /// [`super::Close`].
    pub const CLOSE: u32 = 3;
    /// [`super::Send`].
    pub const SEND: u32 = 4;
    /// [`super::Status`].
    pub const STATUS: u32 = 5;
    /// [`super::AllocUnbound`].
    pub const ALLOC_UNBOUND: u32 = 6;
    /// [`super::BindIpi`].
    pub const BIND_IPI: u32 = 7;
    /// [`super::BindVcpu`].
    pub const BIND_VCPU: u32 = 8;
    /// [`super::Unmask`].
    pub const UNMASK: u32 = 9;
    /// [`super::Reset`].
    pub const RESET: u32 = 10;
    /// [`super::InitControl`].
    pub const INIT_CONTROL: u32 = 11;
    /// [`super::ExpandArray`].
    pub const EXPAND_ARRAY: u32 = 12;
    /// [`super::SetPriority`].
    pub const SET_PRIORITY: u32 = 13;
    /// [`super::Reset`], as the hypervisor continues it.
    pub const RESET_CONT: u32 = 14;
}

abi! {
    /// Allocates a port in `dom` that only `remote_dom` may connect to.
    pub struct AllocUnbound {
        /// Where; `Domid::SELF` for the caller.
        pub dom: Domid,
        /// Who may connect.
        pub remote_dom: Domid,
        /// Out: the port.
        pub port: EvtchnPort,
    }

    /// Connects a new local port to a remote unbound one.
    pub struct BindInterdomain {
        /// The other domain.
        pub remote_dom: Domid,
        /// Unused.
        pub pad: u16,
        /// Its port.
        pub remote_port: EvtchnPort,
        /// Out: the caller's port, pending from the start.
        pub local_port: EvtchnPort,
    }

    /// Binds a virtual interrupt to a new port.
    pub struct BindVirq {
        /// One of [`crate::xen::virq`].
        pub virq: u32,
        /// Which vCPU; 0 for a global one.
        pub vcpu: u32,
        /// Out: the port.
        pub port: EvtchnPort,
    }

    /// Binds a physical interrupt to a new port.
    pub struct BindPirq {
        /// The interrupt.
        pub pirq: u32,
        /// [`BIND_PIRQ_WILL_SHARE`].
        pub flags: u32,
        /// Out: the port.
        pub port: EvtchnPort,
    }

    /// Makes a port that the domain sends to its own vCPU.
    pub struct BindIpi {
        /// Which vCPU is notified.
        pub vcpu: u32,
        /// Out: the port.
        pub port: EvtchnPort,
    }

    /// Closes a port.
    pub struct Close {
        /// The caller's port.
        pub port: EvtchnPort,
    }

    /// Sends an event to the other end.
    pub struct Send {
        /// The caller's port.
        pub port: EvtchnPort,
    }

    /// Asks what a port is.
    pub struct Status {
        /// Whose port.
        pub dom: Domid,
        /// Unused.
        pub pad: u16,
        /// The port.
        pub port: EvtchnPort,
        /// Out: one of [`status`].
        pub status: u32,
        /// Out: the vCPU it notifies.
        pub vcpu: u32,
        /// Out: a union; see the accessors.
        pub u: [u32; 2],
    }

    /// Chooses the vCPU that a port notifies.
    pub struct BindVcpu {
        /// The caller's port.
        pub port: EvtchnPort,
        /// Which vCPU.
        pub vcpu: u32,
    }

    /// Unmasks a port, raising it again if it is pending.
    pub struct Unmask {
        /// The caller's port.
        pub port: EvtchnPort,
    }

    /// Closes all ports of a domain and goes back to the 2-level ABI.
    pub struct Reset {
        /// Whose.
        pub dom: Domid,
    }

    /// Registers a vCPU's FIFO control block, the first one switching the domain to the FIFO ABI.
    pub struct InitControl {
        /// Page that holds the block.
        pub control_gfn: u64,
        /// Byte offset in it, a multiple of 8.
        pub offset: u32,
        /// Whose block.
        pub vcpu: u32,
        /// Out: [`fifo::LINK_BITS`].
        pub link_bits: u8,
        /// Unused.
        pub pad: [u8; 7],
    }

    /// Adds a page to the FIFO event array.
    pub struct ExpandArray {
        /// The page.
        pub array_gfn: u64,
    }

    /// Sets the FIFO priority of a port.
    pub struct SetPriority {
        /// The caller's port.
        pub port: EvtchnPort,
        /// 0 (first) to 15.
        pub priority: u32,
    }

    /// The old hypercall's argument (`evtchn_op`): the command and a union.
    pub struct Compat {
        /// Command.
        pub cmd: u32,
        /// The union, as long as [`Status`].
        pub u: [u32; 6],
    }

    /// A vCPU's FIFO queues (`evtchn_fifo_control_block`).
    pub struct FifoControlBlock {
        /// Bit q: queue q is not empty.
        pub ready: u32,
        /// Unused.
        pub rsvd: u32,
        /// First port of each queue.
        pub head: [u32; fifo::MAX_QUEUES],
    }
}

/// Flag of [`BindPirq`].
pub const BIND_PIRQ_WILL_SHARE: u32 = 1;

/// States of a port, as [`Status`] gives them.
pub mod status {
    /// Free.
    pub const CLOSED: u32 = 0;
    /// Waits for the other end.
    pub const UNBOUND: u32 = 1;
    /// Connected.
    pub const INTERDOMAIN: u32 = 2;
    /// Physical interrupt.
    pub const PIRQ: u32 = 3;
    /// Virtual interrupt.
    pub const VIRQ: u32 = 4;
    /// Between vCPUs of one domain.
    pub const IPI: u32 = 5;
}

impl Status {
    /// Of an unbound or connected port: the domain at the other end.
    pub const fn remote_dom(&self) -> Domid {
        Domid(self.u[0] as u16)
    }

    /// Of a connected port: the port at the other end.
    pub const fn remote_port(&self) -> EvtchnPort {
        EvtchnPort(self.u[1])
    }

    /// Of a virtual interrupt's port: which one.
    pub const fn virq(&self) -> u32 {
        self.u[0]
    }
}

/// Ports of the 2-level ABI.
pub const NR_CHANNELS_2L: u32 = 4096;

/// The FIFO ABI.
pub mod fifo {
    /// Highest priority.
    pub const PRIORITY_MAX: u32 = 0;
    /// Priority of a new port.
    pub const PRIORITY_DEFAULT: u32 = 7;
    /// Lowest priority.
    pub const PRIORITY_MIN: u32 = 15;
    /// Queues a vCPU has.
    pub const MAX_QUEUES: usize = 16;

    /// Bit number in an event word: event pending.
    pub const PENDING: u32 = 31;
    /// Bit number: event masked.
    pub const MASKED: u32 = 30;
    /// Bit number: word is in a queue.
    pub const LINKED: u32 = 29;
    /// Bit number: the guest is unlinking or unmasking it.
    pub const BUSY: u32 = 28;
    /// How many low bits of a word name the next port.
    pub const LINK_BITS: u32 = 17;
    /// Those bits.
    pub const LINK_MASK: u32 = (1 << LINK_BITS) - 1;
    /// Ports of the FIFO ABI.
    pub const NR_CHANNELS: u32 = 1 << LINK_BITS;
    /// Event words in a page of the array.
    pub const WORDS_PER_PAGE: u32 = 1024;
    /// Pages the array can have.
    pub const MAX_ARRAY_PAGES: u32 = NR_CHANNELS / WORDS_PER_PAGE;
}
