//! Loop devices over files of a volume in memory.

use alloc::{rc::Rc, string::ToString};

use blkback::{Description, Disks, Store, StoreError};
use guest_sdk::abi::Domid;

use super::{Devices, LoopError, LoopInfo};
use crate::storage::{
    FsError,
    tests::{MemoryDisk, mounted, ready},
};

fn devices() -> Devices<MemoryDisk> {
    on_disk().0
}

fn on_disk() -> (Devices<MemoryDisk>, MemoryDisk) {
    let (disk, volume) = mounted();
    (Devices::new(disk.clone(), Rc::new(volume)), disk)
}

fn description(params: &str, read_only: bool) -> Description {
    Description {
        domid: Domid(1),
        id: "51712".to_string(),
        params: params.to_string(),
        kind: "phy".to_string(),
        read_only,
        cdrom: false,
        removable: false,
        no_discard: false,
    }
}

#[test]
fn a_loop_device_shows_the_file_behind_it() {
    let devices = devices();
    assert_eq!(ready(devices.attach(None, "/root/disk.img", false)).unwrap(), "/dev/loop0");
    assert_eq!(ready(devices.attach(Some("/dev/loop7"), "/root/disk.img", true)).unwrap(), "/dev/loop7");
    let shown =
        LoopInfo { name: "/dev/loop7".into(), path: "/root/disk.img".into(), len: 65536, read_only: true };
    assert_eq!(devices.list()[1], shown);
}

#[test]
fn what_cannot_be_a_loop_device_is_refused_with_a_reason() {
    let devices = devices();
    let attach = |name, path| ready(devices.attach(name, path, false)).unwrap_err();
    assert_eq!(attach(None, "/root/image"), LoopError::BadSize(300_001));
    assert_eq!(attach(None, "/root/none"), LoopError::File(FsError::NotFound));
    assert_eq!(attach(None, "/root"), LoopError::File(FsError::IsDirectory));
    for bad in
        ["/dev/loop", "/dev/loop64", "/dev/loop+1", "loop0", "/dev/vda", "/dev/loop99999999999999999999"]
    {
        assert_eq!(attach(Some(bad), "/root/disk.img"), LoopError::NoDevice, "{bad}");
    }
    ready(devices.attach(Some("/dev/loop0"), "/root/disk.img", false)).unwrap();
    assert_eq!(attach(Some("/dev/loop0"), "/root/disk.img"), LoopError::Busy);
    assert_eq!(devices.detach("/dev/loop1"), Err(LoopError::NotSetUp));
}

#[test]
fn a_device_in_use_stays() {
    let devices = devices();
    ready(devices.attach(None, "/root/disk.img", false)).unwrap();
    let used = ready(devices.open(&description("/dev/loop0", false))).unwrap();
    assert_eq!(devices.detach("/dev/loop0"), Err(LoopError::Busy));
    drop(used);
    assert_eq!(devices.detach("/dev/loop0"), Ok(()));
    assert!(devices.list().is_empty());
}

#[test]
fn what_is_written_is_read_back_and_the_end_holds() {
    let devices = devices();
    ready(devices.attach(None, "/root/disk.img", false)).unwrap();
    let device = ready(devices.open(&description("/dev/loop0", false))).unwrap();
    assert_eq!(device.geometry().sectors, 128);
    ready(device.write_at(127, &[7; 512])).unwrap();
    let mut back = [0; 1024];
    ready(device.read_at(126, &mut back)).unwrap();
    assert_eq!(back[512..], [7; 512]);
    assert_eq!(ready(device.write_at(127, &[0; 1024])), Err(StoreError::OutOfRange));
    assert_eq!(ready(device.read_at(u64::MAX, &mut back)), Err(StoreError::OutOfRange));
}

#[test]
fn read_only_devices_take_no_writes_and_no_writers() {
    let devices = devices();
    ready(devices.attach(None, "/root/disk.img", true)).unwrap();
    assert!(ready(devices.open(&description("/dev/loop0", false))).is_err());
    let device = ready(devices.open(&description("/dev/loop0", true))).unwrap();
    assert_eq!(ready(device.write_at(0, &[0; 512])), Err(StoreError::Unsupported));
    assert!(ready(devices.open(&description("/dev/vda", false))).is_err());
    assert!(ready(devices.open(&description("/dev/vda", true))).unwrap().geometry().read_only);
    assert!(ready(devices.open(&description("/dev/sda", true))).is_err());
}

#[test]
fn a_full_disk_fails_writes_and_is_used_on_once_there_is_room() {
    let (devices, disk) = on_disk();
    ready(devices.attach(None, "/root/disk.img", false)).unwrap();
    let device = ready(devices.open(&description("/dev/loop0", false))).unwrap();
    ready(device.write_at(5, &[1; 512])).unwrap();
    disk.set_full(true);
    assert_eq!(ready(device.write_at(5, &[2; 512])), Err(StoreError::Io));
    let mut back = [0; 512];
    ready(device.read_at(5, &mut back)).unwrap();
    assert_eq!(back, [1; 512]);
    disk.set_full(false);
    ready(device.write_at(5, &[2; 512])).unwrap();
    ready(device.read_at(5, &mut back)).unwrap();
    assert_eq!(back, [2; 512]);
    drop(device);
    assert_eq!(devices.detach("/dev/loop0"), Ok(()));
}
