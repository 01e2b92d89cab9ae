//! What the hypervisor does on a key, typed while it has the input or sent by the toolstack.

use xen_abi::{PAGE_SHIFT, xen::virq};

use crate::{Hypervisor, machine::Machine};

const HELP: [&str; 5] = [
    "h: show this help",
    "m: show how much memory is free",
    "p: show how often domains left their guests, why, and with exit_times how long",
    "q: show domains, and raise VIRQ_DEBUG in their vCPUs",
    "R: reboot",
];

impl<M: Machine> Hypervisor<M> {
    /// Does what a key stands for.
    pub fn key_pressed(&self, key: u8) {
        match key {
            b'h' => HELP.iter().for_each(|line| log::info!("{line}")),
            b'm' => log::info!("memory: {}kB free", u64::from(self.frames.free()) << (PAGE_SHIFT - 10)),
            b'p' => self.show_exits(),
            b'q' => self.show_domains(),
            b'R' => {
                log::info!("'R' pressed: rebooting");
                self.machine.shutdown(true)
            }
            _ => {}
        }
    }

    fn show_domains(&self) {
        for domain in self.domains.iter() {
            let life = domain.life();
            log::info!(
                "{}: {} pages, {}{}{:?}",
                domain.id,
                domain.account.owned(),
                if life.is_paused() { "paused, " } else { "" },
                if life.is_shut_down() { "shut down, " } else { "" },
                life.dying,
            );
            drop(life);
            for vcpu in domain.vcpus() {
                log::info!("  v{}: cpu{}, {}", vcpu.id, vcpu.sched.cpu().0, vcpu.sched.describe());
                self.send_vcpu_virq(&domain, vcpu, virq::DEBUG);
            }
        }
    }
}
