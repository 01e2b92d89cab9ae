//! The strings that describe network interfaces (`xl-network-configuration(5)`).

use alloc::format;
use alloc::string::{String, ToString};

/// A network interface of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vif {
    /// The address, or none to have one made up.
    pub mac: Option<[u8; 6]>,
    /// The bridge to put it on.
    pub bridge: Option<String>,
    /// The number of the device, or none for the next one.
    pub devid: Option<u32>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// The name of the backend's interface.
    pub name: Option<String>,
    /// Whether the guest is told not to trust the backend.
    pub untrusted: bool,
}

impl Vif {
    /// Reads a description. The error says what is wrong with it, or what of it is not served.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut vif = Self::default();
        for parameter in text.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some((key, value)) => vif.keyword(key.trim(), value.trim())?,
                None => match parameter {
                    "trusted" => vif.untrusted = false,
                    "untrusted" => vif.untrusted = true,
                    other => return Err(format!("unrecognized argument `{other}'")),
                },
            }
        }
        Ok(vif)
    }

    fn keyword(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = || value.parse().map_err(|_| format!("{key} is no number: `{value}'"));
        match key {
            "mac" => {
                self.mac = Some(parse_mac(value).ok_or_else(|| format!("Invalid parameter `mac': {value}"))?)
            }
            "bridge" => self.bridge = Some(value.into()),
            "devid" => self.devid = Some(number()?),
            "mtu" => self.mtu = Some(number()?),
            "vifname" => self.name = Some(value.into()),
            "type" if value == "vif" => {}
            "type" => return Err("only the type vif is supported".to_string()),
            // The emulated card that goes with the type ioemu.
            "model" => {}
            "backend" if matches!(value, "0" | "Domain-0") => {}
            "ip" | "script" | "backend" | "rate" | "gatewaydev" | "netdev" | "vlan" | "accel" => {
                return Err(format!("{key} is not supported"));
            }
            _ => return Err(format!("unrecognized argument `{key}'")),
        }
        Ok(())
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| !part.starts_with('+'))?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_mean_what_the_manual_says() {
        assert_eq!(Vif::parse(""), Ok(Vif::default()));
        let vif =
            Vif::parse("mac=00:16:3e:01:2:ff, bridge=xenbr0,devid=3,mtu=9000,vifname=v,untrusted,type=vif")
                .unwrap();
        assert_eq!(vif.mac, Some([0, 0x16, 0x3e, 1, 2, 0xff]));
        assert_eq!((vif.bridge.as_deref(), vif.name.as_deref()), (Some("xenbr0"), Some("v")));
        assert_eq!((vif.devid, vif.mtu, vif.untrusted), (Some(3), Some(9000), true));
    }

    #[test]
    fn what_is_wrong_or_not_served_is_said() {
        for text in [
            "mac=00:16:3e:01:02",
            "mac=00:16:3e:01:02:03:04",
            "mac=00:16:3e:01:02:xx",
            "mac=+1:16:3e:01:02:03",
            "type=ioemu",
            "rate=1Mb/s",
            "backend=net",
            "devid=x",
            "fast",
            "speed=1",
        ] {
            assert!(Vif::parse(text).is_err(), "{text}");
        }
    }
}
