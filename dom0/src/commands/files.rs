//! `ls` and `cat`.

use alloc::{format, string::String, vec};
use core::fmt::Write;

use super::{Failure, Outcome, Session, fail, options};
use crate::{
    storage::{DirEntry, Disk, HOME},
    terminal::Terminal,
};

/// Where the block devices are.
const DEVICES: &str = "/dev";

/// Bytes of a file that are printed at a time.
const CHUNK: usize = 4096;

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn ls(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, mut paths) = options(args, "l")?;
        let here = [HOME.into()];
        if paths.is_empty() {
            paths = &here;
        }
        for path in paths {
            if path.trim_end_matches('/') == DEVICES {
                self.list_devices(out)?;
                continue;
            }
            let stat = self.volume.stat(path).await.map_err(|e| Failure(format!("{path}: {e}")))?;
            let entries = match stat.is_dir {
                true => self.volume.read_dir(path).await?,
                false => vec![DirEntry { name: path.clone(), ..stat }],
            };
            for entry in entries {
                list_entry(&entry, flags.contains('l'), out)?;
            }
        }
        Ok(())
    }

    fn list_devices(&self, out: &mut impl Write) -> Outcome {
        for device in self.devices.list() {
            writeln!(out, "{}", device.name.trim_start_matches("/dev/"))?;
        }
        writeln!(out, "vda")?;
        Ok(())
    }

    pub(super) async fn cat(&self, args: &[String], out: &mut Terminal) -> Outcome {
        if args.is_empty() {
            fail!("usage: cat FILE...");
        }
        for path in args {
            let failed = |e: &dyn core::fmt::Display| Failure(format!("{path}: {e}"));
            let file = self.volume.open(path).await.map_err(|e| failed(&e))?;
            let mut chunk = vec![0; CHUNK];
            let mut offset = 0;
            while offset < file.len() {
                let n = usize::try_from(file.len() - offset).unwrap_or(CHUNK).min(CHUNK);
                file.read_at(offset, &mut chunk[..n]).await.map_err(|e| failed(&e))?;
                for (index, line) in chunk[..n].split(|&b| b == b'\n').enumerate() {
                    if index > 0 {
                        out.raw(b"\r\n");
                    }
                    out.raw(line);
                }
                offset += n as u64;
            }
        }
        Ok(())
    }
}

fn list_entry(entry: &DirEntry, long: bool, out: &mut impl Write) -> Outcome {
    let mark = if entry.is_dir { "/" } else { "" };
    match long {
        true => writeln!(out, "{:>12} {}{mark}", entry.len, entry.name)?,
        false => writeln!(out, "{}{mark}", entry.name)?,
    }
    Ok(())
}
