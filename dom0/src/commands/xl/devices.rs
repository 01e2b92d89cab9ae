//! Disks of running guests.

use alloc::string::String;
use core::fmt::Write;

use toolstack::{
    config::{disk::Disk as DiskConfig, vdev::Vdev},
    format,
};

use super::{Failure, Outcome, Session, fail, options, takes};
use crate::{storage::Disk, terminal::Terminal};

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

    pub(super) async fn block_attach(&self, args: &[String]) -> Outcome {
        let Some((domain, disk)) = args.split_first().filter(|(_, disk)| !disk.is_empty()) else {
            fail!("usage: xl block-attach {}", takes("block-attach"));
        };
        let domid = self.toolstack.find(domain).await?;
        let disk = DiskConfig::parse_all(disk.iter().map(String::as_str))?;
        Ok(self.toolstack.attach_disk(domid, disk).await?)
    }

    pub(super) async fn block_detach(&self, args: &[String]) -> Outcome {
        let (flags, rest) = options(args, "f")?;
        let [domain, vdev] = rest else { fail!("usage: xl block-detach {}", takes("block-detach")) };
        let domid = self.toolstack.find(domain).await?;
        let vdev = Vdev::parse(vdev).ok_or_else(|| Failure(alloc::format!("{vdev}: no such device name")))?;
        Ok(self.toolstack.detach_disk(domid, vdev, flags.contains('f')).await?)
    }
}
