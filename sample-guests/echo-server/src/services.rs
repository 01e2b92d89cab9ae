//! What is done with the sockets.

use alloc::{vec, vec::Vec};

use log::debug;
use smoltcp::{
    iface::{SocketHandle, SocketSet},
    socket::{tcp, udp},
};

/// The port of the echo service.
const ECHO: u16 = 7;
/// The port of the page.
const HTTP: u16 = 80;
/// Connections to either at a time.
const CONNECTIONS: usize = 4;
/// Bytes under way in a connection, each way.
const BUFFER: usize = 16 << 10;

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
    <!DOCTYPE html><title>echo-server</title><p>A guest in Rust. Port 7 sends back what it gets.\n";

/// The sockets of each service.
pub struct Services {
    echo: Vec<SocketHandle>,
    http: Vec<SocketHandle>,
    datagrams: SocketHandle,
}

/// Makes the sockets.
pub fn add(sockets: &mut SocketSet<'_>) -> Services {
    let mut connections = || {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        (0..CONNECTIONS).map(|_| sockets.add(tcp::Socket::new(buffer(), buffer()))).collect()
    };
    let (echo, http) = (connections(), connections());
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; BUFFER]);
    Services { echo, http, datagrams: sockets.add(udp::Socket::new(buffer(), buffer())) }
}

impl Services {
    /// Does all that can be done now; says whether the stack has something to do after it.
    pub fn serve(&self, sockets: &mut SocketSet<'_>) -> bool {
        let mut busy = datagrams(sockets.get_mut(self.datagrams));
        for handle in &self.echo {
            busy |= listen(sockets.get_mut(*handle), ECHO) | echo(sockets.get_mut(*handle));
        }
        for handle in &self.http {
            busy |= listen(sockets.get_mut(*handle), HTTP) | page(sockets.get_mut(*handle));
        }
        busy
    }
}

/// Waits for the next connection when there is none.
fn listen(socket: &mut tcp::Socket<'_>, port: u16) -> bool {
    !socket.is_open() && socket.listen(port).is_ok()
}

/// Sends back what is there, and closes after the other side did.
fn echo(socket: &mut tcp::Socket<'_>) -> bool {
    let mut piece = [0; 2048];
    let mut busy = false;
    loop {
        let room = (socket.send_capacity() - socket.send_queue()).min(piece.len());
        let Ok(len @ 1..) = socket.recv_slice(&mut piece[..room]) else { break };
        // It fits: there was room for it.
        busy |= socket.send_slice(&piece[..len]).is_ok();
    }
    if socket.may_send() && !socket.may_recv() && !socket.can_recv() {
        socket.close();
        busy = true;
    }
    busy
}

/// Answers a whole request, whatever it asks for.
fn page(socket: &mut tcp::Socket<'_>) -> bool {
    if !socket.can_send() {
        return false;
    }
    let full = socket.recv_queue() == socket.recv_capacity();
    let asked = |data: &mut [u8]| {
        let whole = data.windows(4).any(|end| end == b"\r\n\r\n");
        (if whole { data.len() } else { 0 }, whole)
    };
    match socket.recv(asked) {
        Ok(true) => {
            if let Err(error) = socket.send_slice(PAGE) {
                debug!("page: {error}");
            }
            socket.close();
        }
        Ok(false) if full => socket.abort(),
        Err(_) if !socket.may_recv() => socket.close(),
        _ => return false,
    }
    true
}

/// Sends each datagram back where it came from.
fn datagrams(socket: &mut udp::Socket<'_>) -> bool {
    let mut busy = !socket.is_open() && socket.bind(ECHO).is_ok();
    let mut datagram = [0; 2048];
    while socket.can_send()
        && let Ok((len, from)) = socket.recv_slice(&mut datagram)
    {
        busy |= socket.send_slice(&datagram[..len], from.endpoint).is_ok();
    }
    busy
}
