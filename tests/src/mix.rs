//! A hypervisor with the states of what runs on it.
use crate::artifacts::{self, Hypervisor};
use machine::{Arch, Domain, Machine, paths};

/// A hypervisor, the states of dom0 and of its guests, and the CPUs of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// What they run on.
    pub on: Hypervisor,
    /// The state of dom0.
    pub dom0: Arch,
    /// The state of guests.
    pub guest: Arch,
    /// How many CPUs the board has.
    pub cpus: u32,
    /// What they are, by QEMU's name.
    pub cpu: &'static str,
}

impl From<Hypervisor> for Mix {
    /// All of the hypervisor's state, on one CPU of the usual kind.
    fn from(on: Hypervisor) -> Self {
        Self { on, dom0: on.arch(), guest: on.arch(), cpus: 1, cpu: on.arch().cpus()[0] }
    }
}

impl Hypervisor {
    /// With dom0 and guests of these states.
    pub fn with(self, dom0: Arch, guest: Arch) -> Mix {
        Mix { dom0, guest, ..self.into() }
    }
}

impl Mix {
    /// Names a case's folder.
    pub fn name(self, case: &str) -> String {
        let Self { on, dom0, guest, cpus, cpu } = self;
        let mut name = format!("{case}-{on:?}").to_lowercase();
        if (dom0, guest) != (on.arch(), on.arch()) {
            name += &format!("-dom0-{}-guest-{}", dom0.name(), guest.name());
        }
        if (cpus, cpu) != (1, on.arch().cpus()[0]) {
            name += &format!("-{cpus}-{}", self.cpu_name());
        }
        name
    }

    /// The kind of its CPUs, without what they are told to do otherwise.
    pub fn cpu_name(self) -> &'static str {
        self.cpu.split_once(',').map_or(self.cpu, |(name, _)| name)
    }

    /// Gives a machine with this hypervisor and these CPUs, and nothing else. One CPU counts instructions.
    pub fn machine(self) -> Machine {
        let mut machine = self.on.machine();
        (machine.cpus, machine.cpu) = (self.cpus, self.cpu);
        machine.deterministic = self.cpus == 1;
        machine
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

    /// The config of Debian's guest: the one that its users write, but for a zImage on a GICv3 or with several vCPUs:
    /// its appended tree has a GICv2 and one CPU.
    pub fn debian_config(self) -> &'static str {
        let tree_is_wrong = self.guest == Arch::Arm32 && (self.on.gic_version() == 3 || self.cpus > 1);
        if tree_is_wrong { "linux" } else { "win" }
    }

    /// What Debian's guest gets beyond its config, which has one vCPU, to have one on each CPU. Each costs its kernel
    /// memory, of which Debian's for arm64 sets half aside for devices.
    pub fn debian_size(self) -> String {
        match self.cpus {
            1 => String::new(),
            cpus => format!("'vcpus={cpus}' 'memory={}'", 128 * cpus),
        }
    }
}
