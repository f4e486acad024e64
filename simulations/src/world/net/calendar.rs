//! When whom to wake: one timer for all bytes under way.
//!
//! Each chunk of bytes has the millisecond of its arrival. A timer for each would be honest and slow; instead the
//! calendar keeps, for each millisecond, whose turn it is, in the order in which it was asked, and one task sleeps until
//! the first. What has arrived is then woken together.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use crate::{plan::VirtualMs, world::time::now};

/// Something that waits for its time.
pub(crate) trait Due: Send + Sync {
    /// Its time has come.
    fn due(&self, now: VirtualMs);
}

/// Who is due when.
#[derive(Default)]
pub(crate) struct Calendar {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    days: BTreeMap<VirtualMs, Vec<Arc<dyn Due>>>,
    /// Until when the task sleeps.
    alarm: Option<VirtualMs>,
    task: Option<Waker>,
}

impl std::fmt::Debug for Calendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calendar").finish_non_exhaustive()
    }
}

impl Calendar {
    /// Has `who` told at `at`.
    pub(crate) fn enter(&self, at: VirtualMs, who: Arc<dyn Due>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.days.entry(at).or_default().push(who);
        if state.alarm.is_none_or(|alarm| at < alarm)
            && let Some(task) = state.task.take()
        {
            task.wake();
        }
    }

    /// Tells everyone when it is their time; never ends.
    pub(crate) async fn run(&self) {
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        poll_fn(|context| {
            loop {
                let now = now();
                for who in self.take_due(now) {
                    who.due(now);
                }
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.task = Some(context.waker().clone());
                state.alarm = state.days.first_key_value().map(|(at, _)| *at);
                let Some(at) = state.alarm else { return Poll::<()>::Pending };
                let wait = Duration::from_millis(at.0.saturating_sub(now.0));
                sleep.as_mut().reset(tokio::time::Instant::now() + wait);
                drop(state);
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    fn take_due(&self, now: VirtualMs) -> Vec<Arc<dyn Due>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while let Some(day) = state.days.first_entry().filter(|day| *day.key() <= now) {
            due.append(&mut day.remove());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::time::in_virtual_time;

    struct Note(u32, Arc<Mutex<Vec<(u32, u64)>>>);

    impl Due for Note {
        fn due(&self, now: VirtualMs) {
            self.1.lock().unwrap().push((self.0, now.0));
        }
    }

    #[test]
    fn everyone_is_told_in_time_and_in_order() {
        let heard = in_virtual_time(1, Duration::ZERO, || async {
            let (calendar, heard) = (Arc::new(Calendar::default()), Arc::default());
            let enter = |at, number| calendar.enter(VirtualMs(at), Arc::new(Note(number, Arc::clone(&heard))));
            let there = Arc::clone(&calendar);
            let task = tokio::spawn(async move { there.run().await });
            enter(70, 1);
            enter(30, 2);
            enter(70, 3);
            tokio::time::sleep(Duration::from_millis(10)).await;
            enter(20, 4);
            tokio::time::sleep(Duration::from_millis(100)).await;
            enter(5, 5);
            enter(111, 6);
            tokio::time::sleep(Duration::from_millis(10)).await;
            task.abort();
            let heard: Vec<(u32, u64)> = heard.lock().unwrap().clone();
            heard
        })
        .unwrap();
        assert_eq!(heard, [(4, 20), (2, 30), (1, 70), (3, 70), (5, 110), (6, 111)]);
    }
}
