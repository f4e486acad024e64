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
