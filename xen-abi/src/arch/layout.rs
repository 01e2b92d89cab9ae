//! The guest-physical address space of a domain that the toolstack or the hypervisor builds
//! (`arch-arm.h`). Addresses and sizes in bytes. Guests read the device tree instead.

/// virtio-mmio devices.
pub const VIRTIO_MMIO_BASE: u64 = 0x0200_0000;
/// Size of it.
pub const VIRTIO_MMIO_SIZE: u64 = 0x0010_0000;

/// GICv2 distributor.
pub const GICD_BASE: u64 = 0x0300_1000;
/// Size of it.
pub const GICD_SIZE: u64 = 0x0000_1000;
/// GICv2 CPU interface.
pub const GICC_BASE: u64 = 0x0300_2000;
/// Size of it.
pub const GICC_SIZE: u64 = 0x0000_2000;

/// GICv3 distributor.
pub const GICV3_GICD_BASE: u64 = 0x0300_1000;
/// Size of it.
pub const GICV3_GICD_SIZE: u64 = 0x0001_0000;
/// GICv3: regions of redistributors.
pub const GICV3_RDIST_REGIONS: u32 = 1;
/// GICv3 redistributors.
pub const GICV3_GICR0_BASE: u64 = 0x0302_0000;
/// Size of them.
pub const GICV3_GICR0_SIZE: u64 = 0x0100_0000;

/// PCI configuration space.
pub const VPCI_ECAM_BASE: u64 = 0x1000_0000;
/// Size of it.
pub const VPCI_ECAM_SIZE: u64 = 0x1000_0000;

/// ACPI tables.
pub const ACPI_BASE: u64 = 0x2000_0000;
/// Size of them.
pub const ACPI_SIZE: u64 = 0x0200_0000;

/// Emulated PL011.
pub const PL011_BASE: u64 = 0x2200_0000;
/// Size of it.
pub const PL011_SIZE: u64 = 0x0000_1000;

/// PCI memory window: address type in the device tree.
pub const VPCI_ADDR_TYPE_MEM: u64 = 0x0200_0000;
/// PCI memory window.
pub const VPCI_MEM_ADDR: u64 = 0x2300_0000;
/// Size of it.
pub const VPCI_MEM_SIZE: u64 = 0x1000_0000;

/// Empty space for the grant table.
pub const GNTTAB_BASE: u64 = 0x3800_0000;
/// Size of it.
pub const GNTTAB_SIZE: u64 = 0x0100_0000;

/// Pages the toolstack shares with the guest: see `MAGIC_*`.
pub const MAGIC_BASE: u64 = 0x3900_0000;
/// Size of the space.
pub const MAGIC_SIZE: u64 = 0x0100_0000;
/// Which of them is the console ring.
pub const MAGIC_CONSOLE: u64 = 0;
/// Which of them is the xenstore ring.
pub const MAGIC_XENSTORE: u64 = 1;
/// Which of them is the monitor ring.
pub const MAGIC_MEMACCESS: u64 = 2;
/// Which of them is the emulated PL011's ring.
pub const MAGIC_VUART: u64 = 3;
/// How many there are.
pub const MAGIC_PAGES: u64 = 4;

/// Banks of RAM, filled in order.
pub const RAM_BANKS: usize = 2;
/// First bank.
pub const RAM0_BASE: u64 = 0x4000_0000;
/// Size of it.
pub const RAM0_SIZE: u64 = 0xc000_0000;
/// Second bank.
pub const RAM1_BASE: u64 = 0x02_0000_0000;
/// Size of it.
pub const RAM1_SIZE: u64 = 0xfe_0000_0000;
/// Where RAM begins.
pub const RAM_BASE: u64 = RAM0_BASE;
/// The most RAM a guest can have.
pub const RAM_MAX: u64 = RAM0_SIZE + RAM1_SIZE;

/// PCI prefetchable window: address type in the device tree.
pub const VPCI_ADDR_TYPE_PREFETCH_MEM: u64 = 0x4200_0000;
/// PCI prefetchable window.
pub const VPCI_PREFETCH_MEM_ADDR: u64 = 0x1_0000_0000;
/// Size of it.
pub const VPCI_PREFETCH_MEM_SIZE: u64 = 0x1_0000_0000;

/// The most vCPUs a guest can have; with GICv2 it is 8.
pub const MAX_VCPUS: u32 = 128;

/// Interrupt id of the virtual timer.
pub const TIMER_VIRT_PPI: u32 = 27;
/// Interrupt id of the secure physical timer.
pub const TIMER_PHYS_S_PPI: u32 = 29;
/// Interrupt id of the non-secure physical timer.
pub const TIMER_PHYS_NS_PPI: u32 = 30;
/// Interrupt id of events.
pub const EVTCHN_PPI: u32 = 31;
/// Interrupt id of the emulated PL011.
pub const VPL011_SPI: u32 = 32;
/// First interrupt id of virtio-mmio devices.
pub const VIRTIO_MMIO_SPI_FIRST: u32 = 33;
/// Last one.
pub const VIRTIO_MMIO_SPI_LAST: u32 = 43;
