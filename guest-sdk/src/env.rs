//! What a domain was started with.

use xen_abi::{Domid, Errno, features};

use crate::{
    console::Console,
    hypercall::{event_channel, version},
    time::Instant,
    xenstore::Xenstore,
};

/// What the loader left for the program.
#[derive(Debug)]
pub(crate) struct BootInfo {
    pub(crate) bootargs: &'static str,
    pub(crate) device_tree: &'static [u8],
    pub(crate) initrd: Option<&'static [u8]>,
    pub(crate) vcpus: usize,
    pub(crate) memory: u64,
    pub(crate) entered: Instant,
}

/// The surroundings of a program, given to its `main`.
#[derive(Clone, Copy, Debug)]
pub struct Env(&'static BootInfo);

impl Env {
    /// Hands over what the loader left.
    pub(crate) fn new(boot: &'static BootInfo) -> Self {
        Self(boot)
    }

    /// The surroundings of a fake domain: console and store, and what it is told.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn fake(bootargs: &str) -> Self {
        use std::boxed::Box;
        let info = BootInfo {
            bootargs: Box::leak(bootargs.into()),
            device_tree: &[],
            initrd: None,
            vcpus: 1,
            memory: 0,
            entered: Instant::default(),
        };
        Self::new(Box::leak(Box::new(info)))
    }

    /// The command line.
    pub fn bootargs(&self) -> &'static str {
        self.0.bootargs
    }

    /// The value of `key=value` in the command line; empty for a `key` alone.
    pub fn bootarg(&self, key: &str) -> Option<&'static str> {
        self.0.bootargs.split_ascii_whitespace().find_map(|word| match word.split_once('=') {
            Some((k, value)) => (k == key).then_some(value),
            None => (word == key).then_some(""),
        })
    }

    /// The device tree, flattened. Empty on the host.
    pub fn device_tree(&self) -> &'static [u8] {
        self.0.device_tree
    }

    /// The ramdisk, if there is one.
    pub fn initrd(&self) -> Option<&'static [u8]> {
        self.0.initrd
    }

    /// How many vCPUs there are; one runs, see [`crate::smp`].
    pub fn vcpus(&self) -> usize {
        self.0.vcpus
    }

    /// Bytes of memory.
    pub fn memory(&self) -> u64 {
        self.0.memory
    }

    /// When the program's first instruction ran, before any of the start-up code.
    pub fn entered(&self) -> Instant {
        self.0.entered
    }

    /// The console.
    pub fn console(&self) -> Console {
        Console::new()
    }

    /// Our own number. It is nobody's secret, but only a port of ours tells it.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there is no port left to ask by.
    pub fn domid(&self) -> Result<Domid, Errno> {
        let port = event_channel::alloc_unbound(Domid::SELF, Domid::SELF)?;
        let status = event_channel::status(Domid::SELF, port);
        event_channel::close(port)?;
        status.map(|status| status.remote_dom())
    }

    /// Whether this is dom0.
    pub fn is_dom0(&self) -> bool {
        version::features(0).is_ok_and(|bits| bits & 1 << features::DOM0 != 0)
    }

    /// Connects to xenstore.
    ///
    /// # Errors
    ///
    /// As [`Xenstore::connect`].
    pub async fn xenstore(&self) -> Result<Xenstore, Errno> {
        Xenstore::connect().await
    }
}

#[cfg(test)]
mod tests {
    use crate::{Env, fake::Machine};

    #[test]
    fn arguments_are_found_by_their_whole_name() {
        let domain = Machine::new().domain(xen_abi::Domid(1));
        domain.within(|| {
            let env = Env::fake("quiet  ticks=5 root=/dev/xvda=1 tick");
            assert_eq!(env.bootarg("ticks"), Some("5"));
            assert_eq!(env.bootarg("tick"), Some(""));
            assert_eq!(env.bootarg("root"), Some("/dev/xvda=1"));
            assert_eq!(env.bootarg("qui"), None);
            assert_eq!(env.domid(), Ok(xen_abi::Domid(1)));
        });
    }
}
