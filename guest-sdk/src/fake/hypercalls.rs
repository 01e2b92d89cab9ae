//! The hypercalls of the fake machine: arguments in, effects and results out.
// UNSAFETY: dereferences what hypercalls point to, as their callers vouch for.
#![allow(unsafe_code)]

use std::{ptr::NonNull, slice, vec::Vec};

use xen_abi::{
    Domid, Errno, Gfn, GuestHandle, console_io,
    errno::to_ret,
    event_channel::{self, Close, Send, Unmask},
    features, grant_table, hvm, hypercall as nr,
    memory::{self, AddToPhysmap, AddToPhysmapBatch, MemoryReservation, RemoveFromPhysmap, mapspace},
    sched,
    version::{self, FeatureInfo},
};

use super::{Domain, find};

type Args = [usize; 5];
type Outcome = Result<u64, Errno>;

/// # Safety
///
/// `address` is that of a `T`, valid for both directions and used by nobody else meanwhile.
unsafe fn arg<'a, T>(address: usize) -> &'a mut T {
    // SAFETY: the caller's promise.
    unsafe { &mut *(address as *mut T) }
}

/// # Safety
///
/// `address` is that of `len` of `T`, valid for both directions and used by nobody else meanwhile.
unsafe fn list<'a, T>(address: usize, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts_mut(address as *mut T, len) }
}

/// # Safety
///
/// As [`list`], for the list that `handle` names.
unsafe fn at<'a, T>(handle: GuestHandle<T>, len: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { list(handle.addr as usize, len) }
}

impl Domain {
    /// # Safety
    ///
    /// As [`crate::hypercall::call`].
    pub(crate) unsafe fn hypercall(&self, number: u32, a: Args) -> i64 {
        // SAFETY: each operation's arguments are what the caller promised for its number.
        let outcome = unsafe {
            match number {
                nr::EVENT_CHANNEL_OP => self.event_channel_op(a),
                nr::GRANT_TABLE_OP => self.grant_table_op(a),
                nr::MEMORY_OP => self.memory_op(a),
                nr::HVM_OP => self.hvm_op(a),
                nr::SCHED_OP => self.sched_op(a),
                nr::XEN_VERSION => self.xen_version(a),
                nr::CONSOLE_IO => self.console_io(a),
                nr::SYSCTL | nr::DOMCTL | nr::PLATFORM_OP if self.id() != Domid(0) => Err(Errno::EPERM),
                _ => Err(Errno::ENOSYS),
            }
        };
        to_ret(outcome)
    }

    unsafe fn event_channel_op(&self, a: Args) -> Outcome {
        use event_channel::op;
        // SAFETY: the second argument is the structure of the command.
        let done = unsafe {
            match a[0] as u32 {
                op::ALLOC_UNBOUND => self.alloc_unbound(arg(a[1])),
                op::BIND_INTERDOMAIN => self.bind_interdomain(arg(a[1])),
                op::BIND_VIRQ => self.bind_virq(arg(a[1])),
                op::BIND_IPI => self.bind_ipi(arg(a[1])),
                op::CLOSE => self.close(arg::<Close>(a[1]).port),
                op::SEND => self.send(arg::<Send>(a[1]).port),
                op::UNMASK => self.unmask(arg::<Unmask>(a[1]).port),
                op::STATUS => self.status(arg(a[1])),
                op::BIND_VCPU => Ok(()),
                _ => Err(Errno::ENOSYS),
            }
        };
        done.map(|()| 0)
    }

    unsafe fn grant_table_op(&self, a: Args) -> Outcome {
        use grant_table::op;
        // SAFETY: the second argument is a list, as long as the third says.
        unsafe {
            match a[0] as u32 {
                op::MAP_GRANT_REF => {
                    list(a[1], a[2]).iter_mut().for_each(|m| self.map_grant(m));
                }
                op::UNMAP_GRANT_REF => {
                    list(a[1], a[2]).iter_mut().for_each(|m| self.unmap_grant(m));
                }
                op::COPY => list(a[1], a[2]).iter_mut().for_each(|c| self.copy_grant(c)),
                op::QUERY_SIZE => self.query_grants(arg(a[1])),
                _ => return Err(Errno::ENOSYS),
            }
        }
        Ok(0)
    }

    unsafe fn memory_op(&self, a: Args) -> Outcome {
        use memory::op;
        // SAFETY: the second argument is the structure of the command.
        unsafe {
            match a[0] as u32 {
                op::DECREASE_RESERVATION => {
                    let r: &mut MemoryReservation = arg(a[1]);
                    let gfns = at(r.extent_start, r.nr_extents as usize);
                    for gfn in gfns.iter() {
                        self.0.mapped.borrow_mut().insert(gfn.0, None);
                    }
                    Ok(gfns.len() as u64)
                }
                op::ADD_TO_PHYSMAP => self.add_to_physmap(arg(a[1])),
                op::ADD_TO_PHYSMAP_BATCH => self.add_foreign(arg(a[1])),
                op::REMOVE_FROM_PHYSMAP => {
                    let r: &mut RemoveFromPhysmap = arg(a[1]);
                    let old = self.0.mapped.borrow_mut().insert(r.gpfn.0, None);
                    old.flatten().map(|_| 0).ok_or(Errno::ENOENT)
                }
                _ => Err(Errno::ENOSYS),
            }
        }
    }

    fn add_to_physmap(&self, a: &AddToPhysmap) -> Outcome {
        if a.domid != Domid::SELF {
            return Err(Errno::EPERM);
        }
        let page = match a.space {
            mapspace::SHARED_INFO => self.shared_info_page(),
            mapspace::GRANT_TABLE => self.grant_frame(a.idx as usize)?,
            _ => return Err(Errno::ENOSYS),
        };
        self.0.mapped.borrow_mut().insert(a.gpfn.0, Some(page));
        Ok(0)
    }

    /// # Safety
    ///
    /// The lists of the argument are as long as it says.
    unsafe fn add_foreign(&self, a: &AddToPhysmapBatch) -> Outcome {
        let foreign = find(a.foreign_domid).ok_or(Errno::ESRCH)?;
        if self.id() != Domid(0) && self.id() != super::store::DOMID {
            return Err(Errno::EPERM);
        }
        let len = usize::from(a.size);
        // SAFETY: the caller's promise.
        let (frames, gfns, errs) = unsafe { (at(a.idxs, len), at(a.gpfns, len), at(a.errs, len)) };
        for ((&frame, gfn), err) in frames.iter().zip(gfns.iter()).zip(errs) {
            *err = match foreign.page_at(Gfn(frame)) {
                Some(page) => {
                    self.0.mapped.borrow_mut().insert(gfn.0, Some(page));
                    0
                }
                None => Errno::EINVAL.to_ret() as i32,
            };
        }
        Ok(0)
    }

    unsafe fn hvm_op(&self, a: Args) -> Outcome {
        // SAFETY: the second argument is the structure of both commands.
        let p: &mut hvm::HvmParam = unsafe { arg(a[1]) };
        let domain = match p.domid {
            Domid::SELF => self.clone(),
            other => find(other).ok_or(Errno::ESRCH)?,
        };
        let mut params = domain.0.params.borrow_mut();
        match a[0] as u32 {
            hvm::op::GET_PARAM => p.value = params.get(&p.index).copied().unwrap_or(0),
            hvm::op::SET_PARAM if p.domid == Domid::SELF => return Err(Errno::EPERM),
            hvm::op::SET_PARAM => drop(params.insert(p.index, p.value)),
            _ => return Err(Errno::ENOSYS),
        }
        Ok(0)
    }

    unsafe fn sched_op(&self, a: Args) -> Outcome {
        match a[0] as u32 {
            sched::op::YIELD => Ok(0),
            sched::op::SHUTDOWN => {
                // SAFETY: the second argument is the structure of the command.
                let reason = unsafe { arg::<sched::Shutdown>(a[1]) }.reason;
                self.0.shutdown.set(Some(reason));
                Ok(0)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    unsafe fn xen_version(&self, a: Args) -> Outcome {
        match a[0] as u32 {
            version::op::VERSION => Ok(4 << 16 | 17),
            version::op::GET_FEATURES => {
                // SAFETY: the second argument is the structure of the command.
                let info: &mut FeatureInfo = unsafe { arg(a[1]) };
                info.submap = 1 << features::AUTO_TRANSLATED_PHYSMAP;
                if self.id() == Domid(0) {
                    info.submap |= 1 << features::DOM0;
                }
                Ok(0)
            }
            version::op::CAPABILITIES | version::op::COMMANDLINE => {
                const LEN: usize = version::CAPABILITIES_LEN;
                const _: () = assert!(LEN == version::COMMANDLINE_LEN);
                // SAFETY: both commands take a buffer of that length.
                let buffer = unsafe { list::<u8>(a[1], LEN) };
                let text: &[u8] = match a[0] as u32 {
                    version::op::CAPABILITIES => b"xen-3.0-armv7l ",
                    _ => b"<denied>",
                };
                buffer.fill(0);
                buffer[..text.len()].copy_from_slice(text);
                Ok(0)
            }
            version::op::PAGESIZE => Ok(xen_abi::PAGE_SIZE as u64),
            _ => Err(Errno::ENOSYS),
        }
    }

    unsafe fn console_io(&self, a: Args) -> Outcome {
        // SAFETY: the third argument is a buffer as long as the second says.
        let bytes: &mut [u8] = unsafe { list(a[2], a[1]) };
        match a[0] as u32 {
            console_io::op::WRITE => {
                self.0.output.borrow_mut().extend_from_slice(bytes);
                Ok(0)
            }
            console_io::op::READ => {
                let mut typed = self.0.typed.borrow_mut();
                let n = bytes.len().min(typed.len());
                bytes[..n].copy_from_slice(&typed.drain(..n).collect::<Vec<u8>>());
                Ok(n as u64)
            }
            _ => Err(Errno::ENOSYS),
        }
    }

    /// A page that the toolstack put at a frame for this domain.
    pub(crate) fn magic_page(&self, gfn: Gfn) -> Option<NonNull<u8>> {
        let mapped = self.0.mapped.borrow();
        mapped.get(&gfn.0).copied().flatten().map(|page| page.0)
    }

    /// Types on its console.
    pub fn type_text(&self, text: &str) {
        self.0.typed.borrow_mut().extend(text.bytes());
        self.raise_virq(xen_abi::xen::virq::CONSOLE);
    }
}
