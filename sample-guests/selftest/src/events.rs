//! Event channels.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use guest_sdk::{
    Env,
    abi::{Domid, Errno, EvtchnPort, VcpuId, xen::virq},
    event::Port,
};

use crate::{Context, Outcome, check};

/// Answers three events on each port of a list, one port after the other: with a guest at the other end that does the
/// same, if one of the two finds its port pending.
pub async fn take_turns(ports: &str) -> Outcome {
    for number in ports.split(',') {
        let port = Port::adopt(EvtchnPort(number.parse().at("port")?)).at("adopt")?;
        for _ in 0..3 {
            port.wait().await;
            port.notify().at("send")?;
        }
        log::info!("turns taken on port {number}.");
    }
    Ok(())
}

pub async fn an_event_to_a_vcpu_of_our_own_arrives(_env: Env) -> Outcome {
    let port = Port::bind_ipi(VcpuId(0)).at("bind_ipi")?;
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    port.on_event(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    for n in 1..=100 {
        port.notify().at("send")?;
        port.wait().await;
        check!(count.load(Ordering::Relaxed) == n);
        check!(!port.take());
    }
    Ok(())
}

pub async fn a_channel_to_ourselves_works_both_ways(env: Env) -> Outcome {
    let me = env.domid().at("domid")?;
    let one = Port::alloc_unbound(me).at("alloc_unbound")?;
    let other = Port::bind_interdomain(me, one.number()).at("bind_interdomain")?;
    other.wait().await;
    one.notify().at("send")?;
    other.wait().await;
    other.notify().at("send")?;
    one.wait().await;
    check!(!one.take() && !other.take());
    drop(other);
    one.notify().at("send to nobody")?;
    Ok(())
}

pub async fn a_virtual_interrupt_is_bound_once(_env: Env) -> Outcome {
    let port = Port::bind_virq(virq::DEBUG, VcpuId(0)).at("bind_virq")?;
    let again = Port::bind_virq(virq::DEBUG, VcpuId(0)).map(drop);
    check!(again == Err(Errno::EEXIST));
    drop(port);
    Port::bind_virq(virq::DEBUG, VcpuId(0)).at("bind_virq again")?;
    let none = Port::bind_virq(99, VcpuId(0)).map(drop);
    check!(none == Err(Errno::EINVAL));
    let nobody = Port::bind_interdomain(Domid(0x7000), EvtchnPort(1)).map(drop);
    check!(nobody == Err(Errno::ESRCH));
    Ok(())
}
