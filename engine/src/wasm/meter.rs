//! Time of a guest: how much it may compute, how long it may take, and how guests that compute share the processor.
//!
//! Guest code hands control back at every tick of the machine's clock, so a call is polled in pieces of one tick. The processor time
//! of each piece is measured on its thread: time that a guest waits costs it nothing, and neither does a busy machine.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// What one call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    /// Of the guest's own code, and of the host for it.
    pub(super) cpu: Duration,
    /// From the call to its answer.
    pub(super) wall: Duration,
}

/// A limit of time that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOf {
    Cpu,
    Wall,
}

/// A call with its clock. Dropping it ends the guest.
pub(super) struct Metered<F> {
    work: Pin<Box<F>>,
    turn: Arc<Turn>,
    left: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<F: Future> Metered<F> {
    pub(super) fn new(work: F, time: Time, turn: Arc<Turn>) -> Metered<F> {
        Metered { work: Box::pin(work), turn, left: time.cpu, deadline: Box::pin(tokio::time::sleep(time.wall)) }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, OutOf>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_time();
        let polled = self.work.as_mut().poll(cx);
        let used = thread_time().saturating_sub(before);
        match polled {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => {
                // It waits, or its tick is over: either way it does not compute now.
                self.turn.end();
                self.left = self.left.saturating_sub(used);
                if self.left.is_zero() {
                    return Poll::Ready(Err(OutOf::Cpu));
                }
                self.deadline.as_mut().poll(cx).map(|()| Err(OutOf::Wall))
            }
        }
    }
}

impl<F> Drop for Metered<F> {
    fn drop(&mut self) {
        self.turn.end();
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// One guest's place in the queue of those that compute. The first tick after a wait needs no turn, so short calls never queue.
pub(super) struct Turn {
    turns: Arc<Semaphore>,
    taken: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turn {
    pub(super) fn new(turns: Arc<Semaphore>) -> Arc<Turn> {
        Arc::new(Turn { turns, taken: Mutex::new(None) })
    }

    /// Lets the runtime do other things, and returns when it is this guest's turn again.
    pub(super) async fn next(self: Arc<Turn>) {
        // Wasmtime's own way of yielding wakes itself at once, which keeps timers and sockets of a small runtime from being looked at.
        tokio::task::yield_now().await;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        *self.taken.lock().expect("no code panics while it holds the turn") = turn.ok();
    }

    fn end(&self) {
        self.taken.lock().expect("no code panics while it holds the turn").take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(cpu: u64, wall: u64) -> Time {
        Time { cpu: Duration::from_millis(cpu), wall: Duration::from_millis(wall) }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_wall_time_only_and_computing_costs_both() {
        let turns = Arc::new(Semaphore::new(1));
        let wait = tokio::time::sleep(Duration::from_secs(1));
        assert_eq!(Metered::new(wait, time(1, 2_000), Turn::new(Arc::clone(&turns))).await, Ok(()));
        let wait = tokio::time::sleep(Duration::from_secs(3));
        assert_eq!(Metered::new(wait, time(1, 2_000), Turn::new(Arc::clone(&turns))).await, Err(OutOf::Wall));
        let turn = Turn::new(Arc::clone(&turns));
        let compute = {
            let turn = Arc::clone(&turn);
            async move {
                loop {
                    std::hint::black_box((0..10_000u64).sum::<u64>());
                    Arc::clone(&turn).next().await;
                }
            }
        };
        assert_eq!(Metered::new(compute, time(5, 2_000), turn).await, Err::<(), _>(OutOf::Cpu));
        assert_eq!(turns.available_permits(), 1, "a guest that ended took its turn with it");
    }
}
