//! A hypervisor with the states of what runs on it.
use crate::artifacts::{self, Hypervisor};
use machine::{Arch, Domain, paths};

/// A hypervisor, and the states of dom0 and of its guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// What they run on.
    pub on: Hypervisor,
    /// The state of dom0.
    pub dom0: Arch,
    /// The state of guests.
    pub guest: Arch,
}

impl From<Hypervisor> for Mix {
    /// All of the hypervisor's state.
    fn from(on: Hypervisor) -> Self {
        Self { on, dom0: on.arch(), guest: on.arch() }
    }
}

impl Hypervisor {
    /// With dom0 and guests of these states.
    pub fn with(self, dom0: Arch, guest: Arch) -> Mix {
        Mix { on: self, dom0, guest }
    }
}

impl Mix {
    /// Names a case's folder.
    pub fn name(self, case: &str) -> String {
        let Self { on, dom0, guest } = self;
        let mut name = format!("{case}-{on:?}").to_lowercase();
        if self != on.into() {
            name += &format!("-dom0-{}-guest-{}", dom0.name(), guest.name());
        }
        name
    }

    /// Debian's dom0.
    pub fn debian_dom0(self) -> Domain {
        artifacts::debian_dom0_for(self.dom0)
    }

    /// The Rust dom0.
    pub fn rust_dom0(self) -> Domain {
        Domain { kernel: artifacts::image_for(self.dom0, "dom0"), ramdisk: None, args: String::new() }
    }

    /// Where on dom0's disk the guests' files are, below `/root/`.
    pub fn folder(self) -> &'static str {
        if self.guest == self.on.arch() { "" } else { paths::ARM32_FOLDER }
    }

    /// The config of Debian's guest: the one that its users write, but for a zImage on a GICv3, whose
    /// appended tree has a GICv2.
    pub fn debian_config(self) -> &'static str {
        let tree_is_wrong = self.guest == Arch::Arm32 && self.on.gic_version() == 3;
        if tree_is_wrong { "linux" } else { "win" }
    }
}
