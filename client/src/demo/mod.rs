//! `griot demo`: a message outlives a node, on this machine, in a few seconds.
//!
//! Nothing here is played: three real `griotd` processes, two real accounts, a real SIGKILL. The demo is this library
//! used as any program would use it, and says what it sees.

mod nodes;
mod search;
mod story;

use crate::{agent::Printer, cli::commands::exit};

/// Runs the demo, and cleans up however it ends.
pub async fn run(printer: &Printer) -> u8 {
    let told = tokio::select! {
        told = story::tell(printer) => told,
        () = interrupted() => {
            let _unheard = printer.err("Interrupted: the nodes are stopped and their files removed.").await;
            return 130;
        }
        () = printer.gone() => return exit::DONE,
    };
    match told {
        Ok(()) => exit::DONE,
        Err(error) => {
            let _unheard = printer.err(format!("error: {error}")).await;
            exit::FAILED
        }
    }
}

/// Returns when the process is asked to end; dropping the story then stops the nodes.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};

    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
