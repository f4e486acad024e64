//! `arrivals.bin`: where every message reached every node first, for `explain`.
//!
//! After a header of 16 bytes (`GRIOTARR`, a version, three zeros, four bytes that count the nodes, little-endian) come
//! records of 21 bytes: the time in milliseconds (u64), the message, the node, the node it came from (u32 each) and the way
//! (u8: 0 submitted, 1 gossip, 2 sync), all little-endian, in order of time. Text would be three times as large, and a run of
//! a thousand messages to a thousand nodes has a million of them.

use std::io::{self, Read, Write};

use crate::plan::{Arrival, MessageIndex, NodeIndex, VirtualMs, Way};

const MAGIC: [u8; 8] = *b"GRIOTARR";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;

/// Bytes of one record.
pub const RECORD_BYTES: usize = 21;

/// Records that are written; what comes after is counted and left out. 2 GiB: more is not kept by accident.
pub const ARRIVALS_MAX: u64 = 100_000_000;

/// Writes arrivals as they come.
#[derive(Debug)]
pub struct ArrivalWriter<W: Write> {
    to: W,
    written: u64,
    left_out: u64,
}

impl<W: Write> ArrivalWriter<W> {
    /// Begins.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut to: W, nodes: u32) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8] = VERSION;
        header[12..].copy_from_slice(&nodes.to_le_bytes());
        to.write_all(&header)?;
        Ok(Self { to, written: 0, left_out: 0 })
    }

    /// Writes one.
    ///
    /// # Errors
    /// What the writer says.
    pub fn push(&mut self, arrival: &Arrival) -> io::Result<()> {
        if self.written >= ARRIVALS_MAX {
            self.left_out += 1;
            return Ok(());
        }
        self.written += 1;
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&arrival.at.0.to_le_bytes());
        record[8..12].copy_from_slice(&arrival.message.0.to_le_bytes());
        record[12..16].copy_from_slice(&arrival.node.0.to_le_bytes());
        record[16..20].copy_from_slice(&arrival.from.0.to_le_bytes());
        record[20] = match arrival.way {
            Way::Submitted => 0,
            Way::Gossip => 1,
            Way::Sync => 2,
        };
        self.to.write_all(&record)
    }

    /// Ends: flushes, and says how many were left out.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.to.flush()?;
        Ok((self.to, self.left_out))
    }
}

/// Reads the arrivals of which `wanted` says so.
///
/// # Errors
/// What the reader says, and [`io::ErrorKind::InvalidData`] where it is no such file.
pub fn read(mut from: impl Read, mut wanted: impl FnMut(&Arrival) -> bool) -> io::Result<Vec<Arrival>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut header = [0; HEADER_BYTES];
    from.read_exact(&mut header).map_err(|_| invalid("this is no arrivals file"))?;
    if header[..8] != MAGIC || header[8] != VERSION {
        return Err(invalid("this is no arrivals file, or one of another version"));
    }
    let mut arrivals = Vec::new();
    let mut record = [0; RECORD_BYTES];
    loop {
        match from.read_exact(&mut record) {
            Ok(()) => {}
            // A half record at the end is what a killed run leaves.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(arrivals),
            Err(error) => return Err(error),
        }
        let number =
            |from: usize| u32::from_le_bytes([record[from], record[from + 1], record[from + 2], record[from + 3]]);
        let mut at = [0; 8];
        at.copy_from_slice(&record[..8]);
        let arrival = Arrival {
            at: VirtualMs(u64::from_le_bytes(at)),
            message: MessageIndex(number(8)),
            node: NodeIndex(number(12)),
            from: NodeIndex(number(16)),
            way: match record[20] {
                0 => Way::Submitted,
                1 => Way::Gossip,
                2 => Way::Sync,
                _ => return Err(invalid("a record of an unknown way")),
            },
        };
        if wanted(&arrival) {
            arrivals.push(arrival);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(at: u64, message: u32, way: Way) -> Arrival {
        Arrival { at: VirtualMs(at), message: MessageIndex(message), node: NodeIndex(7), from: NodeIndex(9), way }
    }

    #[test]
    fn what_is_written_is_read() {
        let all = [arrival(1, 0, Way::Submitted), arrival(1 << 40, 1, Way::Gossip), arrival(3, 0, Way::Sync)];
        let mut writer = ArrivalWriter::new(Vec::new(), 10).unwrap();
        for one in &all {
            writer.push(one).unwrap();
        }
        let (mut bytes, left_out) = writer.finish().unwrap();
        assert_eq!((bytes.len(), left_out), (HEADER_BYTES + 3 * RECORD_BYTES, 0));
        assert_eq!(read(&bytes[..], |_| true).unwrap(), all);
        assert_eq!(read(&bytes[..], |arrival| arrival.message.0 == 0).unwrap().len(), 2);
        bytes.pop();
        assert_eq!(read(&bytes[..], |_| true).unwrap().len(), 2, "a half record is left out");
        bytes[HEADER_BYTES + 20] = 9;
        assert!(read(&bytes[..], |_| true).is_err());
        bytes[0] = b'X';
        assert!(read(&bytes[..], |_| true).is_err());
        assert!(read(&[][..], |_| true).is_err());
    }
}
