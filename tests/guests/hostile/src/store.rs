//! The connection to xenstore, with rubbish in both directions. Nothing works on it afterwards.

use guest_sdk::{
    abi::{
        Domid, EvtchnPort, PAGE_SIZE, event_channel, hvm::param, hypercall::EVENT_CHANNEL_OP, io::xs_wire,
    },
    exec,
    hypercall::hvm,
};

use crate::{calls::Tally, edge, nonsense::Random};

/// Times that the ring is filled.
const ROUNDS: u32 = 400;

/// Fills the ring, moves the indices anywhere, and asks for a new start of the ring now and then.
pub async fn run() -> Tally {
    let mut tally = Tally::default();
    let (Ok(gfn), Ok(port)) =
        (hvm::get_param(Domid::SELF, param::STORE_PFN), hvm::get_param(Domid::SELF, param::STORE_EVTCHN))
    else {
        return tally;
    };
    let page = gfn as usize * PAGE_SIZE;
    let indices = page + core::mem::offset_of!(xs_wire::DomainInterface, req_cons);
    let mut random = Random::new(0x0bad_cafe);
    for round in 0..ROUNDS {
        for word in 0..xs_wire::RING_SIZE / 4 {
            // Half of the rounds look like messages: kind, request, transaction, length.
            let value = if round % 2 == 0 { random.word() % 24 } else { random.word() };
            edge::write(page + 4 * word, value);
        }
        for index in 0..4 {
            let value = edge::read(indices + 4 * index);
            let value = if round % 3 == 0 { random.word() } else { value.wrapping_add(random.word() % 1024) };
            edge::write(indices + 4 * index, value);
        }
        // Connection state and error, where newer daemons look for a wish to start anew.
        edge::write(indices + 20, u32::from(round % 5 == 0));
        let mut send = event_channel::Send { port: EvtchnPort(port as u32) };
        tally.op(EVENT_CHANNEL_OP, event_channel::op::SEND, &mut send);
        exec::yield_now().await;
    }
    tally
}
