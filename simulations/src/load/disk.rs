//! What one `fdatasync` takes on a disk: overwriting a file that was written in advance, as the record log does.

use std::{
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Instant,
};

use super::latency::Latency;

/// Syncs measured.
const SYNCS: usize = 300;

/// Bytes overwritten before each sync: about one record with its framing.
const BLOCK_BYTES: usize = 4096;

/// Measures in `folder`; also says where that is.
pub(super) fn fdatasync(folder: &Path) -> std::io::Result<(Latency, String)> {
    let mut file = tempfile::tempfile_in(folder)?;
    let block = [0x5a; BLOCK_BYTES];
    for _ in 0..SYNCS {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut samples = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        samples.push(begun.elapsed());
    }
    Ok((Latency::of(&samples), folder.display().to_string()))
}
