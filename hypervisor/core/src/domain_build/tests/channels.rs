use super::*;

/// One end of an event channel that a tree chooses: whose it is (0 is dom0), its phandle, and `xen,evtchn`.
type End<'a> = (usize, u32, &'a [u32]);

/// Builds dom0, if its nodes are asked for, and three guests, and connects what `ends` say. Gives which domains there
/// are then and which of `ports` are pending.
fn connect(
    ends: &[End<'_>],
    with_dom0: bool,
    ports: &[(u16, u32)],
) -> (Result<(), String>, Vec<u16>, Vec<bool>) {
    let blob = board_with_chosen(gicv2, |writer| {
        let channels = |writer: &mut Writer, whose| {
            for (_, phandle, cells) in ends.iter().filter(|end| end.0 == whose) {
                writer.begin_node(&format!("ec@{phandle}")).str("compatible", "xen,evtchn-v1");
                writer.u32("phandle", *phandle).cells("xen,evtchn", cells).end_node();
            }
        };
        channels(writer, 0);
        writer.begin_node("other").u32("phandle", 99).cells("xen,evtchn", &[7, 11]).end_node();
        for guest in 1..=3 {
            writer.begin_node(&format!("domU{guest}")).str("compatible", "xen,domain");
            writer.u32("#address-cells", 1).u32("#size-cells", 1).u64("memory", 8 << 10).u32("cpus", 1);
            writer.str("xen,enhanced", if guest == 3 { "enabled" } else { "no-xenstore" });
            module(writer, "kernel", "multiboot,kernel", 1, None);
            channels(writer, guest);
            writer.end_node();
        }
    });
    let hv = world(16384, "dom0_mem=8M");
    let dom0 = with_dom0.then(|| build_on(&hv, &blob, &zimage(5000), None).unwrap());
    let tree = Tree::parse(&blob).unwrap();
    let described = Described::read(&tree).unwrap();
    hv.learn_board(&described);
    let (chosen, kernel) = (Chosen::of(&tree), zimage(5000));
    let file = |_| Some(&kernel[..]);
    let from = source(&described, &file);
    let built = |node| (node, hv.build_guest(&node, &from).unwrap());
    let mut built: Vec<_> = chosen.node().zip(dom0).into_iter().chain(chosen.domains().map(built)).collect();
    let result = hv.connect_channels(&chosen, &described.phandles, &mut built);
    let result = result.map_err(|error| error.to_string());
    let pending = |(domid, port): &(u16, u32)| {
        let domain = hv.domains.get(Domid(*domid)).unwrap();
        let at = core::mem::offset_of!(xen_abi::xen::SharedInfo, evtchn_pending) + (port / 32) as usize * 4;
        hv.machine.load32(domain.shared_info, at) >> (port % 32) & 1 != 0
    };
    let left = built.iter().map(|(_, domain)| domain.id.0).collect();
    assert_eq!(hv.domains.len(), built.len(), "who is left out is gone");
    (result, left, ports.iter().map(pending).collect())
}

#[test]
fn event_channels_are_connected_as_the_tree_chooses() {
    // The example of the binding, and one of a guest with itself.
    let ends: [End<'_>; 8] = [
        (0, 11, &[0xa, 12]),
        (1, 12, &[0xa, 11]),
        (1, 13, &[0xb, 15]),
        (1, 14, &[0xc, 16]),
        (2, 15, &[0xb, 13]),
        (2, 16, &[0xd, 14]),
        (3, 17, &[1023, 18]),
        (3, 18, &[2, 17]),
    ];
    let ports = [(0, 0xa), (1, 0xa), (1, 0xb), (2, 0xb), (1, 0xc), (2, 0xd), (3, 1023), (3, 2)];
    let (result, left, pending) = connect(&ends, true, &ports);
    assert_eq!((result, left), (Ok(()), vec![0, 1, 2, 3]));
    assert_eq!(pending, [false, true, false, true, false, true, false, true], "the later node's end is told");
    // Without dom0 its nodes are nobody's, and who needs them is left out.
    let (result, left, _) = connect(&ends, false, &[]);
    assert_eq!((result, left), (Ok(()), vec![3]));
}

#[test]
fn guests_whose_event_channels_cannot_be_had_are_left_out() {
    let left = |ends: &[End<'_>]| {
        let (result, left, _) = connect(ends, true, &[]);
        assert_eq!(result, Ok(()));
        left
    };
    // No property to speak of, and port 0.
    for cells in [&[][..], &[5], &[5, 12, 0], &[0, 12], &[5, 12, 6, 12]] {
        assert_eq!(left(&[(1, 11, cells), (2, 12, &[5, 11])]), [0, 3], "{cells:?}");
    }
    assert_eq!(left(&[(2, 11, &[5, 12]), (3, 12, &[0, 11])]), [0, 1], "one is as bad as the other");
    // Nobody at the other end: no node, the guest's own, one of no domain, one that points elsewhere.
    assert_eq!(left(&[(1, 11, &[5, 77])]), [0, 2, 3]);
    assert_eq!(left(&[(1, 11, &[5, 99])]), [0, 2, 3]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (2, 12, &[5, 77])]), [0, 3]);
    assert_eq!(left(&[(1, 11, &[5, 11])]), [0, 2, 3], "a port is not its own peer");
    // Ports that there are not, that are taken twice, or that are the xenstore's.
    assert_eq!(left(&[(1, 11, &[1024, 12]), (2, 12, &[5, 11])]), [0, 3]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (2, 12, &[u32::MAX, 11])]), [0, 3]);
    let twice: [End<'_>; 4] = [(1, 11, &[5, 13]), (1, 12, &[5, 14]), (2, 13, &[5, 11]), (3, 14, &[5, 12])];
    assert_eq!(left(&twice), [0]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (3, 12, &[1, 11])]), [0, 2]);
}

#[test]
fn dom0_is_not_started_without_its_event_channels() {
    let error = |ends: &[End<'_>]| connect(ends, true, &[]).0.unwrap_err();
    assert_eq!(error(&[(0, 11, &[5])]), "/chosen/ec@11: bad or missing `xen,evtchn`");
    assert_eq!(error(&[(0, 11, &[5, 12])]), "/chosen/ec@11: no domain has a node that points back at it");
    let beyond = error(&[(0, 11, &[4096, 12]), (1, 12, &[5, 11])]);
    assert!(beyond.starts_with("/chosen/ec@11: ports 4096 and 5 cannot be connected: "), "{beyond}");
    let left_out = error(&[(0, 11, &[5, 12]), (1, 12, &[5, 11]), (1, 13, &[6, 77])]);
    assert!(left_out.starts_with("/chosen/ec@11: no domain"), "{left_out}");
}
