//! Watches: being told of changes below a path.

use alloc::{
    collections::VecDeque,
    rc::Rc,
    string::{String, ToString},
};
use core::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

use xen_abi::io::xs_wire::msg;

use super::{Error, Result, Xenstore, connection::Connection, string};

/// Events that wait to be taken; with more, single paths are given up for the watched one.
const MAX_QUEUED: usize = 256;

/// Events of one watch.
pub(super) struct Inbox {
    path: String,
    events: VecDeque<String>,
    waiter: Option<Waker>,
    closed: bool,
}

impl Inbox {
    /// Adds an event, unless the same one waits already: it tells to look, not what changed.
    pub(super) fn deliver(&mut self, path: String) {
        if self.events.len() >= MAX_QUEUED {
            self.events.clear();
            self.events.push_back(self.path.clone());
        } else if !self.events.contains(&path) {
            self.events.push_back(path);
        }
        self.wake();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// A watch, removed when dropped. Events that mean the same are given once; when they come faster
/// than they are taken, the watched path itself stands for all of them.
pub struct Watch {
    connection: Rc<Connection>,
    inbox: Rc<RefCell<Inbox>>,
    token: u32,
}

impl Watch {
    pub(super) async fn new(connection: &Rc<Connection>, path: &str) -> Result<Self> {
        let inbox = Rc::new(RefCell::new(Inbox {
            path: path.to_string(),
            events: VecDeque::new(),
            waiter: None,
            closed: false,
        }));
        let watch =
            Self { connection: connection.clone(), token: connection.add_watch(inbox.clone()), inbox };
        let parts: [&[u8]; 2] = [&string(path)?, &string(&watch.token.to_string())?];
        connection.request(msg::WATCH, 0, &parts).await?;
        Ok(watch)
    }

    /// Waits for the next event: the path that changed, at or below the watched one. The first
    /// comes at once, with the watched path.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection ended.
    pub async fn next(&mut self) -> Result<String> {
        poll_fn(|cx| {
            let mut inbox = self.inbox.borrow_mut();
            if let Some(path) = inbox.events.pop_front() {
                return Poll::Ready(Ok(path));
            }
            if inbox.closed {
                return Poll::Ready(Err(Error::Closed));
            }
            inbox.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The connection it is on.
    pub fn store(&self) -> Xenstore {
        Xenstore { connection: self.connection.clone(), tx_id: 0 }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.remove_watch(self.token);
        let path = self.inbox.borrow().path.clone();
        if let (Ok(path), Ok(token)) = (string(&path), string(&self.token.to_string())) {
            self.connection.tell(msg::UNWATCH, 0, &[&path, &token]);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.inbox.borrow().path)
    }
}
