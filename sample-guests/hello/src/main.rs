//! Says hello, says who it is, and powers off.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

use guest_sdk::{Env, hypercall::version};
use log::info;

guest_sdk::main!(main);

async fn main(env: Env) {
    if let Ok((major, minor)) = version::version() {
        info!("hello from a guest on Xen {major}.{minor}");
    }
    info!("arguments: {:?}", env.bootargs());
    info!("{} MiB of memory, {} vCPU", env.memory() >> 20, env.vcpus());
    match env.xenstore().await {
        Ok(store) => match store.read_string("name").await {
            Ok(name) => info!("xenstore calls me {name:?}"),
            Err(error) => info!("xenstore does not know my name: {error}"),
        },
        Err(error) => info!("no xenstore: {error}"),
    }
}
