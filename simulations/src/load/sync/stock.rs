//! Bundles of records that live for anything up to a month.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use griot_protocol::{
    NetworkParams, Record, Timestamp,
    bundle::{BundleHeader, BundleWriter},
};

use super::super::{
    LoadError,
    records::{self, Mailbox},
};

/// Records made before they are written: a few MiB at the smallest size, half a GiB at the largest.
const CHUNK: usize = 8192;

/// Records for one mailbox.
const PER_MAILBOX: usize = 1000;

/// Records expire evenly from two hours on, so that none does during the run …
const LIFE_SECONDS_MIN: u64 = 2 * 3600;

/// … to a day before the longest life there is.
const LIFE_SECONDS_MAX: u64 = 29 * 24 * 3600;

/// Writes a bundle of `count` records and gives the size of one frame, if there is one.
pub(super) fn write(
    path: &Path,
    params: &NetworkParams,
    count: usize,
    size: usize,
) -> Result<Option<usize>, LoadError> {
    let now = records::minute();
    let (mut writer, head) = BundleWriter::begin(&BundleHeader { network: params.name.clone(), created_at: now });
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&head)?;
    let mut frame_bytes = None;
    for begin in (0..count).step_by(CHUNK) {
        let chunk = begin..count.min(begin + CHUNK);
        for record in make(params, now, chunk, count, size)? {
            frame_bytes = Some(record.frame().len());
            let entry = writer.entry(record.frame()).map_err(|error| LoadError::Options(error.to_string()))?;
            file.write_all(&entry)?;
        }
    }
    file.write_all(&writer.finish())?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(frame_bytes)
}

/// Makes the records of these numbers, on all cores.
fn make(
    params: &NetworkParams,
    now: Timestamp,
    numbers: std::ops::Range<usize>,
    count: usize,
    size: usize,
) -> Result<Vec<Record>, LoadError> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<usize> = numbers.collect();
    std::thread::scope(|scope| {
        let share = |numbers: &'_ [usize]| {
            let numbers = numbers.to_vec();
            scope.spawn(move || make_some(params, now, &numbers, count, size))
        };
        let tasks: Vec<_> = numbers.chunks(numbers.len().div_ceil(workers).max(1)).map(share).collect();
        let mut records = Vec::with_capacity(numbers.len());
        for task in tasks {
            let made = task.join().map_err(|_| LoadError::Options("making records panicked".to_owned()))?;
            records.extend(made?);
        }
        Ok(records)
    })
}

fn make_some(
    params: &NetworkParams,
    now: Timestamp,
    numbers: &[usize],
    count: usize,
    size: usize,
) -> Result<Vec<Record>, LoadError> {
    let mut made = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(PER_MAILBOX) {
        let mailbox = Mailbox::fresh()?;
        for number in some {
            let life = LIFE_SECONDS_MIN + (LIFE_SECONDS_MAX - LIFE_SECONDS_MIN) * *number as u64 / count as u64;
            made.push(records::living(&mailbox, params, size, now, life)?);
        }
    }
    Ok(made)
}
