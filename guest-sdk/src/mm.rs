//! Virtual memory: what is mapped where.
//!
//! Everything is mapped at its guest-physical address, so that a frame number and a pointer are
//! the same thing; all but the program's own image, which runs at the address it was linked for,
//! wherever it was loaded. Memory can be written or executed, never both, and the image's own pages
//! appear nowhere else.

#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod live;
#[cfg(target_os = "none")]
mod pages;
pub(crate) mod tables;

#[cfg(target_os = "none")]
pub(crate) use live::{Image, init, is_mapped, is_stack, map, map_device, map_magic, open_at, open_memory};
#[cfg(target_os = "none")]
pub(crate) use pages::{alloc_pages, free_bytes, free_pages};
#[cfg(target_os = "none")]
pub(crate) use tables::Kind;
