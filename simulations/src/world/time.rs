//! Virtual time: a runtime in which time passes only when nothing is left to do.
//!
//! Three clocks must agree. *Tokio's* is paused: whenever no task can run, it jumps to the next timer, and all timers
//! (our own, and through the shim of `futures-timer` all of libp2p's) are tokio's. *The C library's*, which `std::time`
//! asks, is the virtual host's ([`griot_virtual_host`]); it is told the time each time the runtime wakes up, which is the
//! only moment at which tokio's clock has moved. *Ours* ([`now`]) reads that same number.
//!
//! Everything is on one thread, and that thread is fresh, so that the keys of its hash maps are the seed's.

use std::{
    future::Future,
    io,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tokio::{runtime::Builder, time::Instant};

use crate::plan::VirtualMs;

/// Stack of the thread: the deepest calls are libp2p's nested polls in a debug build.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Virtual time now, on a thread that lives in it.
#[must_use]
pub fn now() -> VirtualMs {
    VirtualMs(griot_virtual_host::elapsed_ms().unwrap_or_default())
}

/// Waits until then.
pub(crate) async fn sleep_until(at: VirtualMs) {
    let wait = at.0.saturating_sub(now().0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// Runs a future in virtual time, on a thread of its own, and returns what it returns.
///
/// For the same seed, epoch and future a *fresh process* always does the same. Within one process later runs differ from
/// the first: libp2p numbers connections over the whole process, and the order in which it walks its hash maps depends
/// on those numbers. So the simulator makes one run per process.
///
/// The same holds for tokio: it seeds the dice of every runtime (in whose order those who wait for one thing wake) from a
/// counter of the whole process. No other thread may make a runtime while this one begins.
///
/// # Errors
/// The system gives no thread, or tokio no runtime.
///
/// # Panics
/// Where the future panics.
pub fn in_virtual_time<T, F>(seed: u64, epoch: Duration, main: impl FnOnce() -> F + Send) -> io::Result<T>
where
    T: Send,
    F: Future<Output = T>,
{
    thread::scope(|scope| {
        let run = move || {
            let _guard = griot_virtual_host::enter(seed, epoch).map_err(io::Error::other)?;
            // Nobody reads a log of a thousand nodes: the trace is what a run says. Without a subscriber tracing would
            // still make every span, for a logger that might be listening.
            let _silence = tracing::dispatcher::set_default(&tracing::Dispatch::none());
            let begun = Arc::new(OnceLock::new());
            let begun_there = Arc::clone(&begun);
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .on_thread_unpark(move || {
                    let begun = *begun_there.get_or_init(Instant::now);
                    griot_virtual_host::set_elapsed(begun.elapsed());
                })
                .build()?;
            let result = runtime.block_on(async {
                begun.get_or_init(Instant::now);
                main().await
            });
            // What is left of the tasks ends while time is still virtual.
            drop(runtime);
            Ok(result)
        };
        let thread = thread::Builder::new().name("virtual-time".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, run)?.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn all_clocks_agree_and_hours_take_no_time() {
        let epoch = Duration::from_secs(1_800_000_000);
        in_virtual_time(1, epoch, || async move {
            let begun = StdInstant::now();
            for hours in 1..=24 {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                let passed = Duration::from_secs(hours * 3600);
                assert_eq!(begun.elapsed(), passed);
                assert_eq!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), epoch + passed);
                assert_eq!(now().0, hours * 3_600_000);
            }
            futures_timer_follows().await;
        })
        .unwrap();
        assert!(!griot_virtual_host::is_virtual());
    }

    async fn futures_timer_follows() {
        let before = now();
        let long = futures_timer::Delay::new(Duration::from_secs(86_400));
        tokio::spawn(long).await.unwrap();
        assert_eq!(now().0 - before.0, 86_400_000);
    }
}
