//! What ends, stops and restarts domains, and their consoles.

use alloc::{format, string::String, vec::Vec};
use core::{fmt::Write, time::Duration};

use guest_sdk::{abi::Domid, exec};
use toolstack::{End, Order};

use super::{Outcome, Session, fail, options, takes, to_its_end};
use crate::{boxed::boxed, consoles, storage::Disk, terminal::Terminal};

/// How often, and how long apart, it is looked whether a guest that is just being made has its console: for the five
/// seconds of xl.
const CONSOLE_TRIES: u32 = 100;
const CONSOLE_WAIT: Duration = Duration::from_millis(50);

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn pause(&self, args: &[String], pause: bool) -> Outcome {
        let domid = self.one_domain(if pause { "pause" } else { "unpause" }, args).await?;
        match pause {
            true => self.toolstack.pause(domid)?,
            false => self.toolstack.unpause(domid)?,
        }
        Ok(())
    }

    pub(super) async fn order(&self, args: &[String], order: Order, out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "aw")?;
        let domains: Vec<Domid> = match (flags.contains('a'), rest) {
            (true, []) => self.domains(&[]).await?.into_iter().filter(|&d| d != Domid(0)).collect(),
            (false, [_, ..]) => self.domains(rest).await?,
            _ => fail!("usage: xl shutdown|reboot {}", takes("shutdown")),
        };
        for &domid in &domains {
            let doing = match order {
                Order::Poweroff => "Shutting down",
                Order::Reboot => "Rebooting",
            };
            writeln!(out, "{doing} domain {}", domid.0)?;
            match out.unless_interrupted(self.toolstack.order(domid, order)).await {
                Some(outcome) => outcome?,
                None => fail!("interrupted: domain {} has not answered yet", domid.0),
            }
        }
        if flags.contains('w') {
            writeln!(out, "Waiting for {} domains", domains.len())?;
            for domid in domains {
                self.wait_for_end(domid, out).await?;
            }
        }
        Ok(())
    }

    /// Waits until a domain has ended, or the user does not want to wait any longer.
    async fn wait_for_end(&self, domid: Domid, out: &mut Terminal) -> Outcome {
        match out.unless_interrupted(self.toolstack.ended(domid)).await {
            None => fail!("interrupted: domain {} goes on with its end", domid.0),
            Some(end) => match end? {
                End::Destroyed => writeln!(out, "Domain {} has been destroyed", domid.0)?,
                End::ShutDown(reason) => {
                    writeln!(out, "Domain {} has been shut down, reason code {reason}", domid.0)?;
                }
            },
        }
        Ok(())
    }

    pub(super) async fn destroy(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let domid = self.one_domain("destroy", args).await?;
        let toolstack = self.toolstack.clone();
        let destroy = boxed(|| async move { toolstack.destroy(domid).await });
        to_its_end(out, destroy, &format!("domain {} goes on with its end", domid.0)).await
    }

    pub(super) async fn console(&self, args: &[String], terminal: &mut Terminal) -> Outcome {
        let domid = self.one_domain("console", args).await?;
        for _ in 0..CONSOLE_TRIES {
            if let Some(reader) = self.consoles.attach(domid).await {
                consoles::interact(reader, terminal).await;
                return Ok(());
            }
            if terminal.unless_interrupted(exec::sleep(CONSOLE_WAIT)).await.is_none() {
                fail!("interrupted");
            }
        }
        fail!("domain {} has no console", domid.0)
    }
}
