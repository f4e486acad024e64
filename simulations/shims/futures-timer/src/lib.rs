//! The timer that libp2p waits on, over tokio's clock.
//!
//! libp2p does not know which runtime it runs on. All its timers are [`Delay`]s of the crate `futures-timer`, which keeps
//! a thread of its own and looks at the machine's clock. A node runs on tokio, which has timers already; and in the
//! simulator time must not pass unless the simulator says so. So this crate takes the place of `futures-timer` in the
//! whole workspace, **also in `griotd`**: a [`Delay`] is a tokio timer, one thread less runs, and where tokio's clock
//! is paused all of libp2p waits with it.
//!
//! What differs from the original:
//!
//! - A [`Delay`] may be *made* and [`reset`](Delay::reset) anywhere, but must be *polled* inside a tokio runtime whose time
//!   is enabled, or it panics. Every task of a node is such a place: libp2p's swarm is built with tokio's executor.
//! - Nothing is registered with the runtime before the first poll. gossipsub makes a timer for every copy it sends and
//!   hardly ever looks at one.
//! - A delay too long for the clock waits for ever, in effect, instead of panicking.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// What "for ever" means: thirty years, as far as every clock can count.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A future that is ready once so much time has passed since it was made or [reset](Self::reset).
///
/// Once ready it stays ready until it is reset.
pub struct Delay {
    deadline: Instant,
    /// The runtime's timer: made at the first poll, used again after a reset.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Delay {
    /// Begins to wait.
    #[must_use = "a delay does nothing unless it is polled"]
    pub fn new(duration: Duration) -> Self {
        Self { deadline: after(duration), sleep: None }
    }

    /// Begins to wait anew, from now on. A task that has polled it is woken at the new time; polling again is not needed.
    pub fn reset(&mut self, duration: Duration) {
        self.deadline = after(duration);
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(self.deadline);
        }
    }
}

fn after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now + FAR_FUTURE)
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline))).as_mut().poll(context)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delay").finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_when_the_time_has_passed_and_not_before() {
        let begun = Instant::now();
        let mut delay = Delay::new(SECOND);
        assert!(poll!(&mut delay).is_pending());
        tokio::time::advance(SECOND - Duration::from_millis(1)).await;
        assert!(poll!(&mut delay).is_pending());
        (&mut delay).await;
        assert_eq!(begun.elapsed(), SECOND);
        assert!(poll!(&mut delay).is_ready(), "it stays ready");
    }

    #[tokio::test(start_paused = true)]
    async fn time_runs_from_its_making_and_not_from_its_first_poll() {
        let begun = Instant::now();
        let delay = Delay::new(SECOND);
        tokio::time::advance(SECOND / 2).await;
        delay.await;
        assert_eq!(begun.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_counts_from_now_whatever_state_it_is_in() {
        let begun = Instant::now();
        let mut delay = Delay::new(SECOND);
        delay.reset(2 * SECOND);
        assert!(poll!(&mut delay).is_pending());
        tokio::time::advance(SECOND).await;
        delay.reset(3 * SECOND);
        (&mut delay).await;
        assert_eq!(begun.elapsed(), 4 * SECOND);
        delay.reset(SECOND);
        assert!(poll!(&mut delay).is_pending(), "ready no more");
        (&mut delay).await;
        assert_eq!(begun.elapsed(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_is_woken_at_the_new_time() {
        let begun = Instant::now();
        let mut delay = Delay::new(100 * SECOND);
        assert!(poll!(&mut delay).is_pending());
        delay.reset(SECOND);
        delay.await;
        assert_eq!(begun.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_to_wait_for_is_ready_and_no_time_is_too_long() {
        Delay::new(Duration::ZERO).await;
        let mut delay = Delay::new(Duration::MAX);
        assert!(poll!(&mut delay).is_pending());
        delay.reset(Duration::MAX);
        assert!(delay.now_or_never().is_none());
    }

    #[test]
    fn it_can_be_made_and_reset_where_no_runtime_is() {
        let mut delay = Delay::new(100 * SECOND);
        delay.reset(Duration::from_millis(1));
        assert_eq!(format!("{delay:?}"), "Delay");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(delay);
    }

    #[test]
    fn it_can_be_sent_to_another_thread() {
        fn is_send<T: Send + Sync + Unpin>(_: &T) {}
        is_send(&Delay::new(SECOND));
    }
}
