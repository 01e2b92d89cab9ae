//! The data disk of dom0: a FAT volume, the whole disk, whose folder `root` is dom0's `/root`.
//!
//! The disk stays from one run to the next. Files that the build makes are brought up to date;
//! guests' disks, and whatever else lies there, are left as they are.
use crate::{Result, debian_guest::Guest, make_dir, read, step};
use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

const SIZE: u64 = 256 << 20;

/// The config of the Debian guest with an appended tree, as its users write it.
const WIN_CFG: &str = "\
kernel = \"/root/image\"
memory = 128
name = \"win\"
vcpus = 1
disk = [ 'phy:/dev/loop0,xvda,w' ]
";

const OLD_CFG: &str = "\
# The same guest with an appended device tree of the 4.2 generation.
kernel = \"/root/image-4.2\"
memory = 128
name = \"old\"
vcpus = 1
disk = [ 'phy:/dev/loop0,xvda,w' ]
";

/// A file of the build for the disk.
struct Item {
    name: String,
    from: Source,
    /// Kept as it is once it is there.
    keep: bool,
}

enum Source {
    File(PathBuf),
    Text(String),
}

/// What goes onto the disk.
#[derive(Default)]
pub struct Contents {
    items: Vec<Item>,
    /// Where below `/root` items go: nothing, or a folder's name and a slash.
    folder: &'static str,
}

impl Contents {
    /// Has what is added from now on go to a folder below `/root`; its name ends with a slash.
    pub fn set_folder(&mut self, folder: &'static str) {
        self.folder = folder;
    }

    /// Adds a sample guest with the config that its README shows.
    pub fn sample(&mut self, name: &str, image: PathBuf, readme: &str) {
        self.put(name, Source::File(image));
        let config = config_in(readme).unwrap_or_else(|| {
            format!("kernel = \"/root/{name}\"\nmemory = 32\nname = \"{name}\"\nvcpus = 1\n")
        });
        self.put(&format!("{name}.cfg"), Source::Text(config));
    }

    /// Adds the Debian guest: by its parts, and, where there is such a thing, as one image with an
    /// appended tree.
    pub fn debian(&mut self, guest: &Guest, kernel: &str) {
        let by_parts = |name: &str| {
            let args = crate::debian_guest::BOOTARGS;
            Source::Text(format!(
                "kernel = \"/root/{kernel}\"\nramdisk = \"/root/initrd\"\nextra = \"{args}\"\nmemory = 128\n\
                 name = \"{name}\"\nvcpus = 1\ndisk = [ 'phy:/dev/loop0,xvda,w' ]\n",
            ))
        };
        self.put(kernel, Source::File(guest.kernel.clone()));
        self.put("initrd", Source::File(guest.initrd.clone()));
        self.put("linux.cfg", by_parts("linux"));
        if let Some(joined) = &guest.joined {
            self.put("image", Source::File(joined.today.clone()));
            self.put("image-4.2", Source::File(joined.xen_4_2.clone()));
            self.put("win.cfg", Source::Text(WIN_CFG.into()));
            self.put("old.cfg", Source::Text(OLD_CFG.into()));
        } else {
            self.put("win.cfg", by_parts("win"));
        }
        let disk = Source::File(guest.root.clone());
        self.items.push(Item { name: format!("{}disk.img", self.folder), from: disk, keep: true });
    }

    /// Adds a script for dom0's shell.
    pub fn script(&mut self, name: &str, text: &str) {
        self.put(name, Source::Text(text.to_owned()));
    }

    fn put(&mut self, name: &str, from: Source) {
        let from = match from {
            Source::Text(text) => Source::Text(text.replace("/root/", &format!("/root/{}", self.folder))),
            file => file,
        };
        self.items.push(Item { name: format!("{}{name}", self.folder), from, keep: false });
    }
}

/// Finds the config in a README: the indented block that names a kernel.
fn config_in(readme: &str) -> Option<String> {
    let lines: Vec<&str> = readme.lines().collect();
    let blocks = lines.chunk_by(|a, b| a.starts_with("    ") == b.starts_with("    "));
    let mut indented =
        blocks.map(|block| block.iter().filter_map(|l| l.strip_prefix("    ")).collect::<Vec<_>>());
    let config = indented.find(|block| block.iter().any(|l| l.starts_with("kernel")))?;
    Some(config.join("\n") + "\n")
}

/// Makes the disk `to`, or brings it up to date.
pub fn make(to: &Path, contents: &Contents) -> Result<()> {
    if !to.is_file() {
        step("making dom0's disk", || {
            format(to).map_err(|e| format!("{}: {e}", to.display()))?;
            fill(to, contents)
        })
    } else {
        fill(to, contents)
    }
}

fn format(to: &Path) -> std::io::Result<()> {
    if let Some(dir) = to.parent() {
        make_dir(dir).map_err(std::io::Error::other)?;
    }
    // Complete under its name or not there at all.
    let new = to.with_extension("new");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&new)?;
    file.set_len(SIZE)?;
    fatfs::format_volume(&file, FormatVolumeOptions::new().volume_label(*b"DOM0       "))?;
    let volume = FileSystem::new(&file, FsOptions::new())?;
    volume.root_dir().create_dir("root")?;
    volume.unmount()?;
    fs::rename(new, to)
}

fn fill(to: &Path, contents: &Contents) -> Result<()> {
    let fail = |e: std::io::Error| format!("{}: {e}", to.display());
    let file = OpenOptions::new().read(true).write(true).open(to).map_err(fail)?;
    let volume = FileSystem::new(&file, FsOptions::new()).map_err(fail)?;
    {
        let root = volume.root_dir().create_dir("root").map_err(fail)?;
        for item in &contents.items {
            let wanted = match &item.from {
                Source::File(path) => read(path)?,
                Source::Text(text) => text.clone().into_bytes(),
            };
            put(&root, item, &wanted).map_err(|e| format!("{}: {}: {e}", to.display(), item.name))?;
        }
    }
    volume.unmount().map_err(fail)
}

fn put<T: fatfs::ReadWriteSeek>(root: &Dir<'_, T>, item: &Item, wanted: &[u8]) -> std::io::Result<()> {
    if let Ok(mut old) = root.open_file(&item.name)
        && (item.keep || same(&mut old, wanted)?)
    {
        return Ok(());
    }
    if let Some((folder, _)) = item.name.split_once('/') {
        root.create_dir(folder)?;
    }
    let mut file = root.create_file(&item.name)?;
    file.truncate()?;
    file.write_all(wanted)?;
    file.flush()
}

fn same(file: &mut impl Read, wanted: &[u8]) -> std::io::Result<bool> {
    let mut have = Vec::with_capacity(wanted.len());
    file.take(wanted.len() as u64 + 1).read_to_end(&mut have)?;
    Ok(have == wanted)
}

#[cfg(test)]
mod tests {
    use super::config_in;

    #[test]
    fn config_is_the_block_that_names_a_kernel() {
        let readme =
            "# x\n\n    cargo xtask run\n\nand then\n\n    kernel = \"/root/x\"\n    vcpus = 2\n\nend\n";
        assert_eq!(config_in(readme).unwrap(), "kernel = \"/root/x\"\nvcpus = 2\n");
        assert_eq!(config_in("# x\n\n    ls\n"), None);
    }
}
