//! The strings that describe disks (`xl-disk-configuration(5)`).

use alloc::format;
use alloc::string::{String, ToString};

use super::vdev::Vdev;

/// How the bytes of a disk lie in its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Raw,
    /// A CD-ROM drive without a disc.
    Empty,
}

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The block device or file, as written; empty in an empty drive.
    pub target: String,
    /// The target's format.
    pub format: Format,
    /// What the guest sees it as.
    pub vdev: Vdev,
    /// The name of that as written, which the store keeps beside the number.
    pub vdev_name: String,
    /// Whether the guest may write.
    pub writable: bool,
    /// Whether the guest shall take it for a CD-ROM drive.
    pub cdrom: bool,
    /// Whether the guest may discard sectors; none for the backend's default.
    pub discard: Option<bool>,
    /// Whether the guest is told not to trust the backend.
    pub trusted: bool,
}

/// What was read of a description so far.
#[derive(Default)]
struct Draft<'a> {
    target: Option<&'a str>,
    format: Option<&'a str>,
    vdev: Option<&'a str>,
    access: Option<&'a str>,
    backend_type: Option<&'a str>,
    backend: Option<&'a str>,
    script: Option<&'a str>,
    specification: Option<&'a str>,
    cdrom: Option<bool>,
    discard: Option<bool>,
    trusted: Option<bool>,
    had_prefix: bool,
}

type Result<T> = core::result::Result<T, String>;

impl Disk {
    /// Reads a description. The error says what is wrong with it, or what of it is not served.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_all(core::iter::once(text))
    }

    /// Reads a description in several pieces, as `block-attach` takes it from the command line.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut draft = Draft::default();
        for text in texts {
            draft.read(text)?;
        }
        draft.finish()
    }

    /// Gives the letter that stands for the access in the store.
    pub fn mode(&self) -> &'static str {
        if self.writable { "w" } else { "r" }
    }
}

impl<'a> Draft<'a> {
    fn read(&mut self, text: &'a str) -> Result<()> {
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n']);
            rest = self.strip_prefixes(rest)?;
            if let Some(target) = rest.strip_prefix("target=") {
                let target = target.strip_suffix(',').unwrap_or(target);
                return set(&mut self.target, target, "target");
            }
            if rest.is_empty() {
                return Ok(());
            }
            let (parameter, tail) = rest.split_once(',').unwrap_or((rest, ""));
            match parameter.split_once('=') {
                Some((key, value)) => self.keyword(key, value)?,
                None if self.flag(parameter) => {}
                None => self.positional(parameter)?,
            }
            rest = tail;
        }
    }

    /// Takes off what older tools wrote in front of the target.
    fn strip_prefixes(&mut self, text: &'a str) -> Result<&'a str> {
        let mut rest = text;
        while let Some((prefix, tail)) = rest.split_once(':').filter(|(prefix, _)| is_word(prefix)) {
            match prefix {
                "raw" | "qcow" | "qcow2" | "vhd" => set(&mut self.format, prefix, "format")?,
                "phy" | "file" | "tap" | "tap2" | "tapdisk" | "aio" | "ioemu" => {}
                "iscsi" | "nbd" | "enbd" | "drbd" => set(&mut self.script, prefix, "script")?,
                _ if !tail.starts_with(|next: char| next.is_ascii_lowercase() || next.is_ascii_digit()) => {
                    return Err(format!("unknown deprecated disk prefix `{prefix}:'"));
                }
                _ => break,
            }
            self.had_prefix = true;
            rest = tail;
        }
        Ok(rest)
    }

    fn keyword(&mut self, key: &str, value: &'a str) -> Result<()> {
        match key {
            "format" => set(&mut self.format, value, key),
            "vdev" => set(&mut self.vdev, value, key),
            "access" => set(&mut self.access, value, key),
            "backend" => set(&mut self.backend, value, key),
            "backendtype" => set(&mut self.backend_type, value, key),
            "script" => set(&mut self.script, value, key),
            "specification" => set(&mut self.specification, value, key),
            "devtype" => match value {
                "cdrom" => set(&mut self.cdrom, true, key),
                "disk" => set(&mut self.cdrom, false, key),
                _ => Err(format!("unknown value for devtype: `{value}'")),
            },
            "colo-host" | "colo-port" | "colo-export" | "active-disk" | "hidden-disk" | "grant_usage" => {
                Err(format!("{key} is not supported"))
            }
            _ => Err(format!("unknown parameter `{key}'")),
        }
    }

    /// Takes a flag, or tells that the word is none.
    fn flag(&mut self, word: &str) -> bool {
        match word {
            "cdrom" => self.cdrom = Some(true),
            "discard" => self.discard = Some(true),
            "no-discard" => self.discard = Some(false),
            "trusted" => self.trusted = Some(true),
            "untrusted" => self.trusted = Some(false),
            // Advice for backends that others provide.
            "direct-io-safe" | "no-colo" => {}
            _ => return false,
        }
        true
    }

    fn positional(&mut self, value: &'a str) -> Result<()> {
        if self.target.is_none() {
            self.target = Some(value);
        } else if !self.had_prefix && self.format.is_none() {
            let no_target = self.target.is_some_and(str::is_empty);
            if no_target && self.vdev_with_type(value)? {
                self.format = Some("empty");
            } else {
                self.format = Some(value);
            }
        } else if self.vdev.is_none() {
            if !self.vdev_with_type(value)? {
                self.vdev = Some(value);
            }
        } else if self.access.is_none() {
            self.access = Some(value);
        } else {
            return Err(format!("too many positional parameters: `{value}'"));
        }
        Ok(())
    }

    /// Takes the old `vdev:type`, or tells that this is not one.
    fn vdev_with_type(&mut self, value: &'a str) -> Result<bool> {
        let Some((vdev, kind)) = value.rsplit_once(':') else { return Ok(false) };
        self.cdrom = match kind {
            "cdrom" => Some(true),
            "disk" => Some(false),
            _ => return Err(format!("unknown deprecated type `{kind}'")),
        };
        set(&mut self.vdev, vdev, "vdev")?;
        Ok(true)
    }

    fn finish(self) -> Result<Disk> {
        self.check_served()?;
        let target = self.target.unwrap_or_default();
        let cdrom = self.cdrom.unwrap_or(false);
        let format = match self.format.unwrap_or_default() {
            _ if cdrom && target.is_empty() => Format::Empty,
            "" | "raw" => Format::Raw,
            "empty" => Format::Empty,
            known @ ("qcow" | "qcow2" | "vhd" | "qed") => {
                return Err(format!("format {known} is not supported, only raw is"));
            }
            other => return Err(format!("unknown value for format: `{other}'")),
        };
        let wants_write = match self.access.unwrap_or_default() {
            "" | "rw" | "w" => true,
            "ro" | "r" => false,
            other => return Err(format!("unknown value for access: `{other}'")),
        };
        let vdev_name = self.vdev.filter(|name| !name.is_empty()).ok_or("no vdev specified")?;
        let vdev = Vdev::parse(vdev_name).ok_or_else(|| format!("`{vdev_name}' is no vdev"))?;
        if target.is_empty() && !cdrom {
            return Err("no target specified (and device not removable)".to_string());
        }
        Ok(Disk {
            target: target.into(),
            format,
            vdev,
            vdev_name: vdev_name.into(),
            writable: wants_write && !cdrom,
            cdrom,
            discard: self.discard,
            trusted: self.trusted.unwrap_or(true),
        })
    }

    /// Refuses what means something and is not done, rather than do something else.
    fn check_served(&self) -> Result<()> {
        match self.backend_type {
            None | Some("phy") => {}
            Some(known @ ("qdisk" | "tap" | "standalone")) => {
                return Err(format!("backendtype {known} is not supported, only phy is"));
            }
            Some(other) => return Err(format!("unknown value for backendtype: `{other}'")),
        }
        match self.specification {
            None | Some("xen") => {}
            Some("virtio") => return Err("specification virtio is not supported, only xen is".to_string()),
            Some(other) => return Err(format!("unknown value for specification: `{other}'")),
        }
        if let Some(script) = self.script {
            return Err(format!("script {script} is not supported"));
        }
        match self.backend {
            None | Some("0" | "Domain-0") => Ok(()),
            Some(other) => Err(format!("backend domain {other} is not supported, only Domain-0 is")),
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Sets a parameter that may be given once; an empty string counts as not given.
fn set<T: PartialEq + Default>(place: &mut Option<T>, value: T, name: &str) -> Result<()> {
    if place.as_ref().is_some_and(|old| *old != T::default() && *old != value) {
        return Err(format!("{name} respecified"));
    }
    *place = Some(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(target: &str, vdev: &str) -> Disk {
        Disk {
            target: target.into(),
            format: Format::Raw,
            vdev: Vdev::parse(vdev).unwrap(),
            vdev_name: vdev.into(),
            writable: true,
            cdrom: false,
            discard: None,
            trusted: true,
        }
    }

    #[test]
    fn one_disk_in_all_its_spellings() {
        for text in [
            "/dev/vg/guest-volume,,hda",
            "/dev/vg/guest-volume,raw,hda,rw",
            "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
            "raw:/dev/vg/guest-volume,hda,w",
            "phy:/dev/vg/guest-volume,hda,w",
            "phy:/dev/vg/guest-volume,hda",
            "tap:aio:/dev/vg/guest-volume,hda,w",
            "file:/dev/vg/guest-volume,hda",
            " /dev/vg/guest-volume, , hda",
            "/dev/vg/guest-volume,vdev=hda,access=w,backendtype=phy,specification=xen,backend=0",
            ",,hda,target=/dev/vg/guest-volume",
        ] {
            assert_eq!(Disk::parse(text), Ok(disk("/dev/vg/guest-volume", "hda")), "{text}");
        }
        let pieces = ["phy:/dev/loop0", "xvda", "w"];
        assert_eq!(Disk::parse_all(pieces), Ok(disk("/dev/loop0", "xvda")));
        assert_eq!(
            Disk::parse_all(["format=raw", "vdev=xvda", "target=/dev/loop0"]),
            Ok(disk("/dev/loop0", "xvda"))
        );
    }

    #[test]
    fn the_disk_of_the_sample_configuration() {
        assert_eq!(Disk::parse("phy:/dev/loop0,xvda,w"), Ok(disk("/dev/loop0", "xvda")));
        assert_eq!(Disk::parse("phy:/dev/loop0,xvda,r").unwrap().mode(), "r");
        assert_eq!(Disk::parse("phy:/dev/loop0,xvda,ro").unwrap().mode(), "r");
    }

    #[test]
    fn drives_for_discs() {
        let image = Disk { cdrom: true, writable: false, ..disk("/root/image.iso", "hdc") };
        for text in [
            "/root/image.iso,,hdc,cdrom",
            "/root/image.iso,,hdc,,cdrom",
            "/root/image.iso,raw,hdc,devtype=cdrom",
            "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
            "raw:/root/image.iso,hdc:cdrom,ro",
        ] {
            assert_eq!(Disk::parse(text), Ok(image.clone()), "{text}");
        }
        let empty = Disk { format: Format::Empty, cdrom: true, writable: false, ..disk("", "hdc") };
        for text in [
            "devtype=cdrom,,,hdc",
            ",,hdc:cdrom,r",
            ",hdc:cdrom,r",
            "vdev=hdc,access=r,devtype=cdrom,target=",
            ",empty,hdc:cdrom,r",
            "vdev=hdc,access=r,devtype=cdrom,format=empty",
            "vdev=hdc,access=r,devtype=cdrom",
        ] {
            assert_eq!(Disk::parse(text), Ok(empty.clone()), "{text}");
        }
    }

    #[test]
    fn flags_and_targets_with_commas() {
        assert_eq!(Disk::parse("discard,vdev=hda,target=/a").unwrap().discard, Some(true));
        assert_eq!(Disk::parse("cdrom,no-discard,vdev=hda,target=/a").unwrap().discard, Some(false));
        assert!(!Disk::parse("untrusted,vdev=hda,target=/a").unwrap().trusted);
        assert_eq!(Disk::parse("vdev=hda,target=/a,b=c:d ").unwrap().target, "/a,b=c:d ");
        assert_eq!(Disk::parse("a:b/c,,xvda").unwrap().target, "a:b/c");
    }

    #[test]
    fn what_is_wrong_or_not_served_is_said() {
        for (text, message) in [
            ("", "no vdev specified"),
            ("/dev/loop0", "no vdev specified"),
            ("/dev/loop0,raw", "no vdev specified"),
            (",raw,xvda,w", "no target specified (and device not removable)"),
            ("/dev/loop0,raw,vda,w", "`vda' is no vdev"),
            ("/dev/loop0,raw,xvda,x", "unknown value for access: `x'"),
            ("/dev/loop0,ram,xvda,w", "unknown value for format: `ram'"),
            ("/dev/loop0,qcow2,xvda,w", "format qcow2 is not supported, only raw is"),
            ("vhd:/dev/loop0,xvda,w", "format vhd is not supported, only raw is"),
            ("/dev/loop0,raw,xvda,w,more", "too many positional parameters: `more'"),
            ("/dev/loop0,raw,xvda,vdev=xvdb", "vdev respecified"),
            ("/dev/loop0,raw,xvda,target=/b", "target respecified"),
            ("/dev/loop0,,xvda,speed=1", "unknown parameter `speed'"),
            ("/dev/loop0,,xvda,backendtype=qdisk", "backendtype qdisk is not supported, only phy is"),
            ("/dev/loop0,,xvda,backendtype=q", "unknown value for backendtype: `q'"),
            ("/dev/loop0,,xvda,specification=virtio", "specification virtio is not supported, only xen is"),
            ("/dev/loop0,,xvda,backend=disks", "backend domain disks is not supported, only Domain-0 is"),
            ("/dev/loop0,,xvda,devtype=floppy", "unknown value for devtype: `floppy'"),
            ("/dev/loop0,,xvda:floppy", "unknown deprecated type `floppy'"),
            ("xyz:/dev/loop0,xvda,w", "unknown deprecated disk prefix `xyz:'"),
            ("drbd:app01,hda,w", "script drbd is not supported"),
            ("/dev/loop0,,xvda,colo-host=a", "colo-host is not supported"),
        ] {
            assert_eq!(Disk::parse(text), Err(message.to_string()), "{text}");
        }
    }
}
