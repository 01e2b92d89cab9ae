//! From the end of boot to the program's `main`, and what its end means.
// UNSAFETY: the macro gives the program's entry its fixed name, which the linker finds.
#![allow(unsafe_code)]

use core::fmt;

use xen_abi::sched::shutdown;

/// What the output of a program's `main` says about the domain's end.
pub trait Exit {
    /// The reason to give the hypervisor (see [`xen_abi::sched::shutdown`]).
    fn reason(self) -> u32;
}

/// Done: power off.
impl Exit for () {
    fn reason(self) -> u32 {
        shutdown::POWEROFF
    }
}

/// Done, or failed: an error is printed, and the domain counts as crashed.
impl<T: Exit, E: fmt::Display> Exit for Result<T, E> {
    fn reason(self) -> u32 {
        match self {
            Ok(value) => value.reason(),
            Err(error) => {
                log::error!("{error}");
                shutdown::CRASH
            }
        }
    }
}

/// Never done.
impl Exit for core::convert::Infallible {
    fn reason(self) -> u32 {
        match self {}
    }
}

/// Names the program's `async fn(Env) -> impl Exit`. To be used once, in a crate that is
/// `#![no_main]`; on the host the program runs in a fake machine of its own.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        const _: () = {
            #[cfg(target_os = "none")]
            #[unsafe(no_mangle)]
            extern "Rust" fn __guest_sdk_main() -> ! {
                $crate::start($main)
            }

            #[cfg(not(target_os = "none"))]
            #[unsafe(export_name = "main")]
            extern "C" fn __guest_sdk_main(_argc: i32, _argv: *const *const u8) -> i32 {
                $crate::start($main)
            }
        };
    };
}

/// Runs a program.
#[cfg(target_os = "none")]
#[doc(hidden)]
pub fn start<F>(main: impl FnOnce(crate::Env) -> F) -> !
where
    F: Future<Output: Exit>,
{
    let env = crate::Env::new(crate::arch::boot_info());
    crate::arch::shutdown(crate::exec::block_on(alloc::boxed::Box::pin(main(env))).reason())
}

/// Runs a program in a fake machine, with the arguments of the process as its command line, and prints what
/// it printed.
#[cfg(not(target_os = "none"))]
#[doc(hidden)]
pub fn start<F>(main: impl FnOnce(crate::Env) -> F) -> i32
where
    F: Future<Output: Exit>,
{
    let machine = crate::fake::Machine::new();
    let domain = machine.domain(xen_abi::Domid(1));
    let bootargs = std::env::args().skip(1).collect::<std::vec::Vec<_>>().join(" ");
    let env = domain.env(&bootargs);
    let reason = domain.within(|| crate::exec::block_on(main(env)).reason());
    std::print!("{}", domain.output());
    reason as i32
}
