//! A wrong clock for one process.
//!
//! A machine has one clock, and it is not ours to set. `libfaketime` (Debian's `faketime`) is loaded into a program before
//! everything else and answers when it asks for the time of day. What only measures how long things take (timers, and
//! whatever else reads the monotonic clock) is left alone, as on a machine whose clock somebody sets.

use std::path::{Path, PathBuf};

/// Where Debian and its relatives keep libraries of each architecture, and others all of them.
const FOLDERS: [&str; 2] = ["/usr/lib", "/usr/lib64"];

/// The library for programs of several threads, below its folder.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The library, where it is installed.
#[must_use]
pub fn library() -> Option<PathBuf> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).ok()?;
        let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        folders.push(folder.to_owned());
        folders.sort();
        folders.into_iter().map(|folder| folder.join(LIBRARY)).find(|library| library.is_file())
    };
    FOLDERS.iter().find_map(|folder| below(Path::new(folder)))
}

/// The environment of a program whose clock is ahead by so many seconds.
#[must_use]
pub fn env(library: &Path, offset_seconds: i64) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    vec![
        pair("LD_PRELOAD", library.display().to_string()),
        pair("FAKETIME", format!("{offset_seconds:+}")),
        pair("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        // Times of files stay true, and nothing is left in /dev/shm by a process that is killed.
        pair("NO_FAKE_STAT", "1".to_owned()),
        pair("FAKETIME_DISABLE_SHM", "1".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_wrong_clock_says_a_wrong_time() {
        let Some(library) = library() else {
            return crate::live::skip("libfaketime (Debian's package faketime)").unwrap();
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        for (offset, expected) in [(7_200, now + 7_200), (-7_200, now - 7_200)] {
            let output = std::process::Command::new("date").arg("+%s").envs(env(&library, offset)).output().unwrap();
            let said: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            assert!((expected..expected + 600).contains(&said), "{said} instead of {expected}");
        }
    }
}
