//! What is shown of domains.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use toolstack::{Listed, control::Control, format, host::Host};

use super::{Outcome, Session, options};
use crate::{storage::Disk, terminal::Terminal};

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn list(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, args) = options(args, "lv")?;
        let mut all = self.toolstack.list().await?;
        if !args.is_empty() {
            let wanted = self.domains(args).await?;
            all.retain(|domain| wanted.contains(&domain.info.domain));
        }
        if flags.contains('l') {
            return self.list_long(&all, out);
        }
        write!(out, "{}", format::list(&all, flags.contains('v')))?;
        Ok(())
    }

    fn list_long(&self, all: &[Listed], out: &mut impl Write) -> Outcome {
        let control = self.toolstack.host().control();
        let configs: Vec<_> = all.iter().map(|one| self.toolstack.config(one.info.domain)).collect();
        let domains: Vec<_> = all.iter().zip(configs.iter().map(Option::as_deref)).collect();
        let cpus = control.physinfo()?.max_cpu_id + 1;
        writeln!(out, "{}", format::list_long(&domains, cpus, control.scheduler()?))?;
        Ok(())
    }

    pub(super) async fn vcpu_list(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let cpus = self.toolstack.host().control().physinfo()?.max_cpu_id + 1;
        write!(out, "{}", format::vcpu_list_header())?;
        for domid in self.domains(args).await? {
            let name = self.name_of(domid).await?;
            write!(out, "{}", format::vcpu_list(&name, domid.0, &self.toolstack.vcpus(domid)?, cpus))?;
        }
        Ok(())
    }

    pub(super) async fn uptime(&self, args: &[String], out: &mut Terminal) -> Outcome {
        write!(out, "{}", format::uptime_header())?;
        for domid in self.domains(args).await? {
            let name = self.name_of(domid).await?;
            if let Some(seconds) = self.toolstack.uptime(domid).await? {
                write!(out, "{}", format::uptime(&name, domid.0, seconds))?;
            }
        }
        Ok(())
    }

    pub(super) async fn domid(&self, args: &[String], out: &mut Terminal) -> Outcome {
        writeln!(out, "{}", self.one_domain("domid", args).await?.0)?;
        Ok(())
    }

    pub(super) async fn domname(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let domid = self.one_domain("domname", args).await?;
        writeln!(out, "{}", self.name_of(domid).await?)?;
        Ok(())
    }
}
