//! States of the two ends of a device (`io/xenbus.h`), written as decimal numbers in xenstore.

open_number! {
    /// A device end's state.
    pub struct XenbusState(u32);
}

impl XenbusState {
    /// No such end (any more).
    pub const UNKNOWN: Self = Self(0);
    /// Beginning.
    pub const INITIALISING: Self = Self(1);
    /// The back end has written what it can do and waits.
    pub const INIT_WAIT: Self = Self(2);
    /// The front end has written its rings.
    pub const INITIALISED: Self = Self(3);
    /// Working.
    pub const CONNECTED: Self = Self(4);
    /// Wants to end.
    pub const CLOSING: Self = Self(5);
    /// Ended.
    pub const CLOSED: Self = Self(6);
    /// Being changed.
    pub const RECONFIGURING: Self = Self(7);
    /// Changed.
    pub const RECONFIGURED: Self = Self(8);
}
