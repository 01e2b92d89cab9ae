//! Back ends that lie, and what the guest makes of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use blkfront::{Disk, Error, Flush, Options, Violation};
use guest_sdk::abi::io::blkif::{self, op, rsp};
use guest_sdk::exec::{self, sleep, timeout};
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::{XenbusState, frontend};
use loopback_tests::noise::Noise;
use loopback_tests::raw_back::RawBack;
use loopback_tests::toolstack::XVDA;
use loopback_tests::world::{GUEST, World, holdings};

/// Offset of the back end's producer index in the ring.
const RSP_PROD: usize = 8;

fn world() -> World {
    let world = World::new();
    world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
    world
}

/// Has a guest open its disk, with `nodes` on the other end, do `use_disk`, and the back end do `serve`.
fn play<T: 'static>(
    world: &World,
    nodes: &[(&str, &str)],
    use_disk: impl AsyncFnOnce(Result<Disk, Error>) -> T + 'static,
    serve: impl AsyncFnOnce(RawBack),
) -> T {
    let store = world.front_store.clone();
    let guest =
        world.front.spawn(async move { use_disk(Disk::open(&store, XVDA, Options::default()).await).await });
    world.back.run(async {
        serve(RawBack::connect(&world.back_store, GUEST, nodes).await).await;
    });
    world.front.run(guest).unwrap()
}

async fn read_one(disk: Result<Disk, Error>) -> Result<(), Error> {
    disk?.read(0, &mut [0; 512]).await
}

#[test]
fn honest_answers_are_believed() {
    for (status, expected) in [
        (rsp::OKAY, Ok(())),
        (rsp::ERROR, Err(Error::Io)),
        (rsp::EOPNOTSUPP, Err(Error::Unsupported)),
        (-77, Err(Error::Io)),
        (1, Err(Error::Io)),
    ] {
        let world = world();
        let result = play(&world, &[], read_one, async |mut back| {
            let request = back.request().await;
            back.answer(request.id, request.operation, status);
        });
        assert_eq!(result, expected, "status {status}");
    }
}

#[test]
fn an_answer_to_nothing_ends_the_disk() {
    for id in [1, 31, 32, 65535, 65536, u64::MAX] {
        let world = world();
        let result = play(&world, &[], read_one, async |mut back| {
            let request = back.request().await;
            back.answer(request.id ^ id, request.operation, rsp::OKAY);
        });
        assert!(matches!(result, Err(Error::Violation(Violation::UnknownId(_)))), "{result:?}");
    }
}

#[test]
fn a_second_answer_ends_the_disk() {
    let world = world();
    let use_disk = async |disk: Result<Disk, Error>| {
        let disk = disk.unwrap();
        let (first, second) = (disk.clone(), disk.clone());
        let first = exec::spawn(async move { first.read(0, &mut [0; 512]).await });
        let second = exec::spawn(async move { second.read(0, &mut [0; 512]).await });
        (first.await.unwrap(), second.await.unwrap())
    };
    let (_, second) = play(&world, &[], use_disk, async |mut back| {
        let request = back.request().await;
        back.request().await;
        for _ in 0..2 {
            let answer =
                blkif::Response { id: request.id, operation: request.operation, ..Default::default() };
            back.ring.push(&answer).unwrap();
        }
        assert!(back.ring.publish());
        back.port.notify().unwrap();
    });
    assert!(matches!(second, Err(Error::Violation(Violation::UnknownId(_)))), "{second:?}");
}

#[test]
fn an_answer_to_another_operation_ends_the_disk() {
    let world = world();
    let result = play(&world, &[], read_one, async |mut back| {
        let request = back.request().await;
        back.answer(request.id, op::WRITE, rsp::OKAY);
    });
    assert_eq!(result, Err(Error::Violation(Violation::WrongOperation(op::WRITE))));
}

#[test]
fn a_producer_index_out_of_range_ends_the_disk() {
    for lie in [2, 33, 1000, u32::MAX] {
        let world = world();
        let result = play(&world, &[], read_one, async |mut back| {
            back.request().await;
            back.ring.memory().shared().store_u32(RSP_PROD, lie, Ordering::SeqCst);
            back.port.notify().unwrap();
        });
        assert_eq!(result, Err(Error::Violation(Violation::BadIndex)), "{lie}");
        let state = world.toolstack(async |xs| {
            world.nodes.await_front(xs, XenbusState::CLOSED).await;
            world.nodes.states(xs).await.0
        });
        assert_eq!(state, XenbusState::CLOSED);
    }
}

#[test]
fn a_disk_that_cannot_be_is_refused() {
    let lies: [&[(&str, &str)]; 9] = [
        &[("sector-size", "0")],
        &[("sector-size", "513")],
        &[("sector-size", "256")],
        &[("sector-size", "8192")],
        &[("sector-size", "4294967296")],
        &[("sectors", "18446744073709551615")],
        &[("sectors", "36028797018963968")],
        &[("sectors", "-1")],
        &[("physical-sector-size", "0")],
    ];
    for lie in lies {
        let world = world();
        let result = play(&world, lie, read_one, async |_back| {
            timeout(Duration::from_secs(60), world.nodes.await_front(&world.back_store, XenbusState::CLOSED))
                .await
                .unwrap();
        });
        assert!(
            matches!(result, Err(Error::BadOffer | Error::Frontend(frontend::Error::Store(_)))),
            "{lie:?}: {result:?}"
        );
    }
}

#[test]
fn offers_out_of_proportion_are_cut_to_size() {
    let nodes = [
        ("max-ring-page-order", "4000000000"),
        ("feature-max-indirect-segments", "4000000000"),
        ("feature-flush-cache", "1"),
    ];
    let world = world();
    let info = play(
        &world,
        &nodes,
        async |disk| disk.unwrap().info().await.unwrap(),
        async |_back| {
            sleep(Duration::from_millis(1)).await;
        },
    );
    assert_eq!((info.max_request(), info.flush), (128 << 10, Flush::Cache));
}

#[test]
fn a_barrier_does_where_there_is_no_flush() {
    let world = world();
    let flush = async |disk: Result<Disk, Error>| disk.unwrap().flush().await;
    let result = play(&world, &[("feature-barrier", "1")], flush, async |mut back| {
        let request = back.request().await;
        assert_eq!((request.operation, request.nr_segments), (op::WRITE_BARRIER, 0));
        back.answer(request.id, request.operation, rsp::OKAY);
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn without_a_cache_there_is_nothing_to_flush() {
    let world = world();
    let flush = async |disk: Result<Disk, Error>| disk.unwrap().flush().await;
    let result = play(&world, &[], flush, async |_back| sleep(Duration::from_millis(1)).await);
    assert_eq!(result, Ok(()));
}

#[test]
fn requests_carry_nothing_but_what_they_say() {
    let world = world();
    let use_disk = async |disk: Result<Disk, Error>| {
        let disk = disk.unwrap();
        disk.write(8, &[0x55; 1024]).await.unwrap();
        disk.read(0, &mut [0; 512]).await
    };
    play(&world, &[], use_disk, async |mut back| {
        let write = back.request().await;
        assert_eq!((write.operation, write.nr_segments, write.sector_number), (op::WRITE, 1, 8));
        assert_eq!((write.seg[0].first_sect, write.seg[0].last_sect), (0, 1));
        assert_eq!((write.handle, write.pad), (51712, 0));
        assert!(write.seg[1..].iter().all(|segment| *segment == blkif::Segment::default()));
        back.answer(write.id, write.operation, rsp::OKAY);
        let read = back.request().await;
        back.fill(&read, 0xee);
        back.answer(read.id, read.operation, rsp::OKAY);
    })
    .unwrap();
}

#[test]
fn a_caller_that_lost_interest_is_not_written_to() {
    let world = world();
    let use_disk = async |disk: Result<Disk, Error>| {
        let disk = disk.unwrap();
        let mut buffer = [1; 512];
        assert!(timeout(Duration::from_millis(1), disk.read(0, &mut buffer)).await.is_err());
        sleep(Duration::from_millis(10)).await;
        assert!(buffer == [1; 512]);
        disk.read(0, &mut buffer).await.unwrap();
        buffer
    };
    let buffer = play(&world, &[], use_disk, async |mut back| {
        for byte in [2, 3] {
            let request = back.request().await;
            sleep(Duration::from_millis(5)).await;
            back.fill(&request, byte);
            back.answer(request.id, request.operation, rsp::OKAY);
        }
    });
    assert!(buffer == [3; 512]);
}

#[test]
fn noise_for_answers_ends_the_disk_and_no_more() {
    for seed in 0..40 {
        let world = world();
        let before = holdings(&world.front);
        let use_disk = async |disk: Result<Disk, Error>| {
            let disk = disk.unwrap();
            loop {
                if let Err(error) = disk.read(0, &mut [0; 8192]).await
                    && !matches!(error, Error::Io | Error::Unsupported)
                {
                    return error;
                }
            }
        };
        let error = play(&world, &[], use_disk, async |mut back| {
            let mut noise = Noise::new(seed);
            let lie = async {
                loop {
                    let request = back.request().await;
                    let answer = match noise.below(4) {
                        0 => (noise.number(), request.operation),
                        1 => (request.id, noise.below(4) as u8),
                        2 => (noise.below(33), noise.below(2) as u8),
                        _ => (request.id, request.operation),
                    };
                    if noise.once_in(8) {
                        let index = noise.number() as u32;
                        back.ring.memory().shared().store_u32(RSP_PROD, index, Ordering::SeqCst);
                        back.port.notify().unwrap();
                        core::future::pending::<()>().await;
                    }
                    back.answer(answer.0, answer.1, -(noise.below(4) as i16));
                }
            };
            exec::race(lie, world.nodes.await_front(&world.back_store, XenbusState::CLOSED)).await;
        });
        assert!(matches!(error, Error::Violation(_)), "{error:?}");
        world.machine.settle();
        assert_eq!(holdings(&world.front), before);
    }
}
