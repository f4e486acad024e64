//! Ctrl-C: the first one ends a run in order, the second one at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};

/// A flag that is set when the user (or a batch scheduler, by SIGTERM) wants the run to end.
///
/// The signals are waited for in a thread of their own, so that the world's single thread is not touched.
#[must_use]
pub fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
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
    flag
}
