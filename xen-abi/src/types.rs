//! The numbers that appear in more than one interface: domain ids, frames, ports, references, and
//! pointers into guest memory (`xen.h`, `arch-arm.h`).

use core::fmt;
use core::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// log2 of the size of the frames that the whole interface counts in, whatever the guest's own page size.
pub const PAGE_SHIFT: u32 = 12;
/// Size in bytes of a frame of the interface.
pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

open_number! {
    /// A domain's id (`domid_t`). Real domains lie below [`Domid::FIRST_RESERVED`].
    pub struct Domid(u16);

    /// A virtual CPU's number within its domain.
    pub struct VcpuId(u32);

    /// An event channel port of one domain (`evtchn_port_t`). Port 0 is never valid.
    pub struct EvtchnPort(u32);

    /// A grant reference: an index into the granting domain's table (`grant_ref_t`).
    pub struct Gref(u32);

    /// A guest frame number: guest-physical address >> [`PAGE_SHIFT`] (`xen_pfn_t`).
    pub struct Gfn(u64);

    /// A machine frame number: host-physical address >> [`PAGE_SHIFT`].
    pub struct Mfn(u64);
}

impl Domid {
    /// The first id that is not a real domain's.
    pub const FIRST_RESERVED: Self = Self(0x7FF0);
    /// The calling domain.
    pub const SELF: Self = Self(0x7FF0);
    /// Owner of I/O memory and of quarantined devices.
    pub const IO: Self = Self(0x7FF1);
    /// Owner of the hypervisor's own pages.
    pub const XEN: Self = Self(0x7FF2);
    /// Owner of copy-on-write pages; unused on ARM.
    pub const COW: Self = Self(0x7FF3);
    /// No domain.
    pub const INVALID: Self = Self(0x7FF4);
    /// The idle domain.
    pub const IDLE: Self = Self(0x7FFF);
    /// The bits in which all ids lie.
    pub const MASK: u16 = 0x7FFF;

    /// Says whether the id can be that of a real domain.
    pub const fn is_real(self) -> bool {
        self.0 < Self::FIRST_RESERVED.0
    }
}

impl fmt::Display for Domid {
    /// Writes `d1`, or Xen's short form of a reserved id (`d[IDLE]`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SELF => f.write_str("d[SELF]"),
            Self::IO => f.write_str("d[IO]"),
            Self::XEN => f.write_str("d[XEN]"),
            Self::COW => f.write_str("d[COW]"),
            Self::INVALID => f.write_str("d[INVALID]"),
            Self::IDLE => f.write_str("d[IDLE]"),
            Self(id) => write!(f, "d{id}"),
        }
    }
}

impl EvtchnPort {
    /// No port: the hypervisor never allocates it.
    pub const NONE: Self = Self(0);
}

impl Gfn {
    /// No frame: all ones, the value that tables hold where nothing is mapped.
    pub const INVALID: Self = Self(u64::MAX);

    /// The frame that holds the guest-physical address `ipa`.
    pub const fn containing(ipa: u64) -> Self {
        Self(ipa >> PAGE_SHIFT)
    }

    /// The guest-physical address of the frame's first byte; `None` when it does not fit 64 bits.
    pub const fn address(self) -> Option<u64> {
        if self.0 >> (64 - PAGE_SHIFT) == 0 { Some(self.0 << PAGE_SHIFT) } else { None }
    }
}

impl Mfn {
    /// No frame: all ones.
    pub const INVALID: Self = Self(u64::MAX);

    /// The frame that holds the physical address `pa`.
    pub const fn containing(pa: u64) -> Self {
        Self(pa >> PAGE_SHIFT)
    }

    /// The physical address of the frame's first byte; `None` when it does not fit 64 bits.
    pub const fn address(self) -> Option<u64> {
        if self.0 >> (64 - PAGE_SHIFT) == 0 { Some(self.0 << PAGE_SHIFT) } else { None }
    }
}

/// A guest-virtual address of one or more `T` inside a shared structure (`XEN_GUEST_HANDLE`): always
/// 64 bits; a 32-bit guest keeps the upper half zero.
///
/// It is a claim that nobody has checked, and cannot be dereferenced.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct GuestHandle<T> {
    /// The address as the guest gave it.
    pub addr: u64,
    target: PhantomData<T>,
}

impl<T> GuestHandle<T> {
    /// The null handle, which several operations take to mean "no buffer".
    pub const NULL: Self = Self::new(0);

    /// Makes a handle from a guest-virtual address.
    pub const fn new(addr: u64) -> Self {
        Self { addr, target: PhantomData }
    }

    /// Says whether this is the null handle.
    pub const fn is_null(self) -> bool {
        self.addr == 0
    }

    /// The same address, said to hold something else.
    pub const fn cast<U>(self) -> GuestHandle<U> {
        GuestHandle::new(self.addr)
    }
}

impl<T> Clone for GuestHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for GuestHandle<T> {}

impl<T> Default for GuestHandle<T> {
    fn default() -> Self {
        Self::NULL
    }
}

impl<T> PartialEq for GuestHandle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.addr == other.addr
    }
}

impl<T> Eq for GuestHandle<T> {}

impl<T> fmt::Debug for GuestHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestHandle({:#x})", self.addr)
    }
}

/// Size in bytes of the union at the end of the control operations' envelopes.
pub const OP_PAYLOAD_SIZE: usize = 128;

/// The union at the end of `xen_domctl`, `xen_sysctl` and `xen_platform_op`: the bytes of whichever
/// operation the envelope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(8))]
pub struct OpPayload(pub [u8; OP_PAYLOAD_SIZE]);

impl OpPayload {
    /// Makes a union that begins with `value`; the rest is zero.
    pub fn of<T: IntoBytes + Immutable>(value: &T) -> Self {
        let mut payload = Self::default();
        payload.set(value);
        payload
    }

    /// Reads the union as a `T`.
    pub fn get<T: FromBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= OP_PAYLOAD_SIZE) };
        match T::read_from_prefix(&self.0) {
            Ok((value, _)) => value,
            Err(_) => T::new_zeroed(),
        }
    }

    /// Writes `value` over the union's first bytes and leaves the others.
    pub fn set<T: IntoBytes + Immutable>(&mut self, value: &T) {
        const { assert!(size_of::<T>() <= OP_PAYLOAD_SIZE) };
        let bytes = value.as_bytes();
        self.0[..bytes.len()].copy_from_slice(bytes);
    }
}

impl Default for OpPayload {
    fn default() -> Self {
        Self([0; OP_PAYLOAD_SIZE])
    }
}

abi! {
    /// A bitmap of any length in guest memory (`xenctl_bitmap`): byte array, least significant bit first.
    pub struct CtlBitmap {
        /// The bytes.
        pub bitmap: GuestHandle<u8>,
        /// How many bits of them count.
        pub nr_bits: u32,
        /// Unused.
        pub pad: u32,
    }
}

/// A domain's UUID (`xen_domain_handle_t`).
pub type DomainHandle = [u8; 16];
