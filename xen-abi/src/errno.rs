//! Error numbers (`errno.h`) and how a hypercall's result carries them.

use core::fmt;

/// A Xen error number, always positive: the hypervisor returns it negated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u32);

/// The largest number that a negative result can carry.
const MAX: u32 = 4095;

macro_rules! errnos {
    ($( $(#[$meta:meta])* $name:ident = $value:literal; )*) => {
        impl Errno {
            $( $(#[$meta])* pub const $name: Self = Self($value); )*

            /// All named numbers, with their names.
            pub const NAMED: &[(Self, &'static str)] = &[ $( (Self::$name, stringify!($name)) ),* ];
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1;
    /// No such entry.
    ENOENT = 2;
    /// No such domain.
    ESRCH = 3;
    /// Interrupted; internal to the hypervisor.
    EINTR = 4;
    /// Input/output error.
    EIO = 5;
    /// No such device or address.
    ENXIO = 6;
    /// Argument list too long.
    E2BIG = 7;
    /// Not an executable format.
    ENOEXEC = 8;
    /// Bad file number.
    EBADF = 9;
    /// No child.
    ECHILD = 10;
    /// Try again.
    EAGAIN = 11;
    /// Out of memory.
    ENOMEM = 12;
    /// Access denied, or a control interface of another version.
    EACCES = 13;
    /// Bad guest address.
    EFAULT = 14;
    /// Busy.
    EBUSY = 16;
    /// Exists already.
    EEXIST = 17;
    /// Cross-device operation.
    EXDEV = 18;
    /// No such device.
    ENODEV = 19;
    /// Not a directory.
    ENOTDIR = 20;
    /// Is a directory.
    EISDIR = 21;
    /// Invalid argument.
    EINVAL = 22;
    /// File table overflow.
    ENFILE = 23;
    /// Too many open files.
    EMFILE = 24;
    /// No space left.
    ENOSPC = 28;
    /// Read-only.
    EROFS = 30;
    /// Too many links.
    EMLINK = 31;
    /// Argument out of domain.
    EDOM = 33;
    /// Result out of range.
    ERANGE = 34;
    /// Deadlock would occur.
    EDEADLK = 35;
    /// Name too long.
    ENAMETOOLONG = 36;
    /// No locks available.
    ENOLCK = 37;
    /// No such hypercall or operation.
    ENOSYS = 38;
    /// Directory not empty.
    ENOTEMPTY = 39;
    /// No data.
    ENODATA = 61;
    /// Timer expired.
    ETIME = 62;
    /// Bad message.
    EBADMSG = 74;
    /// Value too large.
    EOVERFLOW = 75;
    /// Illegal byte sequence.
    EILSEQ = 84;
    /// Restart the call; internal to the hypervisor, never seen by a guest.
    ERESTART = 85;
    /// Not a socket.
    ENOTSOCK = 88;
    /// Message too long.
    EMSGSIZE = 90;
    /// Operation not supported.
    EOPNOTSUPP = 95;
    /// Address in use.
    EADDRINUSE = 98;
    /// Address not available.
    EADDRNOTAVAIL = 99;
    /// No buffer space.
    ENOBUFS = 105;
    /// Connected already.
    EISCONN = 106;
    /// Not connected.
    ENOTCONN = 107;
    /// Timed out.
    ETIMEDOUT = 110;
    /// Connection refused.
    ECONNREFUSED = 111;
}

impl Errno {
    /// Makes an error from a positive number; what is not 1..=4095 becomes `EIO`.
    pub const fn new(number: u32) -> Self {
        if number == 0 || number > MAX { Self::EIO } else { Self(number) }
    }

    /// The positive number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Xen's name (`"EINVAL"`), if the number has one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(errno, _)| *errno == self).map(|(_, name)| *name)
    }

    /// Finds the number of a name such as `"EINVAL"`; xenstore sends errors so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(_, known)| *known == name).map(|(errno, _)| *errno)
    }

    /// The value for the result register: negative.
    pub const fn to_ret(self) -> i64 {
        -(self.0 as i64)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

/// Decodes a hypercall's result register, sign-extended to 64 bits: negative is an error.
pub const fn from_ret(ret: i64) -> Result<u64, Errno> {
    if ret >= 0 {
        return Ok(ret as u64);
    }
    let number = ret.unsigned_abs();
    Err(if number > MAX as u64 { Errno::EIO } else { Errno::new(number as u32) })
}

/// Encodes a hypercall's result for the result register; an AArch32 guest sees its low 32 bits.
pub const fn to_ret(result: Result<u64, Errno>) -> i64 {
    match result {
        Ok(value) => value as i64,
        Err(errno) => errno.to_ret(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_register_round_trips() {
        for result in [Ok(0), Ok(0x7fff_ffff), Err(Errno::EPERM), Err(Errno::new(4095))] {
            assert_eq!(from_ret(to_ret(result)), result);
        }
    }

    #[test]
    fn a_negative_word_of_an_aarch32_guest_is_an_error() {
        assert_eq!(from_ret(i64::from(0xffff_ffda_u32 as i32)), Err(Errno::ENOSYS));
    }

    #[test]
    fn an_impossible_number_becomes_eio() {
        assert_eq!(from_ret(i64::MIN), Err(Errno::EIO));
        assert_eq!(Errno::new(0), Errno::EIO);
    }

    #[test]
    fn names_and_numbers_find_each_other() {
        for (errno, name) in Errno::NAMED {
            assert_eq!(errno.name(), Some(*name));
            assert_eq!(Errno::from_name(name), Some(*errno));
        }
    }
}
