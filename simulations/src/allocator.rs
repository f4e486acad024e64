//! How memory is kept while time is virtual.
//!
//! `mimalloc` takes the place of the C library's `malloc`, which Rust's own allocator calls.
//!
//! The allocator gives freed memory back to the kernel ten milliseconds later, by the clock. In a run that clock is the
//! virtual one, which goes a thousand times faster: memory would be given back and taken again all the time, which was a
//! tenth of a large run. The allocator reads its settings before anything of ours runs, so the process begins once more,
//! with the setting in its environment.

use std::{env, os::unix::process::CommandExt, process::Command};

/// How long freed memory is kept, milliseconds; −1: for ever.
const SETTING: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// Replaces this process by itself, with an allocator that gives nothing back; does nothing where that is so already, or
/// was set otherwise. To be called first of all, before there is a thread.
pub fn keep_freed_memory() {
    // The call is what makes the linker take mimalloc, and its `malloc` before the C library's.
    let version = mimalloc::MiMalloc.version();
    let (name, value) = SETTING;
    if env::var_os(name).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(called) = arguments.next() {
        again.arg0(called);
    }
    // It only returns where that failed, and then the run is a little slower.
    let error = again.args(arguments).env(name, value).exec();
    tracing::debug!(%error, mimalloc = version, "freed memory is given back");
}
