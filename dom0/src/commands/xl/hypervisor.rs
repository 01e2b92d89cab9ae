//! The machine, the hypervisor and its log.

use alloc::{string::String, vec};
use core::fmt::Write;

use guest_sdk::hypercall::sysctl;
use toolstack::{control::Control, format, host::Host};

use super::{Outcome, Session, fail, options, takes};
use crate::{storage::Disk, terminal::Terminal};

/// What `xl info` says of this dom0.
const NODE: format::Node<'static> = format::Node {
    host: "dom0",
    release: env!("CARGO_PKG_VERSION"),
    version: "Rust dom0",
    machine: if cfg!(target_arch = "aarch64") { "aarch64" } else { "armv7l" },
};

/// Bytes of the log that are asked for at a time.
const CHUNK: usize = 16 << 10;

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) fn info(&self, args: &[String], out: &mut Terminal) -> Outcome {
        if !args.is_empty() {
            fail!("usage: xl info");
        }
        let control = self.toolstack.host().control();
        let text = format::info(
            &NODE,
            &control.physinfo()?,
            control.free_cpus()?,
            &control.version()?,
            control.scheduler()?,
        );
        write!(out, "{text}")?;
        Ok(())
    }

    pub(super) fn dmesg(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "c")?;
        if !rest.is_empty() {
            fail!("usage: xl dmesg {}", takes("dmesg"));
        }
        let clear = flags.contains('c');
        let mut index = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            let (count, next) = sysctl::read_console(&mut chunk, Some(index), clear)?;
            if count == 0 {
                return Ok(());
            }
            index = next;
            write!(out, "{}", String::from_utf8_lossy(&chunk[..count]))?;
        }
    }

    pub(super) fn debug_keys(&self, args: &[String]) -> Outcome {
        let [keys] = args else { fail!("usage: xl debug-keys {}", takes("debug-keys")) };
        Ok(sysctl::debug_keys(keys.as_bytes())?)
    }
}
