//! Dom0's disk seen from the host: a copy that a machine may write to, and what is on it afterwards.
use crate::artifacts::Hypervisor;
use fatfs::{FileSystem, FsOptions};
use machine::{Disk, paths};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// A private copy of dom0's disk.
pub struct HostDisk {
    dir: PathBuf,
}

impl HostDisk {
    /// Copies the disk for the test `name`.
    pub fn copy(name: &str, on: Hypervisor) -> io::Result<Self> {
        let dir = paths::target_dir().join("system-tests").join(name);
        fs::create_dir_all(&dir)?;
        let this = Self { dir };
        fs::copy(on.data_disk().file, this.image())?;
        Ok(this)
    }

    fn image(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    /// Gives it to a machine, which writes to it.
    pub fn attach(&self) -> Disk {
        Disk { file: self.image(), snapshot: false }
    }

    /// Puts a file into dom0's `/root`.
    pub fn put(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let volume = self.volume()?;
        let mut to = volume.root_dir().create_file(&format!("root/{file}"))?;
        to.write_all(bytes)?;
        to.flush()
    }

    fn volume(&self) -> io::Result<FileSystem<File>> {
        FileSystem::new(File::options().read(true).write(true).open(self.image())?, FsOptions::new())
    }

    /// Takes a file of dom0's `/root` off the disk.
    pub fn extract(&self, file: &str) -> io::Result<PathBuf> {
        let volume = self.volume()?;
        let to = self.dir.join(file.replace('/', "-")).with_extension("extracted");
        let mut from = volume.root_dir().open_file(&format!("root/{file}"))?;
        io::copy(&mut from, &mut File::create(&to)?)?;
        Ok(to)
    }
}

impl Drop for HostDisk {
    fn drop(&mut self) {
        // Large, and of no use once the test is over.
        let _ = fs::remove_file(self.image());
    }
}

/// Checks an ext4 image without repairing it; what e2fsck said is the error.
pub fn fsck(image: &Path) -> Result<(), String> {
    let out = run("e2fsck", &["-f", "-n"], image)?;
    match out.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stdout).into_owned()),
    }
}

/// Reads a file of an ext4 image.
pub fn cat(image: &Path, file: &str) -> Result<Vec<u8>, String> {
    Ok(run("debugfs", &["-R", &format!("cat {file}")], image)?.stdout)
}

fn run(program: &str, args: &[&str], image: &Path) -> Result<std::process::Output, String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut c = Command::new("env");
    c.arg(format!("PATH={path}")).arg(program).args(args).arg(image);
    c.output().map_err(|e| format!("{program}: {e}"))
}
