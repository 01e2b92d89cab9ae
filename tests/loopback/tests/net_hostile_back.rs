//! Back ends of an interface that lie, and what the guest makes of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use guest_sdk::abi::io::netif::{NR_SLOTS_MIN, RxResponse, rsp, rxf};
use guest_sdk::exec::{race, timeout};
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::XenbusState;
use loopback_tests::noise::Noise;
use loopback_tests::raw_net_back::RawNetBack;
use loopback_tests::toolstack::Nodes;
use loopback_tests::world::{GUEST, World, holdings};
use netfront::{Error, Interface, Options, Violation};

const PATIENCE: Duration = Duration::from_secs(60);
/// Offset of the back end's producer index in a ring.
const RSP_PROD: usize = 8;

/// Has a guest send and receive until that fails, and a back end lie. Gives the error, having seen that the front
/// end is closed and that nothing is left of it.
fn lie(nodes: &[(&str, &str)], tell: impl AsyncFnOnce(&mut RawNetBack)) -> Error {
    let (world, vif) = (World::new(), Nodes::interface(GUEST));
    world.toolstack(async |xs| vif.make_interface(xs).await);
    let before = holdings(&world.front);
    let store = world.front_store.clone();
    let guest = world.front.spawn(async move {
        let interface = Interface::open(&store, "0", Options::default()).await?;
        loop {
            interface.send(&[1; 100]).await?;
            interface.receive().await?;
        }
    });
    world.back.run(async {
        let serve = async {
            let mut back = RawNetBack::connect(&world.back_store, GUEST, nodes).await;
            tell(&mut back).await;
            core::future::pending::<()>().await;
        };
        let closed = vif.await_front(&world.back_store, XenbusState::CLOSED);
        timeout(PATIENCE, race(serve, closed)).await.expect("the front end does not close");
    });
    let result: Result<(), Error> = world.front.run(guest).unwrap();
    world.machine.settle();
    assert_eq!(holdings(&world.front), before);
    result.expect_err("it never ends well")
}

#[test]
fn an_answer_to_a_frame_that_was_not_sent_ends_the_interface() {
    for wrong in [1, 63, 64, 255, 256, u16::MAX] {
        let error = lie(&[], async |back| {
            let id = back.tx_request().await.id ^ wrong;
            back.answer_tx(id, rsp::OKAY);
            // The guest looks at the answers when it sends the next.
            back.give_frame(&[2; 60], 0, 4096, 0).await;
        });
        assert!(matches!(error, Error::Violation(Violation::UnknownId(_))), "{wrong}: {error:?}");
    }
}

#[test]
fn a_page_that_is_not_the_back_ends_cannot_be_answered() {
    for wrong in [128, 255, 256, u16::MAX] {
        let error = lie(&[], async |back| {
            let id = back.rx_request().await.id ^ wrong;
            back.answer_rx(&RxResponse { id, offset: 0, flags: 0, status: 60 });
        });
        assert!(matches!(error, Error::Violation(Violation::UnknownId(_))), "{wrong}: {error:?}");
    }
}

#[test]
fn a_frame_outside_its_page_ends_the_interface() {
    for (offset, status) in
        [(0, 4097), (1, 4096), (4096, 1), (u16::MAX, 1), (u16::MAX, i16::MAX), (0, i16::MAX)]
    {
        let error = lie(&[], async |back| {
            let id = back.rx_request().await.id;
            back.answer_rx(&RxResponse { id, offset, flags: 0, status });
        });
        assert_eq!(error, Error::Violation(Violation::OutsidePage(offset, status)));
    }
}

#[test]
fn a_frame_without_an_end_ends_the_interface() {
    for (status, slots) in [(4096, 16), (0, NR_SLOTS_MIN + 1), (1, NR_SLOTS_MIN + 1)] {
        let error = lie(&[], async |back| {
            for _ in 0..slots {
                let id = back.rx_request().await.id;
                back.answer_rx(&RxResponse { id, offset: 0, flags: rxf::MORE_DATA, status });
            }
        });
        assert_eq!(error, Error::Violation(Violation::Oversized), "{slots} slots of {status} bytes");
    }
}

#[test]
fn a_failed_frame_without_an_end_ends_the_interface() {
    let error = lie(&[], async |back| {
        for _ in 0..=NR_SLOTS_MIN {
            let id = back.rx_request().await.id;
            back.answer_rx(&RxResponse { id, offset: 0, flags: rxf::MORE_DATA, status: rsp::ERROR });
        }
    });
    assert_eq!(error, Error::Violation(Violation::Oversized));
}

#[test]
fn extra_information_that_was_not_agreed_upon_ends_the_interface() {
    for flags in [rxf::EXTRA_INFO, rxf::GSO_PREFIX, u16::MAX] {
        let error = lie(&[], async |back| {
            let id = back.rx_request().await.id;
            back.answer_rx(&RxResponse { id, offset: 0, flags, status: 60 });
        });
        assert_eq!(error, Error::Violation(Violation::Extra));
    }
}

#[test]
fn a_producer_index_out_of_range_ends_the_interface() {
    for index in [129, 257, 1000, u32::MAX] {
        let error = lie(&[], async |back| {
            back.tx_request().await;
            back.rx.memory().shared().store_u32(RSP_PROD, index, Ordering::SeqCst);
            back.port.notify().unwrap();
        });
        assert_eq!(error, Error::Violation(Violation::BadIndex), "{index}");
    }
}

#[test]
fn an_interface_that_cannot_be_is_refused() {
    let (world, vif) = (World::new(), Nodes::interface(GUEST));
    world.toolstack(async |xs| vif.make_interface(xs).await);
    for (mac, copies) in [("", "1"), ("ff:ff:ff:ff:ff:ff", "1"), ("x", "1"), ("00:16:3e:00:00:01", "0")] {
        world.toolstack(async |xs| {
            xs.write(&vif.front("mac"), mac).await.unwrap();
            xs.write(&vif.front("state"), "1").await.unwrap();
            xs.write(&vif.back("feature-rx-copy"), copies).await.unwrap();
            xs.write(&vif.back("state"), "2").await.unwrap();
        });
        let open = Interface::open(&world.front_store, "0", Options::default());
        assert_eq!(world.front.run(open).unwrap_err(), Error::BadOffer, "{mac}, {copies}");
        world.machine.settle();
    }
}

#[test]
fn noise_for_answers_ends_the_interface_and_no_more() {
    for seed in 0..40 {
        let error = lie(&[], async |back| {
            let mut noise = Noise::new(seed);
            loop {
                let sent = race(back.tx_request(), guest_sdk::exec::yield_now()).await;
                if let guest_sdk::exec::Either::First(request) = sent {
                    let id = if noise.once_in(8) { noise.number() as u16 } else { request.id };
                    back.answer_tx(id, noise.below(4) as i16 - 2);
                }
                let mut response = RxResponse { id: back.rx_request().await.id, ..RxResponse::default() };
                response.status = noise.below(2000) as i16 - 2;
                response.flags = noise.below(8) as u16;
                match noise.below(8) {
                    0 => response.id = noise.number() as u16,
                    1 => response.offset = noise.number() as u16,
                    2 => response.status = noise.number() as i16,
                    3 => response.flags = noise.number() as u16,
                    _ => {}
                }
                back.answer_rx(&response);
            }
        });
        assert!(matches!(error, Error::Violation(_)), "{seed}: {error:?}");
    }
}
