//! The front end of a disk that puts anything into its ring.

use core::time::Duration;

use guest_sdk::{
    abi::{PAGE_SIZE, io::blkif},
    event::Port,
    exec,
    grant::{Access, Grant},
    shared::Memory,
    xenbus::{Device, XenbusState},
    xenstore::{Result, Xenstore},
};
use log::info;

use crate::{calls::Tally, nonsense::Random};

/// How often it connects.
const LIVES: u32 = 8;
/// Batches of requests in each of its lives.
const BATCHES: u32 = 40;
/// What the back end has to do something about.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects, lies, and closes, again and again.
///
/// # Errors
///
/// The store's.
pub async fn run(store: &Xenstore, id: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    for life in 0..LIVES {
        let device = Device::frontend(store, "vbd", id).await?;
        device.switch_state(XenbusState::INITIALISING).await?;
        device.wait_other(|state| state == XenbusState::INIT_WAIT).await?;
        live(&device, life, &mut tally).await?;
        device.switch_state(XenbusState::CLOSING).await?;
        device.switch_state(XenbusState::CLOSED).await?;
        let closed = device.wait_other(|state| state == XenbusState::CLOSED || state == XenbusState::UNKNOWN);
        if exec::timeout(PATIENCE, closed).await.is_err() {
            info!("hostile: WRONG: the back end does not close");
        }
    }
    Ok(tally)
}

async fn live(device: &Device, life: u32, tally: &mut Tally) -> Result<()> {
    let back = device.other();
    let (Ok(ring), Ok(data)) =
        (Grant::of_zeroes(back, 1, Access::ReadWrite), Grant::of_zeroes(back, 4, Access::ReadWrite))
    else {
        return Ok(());
    };
    let Ok(port) = Port::alloc_unbound(back) else { return Ok(()) };
    // Now and then a reference or port that is none.
    let gref = if life % 4 == 3 { u32::MAX } else { ring.gref().0 };
    let number = if life % 4 == 2 { u32::MAX } else { port.number().0 };
    device.write("ring-ref", gref).await?;
    device.write("event-channel", number).await?;
    device.write("protocol", "arm-abi").await?;
    device.write("feature-persistent", life % 2).await?;
    device.switch_state(XenbusState::INITIALISED).await?;
    let answered = device.wait_other(|state| state != XenbusState::INIT_WAIT);
    if exec::timeout(PATIENCE, answered).await.is_ok() {
        device.switch_state(XenbusState::CONNECTED).await?;
        lie(&ring, &data, &port, life, tally).await;
    }
    Ok(())
}

/// Requests of noise, with references that are good among them, and indices that jump.
async fn lie(ring: &Grant, data: &Grant, port: &Port, life: u32, tally: &mut Tally) {
    const SLOTS: u32 = 32;
    const HEADER: usize = 64;
    let slot = size_of::<blkif::Request>();
    let mut random = Random::new(0x1234_5678 + life);
    let memory = ring.shared();
    let mut produced = 0u32;
    for batch in 0..BATCHES {
        for n in 0..SLOTS as usize {
            let at = HEADER + n * slot;
            for word in (0..slot).step_by(4) {
                let word_at = at + word;
                if word_at + 4 <= PAGE_SIZE {
                    memory.store_u32(word_at, random.word(), core::sync::atomic::Ordering::Relaxed);
                }
            }
            // An operation that there is, not too many segments, and pages that are lent.
            let operation = random.word() % 7;
            memory.store_u32(
                at,
                operation | (random.word() % 12) << 8,
                core::sync::atomic::Ordering::Relaxed,
            );
            memory.store_u32(at + 16, random.word() % 0x2_0000, core::sync::atomic::Ordering::Relaxed);
            memory.store_u32(at + 20, 0, core::sync::atomic::Ordering::Relaxed);
            for segment in 0..11 {
                let gref = data.grefs()[random.word() as usize % 4].0;
                let first = random.word() % 8;
                memory.store_u32(at + 24 + segment * 8, gref, core::sync::atomic::Ordering::Relaxed);
                memory.store_u32(
                    at + 28 + segment * 8,
                    first | 7 << 8,
                    core::sync::atomic::Ordering::Relaxed,
                );
            }
            tally.made += 1;
        }
        // The last batches claim more than there is room for.
        produced =
            produced.wrapping_add(if batch + 3 < BATCHES { random.word() % SLOTS } else { 0x1000_0000 });
        memory.store_u32(0, produced, core::sync::atomic::Ordering::Release);
        tally.refused += u32::from(port.notify().is_err());
        exec::yield_now().await;
        if batch % 8 == 0 {
            exec::sleep(Duration::from_millis(2)).await;
        }
    }
}
