//! Ways to end badly.
// UNSAFETY: does what must not be done.
#![allow(unsafe_code)]

/// Ends the domain in a way that shows what a fault looks like.
pub fn by(how: &str) -> ! {
    match how {
        "stack" => {
            fill_the_stack(0);
        }
        "code" => write_to(by as *const () as usize),
        "null" => write_to(0),
        #[cfg(target_arch = "arm")]
        // SAFETY: it does not return.
        "undefined" => unsafe { core::arch::asm!("udf #0") },
        _ => {}
    }
    panic!("asked to crash by {how:?}")
}

fn write_to(address: usize) {
    // SAFETY: it faults; that is what it is for.
    unsafe { core::ptr::without_provenance_mut::<u32>(address).write_volatile(0) };
}

#[inline(never)]
fn fill_the_stack(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 32]);
    if depth == u64::MAX {
        return 0;
    }
    fill_the_stack(depth + 1) + room[7]
}
