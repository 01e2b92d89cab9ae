//! Grants, as two domains use them.

mod caches;
mod copying;
mod lists;
mod mapping;
mod table;
mod unmapping;

use alloc::{sync::Arc, vec::Vec};

use xen_abi::{Domid, Errno, Gfn, Gref, GuestHandle, Mfn, PAGE_SIZE, grant_table::*};

use super::*;
use crate::{
    Hypervisor,
    domain::Domain,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    machine::CacheOp,
    p2m::{P2mType, Ram},
    regs::Arm32Regs,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

/// Where the tests keep the lists of an operation, and where they map.
const LIST: u64 = GUEST_RAM.0 << 12;
const AT: Gfn = Gfn(0x9_0000);
const HOST_MAP: u32 = gntmap::HOST_MAP;

struct World {
    hv: Hv,
    dom0: Dom,
    granter: Dom,
}

/// Dom0, and a domain 1 whose second page is to be granted.
fn world() -> World {
    let hv: Hv = hypervisor(2048, 1);
    let dom0 = domain(&hv, 0, control_config(), 8);
    let granter = domain(&hv, 1, guest_config(), 8);
    World { hv, dom0, granter }
}

impl World {
    fn granted(&self) -> (Gfn, Mfn) {
        let gfn = Gfn(GUEST_RAM.0 + 1);
        (gfn, self.granter.p2m(self.hv.mem()).lookup(gfn).unwrap().mfn)
    }

    /// Domain 1 grants its second page to dom0.
    fn grant(&self, gref: u32, flags: u16) {
        self.write_entry(gref, EntryV1 { flags, domid: Domid(0), frame: self.granted().0.0 as u32 });
    }

    fn write_entry(&self, gref: u32, entry: EntryV1) {
        let place = self.granter.grants.lock().place(Gref(gref)).unwrap();
        let word = u32::from(entry.flags) | u32::from(entry.domid.0) << 16;
        self.hv.machine.store32(place.mfn, place.offset, word);
        self.hv.machine.store32(place.mfn, place.offset + 4, entry.frame);
    }

    fn flags(&self, gref: u32) -> u16 {
        let place = self.granter.grants.lock().place(Gref(gref)).unwrap();
        self.hv.machine.load32(place.mfn, place.offset) as u16
    }

    fn references(&self) -> u32 {
        self.hv.frames.references(self.granted().1)
    }

    fn mapped(&self, gfn: Gfn) -> Option<(Mfn, P2mType)> {
        self.dom0.p2m(self.hv.mem()).lookup(gfn).map(|mapping| (mapping.mfn, mapping.kind))
    }

    fn map(&self, gref: u32, at: Gfn, flags: u32) -> MapGrantRef {
        map(&self.hv, &self.dom0, Domid(1), gref, at, flags)
    }

    fn unmap(&self, handle: GrantHandle, at: u64) -> GrantStatus {
        let op = UnmapGrantRef { host_addr: at, handle, ..Default::default() };
        let (result, op) = run(&self.hv, &self.dom0, op::UNMAP_GRANT_REF, op);
        assert_eq!(result, Ok(0));
        op.status
    }
}

/// Runs an operation on one element; gives the result and what became of the element.
fn run<T>(hv: &Hv, caller: &Dom, command: u32, op: T) -> (HypercallResult, T)
where
    T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable,
{
    as_guest(hv, caller, |cur| {
        cur.write(LIST, &op).unwrap();
        let result = grant_table_op(cur, [command.into(), LIST, 1, 0, 0]);
        (result, cur.read(LIST).unwrap())
    })
}

fn map(hv: &Hv, mapper: &Dom, dom: Domid, gref: u32, at: Gfn, flags: u32) -> MapGrantRef {
    let op = MapGrantRef { host_addr: at.0 << 12, flags, gref: Gref(gref), dom, ..Default::default() };
    let (result, op) = run(hv, mapper, op::MAP_GRANT_REF, op);
    assert_eq!(result, Ok(0));
    op
}
