//! `losetup`.

use alloc::{format, string::String};
use core::fmt::Write;

use super::{Failure, Outcome, Session, fail, options};
use crate::{storage::Disk, terminal::Terminal};

const USAGE: &str =
    "usage: losetup [-a] | losetup [-r] -f FILE | losetup [-r] DEVICE FILE | losetup -d DEVICE";

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn losetup(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "adfr")?;
        let read_only = flags.contains('r');
        match (flags.replace('r', "").as_str(), rest) {
            ("" | "a", []) => self.list_loops(out)?,
            ("d", [name]) => self.devices.detach(name).map_err(|e| Failure(format!("{name}: {e}")))?,
            ("f", [path]) => {
                let name = self.devices.attach(None, path, read_only).await;
                writeln!(out, "{}", name.map_err(|e| Failure(format!("{path}: {e}")))?)?;
            }
            ("", [name, path]) => {
                let done = self.devices.attach(Some(name), path, read_only).await;
                done.map_err(|e| Failure(format!("{name}: {path}: {e}")))?;
            }
            _ => fail!("{USAGE}"),
        }
        Ok(())
    }

    fn list_loops(&self, out: &mut impl Write) -> Outcome {
        for device in self.devices.list() {
            let access = if device.read_only { ", read-only" } else { "" };
            writeln!(out, "{}: {} bytes ({}){access}", device.name, device.len, device.path)?;
        }
        Ok(())
    }
}
