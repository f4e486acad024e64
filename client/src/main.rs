//! `griot`: see [`griot_client::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    griot_client::cli::main()
}
