//! The table itself: its size, version and entries.

use super::*;

#[test]
fn a_table_grows_up_to_its_limit_and_tells_where_it_is_mapped() {
    let world = world();
    let list = LIST + 0x800;
    let setup = |dom, nr_frames| {
        let op = SetupTable { dom, nr_frames, frame_list: GuestHandle::new(list), ..Default::default() };
        run(&world.hv, &world.granter, op::SETUP_TABLE, op)
    };
    let frame = world.granter.grants.lock().frame(0).unwrap();
    world.granter.p2m(world.hv.mem()).map(AT, frame, 1, P2mType::RamRw).unwrap();
    world.granter.grants.lock().set_mapped_at(0, AT);
    let (result, op) = setup(Domid::SELF, 3);
    assert_eq!((result, op.status), (Ok(0), GrantStatus::OKAY));
    let gfns: [Gfn; 3] = as_guest(&world.hv, &world.granter, |cur| cur.read(list).unwrap());
    assert_eq!(gfns, [AT, Gfn::INVALID, Gfn::INVALID]);
    let query = QuerySize { dom: Domid::SELF, ..Default::default() };
    let (_, size) = run(&world.hv, &world.granter, op::QUERY_SIZE, query);
    assert_eq!((size.nr_frames, size.max_nr_frames, size.status), (3, 4, GrantStatus::OKAY));
    assert_eq!(setup(Domid::SELF, 5).1.status, GrantStatus::GENERAL_ERROR);
    assert_eq!(setup(Domid::SELF, u32::MAX).1.status, GrantStatus::GENERAL_ERROR);
    assert_eq!(setup(Domid(0), 1).1.status, GrantStatus::PERMISSION_DENIED);
    assert_eq!(setup(Domid(77), 1).1.status, GrantStatus::BAD_DOMAIN);
    let query = QuerySize { dom: Domid(0), ..Default::default() };
    let denied = run(&world.hv, &world.granter, op::QUERY_SIZE, query).1.status;
    assert_eq!(denied, GrantStatus::PERMISSION_DENIED);
}

#[test]
fn there_is_one_version() {
    let world = world();
    let set = |version| run(&world.hv, &world.granter, op::SET_VERSION, SetVersion { version });
    assert_eq!(set(1), (Ok(0), SetVersion { version: 1 }));
    assert_eq!(set(2), (Err(Stop::Failed(Errno::ENOSYS)), SetVersion { version: 1 }));
    assert_eq!(set(3).0, Err(Stop::Failed(Errno::EINVAL)));
    let get = |dom| run(&world.hv, &world.granter, op::GET_VERSION, GetVersion { dom, ..Default::default() });
    assert_eq!(get(Domid::SELF).1.version, 1);
    assert_eq!(get(Domid(0)).0, Err(Stop::Failed(Errno::EPERM)));
    assert_eq!(get(Domid(9)).0, Err(Stop::Failed(Errno::ESRCH)));
    let frames = GetStatusFrames { nr_frames: 1, dom: Domid::SELF, ..Default::default() };
    let answer = run(&world.hv, &world.granter, op::GET_STATUS_FRAMES, frames);
    assert_eq!((answer.0, answer.1.status), (Ok(0), GrantStatus::GENERAL_ERROR));
}

#[test]
fn only_idle_entries_are_swapped() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let swap = |a, b| {
        let op = SwapGrantRef { ref_a: Gref(a), ref_b: Gref(b), ..Default::default() };
        run(&world.hv, &world.granter, op::SWAP_GRANT_REF, op).1.status
    };
    assert_eq!(swap(8, 20), GrantStatus::OKAY);
    assert_eq!((world.flags(8), world.flags(20)), (0, gtf::PERMIT_ACCESS));
    assert_eq!(swap(20, 20), GrantStatus::OKAY);
    assert_eq!(swap(512, 20), GrantStatus::BAD_GNTREF);
    assert_eq!(swap(20, u32::MAX), GrantStatus::BAD_GNTREF);
    world.map(20, AT, HOST_MAP);
    assert_eq!(swap(20, 8), GrantStatus::EAGAIN);
    assert_eq!(swap(8, 20), GrantStatus::EAGAIN);
}
