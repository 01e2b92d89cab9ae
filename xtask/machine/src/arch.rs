//! The architectures that images are built for and machines emulated.

/// An architecture of hypervisor and guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// ARMv7-A with the virtualization extensions, AArch32.
    Arm32,
    /// ARMv8-A, AArch64.
    Arm64,
}

impl Arch {
    /// Reads the name used on command lines.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "arm32" => Ok(Self::Arm32),
            "arm64" => Ok(Self::Arm64),
            _ => Err(format!("unknown architecture '{name}' (arm32, arm64)")),
        }
    }

    /// Gives the name used on command lines and for the folder of images.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm32 => "arm32",
            Self::Arm64 => "arm64",
        }
    }

    /// Gives the Rust target of everything that runs on bare metal.
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm32 => "armv7a-none-eabi",
            Self::Arm64 => "aarch64-unknown-none-softfloat",
        }
    }

    /// Gives the Rust target that makes the smallest hypervisor, which not every toolchain can build for.
    pub fn smallest_target(self) -> &'static str {
        match self {
            Self::Arm32 => "thumbv7a-none-eabi",
            Self::Arm64 => self.target(),
        }
    }

    /// Gives Debian's name of the architecture.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Arm32 => "armhf",
            Self::Arm64 => "arm64",
        }
    }

    /// Gives the emulator's program.
    pub fn emulator(self) -> &'static str {
        match self {
            Self::Arm32 => "qemu-system-arm",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }

    /// Gives the emulator's names of processors that are supported, the usual one first.
    pub fn cpus(self) -> &'static [&'static str] {
        match self {
            Self::Arm32 => &["cortex-a15"],
            Self::Arm64 => &["cortex-a57", "cortex-a53", "cortex-a72", "max"],
        }
    }
}
