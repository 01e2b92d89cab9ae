//! What to boot, and the QEMU command that boots it.
use crate::{Arch, board};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The kernel of a domain with what comes with it.
#[derive(Clone, Debug)]
pub struct Domain {
    /// A zImage or Image.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub ramdisk: Option<PathBuf>,
    /// Its command line.
    pub args: String,
}

/// A guest that the hypervisor itself starts, from the device tree.
#[derive(Clone, Debug)]
pub struct DomU {
    /// What it runs.
    pub boot: Domain,
    /// Its memory, in KiB.
    pub memory_kib: u64,
    /// Its number of vCPUs.
    pub vcpus: u32,
    /// Whether it gets an emulated PL011.
    pub vpl011: bool,
    /// What of the PV interfaces it gets: none, all (`enabled`), or all but a xenstore
    /// (`no-xenstore`), which is what there is without dom0.
    pub enhanced: Option<&'static str>,
    /// A part of its device tree, which gives it devices of the board.
    pub fragment: Option<PathBuf>,
    /// Where in the machine all its memory is, if that is chosen: addresses and sizes.
    pub set_aside: Vec<(u64, u64)>,
    /// Whether this and its devices are there for the guest, too.
    pub direct_map: bool,
}

impl DomU {
    /// Runs `boot` with 32 MiB, one vCPU, and what there is of the PV interfaces without dom0.
    pub fn new(boot: Domain) -> Self {
        Self {
            boot,
            memory_kib: 32 << 10,
            vcpus: 1,
            vpl011: false,
            enhanced: Some("no-xenstore"),
            fragment: None,
            set_aside: vec![],
            direct_map: false,
        }
    }
}

/// One end of an event channel that is there from the start.
#[derive(Clone, Copy, Debug)]
pub struct ChannelEnd {
    /// Whose: 0 is dom0, the others are numbered as in [`Machine::domus`].
    pub domain: usize,
    /// Its port.
    pub port: u32,
}

/// Memory of the machine that a domain shares with others.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// Which domain: 0 is dom0, the others are numbered as in [`Machine::domus`].
    pub domain: usize,
    /// Which memory.
    pub id: &'static str,
    /// What the domain is to it, if the tree says: `owner` or `borrower`.
    pub role: Option<&'static str>,
    /// Where it is in the machine and in the domain, and its size.
    pub at: [u64; 3],
}

/// CPUs for some of the guests.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Which CPUs, as QEMU numbers them.
    pub cpus: Vec<u32>,
    /// Which guests, numbered from 1 as in [`Machine::domus`].
    pub domus: Vec<usize>,
}

/// A virtio-blk disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its raw image.
    pub file: PathBuf,
    /// Whether writes go to a copy that ends with the machine.
    pub snapshot: bool,
}

/// Where the serial line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// To the terminal, with QEMU's own keys behind Ctrl-\.
    Terminal,
    /// To pipes, as plain bytes.
    Pipes,
}

/// A machine to boot.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its architecture.
    pub arch: Arch,
    /// The hypervisor's image.
    pub hypervisor: PathBuf,
    /// What boots it, by commands on the serial line: it lies in memory at [`HYPERVISOR`](crate::HYPERVISOR),
    /// the modules from [`MODULES`](crate::MODULES) on, and the device tree is the board's own. If there is
    /// none, QEMU boots it with a tree that has all of that.
    pub firmware: Option<PathBuf>,
    /// Whether that starts in EL3. The device tree is then as without it, where firmware is QEMU's.
    pub secure: bool,
    /// The hypervisor's command line.
    pub hypervisor_args: String,
    /// The control domain, if any.
    pub dom0: Option<Domain>,
    /// Guests started from the device tree.
    pub domus: Vec<DomU>,
    /// Event channels between these and dom0.
    pub channels: Vec<[ChannelEnd; 2]>,
    /// Memory that these and dom0 share.
    pub shared: Vec<Shared>,
    /// CPU pools.
    pub pools: Vec<Pool>,
    /// Address and size of what all other memory comes from; none when it may come from anywhere.
    pub heap: Option<(u64, u64)>,
    /// Its virtio-blk disks; the first one is `/dev/vda`.
    pub disks: Vec<Disk>,
    /// Its number of CPUs.
    pub cpus: u32,
    /// What they are, by QEMU's name.
    pub cpu: &'static str,
    /// The version of its interrupt controller, 2 or 3.
    pub gic_version: u32,
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// Whether instructions are counted and time follows the count (one CPU only): a run then
    /// repeats exactly, whatever else the host does.
    pub deterministic: bool,
    /// Where the serial line goes.
    pub console: Console,
    /// More arguments for QEMU.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// Describes a machine with `hypervisor` and nothing to run on it.
    pub fn new(arch: Arch, hypervisor: PathBuf) -> Self {
        Self {
            arch,
            hypervisor,
            firmware: None,
            secure: false,
            hypervisor_args: "console=dtuart dtuart=/pl011@9000000 bootscrub=0".into(),
            dom0: None,
            domus: vec![],
            channels: vec![],
            pools: vec![],
            heap: None,
            shared: vec![],
            disks: vec![],
            cpus: 2,
            cpu: arch.cpus()[0],
            gic_version: 2,
            memory_mib: 1024,
            deterministic: false,
            console: Console::Pipes,
            extra: vec![],
        }
    }

    /// Writes the device tree into the folder `work`; gives the command that boots the machine.
    pub fn prepare(&self, work: &Path) -> Result<Command, String> {
        fs::create_dir_all(work).map_err(|e| format!("{}: {e}", work.display()))?;
        let dtb = self.dump_dtb(&work.join("board.dtb"))?;
        let (dtb, mut modules) = board::describe(self, &dtb)?;
        let tree = work.join("boot.dtb");
        fs::write(&tree, dtb).map_err(|e| format!("{}: {e}", tree.display()))?;

        let mut c = self.qemu("");
        c.args(["-display", "none", "-no-reboot"]);
        match self.console {
            Console::Terminal => c.args(["-echr", "0x1c", "-serial", "mon:stdio"]),
            Console::Pipes => c.args(["-monitor", "none", "-serial", "stdio"]),
        };
        if self.deterministic {
            c.args(["-icount", "shift=0,sleep=off", "-seed", "1"]);
            c.args(["-rtc", "base=2024-01-01T00:00:00,clock=vm"]);
        }
        match &self.firmware {
            None => c.arg("-kernel").arg(&self.hypervisor).arg("-dtb").arg(&tree),
            Some(firmware) => {
                modules.push(board::Loaded { file: self.hypervisor.clone(), address: board::HYPERVISOR });
                c.arg("-bios").arg(firmware)
            }
        };
        if self.secure {
            c.args(["-machine", "secure=on", "-dtb"]).arg(&tree);
        }
        for m in modules {
            let tail = format!(",addr={:#x},force-raw=on", m.address);
            c.arg("-device").arg(option("loader,file=", &m.file, &tail));
        }
        for (i, disk) in self.disks.iter().enumerate() {
            let snapshot = if disk.snapshot { "on" } else { "off" };
            let tail = format!(",format=raw,if=none,id=disk{i},snapshot={snapshot}");
            c.arg("-drive").arg(option("file=", &disk.file, &tail));
        }
        // QEMU fills the board's transports from the last to the first; Linux names disks in the
        // order of the device tree, which is the same.
        for i in 0..self.disks.len() {
            c.args(["-device", &format!("virtio-blk-device,drive=disk{i}")]);
        }
        c.args(&self.extra);
        Ok(c)
    }

    fn qemu(&self, machine_options: &str) -> Command {
        let mut board = format!("virt,virtualization=on,gic-version={}", self.gic_version);
        if self.deterministic {
            board += ",dtb-randomness=off";
        }
        let cpus = self.cpus.to_string();
        let memory = self.memory_mib.to_string();
        let mut c = Command::new(self.arch.emulator());
        c.args(["-M", &(board + machine_options), "-cpu", self.cpu]);
        // Without the network card that the board has by default, whose ROM is in a package of its own.
        c.args(["-smp", &cpus, "-m", &memory, "-nic", "none"]);
        c
    }

    fn dump_dtb(&self, to: &Path) -> Result<Vec<u8>, String> {
        let mut c = self.qemu(&format!(",dumpdtb={}", comma_doubled(to)));
        c.args(["-display", "none"]).stdin(Stdio::null());
        let out = c.output().map_err(|e| format!("{}: {e}", self.arch.emulator()))?;
        fs::read(to).map_err(|e| {
            let said = String::from_utf8_lossy(&out.stderr);
            format!("QEMU wrote no device tree ({e}): {}", said.trim())
        })
    }
}

fn option(head: &str, file: &Path, tail: &str) -> OsString {
    format!("{head}{}{tail}", comma_doubled(file)).into()
}

/// Writes a path as QEMU's option syntax wants it.
fn comma_doubled(file: &Path) -> String {
    file.to_string_lossy().replace(',', ",,")
}
