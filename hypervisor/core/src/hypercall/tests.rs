//! Hypercalls by their registers, in both conventions.

use alloc::sync::Arc;

use xen_abi::{
    GuestHandle,
    arch::psr,
    event_channel::{BindIpi, Reset, op as evtchn},
    hypercall::*,
    sched::{Watchdog, op as sched},
    vcpu::RegisterRunstateMemoryArea,
    xen::vm_assist as assist,
};

use super::*;
use crate::{
    Hypervisor,
    domain::Domain,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    machine::CpuId,
    regs::{Arm32Regs, Arm64Regs},
};

const ARG: u64 = GUEST_RAM.0 << 12;
const LIST: u64 = ARG + 0x1000;
const PAGES: u32 = 4;
const PC: u64 = 0x8004;

/// A register convention.
trait Convention: GuestRegs {
    fn start() -> Self;
    /// A result register's value, as the guest's `long`.
    fn result(&self) -> i64;
    const AARCH32: bool;
}

impl Convention for Arm32Regs {
    fn start() -> Self {
        Self { cpsr: psr::GUEST32_INIT, pc: PC as u32, ..Self::default() }
    }
    fn result(&self) -> i64 {
        i64::from(self.r[0] as i32)
    }
    const AARCH32: bool = true;
}

impl Convention for Arm64Regs {
    fn start() -> Self {
        Self { pstate: psr::GUEST64_INIT.into(), pc: PC, ..Self::default() }
    }
    fn result(&self) -> i64 {
        self.x[0] as i64
    }
    const AARCH32: bool = false;
}

type Hv<R> = Hypervisor<FakeMachine<R>>;
type Dom<R> = Arc<Domain<FakeMachine<R>>>;

fn world<R: Convention>() -> (Hv<R>, Dom<R>, Dom<R>) {
    let hv = hypervisor(256, 1);
    let dom0 = domain(&hv, 0, control_config(), PAGES);
    let guest = domain(&hv, 1, guest_config(), PAGES);
    for domain in [&dom0, &guest] {
        domain.set_aarch32(R::AARCH32);
    }
    (hv, dom0, guest)
}

fn call<R: Convention>(hv: &Hv<R>, caller: &Dom<R>, number: u64, args: &[u64]) -> (i64, R) {
    as_guest(hv, caller, |cur| {
        *cur.regs = R::start();
        cur.regs.set_hypercall_number(number);
        for (n, arg) in args.iter().enumerate() {
            cur.regs.set_arg(n, *arg);
        }
        cur.hypercall();
        (cur.regs.result(), cur.regs.clone())
    })
}

/// Makes the call again as long as the hypervisor says so.
fn call_to_end<R: Convention>(hv: &Hv<R>, caller: &Dom<R>, number: u64, args: &[u64]) -> (i64, u32) {
    let (mut result, mut regs) = call(hv, caller, number, args);
    let mut rounds = 1;
    while regs.pc() != PC {
        assert_eq!(regs.pc(), PC - 4);
        assert_eq!(regs.hypercall_number(), number);
        let args: Args = core::array::from_fn(|n| regs.arg(n));
        (result, regs) = call(hv, caller, number, &args);
        rounds += 1;
        assert!(rounds < 1000, "no progress");
    }
    (result, rounds)
}

/// Runs each case in both conventions.
macro_rules! in_both_conventions {
    ($($name:ident => $case:ident;)*) => {$(
        #[test]
        fn $name() {
            $case::<Arm32Regs>();
            $case::<Arm64Regs>();
        }
    )*};
}

in_both_conventions! {
    numbers_that_mean_nothing_are_refused_and_harm_nothing => unknown_numbers;
    every_number_survives_garbage => garbage;
    a_multicall_serves_each_entry_as_if_it_were_alone => multicall_entries;
    a_multicall_within_another_is_refused => nested;
    a_list_that_cannot_be_read_ends_a_multicall => bad_lists;
    a_multicall_stops_between_entries_for_whatever_is_urgent => stops_between;
    an_entry_that_is_preempted_goes_on_where_it_was => preempted_entry;
    sched_op_checks_what_it_is_told => sched_ops;
    watchdogs_are_counted_re_armed_and_bite => watchdogs;
    vcpu_op_and_vm_assist_know_one_thing_each => assists;
    the_console_is_for_those_who_may => console;
    long_console_output_is_continued => long_console_output;
}

fn unknown_numbers<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let absent = [
        0, 1, 5, 8, 11, 14, 15, 19, 22, 23, 25, 26, 27, 28, 30, 31, 33, 37, 38, 39, 40, 41, 42, 43, 48, 55,
        63,
    ];
    for number in absent.into_iter().chain([64, 1 << 16, u64::from(u32::MAX)]) {
        let (result, regs) = call(&hv, &guest, number, &[ARG, ARG, ARG, ARG, ARG]);
        assert_eq!((result, regs.pc()), (-38, PC), "{number}");
    }
    if !R::AARCH32 {
        assert_eq!(call(&hv, &guest, 1 << 32 | u64::from(XEN_VERSION), &[0, 0]).0, -38);
    }
    assert_eq!(call(&hv, &guest, XEN_VERSION.into(), &[0, 0]).0, 4 << 16 | 17);
}

fn garbage<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let values = [0, 1, 2, 7, 0xfff, ARG, ARG + 0xffd, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 1 << 63];
    for number in 0..64 {
        // These act on the vCPU that makes them, for good.
        if number == u64::from(SCHED_OP) || number == u64::from(SCHED_OP_COMPAT) {
            continue;
        }
        for command in 0..48 {
            for (n, value) in values.iter().enumerate() {
                let other = values[(n * 7 + command as usize) % values.len()];
                call_to_end(&hv, &guest, number, &[command, *value, other, *value, other]);
            }
        }
    }
    assert_eq!(call(&hv, &guest, XEN_VERSION.into(), &[0, 0]).0, 4 << 16 | 17);
}

fn write_list<R: Convention>(hv: &Hv<R>, caller: &Dom<R>, entries: &[(u64, &[u64])]) {
    as_guest(hv, caller, |cur| {
        for (n, (op, given)) in entries.iter().enumerate() {
            let mut args = [0; MULTICALL_ARGS];
            args[..given.len()].copy_from_slice(given);
            let entry = MulticallEntry { op: *op, result: 0x5555, args };
            cur.write_item(GuestHandle::new(LIST), n as u64, &entry).expect("RAM");
        }
    });
}

fn entry<R: Convention>(hv: &Hv<R>, caller: &Dom<R>, n: u64) -> MulticallEntry {
    as_guest(hv, caller, |cur| cur.read_item(GuestHandle::new(LIST), n).expect("RAM"))
}

fn multicall_entries<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let list: [(u64, &[u64]); 4] = [
        (XEN_VERSION.into(), &[0]),
        (99, &[]),
        (u64::MAX, &[]),
        (EVENT_CHANNEL_OP.into(), &[evtchn::BIND_IPI.into(), ARG]),
    ];
    as_guest(&hv, &guest, |cur| cur.write(ARG, &BindIpi::default()).expect("RAM"));
    write_list(&hv, &guest, &list);
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[LIST, 4]).0, 0);
    let results: [i64; 4] = core::array::from_fn(|n| entry(&hv, &guest, n as u64).result as i64);
    assert_eq!(results, [4 << 16 | 17, -38, -38, 0]);
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[LIST, 0]).0, 0);
}

fn nested<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    write_list(&hv, &guest, &[(MULTICALL.into(), &[LIST, 1])]);
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[LIST, 1]).0, 0);
    assert_eq!(entry(&hv, &guest, 0).result as i64, -22);
}

fn bad_lists<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[0x1000, 1]).0, -14);
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[u64::MAX - 64, 8]).0, -14);
    // It ends with the RAM, after the entries that are there.
    let last = (GUEST_RAM.0 + u64::from(PAGES)) * 4096 - 64;
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[last, u64::MAX]).0, -14);
    hv.machine.map_va(LIST, Some((LIST, false)));
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[LIST, 1]).0, -14, "read-only");
}

fn stops_between<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let version: (u64, &[u64]) = (XEN_VERSION.into(), &[0]);
    write_list(&hv, &guest, &[version; 3]);
    hv.machine.set_interrupt_waiting(true);
    let (_, regs) = call(&hv, &guest, MULTICALL.into(), &[LIST, 3]);
    assert_eq!((regs.pc(), regs.arg(0), regs.arg(1)), (PC - 4, LIST + 64, 2));
    assert_eq!(call_to_end(&hv, &guest, MULTICALL.into(), &[LIST, 3]), (0, 3), "one each time");
    assert!((0..3).all(|n| entry(&hv, &guest, n).result == 4 << 16 | 17));
}

fn preempted_entry<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    as_guest(&hv, &guest, |cur| cur.write(ARG, &BindIpi::default()).expect("RAM"));
    for _ in 0..200 {
        let bound = call(&hv, &guest, EVENT_CHANNEL_OP.into(), &[evtchn::BIND_IPI.into(), ARG]).0;
        assert_eq!(bound, 0);
    }
    as_guest(&hv, &guest, |cur| cur.write(ARG, &Reset { dom: xen_abi::Domid::SELF }).expect("RAM"));
    let reset: &[u64] = &[evtchn::RESET.into(), ARG];
    write_list(&hv, &guest, &[(EVENT_CHANNEL_OP.into(), reset), (XEN_VERSION.into(), &[0])]);
    hv.machine.set_interrupt_waiting(true);
    let (_, regs) = call(&hv, &guest, MULTICALL.into(), &[LIST, 2]);
    assert_eq!((regs.pc(), regs.arg(0), regs.arg(1)), (PC - 4, LIST, 2));
    assert_eq!(entry(&hv, &guest, 0).args[0], u64::from(evtchn::RESET_CONT));
    let (result, rounds) = call_to_end(&hv, &guest, MULTICALL.into(), &[LIST, 2]);
    assert!(result == 0 && rounds > 2);
    assert_eq!((entry(&hv, &guest, 0).result, entry(&hv, &guest, 1).result), (0, 4 << 16 | 17));
}

#[test]
fn a_32_bit_domain_crashes_over_wide_arguments_that_a_call_uses() {
    let (hv, _, guest) = world::<Arm32Regs>();
    write_list(&hv, &guest, &[(XEN_VERSION.into(), &[0, 0, 1 << 32])]);
    assert_eq!(call(&hv, &guest, MULTICALL.into(), &[LIST, 1]).0, 0);
    assert_eq!(entry(&hv, &guest, 0).result, 4 << 16 | 17, "the third is not used");
    assert!(!guest.life().is_shut_down());
    write_list(&hv, &guest, &[(XEN_VERSION.into(), &[0, 1 << 32])]);
    call(&hv, &guest, MULTICALL.into(), &[LIST, 1]);
    assert!(guest.life().is_shut_down());
    assert_eq!(guest.life().code(), Some(3));
}

fn sched_ops<R: Convention>() {
    let (hv, dom0, guest) = world::<R>();
    let op = |caller, command: u32, at: u64| call(&hv, caller, SCHED_OP.into(), &[command.into(), at]).0;
    assert_eq!(op(&guest, 8, ARG), -38);
    for command in
        [sched::SHUTDOWN, sched::POLL, sched::REMOTE_SHUTDOWN, sched::SHUTDOWN_CODE, sched::WATCHDOG]
    {
        assert_eq!(op(&guest, command, 0x1000), -14, "{command}");
    }
    assert_eq!(call(&hv, &guest, SCHED_OP_COMPAT.into(), &[0, 0]).0, -38, "never on ARM");
    assert_eq!(op(&guest, sched::PIN_OVERRIDE, 0x1000), -1, "before it is looked at");
    let put = |caller, words: &[u32; 2]| as_guest(&hv, caller, |cur| cur.write(ARG, words).expect("RAM"));
    put(&guest, &[0, 0]);
    assert_eq!(op(&guest, sched::PIN_OVERRIDE, ARG), -1, "the hardware domain only");
    put(&dom0, &[0, 0]);
    hv.add_cpu(CpuId(0));
    assert_eq!(op(&dom0, sched::PIN_OVERRIDE, ARG), 0);
    assert_eq!(op(&dom0, sched::PIN_OVERRIDE, ARG), -16);
    put(&dom0, &[u32::MAX, 0]);
    assert_eq!(op(&dom0, sched::PIN_OVERRIDE, ARG), 0);
    assert_eq!(op(&dom0, sched::PIN_OVERRIDE, ARG), -22);
    put(&dom0, &[5, 0]);
    assert_eq!(op(&dom0, sched::PIN_OVERRIDE, ARG), -22);
    put(&guest, &[0, 3]);
    assert_eq!(op(&guest, sched::REMOTE_SHUTDOWN, ARG), -1);
    put(&dom0, &[9, 3]);
    assert_eq!(op(&dom0, sched::REMOTE_SHUTDOWN, ARG), -3);
    put(&guest, &[0x107, 0]);
    assert_eq!(op(&guest, sched::SHUTDOWN_CODE, ARG), 0);
    assert!(!guest.life().is_shut_down());
    put(&dom0, &[1, 3]);
    assert_eq!(op(&dom0, sched::REMOTE_SHUTDOWN, ARG), 0);
    assert!(guest.life().is_shut_down());
    assert_eq!(guest.life().code(), Some(7), "what was said first");
}

fn watchdogs<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let watchdog = |id: u32, timeout: u32| {
        as_guest(&hv, &guest, |cur| cur.write(ARG, &Watchdog { id, timeout }).expect("RAM"));
        call(&hv, &guest, SCHED_OP.into(), &[sched::WATCHDOG.into(), ARG]).0
    };
    hv.prepare_vcpus(1).expect("memory");
    assert_eq!(watchdog(1, 5), -22, "not in use");
    assert_eq!((watchdog(0, 5), watchdog(0, 10), watchdog(0, 1)), (1, 2, -28));
    assert_eq!(watchdog(3, 5), -22);
    assert_eq!(watchdog(1, 0), 0);
    assert_eq!(watchdog(2, u32::MAX), 0, "re-armed");
    hv.machine.advance(20_000_000);
    hv.timer_expired(CpuId(0));
    assert!(!guest.life().is_shut_down());
    assert_eq!(watchdog(2, 3), 0);
    hv.machine.advance(2_000_000);
    hv.timer_expired(CpuId(0));
    assert!(!guest.life().is_shut_down());
    assert_eq!(watchdog(0, 0), 1, "a new one that bites at once");
    hv.timer_expired(CpuId(0));
    assert_eq!(guest.life().code(), Some(4));
}

fn assists<R: Convention>() {
    let (hv, _, guest) = world::<R>();
    let assist = |command: u32, kind: u64| call(&hv, &guest, VM_ASSIST.into(), &[command.into(), kind]).0;
    let runstate = u64::from(assist::RUNSTATE_UPDATE_FLAG);
    assert_eq!((assist(assist::ENABLE, runstate), assist(assist::DISABLE, runstate)), (0, 0));
    assert_eq!((assist(assist::ENABLE, 4), assist(2, runstate)), (-22, -38));
    let vcpu_op = |command, vcpu, at| call(&hv, &guest, VCPU_OP.into(), &[command, vcpu, at]).0;
    for command in [0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 14, 15] {
        assert_eq!(vcpu_op(command, 0, ARG), -22, "{command}");
    }
    assert_eq!((vcpu_op(5, 1, ARG), vcpu_op(10, 9, ARG)), (-2, -2));
    // The vCPU is looked up before the command, and the kind before what is to be done to it.
    assert_eq!((vcpu_op(0, 9, ARG), assist(2, 0)), (-2, -22));
    assert_eq!((vcpu_op(5, 0, 0x1000), vcpu_op(10, 0, 0x1000)), (-14, -14));
    let register = |addr| {
        let area = RegisterRunstateMemoryArea { addr: GuestHandle::new(addr) };
        as_guest(&hv, &guest, |cur| cur.write(ARG, &area).expect("RAM"));
        vcpu_op(5, 0, ARG)
    };
    assert_eq!(register(LIST), 0);
    let state: i32 = as_guest(&hv, &guest, |cur| cur.read(LIST).expect("RAM"));
    assert_eq!(state, 3, "it is paused");
    assert_eq!(register(0x1000), 0, "whether it can be written or not");
    assert_eq!(register(0), 0);
}

fn console<R: Convention>() {
    let (hv, dom0, guest) = world::<R>();
    let io =
        |caller, command: u64, count: u64, at| call(&hv, caller, CONSOLE_IO.into(), &[command, count, at]).0;
    assert_eq!((io(&guest, 0, 1, ARG), io(&guest, 1, 1, ARG), io(&guest, 7, 1, ARG)), (-1, -1, -1));
    as_guest(&hv, &dom0, |cur| cur.copy_to_guest(ARG, b"hello\n").expect("RAM"));
    assert_eq!((io(&dom0, 0, 6, ARG), io(&dom0, 2, 6, ARG)), (0, -38));
    assert_eq!(hv.machine.log(|log| log.console.clone()), b"hello\n");
    assert_eq!(io(&dom0, 0, 1, 0x1000), -14);
    assert_eq!(io(&dom0, 1, 0x8000_0000, ARG), -7);
    for byte in b"typed" {
        hv.console_input(*byte);
    }
    assert_eq!((io(&dom0, 1, 3, ARG), io(&dom0, 1, 100, ARG + 3), io(&dom0, 1, 1, ARG)), (3, 2, 0));
    let text: [u8; 5] = as_guest(&hv, &dom0, |cur| cur.read(ARG).expect("RAM"));
    assert_eq!(&text, b"typed");
    let config = crate::domain::DomainConfig { console: true, ..guest_config() };
    let other = domain(&hv, 5, config, PAGES);
    other.set_aarch32(R::AARCH32);
    as_guest(&hv, &other, |cur| cur.copy_to_guest(ARG, b"a\x07b\nrest").expect("RAM"));
    hv.machine.log(|log| log.console.clear());
    assert_eq!(io(&other, 0, 8, ARG), 0);
    assert_eq!(hv.machine.log(|log| log.console.clone()), b"(d5) ab\n");
    hv.console_input(b's');
    assert_eq!((io(&other, 1, 8, ARG), io(&dom0, 1, 8, ARG)), (0, 1), "what was typed is dom0's");
}

fn long_console_output<R: Convention>() {
    let (hv, dom0, _) = world::<R>();
    as_guest(&hv, &dom0, |cur| cur.copy_to_guest(ARG, &[b'x'; 1000]).expect("RAM"));
    hv.machine.set_interrupt_waiting(true);
    let (result, rounds) = call_to_end(&hv, &dom0, CONSOLE_IO.into(), &[0, 1000, ARG]);
    assert_eq!((result, rounds), (0, 8));
    assert_eq!(hv.machine.log(|log| log.console.len()), 1000);
}
