//! Ctrl-C: the first one ends a run in order, the second one at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use tokio::signal::unix::{SignalKind, signal};

/// A flag that is set when the user (or a batch scheduler, by SIGTERM) wants the run to end.
///
/// The signals are waited for in a thread of their own, so that the world's single thread is not touched. It has a tokio
/// runtime of its own, and tokio seeds the dice of every runtime from a counter of the whole process: this returns only
/// when that runtime has its numbers. Else it would race with the world's for them, and now and then a run would differ.
#[must_use]
pub fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let (seeded, is_seeded) = mpsc::channel();
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            // Nobody waits for it only where the thread that started this one is gone.
            let _ = seeded.send(());
            let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                if set.swap(true, Ordering::Relaxed) {
                    // Asked twice: now. Nothing half written is left at its place, because folders are moved there whole.
                    std::process::exit(i32::from(super::INTERRUPTED));
                }
            }
        });
    };
    // Without the thread Ctrl-C ends the process as it always does.
    let _ = std::thread::Builder::new().name("signals".into()).spawn(watch);
    // An error says that there is no such runtime, and so nothing to wait for.
    let _ = is_seeded.recv();
    flag
}
