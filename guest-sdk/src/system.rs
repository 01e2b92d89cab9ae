//! What there is one of per domain. On bare metal that is a static; on the host each fake domain
//! has its own, and the one whose code runs is the current one.

use core::sync::atomic::AtomicBool;

use crate::{arch, console, event, grant, memory, shared_info};

/// The state of this domain that several parts of a program share.
pub(crate) struct System {
    pub(crate) console: console::State,
    pub(crate) events: event::Table,
    pub(crate) grants: grant::Table,
    pub(crate) holes: memory::Holes,
    pub(crate) shared_info: shared_info::Areas,
    /// Whether somebody has the ring to xenstore.
    pub(crate) store_in_use: AtomicBool,
}

impl System {
    /// The state before anything is set up.
    pub(crate) const fn new() -> Self {
        Self {
            console: console::State::new(),
            events: event::Table::new(),
            grants: grant::Table::new(),
            holes: memory::Holes::new(),
            shared_info: shared_info::Areas::new(),
            store_in_use: AtomicBool::new(false),
        }
    }
}

/// The state of the current domain.
pub(crate) fn system() -> &'static System {
    arch::system()
}
