//! Disks of running guests.

use alloc::string::String;
use core::fmt::Write;

use toolstack::{
    Interrupt,
    config::{disk::Disk as DiskConfig, vdev::Vdev},
    format,
};

use super::{Failure, Outcome, Session, fail, interruptible, options, takes, to_its_end};
use crate::{boxed::boxed, storage::Disk, terminal::Terminal};

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn block_list(&self, args: &[String], out: &mut Terminal) -> Outcome {
        if args.is_empty() {
            fail!("usage: xl block-list {}", takes("block-list"));
        }
        write!(out, "{}", format::block_list_header())?;
        for domid in self.domains(args).await? {
            write!(out, "{}", format::block_list(&self.toolstack.disks(domid).await?))?;
        }
        Ok(())
    }

    pub(super) async fn block_attach(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let Some((domain, disk)) = args.split_first().filter(|(_, disk)| !disk.is_empty()) else {
            fail!("usage: xl block-attach {}", takes("block-attach"));
        };
        let domid = self.toolstack.find(domain).await?;
        let disk = DiskConfig::parse_all(disk.iter().map(String::as_str))?;
        let attach = async |interrupt: &Interrupt| self.toolstack.attach_disk(domid, disk, interrupt).await;
        Ok(interruptible(out, attach).await?)
    }

    pub(super) async fn block_detach(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "f")?;
        let [domain, vdev] = rest else { fail!("usage: xl block-detach {}", takes("block-detach")) };
        let domid = self.toolstack.find(domain).await?;
        let number =
            Vdev::parse(vdev).ok_or_else(|| Failure(alloc::format!("{vdev}: no such device name")))?;
        let (toolstack, force) = (self.toolstack.clone(), flags.contains('f'));
        let detach = boxed(|| async move { toolstack.detach_disk(domid, number, force).await });
        to_its_end(out, detach, &alloc::format!("disk {vdev} goes when the guest lets go of it")).await
    }
}
