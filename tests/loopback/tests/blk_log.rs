//! What a guest can have the back end write to the log. A process of its own: it has the log.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use blkback::Limits;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::XenbusState;
use loopback_tests::disks::TestStore;
use loopback_tests::raw_front::RawFront;
use loopback_tests::world::{SECTORS, World};

/// Offset of the front end's producer index in its ring.
const REQ_PROD: usize = 0;

/// Keeps the lines.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_guest_that_connects_over_and_over_is_soon_not_mentioned_any_more() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    for _ in 0..100 {
        world.front.run(async {
            let front = RawFront::connect(&world.front_store, false).await;
            front.ring.memory().shared().store_u32(REQ_PROD, 1000, Ordering::SeqCst);
            front.port.notify().unwrap();
            let device = &front.device;
            device.wait_other(|state| state == XenbusState::CLOSING).await.unwrap();
            device.switch_state(XenbusState::CLOSED).await.unwrap();
            device.wait_other(|state| state == XenbusState::CLOSED).await.unwrap();
            device.switch_state(XenbusState::INITIALISING).await.unwrap();
        });
    }
    let lines = LINES.0.lock().unwrap();
    assert!(lines.iter().any(|line| line.ends_with(" connected")), "{lines:?}");
    assert!(lines.len() < 20, "{lines:?}");
    assert!(lines.last().unwrap().ends_with("are left out"), "{lines:?}");
}
