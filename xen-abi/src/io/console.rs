//! The console ring (`io/console.h`): one page, two byte rings. Indexes run freely; the byte is at the index
//! modulo the ring's size.

/// Bytes towards the guest.
pub const IN_SIZE: usize = 1024;
/// Bytes from the guest.
pub const OUT_SIZE: usize = 2048;

abi! {
    /// The page's beginning (`xencons_interface`).
    pub struct XenconsInterface {
        /// Towards the guest.
        pub input: [u8; IN_SIZE],
        /// From the guest.
        pub output: [u8; OUT_SIZE],
        /// Taken by the guest.
        pub in_cons: u32,
        /// Put by the console daemon.
        pub in_prod: u32,
        /// Taken by the console daemon.
        pub out_cons: u32,
        /// Put by the guest.
        pub out_prod: u32,
    }
}
