//! UUIDs, which a domain has as its handle.

use core::fmt;

/// A UUID, in the order in which it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

/// Bytes before which a dash stands.
const DASHES: [usize; 4] = [4, 6, 8, 10];

impl Uuid {
    /// Makes a random UUID (version 4) of random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// Reads the usual form, in which the dashes may be left out.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut rest = text;
        for (index, byte) in bytes.iter_mut().enumerate() {
            if DASHES.contains(&index) {
                rest = rest.strip_prefix('-').unwrap_or(rest);
            }
            let (digits, tail) = rest.split_at_checked(2)?;
            *byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
            rest = tail;
        }
        rest.is_empty().then_some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if DASHES.contains(&index) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn uuids_are_read_and_written() {
        let text = "f3e04816-ce5a-401d-a547-f4fc2b16a1c8";
        let uuid = Uuid::parse(text).unwrap();
        assert_eq!(uuid.0[..5], [0xf3, 0xe0, 0x48, 0x16, 0xce]);
        assert_eq!(uuid.to_string(), text);
        assert_eq!(Uuid::parse(&text.replace('-', "")), Some(uuid));
        for bad in [
            "",
            "f3e04816",
            "f3e04816-ce5a-401d-a547-f4fc2b16a1c",
            "f3e04816-ce5a-401d-a547-f4fc2b16a1c8a",
            "x",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
        assert_eq!(Uuid::parse("+3e04816-ce5a-401d-a547-f4fc2b16a1c8"), None);
        assert_eq!(Uuid::parse("\u{e9}\u{e9}e04816-ce5a-401d-a547-f4fc2b16a1c8"), None);
    }

    #[test]
    fn random_uuids_say_so() {
        assert_eq!(Uuid::from_random([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
