//! The life of a guest after its start: orders to it, and what becomes of it when it shuts down.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::time::Duration;

use guest_sdk::xenstore;
use xen_abi::Domid;
use xen_abi::domctl::{GetDomainInfo, dominf};
use xen_abi::sched::shutdown;

use crate::config::{Action, Actions, DomainConfig};
use crate::control::Control;
use crate::destroy;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::nodes::{self, DOM0, domain_path};
use crate::store::{Store, Watch};
use crate::toolstack::Toolstack;

/// How long a guest may take to acknowledge an order.
const ACKNOWLEDGE: Duration = Duration::from_secs(60);
/// What a guest that restarts on and on has to wait, so that others come to run.
const RESTART_DELAY: Duration = Duration::from_secs(2);

/// Something that is done for a guest.
pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// An order to a guest's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Shut down.
    Poweroff,
    /// Restart.
    Reboot,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Poweroff => "poweroff",
            Self::Reboot => "reboot",
        }
    }
}

/// How a domain has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is gone, or about to be.
    Destroyed,
    /// It is still there, and has shut down for this reason.
    ShutDown(u32),
}

/// Gives the reason why a domain has shut down, if it has.
pub fn shutdown_reason(info: &GetDomainInfo) -> Option<u32> {
    let reason = info.flags >> dominf::SHUTDOWN_SHIFT & dominf::SHUTDOWN_MASK;
    (info.flags & dominf::SHUTDOWN != 0).then_some(reason)
}

/// Gives what the configuration wants done for a reason; an unknown reason ends the domain.
fn action_for(actions: &Actions, reason: u32) -> Option<Action> {
    match reason {
        shutdown::POWEROFF => Some(actions.poweroff),
        shutdown::REBOOT => Some(actions.reboot),
        shutdown::SUSPEND => None,
        shutdown::CRASH => Some(actions.crash),
        shutdown::WATCHDOG => Some(actions.watchdog),
        shutdown::SOFT_RESET => Some(actions.soft_reset),
        _ => {
            log::warn!("Unknown shutdown reason code {reason}. Destroying domain.");
            Some(Action::Destroy)
        }
    }
}

/// Gives what is done in the place of an action for which nothing is there.
fn served(action: Action) -> Action {
    let instead = match action {
        Action::CoredumpDestroy | Action::SoftReset => Action::Destroy,
        Action::CoredumpRestart => Action::Restart,
        served => return served,
    };
    log::warn!("Action {} is not supported, doing {} instead", action.name(), instead.name());
    instead
}

impl<H: Host> Toolstack<H> {
    /// Gives an order to a guest's kernel, and waits until the kernel has taken it.
    pub async fn order(&self, domid: Domid, order: Order) -> Result<()> {
        if domid == DOM0 {
            return Err(Error::guest("Domain-0 is shut down from within"));
        }
        let store = self.host().store();
        let path = format!("{}/control/shutdown", domain_path(domid));
        store.write(&path, order.word()).await?;
        let taken = async {
            let mut watch = store.watch(&path).await?;
            loop {
                watch.next().await?;
                match store.read_if_there(&path).await {
                    // The guest is gone already, or says that it goes.
                    Ok(None) => return Ok(()),
                    Ok(Some(value)) if value.is_empty() => return Ok(()),
                    Ok(Some(_)) | Err(xenstore::Error::Malformed) => {}
                    Err(error) => return Err(Error::from(error)),
                }
            }
        };
        match self.host().timeout(ACKNOWLEDGE, taken).await {
            Some(outcome) => outcome,
            None => self.withdraw(domid, &path).await,
        }
    }

    /// Waits until a domain has ended.
    pub async fn ended(&self, domid: Domid) -> Result<End> {
        let mut watch = self.host().store().watch("@releaseDomain").await?;
        loop {
            watch.next().await?;
            let info = self.host().control().domain(domid).ok();
            let Some(info) = info.filter(|info| info.flags & dominf::DYING == 0) else {
                return Ok(End::Destroyed);
            };
            if let Some(reason) = shutdown_reason(&info) {
                return Ok(End::ShutDown(reason));
            }
        }
    }

    /// Takes back an order that nobody took.
    async fn withdraw(&self, domid: Domid, path: &str) -> Result<()> {
        let withdraw = async |store: &H::Store| match store.read_if_there(path).await {
            Ok(Some(value)) if value.is_empty() => Ok(false),
            Ok(None) => Ok(false),
            Ok(Some(_)) | Err(xenstore::Error::Malformed) => store.write(path, "").await.map(|()| true),
            Err(error) => Err(error),
        };
        let missed = self.host().store().transaction(withdraw).await?;
        if missed { Err(Error::NoAnswer(domid)) } else { Ok(()) }
    }

    /// Ends a domain.
    pub async fn destroy(&self, domid: Domid) -> Result<()> {
        if domid == DOM0 {
            return Err(Error::guest("Cannot destroy privileged domain 0."));
        }
        self.host().control().domain(domid).map_err(|_| Error::NoDomain(domid.0.to_string()))?;
        self.registry().borrow_mut().remove(domid);
        destroy::destroy(self.host(), domid).await?;
        destroy::gone(self.host(), domid).await;
        Ok(())
    }

    /// Does for all guests what their configurations want done when they shut down. Ends only when the store does.
    pub async fn supervise(&self) -> xenstore::Error {
        let mut watch = match self.host().store().watch("@releaseDomain").await {
            Ok(watch) => watch,
            Err(error) => return error,
        };
        // What is done for one guest, which takes its time, keeps no other waiting.
        let mut tasks: Vec<Task<'_>> = Vec::new();
        loop {
            let event = {
                let mut event = pin!(watch.next());
                poll_fn(|cx| {
                    tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
                    event.as_mut().poll(cx)
                })
                .await
            };
            if let Err(error) = event {
                return error;
            }
            tasks.extend(self.due());
        }
    }

    /// Looks which guests have shut down or are gone, and gives what is to be done for each, which will not be given
    /// again.
    pub(crate) fn due(&self) -> Vec<Task<'_>> {
        let infos: BTreeMap<Domid, GetDomainInfo> = match self.host().control().domains() {
            Ok(infos) => infos.into_iter().map(|info| (info.domain, info)).collect(),
            Err(errno) => {
                log::error!("cannot list the domains: {errno}");
                return Vec::new();
            }
        };
        let known: Vec<Domid> = self.registry().borrow().guests.keys().copied().collect();
        known.into_iter().filter_map(|domid| self.due_for(domid, infos.get(&domid))).collect()
    }

    fn due_for(&self, domid: Domid, info: Option<&GetDomainInfo>) -> Option<Task<'_>> {
        let mut registry = self.registry().borrow_mut();
        let Some(info) = info.filter(|info| info.flags & dominf::DYING == 0) else {
            registry.remove(domid)?;
            return Some(Box::pin(self.bury(domid)));
        };
        let reason = shutdown_reason(info)?;
        let guest = registry.guests.get_mut(&domid).filter(|guest| !guest.handled)?;
        let action = action_for(&guest.config.actions, reason)?;
        guest.handled = true;
        log::info!("Domain {} has shut down, reason code {reason} {reason:#x}", domid.0);
        log::info!("Action for shutdown reason code {reason} is {}", action.name());
        Some(Box::pin(self.act(domid, guest.config.clone(), served(action))))
    }

    /// Clears up after a guest that somebody else destroyed.
    async fn bury(&self, domid: Domid) {
        log::info!("Domain {} has been destroyed.", domid.0);
        if let Err(error) = destroy::destroy(self.host(), domid).await {
            log::warn!("after the end of domain {}: {error}", domid.0);
        }
    }

    /// Does what a guest's configuration wants done after its shutdown.
    async fn act(&self, domid: Domid, config: Rc<DomainConfig>, action: Action) {
        let outcome = match action {
            Action::Preserve => Ok(()),
            Action::Restart => self.restart(domid, &config).await,
            Action::RenameRestart => self.rename_and_restart(domid, &config).await,
            _ => self.clean_up(domid).await,
        };
        if let Err(error) = outcome {
            log::error!("after the shutdown of domain {}: {error}", domid.0);
        }
    }

    async fn clean_up(&self, domid: Domid) -> Result<()> {
        log::info!("Domain {} needs to be cleaned up: destroying the domain", domid.0);
        self.registry().borrow_mut().remove(domid);
        destroy::destroy(self.host(), domid).await
    }

    async fn restart(&self, domid: Domid, config: &Rc<DomainConfig>) -> Result<()> {
        self.clean_up(domid).await?;
        self.start_again(config).await
    }

    async fn start_again(&self, config: &Rc<DomainConfig>) -> Result<()> {
        log::info!("Done. Rebooting now");
        self.host().sleep(RESTART_DELAY).await;
        self.create(DomainConfig::clone(config), false, &Interrupt::default()).await.map(drop)
    }

    async fn rename_and_restart(&self, domid: Domid, config: &Rc<DomainConfig>) -> Result<()> {
        let suffix = self.host().wallclock().map_or_else(|| format!("-{}", domid.0), date);
        let name = format!("{}{suffix}", config.name);
        log::info!("Preserving domain {} {} with suffix{suffix}", domid.0, config.name);
        let uuid = self.random_uuid();
        self.host().control().set_handle(domid, uuid.0).map_err(Error::hypercall("rename the domain"))?;
        nodes::rename(self.host().store(), domid, &uuid, &name).await?;
        self.registry().borrow_mut().rename(domid, &name);
        self.start_again(config).await
    }
}

/// Writes a time since 1970 as `-20240101T0000Z`.
fn date(since_1970: Duration) -> String {
    let (days, seconds) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    // Years begin in March, so that the day that some have comes last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("-{year:04}{month:02}{day:02}T{:02}{:02}Z", seconds / 3600, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        for (seconds, expected) in [
            (0, "-19700101T0000Z"),
            (1_704_067_206, "-20240101T0000Z"),
            (951_827_640, "-20000229T1234Z"),
            (1_709_251_199, "-20240229T2359Z"),
            (4_107_542_400, "-21000301T0000Z"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn actions_follow_the_reason() {
        let actions = Actions { crash: Action::Preserve, ..Actions::default() };
        assert_eq!(action_for(&actions, shutdown::POWEROFF), Some(Action::Destroy));
        assert_eq!(action_for(&actions, shutdown::REBOOT), Some(Action::Restart));
        assert_eq!(action_for(&actions, shutdown::CRASH), Some(Action::Preserve));
        assert_eq!(action_for(&actions, shutdown::SUSPEND), None);
        assert_eq!(action_for(&actions, 77), Some(Action::Destroy));
        assert_eq!(served(Action::CoredumpRestart), Action::Restart);
        assert_eq!(served(Action::SoftReset), Action::Destroy);
    }
}
