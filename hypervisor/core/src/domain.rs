//! A domain: its identity, its parts and their locks.
//!
//! The order of the locks is in ARCHITECTURE.md. A domain lives as long as somebody holds an [`Arc`]
//! of it; it stays in the [`list`] until nobody holds a page of its memory any more.

mod create;
mod destroy;
mod lifecycle;
mod list;
mod params;
mod vmids;

use alloc::{sync::Arc, vec::Vec};
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering},
};

use lock::{LockRarely, Mutex, MutexGuard, Once, RareGuard, RareMutex};
use xen_abi::{Domid, Errno, Gfn, Mfn, domctl::cdf, types::DomainHandle, xen::SharedInfo};
use zerocopy::{FromZeros, IntoBytes};

use crate::{
    Hypervisor,
    event_channel::Events,
    frames::{Account, Mem},
    grant_table::{GrantTable, Maptrack},
    machine::Machine,
    p2m::{P2m, P2mGuard},
    resources::Resources,
    sched::DomainSched,
    shared::room_for,
    vcpu::Vcpu,
    vgic::{GuestInterrupts, Vgic},
    vpl011::Uart,
};

pub use create::vmpidr;
pub use lifecycle::{Dying, Lifecycle};
pub use list::DomainList;
pub use params::HvmParams;

/// Memory of a domain that is one piece in the machine's as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first frame number in the domain.
    pub gfn: u64,
    /// The machine's.
    pub mfn: u64,
    /// How long it is.
    pub frames: u64,
}

/// What a domain is made of and may do; fixed for its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    /// Flags of `createdomain` ([`cdf`]).
    pub flags: u32,
    /// The control domain: may do everything.
    pub control: bool,
    /// The hardware domain: owns the machine's devices.
    pub hardware: bool,
    /// The frame numbers of its memory are the machine's.
    pub direct_mapped: bool,
    /// Memory that was set aside for it, where it is mapped: then all that it has.
    pub set_aside: Vec<Piece>,
    /// It may write to the hypervisor's console.
    pub console: bool,
    /// vCPUs it will have.
    pub max_vcpus: u32,
    /// The highest event channel port.
    pub max_evtchn_port: u32,
    /// Pages of its grant table.
    pub max_grant_frames: u32,
    /// Frames' worth of handles for others' grants.
    pub max_maptrack_frames: u32,
    /// Shared interrupts, a multiple of 32.
    pub nr_spis: u32,
    /// Where its interrupt controller is, and its private interrupts.
    pub interrupts: GuestInterrupts,
    /// Where it has its emulated UART, if it gets one.
    pub uart: guest_board::Uart,
    /// Pages for stage-2 tables; no limit for the hardware domain.
    pub table_pages: Option<u32>,
    /// The CPU pool in which it begins.
    pub pool: u32,
    /// Its UUID at first.
    pub handle: DomainHandle,
}

/// A domain. Each part that changes has its own lock; the order is in ARCHITECTURE.md.
pub struct Domain<M: Machine> {
    /// Its number.
    pub id: Domid,
    /// What it was created as.
    pub config: DomainConfig,
    /// Up, down, dying.
    pub lifecycle: RareMutex<Lifecycle>,
    /// What it owns in pages.
    pub account: Arc<Account>,
    p2m: Mutex<P2m>,
    /// What it grants.
    pub grants: Mutex<GrantTable>,
    /// What it mapped of others' grants.
    pub maptrack: Mutex<Maptrack>,
    /// The page that it shares with the hypervisor ([`SharedInfo`]).
    pub shared_info: Mfn,
    /// Where it mapped that last; it may have unmapped it since.
    pub shared_info_gfn: RareMutex<Gfn>,
    /// HVM parameters.
    pub params: RareMutex<HvmParams>,
    /// Device memory and interrupts that it may use.
    pub resources: RareMutex<Resources>,
    /// Its share of the CPUs.
    pub sched: DomainSched,
    /// Its interrupts.
    pub vgic: Mutex<Vgic>,
    /// Its event channels.
    pub events: Events<M>,
    /// Its emulated UART, if it has one.
    pub(crate) uart: Once<Mutex<Uart>>,
    /// Its UUID.
    pub handle: RareMutex<DomainHandle>,
    /// Counter ticks at which its virtual counter was 0.
    pub counter_offset: u64,
    /// Seconds by which its wall clock differs from the machine's.
    pub time_offset: AtomicI64,
    /// A line for the hypervisor's console that has no end yet.
    pub(crate) console_line: RareMutex<Vec<u8>>,
    /// Runstate records are marked while they are written.
    pub(crate) marks_runstate: AtomicBool,
    /// Whether its EL1 is in AArch32 state.
    aarch32: AtomicBool,
    debugged: AtomicBool,
    serves: AtomicU16,
    vcpus: Once<Arc<[Vcpu<M>]>>,
}

impl<M: Machine> Domain<M> {
    /// A domain without memory and vCPUs, paused once, not in the list yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing is left behind then.
    pub(crate) fn new(hv: &Hypervisor<M>, id: Domid, config: DomainConfig) -> Result<Arc<Self>, Errno> {
        let mem = hv.mem();
        if mem.frames.is_low() {
            return Err(Errno::ENOMEM);
        }
        room_for::<Account>()?;
        let account = Arc::new(Account::new(id));
        mem.frames.open(&account)?;
        Self::with_account(hv, account, config).inspect_err(|_| mem.frames.forget(id))
    }

    /// The same with an account that is open already.
    fn with_account(
        hv: &Hypervisor<M>,
        account: Arc<Account>,
        config: DomainConfig,
    ) -> Result<Arc<Self>, Errno> {
        let (id, mem) = (account.domid, hv.mem());
        let vgic = Vgic::new(config.max_vcpus, config.nr_spis)?;
        let events = Events::new(config.max_evtchn_port)?;
        let parts = Parts::new(hv, mem, id, &account, &config)?;
        Ok(Arc::new(Self {
            id,
            lifecycle: RareMutex::new(Lifecycle::new()),
            account,
            p2m: Mutex::new(parts.p2m),
            grants: Mutex::new(parts.grants),
            maptrack: Mutex::new(Maptrack::new(config.max_maptrack_frames)),
            shared_info: parts.shared_info,
            shared_info_gfn: RareMutex::new(Gfn::INVALID),
            params: RareMutex::new(HvmParams::default()),
            resources: RareMutex::new(Resources::default()),
            sched: DomainSched::new(config.pool),
            vgic: Mutex::new(vgic),
            events,
            uart: Once::new(),
            handle: RareMutex::new(config.handle),
            counter_offset: hv.machine.ticks(),
            time_offset: AtomicI64::new(0),
            console_line: RareMutex::new(Vec::new()),
            marks_runstate: AtomicBool::new(false),
            aarch32: AtomicBool::new(!cfg!(target_arch = "aarch64")),
            debugged: AtomicBool::new(false),
            serves: AtomicU16::new(Domid::INVALID.0),
            vcpus: Once::new(),
            config,
        }))
    }

    /// [`Domain::lifecycle`], locked. A function, as many places need it and none often.
    #[inline(never)]
    pub fn life(&self) -> RareGuard<'_, Lifecycle> {
        self.lifecycle.lock()
    }

    /// Its vCPUs; none before `XEN_DOMCTL_max_vcpus`.
    #[inline(never)]
    pub fn vcpus(&self) -> &[Vcpu<M>] {
        self.vcpus_quickly()
    }

    /// The same for frequent paths.
    #[inline]
    pub(crate) fn vcpus_quickly(&self) -> &[Vcpu<M>] {
        self.vcpus.get().map_or(&[], |v| v)
    }

    /// One of them. A function, as many places need it and none often.
    #[inline(never)]
    pub(crate) fn vcpu(&self, id: u32) -> Option<&Vcpu<M>> {
        self.vcpus_quickly().get(id as usize)
    }

    /// All of them, to be held.
    pub(crate) fn shared_vcpus(&self) -> Option<&Arc<[Vcpu<M>]>> {
        self.vcpus.get()
    }

    /// Gives it its vCPUs, once.
    pub(crate) fn set_vcpus(&self, vcpus: Arc<[Vcpu<M>]>) {
        self.vcpus.call_once(|| vcpus);
    }

    /// Where it has the page that it shares with the hypervisor mapped, or nowhere.
    pub(crate) fn shared_info_frame(&self, mem: Mem<'_, M>) -> Gfn {
        let p2m = self.p2m(mem);
        let gfn = *self.shared_info_gfn.lock();
        let mapped = p2m.lookup(gfn).is_some_and(|mapping| mapping.mfn == self.shared_info);
        if mapped { gfn } else { Gfn::INVALID }
    }

    /// Its stage-2 tables, locked.
    #[inline(never)]
    pub fn p2m<'a>(&'a self, mem: Mem<'a, M>) -> P2mGuard<'a, M> {
        P2mGuard::new(self.p2m.lock_rarely(), mem)
    }

    /// The same for frequent paths.
    #[inline]
    pub(crate) fn p2m_quickly<'a>(&'a self, mem: Mem<'a, M>) -> P2mGuard<'a, M> {
        P2mGuard::new(self.p2m.lock(), mem)
    }

    /// As long as the guard lives no mapping of its memory goes away.
    pub(crate) fn keep_mapped(&self) -> MutexGuard<'_, P2m> {
        self.p2m.lock()
    }

    /// Whether it may do everything.
    pub fn is_control(&self) -> bool {
        self.config.control
    }

    /// Whether it owns the machine's devices.
    pub fn is_hardware(&self) -> bool {
        self.config.hardware
    }

    /// Whether it has a UART on the hypervisor's console.
    pub(crate) fn is_typed_to(&self) -> bool {
        self.config.console && self.uart.is_completed()
    }

    /// Whether it runs xenstore.
    pub fn is_xenstore(&self) -> bool {
        self.config.flags & cdf::XS_DOMAIN != 0
    }

    /// Whether its frame numbers are the machine's.
    pub fn is_direct_mapped(&self) -> bool {
        self.config.direct_mapped
    }

    /// Whether what it gives back stays its own, for nobody else.
    pub fn keeps_memory(&self) -> bool {
        self.is_direct_mapped() || !self.config.set_aside.is_empty()
    }

    /// The machine's frames that it gets where it had given back what was there.
    pub fn kept(&self, gfn: Gfn, frames: u64) -> Option<Range<u64>> {
        let whole = [Piece { gfn: 0, mfn: 0, frames: u64::MAX }];
        let set_aside = &self.config.set_aside;
        let pieces = if self.is_direct_mapped() && set_aside.is_empty() { &whole[..] } else { set_aside };
        pieces.iter().find_map(|piece| {
            let offset = gfn.0.checked_sub(piece.gfn)?;
            let end = offset.checked_add(frames).filter(|end| *end <= piece.frames)?;
            Some(piece.mfn + offset..piece.mfn + end)
        })
    }

    /// Whether its EL1 is in AArch32 state.
    pub fn is_aarch32(&self) -> bool {
        self.aarch32.load(Ordering::Relaxed)
    }

    /// Chooses the state of its EL1, before it has memory.
    pub(crate) fn set_aarch32(&self, aarch32: bool) {
        self.aarch32.store(aarch32, Ordering::Relaxed);
    }

    /// Whether a debugger is said to be attached.
    pub fn is_debugged(&self) -> bool {
        self.debugged.load(Ordering::Relaxed)
    }

    /// Says so.
    pub(crate) fn set_debugged(&self, on: bool) {
        self.debugged.store(on, Ordering::Relaxed);
    }

    /// The domain whose device model it is.
    pub fn serves(&self) -> Option<Domid> {
        let target = Domid(self.serves.load(Ordering::Relaxed));
        (target != Domid::INVALID).then_some(target)
    }

    /// Makes it a device model, once.
    pub(crate) fn serve(&self, target: Domid) -> Result<(), Errno> {
        let none = Domid::INVALID.0;
        self.serves
            .compare_exchange(none, target.0, Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| Errno::EINVAL)
    }
}

/// What has to be given back when a later part cannot be made.
struct Parts {
    p2m: P2m,
    grants: GrantTable,
    shared_info: Mfn,
}

impl Parts {
    fn new<M: Machine>(
        hv: &Hypervisor<M>,
        mem: Mem<'_, M>,
        id: Domid,
        account: &Arc<Account>,
        config: &DomainConfig,
    ) -> Result<Self, Errno> {
        let vmid = hv.domains.vmids.take().ok_or(Errno::ENOMEM)?;
        let undo_vmid = |_: &Errno| hv.domains.vmids.give(vmid);
        let p2m = P2m::new(mem, account, vmid, config.table_pages).inspect_err(undo_vmid)?;
        let undo_p2m = |errno: &Errno| {
            p2m.discard(mem);
            undo_vmid(errno);
        };
        let shared_info = new_shared_info(mem, id).inspect_err(undo_p2m)?;
        let undo_shared_info = |errno: &Errno| {
            mem.frames.end_loan(mem.machine, shared_info);
            undo_p2m(errno);
        };
        let mut grants = GrantTable::new(mem, id, config.max_grant_frames).inspect_err(undo_shared_info)?;
        // At last, for what all of this becomes a part of.
        room_for::<Domain<M>>().inspect_err(|errno| {
            grants.free(mem);
            undo_shared_info(errno);
        })?;
        Ok(Self { p2m, grants, shared_info })
    }
}

/// A page with every event masked.
fn new_shared_info<M: Machine>(mem: Mem<'_, M>, owner: Domid) -> Result<Mfn, Errno> {
    let mfn = mem.frames.alloc(mem.machine, 0).ok_or(Errno::ENOMEM)?;
    let mut info = SharedInfo::new_zeroed();
    info.evtchn_mask = [u64::MAX; xen_abi::xen::EVTCHN_WORDS];
    mem.machine.write_frame(mfn, 0, info.as_bytes());
    mem.frames.lend(mfn, owner);
    Ok(mfn)
}
