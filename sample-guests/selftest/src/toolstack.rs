//! The operations of the toolstack, for dom0.

use alloc::{format, string::String, vec, vec::Vec};

use guest_sdk::{
    Env,
    abi::{
        Domid, Errno, Gfn, PAGE_SIZE, VcpuId,
        arch::{SCTLR_GUEST_INIT, VGCF_ONLINE, VcpuGuestContext, layout, psr},
        domctl::{CreateDomain, cdf, dominf},
        hvm::param,
        memory::resource,
        sysctl::physcap,
    },
    hypercall::{domctl, event_channel, hvm, memory, sysctl, version},
    memory::{ForeignMapping, ResourceMapping},
    shared::Memory,
};
use log::info;

use crate::{Context, Outcome, check};

pub async fn the_machine_is_described(env: Env) -> Outcome {
    check!(version::version().at("version")? >= (4, 17));
    let caps = version::capabilities().at("capabilities")?;
    check!(caps.contains("xen-3.0-armv7l"));
    check!(version::page_size() == Ok(4096));
    if !env.is_dom0() {
        check!(sysctl::physinfo() == Err(Errno::EPERM));
        check!(version::commandline().at("command line")? == "<denied>");
        return Ok(());
    }
    info!(
        "Xen {:?} {:?} {:?} {:?}",
        version::extraversion().at("extraversion")?,
        version::changeset().at("changeset")?,
        version::compile_info().at("compile info")?,
        version::commandline().at("command line")?,
    );
    check!(version::build_id().at("build id")?.len() == 20);
    let phys = sysctl::physinfo().at("physinfo")?;
    check!(phys.capabilities & physcap::GNTTAB_V1 != 0);
    check!(phys.free_pages > 0 && phys.free_pages < phys.total_pages);
    let cpus = phys.max_cpu_id as usize + 1;
    check!(sysctl::cpu_topology().at("topology")?.len() == cpus);
    check!(sysctl::numa_nodes().at("numa")?.len() == 1);
    check!(sysctl::cpu_idle_times(cpus).at("idle")?.len() == cpus);
    check!(sysctl::free_memory().at("availheap")? > 0);
    let pool = sysctl::cpupool_info(0, cpus).at("cpupool")?;
    check!(pool.id == 0 && pool.cpus[0] & 1 == 1);
    check!(sysctl::cpupool_info(1, cpus) == Err(Errno::ENOENT));
    check!(pool.sched_id == sysctl::sched_id().at("sched_id")?);
    dom0_is_described(&env, cpus)
}

fn dom0_is_described(env: &Env, cpus: usize) -> Outcome {
    let me = Domid(0);
    let info = domctl::info(me).at("info")?;
    check!(info.domain == me && info.flags & dominf::DYING == 0);
    check!(info.tot_pages * PAGE_SIZE as u64 >= env.memory());
    check!(sysctl::domains().at("list")?.iter().any(|d| d.domain == me));
    let vcpu = domctl::vcpu_info(me, VcpuId(0)).at("vcpu info")?;
    check!(vcpu.online == 1 && vcpu.running == 1);
    let (hard, soft) = domctl::vcpu_affinity(me, VcpuId(0), cpus).at("affinity")?;
    check!(hard[0] & 1 == 1 && soft[0] & 1 == 1);
    domctl::set_vcpu_affinity(me, VcpuId(0), Some(&mut [1]), None).at("set affinity")?;
    check!(memory::current_reservation(me) == Ok(info.tot_pages));
    check!(memory::maximum_ram_page().at("maximum_ram_page")? > 0);
    Ok(())
}

pub async fn the_log_can_be_read(env: Env) -> Outcome {
    if !env.is_dom0() {
        return Ok(());
    }
    let mut buffer = vec![0; 16 << 10];
    let (n, index) = sysctl::read_console(&mut buffer, None, false).at("readconsole")?;
    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
    check!(text.contains("Xen") && index > 0);
    let (more, _) = sysctl::read_console(&mut buffer, Some(index), false).at("readconsole")?;
    check!(more == 0);
    sysctl::debug_keys(b"!").at("debug keys")
}

/// Memory of the domain that is made, in MiB.
const MIB: u64 = 4;

pub async fn a_domain_is_made_and_destroyed(env: Env) -> Outcome {
    if !env.is_dom0() {
        return Ok(());
    }
    let free = sysctl::physinfo().at("physinfo")?.free_pages;
    for _ in 0..3 {
        let (domid, config) = domctl::create(None, &config()).at("create")?;
        check!(config.arch.gic_version != 0);
        let done = build(domid);
        destroy(domid)?;
        done?;
        check!(domctl::info(domid) == Err(Errno::ESRCH));
    }
    let left = sysctl::physinfo().at("physinfo")?.free_pages;
    info!("three domains cost {} pages", free.saturating_sub(left));
    check!(left + 16 >= free);
    Ok(())
}

/// Domains are made until memory is used up, each with as many vCPUs and ports as it gets, without a pause: each is
/// made whole or refused, and all memory comes back.
pub async fn memory_runs_out_and_comes_back(env: Env) -> Outcome {
    if !env.is_dom0() || env.bootarg("fill").is_none() {
        return Ok(());
    }
    let first = fill()?;
    let free = sysctl::physinfo().at("physinfo")?.free_pages;
    let second = fill()?;
    let left = sysctl::physinfo().at("physinfo")?.free_pages;
    info!("{} domains with {} ports, then {} with {}", first.0, first.1, second.0, second.1);
    // The hypervisor may keep for later what it took for itself.
    check!(second.0 >= first.0 && left + ROOM + 16 >= free);
    Ok(())
}

/// Pages that are left for domains and their ports.
const ROOM: u64 = 8 << 8;

/// Fills memory and empties it again; says how many domains and ports there were.
fn fill() -> Result<(usize, usize), String> {
    let (large, _) = domctl::create(None, &config()).at("create")?;
    let mut made = Vec::from([large]);
    let filled = take_memory(large).and_then(|()| make_domains(&mut made));
    let domains = made.len() - 1;
    for domid in made {
        destroy(domid)?;
    }
    Ok((domains, filled?))
}

/// Gives a domain all memory but a little.
fn take_memory(domid: Domid) -> Outcome {
    domctl::max_vcpus(domid, 1).at("max_vcpus")?;
    domctl::max_mem(domid, u64::from(u32::MAX)).at("max_mem")?;
    domctl::set_paging_mempool_size(domid, 2 << 20).at("mempool")?;
    let base = Gfn::containing(layout::RAM0_BASE);
    for order in [9, 4] {
        for index in 0.. {
            let free = sysctl::physinfo().at("physinfo")?.free_pages;
            // Blocks of either order have places of their own.
            let to = Gfn(base.0 + (u64::from(9 - order) << 15) + (index << order));
            if free < ROOM + (1 << order)
                || memory::populate_physmap(domid, &[to], order, 0).at("populate")? == 0
            {
                break;
            }
        }
    }
    Ok(())
}

/// Makes domains until one is refused; says how many ports they have.
fn make_domains(made: &mut Vec<Domid>) -> Result<usize, String> {
    let mut ports = 0;
    let wanted = CreateDomain { max_vcpus: 8, max_evtchn_port: u32::MAX, ..config() };
    loop {
        let domid = match domctl::create(None, &wanted) {
            Ok((domid, _)) => domid,
            Err(Errno::ENOMEM) => return Ok(ports),
            Err(other) => return Err(format!("create: {other}")),
        };
        made.push(domid);
        match domctl::max_vcpus(domid, 8) {
            Ok(()) => {}
            Err(Errno::ENOMEM) => continue,
            Err(other) => return Err(format!("max_vcpus: {other}")),
        }
        loop {
            match event_channel::alloc_unbound(domid, Domid(0)) {
                Ok(_) => ports += 1,
                Err(Errno::ENOMEM | Errno::ENOSPC) => break,
                Err(other) => return Err(format!("alloc_unbound: {other}")),
            }
        }
    }
}

fn config() -> CreateDomain {
    let mut config = CreateDomain {
        handle: *b"selftest-handle!",
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 1,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..CreateDomain::default()
    };
    config.arch.nr_spis = 0;
    config
}

fn build(domid: Domid) -> Outcome {
    domctl::max_vcpus(domid, 1).at("max_vcpus")?;
    domctl::max_mem(domid, (MIB << 10) + 1024).at("max_mem")?;
    domctl::set_paging_mempool_size(domid, 2 << 20).at("mempool")?;
    check!(domctl::paging_mempool_size(domid) == Ok(2 << 20));
    domctl::set_address_size(domid, 32).at("address size")?;
    let base = Gfn::containing(layout::RAM0_BASE);
    let extents: Vec<Gfn> = (0..MIB / 2).map(|i| Gfn(base.0 + (i << 9))).collect();
    let done = memory::populate_physmap(domid, &extents, 9, 0).at("populate")?;
    check!(done == extents.len());
    write_and_read_back(domid, base)?;
    let ring = Gfn::containing(layout::MAGIC_BASE);
    check!(memory::populate_physmap(domid, &[ring], 0, 0) == Ok(1));
    hvm::set_param(domid, param::STORE_PFN, ring.0).at("set_param")?;
    check!(hvm::get_param(domid, param::STORE_PFN) == Ok(ring.0));
    let port = event_channel::alloc_unbound(domid, Domid(0)).at("alloc_unbound")?;
    let status = event_channel::status(domid, port).at("status")?;
    check!(status.remote_dom() == Domid(0));
    let table = ResourceMapping::new(domid, resource::GRANT_TABLE, resource::GRANT_TABLE_ID_SHARED, 0, 1)
        .at("acquire_resource")?;
    table.shared().write(0, &1u64);
    drop(table);
    context(domid)?;
    domctl::unpause(domid).at("unpause")?;
    check!(domctl::unpause(domid) == Err(Errno::EINVAL));
    domctl::pause(domid).at("pause")?;
    let info = domctl::info(domid).at("info")?;
    check!(info.flags & dominf::PAUSED != 0 && info.handle == config().handle);
    Ok(())
}

fn write_and_read_back(domid: Domid, base: Gfn) -> Outcome {
    let frames: Vec<Gfn> = (0..100).map(|i| Gfn(base.0 + i)).collect();
    for round in 0..2u8 {
        let mapping = ForeignMapping::new(domid, &frames).at("foreign")?;
        let data: Vec<u8> = (0..frames.len() * PAGE_SIZE).map(|i| (i / 61) as u8).collect();
        if round == 0 {
            mapping.shared().write_bytes(0, &data);
        }
        let mut back = vec![0; data.len()];
        mapping.shared().read_bytes(0, &mut back);
        check!(back == data);
    }
    domctl::cache_flush(domid, base.0, frames.len() as u64).at("cacheflush")?;
    let beyond = [base, Gfn(base.0 + (MIB << 8))];
    check!(ForeignMapping::new(domid, &beyond).is_err());
    Ok(())
}

/// A context that would spin, if what lies there did: the code is `b .`.
fn context(domid: Domid) -> Outcome {
    const SPIN: u32 = 0xeaff_fffe;
    let start = layout::RAM0_BASE;
    let code = ForeignMapping::new(domid, &[Gfn::containing(start)]).at("foreign")?;
    code.shared().write(0, &SPIN);
    drop(code);
    domctl::cache_flush(domid, Gfn::containing(start).0, 1).at("cacheflush")?;
    let mut context =
        VcpuGuestContext { flags: VGCF_ONLINE, sctlr: SCTLR_GUEST_INIT, ..VcpuGuestContext::default() };
    context.user_regs.pc = start;
    context.user_regs.cpsr = psr::GUEST32_INIT.into();
    domctl::set_vcpu_context(domid, VcpuId(0), &context).at("set context")?;
    let back = domctl::vcpu_context(domid, VcpuId(0)).at("get context")?;
    check!(back.user_regs.pc == start);
    Ok(())
}

fn destroy(domid: Domid) -> Outcome {
    loop {
        match domctl::destroy(domid) {
            Err(Errno::EAGAIN | Errno::ERESTART) => {}
            done => return done.at("destroy"),
        }
    }
}
