//! Starting the other CPUs, one after the other.
#![allow(unsafe_code)]
// UNSAFETY: the stack of a new CPU is memory that only it uses.

use alloc::{
    alloc::{Layout, alloc},
    vec::Vec,
};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hv_core::{
    Hypervisor,
    machine::{CpuId, Machine},
};

use crate::{
    arch,
    board::Board,
    boot,
    mm::{
        ram::Ram,
        tables::{BLOCK_SIZE, MAP, Memory, PAGE_SIZE},
    },
    percpu::{MAX_CPUS, PerCpu},
    psci, run,
};

/// Bytes of a stack; of these a CPU has one to work on and one for faults.
const STACK: usize = 8 * PAGE_SIZE;
/// Distance of one stack to the next: between them lies a page that is not mapped.
const STRIDE: usize = STACK + PAGE_SIZE;
/// How long a CPU may take from being started to being here.
const PATIENCE_SECONDS: u64 = 1;

/// Top of the stack of the CPU that is being started; `head.S` reads it.
pub static SECONDARY_STACK: AtomicUsize = AtomicUsize::new(0);
/// How many CPUs are here.
static ARRIVED: AtomicU32 = AtomicU32::new(1);

/// Starts the CPUs with these affinities, as many as there is room for, this one left out. Gives those of the CPUs that
/// are up, by number.
pub fn start_others(hv: &'static Hypervisor<Board>, affinities: &[u64], most: usize) -> Vec<u64> {
    let own = arch::affinity();
    let mut up = Vec::from([own]);
    let Some(method) = hv.machine.psci() else { return up };
    for affinity in affinities.iter().copied().filter(|affinity| *affinity != own) {
        let id = hv.machine.cpu_count() as usize;
        if id >= most.min(MAX_CPUS) {
            break;
        }
        match start(hv, method, id, affinity) {
            Ok(()) => up.push(affinity),
            Err(why) => log::error!("CPU {affinity:#x} does not start: {why}"),
        }
    }
    // All came through an alias of the image, which nobody needs any more.
    for alias in arch::IMAGE_ALIASES {
        MAP.lock().unmap_blocks(alias..alias + BLOCK_SIZE);
    }
    up
}

fn start(
    hv: &Hypervisor<Board>,
    method: hv_core::host::devices::Psci,
    id: usize,
    affinity: u64,
) -> Result<(), &'static str> {
    let top = map_stack(&hv.machine.ram, id * 2).ok_or("no memory for its stack")?;
    map_stack(&hv.machine.ram, id * 2 + 1).ok_or("no memory for its stack")?;
    SECONDARY_STACK.store(top, Ordering::SeqCst);
    let before = ARRIVED.load(Ordering::Acquire);
    psci::cpu_on(method, affinity, arch::secondary_entry()).map_err(|_| "firmware refuses")?;
    let deadline = arch::ticks() + PATIENCE_SECONDS * u64::from(arch::ticks_per_second());
    while ARRIVED.load(Ordering::Acquire) == before {
        if arch::ticks() > deadline {
            return Err("it does not arrive");
        }
        lock::relax();
    }
    hv.machine.add_cpu();
    Ok(())
}

/// Maps stack `index`; gives its top.
fn map_stack(ram: &Ram, index: usize) -> Option<usize> {
    let top = stack_top(index);
    if top > arch::STACKS.end {
        return None;
    }
    let layout = Layout::from_size_align(STACK, PAGE_SIZE).ok()?;
    // SAFETY: the layout is not empty. The memory is never given back.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        return None;
    }
    let frames = ram.physical(memory.addr())?;
    MAP.lock().map(top - STACK, frames, STACK, Memory::Data).ok()?;
    Some(top)
}

fn stack_top(index: usize) -> usize {
    arch::STACKS.start + (index + 1) * STRIDE
}

/// Where the assembly arrives with another CPU.
///
/// # Safety
///
/// Called from `head.S` only, once for each CPU that `start` has started.
pub unsafe extern "C" fn secondary_entry() -> ! {
    let id = ARRIVED.load(Ordering::Acquire) as usize;
    PerCpu::install(id, stack_top(id * 2 + 1));
    arch::init_cpu();
    let hv = boot::hypervisor();
    hv.machine.start_cpu_interrupts();
    ARRIVED.fetch_add(1, Ordering::AcqRel);
    hv.add_cpu(CpuId(id as u32));
    run::run(hv)
}
