//! Reading and writing the caller's memory by the virtual addresses it passes.
//!
//! Each page is translated by the caller's own tables, with the right that the access needs, and
//! then by the p2m, which must allow it as well: what the guest may not write, the hypervisor does
//! not write for it (XSA-98). A reference, or the lock of the p2m, keeps the frame while bytes are
//! copied. Values are copied once; what is checked is the copy.

use xen_abi::{Errno, Gfn, GuestHandle, Mfn, PAGE_SIZE, types::CtlBitmap};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    current::Current,
    frames::Held,
    machine::{Access, Machine},
    regs::GuestRegs,
};

/// The longest bitmap that is filled with zeroes to its end.
const MAX_BITMAP_BYTES: u32 = 1024;

/// Part of a page: frame, offset, and which bytes of the caller's buffer these are.
struct Piece {
    mfn: Mfn,
    offset: usize,
    from: usize,
    to: usize,
}

impl<M: Machine> Current<'_, M> {
    /// Copies bytes from the guest.
    ///
    /// # Errors
    ///
    /// `EFAULT` when any of them may not be read.
    #[hot]
    pub fn copy_from_guest(&self, va: u64, to: &mut [u8]) -> Result<(), Errno> {
        let machine = &self.hv.machine;
        self.for_pieces(va, to.len(), Access::Read, |piece| {
            machine.read_frame(piece.mfn, piece.offset, &mut to[piece.from..piece.to]);
        })
    }

    /// Copies bytes to the guest.
    ///
    /// # Errors
    ///
    /// `EFAULT` when any of them may not be written; those before may have been.
    #[hot]
    pub fn copy_to_guest(&self, va: u64, from: &[u8]) -> Result<(), Errno> {
        let machine = &self.hv.machine;
        self.for_pieces(va, from.len(), Access::Write, |piece| {
            machine.write_frame(piece.mfn, piece.offset, &from[piece.from..piece.to]);
        })
    }

    /// Reads a value.
    pub fn read<T: FromBytes + IntoBytes>(&self, va: u64) -> Result<T, Errno> {
        if size_of::<T>() == size_of::<u32>()
            && let Some(word) = self.read_word(va)
            && let Ok(value) = T::read_from_bytes(&word.to_le_bytes())
        {
            return Ok(value);
        }
        let mut value = T::new_zeroed();
        self.copy_from_guest(va, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value.
    pub fn write<T: IntoBytes + Immutable>(&self, va: u64, value: &T) -> Result<(), Errno> {
        self.copy_to_guest(va, value.as_bytes())
    }

    /// Reads element `index` of a list.
    pub fn read_item<T: FromBytes + IntoBytes>(&self, list: GuestHandle<T>, index: u64) -> Result<T, Errno> {
        self.read(item(list, index)?)
    }

    /// Writes element `index` of a list.
    pub fn write_item<T: IntoBytes + Immutable>(
        &self,
        list: GuestHandle<T>,
        index: u64,
        value: &T,
    ) -> Result<(), Errno> {
        self.write(item(list, index)?, value)
    }

    /// Reads a bitmap of up to 64 bits. Bits that are not there are 0.
    pub(crate) fn read_bitmap(&self, map: &CtlBitmap) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        let len = map.nr_bits.div_ceil(8).min(8) as usize;
        self.copy_from_guest(map.bitmap.addr, &mut bytes[..len])?;
        let counts = if map.nr_bits < u64::BITS { (1 << map.nr_bits) - 1 } else { u64::MAX };
        Ok(u64::from_le_bytes(bytes) & counts)
    }

    /// Writes one. Bits beyond 64 become 0, and those that there is no room for are lost.
    pub(crate) fn write_bitmap(&self, map: &CtlBitmap, bits: u64) -> Result<(), Errno> {
        let len = map.nr_bits.div_ceil(8);
        let counts = if map.nr_bits < u64::BITS { (1 << map.nr_bits) - 1 } else { u64::MAX };
        let bytes = (bits & counts).to_le_bytes();
        self.copy_to_guest(map.bitmap.addr, &bytes[..len.min(8) as usize])?;
        // No longer than any machine has processors.
        for at in 8..len.min(MAX_BITMAP_BYTES) {
            self.write(map.bitmap.addr.checked_add(at.into()).ok_or(Errno::EFAULT)?, &0u8)?;
        }
        Ok(())
    }

    /// Reads an aligned word; nothing where that is not to be had quickly.
    #[hot]
    fn read_word(&self, va: u64) -> Option<u32> {
        if !va.is_multiple_of(4) || (self.regs.is_aarch32() && va >> 32 != 0) {
            return None;
        }
        let _mapped = self.domain.keep_mapped();
        let pa = self.hv.machine.translate_both(va, Access::Read)?;
        self.hv.machine.load32_at(pa)
    }

    /// Does something at the physical address of what may be written, where the machine translates both stages
    /// in one go. As long as the p2m is locked no mapping goes away.
    #[inline(always)]
    fn at<T>(&self, va: u64, work: impl FnOnce(u64) -> Option<T>) -> Option<T> {
        let _mapped = self.domain.keep_mapped();
        work(self.hv.machine.translate_both(va, Access::Write)?)
    }

    /// What lies within one page, translated by both stages in one go where the machine can. As
    /// long as the p2m is locked no mapping goes away. Gives how much was copied: all or nothing.
    #[inline]
    fn quick_piece(&self, va: u64, len: usize, access: Access, each: &mut impl FnMut(Piece)) -> usize {
        if va as usize % PAGE_SIZE + len > PAGE_SIZE {
            return 0;
        }
        let _mapped = self.domain.keep_mapped();
        match self.hv.machine.translate_both(va, access).map(|pa| (Mfn::containing(pa), pa)) {
            Some((mfn, pa)) if self.hv.machine.is_ram(mfn) => {
                each(Piece { mfn, offset: pa as usize % PAGE_SIZE, from: 0, to: len });
                len
            }
            _ => 0,
        }
    }

    fn for_pieces(
        &self,
        va: u64,
        len: usize,
        access: Access,
        mut each: impl FnMut(Piece),
    ) -> Result<(), Errno> {
        let end = va.checked_add(len as u64).ok_or(Errno::EFAULT)?;
        if self.regs.is_aarch32() && end > 1 << 32 {
            return Err(Errno::EFAULT);
        }
        let mem = self.hv.mem();
        let mut done = self.quick_piece(va, len, access, &mut each);
        while done < len {
            let ipa = self.hv.machine.translate_va(va + done as u64, access)?;
            let offset = ipa as usize % PAGE_SIZE;
            let to = len.min(done + PAGE_SIZE - offset);
            let held = self.domain.p2m_quickly(mem).hold(Gfn::containing(ipa), access);
            let (held, _) = held.ok_or(Errno::EFAULT)?;
            each(Piece { mfn: held.mfn(), offset, from: done, to });
            done = to;
        }
        Ok(())
    }
}

/// A list of the guest's that is read and written element by element: a page of it stays translated
/// and held while elements in it are used. Translating it twice is cheaper for a single element.
pub(crate) struct Window<'c, 'a, M: Machine> {
    cur: &'c Current<'a, M>,
    single: bool,
    /// Address of the page, and its frame.
    page: Option<(u64, Held<'a, M>)>,
}

impl<'c, 'a, M: Machine> Window<'c, 'a, M> {
    /// For a list of `count` elements. Nothing is looked at yet.
    pub(crate) fn new(cur: &'c Current<'a, M>, count: u32) -> Self {
        Self { cur, single: count == 1, page: None }
    }

    /// Reads a value, from memory that may be written.
    #[inline]
    pub(crate) fn read<T: FromBytes + IntoBytes>(&mut self, va: u64) -> Result<T, Errno> {
        let machine = &self.cur.hv.machine;
        if self.single
            && let Some(value) = self.cur.at(va, |pa| machine.read_value_at(pa))
        {
            return Ok(value);
        }
        self.read_of_list(va)
    }

    /// The same where it is not frequent enough to look whether it is the only one.
    #[hot]
    #[inline(never)]
    pub(super) fn read_of_list<T: FromBytes + IntoBytes>(&mut self, va: u64) -> Result<T, Errno> {
        match self.find(va, size_of::<T>())? {
            Some((mfn, offset)) => Ok(self.cur.hv.machine.read_value(mfn, offset)),
            None => {
                let mut value = T::new_zeroed();
                self.read_across(va, value.as_mut_bytes())?;
                Ok(value)
            }
        }
    }

    /// Reads the bytes of a value that lies in two pages.
    #[cold]
    #[inline(never)]
    fn read_across(&self, va: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        self.cur.for_pieces(va, bytes.len(), Access::Write, |piece| {
            self.cur.hv.machine.read_frame(piece.mfn, piece.offset, &mut bytes[piece.from..piece.to]);
        })
    }

    /// Writes a value.
    #[inline(always)]
    pub(crate) fn write<T: IntoBytes + Immutable>(&mut self, va: u64, value: &T) -> Result<(), Errno> {
        let machine = &self.cur.hv.machine;
        if self.single && self.cur.at(va, |pa| Some(machine.write_value_at(pa, value))) == Some(true) {
            return Ok(());
        }
        self.write_of_list(va, value.as_bytes())
    }

    /// The same, of bytes.
    #[hot]
    #[inline(never)]
    pub(super) fn write_of_list(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.find(va, bytes.len())? {
            Some((mfn, offset)) => self.cur.hv.machine.write_frame(mfn, offset, bytes),
            None => self.cur.copy_to_guest(va, bytes)?,
        }
        Ok(())
    }

    /// Where `len` bytes are, unless they are in two pages.
    #[hot]
    #[inline(never)]
    fn find(&mut self, va: u64, len: usize) -> Result<Option<(Mfn, usize)>, Errno> {
        let offset = va as usize % PAGE_SIZE;
        if offset + len > PAGE_SIZE {
            return Ok(None);
        }
        let page = va & !(PAGE_SIZE as u64 - 1);
        let mfn = match &self.page {
            Some((at, held)) if *at == page => held.mfn(),
            _ => self.turn_to(page)?,
        };
        Ok(Some((mfn, offset)))
    }

    fn turn_to(&mut self, page: u64) -> Result<Mfn, Errno> {
        self.page = None;
        let cur = self.cur;
        if cur.regs.is_aarch32() && page >> 32 != 0 {
            return Err(Errno::EFAULT);
        }
        let held = match self.quick_hold(page) {
            Some(held) => held,
            None => {
                let ipa = cur.hv.machine.translate_va(page, Access::Write)?;
                let held = cur.domain.p2m_quickly(cur.hv.mem()).hold(Gfn::containing(ipa), Access::Write);
                held.ok_or(Errno::EFAULT)?.0
            }
        };
        let mfn = held.mfn();
        self.page = Some((page, held));
        Ok(mfn)
    }

    /// The frame of a page with a reference, translated by both stages in one go where the machine can.
    fn quick_hold(&self, page: u64) -> Option<Held<'a, M>> {
        let hv = self.cur.hv;
        let _mapped = self.cur.domain.keep_mapped();
        let pa = hv.machine.translate_both(page, Access::Write)?;
        hv.frames.hold_mapped(&hv.machine, Mfn::containing(pa))
    }
}

/// Where element `index` of a list is.
pub fn item<T>(list: GuestHandle<T>, index: u64) -> Result<u64, Errno> {
    let offset = index.checked_mul(size_of::<T>() as u64).ok_or(Errno::EFAULT)?;
    list.addr.checked_add(offset).ok_or(Errno::EFAULT)
}
