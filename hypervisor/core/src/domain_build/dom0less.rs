//! Building the domains that the device tree describes (`xen,domain` nodes below `/chosen`).
//!
//! They are ordinary guests on the virtual board, made before anyone could ask for them. Enhanced
//! ones find the hypervisor in their tree, and xenstore once somebody in dom0 introduces them.

use alloc::{sync::Arc, vec::Vec};

use device_tree::Node;
use guest_board::{Arch, Board as GuestBoard, Direct, Region};
use xen_abi::{
    Domid, Gfn, Mfn, PAGE_SHIFT, PAGE_SIZE,
    arch::{gic, layout},
    domctl::cdf,
    hvm::param,
};

use super::{BuildError, MadePool, bad, board::Board, layout::Layout, pools, shared_memory};
use crate::{
    Hypervisor,
    domain::{Domain, DomainConfig, Piece},
    frames::{MAX_ORDER, Wanted},
    host::{
        self,
        chosen::{self, Chosen, ModuleKind},
        memory::{self, STATIC},
        shared::Shared,
    },
    machine::Machine,
    p2m::P2mType,
    version,
    vgic::{LOCAL, Redistributors, max_vcpus},
};

/// Room for the guest's device tree, without what its fragment adds.
const TREE_ROOM: usize = 64 << 10;
/// The highest port, as toolstacks set it.
const MAX_PORT: u32 = 1023;

/// Asks for memory and devices at the machine's addresses.
const DIRECT: &str = "direct-map";

/// Reads a boot module.
pub type File<'f, 'a> = &'f dyn Fn(Region) -> Option<&'a [u8]>;

/// What guests are built from, besides their nodes.
pub struct Source<'f, 'a> {
    /// The board.
    pub board: &'a host::Described<'a>,
    /// Its `/chosen`.
    pub chosen: Chosen<'a>,
    /// The CPU pools.
    pub pools: &'f [MadePool<'a>],
    /// The device that is the hypervisor's console.
    pub console: Option<Node<'a>>,
    /// Physical addresses that no guest will ever have memory at, for a grant table.
    pub grant_table: Region,
    /// Finds modules.
    pub file: File<'f, 'a>,
    /// Interrupts that the board's controller has.
    pub lines: u32,
}

/// What a node asks for.
struct Wish<'a> {
    /// Bytes.
    memory: u64,
    /// At the machine's addresses.
    direct: bool,
    /// All of it, where that is set aside.
    set_aside: Vec<Piece>,
    vcpus: u32,
    /// Its CPU pool.
    pool: u32,
    nr_spis: u32,
    /// What it shares with others.
    shared: Vec<Shared<'a>>,
    /// Pages for tables.
    tables: u32,
    hypervisor: bool,
    xenstore: bool,
    uart: bool,
    kernel: &'a [u8],
    bootargs: Option<&'a str>,
    ramdisk: Option<&'a [u8]>,
    fragment: Option<&'a [u8]>,
}

impl<'a> Wish<'a> {
    fn read(node: &Node<'a>, from: &Source<'_, 'a>, most: u32) -> Result<Self, BuildError<'a>> {
        let bad = |name| bad(node, name);
        let kib = node.property("memory").and_then(|property| property.as_u64());
        let memory = kib.and_then(|kib| kib.checked_mul(1 << 10)).ok_or_else(|| bad("memory"))?;
        let vcpus = node.u32("cpus").filter(|cpus| (1..=most).contains(cpus)).ok_or_else(|| bad("cpus"))?;
        let (hypervisor, xenstore) = match node.property("xen,enhanced").map(|property| property.as_str()) {
            None | Some(Some("disabled")) => (false, false),
            Some(Some("" | "enabled") | None) => (true, true),
            Some(Some("no-xenstore")) => (true, false),
            Some(Some(_)) => return Err(bad("xen,enhanced")),
        };
        let mut wish = Self {
            memory,
            direct: node.has(DIRECT),
            set_aside: pieces(node, memory)?,
            vcpus,
            pool: pools::of_guest(node, &from.board.phandles, from.pools)?,
            shared: shared_memory::read(node, &from.chosen)?,
            nr_spis: node.u32("nr_spis").unwrap_or(from.lines.saturating_sub(LOCAL)),
            tables: node.u32("xen,domain-p2m-mem-mb").map_or(default_tables(memory, vcpus), |mib| mib << 8),
            hypervisor,
            xenstore,
            uart: node.has("vpl011"),
            kernel: &[],
            bootargs: None,
            ramdisk: None,
            fragment: None,
        };
        wish.modules(node, from.file)?;
        if wish.kernel.is_empty() { Err(BuildError::NoKernel) } else { Ok(wish) }
    }

    /// How many shared interrupts it needs.
    fn spis(&self, layout: &Layout) -> u32 {
        let uart = if self.uart { layout.uart.spi + 1 - LOCAL } else { 0 };
        self.nr_spis.max(uart).min(device_tree::gic::SPI_END - LOCAL).next_multiple_of(32)
    }

    fn modules(&mut self, node: &Node<'a>, file: File<'_, 'a>) -> Result<(), BuildError<'a>> {
        for module in chosen::modules_of(node) {
            let module = module?;
            let bytes = file(module.region).ok_or(host::Error::Address(node.at(), 0))?;
            match module.kind {
                ModuleKind::Kernel => (self.kernel, self.bootargs) = (bytes, module.bootargs),
                ModuleKind::Ramdisk => self.ramdisk = Some(bytes),
                ModuleKind::DeviceTree => self.fragment = Some(bytes),
                ModuleKind::Policy | ModuleKind::Unknown => {}
            }
        }
        Ok(())
    }
}

/// Where in the guest goes what is set aside for it: into its banks, one region after the other, or where it is in the
/// machine.
fn pieces<'a>(node: &Node<'a>, memory: u64) -> Result<Vec<Piece>, BuildError<'a>> {
    let bad = || bad(node, STATIC);
    let (mut pieces, direct) = (Vec::new(), node.has(DIRECT));
    if !node.has(STATIC) {
        return if direct { Err(bad()) } else { Ok(pieces) };
    }
    let (mut regions, mut left) = (Vec::new(), memory);
    for region in memory::set_aside(node)? {
        let whole = (region.base | region.size).is_multiple_of(PAGE_SIZE as u64) && region.end().is_some();
        left = left.checked_sub(region.size).filter(|_| whole && region.size > 0).ok_or_else(bad)?;
        regions.push(region);
    }
    // All of it, no more and no less.
    if left > 0 || regions.is_empty() {
        return Err(bad());
    }
    let banks = if direct { regions.clone() } else { guest_board::banks(memory)? };
    let mut machine = regions.into_iter();
    let mut there = Region::default();
    for mut here in banks {
        while here.size > 0 {
            if there.size == 0 {
                there = machine.next().ok_or_else(bad)?;
            }
            let size = there.size.min(here.size);
            let [gfn, mfn, frames] = [here.base, there.base, size].map(|bytes| bytes >> PAGE_SHIFT);
            pieces.push(Piece { gfn, mfn, frames });
            for part in [&mut here, &mut there] {
                *part = Region { base: part.base + size, size: part.size - size };
            }
        }
    }
    Ok(pieces)
}

/// Pages for tables, when the node does not say: as the toolstack reckons.
fn default_tables(memory: u64, vcpus: u32) -> u32 {
    let kib = 4 * (256 * u64::from(vcpus) + (memory >> 20)) + 512;
    kib.div_ceil(4).min(u32::MAX.into()) as u32
}

impl<M: Machine> Hypervisor<M> {
    /// Notes what guests need of the board, where no dom0 is built first.
    pub fn learn_board(&self, board: &host::Described<'_>) {
        let frequency = board.timer.frequency.unwrap_or(0);
        self.board.call_once(|| Board::new(board.gic.virtual_cpu(), frequency));
    }

    /// Builds the domain that a node describes, ready to run but for its pause. The board is known: dom0 has been built,
    /// or [`learn_board`](Self::learn_board) has read it. A failure leaves nothing behind.
    pub fn build_guest<'a>(
        &self,
        node: &Node<'a>,
        from: &Source<'_, 'a>,
    ) -> Result<Arc<Domain<M>>, BuildError<'a>> {
        let version = self.gic_version();
        let wish = Wish::read(node, from, max_vcpus(version))?;
        let layout = if wish.direct {
            Layout::of_machine(from, wish.set_aside.iter().map(in_machine).collect(), wish.uart)?
        } else {
            Layout::of_virtual_board(version, wish.memory)?
        };
        let room = layout.interrupts.redistributors.map_or(u64::MAX, Redistributors::room);
        if u64::from(wish.vcpus) > room {
            return Err(bad(node, "cpus"));
        }
        let region_frames = (layout.grant_table.size >> PAGE_SHIFT).min(u32::MAX.into()) as u32;
        let config = DomainConfig {
            flags: cdf::HVM | cdf::HAP,
            direct_mapped: wish.direct,
            console: true,
            max_vcpus: wish.vcpus,
            max_evtchn_port: MAX_PORT,
            max_grant_frames: self.options.gnttab_max_frames.min(region_frames),
            max_maptrack_frames: self.options.gnttab_max_maptrack_frames,
            nr_spis: wish.spis(&layout),
            interrupts: layout.interrupts,
            uart: layout.uart,
            table_pages: Some(wish.tables),
            set_aside: wish.set_aside.clone(),
            pool: wish.pool,
            ..DomainConfig::default()
        };
        let domain = self.create_domain(Domid(0), config)?;
        let built = self.fill_guest(&wish, &layout, &domain, from);
        if built.is_err() {
            self.destroy_domain(&domain, &mut || false);
        }
        built.map(|()| domain)
    }

    fn fill_guest<'a>(
        &self,
        wish: &Wish<'a>,
        layout: &Layout,
        domain: &Arc<Domain<M>>,
        from: &Source<'_, 'a>,
    ) -> Result<(), BuildError<'a>> {
        self.map_virtual_cpu_interface(domain, layout.gicc, layout::GICC_SIZE)?;
        self.update_wallclock(domain);
        if wish.set_aside.is_empty() {
            for bank in &layout.banks {
                self.fill_bank(domain, bank)?;
            }
        } else {
            self.fill_from_set_aside(domain, wish)?;
        }
        let room = TREE_ROOM + wish.fragment.map_or(0, <[u8]>::len);
        let place = self.place(wish.kernel, wish.ramdisk, room, layout.banks[0])?;
        let tree = self.guest_tree(wish, layout, &place, from)?;
        if tree.len() > room {
            return Err(BuildError::TreeSize(tree.len()));
        }
        self.load(domain, &place, wish.ramdisk, &tree)?;
        if wish.xenstore {
            self.prepare_xenstore(domain)?;
        }
        if wish.uart {
            self.give_uart(domain)?;
        }
        if let Some(fragment) = wish.fragment {
            self.pass_through(domain, fragment, from.board.tree)?;
        }
        domain.set_aarch32(place.arch == Arch::Arm32);
        self.create_vcpus(domain)?;
        self.start_first_vcpu(domain, &place);
        Ok(())
    }

    /// Gives a domain what is set aside for it.
    fn fill_from_set_aside<'a>(&self, domain: &Domain<M>, wish: &Wish<'a>) -> Result<(), BuildError<'a>> {
        let pages = u32::try_from(wish.memory >> PAGE_SHIFT).map_err(|_| BuildError::Memory(wish.memory))?;
        domain.account.set_limit(pages);
        for piece in &wish.set_aside {
            let (Piece { gfn, mfn, frames }, region) = (piece, in_machine(piece));
            if !self.frames.take_set_aside(&self.machine, &domain.account, *mfn..mfn + frames) {
                return Err(BuildError::NotFree(region));
            }
            log::info!("d{} memory: {:#x}-{:#x}", domain.id.0, region.base, region.base + region.size - 1);
            domain.p2m(self.mem()).map(Gfn(*gfn), Mfn(*mfn), *frames, P2mType::RamRw)?;
        }
        Ok(())
    }

    /// Gives a domain all the memory it may have for a bank, in the largest blocks there are.
    fn fill_bank<'a>(&self, domain: &Domain<M>, bank: &Region) -> Result<(), BuildError<'a>> {
        let (mut at, end) = (bank.base >> PAGE_SHIFT, (bank.base + bank.size) >> PAGE_SHIFT);
        let pages = u32::try_from(end - at).map_err(|_| BuildError::Memory(bank.size))?;
        let limit = domain.account.limit().checked_add(pages).ok_or(BuildError::Memory(bank.size))?;
        domain.account.set_limit(limit);
        while at < end {
            let aligned = at.trailing_zeros().min((end - at).ilog2()).min(MAX_ORDER);
            let (mfn, order) = self.largest(domain, aligned).ok_or(BuildError::Memory(bank.size))?;
            domain.p2m(self.mem()).map(Gfn(at), mfn, 1 << order, P2mType::RamRw)?;
            at += 1 << order;
        }
        Ok(())
    }

    fn largest(&self, domain: &Domain<M>, order: u32) -> Option<(Mfn, u32)> {
        (0..=order).rev().find_map(|order| {
            let wanted = Wanted::order(order);
            Some((self.frames.alloc_for(&self.machine, &domain.account, &wanted)?, order))
        })
    }

    fn guest_tree<'a>(
        &self,
        wish: &Wish<'a>,
        layout: &Layout,
        place: &guest_board::Placement<'_>,
        from: &Source<'_, 'a>,
    ) -> Result<Vec<u8>, BuildError<'a>> {
        let shared = shared_memory::in_tree(&wish.shared);
        let direct = wish.direct.then(|| {
            let used = shared_memory::used(&layout.banks, &shared, layout.grant_table);
            let mut hypervisor = self.extended_regions(place.arch, from.board.tree, &from.chosen, used);
            hypervisor.insert(0, layout.grant_table);
            Direct { banks: layout.banks.clone(), gic: layout.gic(wish.vcpus), hypervisor }
        });
        let frequency = self.board.get().map(|board| board.timer_frequency).filter(|hz| *hz != 0);
        let board = GuestBoard {
            arch: place.arch,
            gic: if self.gic_version() == gic::V3 { guest_board::Gic::V3 } else { guest_board::Gic::V2 },
            vcpus: wish.vcpus,
            memory: wish.memory,
            direct: direct.as_ref(),
            shared: &shared,
            address_bits: crate::p2m::IPA_BITS as u8,
            bootargs: wish.bootargs,
            initrd: place.initrd,
            clock_frequency: frequency,
            rng_seed: &[],
            vpl011: wish.uart.then_some(layout.uart),
            version: version::NUMBER,
            hypervisor: wish.hypervisor,
        };
        Ok(match wish.fragment {
            Some(fragment) => board.tree_with_partial(fragment)?,
            None => board.tree()?,
        })
    }

    /// The ring comes when somebody in dom0 makes it; the guest waits for its port until then.
    fn prepare_xenstore<'a>(&self, domain: &Arc<Domain<M>>) -> Result<(), BuildError<'a>> {
        let port = self.alloc_unbound(domain, Domid(0))?;
        let mut params = domain.params.lock();
        params.set(param::STORE_EVTCHN, port.0.into());
        params.set(param::STORE_PFN, u64::MAX);
        Ok(())
    }
}

/// Where a piece of a guest's memory is in the machine.
fn in_machine(piece: &Piece) -> Region {
    Region { base: piece.mfn << PAGE_SHIFT, size: piece.frames << PAGE_SHIFT }
}
