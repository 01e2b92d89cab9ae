//! The volume against images that `hadris-fat` itself makes on the host.

extern crate std;

use alloc::{rc::Rc, string::String, vec, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::io::{Cursor, Seek, SeekFrom};

use hadris_fat::{
    FatVolume, FatVolumeReadExt, FatVolumeWriteExt,
    sync::format::{FatFormatOptions, FatVolumeFormatter},
};

use super::{Disk, DiskError, FsError, Volume};

/// Runs a future that never waits.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a memory disk made its caller wait"),
    }
}

/// A disk in memory that counts its requests and fails when told to.
#[derive(Clone)]
pub(crate) struct MemoryDisk {
    bytes: Rc<RefCell<Vec<u8>>>,
    reads: Rc<Cell<usize>>,
    broken: Rc<Cell<bool>>,
    /// Whether writes fail, as on a sparse image whose host has no room.
    full: Rc<Cell<bool>>,
}

impl MemoryDisk {
    pub(crate) fn set_full(&self, full: bool) {
        self.full.set(full);
    }
}

impl Disk for MemoryDisk {
    fn len(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }
    async fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.reads.set(self.reads.get() + 1);
        if self.broken.get() {
            return Err(DiskError::Io);
        }
        let at = offset as usize;
        buf.copy_from_slice(self.bytes.borrow().get(at..at + buf.len()).ok_or(DiskError::OutOfRange)?);
        Ok(())
    }
    async fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        if self.full.get() {
            return Err(DiskError::Io);
        }
        let at = offset as usize;
        self.bytes.borrow_mut()[at..at + buf.len()].copy_from_slice(buf);
        Ok(())
    }
    async fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 7 + i % 251) as u8).collect()
}

/// A 40 MiB volume with `/root/win.cfg`, `/root/image` in two pieces, and a long name.
fn disk() -> MemoryDisk {
    let mut image = Cursor::new(vec![0u8; 40 << 20]);
    {
        let volume = FatVolumeFormatter::format(&mut image, FatFormatOptions::new(40 << 20)).unwrap();
        let root = volume.create_dir(&volume.root_dir(), "root").unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let entry = volume.create_file(&root, name).unwrap();
            let mut writer = volume.write_file(&entry).unwrap();
            let mut rest = bytes;
            while !rest.is_empty() {
                rest = &rest[writer.write(rest).unwrap()..];
            }
            writer.finish().unwrap();
        };
        write("first-hole", &pattern(100_000));
        write("win.cfg", b"name = \"win\"\n");
        write("second-hole", &pattern(100_000));
        write("after", b"x");
        let hole = root.find("first-hole").unwrap().unwrap();
        volume.delete(&hole).unwrap();
        write("image", &pattern(300_001));
        write("disk.img", &pattern(65536));
        write("A rather long file name.config", b"");
        volume.sync().unwrap();
        let _ = volume.read_file(&root.find("win.cfg").unwrap().unwrap()).unwrap();
    }
    MemoryDisk {
        bytes: Rc::new(RefCell::new(image.into_inner())),
        reads: Rc::default(),
        broken: Rc::default(),
        full: Rc::default(),
    }
}

pub(crate) fn mounted() -> (MemoryDisk, Volume<MemoryDisk>) {
    let disk = disk();
    let volume = ready(Volume::mount(disk.clone())).unwrap();
    (disk, volume)
}

#[test]
fn a_directory_lists_long_names_and_sizes() {
    let (_, volume) = mounted();
    let entries = ready(volume.read_dir("/root")).unwrap();
    let image = entries.iter().find(|e| e.name == "image").unwrap();
    assert_eq!((image.len, image.is_dir), (300_001, false));
    assert!(entries.iter().any(|e| e.name == "A rather long file name.config"));
    let names: Vec<String> = ready(volume.read_dir("/")).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["root"]);
}

#[test]
fn names_without_a_slash_in_front_are_those_of_root() {
    let (_, volume) = mounted();
    for path in ["/root/win.cfg", "win.cfg", "./win.cfg", "//root/./win.cfg"] {
        assert_eq!(ready(volume.open(path)).map(|file| file.len()), Ok(13), "{path}");
    }
    let names = |path| ready(volume.read_dir(path)).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(names(""), names("/root"));
    assert_eq!(names("/."), ["root"]);
    assert!(ready(volume.open("root/win.cfg")).is_err());
}

#[test]
fn a_file_in_several_pieces_reads_back_whole() {
    let (_, volume) = mounted();
    let file = ready(volume.open("/root/image")).unwrap();
    assert!(file.pieces() > 1, "the test wants a file that is not contiguous");
    assert_eq!(ready(file.read_all(1 << 20)).unwrap(), pattern(300_001));
    let mut middle = [0; 1000];
    ready(file.read_at(99_500, &mut middle)).unwrap();
    assert_eq!(middle, pattern(300_001)[99_500..100_500]);
}

#[test]
fn a_write_lands_in_the_file_and_nowhere_else() {
    let (disk, volume) = mounted();
    let file = ready(volume.open("/root/image")).unwrap();
    ready(file.write_at(99_000, &[0xee; 3000])).unwrap();
    let mut expected = pattern(300_001);
    expected[99_000..102_000].fill(0xee);
    let mut image = Cursor::new(disk.bytes.borrow().clone());
    image.seek(SeekFrom::Start(0)).unwrap();
    let other = FatVolume::open(image).unwrap();
    let read = |path| other.open_file_path(path).unwrap().read_to_vec().unwrap();
    assert_eq!(read("/root/image"), expected);
    assert_eq!(read("/root/second-hole"), pattern(100_000));
    assert_eq!(read("/root/win.cfg"), b"name = \"win\"\n");
}

#[test]
fn beyond_the_end_is_refused_before_the_disk_is_touched() {
    let (disk, volume) = mounted();
    let file = ready(volume.open("/root/image")).unwrap();
    let before = disk.reads.get();
    let mut buf = [0; 16];
    assert_eq!(ready(file.read_at(300_000, &mut buf)), Err(DiskError::OutOfRange));
    assert_eq!(ready(file.read_at(u64::MAX, &mut buf)), Err(DiskError::OutOfRange));
    assert_eq!(ready(file.write_at(299_990, &buf)), Err(DiskError::OutOfRange));
    assert_eq!(disk.reads.get(), before);
}

#[test]
fn a_large_read_is_one_request_a_piece() {
    let (disk, volume) = mounted();
    let file = ready(volume.open("/root/image")).unwrap();
    let before = disk.reads.get();
    ready(file.read_all(1 << 20)).unwrap();
    assert_eq!(disk.reads.get() - before, file.pieces());
}

#[test]
fn paths_that_name_nothing_say_so() {
    let (_, volume) = mounted();
    assert_eq!(ready(volume.stat("/root/nothing")).unwrap_err(), FsError::NotFound);
    assert_eq!(ready(volume.open("/root")).err(), Some(FsError::IsDirectory));
    assert_eq!(ready(volume.open("/")).err(), Some(FsError::IsDirectory));
    assert_eq!(ready(volume.read_dir("/root/win.cfg")).unwrap_err(), FsError::NotDirectory);
    assert!(ready(volume.open("/root/win.cfg/x")).is_err());
}

#[test]
fn a_disk_without_a_volume_is_refused() {
    let disk = MemoryDisk {
        bytes: Rc::new(RefCell::new(vec![0; 1 << 20])),
        reads: Rc::default(),
        broken: Rc::default(),
        full: Rc::default(),
    };
    assert!(matches!(ready(Volume::mount(disk)).err(), Some(FsError::Corrupt(_))));
}

#[test]
fn a_broken_disk_is_an_error_and_no_panic() {
    let (disk, volume) = mounted();
    let file = ready(volume.open("/root/image")).unwrap();
    disk.broken.set(true);
    assert!(ready(volume.open("/root/win.cfg")).is_err());
    assert_eq!(ready(file.read_all(1 << 20)), Err(DiskError::Io));
}

/// Bytes of the boot sector, the tables and directories replaced at random never panic.
#[test]
fn a_volume_of_noise_is_an_error_and_no_panic() {
    let pristine = disk().bytes.borrow().clone();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..60 {
        let mut bytes = pristine.clone();
        for _ in 0..8 {
            let at = if random() % 2 == 0 { random() % 90 } else { random() % 200_000 };
            bytes[at as usize] = random() as u8;
        }
        let disk = MemoryDisk {
            bytes: Rc::new(RefCell::new(bytes)),
            reads: Rc::default(),
            broken: Rc::default(),
            full: Rc::default(),
        };
        if let Ok(volume) = ready(Volume::mount(disk)) {
            let _ = ready(volume.read_dir("/root"));
            if let Ok(file) = ready(volume.open("/root/image")) {
                let _ = ready(file.read_all(1 << 20));
            }
        }
    }
}
