//! Messages as they travel: the header, and the strings in a payload.

use alloc::vec::Vec;

use crate::Domid;
use crate::error::{Error, Result};

pub use xen_abi::io::xs_wire::{ABS_PATH_MAX, PAYLOAD_MAX, REL_PATH_MAX};
