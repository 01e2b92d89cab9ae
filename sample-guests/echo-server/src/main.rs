//! Sends back what it gets by TCP and UDP on port 7, and shows a page on port 80.
//!
//! `ip=10.0.0.2/24` and `gateway=10.0.0.1` set its address; without, a DHCP server is asked.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

mod services;

use core::{fmt, net::Ipv4Addr, time::Duration};

use guest_sdk::{Env, abi::Errno, exec, time};
use log::{info, warn};
use netfront::{Interface, Options, Phy};
use smoltcp::{
    iface::{self, SocketHandle, SocketSet},
    socket::dhcpv4,
    time::Instant,
    wire::{EthernetAddress, IpCidr, Ipv4Cidr},
};

guest_sdk::main!(main);

/// Why there is nothing to serve.
enum Failure {
    NoStore(Errno),
    NoInterface,
    BadAddress,
    Interface(netfront::Error),
}

impl From<netfront::Error> for Failure {
    fn from(error: netfront::Error) -> Self {
        Self::Interface(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore(error) => write!(f, "no xenstore: {error}"),
            Self::NoInterface => f.write_str("no network interface"),
            Self::BadAddress => f.write_str("ip= and gateway= are to be like 10.0.0.2/24 and 10.0.0.1"),
            Self::Interface(error) => write!(f, "{error}"),
        }
    }
}

async fn main(env: Env) -> Result<(), Failure> {
    let address = env.bootarg("ip").map(|text| cidr(text).ok_or(Failure::BadAddress)).transpose()?;
    let gateway = env.bootarg("gateway").map(str::parse).transpose().map_err(|_| Failure::BadAddress)?;
    let store = env.xenstore().await.map_err(Failure::NoStore)?;
    let first = Interface::list(&store).await?.into_iter().next().ok_or(Failure::NoInterface)?;
    let interface = Interface::open(&store, &first, Options::default()).await?;
    let info = interface.info().await?;

    let mut phy = Phy::new(interface.clone(), info);
    let config = iface::Config::new(EthernetAddress(info.mac.0).into());
    let mut stack = iface::Interface::new(config, &mut phy, now());
    let mut sockets = SocketSet::new(alloc::vec![]);
    let services = services::add(&mut sockets);
    let dhcp = match address {
        Some(address) => {
            configure(&mut stack, address, gateway);
            None
        }
        None => Some(sockets.add(dhcpv4::Socket::new())),
    };
    loop {
        stack.poll(now(), &mut phy, &mut sockets);
        if let Some(dhcp) = dhcp {
            follow_lease(&mut stack, &mut sockets, dhcp);
        }
        if services.serve(&mut sockets) {
            continue;
        }
        let rest = stack.poll_delay(now(), &sockets).map_or(Duration::MAX, Into::into);
        if let exec::Either::First(changed) = exec::race(interface.changed(), exec::sleep(rest)).await {
            changed?;
        }
    }
}

fn now() -> Instant {
    Instant::from_micros((time::now().as_ns() / 1000) as i64)
}

/// An address such as `10.0.0.2/24`.
fn cidr(text: &str) -> Option<Ipv4Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    Some(Ipv4Cidr::new(address.parse().ok()?, prefix))
}

/// Takes an address, in place of one from before.
fn configure(stack: &mut iface::Interface, address: Ipv4Cidr, gateway: Option<Ipv4Addr>) {
    stack.update_ip_addrs(|addresses| {
        addresses.clear();
        // There is room for one.
        let _ = addresses.push(IpCidr::Ipv4(address));
    });
    stack.routes_mut().remove_default_ipv4_route();
    if let Some(gateway) = gateway
        && stack.routes_mut().add_default_ipv4_route(gateway).is_err()
    {
        warn!("no room for a route");
    }
    info!("serving at {address}");
}

/// Takes the address that a DHCP server gives, and lets it go when it takes it back.
fn follow_lease(stack: &mut iface::Interface, sockets: &mut SocketSet<'_>, dhcp: SocketHandle) {
    match sockets.get_mut::<dhcpv4::Socket>(dhcp).poll() {
        Some(dhcpv4::Event::Configured(config)) => configure(stack, config.address, config.router),
        Some(dhcpv4::Event::Deconfigured) => stack.update_ip_addrs(|addresses| addresses.clear()),
        None => {}
    }
}
