//! `griotd`: a Griot node.

use std::process::ExitCode;

/// glibc's allocator keeps what bursts of messages leave behind; this one gives it back, and is faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    griot_node::cli::main()
}
