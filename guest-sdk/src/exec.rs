//! The executor: one per vCPU, cooperative, woken by interrupts.
//!
//! A future stays on the vCPU that spawned it and need not be `Send`; its waker may be used from
//! anywhere, interrupt handlers and other vCPUs included. With nothing to do a vCPU waits for an
//! interrupt, which to the hypervisor means that it may run somebody else.
//!
//! [`block_on`] is the blocking way round it: it runs everything until one future is done, and may
//! be called from inside a task, too.

mod signal;
mod timer;
mod waiters;

use alloc::{boxed::Box, collections::VecDeque, rc::Rc, sync::Arc, task::Wake, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

pub use signal::Signal;
pub use timer::{Elapsed, Sleep, sleep, sleep_until, timeout};
pub use waiters::Waiters;

use crate::{arch, lock::IrqLock};

/// Names a task: its slot, and which of the slot's tasks it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TaskId {
    slot: usize,
    generation: u32,
}

/// What wakers reach: the list of tasks to poll.
struct Ready {
    queue: IrqLock<VecDeque<TaskId>>,
    cpu: usize,
}

/// Puts a task on its executor's list, once until it is polled.
struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    home: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.home.queue.lock().push_back(self.id);
            arch::kick(self.home.cpu);
        }
    }
}

/// Wakes a [`block_on`].
struct RootWaker {
    woken: AtomicBool,
    cpu: usize,
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            arch::kick(self.cpu);
        }
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<TaskWaker>,
    /// The domain it belongs to; there is only one but on the host.
    home: arch::Home,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// None while it is being polled, and when the slot is free.
    task: Option<Task>,
}

/// A vCPU's tasks and timers.
pub(crate) struct Executor {
    ready: Arc<Ready>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    timers: timer::Timers,
}

impl Executor {
    /// An executor for `cpu`, to be used on that vCPU alone.
    pub(crate) fn new(cpu: usize) -> Self {
        Self {
            ready: Arc::new(Ready { queue: IrqLock::new(VecDeque::new()), cpu }),
            slots: RefCell::default(),
            free: RefCell::default(),
            timers: timer::Timers::default(),
        }
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) -> TaskId {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        let id = TaskId { slot, generation: slots[slot].generation };
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), home: self.ready.clone() });
        slots[slot].task = Some(Task { future, waker: waker.clone(), home: arch::home() });
        // So that no wake-up from an interrupt handler has to make room.
        self.ready.queue.lock().reserve(slots.len());
        drop(slots);
        waker.wake();
        id
    }

    /// Takes a task out to poll it; none when it is gone.
    fn take(&self, id: TaskId) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[id.slot];
        (slot.generation == id.generation).then(|| slot.task.take())?
    }

    /// Puts a polled task back, or gives it to be dropped when it was aborted meanwhile.
    fn put_back(&self, id: TaskId, task: Task) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[id.slot];
        if slot.generation != id.generation {
            return Some(task);
        }
        slot.task = Some(task);
        None
    }

    /// Frees a slot for the next task. What was in it is to be dropped by the caller, when
    /// nothing here is borrowed.
    fn retire(&self, id: TaskId) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[id.slot];
        if slot.generation != id.generation {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.free.borrow_mut().push(id.slot);
        slot.task.take()
    }

    fn poll(&self, id: TaskId) {
        let Some(mut task) = self.take(id) else {
            return;
        };
        task.waker.queued.store(false, Ordering::Release);
        let home = task.home;
        arch::within(home, || {
            let waker = Waker::from(task.waker.clone());
            match task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => drop((task, self.retire(id))),
                Poll::Pending => drop(self.put_back(id, task)),
            }
        });
    }

    /// Polls what is ready now, each task at most once.
    pub(crate) fn run_ready(&self) {
        let batch = self.ready.queue.lock().len();
        for _ in 0..batch {
            let Some(id) = self.ready.queue.lock().pop_front() else {
                break;
            };
            self.poll(id);
        }
        self.timers.fire();
    }

    /// Waits for an interrupt if there is nothing to do. A wake-up cannot be missed: handlers run
    /// only after the wait, which ends when one is due.
    fn idle(&self, woken: &AtomicBool) {
        let flags = arch::irq_save();
        if self.ready.queue.lock().is_empty() && !woken.load(Ordering::Acquire) {
            arch::wait(self.timers.next());
        }
        arch::irq_restore(flags);
    }

    /// Whether no task is ready.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.queue.lock().is_empty()
    }

    /// Drops all tasks. Their slots stay: a task may own handles of others.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn clear(&self) {
        let count = self.slots.borrow().len();
        for slot in 0..count {
            let task = self.slots.borrow_mut()[slot].task.take();
            if let Some(task) = task {
                let home = task.home;
                arch::within(home, || drop(task));
            }
        }
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let root = Arc::new(RootWaker { woken: AtomicBool::new(true), cpu: self.ready.cpu });
        let waker = Waker::from(root.clone());
        loop {
            if root.woken.swap(false, Ordering::AcqRel)
                && let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return value;
            }
            self.run_ready();
            arch::poll_interrupts();
            self.idle(&root.woken);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor(cpu {})", self.ready.cpu)
    }
}

/// Runs this vCPU's tasks until `future` is done, and gives its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    arch::executor().block_on(future)
}

/// Starts a task on this vCPU. Dropping the handle lets it go on alone.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let state =
        Rc::new(JoinState { value: Cell::new(None), waiter: Cell::new(None), finished: Cell::new(false) });
    let finish = Finish(state.clone());
    let id = arch::executor().spawn(Box::pin(async move {
        let finish = finish;
        let value = future.await;
        finish.0.value.set(Some(value));
    }));
    JoinHandle { id, state }
}

struct JoinState<T> {
    value: Cell<Option<T>>,
    waiter: Cell<Option<Waker>>,
    finished: Cell<bool>,
}

/// Lives in the task: when it goes, by end or abort, whoever waits is told.
struct Finish<T>(Rc<JoinState<T>>);

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        self.0.finished.set(true);
        if let Some(waiter) = self.0.waiter.take() {
            waiter.wake();
        }
    }
}

/// The task was aborted, or its output was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task aborted")
    }
}

impl core::error::Error for Aborted {}

/// A running task. Awaiting it gives the output.
pub struct JoinHandle<T> {
    id: TaskId,
    state: Rc<JoinState<T>>,
}

impl<T> JoinHandle<T> {
    /// Drops the task where it stands. A task that aborts itself ends at its next await.
    pub fn abort(&self) {
        let task = arch::executor().retire(self.id);
        if let Some(task) = task {
            let home = task.home;
            arch::within(home, || drop(task));
        }
    }

    /// Whether it ended, one way or the other.
    pub fn is_finished(&self) -> bool {
        self.state.finished.get()
    }

    /// Ties the task's life to that of the value returned.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop(self)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Aborted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.state.finished.get() {
            return Poll::Ready(self.state.value.take().ok_or(Aborted));
        }
        self.state.waiter.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({})", self.id.slot)
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    /// Whether the task ended by itself.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets every other ready task run once.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Which of two futures was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first one, with its output.
    First(A),
    /// The second one, with its output.
    Second(B),
}

/// Runs two futures until one is done and drops the other. The first is preferred.
pub async fn race<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(value) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::First(value));
        }
        b.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

#[cfg(test)]
mod tests;
