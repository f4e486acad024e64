//! Any bytes as a bundle, in pieces and at once: both readings agree.
#![no_main]

use griot_protocol::{BundleError, BundleItem, BundleReader, BundleSummary};
use libfuzzer_sys::fuzz_target;

fn read(file: &[u8], piece: usize) -> (Vec<BundleItem>, Result<BundleSummary, BundleError>) {
    let mut reader = BundleReader::new();
    let mut items = Vec::new();
    for mut chunk in file.chunks(piece) {
        while !chunk.is_empty() {
            chunk = &chunk[reader.push(chunk)..];
            loop {
                match reader.next_item() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(error) => return (items, Err(error)),
                }
            }
        }
    }
    (items, reader.finish())
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, file) = input;
    assert_eq!(read(file, 1 + usize::from(piece)), read(file, 1 << 20));
});
