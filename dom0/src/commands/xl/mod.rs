//! `xl`: its subcommands, a file for each family, thin over the toolstack.

mod create;
mod devices;
mod hypervisor;
mod lifecycle;
mod show;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Write, pin::pin};

use guest_sdk::{
    abi::Domid,
    exec::{self, Either, race},
};
use toolstack::Interrupt;

use super::{Failure, Outcome, Session, fail, options};
use crate::{boxed::boxed, storage::Disk, terminal::Terminal};

/// A subcommand: name, arguments and meaning, for `xl help`.
const ENTRIES: &[(&str, &str, &str)] = &[
    ("block-attach", "DOMAIN DISK...", "Create a new virtual block device"),
    ("block-detach", "[-f] DOMAIN VDEV", "Destroy a domain's virtual block device"),
    ("block-list", "DOMAIN...", "List virtual block devices for a domain"),
    ("console", "DOMAIN", "Attach to domain's console; Ctrl-] leaves it"),
    (
        "create",
        "[-cnpq] FILE [KEY=VALUE...]",
        "Create a domain from config file; -c console, -p paused, -n check only, -q quiet",
    ),
    ("debug-keys", "KEYS", "Send debug keys to the hypervisor"),
    ("destroy", "DOMAIN", "Terminate a domain immediately"),
    ("dmesg", "[-c]", "Read and/or clear the hypervisor's message buffer"),
    ("domid", "NAME", "Convert a domain name to domain id"),
    ("domname", "DOMID", "Convert a domain id to domain name"),
    ("help", "", "This list"),
    ("info", "", "Get information about the machine"),
    ("list", "[-lv] [DOMAIN...]", "List information about all/some domains; -l all details, -v reasons"),
    ("pause", "DOMAIN", "Pause execution of a domain"),
    ("reboot", "[-w] -a|DOMAIN...", "Issue a reboot signal to a domain"),
    ("shutdown", "[-w] -a|DOMAIN...", "Issue a shutdown signal to a domain"),
    ("unpause", "DOMAIN", "Unpause a paused domain"),
    ("uptime", "[DOMAIN...]", "Print uptime for all/some domains"),
    ("vcpu-list", "[DOMAIN...]", "List the VCPUs for all/some domains"),
];

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn xl(&self, args: &[String], terminal: &mut Terminal) -> Outcome {
        let Some((name, args)) = args.split_first() else { return help(terminal) };
        match name.as_str() {
            "block-attach" => boxed(|| self.block_attach(args, terminal)).await,
            "block-detach" => boxed(|| self.block_detach(args, terminal)).await,
            "block-list" => boxed(|| self.block_list(args, terminal)).await,
            "console" => boxed(|| self.console(args, terminal)).await,
            "create" => boxed(|| self.create(args, terminal)).await,
            "debug-keys" => self.debug_keys(args),
            "destroy" => boxed(|| self.destroy(args, terminal)).await,
            "dmesg" => self.dmesg(args, terminal),
            "domid" => boxed(|| self.domid(args, terminal)).await,
            "domname" => boxed(|| self.domname(args, terminal)).await,
            "help" => help(terminal),
            "info" => self.info(args, terminal),
            "list" => boxed(|| self.list(args, terminal)).await,
            "pause" => boxed(|| self.pause(args, true)).await,
            "reboot" => boxed(|| self.order(args, toolstack::Order::Reboot, terminal)).await,
            "shutdown" => boxed(|| self.order(args, toolstack::Order::Poweroff, terminal)).await,
            "unpause" => boxed(|| self.pause(args, false)).await,
            "uptime" => boxed(|| self.uptime(args, terminal)).await,
            "vcpu-list" => boxed(|| self.vcpu_list(args, terminal)).await,
            _ => fail!("command not implemented: xl {name}; xl help lists what there is"),
        }
    }

    /// The one domain that `args` name.
    async fn one_domain(&self, command: &str, args: &[String]) -> Result<Domid, Failure> {
        let [domain] = args else { fail!("usage: xl {command} {}", takes(command)) };
        Ok(self.toolstack.find(domain).await?)
    }

    /// The domains that `args` name; without any, all of them.
    async fn domains(&self, args: &[String]) -> Result<Vec<Domid>, Failure> {
        if args.is_empty() {
            let all = self.toolstack.list().await?;
            return Ok(all.iter().map(|domain| domain.info.domain).collect());
        }
        let mut found = Vec::new();
        for name in args {
            found.push(self.toolstack.find(name).await?);
        }
        Ok(found)
    }

    /// A domain's name, or its number when it has none.
    async fn name_of(&self, domid: Domid) -> Result<String, Failure> {
        let name = self.toolstack.name_of(domid).await?;
        Ok(if name.is_empty() { domid.0.to_string() } else { name })
    }
}

/// Does what must not be dropped: it is told when Ctrl-C is typed.
async fn interruptible<T>(
    out: &mut Terminal,
    what: impl AsyncFnOnce(&Interrupt) -> toolstack::Result<T>,
) -> toolstack::Result<T> {
    let interrupt = Interrupt::default();
    let mut what = pin!(what(&interrupt));
    match race(what.as_mut(), out.interrupted()).await {
        Either::First(outcome) => outcome,
        Either::Second(()) => {
            interrupt.raise();
            what.await
        }
    }
}

/// Waits for what goes on without the user, too, when Ctrl-C is typed; `then` says how.
async fn to_its_end(
    out: &mut Terminal,
    what: impl Future<Output = toolstack::Result<()>> + 'static,
    then: &str,
) -> Outcome {
    let mut task = exec::spawn(what);
    match out.unless_interrupted(&mut task).await {
        Some(outcome) => Ok(outcome??),
        None => {
            exec::spawn(async move {
                if let Ok(Err(error)) = task.await {
                    log::warn!("{error}");
                }
            });
            fail!("interrupted: {then}")
        }
    }
}

/// The subcommands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|(name, ..)| *name)
}

/// What a subcommand takes.
pub(super) fn takes(command: &str) -> &'static str {
    ENTRIES.iter().find(|(name, ..)| *name == command).map_or("", |(_, takes, _)| takes)
}

fn help(out: &mut impl Write) -> Outcome {
    writeln!(out, "Usage: xl SUBCOMMAND [ARGS]\n")?;
    for (name, takes, does) in ENTRIES {
        let usage = alloc::format!("{name} {takes}");
        writeln!(out, "  {usage:<38} {does}")?;
    }
    Ok(())
}
