use super::*;

pub(super) const MIB: u64 = 1 << 20;

/// A world of 64 MiB whose last 16 MiB are set aside.
pub(super) fn world_with_set_aside() -> (Hv, u64) {
    let mut hv = world(16384, "dom0_mem=8M");
    let start = RAM_START.0 + 12288;
    let mut ranges = crate::host::memory::Ranges::default();
    ranges.add(start << 12..(start + 4096) << 12).unwrap();
    let blocks: Vec<_> = core::iter::from_fn(|| hv.frames.alloc(&hv.machine, 12)).collect();
    assert_eq!(blocks.len(), 4);
    hv.frames.set_aside(&ranges);
    blocks.iter().for_each(|block| hv.frames.release(&hv.machine, *block, 12));
    assert_eq!(hv.frames.free(), 12288);
    (hv, start)
}

/// A node of a guest with so much memory (in KiB), set aside at these places; `/chosen` counts in cells of 2 and 2.
fn set_aside_node(memory: u64, regions: &[(u64, u64)]) -> Vec<u8> {
    domain_node(|writer| {
        let regions: Vec<_> = regions.iter().map(|(base, size)| region(*base, *size)).collect();
        writer.u64("memory", memory).u32("cpus", 1).regions("xen,static-mem", &regions);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    })
}

#[test]
fn a_guest_has_the_memory_that_is_set_aside_for_it() {
    let (hv, start) = world_with_set_aside();
    let (base, free) = (start << 12, hv.frames.free());
    for domid in [1, 2] {
        let blob = set_aside_node(8 << 10, &[(base + (4 << 20), 6 << 20), (base, 2 << 20)]);
        let guest = build_guest(&hv, &blob).unwrap();
        assert_eq!((guest.id, guest.account.owned(), guest.account.limit()), (Domid(domid), 2048, 2048));
        let at = |gfn| guest.p2m(hv.mem()).lookup(Gfn(gfn)).map(|mapping| mapping.mfn.0 - start);
        assert_eq!([at(0x4_0000), at(0x4_05ff), at(0x4_0600), at(0x4_07ff)], [1024, 2559, 0, 511].map(Some));
        assert_eq!(at(0x4_0800), None);
        assert_eq!(guest.p2m(hv.mem()).lookup(Gfn(0x4_0000)).unwrap().order, 9, "in blocks");
        let entry = guest.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
        assert_eq!(read(&hv, (entry - 0x4000_0000) + base + (4 << 20), 5000), zimage(5000));
        hv.destroy_domain(&guest, &mut || false);
        drop(guest);
        while hv.frames.scrub_one(&hv.machine) {}
        assert_eq!(hv.frames.free(), free, "it is still set aside");
        assert!((start..start + 4096).all(|mfn| hv.frames.owner(Mfn(mfn)).is_none()));
        assert_eq!(read(&hv, (entry - 0x4000_0000) + base + (4 << 20), 5000), [0; 5000]);
    }
}

#[test]
fn memory_that_cannot_be_set_aside_is_refused_by_name() {
    let (hv, start) = world_with_set_aside();
    let base = start << 12;
    let error = |memory, regions: &[(u64, u64)]| {
        let free = hv.frames.free();
        let error = build_guest(&hv, &set_aside_node(memory, regions)).map(|_| ()).unwrap_err();
        assert_eq!(hv.frames.free(), free, "{error}");
        error
    };
    for (memory, regions) in [
        (8 << 10, &[][..]),
        (8 << 10, &[(base, 4 * MIB)]),
        (8 << 10, &[(base, 16 * MIB)]),
        (8 << 10, &[(base, 8 * MIB), (base + 8 * MIB, MIB)]),
        (8 << 10, &[(base, 0), (base, 8 * MIB)]),
        (8 << 10, &[(base, 8 * MIB), (base, 0)]),
        (8 << 10, &[(base + 0x800, 8 * MIB)]),
        (8 << 10, &[(base, 4 * MIB + 0x800), (base + 8 * MIB, 4 * MIB - 0x800)]),
        ((8 << 10) + 2, &[(base, 8 * MIB + 0x1000)]),
        ((8 << 10) + 2, &[(base, 8 * MIB)]),
        (8 << 10, &[(u64::MAX - 0xfff, 8 * MIB)]),
        (8 << 10, &[(base, u64::MAX - 0xfff)]),
    ] {
        let error = error(memory, regions);
        assert_eq!(error, "/chosen/domU1: bad or missing `xen,static-mem`", "{regions:x?}");
    }
    for regions in [
        &[(RAM, 8 * MIB)][..],
        &[(base - MIB, 8 * MIB)],
        &[(base + 12 * MIB, 8 * MIB)],
        &[(0x1000, 8 * MIB)],
        &[(1 << 60, 8 * MIB)],
        &[(base, 4 * MIB), (base + 2 * MIB, 4 * MIB)],
    ] {
        assert!(error(8 << 10, regions).ends_with("is no RAM or is in use"), "{regions:x?}");
    }
    let odd = domain_node(|writer| {
        writer.u64("memory", 8 << 10).u32("cpus", 1).cells("xen,static-mem", &[0, base as u32, 8 << 20]);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    });
    assert!(build_guest(&hv, &odd).err().unwrap().contains("`xen,static-mem`"));
    // What one guest has no other gets.
    let guest = build_guest(&hv, &set_aside_node(8 << 10, &[(base, 8 * MIB)])).unwrap();
    assert_eq!(
        error(8 << 10, &[(base + 7 * MIB, 8 * MIB)]),
        format!("what is set aside at {:#x}+0x800000 is no RAM or is in use", base + 7 * MIB)
    );
    assert_eq!(guest.account.owned(), 2048);
}
