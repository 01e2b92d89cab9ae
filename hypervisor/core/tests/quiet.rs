//! What a guest asks for is not logged, whatever it is: it could fill the log.

use std::sync::Mutex;

use hv_core::{
    Current, Hypervisor,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    machine::CpuId,
    regs::{Arm32Regs, GuestRegs},
    trap::Exit,
};
use xen_abi::hypercall::{COUNT, HVC_TAG, MULTICALL, SCHED_OP};

/// Keeps the lines.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Numbers as a guest would choose them: small ones, addresses that it has, and any.
struct Choice(u64);

impl Choice {
    fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn number(&mut self) -> u64 {
        let any = self.any();
        match any >> 62 {
            0 => any & 0x3f,
            1 => (GUEST_RAM.0 << 12) + (any & 0x1ff8),
            2 => any & 0xffff,
            _ => any & 0xffff_ffff,
        }
    }
}

#[test]
fn a_guest_cannot_write_to_the_log_by_what_it_asks_for() {
    let hv: Hypervisor<FakeMachine> = hypervisor(1024, 1);
    hv.add_cpu(CpuId(0));
    let _dom0 = domain(&hv, 0, control_config(), 8);
    let guest = domain(&hv, 1, guest_config(), 8);
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut choice = Choice(0x9e37_79b9_7f4a_7c15);
    for round in 0..20_000 {
        let number = choice.any() % u64::from(COUNT + 2);
        if [SCHED_OP, MULTICALL].map(u64::from).contains(&number) {
            // By these it may end itself, which is said.
            continue;
        }
        as_guest(&hv, &guest, |cur: &mut Current<'_, FakeMachine>| {
            let mut regs = Arm32Regs::default();
            regs.set_hypercall_number(number);
            (0..5).for_each(|n| regs.set_arg(n, choice.number()));
            for at in (0..0x2000).step_by(256) {
                let _ = cur.write((GUEST_RAM.0 << 12) + at, &(choice.number() | choice.number() << 32));
            }
            *cur.regs = regs;
            hv.handle(cur, Exit::Hvc(HVC_TAG));
        });
        let lines = LINES.0.lock().unwrap();
        assert!(lines.is_empty(), "round {round}, call {number}: {lines:?}");
    }
}
