//! `xl create`.

use alloc::{format, string::String};
use core::fmt::Write;

use guest_sdk::abi::Domid;
use toolstack::{
    Interrupt,
    config::{DomainConfig, Parsed},
};

use super::{Failure, Outcome, Session, fail, interruptible, options, takes};
use crate::{consoles, storage::Disk, terminal::Terminal};

/// A configuration file is not larger.
const MAX_CONFIG: usize = 256 << 10;

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn create(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "cnpq")?;
        let Some((path, more)) = rest.split_first() else { fail!("usage: xl create {}", takes("create")) };
        let config = self.read_config(path, more, out).await?;
        if !flags.contains('q') {
            writeln!(out, "Parsing config from {path}")?;
        }
        if flags.contains('n') {
            return Ok(());
        }
        let with_console = flags.contains('c');
        let paused = flags.contains('p');
        let create = async |interrupt: &Interrupt| {
            self.toolstack.create(config, paused || with_console, interrupt).await
        };
        let domid = interruptible(out, create).await?;
        if with_console {
            self.start_with_console(domid, paused, out).await?;
        }
        Ok(())
    }

    /// Attaches before the guest runs, so that its first words are seen too.
    async fn start_with_console(&self, domid: Domid, paused: bool, out: &mut Terminal) -> Outcome {
        let reader = self.consoles.attach(domid).await;
        if !paused {
            self.toolstack.unpause(domid)?;
        }
        match reader {
            Some(reader) => consoles::interact(reader, out).await,
            None => fail!("the domain runs, but has no console"),
        }
        Ok(())
    }

    /// Reads a configuration; what follows on the command line counts as more lines of it.
    async fn read_config(
        &self,
        path: &str,
        more: &[String],
        out: &mut impl Write,
    ) -> Result<DomainConfig, Failure> {
        let file = self.volume.open(path).await.map_err(|e| Failure(format!("{path}: {e}")))?;
        let bytes = file.read_all(MAX_CONFIG).await.map_err(|e| Failure(format!("{path}: {e}")))?;
        let Ok(mut text) = String::from_utf8(bytes) else { fail!("{path}: not a text file") };
        for line in more {
            text.push('\n');
            text.push_str(line);
        }
        match DomainConfig::parse(&text) {
            Ok(Parsed { config, warnings }) => {
                for warning in warnings {
                    writeln!(out, "{path}:{warning}")?;
                }
                Ok(config)
            }
            Err(problems) => {
                for problem in problems {
                    writeln!(out, "{path}:{problem}")?;
                }
                fail!("Failed to parse config")
            }
        }
    }
}
