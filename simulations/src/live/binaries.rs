//! Where the built programs are.

use std::path::PathBuf;

use super::LiveError;

/// The program `name`, from the environment variable `GRIOT_BIN_DIR` or beside the running program (for a test, one
/// folder up from it).
///
/// # Errors
/// [`LiveError::Missing`], with the command that builds it.
pub fn find(name: &str) -> Result<PathBuf, LiveError> {
    let mut folders: Vec<PathBuf> = std::env::var_os("GRIOT_BIN_DIR").map(PathBuf::from).into_iter().collect();
    let me = std::env::current_exe().map_err(LiveError::io("finding the running program"))?;
    folders.extend(me.ancestors().skip(1).take(2).map(PathBuf::from));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| LiveError::Missing(format!("{name} is not built: run `cargo build --workspace` first")))
}

/// What the program `name` says to `--version`.
///
/// # Errors
/// It is missing, or could not be run.
pub fn version(name: &str) -> Result<String, LiveError> {
    let output = std::process::Command::new(find(name)?).arg("--version").output();
    let output = output.map_err(LiveError::io(format!("running {name}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
