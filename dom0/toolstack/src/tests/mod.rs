//! The toolstack with a hypervisor of plain memory, the project's own store, and back ends and guests that are a few
//! lines each.

mod control;
mod create;
mod host;
mod lifecycle;
mod store;
