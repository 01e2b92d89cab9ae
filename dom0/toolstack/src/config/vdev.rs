//! Names of virtual disks and the numbers that stand for them in xenstore (`xen-vbd-interface(7)`).

use alloc::format;
use alloc::string::String;

/// The number of a virtual disk or partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vdev(pub u32);

const XVD: u32 = 202 << 8;
const SD: u32 = 8 << 8;
const HD_FIRST: u32 = 3 << 8;
const HD_SECOND: u32 = 22 << 8;
const EXTENDED: u32 = 1 << 28;
const EXTENDED_END: u32 = 2 << 28;

impl Vdev {
    /// Reads a name (`xvda`, `d0p1`, `hdc2`, `sdb`), or a number in C's notation that is taken as it is.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(number) = parse_number(name) {
            return Some(Self(number)).filter(|_| number <= i32::MAX as u32);
        }
        let xvd = |(disk, partition): (u32, u32)| match disk <= 15 && partition <= 15 {
            true => Self(XVD | disk << 4 | partition),
            false => Self(EXTENDED | disk << 8 | partition),
        };
        if let Some(place) = numbered(name).or_else(|| lettered(name, "xvd", (1 << 20) - 1, 255)) {
            return Some(xvd(place));
        }
        if let Some((disk, partition)) = lettered(name, "hd", 3, 63) {
            let base = if disk < 2 { HD_FIRST } else { HD_SECOND };
            return Some(Self(base | (disk & 1) << 6 | partition));
        }
        lettered(name, "sd", 15, 15).map(|(disk, partition)| Self(SD | disk << 4 | partition))
    }

    /// Writes the name that Linux gives the device; a number in none of the known ranges stays one.
    pub fn name(self) -> String {
        let Self(number) = self;
        let low = number & 0xff;
        let (kind, disk, partition) = match number & !0xff {
            XVD => ("xvd", low >> 4, low & 15),
            SD => ("sd", low >> 4, low & 15),
            HD_FIRST if low < 128 => ("hd", low >> 6, low & 63),
            HD_SECOND if low < 128 => ("hd", 2 + (low >> 6), low & 63),
            _ if (EXTENDED..EXTENDED_END).contains(&number) => ("xvd", (number - EXTENDED) >> 8, low),
            _ => return format!("{number}"),
        };
        let partition = if partition == 0 { String::new() } else { format!("{partition}") };
        format!("{kind}{}{partition}", letters(disk))
    }
}

/// Reads a number as C's `strtoul` does with base 0: decimal, `0x` hexadecimal, `0` octal.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    u32::try_from(parse_long(text)?).ok()
}

/// Reads a number that may be longer.
pub(crate) fn parse_long(text: &str) -> Option<u64> {
    let (digits, base) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // What `from_str_radix` accepts beyond digits is a sign.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, base).ok() }
}

/// Reads `d<disk>p<partition>`.
fn numbered(name: &str) -> Option<(u32, u32)> {
    let (disk, partition) = name.strip_prefix('d')?.split_once('p')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(disk) || !digits(partition) {
        return None;
    }
    let (disk, partition) = (disk.parse().ok()?, partition.parse().ok()?);
    (disk < 1 << 20 && partition < 256).then_some((disk, partition))
}

/// Reads the letters of a disk and the number of a partition behind a prefix.
fn lettered(name: &str, prefix: &str, last_disk: u32, last_partition: u32) -> Option<(u32, u32)> {
    let rest = name.strip_prefix(prefix)?;
    let end = rest.bytes().position(|byte| !byte.is_ascii_lowercase()).unwrap_or(rest.len());
    let (letters, digits) = rest.split_at(end);
    let mut disks = 0_u32;
    for letter in letters.bytes() {
        disks = disks * 26 + u32::from(letter - b'a') + 1;
        if disks > last_disk + 1 {
            return None;
        }
    }
    let disk = disks.checked_sub(1)?;
    if digits.is_empty() {
        return Some((disk, 0));
    }
    if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let partition = digits.parse().ok().filter(|&partition| partition <= last_partition)?;
    Some((disk, partition))
}

fn letters(disk: u32) -> String {
    let mut reversed = String::new();
    let mut rest = disk + 1;
    while rest > 0 {
        rest -= 1;
        reversed.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    reversed.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_numbers_of_the_interface() {
        for (name, number) in [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdb", 51728),
            ("xvdp15", 51967),
            ("d0p0", 51712),
            ("d1p2", 51730),
            ("xvdq", (1 << 28) | (16 << 8)),
            ("xvda16", (1 << 28) | 16),
            ("xvdtq37", (1 << 28) | (536 << 8) | 37),
            ("d536p37", (1 << 28) | (536 << 8) | 37),
            ("xvdaa", (1 << 28) | (26 << 8)),
            ("d1048575p255", (1 << 28) | (0xfffff << 8) | 255),
            ("hda", 768),
            ("hdb63", 768 + 64 + 63),
            ("hdc", 5632),
            ("hdd1", 5632 + 65),
            ("sda", 2048),
            ("sdp15", 2048 + 255),
            ("51712", 51712),
            ("0xca00", 51712),
            ("0145000", 51712),
        ] {
            assert_eq!(Vdev::parse(name), Some(Vdev(number)), "{name}");
        }
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        for name in [
            "",
            "xvd",
            "xvda01",
            "xvda256",
            "hde",
            "hda64",
            "sdq",
            "sda16",
            "d0",
            "d0p256",
            "d1048576p0",
            "dp",
            "d+1p2",
            "vda",
            "xvdA",
            "xvda 1",
            "-1",
            "0x",
            "2147483648",
            "08",
            "xvdzzzzzzzzzzzzzzzzz",
            "xvda1p1",
        ] {
            assert_eq!(Vdev::parse(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_have_names_again() {
        for name in ["xvda", "xvdb1", "xvdp15", "xvdq", "xvdz3", "xvdaa", "xvdtq37", "hda", "hdd63", "sdb3"] {
            assert_eq!(Vdev::parse(name).unwrap().name(), name);
        }
        assert_eq!(Vdev(7).name(), "7");
        assert_eq!(Vdev(u32::MAX).name(), "4294967295");
    }
}
