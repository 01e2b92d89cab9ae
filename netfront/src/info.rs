//! What an interface is.

use core::fmt;
use core::str::FromStr;

use guest_sdk::abi::PAGE_SIZE;
use guest_sdk::abi::io::netif;

/// Bytes of an Ethernet header with a VLAN's tag.
const HEADER: usize = 18;
/// What an interface carries if nobody says otherwise.
const USUAL_MTU: usize = 1500;
/// The least that IPv4 asks for.
const LEAST_MTU: usize = 68;

/// An Ethernet address of one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

/// The text is no station's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAStation;

impl FromStr for Mac {
    type Err = NotAStation;

    fn from_str(text: &str) -> Result<Self, NotAStation> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(NotAStation)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(NotAStation);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| NotAStation)?;
        }
        let group = bytes[0] & 1 != 0;
        if parts.next().is_some() || group || bytes == [0; 6] {
            return Err(NotAStation);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An interface, as long as its connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its address.
    pub mac: Mac,
    /// Bytes that a frame carries at most, without its Ethernet header.
    pub mtu: usize,
    /// Whether the back end takes frames of more than a page.
    pub scatter_gather: bool,
}

impl Info {
    /// An interface for which the toolstack wishes `mtu`, as far as the back end can carry it.
    pub(crate) fn new(mac: Mac, mtu: Option<u32>, scatter_gather: bool) -> Self {
        let most = if scatter_gather { netif::MAX_TX_SIZE as usize } else { PAGE_SIZE } - HEADER;
        let wish = mtu.map_or(USUAL_MTU, |mtu| usize::try_from(mtu).unwrap_or(usize::MAX));
        Self { mac, mtu: wish.clamp(LEAST_MTU, most), scatter_gather }
    }

    /// Bytes of the largest frame, with its Ethernet header and a VLAN's tag.
    pub const fn max_frame(&self) -> usize {
        self.mtu + HEADER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_toolstack_writes_them() {
        let mac: Mac = "00:16:3e:0a:Bb:ff".parse().unwrap();
        assert_eq!(mac, Mac([0, 0x16, 0x3e, 0x0a, 0xbb, 0xff]));
        assert_eq!(alloc::format!("{mac}"), "00:16:3e:0a:bb:ff");
    }

    #[test]
    fn what_is_no_stations_address_is_refused() {
        for text in ["", "00:16:3e:0a:bb", "00:16:3e:0a:bb:ff:00", "0:16:3e:0a:bb:ff", "00:16:3e:0a:bb:fg"] {
            assert_eq!(text.parse::<Mac>(), Err(NotAStation), "{text}");
        }
        for text in ["01:16:3e:0a:bb:ff", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "+0:16:3e:0a:bb:ff"] {
            assert_eq!(text.parse::<Mac>(), Err(NotAStation), "{text}");
        }
    }

    #[test]
    fn the_wish_for_an_mtu_is_cut_to_what_can_be_carried() {
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        for (wish, scatter_gather, mtu) in [
            (None, false, 1500),
            (Some(9000), true, 9000),
            (Some(9000), false, 4078),
            (Some(u32::MAX), true, 65517),
            (Some(0), true, 68),
        ] {
            assert_eq!(Info::new(mac, wish, scatter_gather).mtu, mtu);
        }
    }
}
