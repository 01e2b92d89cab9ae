use super::{
    static_memory::{MIB, world_with_set_aside},
    *,
};
use crate::p2m::Ram;

/// A node of shared memory: whose it is (0 is dom0), its name, id, role, and `xen,shared-mem` in cells.
type Share<'a> = (usize, &'a str, &'a str, Option<&'a str>, [u32; 3]);

/// Where guests have shared memory.
const AT: u32 = 0x7000_0000;

/// Builds dom0, if it is asked for, and three guests, of which the last one has `direct-map`, and shares what `shares`
/// say. Gives the domains that there are then, and whose nodes they are built from.
fn share(hv: &Hv, base: u64, shares: &[Share<'_>], with_dom0: bool) -> Result<(Vec<u8>, Vec<Dom>), String> {
    let blob = board_with_chosen(gicv2, |writer| {
        writer.u32("#address-cells", 1).u32("#size-cells", 1);
        let nodes = |writer: &mut Writer, whose| {
            for (_, name, id, role, cells) in shares.iter().filter(|share| share.0 == whose) {
                writer
                    .begin_node(name)
                    .str("compatible", "xen,domain-shared-memory-v1")
                    .str("xen,shm-id", id);
                if let Some(role) = role {
                    writer.str("role", role);
                }
                writer.cells("xen,shared-mem", cells).end_node();
            }
        };
        nodes(writer, 0);
        for guest in 1..=3 {
            writer.begin_node(&format!("domU{guest}")).str("compatible", "xen,domain");
            writer.u32("#address-cells", 1).u32("#size-cells", 1).u64("memory", 8 << 10).u32("cpus", 1);
            if guest == 3 {
                writer.property("direct-map", &[]).cells("xen,static-mem", &[base as u32, 8 << 20]);
            }
            module(writer, "kernel", "multiboot,kernel", 1, None);
            nodes(writer, guest);
            writer.end_node();
        }
    });
    let dom0 = if with_dom0 { Some(build_on(hv, &blob, &zimage(5000), None)?) } else { None };
    let tree = Tree::parse(&blob).unwrap();
    let (described, kernel) = (Described::read(&tree).unwrap(), zimage(5000));
    hv.learn_board(&described);
    let file = |_| Some(&kernel[..]);
    let from = source(&described, &file);
    let mut built: Vec<_> = from.chosen.node().zip(dom0).into_iter().collect();
    for node in from.chosen.domains() {
        match hv.build_guest(&node, &from) {
            Ok(domain) => built.push((node, domain)),
            Err(why) => assert!(why.to_string().starts_with(&node.to_string()), "{why}"),
        }
    }
    hv.share_memory(&mut built).map_err(|error| error.to_string())?;
    assert_eq!(hv.domains.len(), built.len(), "who is left out is gone");
    let whose =
        |node: device_tree::Node<'_>| node.name().strip_prefix("domU").map_or(0, |n| n.parse().unwrap());
    Ok(built.into_iter().map(|(node, domain)| (whose(node), domain)).unzip())
}

/// The world, and where 8 MiB are set aside for a guest, and behind them 8 for sharing.
fn world_to_share() -> (Hv, u64, u32) {
    let (hv, start) = world_with_set_aside();
    (hv, start << 12, ((start << 12) + 8 * MIB) as u32)
}

fn lookup(hv: &Hv, domain: &Dom, at: u32) -> Option<(u64, P2mType)> {
    let mapping = domain.p2m(hv.mem()).lookup(Gfn::containing(at.into()))?;
    Some((mapping.mfn.0 << 12, mapping.kind))
}

#[test]
fn borrowers_have_the_memory_of_an_owner_that_comes_later() {
    let (hv, base, shared) = world_to_share();
    let shares: [Share<'_>; 3] = [
        (0, "a@0", "first", Some("borrower"), [shared, AT, 0x3000]),
        (1, "b@0", "first", Some("borrower"), [shared, AT + 0x1000, 0x3000]),
        (2, "c@0", "first", Some("owner"), [shared, AT, 0x3000]),
    ];
    let (whose, domains) = share(&hv, base, &shares, true).unwrap();
    assert_eq!(whose, [0, 1, 2, 3]);
    let [dom0, borrower, owner, other] = &domains[..] else { panic!() };
    assert_eq!((owner.account.owned(), owner.account.limit()), (2051, 2051));
    assert_eq!((dom0.account.owned(), borrower.account.owned()), (2048, 2048));
    let host = u64::from(shared);
    assert_eq!(lookup(&hv, owner, AT + 0x2000), Some((host + 0x2000, P2mType::RamRw)));
    assert_eq!(lookup(&hv, dom0, AT), Some((host, P2mType::ForeignRw)));
    assert_eq!(lookup(&hv, borrower, AT + 0x1000), Some((host, P2mType::ForeignRw)));
    assert_eq!(lookup(&hv, borrower, AT + 0x3fff), Some((host + 0x2000, P2mType::ForeignRw)));
    assert_eq!((lookup(&hv, borrower, AT), lookup(&hv, borrower, AT + 0x4000)), (None, None));
    assert_eq!(lookup(&hv, other, AT), None);
    let mfn = Mfn::containing(host);
    assert_eq!((hv.frames.owner(mfn), hv.frames.references(mfn)), (Some(Domid(2)), 3));

    for (domain, at) in [(owner, AT), (borrower, AT + 0x1000)] {
        let blob = guest_tree(&hv, domain);
        let tree = Tree::parse(&blob).unwrap();
        let node = tree.find(&format!("/reserved-memory/xen-shmem@{at:x}")).unwrap();
        assert!(node.is_compatible(&["xen,shared-memory-v1"]));
        assert_eq!(node.reg().unwrap().collect::<Vec<_>>(), [region(at.into(), 0x3000)]);
        assert_eq!((node.str("xen,id"), node.u32("xen,offset")), (Some("first"), None));
        assert_eq!(node.property("xen,offset").unwrap().as_u64(), Some(0));
        let holes: Vec<_> = tree.find("/psci").into_iter().chain(tree.find("/hypervisor")).collect();
        assert_eq!(holes.len(), 1, "it is not enhanced");
    }
    assert!(Tree::parse(&guest_tree(&hv, other)).unwrap().find("/reserved-memory").is_none());

    // The memory outlives its owner as long as others have it, and is then set aside again.
    hv.machine.write_frame(mfn, 0, b"still");
    assert!(hv.destroy_domain(owner, &mut || false));
    assert_eq!(read(&hv, host, 5), b"still");
    borrower.p2m(hv.mem()).unmap(Gfn((u64::from(AT) + 0x1000) >> 12), Ram::Free).unwrap();
    assert_eq!((hv.frames.owner(mfn), hv.frames.references(mfn)), (Some(Domid(2)), 1));
    let free = hv.frames.free();
    dom0.p2m(hv.mem()).unmap(Gfn::containing(AT.into()), Ram::Free).unwrap();
    while hv.frames.scrub_one(&hv.machine) {}
    assert_eq!((hv.frames.owner(mfn), read(&hv, host, 5), hv.frames.free()), (None, vec![0; 5], free));
}

#[test]
fn what_has_no_owner_is_nobodys_and_stays_so() {
    let (hv, base, shared) = world_to_share();
    let shares: [Share<'_>; 4] = [
        (1, "a@0", "15 characters, ", None, [shared, AT, 0x2000]),
        (3, "b@0", "15 characters, ", None, [shared, shared, 0x2000]),
        (3, "c@0", "another", None, [shared + 0x2000, AT, 0x1000]),
        (3, "d@0", "another", None, [shared + 0x2000, AT + 0x1000, 0x1000]),
    ];
    let (whose, domains) = share(&hv, base, &shares, false).unwrap();
    assert_eq!(whose, [1, 2, 3]);
    let mfn = Mfn::containing(shared.into());
    assert_eq!((hv.frames.owner(mfn), hv.frames.references(mfn)), (Some(Domid::IO), 3));
    assert_eq!(hv.frames.references(Mfn(mfn.0 + 2)), 3, "twice in the same guest");
    assert_eq!(lookup(&hv, &domains[2], shared), Some((shared.into(), P2mType::ForeignRw)));
    assert_eq!(domains[2].account.owned(), 2048);
    domains.iter().for_each(|domain| assert!(hv.destroy_domain(domain, &mut || false)));
    drop(domains);
    assert_eq!((hv.frames.owner(mfn), hv.frames.references(mfn), hv.domains.len()), (Some(Domid::IO), 1, 0));
}

#[test]
fn guests_that_cannot_share_are_left_out() {
    let left = |shares: &dyn Fn(u32) -> Vec<Share<'static>>| {
        let (hv, base, shared) = world_to_share();
        let (whose, _) = share(&hv, base, &shares(shared), true).unwrap();
        (whose, hv)
    };
    let good = |whose, id, role, at| -> Share<'static> { (whose, "g@0", id, role, [at, AT, 0x1000]) };
    // The node makes no sense.
    let bad: [fn(u32) -> Share<'static>; 10] = [
        |at| (1, "b@0", "", None, [at, AT, 0x1000]),
        |at| (1, "b@0", "16 characters, .", None, [at, AT, 0x1000]),
        |at| (1, "b@0", "one", Some("lender"), [at, AT, 0x1000]),
        |at| (1, "b@0", "one", None, [at + 0x800, AT, 0x1000]),
        |at| (1, "b@0", "one", None, [at, AT + 0x800, 0x1000]),
        |at| (1, "b@0", "one", None, [at, AT, 0x800]),
        |at| (1, "b@0", "one", None, [at, AT, 0]),
        // No memory of the machine, or the direct-mapped guest's.
        |_| (1, "b@0", "one", None, [RAM as u32 - 0x1000, AT, 0x1000]),
        |_| (1, "b@0", "one", Some("owner"), [0x1000, AT, 0x2000_0000]),
        |at| (1, "b@0", "one", Some("owner"), [at - 0x1000, AT, 0x2000]),
    ];
    for (n, bad) in bad.iter().enumerate() {
        assert_eq!(left(&|at| vec![bad(at), good(2, "two", None, at + 0x4000)]).0, [0, 2, 3], "{n}");
    }
    // Something is there already: memory, the CPU interface, memory that is shared, too.
    for at in [0x4000_0000, 0x4010_0000, 0x300_2000] {
        let (whose, hv) = left(&|shared| vec![(1, "b@0", "one", Some("owner"), [shared, at, 0x1000])]);
        assert_eq!(whose, [0, 2, 3]);
        assert_eq!(hv.frames.owner(Mfn(RAM_START.0 + 12288 + 2048)), None, "it is given back");
    }
    let twice = |at| vec![good(1, "one", None, at), good(1, "two", None, at + 0x1000)];
    assert_eq!(left(&twice).0, [0, 2, 3]);
    // Same id and other memory, other id and same memory: who comes first is believed.
    assert_eq!(left(&|at| vec![good(1, "one", None, at), good(2, "one", None, at + 0x1000)]).0, [0, 1, 3]);
    let some = |at| vec![good(1, "one", None, at + 0x1000), (2, "b@0", "two", None, [at, AT, 0x2000])];
    assert_eq!(left(&some).0, [0, 1, 3]);
    // Owners: none, one that is left out, two, one where there should be none.
    assert_eq!(left(&|at| vec![good(1, "one", Some("borrower"), at)]).0, [0, 2, 3]);
    let without = |at| {
        let channel = (2, "b@0", "bad", None, [at, AT, 1]);
        vec![good(1, "one", Some("borrower"), at), good(2, "one", Some("owner"), at), channel]
    };
    assert_eq!(left(&without).0, [0, 3]);
    let two = |at| [1, 2, 3].map(|whose| good(whose, "one", Some("owner"), at)).to_vec();
    assert_eq!(left(&two).0, [0, 1]);
    let owned = |at| vec![good(1, "one", Some("owner"), at), good(2, "one", None, at)];
    assert_eq!(left(&owned).0, [0, 1, 3]);
    let unowned = |at| vec![good(1, "one", None, at), good(2, "one", Some("borrower"), at)];
    assert_eq!(left(&unowned).0, [0, 1, 3]);
}

#[test]
fn dom0_is_not_started_without_its_shared_memory() {
    let error = |shares: &dyn Fn(u32) -> Vec<Share<'static>>| {
        let (hv, base, shared) = world_to_share();
        share(&hv, base, &shares(shared), true).map(|_| ()).unwrap_err()
    };
    let bad = error(&|at| vec![(0, "a@0", "", None, [at, AT, 0x1000])]);
    assert_eq!(bad, "/chosen/a@0: bad or missing `xen,shm-id`");
    let twice = [
        (0, "a@0", "one", None, [RAM as u32, AT, 0x1000]),
        (0, "b@0", "two", None, [RAM as u32, AT, 0x1000]),
    ];
    let against = error(&|_| twice.to_vec());
    assert_eq!(against, "/chosen/b@0: only one of `xen,shm-id` and memory is that of /chosen/a@0");
    let taken = error(&|at| vec![(0, "a@0", "one", None, [at, DISK as u32, 0x1000])]);
    assert_eq!(taken, format!("/chosen/a@0: the domain has something else at {DISK:#x}+0x1000"));
    let alone = error(&|at| vec![(0, "a@0", "one", Some("borrower"), [at, AT, 0x1000])]);
    assert_eq!(alone, "/chosen/a@0: the memory has no owner, or not the one that `role` implies");
}
