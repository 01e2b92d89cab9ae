use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
    vec,
    vec::Vec,
};

use xen_abi::Domid;

use super::*;
use crate::{fake::Machine, time::now};

fn run<T>(future: impl Future<Output = T>) -> T {
    Machine::new().domain(Domid(1)).run(future)
}

#[test]
fn tasks_take_turns() {
    let log = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let tasks: Vec<_> = (0..3)
            .map(|task| {
                let log = log.clone();
                spawn(async move {
                    for turn in 0..2 {
                        log.borrow_mut().push((turn, task));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected = vec![(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn sleepers_wake_in_the_order_of_their_time() {
    let log = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let tasks: Vec<_> = [30, 10, 20, 10]
            .map(|ms| {
                let log = log.clone();
                spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    log.borrow_mut().push((ms, now().as_ns()));
                })
            })
            .into();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let ms = |n: u64| (n, n * 1_000_000);
    assert_eq!(*log.borrow(), [ms(10), ms(10), ms(20), ms(30)]);
}

#[test]
fn a_timeout_drops_what_is_late_and_keeps_what_is_not() {
    run(async {
        let ms = Duration::from_millis;
        assert_eq!(timeout(ms(1), sleep(ms(2))).await, Err(Elapsed));
        assert_eq!(timeout(ms(2), async { 7 }).await, Ok(7));
        assert_eq!(now().as_ns(), 1_000_000);
    });
}

#[test]
fn an_aborted_task_is_dropped_and_its_handle_says_so() {
    let dropped = Rc::new(Cell::new(false));
    struct Mark(Rc<Cell<bool>>);
    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    run(async {
        let mark = Mark(dropped.clone());
        let task = spawn(async move {
            let _mark = mark;
            core::future::pending::<()>().await;
        });
        yield_now().await;
        assert!(!task.is_finished());
        task.abort();
        assert!(dropped.get());
        assert_eq!(task.await, Err(Aborted));
    });
}

#[test]
fn a_machine_goes_although_a_task_owns_another() {
    run(async {
        let owned = spawn(core::future::pending::<()>()).abort_on_drop();
        drop(spawn(async move {
            core::future::pending::<()>().await;
            drop(owned);
        }));
    });
}

#[test]
fn a_task_may_block_on_another() {
    run(async {
        let task = spawn(async {
            let inner = spawn(async {
                sleep(Duration::from_millis(5)).await;
                3
            });
            block_on(inner).unwrap() + 1
        });
        assert_eq!(task.await, Ok(4));
    });
}

#[test]
fn a_slot_used_again_does_not_hear_of_its_last_task() {
    run(async {
        let waker = Rc::new(RefCell::new(None));
        let keep = waker.clone();
        let first = spawn(poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        first.await.unwrap();
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let _second = spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }));
        yield_now().await;
        waker.borrow().as_ref().unwrap().wake_by_ref();
        yield_now().await;
        assert_eq!(polls.get(), 1);
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn waiting_for_what_never_comes_is_found() {
    run(core::future::pending::<()>());
}
