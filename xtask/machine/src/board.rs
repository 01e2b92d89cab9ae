//! The device tree that the loader hands to the hypervisor: the board's own, with the boot modules
//! and command lines of Xen's boot protocol under `/chosen`.
use crate::{Arch, Machine, qemu::Domain};
use dtoolkit::{
    ToPropertyValue,
    fdt::Fdt,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Where the hypervisor's image lies for a firmware that is to boot it.
pub const HYPERVISOR: u64 = 0x4400_0000;

/// Where boot modules start: above the kernel image and QEMU's place for the device tree, both in
/// the first 128 MiB of RAM.
pub const MODULES: u64 = 0x5000_0000;
const MODULE_ALIGN: u64 = 2 << 20;
/// The first phandle of event channels, above QEMU's.
const CHANNELS: u32 = 0x10_0000;
/// The first phandles of CPU pools, and of the CPUs that are in them.
const POOLS: u32 = 0x20_0000;
const POOLED_CPUS: u32 = 0x30_0000;
/// Offset and bytes by which a zImage is known (Linux `arch/arm/boot/compressed/head.S`).
const ZIMAGE_MAGIC: (usize, [u8; 4]) = (0x24, 0x016f_2818_u32.to_le_bytes());

/// A file that QEMU loads before the machine starts.
pub struct Loaded {
    pub file: PathBuf,
    pub address: u64,
}

/// Adds the modules of `machine` to the board's tree `dtb`; gives the new tree and the files.
pub fn describe(machine: &Machine, dtb: &[u8]) -> Result<(Vec<u8>, Vec<Loaded>), String> {
    let fdt = Fdt::new(dtb).map_err(|e| format!("QEMU's device tree: {e}"))?;
    let mut tree = DeviceTree::from_fdt(&fdt);
    if machine.arch == Arch::Arm32 || machine.dom0.as_ref().is_some_and(|dom0| is_zimage(&dom0.kernel)) {
        // Its 64-bit windows are out of reach for a 32-bit Linux, which then does not boot.
        tree.root.remove_child("pcie@10000000");
    }
    let mut modules = Modules { next: MODULES, loaded: vec![] };
    if let Some(cpus) = tree.root.child_mut("cpus") {
        for cpu in machine.pools.iter().flat_map(|pool| &pool.cpus) {
            if let Some(node) = cpus.child_mut(&format!("cpu@{cpu:x}")) {
                set(node, "phandle", POOLED_CPUS + cpu);
            }
        }
    }
    if tree.root.child_mut("chosen").is_none() {
        tree.root.add_child(node("chosen"));
    }
    if let Some(chosen) = tree.root.child_mut("chosen") {
        fill_chosen(machine, chosen, &mut modules)?;
    }
    Ok((tree.to_dtb(), modules.loaded))
}

fn fill_chosen(machine: &Machine, chosen: &mut DeviceTreeNode, modules: &mut Modules) -> Result<(), String> {
    set_cells(chosen);
    set(chosen, "xen,xen-bootargs", machine.hypervisor_args.as_str());
    if machine.deterministic {
        // Without a seed, a Linux dom0 waits long for entropy.
        set(chosen, "rng-seed", [0x5au8; 64]);
    }
    if let Some(dom0) = &machine.dom0 {
        set(chosen, "xen,dom0-bootargs", dom0.args.as_str());
        modules.add(chosen, dom0, None)?;
        add_channels(machine, 0, chosen);
        add_shared(machine, 0, chosen);
    }
    for (phandle, pool) in (POOLS..).zip(&machine.pools) {
        let mut n = node(&format!("pool@{phandle:x}"));
        let cpus: Vec<[u8; 4]> = pool.cpus.iter().map(|cpu| (POOLED_CPUS + cpu).to_be_bytes()).collect();
        set(&mut n, "compatible", "xen,cpupool");
        set(&mut n, "cpupool-cpus", cpus.concat());
        set(&mut n, "phandle", phandle);
        chosen.add_child(n);
    }
    if let Some((base, size)) = machine.heap {
        set(chosen, "xen,static-heap", cells(&[base, size]));
    }
    for (i, domu) in machine.domus.iter().enumerate() {
        let mut n = node(&format!("domU{}", i + 1));
        set(&mut n, "compatible", "xen,domain");
        set_cells(&mut n);
        set(&mut n, "memory", domu.memory_kib);
        set(&mut n, "cpus", domu.vcpus);
        if domu.vpl011 {
            set(&mut n, "vpl011", [0u8; 0]);
        }
        if let Some(enhanced) = domu.enhanced {
            set(&mut n, "xen,enhanced", enhanced);
        }
        if !domu.set_aside.is_empty() {
            let regions: Vec<u64> = domu.set_aside.iter().flat_map(|(base, size)| [*base, *size]).collect();
            set(&mut n, "xen,static-mem", cells(&regions));
        }
        if let Some(pool) = machine.pools.iter().position(|pool| pool.domus.contains(&(i + 1))) {
            set(&mut n, "domain-cpupool", POOLS + pool as u32);
        }
        if domu.direct_map {
            set(&mut n, "direct-map", [0u8; 0]);
        }
        modules.add(&mut n, &domu.boot, Some(&domu.boot.args))?;
        if let Some(fragment) = &domu.fragment {
            n.add_child(modules.module("device-tree", fragment, None)?);
        }
        add_channels(machine, i + 1, &mut n);
        add_shared(machine, i + 1, &mut n);
        chosen.add_child(n);
    }
    Ok(())
}

/// Adds a domain's ends of event channels.
fn add_channels(machine: &Machine, domain: usize, to: &mut DeviceTreeNode) {
    for (i, ends) in machine.channels.iter().enumerate() {
        let phandles = [0, 1].map(|end| CHANNELS + 2 * i as u32 + end);
        for (end, [own, peer]) in ends.iter().zip([phandles, [phandles[1], phandles[0]]]) {
            if end.domain == domain {
                let mut n = node(&format!("evtchn@{own:x}"));
                set(&mut n, "compatible", "xen,evtchn-v1");
                set(&mut n, "xen,evtchn", [end.port.to_be_bytes(), peer.to_be_bytes()].concat());
                set(&mut n, "phandle", own);
                to.add_child(n);
            }
        }
    }
}

/// Adds what a domain shares.
fn add_shared(machine: &Machine, domain: usize, to: &mut DeviceTreeNode) {
    for shared in machine.shared.iter().filter(|shared| shared.domain == domain) {
        let mut n = node(&format!("shared@{:x}", shared.at[1]));
        set(&mut n, "compatible", "xen,domain-shared-memory-v1");
        set(&mut n, "xen,shm-id", shared.id);
        set(&mut n, "xen,shared-mem", cells(&shared.at));
        if let Some(role) = shared.role {
            set(&mut n, "role", role);
        }
        to.add_child(n);
    }
}

struct Modules {
    next: u64,
    loaded: Vec<Loaded>,
}

impl Modules {
    fn add(&mut self, to: &mut DeviceTreeNode, domain: &Domain, args: Option<&str>) -> Result<(), String> {
        to.add_child(self.module("kernel", &domain.kernel, args)?);
        if let Some(ramdisk) = &domain.ramdisk {
            to.add_child(self.module("ramdisk", ramdisk, None)?);
        }
        Ok(())
    }

    fn module(&mut self, kind: &str, file: &Path, args: Option<&str>) -> Result<DeviceTreeNode, String> {
        let size = fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?.len();
        let address = self.next;
        self.next = (address + size).next_multiple_of(MODULE_ALIGN);
        self.loaded.push(Loaded { file: file.to_owned(), address });
        let mut n = node(&format!("module@{address:x}"));
        let specific = format!("multiboot,{kind}");
        set(&mut n, "compatible", vec![specific.as_str(), "multiboot,module"]);
        set(&mut n, "reg", cells(&[address, size]));
        if let Some(args) = args {
            set(&mut n, "bootargs", args);
        }
        Ok(n)
    }
}

/// Whether a kernel is for 32-bit ARM.
fn is_zimage(kernel: &Path) -> bool {
    let mut start = [0; ZIMAGE_MAGIC.0 + ZIMAGE_MAGIC.1.len()];
    let read = File::open(kernel).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.ends_with(&ZIMAGE_MAGIC.1)
}

fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.remove_property(name);
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn set_cells(node: &mut DeviceTreeNode) {
    set(node, "#address-cells", 2u32);
    set(node, "#size-cells", 2u32);
}

fn cells(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelEnd, DomU};
    use dtoolkit::{Node, Property};

    fn domain(kernel: &Path, ramdisk: Option<&Path>) -> Domain {
        Domain { kernel: kernel.into(), ramdisk: ramdisk.map(Into::into), args: "quiet".into() }
    }

    #[test]
    fn modules_follow_each_other_and_say_what_they_are() {
        let file = std::env::current_exe().unwrap();
        let size = fs::metadata(&file).unwrap().len();
        let mut machine = Machine::new(Arch::Arm32, "xen".into());
        machine.dom0 = Some(domain(&file, Some(&file)));
        let boot = domain(&file, None);
        machine.domus.push(DomU {
            memory_kib: 65536,
            vcpus: 2,
            vpl011: true,
            enhanced: None,
            ..DomU::new(boot)
        });

        let end = |domain, port| ChannelEnd { domain, port };
        machine.channels.push([end(0, 10), end(1, 20)]);

        let mut board = DeviceTree::new();
        board.root.add_child(node("pcie@10000000"));
        let (dtb, loaded) = describe(&machine, &board.to_dtb()).unwrap();

        let fdt = Fdt::new(&dtb).unwrap();
        assert!(fdt.find_node("/pcie@10000000").is_none());
        let addresses: Vec<u64> = loaded.iter().map(|l| l.address).collect();
        assert!(addresses.windows(2).all(|w| w[0] + size <= w[1]));
        let kernel = fdt.find_node(&format!("/chosen/module@{:x}", addresses[0])).unwrap();
        assert_eq!(kernel.property("reg").unwrap().value(), cells(&[addresses[0], size]));
        assert_eq!(kernel.property("compatible").unwrap().value(), b"multiboot,kernel\0multiboot,module\0");
        let guest = fdt.find_node(&format!("/chosen/domU1/module@{:x}", addresses[2])).unwrap();
        assert_eq!(guest.property("bootargs").unwrap().value(), b"quiet\0");
        let ends =
            ["/chosen/evtchn@100000", "/chosen/domU1/evtchn@100001"].map(|path| fdt.find_node(path).unwrap());
        let values = ends.each_ref().map(|end| end.property("xen,evtchn").unwrap().value().to_vec());
        let value = |port: u32, peer: u32| [port.to_be_bytes(), peer.to_be_bytes()].concat();
        assert_eq!(values, [value(10, 0x10_0001), value(20, 0x10_0000)]);
        let chosen = fdt.find_node("/chosen").unwrap();
        assert_eq!(chosen.property("xen,dom0-bootargs").unwrap().value(), b"quiet\0");
    }

    #[test]
    fn a_32_bit_dom0_has_no_pci_on_a_64_bit_board_either() {
        let file = std::env::temp_dir().join(format!("zimage-{}", std::process::id()));
        let mut machine = Machine::new(Arch::Arm64, "xen".into());
        machine.dom0 = Some(domain(&file, None));
        let mut board = DeviceTree::new();
        board.root.add_child(node("pcie@10000000"));
        let has_pci = |kernel: &[u8]| {
            fs::write(&file, kernel).unwrap();
            let (dtb, _) = describe(&machine, &board.to_dtb()).unwrap();
            Fdt::new(&dtb).unwrap().find_node("/pcie@10000000").is_some()
        };
        let zimage = [&[0; ZIMAGE_MAGIC.0], &ZIMAGE_MAGIC.1[..]].concat();
        let found = (has_pci(&zimage), has_pci(&[0; 64]));
        fs::remove_file(&file).unwrap();
        assert_eq!(found, (false, true));
    }

    #[test]
    fn a_missing_module_is_named() {
        let mut machine = Machine::new(Arch::Arm32, "xen".into());
        machine.dom0 = Some(domain(Path::new("/no/such/kernel"), None));
        let e = describe(&machine, &DeviceTree::new().to_dtb()).err().unwrap();
        assert!(e.contains("/no/such/kernel"), "{e}");
    }
}
