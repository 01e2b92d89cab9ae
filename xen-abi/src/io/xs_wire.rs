//! The xenstore connection (`io/xs_wire.h`): messages, and the page with two byte rings that carries them.

/// Types of message.
pub mod msg {
    /// Talks to the daemon itself.
    pub const CONTROL: u32 = 0;
    /// Lists children.
    pub const DIRECTORY: u32 = 1;
    /// Reads a node.
    pub const READ: u32 = 2;
    /// Reads permissions.
    pub const GET_PERMS: u32 = 3;
    /// Sets a watch.
    pub const WATCH: u32 = 4;
    /// Removes a watch.
    pub const UNWATCH: u32 = 5;
    /// Begins a transaction.
    pub const TRANSACTION_START: u32 = 6;
    /// Ends a transaction.
    pub const TRANSACTION_END: u32 = 7;
    /// Connects a domain.
    pub const INTRODUCE: u32 = 8;
    /// Disconnects a domain.
    pub const RELEASE: u32 = 9;
    /// Tells a domain's path.
    pub const GET_DOMAIN_PATH: u32 = 10;
    /// Writes a node.
    pub const WRITE: u32 = 11;
    /// Makes a node.
    pub const MKDIR: u32 = 12;
    /// Removes a node.
    pub const RM: u32 = 13;
    /// Writes permissions.
    pub const SET_PERMS: u32 = 14;
    /// From the daemon: a watch fired.
    pub const WATCH_EVENT: u32 = 15;
    /// From the daemon: the request failed.
    pub const ERROR: u32 = 16;
    /// Asks whether a domain is connected.
    pub const IS_DOMAIN_INTRODUCED: u32 = 17;
    /// A domain resumed.
    pub const RESUME: u32 = 18;
    /// Gives a domain rights over another.
    pub const SET_TARGET: u32 = 19;
    /// Drops the caller's watches and transactions.
    pub const RESET_WATCHES: u32 = 21;
    /// Lists children in parts.
    pub const DIRECTORY_PART: u32 = 22;
    /// One more than the largest.
    pub const TYPE_COUNT: u32 = 23;
    /// Never valid.
    pub const INVALID: u32 = 0xffff;
}

/// Names of the errors that the daemon sends, with their numbers.
pub const ERRORS: [&str; 16] = [
    "EINVAL",
    "EACCES",
    "EEXIST",
    "EISDIR",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "EIO",
    "ENOTEMPTY",
    "ENOSYS",
    "EROFS",
    "EBUSY",
    "EAGAIN",
    "EISCONN",
    "E2BIG",
    "EPERM",
];

/// Bytes of each ring.
pub const RING_SIZE: usize = 1024;
/// The longest payload.
pub const PAYLOAD_MAX: usize = 4096;
/// The longest absolute path, without the NUL.
pub const ABS_PATH_MAX: usize = 3072;
/// The longest relative path, without the NUL.
pub const REL_PATH_MAX: usize = 2048;

/// Server feature: reconnection.
pub const SERVER_FEATURE_RECONNECTION: u32 = 1;
/// Server feature: [`DomainInterface::error`].
pub const SERVER_FEATURE_ERROR: u32 = 2;

/// [`DomainInterface::connection`]: connected.
pub const CONNECTED: u32 = 0;
/// [`DomainInterface::connection`]: the guest asks for a new connection, and waits for 0.
pub const RECONNECT: u32 = 1;

/// [`DomainInterface::error`]: none.
pub const ERROR_NONE: u32 = 0;
/// [`DomainInterface::error`]: communication problem.
pub const ERROR_COMM: u32 = 1;
/// [`DomainInterface::error`]: an index is wrong.
pub const ERROR_RINGIDX: u32 = 2;
/// [`DomainInterface::error`]: a message is wrong.
pub const ERROR_PROTO: u32 = 3;

abi! {
    /// The head of a message (`xsd_sockmsg`).
    pub struct Header {
        /// One of [`msg`].
        pub kind: u32,
        /// Of the caller; the answer repeats it. 0 in a watch event.
        pub req_id: u32,
        /// Transaction, or 0.
        pub tx_id: u32,
        /// Bytes that follow.
        pub len: u32,
    }

    /// The page's beginning (`xenstore_domain_interface`). Indexes run freely.
    pub struct DomainInterface {
        /// Towards the daemon.
        pub req: [u8; RING_SIZE],
        /// Towards the guest.
        pub rsp: [u8; RING_SIZE],
        /// Taken by the daemon.
        pub req_cons: u32,
        /// Put by the guest.
        pub req_prod: u32,
        /// Taken by the guest.
        pub rsp_cons: u32,
        /// Put by the daemon.
        pub rsp_prod: u32,
        /// Bits `SERVER_FEATURE_*`.
        pub server_features: u32,
        /// [`CONNECTED`] or [`RECONNECT`].
        pub connection: u32,
        /// One of `ERROR_*`.
        pub error: u32,
    }
}
