//! Up, paused, shut down.

use alloc::sync::Arc;

use xen_abi::{Errno, sched::shutdown, xen::virq};

use super::{Domain, destroy::Stage};
use crate::{Hypervisor, machine::Machine};

/// Whether a domain is being destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dying {
    /// No.
    Alive,
    /// It is being taken apart.
    Dying,
    /// Nothing is left but pages that others hold.
    Dead,
}

/// Up, down, dying. Changed under its lock, which the list of vCPUs is made under too.
#[derive(Debug)]
pub struct Lifecycle {
    /// How often the toolstack paused it.
    controller_pauses: u32,
    /// Whether it is being destroyed.
    pub dying: Dying,
    /// Why it shut down, or will have.
    code: Option<u8>,
    shut_down: bool,
    /// The toolstack let it run once: creation is over.
    created: bool,
    pub(super) stage: Stage,
}

impl Lifecycle {
    /// A new domain is paused once.
    pub(super) fn new() -> Self {
        Self {
            controller_pauses: 1,
            dying: Dying::Alive,
            code: None,
            shut_down: false,
            created: false,
            stage: Stage::Stop,
        }
    }

    /// Whether the toolstack paused it.
    pub fn is_paused(&self) -> bool {
        self.controller_pauses != 0
    }

    /// Whether it has shut down.
    pub fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// Why, if somebody said so yet.
    pub fn code(&self) -> Option<u8> {
        self.code
    }

    /// Whether the toolstack let it run once.
    pub fn is_created(&self) -> bool {
        self.created
    }

    /// Notes why the domain will have shut down, unless somebody did before.
    pub fn note_code(&mut self, code: u8) {
        self.code.get_or_insert(code);
    }

    /// How many pauses each of its vCPUs has from the domain.
    pub fn vcpu_pauses(&self) -> u32 {
        u32::from(self.is_paused()) + u32::from(self.dying != Dying::Alive)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Pauses a domain in the toolstack's name and waits until none of its vCPUs runs. The caller
    /// must not belong to it.
    pub fn pause_by_controller(&self, domain: &Domain<M>) -> Result<(), Errno> {
        {
            let mut life = domain.life();
            let pauses = life.controller_pauses.checked_add(1).ok_or(Errno::EOVERFLOW)?;
            life.controller_pauses = pauses;
            if pauses == 1 {
                self.pause_vcpus(domain);
            }
        }
        self.wait_until_all_off(domain);
        Ok(())
    }

    /// Takes one such pause back.
    pub fn unpause_by_controller(&self, domain: &Arc<Domain<M>>) -> Result<(), Errno> {
        let mut life = domain.life();
        let pauses = life.controller_pauses.checked_sub(1).ok_or(Errno::EINVAL)?;
        life.controller_pauses = pauses;
        if pauses == 0 {
            life.created = true;
            self.unpause_vcpus(domain);
        }
        Ok(())
    }

    pub(super) fn wait_until_all_off(&self, domain: &Domain<M>) {
        for vcpu in domain.vcpus() {
            self.wait_until_off(vcpu);
        }
    }

    /// Shuts a domain down: stops its vCPUs and tells the toolstack. For the hardware domain this
    /// ends the machine.
    pub fn shutdown_domain(&self, domain: &Domain<M>, reason: u8) {
        {
            let mut life = domain.life();
            life.note_code(reason);
            if domain.is_hardware() {
                let code = life.code.unwrap_or(reason);
                drop(life);
                self.end_machine(code);
            }
            if life.shut_down {
                return;
            }
            life.shut_down = true;
            self.halt_for_shutdown(domain);
        }
        self.send_global_virq(virq::DOM_EXC);
    }

    /// Lets a domain go on that had shut down, as after a suspend that was cancelled.
    pub fn resume_domain(&self, domain: &Arc<Domain<M>>) {
        let mut life = domain.life();
        life.code = None;
        if core::mem::take(&mut life.shut_down) {
            self.release_from_shutdown(domain);
        }
    }

    /// Ends the machine because the hardware domain did.
    fn end_machine(&self, reason: u8) -> ! {
        let reboot = match u32::from(reason) {
            shutdown::POWEROFF => {
                log::info!("hardware domain halted: powering off");
                false
            }
            shutdown::CRASH if self.options.noreboot => {
                log::error!("hardware domain crashed: not rebooting, as 'noreboot' says");
                false
            }
            shutdown::CRASH => {
                log::error!("hardware domain crashed: rebooting");
                true
            }
            other => {
                log::info!("hardware domain shut down (reason {other}): rebooting");
                true
            }
        };
        self.machine.shutdown(reboot)
    }
}
