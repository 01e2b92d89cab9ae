use std::vec::Vec;

use super::*;
use crate::{
    exec::{spawn, yield_now},
    fake::Machine,
};

const BACK: Domid = Domid(0);
const FRONT: Domid = Domid(1);

/// What a toolstack writes for a device.
async fn add_device(store: &Xenstore) {
    let (front, back) = ("/local/domain/1/device/vbd/51712", "/local/domain/0/backend/vbd/1/51712");
    for (node, value) in [
        (format!("{front}/backend"), back),
        (format!("{front}/backend-id"), "0"),
        (format!("{front}/state"), "1"),
        (format!("{back}/frontend"), front),
        (format!("{back}/frontend-id"), "1"),
        (format!("{back}/state"), "1"),
    ] {
        store.write(&node, value).await.unwrap();
    }
}

fn with_device<F: AsyncFn(Xenstore, Device, Device)>(f: F) {
    let machine = Machine::new();
    let (dom0, guest) = (machine.domain(BACK), machine.domain(FRONT));
    let back = dom0.run(async {
        let store = Xenstore::connect().await.unwrap();
        add_device(&store).await;
        Device::backend(&store, "vbd", FRONT, "51712").await.unwrap()
    });
    guest.run(async {
        let store = Xenstore::connect().await.unwrap();
        let front = Device::frontend(&store, "vbd", "51712").await.unwrap();
        f(store, front, back).await;
    });
}

#[test]
fn each_end_finds_the_other() {
    with_device(async |store, front, back| {
        assert_eq!(frontends(&store, "vbd").await.unwrap(), ["51712"]);
        assert!(frontends(&store, "vif").await.unwrap().is_empty());
        let list = backends(back.store(), "vbd").await.unwrap();
        assert_eq!(list, [(FRONT, "51712".to_string())]);
        assert_eq!((front.other(), back.other()), (BACK, FRONT));
        back.write("sectors", 2048).await.unwrap();
        assert_eq!(front.read_other::<u64>("sectors").await, Ok(2048));
        assert_eq!(front.read_other_if_there::<u64>("nothing").await, Ok(None));
    });
}

#[test]
fn each_end_follows_the_other_s_state() {
    with_device(async |_, front, back| {
        let follower = front.clone();
        let task = spawn(async move {
            let mut states = follower.watch_other().await.unwrap();
            let mut seen = Vec::new();
            while seen.last() != Some(&XenbusState::CLOSED) {
                seen.push(states.next().await.unwrap());
            }
            seen
        });
        for state in [XenbusState::CONNECTED, XenbusState::CLOSING] {
            for _ in 0..20 {
                yield_now().await;
            }
            back.switch_state(state).await.unwrap();
            assert_eq!(front.wait_other(|s| s == state).await, Ok(state));
        }
        back.switch_state(XenbusState::CLOSED).await.unwrap();
        assert_eq!(task.await.unwrap(), [1, 4, 5, 6].map(XenbusState));
    });
}

#[test]
fn a_removed_device_is_not_written_into_again() {
    with_device(async |_, front, back| {
        back.store().remove(back.path()).await.unwrap();
        assert_eq!(front.other_state().await, Ok(XenbusState::UNKNOWN));
        let gone = back.switch_state(XenbusState::CLOSED).await;
        assert!(gone.unwrap_err().is_missing());
        assert_eq!(front.other_state().await, Ok(XenbusState::UNKNOWN));
    });
}
