//! What the nodes know: their files, searched for the words of the message.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

/// What is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Log segments are written in advance with zeros, and most of a young node is such.
static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

/// What was searched, and where the words were found.
#[derive(Debug, Default)]
pub(super) struct Searched {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) found: Option<PathBuf>,
}

/// Searches all files under a directory for `words`, which hold no zero byte.
pub(super) fn search(dir: &Path, words: &[u8]) -> io::Result<Searched> {
    let mut searched = Searched::default();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                match search_file(&entry.path(), words) {
                    Ok((bytes, found)) => {
                        searched.files += 1;
                        searched.bytes += bytes;
                        searched.found = searched.found.or(found.then(|| entry.path()));
                    }
                    // A running node removes files too.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(searched)
}

/// How many bytes a file has, and whether `words` are among them.
fn search_file(path: &Path, words: &[u8]) -> io::Result<(u64, bool)> {
    let mut file = fs::File::open(path)?;
    let (mut total, mut found) = (0, false);
    let mut block = vec![0; BLOCK_BYTES];
    // The end of the block before, where the words may begin.
    let mut text: Vec<u8> = Vec::new();
    loop {
        let read = file.read(&mut block)?;
        let Some(new) = block.get(..read).filter(|new| !new.is_empty()) else {
            return Ok((total, found));
        };
        total += new.len() as u64;
        if ZEROS.starts_with(new) {
            text.clear();
            continue;
        }
        text.extend_from_slice(new);
        found |= text.windows(words.len()).any(|window| window == words);
        text.drain(..text.len().saturating_sub(words.len() - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_wherever_they_lie_and_not_where_they_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("file");
        for at in [0, 1, BLOCK_BYTES - 3, BLOCK_BYTES, 3 * BLOCK_BYTES - 1] {
            let mut bytes = vec![0; 3 * BLOCK_BYTES + 100];
            bytes[at..at + 5].copy_from_slice(b"words");
            fs::write(&path, &bytes).unwrap();
            let searched = search(dir.path(), b"words").unwrap();
            assert_eq!(searched.found.as_deref(), Some(path.as_path()), "{at}");
            assert_eq!((searched.files, searched.bytes), (1, bytes.len() as u64));
            bytes[at + 2] = 7;
            fs::write(&path, &bytes).unwrap();
            assert!(search(dir.path(), b"words").unwrap().found.is_none(), "{at}");
        }
    }
}
