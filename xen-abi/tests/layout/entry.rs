//! What the tables are made of.

/// A structure of ours and what C calls it.
pub struct Structure {
    pub name: &'static str,
    pub size: usize,
    pub align: usize,
    pub c_type: &'static str,
    /// Where the C structure ends, when it is longer: the field after the last of ours.
    pub c_until: Option<&'static str>,
    pub fields: Vec<Field>,
}

/// A field of ours and what C calls it.
pub struct Field {
    pub name: &'static str,
    pub offset: usize,
    pub size: usize,
    pub c_name: &'static str,
    /// How many fields in a row make up ours.
    pub c_count: usize,
}

/// A constant of ours and the C expression for it.
pub struct Constant {
    pub name: &'static str,
    pub value: i128,
    pub c_expression: &'static str,
}

/// What a constant can be.
pub trait Number {
    fn number(self) -> i128;
}

macro_rules! numbers {
    ($($int:ty)*) => { $(
        impl Number for $int {
            fn number(self) -> i128 {
                self as i128
            }
        }
    )* };
}
numbers!(u8 u16 u32 u64 usize i16 i32 i64);

macro_rules! newtypes {
    ($($newtype:path)*) => { $(
        impl Number for $newtype {
            fn number(self) -> i128 {
                self.0.number()
            }
        }
    )* };
}
newtypes!(xen_abi::Domid xen_abi::Gref xen_abi::grant_table::GrantStatus xen_abi::io::xenbus::XenbusState);

/// Size of what a projection of `T` gives.
pub fn size_of_field<T, F>(_projection: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! structures {
    ($( $name:ty = $c_type:literal $(until $until:literal)? {
        $( $field:ident $(= $c_name:literal)? $(* $count:literal)? ),* $(,)?
    } )*) => {
        vec![$( $crate::entry::Structure {
            name: stringify!($name),
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            c_type: $c_type,
            c_until: ([$($until)?] as [&'static str; _]).first().copied(),
            fields: vec![$( $crate::entry::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                size: $crate::entry::size_of_field::<$name, _>(|value| &value.$field),
                c_name: [$($c_name,)? stringify!($field)][0],
                c_count: [$($count,)? 1][0],
            } ),*],
        } ),*]
    };
}

macro_rules! scalars {
    ($( $name:ty = $c_type:literal )*) => {
        $crate::entry::structures! { $( $name = $c_type {} )* }
    };
}

macro_rules! constants {
    ($( $constant:expr => $c_expression:literal, )*) => {
        vec![$( $crate::entry::Constant {
            name: stringify!($constant),
            value: $crate::entry::Number::number($constant),
            c_expression: $c_expression,
        } ),*]
    };
}

pub(crate) use {constants, scalars, structures};
