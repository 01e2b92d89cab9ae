//! physdev_op (`physdev.h`): on ARM only PCI, and that only as a build option.

/// Commands.
pub mod op {
    /// [`super::PciDeviceAdd`].
    pub const PCI_DEVICE_ADD: u32 = 25;
    /// [`super::PciDevice`].
    pub const PCI_DEVICE_REMOVE: u32 = 26;
}

abi! {
    /// A device that dom0 found (`physdev_pci_device_add`).
    pub struct PciDeviceAdd {
        /// Segment.
        pub seg: u16,
        /// Bus.
        pub bus: u8,
        /// Device and function.
        pub devfn: u8,
        /// Bits of [`pci_dev`].
        pub flags: u32,
        /// Bus of the physical function.
        pub physfn_bus: u8,
        /// Device and function of the physical function.
        pub physfn_devfn: u8,
        /// Unused.
        pub pad: u16,
    }

    /// A device's address (`physdev_pci_device`).
    pub struct PciDevice {
        /// Segment.
        pub seg: u16,
        /// Bus.
        pub bus: u8,
        /// Device and function.
        pub devfn: u8,
    }
}

/// Flags of [`PciDeviceAdd`].
pub mod pci_dev {
    /// An extended function.
    pub const EXTFN: u32 = 1;
    /// A virtual function.
    pub const VIRTFN: u32 = 2;
    /// A proximity domain follows.
    pub const PXM: u32 = 4;
}
