//! Heap, pages, time.

use alloc::{vec, vec::Vec};
use core::{ptr::NonNull, time::Duration};

use guest_sdk::{
    Env,
    abi::PAGE_SIZE,
    exec,
    memory::{Pages, address_of},
    time,
};

use crate::{Context, Outcome, check};

pub async fn the_heap_grows_and_is_used_again(_env: Env) -> Outcome {
    for round in 0..3u8 {
        let mut blocks = Vec::new();
        for n in 1..32usize {
            blocks.push(vec![round ^ n as u8; n * 5000]);
        }
        for (n, block) in (1..32usize).zip(&blocks) {
            check!(block.iter().all(|&b| b == round ^ n as u8));
        }
    }
    Ok(())
}

pub async fn pages_are_zeroed_and_know_their_address(_env: Env) -> Outcome {
    for count in [1, 3, 16] {
        let mut pages = Pages::new(count).at("pages")?;
        check!(pages.bytes().iter().all(|&b| b == 0));
        pages.bytes_mut().fill(0xff);
        let last = NonNull::from(&pages.bytes()[count * PAGE_SIZE - 1]);
        check!(address_of(last) == Some(pages.address() + (count * PAGE_SIZE) as u64 - 1));
    }
    // What lies in the image is elsewhere than it seems, but is memory, too.
    static SOMETHING: u32 = 7;
    check!(address_of(NonNull::from(&SOMETHING)).is_some());
    Ok(())
}

pub async fn time_passes_as_asked(_env: Env) -> Outcome {
    for ms in [0, 1, 7, 20] {
        let wanted = Duration::from_millis(ms);
        let start = time::now();
        exec::sleep(wanted).await;
        let passed = start.elapsed();
        check!(passed >= wanted);
        check!(passed < wanted + Duration::from_millis(500));
    }
    let start = time::now();
    let late = exec::timeout(Duration::from_millis(5), core::future::pending::<()>()).await;
    check!(late.is_err() && start.elapsed() >= Duration::from_millis(5));
    Ok(())
}
