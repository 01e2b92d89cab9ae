//! Archives for a kernel's initramfs: uncompressed newc cpio, the same byte for byte each time.
use crate::{Result, elf, read, write};
use cpio::newc::{self, Builder};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const LINK: u32 = 0o120_000;
const REGULAR: u32 = 0o100_000;

/// Where Debian's loader looks for libraries, for any architecture.
const LIBRARIES: [&str; 2] = ["lib", "usr/lib"];

/// An archive being written.
#[derive(Default)]
pub struct Initramfs {
    out: Vec<u8>,
    seen: BTreeSet<String>,
}

impl Initramfs {
    /// Starts with the folders and devices that any first process needs.
    pub fn new() -> Result<Self> {
        let mut this = Self::default();
        for dir in ["dev", "proc", "sys", "run", "tmp", "root", "sbin", "usr/bin", "usr/sbin"] {
            this.directory(dir)?;
        }
        this.device("dev/console", 5, 1)?;
        this.device("dev/null", 1, 3)?;
        Ok(this)
    }

    pub fn directory(&mut self, path: &str) -> Result<()> {
        self.entry(path, DIRECTORY | 0o755, (0, 0), b"")
    }

    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes())
    }

    pub fn file(&mut self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.entry(path, REGULAR | mode, (0, 0), bytes)
    }

    fn device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(path, CHARACTER_DEVICE | 0o600, (major, minor), b"")
    }

    /// Adds `path` of the unpacked packages in `root`, what it links to, and the libraries that it
    /// needs.
    pub fn package_file(&mut self, root: &Path, path: &str) -> Result<()> {
        let path = path.trim_start_matches('/');
        if self.seen.contains(path) {
            return Ok(());
        }
        let full = root.join(path);
        let meta = fs::symlink_metadata(&full).map_err(|e| format!("{}: {e}", full.display()))?;
        if meta.is_symlink() {
            let target = fs::read_link(&full).map_err(|e| format!("{}: {e}", full.display()))?;
            self.link(path, &target.to_string_lossy())?;
            return self.package_file(root, &resolve(path, &target));
        }
        self.file(path, &read(&full)?, meta.permissions().mode() & 0o777)?;
        for library in elf::needed(&full)? {
            self.package_library(root, &library).map_err(|e| format!("/{path} needs {e}"))?;
        }
        Ok(())
    }

    /// Adds a library of the unpacked packages, by its name or its path.
    pub fn package_library(&mut self, root: &Path, name: &str) -> Result<()> {
        let found =
            find_library(root, name).ok_or_else(|| format!("{name}, which no unpacked package has"))?;
        self.package_file(root, &found)
    }

    /// Adds the files of a folder of the unpacked packages.
    pub fn package_folder(&mut self, root: &Path, path: &str) -> Result<()> {
        let dir = root.join(path);
        let entries = dir.read_dir().map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
        names.sort();
        for name in names {
            self.package_file(root, &format!("{path}/{}", name.to_string_lossy()))?;
        }
        Ok(())
    }

    /// Ends the archive and writes it.
    pub fn save(self, to: &Path) -> Result<()> {
        let out = newc::trailer(self.out).map_err(|e| e.to_string())?;
        write(to, &out)
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<()> {
        let path = path.trim_matches('/');
        if self.seen.contains(path) {
            return Ok(());
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent)?;
        }
        self.seen.insert(path.to_owned());
        let size = u32::try_from(data.len()).map_err(|_| format!("/{path} is too large"))?;
        let header = Builder::new(path).ino(self.seen.len() as u32).mode(mode).nlink(1);
        let header = header.rdev_major(device.0).rdev_minor(device.1);
        let mut entry = header.write(&mut self.out, size);
        entry.write_all(data).and_then(|()| entry.finish()).map_err(|e| format!("/{path}: {e}"))?;
        Ok(())
    }
}

/// Gives what a link at `path` points to, as a path from the root.
fn resolve(path: &str, target: &Path) -> String {
    let base = Path::new("/").join(path);
    let mut out = PathBuf::new();
    for part in base.parent().unwrap_or(Path::new("/")).join(target).components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out.to_string_lossy().into_owned()
}

fn find_library(root: &Path, name: &str) -> Option<String> {
    if name.starts_with('/') {
        return Some(name.to_owned());
    }
    LIBRARIES.iter().find_map(|lib| {
        let subfolders = root.join(lib).read_dir().ok()?.flatten().map(|e| e.file_name());
        let triplets = subfolders.map(|d| format!("{lib}/{}", d.to_string_lossy()));
        let mut places = std::iter::once((*lib).to_owned()).chain(triplets);
        places.find_map(|dir| {
            let path = format!("{dir}/{name}");
            fs::symlink_metadata(root.join(&path)).is_ok().then_some(path)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_resolve_from_their_folder_and_from_the_root() {
        assert_eq!(resolve("usr/lib/a/x.so", Path::new("../../share/y")), "usr/share/y");
        assert_eq!(resolve("bin/sh", Path::new("/bin/busybox")), "bin/busybox");
    }

    #[test]
    fn parents_come_before_their_files_and_once() {
        let mut a = Initramfs::default();
        a.file("etc/xen/xl.conf", b"x", 0o644).unwrap();
        a.file("etc/xen/other", b"y", 0o644).unwrap();
        let text = String::from_utf8_lossy(&a.out).into_owned();
        assert_eq!(text.matches("etc/xen\0").count(), 1);
        assert!(text.find("etc\0") < text.find("etc/xen\0"));
        assert!(text.find("etc/xen\0") < text.find("etc/xen/xl.conf\0"));
    }
}
