//! Checks guest-sdk against the hypervisor that it runs on.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

mod crash;
mod events;
#[cfg(target_arch = "aarch64")]
mod features;
mod grants;
mod memory;
mod store;
mod toolstack;
mod vcpus;

use alloc::{boxed::Box, format, string::String};
use core::{fmt::Display, pin::Pin};

use guest_sdk::{Env, console::Console};
use log::info;

guest_sdk::main!(main);

/// What a case says: nothing when all was right, else what was not.
type Outcome = Result<(), String>;

/// Fails the case unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err(alloc::format!("line {}: {}", line!(), stringify!($condition)));
        }
    };
}

/// Says where an error came from.
trait Context<T> {
    /// Puts `what` in front of it.
    fn at(self, what: &str) -> Result<T, String>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn at(self, what: &str) -> Result<T, String> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// A case: its name, and what it does.
type Case = (&'static str, Pin<Box<dyn Future<Output = Outcome>>>);

macro_rules! cases {
    ($env:ident: $($module:ident::$name:ident),* $(,)?) => {
        [$((stringify!($name), Box::pin($module::$name($env)) as Pin<Box<_>>)),*]
    };
}

async fn main(env: Env) -> Result<(), String> {
    if let Some(how) = env.bootarg("crash") {
        crash::by(how);
    }
    if env.bootarg("echo").is_some() {
        return echo(env.console()).await.at("console");
    }
    if let Some(ports) = env.bootarg("ports") {
        return events::take_turns(ports).await;
    }
    #[cfg(target_arch = "aarch64")]
    let features =
        cases![env: features::what_no_guest_has_is_undefined, features::debug_registers_read_as_zero];
    #[cfg(not(target_arch = "aarch64"))]
    let features: [Case; 0] = [];
    let cases: [Case; _] = cases![env:
        memory::the_heap_grows_and_is_used_again,
        memory::pages_are_zeroed_and_know_their_address,
        memory::time_passes_as_asked,
        events::an_event_to_a_vcpu_of_our_own_arrives,
        events::a_channel_to_ourselves_works_both_ways,
        events::a_virtual_interrupt_is_bound_once,
        grants::a_page_lent_to_ourselves_is_the_same_page,
        grants::a_grant_in_use_is_kept,
        grants::copies_arrive_whole,
        grants::many_grants_fit,
        store::nodes_watches_and_transactions,
        vcpus::each_other_vcpu_works_and_can_be_started_again,
        toolstack::the_machine_is_described,
        toolstack::the_log_can_be_read,
        toolstack::a_domain_is_made_and_destroyed,
        toolstack::memory_runs_out_and_comes_back,
    ];
    let mut failed = 0;
    for (name, case) in cases.into_iter().chain(features) {
        match case.await {
            Ok(()) => info!("ok {name}"),
            Err(why) => {
                failed += 1;
                info!("FAILED {name}: {why}");
            }
        }
    }
    match failed {
        0 => {
            info!("selftest: all passed");
            Ok(())
        }
        n => Err(format!("selftest: {n} failed")),
    }
}

/// Repeats what is typed, by lines, until one is empty.
async fn echo(mut console: Console) -> Result<(), guest_sdk::console::ConsoleError> {
    info!("type something");
    let mut line = String::new();
    let mut buffer = [0; 64];
    loop {
        let n = console.read_some(&mut buffer).await?;
        for byte in &buffer[..n] {
            match byte {
                b'\r' | b'\n' if line.is_empty() => return Ok(()),
                b'\r' | b'\n' => info!("you typed {:?}", core::mem::take(&mut line)),
                byte => line.push(char::from(*byte)),
            }
        }
    }
}
