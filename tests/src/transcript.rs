//! What each hypercall and each call to firmware answers, by a guest that makes them all, on our hypervisor and on
//! Debian's Xen.
use crate::{
    Console,
    artifacts::{self, Hypervisor},
};
use machine::{Arch, DomU, Domain, Machine};
use std::time::Duration;

use Whom::{Any, Any32, Any64, Dom0, Dom0Arm32, Dom0Arm64, Dom0Of64, Guest32};

const ENOUGH: Duration = Duration::from_secs(300);
/// How each of its lines begins; what the hypervisor puts in front of a guest's lines is left out.
const MARK: &str = "| ";
/// Differences that are shown.
const MOST_SHOWN: usize = 200;

/// Who makes the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Dom0,
    Guest,
    /// Of 32 bits, on a 64-bit hypervisor.
    Dom0Of32,
    /// The same.
    GuestOf32,
}

/// Who is answered otherwise.
#[derive(Clone, Copy, Debug)]
enum Whom {
    Any,
    /// On 32-bit ARM.
    Any32,
    /// In 64-bit state.
    Any64,
    Dom0,
    /// On 32-bit ARM.
    Dom0Arm32,
    /// On 64-bit ARM.
    Dom0Arm64,
    /// In 64-bit state.
    Dom0Of64,
    /// On 32-bit ARM.
    Guest32,
}

impl Whom {
    fn includes(self, caller: Caller, on: Arch) -> bool {
        let is_dom0 = matches!(caller, Caller::Dom0 | Caller::Dom0Of32);
        match self {
            Any => true,
            Any32 => on == Arch::Arm32,
            Any64 => on == Arch::Arm64 && matches!(caller, Caller::Dom0 | Caller::Guest),
            Dom0 => is_dom0,
            Dom0Arm32 => is_dom0 && on == Arch::Arm32,
            Dom0Arm64 => is_dom0 && on == Arch::Arm64,
            Dom0Of64 => caller == Caller::Dom0 && on == Arch::Arm64,
            Guest32 => !is_dom0 && on == Arch::Arm32,
        }
    }
}

const BITS: &str =
    "bits that an address, a frame or an index of 32 bits does not have are checked, not ignored";
const IPA: &str = "guest-physical addresses have 40 bits; Debian's Xen for 64-bit ARM has as many as the CPU";
const MITIGATION: &str =
    "QEMU has no firmware with this; Debian's Xen says so by the CPU's model, or by its default";
const NARROW: &str = "the upper halves of the registers are no part of a call's 32-bit form";
const POD: &str = "xl mem-set needs it, and the guest's balloon does the rest";
const VECTOR: &str = "the vectors are those of the stack pointer in use; Debian's Xen takes those of SP_EL1";
const WATCHDOG: &str = "none is left: an error, which Debian's Xen gives as a positive number of 32 bits";
const VNUMA: &str = "no virtual nodes";
const WORKAROUND: &str =
    "nothing is returned; Debian's Xen leaves zeroes where it serves these by HVC quickly";
const WIDTH: &str = "memory counts as of one address width";

/// Where our hypervisor answers otherwise than Debian's Xen on purpose: to whom, how the lines begin, and why.
const DIFFERENCES: [(Whom, &str, &str); 70] = [
    (Any, "hvc 80000001 80008000 ", MITIGATION),
    (Any, "hvc 80000001 80007fff ", MITIGATION),
    (Any64, "hvc 80000001 dead000080008000 ", MITIGATION),
    (Any, "smc 80000001 80008000 ", MITIGATION),
    (Any, "smc 80000001 80007fff ", MITIGATION),
    (Any64, "smc 80000001 dead000080008000 ", MITIGATION),
    (Any64, "hvc 80008000 ", WORKAROUND),
    (Any64, "hvc 80007fff ", WORKAROUND),
    (Any64, "hvc 80003fff ", WORKAROUND),
    (Any64, "hvc 84000004 100000000 ", NARROW),
    (Any64, "hvc 84000004 ff00000000 ", NARROW),
    (Any64, "hvc 84000004 ffffffffffffffff 3 ", NARROW),
    (Any64, "smc 84000004 100000000 ", NARROW),
    (Any64, "smc 84000004 ff00000000 ", NARROW),
    (Any64, "smc 84000004 ffffffffffffffff 3 ", NARROW),
    (Any64, "vector of ", VECTOR),
    (Any, "hypercall 2a", "no hypfs; Debian's Xen has it, without parameters"),
    (Any, "memory_op null 10:", POD),
    (Any, "memory_op null 11:", POD),
    (Any, "memory_op nowhere 10 ", POD),
    (Any, "memory_op nowhere 11 ", POD),
    (Any, "set_pod_target", POD),
    (Any, "get_pod_target", POD),
    (Guest32, "populate_physmap extent_start=at+2004:", BITS),
    (Guest32, "decrease_reservation extent_start=at+2004:", BITS),
    (Any, "add_to_physmap grant_table idx=100000000:", BITS),
    (Any32, "batch shared_info size=8:", BITS),
    (Any, "batch grant_table size=8:", BITS),
    (Any, "map_grant_ref host_addr=", BITS),
    (Any32, "setup_table", "a frame that is mapped nowhere is all ones in 64 bits, too"),
    (Any64, "watchdog new:", WATCHDOG),
    (Any64, "watchdog again id=0:", WATCHDOG),
    (Dom0, "acquire_resource", "of an unknown resource there are no frames, not some error's number of them"),
    (Dom0, "domctl of nothing cmd=14:", "no frames are none wherever they are"),
    (Dom0, "domctl of nothing cmd=17:", "the second part of soft_reset, which is refused"),
    (Dom0, "domctl of nothing cmd=38:", "no vm_event"),
    (Dom0, "domctl of nothing cmd=4a:", VNUMA),
    (Dom0, "setvnumainfo", VNUMA),
    (Dom0, "sysctl of nothing cmd=2:", "no trace buffers"),
    (Dom0, "sysctl of nothing cmd=e:", "no pages are taken out of use"),
    (Dom0, "cpupool create sched_id=5:", "credit2 is all schedulers; Debian's Xen has credit, too"),
    (Dom0, "get_paging_mempool_size domain=0:", "dom0's tables have no limit"),
    (Dom0Arm64, "getdomaininfo:", IPA),
    (Dom0Arm64, "getdomaininfo domain=0:", IPA),
    (Dom0Arm64, "getdomaininfo domain=1:", IPA),
    (Dom0, "createdomain flags=83:", "no virtual PMU, which Debian's Xen has"),
    (Dom0, "createdomain arch nr_spis=ffffffff:", "Debian's Xen rounds it up to none"),
    (Dom0Arm32, "setvcpucontext ctxt=100000000:", BITS),
    (Dom0Arm32, "iomem_permission first_mfn=100000000:", BITS),
    (Dom0Arm32, "iomem_permission first_mfn=10000000000000:", BITS),
    (Dom0, "iomem_permission first_mfn=ffffffffffffffff:", BITS),
    (Dom0Arm32, "iomem_permission nr_mfns=100000000:", BITS),
    (Dom0Arm32, "iomem_permission nr_mfns=10000000000000:", BITS),
    (Dom0, "memory_mapping first_gfn=100000000:", BITS),
    (Dom0Arm32, "memory_mapping first_gfn=10000000000000:", BITS),
    (Dom0, "memory_mapping first_mfn=100000000:", BITS),
    (Dom0Arm32, "memory_mapping first_mfn=10000000000000:", BITS),
    (Dom0, "memory_mapping away first_gfn=100000000:", BITS),
    (Dom0Arm32, "memory_mapping away first_gfn=10000000000000:", BITS),
    (Dom0, "memory_mapping away first_mfn=100000000:", BITS),
    (Dom0Arm32, "memory_mapping away first_mfn=10000000000000:", BITS),
    (Dom0Of64, "iomem_permission first_mfn=10000000:", IPA),
    (Dom0Arm64, "memory_mapping first_gfn=10000000:", IPA),
    (Dom0Arm64, "memory_mapping first_mfn=10000000:", IPA),
    (Dom0Arm64, "memory_mapping away first_gfn=10000000:", IPA),
    (Dom0Arm64, "memory_mapping away first_mfn=10000000:", IPA),
    (Dom0Arm32, "cacheflush start_pfn=ffffffff:", "the frame after the last one of 32 bits is another one"),
    (
        Dom0,
        "getdomaininfo of made:",
        "a shared page that is mapped nowhere has no frame; Debian's Xen tells the machine's",
    ),
    (Dom0, "availheap min_bitwidth=ffffffff:", WIDTH),
    (Dom0, "availheap max_bitwidth=", WIDTH),
];

/// Checks that each call of dom0 is answered by `ours` as by `theirs`.
#[track_caller]
pub fn dom0_is_answered_as_by_the_reference(ours: Hypervisor, theirs: Hypervisor) {
    compare(Caller::Dom0, ours, theirs, |machine, on| {
        machine.hypervisor_args += " dom0_mem=64M";
        machine.dom0 = Some(guest(on.arch(), ""));
        machine.domus.push(domu(on.arch(), "role=idle"));
    });
}

/// Checks that each call of a guest without privileges is answered by `ours` as by `theirs`.
#[track_caller]
pub fn a_guest_is_answered_as_by_the_reference(ours: Hypervisor, theirs: Hypervisor) {
    compare(Caller::Guest, ours, theirs, |machine, on| {
        machine.hypervisor_args += " guest_loglvl=all";
        machine.domus.push(domu(on.arch(), ""));
    });
}

/// The same of a 32-bit guest on a 64-bit hypervisor.
#[track_caller]
pub fn a_32_bit_guest_is_answered_as_by_the_reference(ours: Hypervisor, theirs: Hypervisor) {
    compare(Caller::GuestOf32, ours, theirs, |machine, _| {
        machine.hypervisor_args += " guest_loglvl=all";
        machine.domus.push(domu(Arch::Arm32, "hypervisor=arm64"));
    });
}

/// The same of a 32-bit dom0.
#[track_caller]
pub fn a_32_bit_dom0_is_answered_as_by_the_reference(ours: Hypervisor, theirs: Hypervisor) {
    compare(Caller::Dom0Of32, ours, theirs, |machine, on| {
        machine.hypervisor_args += " dom0_mem=64M";
        machine.dom0 = Some(guest(Arch::Arm32, "hypervisor=arm64"));
        machine.domus.push(domu(on.arch(), "role=idle"));
    });
}

fn guest(arch: Arch, args: &str) -> Domain {
    Domain { kernel: artifacts::image_for(arch, "transcript"), ramdisk: None, args: args.into() }
}

fn domu(arch: Arch, args: &str) -> DomU {
    DomU::new(guest(arch, args))
}

#[track_caller]
fn compare(caller: Caller, on: Hypervisor, theirs: Hypervisor, setup: impl Fn(&mut Machine, Hypervisor)) {
    let lines = |on: Hypervisor| {
        let mut machine = on.machine();
        setup(&mut machine, on);
        let mut c = Console::boot(&format!("transcript-{caller:?}-{on:?}").to_lowercase(), &machine);
        let (end, text) = c.expect_one_of(&["end of the transcript, ", "crashed"], ENOUGH);
        if end != 0 {
            c.fail(&"a call was the end of the guest");
        }
        let count = c.expect(" lines", ENOUGH);
        let lines: Vec<String> = text.lines().filter_map(|l| Some(l.split_once(MARK)?.1.into())).collect();
        assert_eq!(lines.len().to_string(), count, "lines of {on:?} that came through");
        lines
    };
    let (reference, ours) = (lines(theirs), lines(on));
    assert_eq!(reference.len(), ours.len(), "calls");
    let mut known: Vec<_> =
        DIFFERENCES.iter().filter(|d| d.0.includes(caller, on.arch())).map(|d| (d, false)).collect();
    let mut report = vec![];
    for (theirs, ours) in reference.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours) {
        match known.iter_mut().find(|(d, _)| theirs.starts_with(d.1)) {
            Some((_, seen)) => *seen = true,
            None => report.push(format!("- {theirs}\n+ {ours}\n")),
        }
    }
    for (difference, _) in known.iter().filter(|(_, seen)| !seen) {
        report.push(format!("no difference any more: {difference:?}\n"));
    }
    let shown: String = report.iter().take(MOST_SHOWN).cloned().collect();
    assert!(report.is_empty(), "{} differences; - is Debian's Xen, + is ours\n{shown}", report.len());
}
