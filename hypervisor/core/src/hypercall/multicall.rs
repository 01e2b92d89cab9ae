//! A list of calls in one.

use core::mem::offset_of;

use xen_abi::{
    Errno, GuestHandle,
    hypercall::{MULTICALL, MulticallEntry},
    sched::shutdown,
};

use super::{Args, HypercallResult, Stop, arity, call_one};
use crate::{current::Current, machine::Machine};

/// How an entry ended.
enum Ended {
    Result(i64),
    /// It goes on with these arguments.
    Preempted(Args),
    /// The domain crashed over it.
    Crashed,
}

/// Serves `multicall(list, count)`: each entry as if it were issued alone. Between two of them, and
/// in the middle of one that can be continued, the call can stop and go on later.
pub(super) fn multicall<M: Machine>(cur: &mut Current<'_, M>, list: u64, count: u64) -> HypercallResult {
    let mut at = list;
    for left in (1..=count).rev() {
        if left != count && cur.must_stop() {
            return preempted(at, left);
        }
        let entry = GuestHandle::<MulticallEntry>::new(at);
        let call: MulticallEntry = cur.read(entry.addr)?;
        match run(cur, &call) {
            Ended::Result(result) => {
                let result_at = at.checked_add(offset_of!(MulticallEntry, result) as u64);
                cur.write(result_at.ok_or(Errno::EFAULT)?, &result)?;
            }
            Ended::Preempted(args) => {
                let mut rest = call;
                rest.args[..args.len()].copy_from_slice(&args);
                cur.write(at, &rest)?;
                return preempted(at, left);
            }
            Ended::Crashed => return Ok(0),
        }
        at = at.checked_add(size_of::<MulticallEntry>() as u64).ok_or(Errno::EFAULT)?;
    }
    Ok(0)
}

fn preempted(at: u64, left: u64) -> HypercallResult {
    Err(Stop::Preempted([at, left, 0, 0, 0]))
}

fn run<M: Machine>(cur: &mut Current<'_, M>, call: &MulticallEntry) -> Ended {
    let number = u32::try_from(call.op).unwrap_or(u32::MAX);
    if cur.domain.is_aarch32() && call.args[..arity(number)].iter().any(|arg| arg >> 32 != 0) {
        log::warn!("{}v{}: multicall with an argument of more than 32 bits", cur.domain.id, cur.vcpu.id);
        cur.hv.shutdown_domain(cur.domain, shutdown::CRASH as u8);
        return Ended::Crashed;
    }
    let [a, b, c, d, e, _] = call.args;
    let result = match number {
        // None within another.
        MULTICALL => Err(Errno::EINVAL.into()),
        _ => call_one(cur, number, [a, b, c, d, e]),
    };
    match result {
        Ok(value) => Ended::Result(value as i64),
        Err(Stop::Failed(errno)) => Ended::Result(errno.to_ret()),
        Err(Stop::Preempted(args)) => Ended::Preempted(args),
    }
}
