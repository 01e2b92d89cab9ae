//! Building dom0: the control and hardware domain, whose frame numbers are the machine's.

use alloc::{sync::Arc, vec::Vec};

use device_tree::{Node, gic};
use guest_board::{Arch, Placement, Region, Uart, dom0};
use xen_abi::{
    Domid, Gfn, Mfn, PAGE_SHIFT,
    domctl::cdf,
    hvm::{callback, param},
};

use super::{Board, BuildError, memory, shared_memory};
use crate::{
    Hypervisor,
    domain::{Domain, DomainConfig},
    frames::Account,
    host::{Described, chosen::Chosen, devices::Timer, gic::Gic},
    machine::{CpuId, Machine, Trigger},
    p2m::P2mType,
    version,
    vgic::{GuestInterrupts, Redistributors, max_vcpus},
};

/// What dom0 gets when the command line does not say.
const DEFAULT_MEMORY: u64 = 512 << 20;
/// What the rewritten device tree may take beyond the host's.
const TREE_SLACK: usize = 16 << 10;

/// What dom0 is built from.
pub struct Dom0<'a> {
    /// The board.
    pub board: &'a Described<'a>,
    /// Its `/chosen`.
    pub chosen: Chosen<'a>,
    /// The kernel's file.
    pub kernel: &'a [u8],
    /// The initial RAM disk.
    pub ramdisk: Option<&'a [u8]>,
    /// The kernel module's command line.
    pub bootargs: Option<&'a str>,
    /// Physical addresses that dom0 will never have memory at, for its grant table.
    pub grant_table: Region,
    /// Nodes of the devices that the hypervisor keeps for itself.
    pub taken: &'a [Node<'a>],
    /// Interrupts that the board's controller has.
    pub lines: u32,
    /// Reads register `MSI_TYPER` of a GICv2m frame.
    pub msi_typer: Option<&'a dyn Fn(u64) -> u32>,
}

/// What has been decided before the domain exists.
struct Decided<'k> {
    banks: Vec<Region>,
    place: Placement<'k>,
    vcpus: u32,
}

impl<M: Machine> Hypervisor<M> {
    /// Builds dom0, ready to run but for its pause.
    pub fn build_dom0<'a>(&self, from: &Dom0<'a>) -> Result<Arc<Domain<M>>, BuildError<'a>> {
        let Described { gic: controller, timer, .. } = from.board;
        let account = Arc::new(Account::new(Domid(0)));
        self.frames.open(&account)?;
        let redistributors = redistributors(controller);
        let most = room(controller, redistributors);
        let decided = self.decide_dom0(from, &account, most)?;
        let plan = self.dom0_plan(from, &decided)?;
        let interrupts = GuestInterrupts {
            gicd: controller.distributor().base,
            redistributors,
            virtual_timer: timer.virtual_timer,
            physical_timer: timer.physical,
            events: plan.event_ppi,
        };
        self.remember_board(&plan, controller, timer);
        let config = self.dom0_config(from, decided.vcpus, interrupts);
        let domain = self.create_domain_on(account, config)?;
        domain.params.lock().set(param::CALLBACK_IRQ, callback::ppi(plan.event_ppi as u8));
        memory::map(self.mem(), &domain, &decided.banks)?;
        self.give_devices(&domain, &plan, controller)?;
        self.load_dom0(from, &domain, &decided.place, &plan)?;
        Ok(domain)
    }

    fn decide_dom0<'a>(
        &self,
        from: &Dom0<'a>,
        account: &Account,
        most: u32,
    ) -> Result<Decided<'a>, BuildError<'a>> {
        let bytes = self.options.dom0_mem.unwrap_or_else(|| {
            log::warn!("no dom0_mem option: dom0 gets {} MiB", DEFAULT_MEMORY >> 20);
            DEFAULT_MEMORY
        });
        let banks = memory::allocate(self.mem(), account, bytes)?;
        for bank in &banks {
            log::info!("dom0 memory: {:#x}-{:#x}", bank.base, bank.base + bank.size - 1);
        }
        let place = self.place(from.kernel, from.ramdisk, tree_room(from), banks[0])?;
        let wanted = &self.options.dom0_max_vcpus;
        let pool = self.pool(0)?;
        let cpus = (0..self.machine.cpu_count()).filter(|cpu| pool.has(CpuId(*cpu))).count() as u32;
        let vcpus = cpus.clamp(*wanted.start(), *wanted.end());
        let vcpus = vcpus.min(most);
        Ok(Decided { banks, place, vcpus })
    }

    fn dom0_config(&self, from: &Dom0<'_>, vcpus: u32, interrupts: GuestInterrupts) -> DomainConfig {
        let region_frames = (from.grant_table.size >> PAGE_SHIFT).min(u32::MAX.into()) as u32;
        DomainConfig {
            flags: cdf::HVM | cdf::HAP,
            control: true,
            hardware: true,
            direct_mapped: true,
            set_aside: Vec::new(),
            pool: 0,
            console: true,
            max_vcpus: vcpus,
            max_evtchn_port: u32::MAX,
            max_grant_frames: self.options.gnttab_max_frames.min(region_frames),
            max_maptrack_frames: self.options.gnttab_max_maptrack_frames,
            nr_spis: from.lines.clamp(gic::SPI_BASE, gic::SPI_END) - gic::SPI_BASE,
            interrupts,
            uart: Uart::default(),
            table_pages: None,
            handle: [0; 16],
        }
    }

    fn load_dom0<'a>(
        &self,
        from: &Dom0<'a>,
        domain: &Arc<Domain<M>>,
        place: &Placement<'_>,
        plan: &dom0::Plan,
    ) -> Result<(), BuildError<'a>> {
        self.load(domain, place, from.ramdisk, &plan.tree)?;
        domain.set_aarch32(place.arch == Arch::Arm32);
        self.create_vcpus(domain)?;
        self.pin_dom0(domain);
        self.start_first_vcpu(domain, place);
        Ok(())
    }

    fn dom0_plan<'a>(&self, from: &Dom0<'a>, decided: &Decided<'_>) -> Result<dom0::Plan, BuildError<'a>> {
        let shared = match from.chosen.node() {
            Some(node) => shared_memory::in_tree(&shared_memory::read(&node, &from.chosen)?),
            None => Vec::new(),
        };
        let used = shared_memory::used(&decided.banks, &shared, from.grant_table);
        let extended_regions = self.extended_regions(decided.place.arch, from.board.tree, &from.chosen, used);
        let params = dom0::Params {
            arch: decided.place.arch,
            vcpus: decided.vcpus,
            memory: &decided.banks,
            grant_table: from.grant_table,
            extended_regions: &extended_regions,
            shared: &shared,
            bootargs: from.bootargs,
            initrd: decided.place.initrd,
            taken: from.taken,
            version: version::NUMBER,
            msi_typer: from.msi_typer,
        };
        let plan = dom0::build(from.board.tree, &from.board.phandles, &params)?;
        if plan.tree.len() > tree_room(from) {
            return Err(BuildError::TreeSize(plan.tree.len()));
        }
        Ok(plan)
    }

    /// Maps and routes what dom0 gets of the board's devices.
    fn give_devices<'a>(
        &self,
        domain: &Arc<Domain<M>>,
        plan: &dom0::Plan,
        controller: &Gic<'_>,
    ) -> Result<(), BuildError<'a>> {
        for regions in [&plan.devices.mmio, &plan.reserved] {
            for region in regions {
                self.map_device(domain, region)?;
            }
        }
        if let Gic::V2(gic) = controller {
            self.map_virtual_cpu_interface(domain, gic.cpu.base, gic.cpu.size)?;
        }
        let mut resources = domain.resources.lock();
        for devices in [&plan.devices, &plan.passthrough] {
            for region in &devices.mmio {
                let first = region.base >> PAGE_SHIFT;
                resources.iomem.insert(first, first + (region.size >> PAGE_SHIFT))?;
            }
            for (spi, _) in &devices.spis {
                resources.set_irq(*spi, true);
            }
        }
        drop(resources);
        for (spi, trigger) in &plan.devices.spis {
            let trigger = if *trigger == gic::Trigger::Edge { Trigger::Edge } else { Trigger::Level };
            if let Err(error) = self.route_guest_spi(domain, *spi, trigger) {
                log::warn!("interrupt {spi} is not given to dom0: {error:?}");
            }
        }
        Ok(())
    }

    fn remember_board(&self, plan: &dom0::Plan, controller: &Gic<'_>, timer: &Timer<'_>) {
        let mut board = Board::new(controller.virtual_cpu(), timer.frequency.unwrap_or(0));
        for (spi, trigger) in plan.devices.spis.iter().chain(&plan.passthrough.spis) {
            if *trigger == gic::Trigger::Edge {
                board.set_edge(*spi);
            }
        }
        self.board.call_once(|| board);
    }

    /// Maps device memory as it is; the guest's own attributes decide.
    fn map_device<'a>(&self, domain: &Domain<M>, region: &Region) -> Result<(), BuildError<'a>> {
        let (first, frames) = (region.base >> PAGE_SHIFT, region.size >> PAGE_SHIFT);
        if self.frames.overlaps(Mfn(first), frames) {
            log::warn!("device memory at {:#x} is RAM: not mapped", region.base);
            return Ok(());
        }
        domain.p2m(self.mem()).map(Gfn(first), Mfn(first), frames, P2mType::MmioCacheable)?;
        Ok(())
    }

    fn pin_dom0(&self, domain: &Domain<M>) {
        if self.options.dom0_vcpus_pin {
            for vcpu in domain.vcpus() {
                self.set_hard_affinity(vcpu, 1 << (vcpu.id % self.machine.cpu_count()));
            }
        }
    }
}

/// Where the redistributors of a domain are that has them where the board does.
pub(super) fn redistributors(controller: &Gic<'_>) -> Option<Redistributors> {
    match controller {
        Gic::V2(_) => None,
        // Once, for as long as the machine runs.
        Gic::V3(gic) => Some(Redistributors(gic.redistributors.clone().leak())),
    }
}

/// How many vCPUs the controller that dom0 gets can have.
fn room(controller: &Gic<'_>, redistributors: Option<Redistributors>) -> u32 {
    let most = max_vcpus(controller.version());
    let redistributors = redistributors.map_or(u64::MAX, Redistributors::room);
    redistributors.min(most.into()) as u32
}

/// Room that is left for dom0's device tree before it is made.
fn tree_room(from: &Dom0<'_>) -> usize {
    from.board.tree.as_bytes().len() + TREE_SLACK
}
