//! The connection of a client in the same program: two byte queues that carry the messages of a ring.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::task::{Context, Poll, Waker};

use spin::Mutex;

use crate::doorbell::Doorbell;
use crate::watch::ConnectionId;

/// How much either queue holds.
const CAPACITY: usize = 16 * 1024;

#[derive(Debug, Default)]
struct Queues {
    requests: VecDeque<u8>,
    replies: VecDeque<u8>,
    client: Option<Waker>,
    /// The store has read or written since the client last looked.
    moved: bool,
    closed: bool,
}

fn put(queue: &mut VecDeque<u8>, from: &[u8]) -> usize {
    let count = from.len().min(CAPACITY - queue.len());
    queue.extend(&from[..count]);
    count
}

fn take(queue: &mut VecDeque<u8>, to: &mut [u8]) -> usize {
    let count = to.len().min(queue.len());
    for (place, byte) in to.iter_mut().zip(queue.drain(..count)) {
        *place = byte;
    }
    count
}

/// The client's end. Dropping it closes the connection, with all its watches and transactions.
#[derive(Debug)]
pub struct LocalClient {
    queues: Arc<Mutex<Queues>>,
    doorbell: Doorbell,
    conn: ConnectionId,
}

impl LocalClient {
    /// Sends what there is room for, and gives how much that was.
    pub fn write(&mut self, from: &[u8]) -> usize {
        let count = put(&mut self.queues.lock().requests, from);
        self.doorbell.ring(self.conn);
        count
    }

    /// Receives what is there, which may be nothing.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        let count = take(&mut self.queues.lock().replies, to);
        if count > 0 {
            self.doorbell.ring(self.conn);
        }
        count
    }

    /// Waits until the store has read or written something since the last time: there may be more to receive, or more
    /// room to send.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queues = self.queues.lock();
        if core::mem::take(&mut queues.moved) {
            return Poll::Ready(());
        }
        queues.client = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.queues.lock().closed = true;
        self.doorbell.ring(self.conn);
    }
}

/// The store's end.
#[derive(Debug)]
pub(crate) struct LocalServer {
    queues: Arc<Mutex<Queues>>,
}

impl LocalServer {
    pub(crate) fn read(&mut self, to: &mut [u8]) -> usize {
        let mut queues = self.queues.lock();
        let count = take(&mut queues.requests, to);
        wake(&mut queues, count);
        count
    }

    pub(crate) fn write(&mut self, from: &[u8]) -> usize {
        let mut queues = self.queues.lock();
        let count = put(&mut queues.replies, from);
        wake(&mut queues, count);
        count
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.queues.lock().requests.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.queues.lock().replies.len() < CAPACITY
    }

    pub(crate) fn closed(&self) -> bool {
        self.queues.lock().closed
    }
}

fn wake(queues: &mut Queues, moved: usize) {
    if moved == 0 {
        return;
    }
    queues.moved = true;
    if let Some(waker) = queues.client.take() {
        waker.wake();
    }
}

/// Makes both ends of a connection.
pub(crate) fn pair(conn: ConnectionId, doorbell: Doorbell) -> (LocalServer, LocalClient) {
    let queues = Arc::new(Mutex::new(Queues::default()));
    (LocalServer { queues: queues.clone() }, LocalClient { queues, doorbell, conn })
}
