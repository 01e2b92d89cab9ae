//! Frames between a guest and a back end that behaves, and the comings and goings of both.

use std::time::Duration;

use guest_sdk::abi::io::netif::{rsp, rxf};
use guest_sdk::exec::{JoinHandle, timeout, yield_now};
use guest_sdk::xenbus::{Device, XenbusState, frontend};
use loopback_tests::noise::Noise;
use loopback_tests::raw_net_back::RawNetBack;
use loopback_tests::toolstack::{MAC, Nodes};
use loopback_tests::world::{GUEST, World, holdings};
use netfront::{Counters, Error, Interface, Options};

const PATIENCE: Duration = Duration::from_secs(60);

fn world() -> (World, Nodes) {
    let (world, vif) = (World::new(), Nodes::interface(GUEST));
    world.toolstack(async |xs| vif.make_interface(xs).await);
    (world, vif)
}

/// Has a guest open its interface and do `guest`, and the back end do `serve` meanwhile.
fn play<T: 'static>(
    world: &World,
    nodes: &[(&str, &str)],
    guest: impl AsyncFnOnce(Interface) -> T + 'static,
    serve: impl AsyncFnOnce(RawNetBack),
) -> T {
    let user = open_and(world, async |interface| guest(interface.unwrap()).await);
    world.back.run(async {
        serve(RawNetBack::connect(&world.back_store, GUEST, nodes).await).await;
    });
    world.front.run(user).unwrap()
}

fn open_and<T: 'static>(
    world: &World,
    guest: impl AsyncFnOnce(Result<Interface, Error>) -> T + 'static,
) -> JoinHandle<T> {
    let store = world.front_store.clone();
    world.front.spawn(async move { guest(Interface::open(&store, "0", Options::default()).await).await })
}

#[test]
fn an_interface_is_what_the_store_says() {
    let (world, _) = world();
    let nodes = [("mtu", "9000")];
    let info = play(
        &world,
        &nodes,
        async |i| i.info().await.unwrap(),
        async |back| {
            for key in ["feature-rx-notify", "feature-no-csum-offload", "feature-sg"] {
                assert_eq!(back.device.read_other::<u32>(key).await, Ok(1), "{key}");
            }
            yield_now().await;
        },
    );
    assert_eq!((info.mac.to_string().as_str(), info.mtu, info.max_frame()), (MAC, 9000, 9018));
    assert!(info.scatter_gather);
}

#[test]
fn frames_of_all_sizes_come_back_unchanged() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        let mut noise = Noise::new(1);
        for len in [1, 14, 60, 1514, 4095, 4096, 4097, 8192, 9001, 65535] {
            let mut frame = vec![0; len];
            noise.fill(&mut frame);
            interface.send(&frame).await.unwrap();
            assert!(interface.receive().await.unwrap() == frame, "{len} bytes");
        }
        interface.counters().await.unwrap()
    };
    let counters = play(&world, &[("mtu", "65535")], guest, async |mut back| {
        for round in 0..10 {
            let frame = back.take_frame().await;
            // In whole pages, and in smaller pieces that begin somewhere.
            let (piece, offset) = if round % 2 == 0 { (4096, 0) } else { (3700, 300) };
            back.give_frame(&frame, rxf::DATA_VALIDATED, piece, offset).await;
        }
    });
    assert_eq!(counters, Counters { sent: 10, received: 10, ..Counters::default() });
}

#[test]
fn many_frames_pass_in_order_through_full_rings() {
    const FRAMES: u32 = 2000;
    let (world, _) = world();
    let guest = async |interface: Interface| {
        let sender = interface.clone();
        let sending = guest_sdk::exec::spawn(async move {
            for i in 0..FRAMES {
                sender.send(&i.to_le_bytes()).await.unwrap();
            }
        });
        for i in 0..FRAMES {
            assert_eq!(interface.receive().await.unwrap(), i.to_le_bytes());
        }
        sending.await.unwrap();
    };
    let before = world.back.events_sent();
    play(&world, &[], guest, async |mut back| {
        for _ in 0..FRAMES {
            let frame = back.take_frame().await;
            back.give_frame(&frame, 0, 4096, 0).await;
        }
    });
    let events = world.back.events_sent() - before;
    assert!(events < u64::from(FRAMES), "{events} events for {FRAMES} frames, there and back");
}

#[test]
fn a_sender_waits_for_room() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        let mut sent = 0;
        while interface.try_send(&[sent; 60]).unwrap() {
            sent += 1;
        }
        assert!(!interface.can_send().unwrap());
        interface.send(&[0xff; 60]).await.unwrap();
        sent
    };
    let sent = play(&world, &[], guest, async |mut back| {
        for _ in 0..64 {
            yield_now().await;
        }
        for sent in 0..64 {
            assert_eq!(back.take_frame().await, [sent; 60]);
        }
        assert_eq!(back.take_frame().await, [0xff; 60]);
    });
    assert_eq!(sent, 64);
}

#[test]
fn what_is_too_large_is_refused_and_costs_nothing() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        for len in [0, 1519, 70000] {
            assert_eq!(interface.send(&vec![0; len]).await, Err(Error::FrameSize), "{len}");
            assert_eq!(interface.try_send(&vec![0; len]), Err(Error::FrameSize), "{len}");
        }
        interface.send(&[1; 1518]).await.unwrap();
    };
    play(&world, &[("feature-sg", "0")], guest, async |mut back| {
        assert_eq!(back.take_frame().await, [1; 1518]);
    });
}

/// A datagram from 10.0.0.1 to 10.0.0.2 whose words add up to 0x7c94.
const DATAGRAM: [u8; 44] = [
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0, 0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0,
    0, 2, 0, 1, 0, 2, 0, 10, 0, 0, b'h', b'i',
];

#[test]
fn blank_checksums_are_filled_in_and_others_are_left() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        let filled = interface.receive().await.unwrap();
        assert_eq!(filled[40..42], (!0x7c94_u16).to_be_bytes());
        assert_eq!(interface.receive().await.unwrap(), DATAGRAM);
        assert_eq!(interface.receive().await.unwrap(), [7; 60]);
        interface.counters().await.unwrap()
    };
    let counters = play(&world, &[], guest, async |mut back| {
        let blank = rxf::CSUM_BLANK | rxf::DATA_VALIDATED;
        back.give_frame(&DATAGRAM, blank, 4096, 0).await;
        back.give_frame(&DATAGRAM, rxf::DATA_VALIDATED, 4096, 0).await;
        // Nobody knows where the checksum of this one is.
        back.give_frame(&[9; 60], blank, 4096, 0).await;
        back.give_frame(&[7; 60], 0, 4096, 0).await;
    });
    assert_eq!((counters.received, counters.dropped), (3, 1));
}

#[test]
fn failures_of_the_back_end_are_counted() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        interface.send(&[1; 60]).await.unwrap();
        interface.send(&[2; 60]).await.unwrap();
        assert_eq!(interface.receive().await.unwrap(), [3; 60]);
        while interface.counters().await.unwrap().not_sent < 2 {
            while interface.try_send(&[0; 60]).unwrap() {}
            yield_now().await;
        }
        interface.counters().await.unwrap().dropped
    };
    let dropped = play(&world, &[], guest, async |mut back| {
        for status in [rsp::ERROR, rsp::DROPPED] {
            let request = back.tx_request().await;
            back.answer_tx(request.id, status);
        }
        let id = back.rx_request().await.id;
        let failed = guest_sdk::abi::io::netif::RxResponse { id, offset: 0, flags: 0, status: rsp::ERROR };
        back.answer_rx(&failed);
        back.give_frame(&[3; 60], 0, 4096, 0).await;
    });
    assert_eq!(dropped, 1);
}

#[test]
fn an_interface_can_be_detached_and_leaves_nothing() {
    let (world, vif) = world();
    let before = (holdings(&world.front), holdings(&world.back));
    let guest = async |interface: Interface| loop {
        if let Err(error) = interface.receive().await {
            return error;
        }
    };
    let error = play(&world, &[], guest, async |back| {
        vif.detach(&world.back_store).await;
        timeout(PATIENCE, vif.await_front(&world.back_store, XenbusState::CLOSED)).await.unwrap();
        drop(back);
        vif.remove(&world.back_store).await;
    });
    assert_eq!(error, frontend::Error::Removed.into());
    world.machine.settle();
    assert_eq!((holdings(&world.front), holdings(&world.back)), before);
}

#[test]
fn an_interface_can_vanish_at_any_moment() {
    for moment in (0..60).step_by(3) {
        let (world, vif) = world();
        let before = holdings(&world.front);
        let user = open_and(&world, async |interface| {
            let interface = interface?;
            loop {
                interface.send(&[1; 100]).await?;
            }
        });
        world.back.run(async {
            let serve = async {
                let mut back = RawNetBack::connect(&world.back_store, GUEST, &[]).await;
                loop {
                    back.take_frame().await;
                }
            };
            let turns = async {
                for _ in 0..moment {
                    yield_now().await;
                }
            };
            guest_sdk::exec::race(turns, serve).await;
            vif.remove(&world.back_store).await;
        });
        let result: Result<(), Error> = world.front.run(user).unwrap();
        assert!(
            matches!(
                result,
                Err(Error::BadOffer | Error::Frontend(frontend::Error::Removed | frontend::Error::Store(_)))
            ),
            "at {moment}: {result:?}"
        );
        world.machine.settle();
        assert_eq!(holdings(&world.front), before, "at {moment}");
    }
}

#[test]
fn a_back_end_can_be_stopped_and_started() {
    let (world, _) = world();
    let guest = async |interface: Interface| {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(interface.receive().await.unwrap()[0]);
        }
        interface.send(b"still here").await.unwrap();
        seen
    };
    let seen = play(&world, &[], guest, async |mut back| {
        for round in 0..3 {
            if round > 0 {
                back = restart(back, round == 1).await;
            }
            back.give_frame(&[round; 60], 0, 4096, 0).await;
        }
        assert_eq!(back.take_frame().await, b"still here");
    });
    assert_eq!(seen, [0, 1, 2]);
}

/// Closes a back end once the guest has looked at what it sent, and starts it anew.
async fn restart(back: RawNetBack, abruptly: bool) -> RawNetBack {
    for _ in 0..100 {
        yield_now().await;
    }
    let device: Device = back.device.clone();
    let to = if abruptly { XenbusState::CLOSED } else { XenbusState::CLOSING };
    device.switch_state(to).await.unwrap();
    device.wait_other(|state| state != XenbusState::CONNECTED).await.unwrap();
    drop(back);
    device.switch_state(XenbusState::CLOSED).await.unwrap();
    RawNetBack::connect_device(device, &[]).await
}

#[test]
fn a_guest_that_closes_has_its_last_frames_sent() {
    let (world, vif) = world();
    let guest = async |interface: Interface| {
        for i in 0..10 {
            interface.send(&[i; 60]).await.unwrap();
        }
        interface.close().await;
    };
    play(&world, &[], guest, async |mut back| {
        for i in 0..10 {
            yield_now().await;
            assert_eq!(back.take_frame().await, [i; 60]);
        }
        vif.await_front(&world.back_store, XenbusState::CLOSING).await;
        back.device.switch_state(XenbusState::CLOSED).await.unwrap();
    });
}

#[test]
fn a_guest_can_open_its_interface_again() {
    let (world, vif) = world();
    for round in 0..3 {
        let user = open_and(&world, async |interface| {
            let interface = interface.unwrap();
            let frame = interface.receive().await.unwrap();
            interface.close().await;
            frame
        });
        world.back.run(async {
            let mut back = RawNetBack::connect(&world.back_store, GUEST, &[]).await;
            back.give_frame(&[round; 60], 0, 4096, 0).await;
            vif.await_front(&world.back_store, XenbusState::CLOSING).await;
            back.device.switch_state(XenbusState::CLOSED).await.unwrap();
        });
        assert_eq!(world.front.run(user).unwrap(), [round; 60]);
    }
}
