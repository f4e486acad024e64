//! `griotd`: a Griot node.

use std::process::ExitCode;

/// glibc's allocator keeps what bursts of messages leave behind; this one gives it back, and is faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A node is small and long-lived; huge pages would more than triple what it holds. Where the kernel has none to
    // forbid, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    griot_node::cli::main()
}
