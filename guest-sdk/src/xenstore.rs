//! A client of xenstore, the tree of short strings that all domains of a machine share.
//!
//! [`Xenstore`] is a handle to one connection, cheap to clone; all its requests may be made at the
//! same time. Paths are absolute, or relative to this domain's own `/local/domain/<id>`.
//!
//! The connection belongs to the vCPU it was made on. It ends when the daemon breaks the protocol:
//! then every request fails with [`Error::Closed`], and every watch ends.

mod connection;
mod transport;
mod watch;
pub mod wire;

use alloc::{
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};

use xen_abi::{
    Domid, Errno, EvtchnPort, Gfn,
    io::xs_wire::{PAYLOAD_MAX, msg},
};

pub use transport::{Pipe, RingTransport, Transport, pipe};
pub use watch::Watch;

use connection::Connection;

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The daemon refused it.
    Refused(Errno),
    /// A path or value that cannot be sent: too long, or with a NUL in it.
    Invalid,
    /// A value, or an answer of the daemon, that does not say what it should.
    Malformed,
    /// The connection is at an end.
    Closed,
}

impl Error {
    /// Whether a node was not there.
    pub fn is_missing(self) -> bool {
        self == Self::Refused(Errno::ENOENT)
    }

    /// Whether a read found nothing that we may see. Of a node that is not there, below one that we
    /// may not read, the daemon says `EACCES`: so does another domain's directory look once it has
    /// been removed.
    pub fn is_unseen(self) -> bool {
        self.is_missing() || self == Self::Refused(Errno::EACCES)
    }
}

impl From<Errno> for Error {
    fn from(error: Errno) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "xenstore: {error}"),
            Self::Invalid => f.write_str("xenstore: path or value cannot be sent"),
            Self::Malformed => f.write_str("xenstore: malformed value"),
            Self::Closed => f.write_str("xenstore: connection closed"),
        }
    }
}

impl core::error::Error for Error {}

/// The result of a request.
pub type Result<T> = core::result::Result<T, Error>;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    Both,
}

/// An entry of a node's list of permissions. The first entry names the owner, who may do
/// everything, and what all others may that are not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Whom.
    pub domid: Domid,
    /// What.
    pub access: Access,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.access {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        };
        write!(f, "{letter}{}", self.domid.0)
    }
}

impl FromStr for Permission {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let mut chars = s.chars();
        let access = match chars.next() {
            Some('n') => Access::None,
            Some('r') => Access::Read,
            Some('w') => Access::Write,
            Some('b') => Access::Both,
            _ => return Err(Error::Malformed),
        };
        let domid = chars.as_str().parse().map_err(|_| Error::Malformed)?;
        Ok(Self { domid: Domid(domid), access })
    }
}

/// A connection, or a transaction on it.
#[derive(Clone)]
pub struct Xenstore {
    connection: Rc<Connection>,
    tx_id: u32,
}

impl Xenstore {
    /// Connects by the ring that the toolstack set up for this domain. A domain built at boot may
    /// have to wait for one.
    ///
    /// # Errors
    ///
    /// `ENOENT` when this domain has none, as dom0 at first; `EBUSY` when there is a connection
    /// already, which is to be cloned; else the hypervisor's.
    pub async fn connect() -> core::result::Result<Self, Errno> {
        let ring = RingTransport::of_this_domain().await?;
        Ok(Self::over(Box::new(ring)))
    }

    /// Connects by any transport; dom0's program runs the daemon in itself and uses a [`pipe`].
    pub fn over(transport: Box<dyn Transport>) -> Self {
        Self { connection: Connection::new(transport), tx_id: 0 }
    }

    async fn request(&self, kind: u32, parts: &[&[u8]]) -> Result<Vec<u8>> {
        self.connection.request(kind, self.tx_id, parts).await
    }

    async fn command(&self, kind: u32, parts: &[&[u8]]) -> Result<()> {
        self.request(kind, parts).await.map(drop)
    }

    /// The value of a node.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.request(msg::READ, &[&string(path)?]).await
    }

    /// The value of a node, as text.
    pub async fn read_string(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read(path).await?).map_err(|_| Error::Malformed)
    }

    /// The value of a node, as a number or whatever else is written in text.
    pub async fn read_as<T: FromStr>(&self, path: &str) -> Result<T> {
        let text = self.read_string(path).await?;
        text.trim().parse().map_err(|_| Error::Malformed)
    }

    /// The value of a node as above, or none when there is no such node that we may read.
    pub async fn read_if_there<T: FromStr>(&self, path: &str) -> Result<Option<T>> {
        match self.read_as(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_unseen() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such a node that we may read.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        match self.read(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_unseen() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of a node, made when it is not there, with all above it.
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let parts: [&[u8]; 2] = [&string(path)?, value.as_ref()];
        self.command(msg::WRITE, &parts).await
    }

    /// Sets the value of a node to what `value` prints.
    pub async fn write_display(&self, path: &str, value: impl fmt::Display) -> Result<()> {
        self.write(path, value.to_string()).await
    }

    /// The names of a node's children.
    pub async fn directory(&self, path: &str) -> Result<Vec<String>> {
        match self.request(msg::DIRECTORY, &[&string(path)?]).await {
            Err(Error::Refused(Errno::E2BIG)) => self.long_directory(path).await,
            reply => wire::strings(&reply?),
        }
    }

    /// A directory that does not fit one message, in parts. When it changes in between, it is read
    /// again.
    async fn long_directory(&self, path: &str) -> Result<Vec<String>> {
        'again: loop {
            let mut names = Vec::new();
            let mut generation = None;
            loop {
                let offset = names.len().to_string();
                let parts: [&[u8]; 2] = [&string(path)?, &string(&offset)?];
                let reply = self.request(msg::DIRECTORY_PART, &parts).await?;
                let (count, part) = wire::split_string(&reply)?;
                if *generation.get_or_insert_with(|| count.to_string()) != count {
                    continue 'again;
                }
                names.extend_from_slice(part);
                // The end shows as one empty name more.
                if names.ends_with(&[0, 0]) || names == [0] || part.is_empty() {
                    names.pop();
                    return wire::strings(&names);
                }
            }
        }
    }

    /// Makes a node, with all above it, unless it is there.
    pub async fn mkdir(&self, path: &str) -> Result<()> {
        self.command(msg::MKDIR, &[&string(path)?]).await
    }

    /// Removes a node and all below it.
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.command(msg::RM, &[&string(path)?]).await
    }

    /// Who may do what with a node.
    pub async fn permissions(&self, path: &str) -> Result<Vec<Permission>> {
        let reply = self.request(msg::GET_PERMS, &[&string(path)?]).await?;
        let list = wire::strings(&reply)?;
        list.iter().map(|entry| entry.parse()).collect()
    }

    /// Says who may do what with a node.
    pub async fn set_permissions(&self, path: &str, list: &[Permission]) -> Result<()> {
        let mut payload = string(path)?;
        for entry in list {
            payload.extend(string(&entry.to_string())?);
        }
        self.command(msg::SET_PERMS, &[&payload]).await
    }

    /// Watches a node and all below it. The first event comes at once.
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        Watch::new(&self.connection, path).await
    }

    /// Runs `f` on a view of the store that nobody else changes, and makes its changes at once, or
    /// runs it again when somebody interfered. It is given what to make its requests on. When it
    /// fails nothing is changed.
    pub async fn transaction<T, F>(&self, f: F) -> Result<T>
    where
        F: AsyncFn(&Self) -> Result<T>,
    {
        loop {
            let reply = self.request(msg::TRANSACTION_START, &[b"\0"]).await?;
            let tx = Transaction {
                view: Self { connection: self.connection.clone(), tx_id: wire::number(&reply)? },
                open: true,
            };
            let value = f(&tx.view).await?;
            match tx.commit().await {
                Err(Error::Refused(Errno::EAGAIN)) => {}
                done => return done.map(|()| value),
            }
        }
    }

    /// Where a domain's own nodes are.
    pub async fn domain_path(&self, domid: Domid) -> Result<String> {
        let arg = string(&domid.0.to_string())?;
        let reply = self.request(msg::GET_DOMAIN_PATH, &[&arg]).await?;
        wire::string(&reply)
    }

    /// Tells the daemon of a new domain, its ring and the port it made for the daemon's domain.
    pub async fn introduce(&self, domid: Domid, ring: Gfn, port: EvtchnPort) -> Result<()> {
        let arg = format!("{}\0{}\0{}\0", domid.0, ring.0, port.0);
        self.command(msg::INTRODUCE, &[arg.as_bytes()]).await
    }

    /// Tells the daemon that a domain is gone.
    pub async fn release(&self, domid: Domid) -> Result<()> {
        let arg = string(&domid.0.to_string())?;
        self.command(msg::RELEASE, &[&arg]).await
    }

    /// Whether the daemon knows a domain.
    pub async fn is_introduced(&self, domid: Domid) -> Result<bool> {
        let arg = string(&domid.0.to_string())?;
        let reply = self.request(msg::IS_DOMAIN_INTRODUCED, &[&arg]).await?;
        Ok(wire::string(&reply)? == "T")
    }
}

impl fmt::Debug for Xenstore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xenstore(transaction {})", self.tx_id)
    }
}

/// A transaction that is given up unless it is committed.
struct Transaction {
    view: Xenstore,
    open: bool,
}

impl Transaction {
    async fn commit(mut self) -> Result<()> {
        self.open = false;
        self.view.command(msg::TRANSACTION_END, &[b"T\0"]).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            let Xenstore { connection, tx_id } = &self.view;
            connection.tell(msg::TRANSACTION_END, *tx_id, &[b"F\0"]);
        }
    }
}

/// A string as it is sent: with a NUL.
fn string(s: &str) -> Result<Vec<u8>> {
    if s.contains('\0') || s.len() >= PAYLOAD_MAX {
        return Err(Error::Invalid);
    }
    let mut bytes = Vec::with_capacity(s.len() + 1);
    bytes.extend_from_slice(s.as_bytes());
    bytes.push(0);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
