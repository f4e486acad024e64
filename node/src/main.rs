//! `griotd`: a Griot node.

use std::process::ExitCode;

fn main() -> ExitCode {
    // glibc's allocator keeps what bursts of messages leave behind; mimalloc gives it back, and is faster. The call is
    // what makes the linker take it, and its `malloc` before the C library's.
    let _ = mimalloc::MiMalloc.version();
    // A node is small and long-lived; huge pages would more than triple what it holds. Where the kernel has none to
    // forbid, nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    griot_node::cli::main()
}
