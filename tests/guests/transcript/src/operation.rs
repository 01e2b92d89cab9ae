//! The calls of one operation: once as it should be, then with each field at each of some values, and with pointers
//! that are none.

use alloc::{boxed::Box, vec::Vec};

use guest_sdk::abi::PAGE_SIZE;
use zerocopy::{Immutable, IntoBytes};

use crate::{calls::Call, transcript::Transcript};

/// A field of a structure.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its first byte.
    pub offset: usize,
    /// Its bytes.
    pub size: usize,
}

/// Names a field of a structure, or of one within another.
#[macro_export]
macro_rules! field {
    ($ty:ty, $field:ident) => {
        $crate::operation::Field {
            name: stringify!($field),
            offset: core::mem::offset_of!($ty, $field),
            size: $crate::operation::size_of_field(|s: &$ty| &raw const s.$field),
        }
    };
    ($outer:ty, $at:ident, $ty:ty, $field:ident) => {
        $crate::operation::Field {
            offset: core::mem::offset_of!($outer, $at) + core::mem::offset_of!($ty, $field),
            ..$crate::field!($ty, $field)
        }
    };
}

/// The size of what a projection leads to.
pub const fn size_of_field<S, F>(_: fn(&S) -> *const F) -> usize {
    size_of::<F>()
}

/// An operation that is being described.
pub struct Operation<'t> {
    transcript: &'t mut Transcript,
    name: &'static str,
    call: Box<dyn Fn(usize) -> Call>,
    fields: Vec<(Field, Vec<u64>)>,
    hidden: Vec<usize>,
    show_data: bool,
    undo: Box<dyn Fn(&Transcript)>,
}

impl<'t> Operation<'t> {
    /// An operation; `call` makes the registers of the structure's address.
    pub fn new(
        transcript: &'t mut Transcript,
        name: &'static str,
        call: impl Fn(usize) -> Call + 'static,
    ) -> Self {
        Self {
            transcript,
            name,
            call: Box::new(call),
            fields: Vec::new(),
            hidden: Vec::new(),
            show_data: true,
            undo: Box::new(|_| {}),
        }
    }

    /// Has a field take these values, one after the other.
    pub fn field(mut self, field: Field, values: &[u64]) -> Self {
        self.fields.push((field, values.to_vec()));
        self
    }

    /// Does not show what is written to a field: it is another one on each machine.
    pub fn hide(mut self, field: Field) -> Self {
        self.hidden.extend((0..field.size).step_by(4).map(|word| (field.offset + word) & !3));
        self
    }

    /// Does not show what is written to the data page.
    pub fn hide_data(mut self) -> Self {
        self.show_data = false;
        self
    }

    /// Does this after each call.
    pub fn undo(mut self, undo: impl Fn(&Transcript) + 'static) -> Self {
        self.undo = Box::new(undo);
        self
    }

    /// Makes the calls.
    pub fn run<T: IntoBytes + Immutable>(mut self, base: &T) {
        let base = base.as_bytes();
        self.once(base, None);
        for (field, values) in core::mem::take(&mut self.fields) {
            for value in values {
                let mut argument = base.to_vec();
                let bytes = &value.to_le_bytes()[..field.size];
                argument[field.offset..field.offset + field.size].copy_from_slice(bytes);
                self.once(&argument, Some((field.name, value)));
            }
        }
    }

    /// Makes one.
    fn once(&mut self, argument: &[u8], changed: Option<(&'static str, u64)>) {
        let before = self.transcript.prepare(argument);
        self.transcript.begin(self.name);
        if let Some((name, value)) = changed {
            self.transcript.field(name, value);
        }
        let call = (self.call)(self.transcript.scratch.argument());
        self.transcript.finish(call, &before, &self.hidden, self.show_data);
        (self.undo)(self.transcript);
    }

    /// Makes the calls, and those with pointers that are none.
    pub fn run_with_pointers<T: IntoBytes + Immutable>(self, base: &T) {
        let scratch = self.transcript.scratch;
        let end = scratch.argument() + PAGE_SIZE;
        for pointer in [0, 0x1000, end - 2, end, usize::MAX - 3] {
            let before = self.transcript.prepare(base.as_bytes());
            self.transcript.begin(self.name);
            self.transcript.field("pointer", pointer as u64);
            self.transcript.finish((self.call)(pointer), &before, &self.hidden, self.show_data);
            (self.undo)(self.transcript);
        }
        self.run(base);
    }
}
