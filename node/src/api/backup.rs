//! Backups: everything that makes a node itself, in one file that tells damage from data.
//!
//! ```text
//! head     "GRIOTBAK" ‖ version u8 ‖ node key 32 ‖ len(network) u8 ‖ network ‖ crc32c u32 LE of all before
//! item     kind u8 (1..) ‖ len u32 LE ‖ crc32c u32 LE of (kind ‖ len ‖ body) ‖ body          any number of times
//! end      0 u8          ‖ 8 u32 LE   ‖ crc32c u32 LE of the same         ‖ count u64 LE
//! ```
//!
//! Members, registrations and the outbox are JSON, records are frames. The head holds the node's secret key, so
//! whoever has the file can be the node: `griotd backup` makes it readable by its owner alone.

use std::io::{self, Read, Write};

use bytes::Bytes;
use griot_protocol::{Grant, MailboxKeys, NetworkName, RecordId, Timestamp, limits::FRAME_BYTES_MAX};
use serde::{Deserialize, Serialize};

use crate::store::{Entry, Local, MemberId, MemberRow, RegistrationRow};

/// What every backup begins with.
const MAGIC: [u8; 8] = *b"GRIOTBAK";

/// The version of this format.
const VERSION: u8 = 1;

/// Kind, length, checksum.
const ITEM_HEAD_BYTES: usize = 9;

const END: u8 = 0;
const MEMBER: u8 = 1;
const REGISTRATION: u8 = 2;
const RECORD: u8 = 3;
const OUTBOX: u8 = 4;

/// Whose backup it is.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupHead {
    /// The node's secret key.
    pub key: [u8; 32],
    /// Its network.
    pub network: NetworkName,
}

impl std::fmt::Debug for BackupHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupHead(of {})", self.network)
    }
}

/// One thing to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupItem {
    /// A member.
    Member(MemberRow),
    /// A registration.
    Registration(RegistrationRow),
    /// A record's frame. Whoever restores verifies it.
    Record(Bytes),
    /// An envelope of the outbox, and who submitted it.
    Outbox(RecordId, MemberId),
}

/// Why bytes are no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin as a backup does.
    #[error("this is not a backup of a Griot node")]
    Magic,
    /// A newer program wrote it.
    #[error("the backup was written by a newer version of Griot: update to read it")]
    Version,
    /// A checksum is wrong, or something cannot be.
    #[error("the backup is damaged after {0} items")]
    Damaged(u64),
    /// It stops before its end.
    #[error("the backup is cut short after {0} items")]
    Truncated(u64),
}

/// The bytes of a backup's head.
#[must_use]
pub fn head(head: &BackupHead) -> Vec<u8> {
    let name = head.network.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(46 + name.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&head.key);
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Writes items.
pub(super) struct ItemWriter<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl<'a> ItemWriter<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, count: 0 }
    }

    pub(super) fn item(&mut self, item: &BackupItem) -> io::Result<()> {
        match item {
            BackupItem::Member(row) => self.json(MEMBER, &MemberJson::from(row))?,
            BackupItem::Registration(row) => self.json(REGISTRATION, &RegistrationJson::from(row))?,
            BackupItem::Record(frame) => self.write(RECORD, frame)?,
            BackupItem::Outbox(id, member) => self.json(OUTBOX, &OutboxJson { id: *id, member: hex(&member.0) })?,
        }
        self.count += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let count = self.count;
        self.write(END, &count.to_le_bytes())
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> io::Result<()> {
        self.write(kind, &serde_json::to_vec(value)?)
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let len = (body.len() as u32).to_le_bytes();
        self.out.write_all(&[kind])?;
        self.out.write_all(&len)?;
        self.out.write_all(&checksum(kind, &len, body).to_le_bytes())?;
        self.out.write_all(body)
    }
}

/// Reads a backup, item by item.
pub struct BackupReader<R> {
    input: R,
    count: u64,
    ended: bool,
}

impl<R: Read> BackupReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn begin(mut input: R) -> Result<(Self, BackupHead), BackupError> {
        let mut bytes = vec![0; 42];
        fill(&mut input, &mut bytes, 0)?;
        if !bytes.starts_with(&MAGIC) {
            return Err(BackupError::Magic);
        }
        if bytes.get(8) != Some(&VERSION) {
            return Err(BackupError::Version);
        }
        let name_len = usize::from(bytes.last().copied().unwrap_or_default());
        bytes.resize(42 + name_len, 0);
        fill(&mut input, bytes.get_mut(42..).unwrap_or_default(), 0)?;
        let mut crc = [0; 4];
        fill(&mut input, &mut crc, 0)?;
        let damaged = BackupError::Damaged(0);
        if crc32c::crc32c(&bytes) != u32::from_le_bytes(crc) {
            return Err(damaged);
        }
        let key = bytes.get(9..41).and_then(|key| key.try_into().ok());
        let network =
            bytes.get(42..).and_then(|name| std::str::from_utf8(name).ok()).and_then(|name| name.parse().ok());
        match (key, network) {
            (Some(key), Some(network)) => Ok((Self { input, count: 0, ended: false }, BackupHead { key, network })),
            _ => Err(damaged),
        }
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn next_item(&mut self) -> Result<Option<BackupItem>, BackupError> {
        if self.ended {
            return Ok(None);
        }
        let mut head = [0; ITEM_HEAD_BYTES];
        fill(&mut self.input, &mut head, self.count)?;
        let [kind, a, b, c, d, e, f, g, h] = head;
        let len = [a, b, c, d];
        let body_bytes = u32::from_le_bytes(len) as usize;
        let damaged = || BackupError::Damaged(self.count);
        if body_bytes > FRAME_BYTES_MAX {
            return Err(damaged());
        }
        let mut body = vec![0; body_bytes];
        fill(&mut self.input, &mut body, self.count)?;
        if checksum(kind, &len, &body) != u32::from_le_bytes([e, f, g, h]) {
            return Err(damaged());
        }
        if kind == END {
            if body != self.count.to_le_bytes() {
                return Err(damaged());
            }
            self.ended = true;
            return Ok(None);
        }
        let item = parse(kind, body).ok_or_else(damaged)?;
        self.count += 1;
        Ok(Some(item))
    }
}

impl BackupItem {
    /// The log entry that brings it back. `None` for a record, which must be verified first.
    #[must_use]
    pub fn local_entry(&self) -> Option<Entry> {
        let local = match self {
            Self::Member(row) => Local::MemberAdded {
                member: row.member,
                label: row.label.clone(),
                token_hash: row.token_hash,
                at: row.at,
            },
            Self::Registration(row) => {
                Local::Registered { member: row.member, keys: row.keys, grant: row.grant, at: row.at }
            }
            Self::Outbox(id, member) => Local::Submitted { id: *id, member: *member },
            Self::Record(_) => return None,
        };
        Some(Entry::Local(local))
    }
}

fn parse(kind: u8, body: Vec<u8>) -> Option<BackupItem> {
    match kind {
        MEMBER => serde_json::from_slice::<MemberJson>(&body).ok()?.row().map(BackupItem::Member),
        REGISTRATION => serde_json::from_slice::<RegistrationJson>(&body).ok()?.row().map(BackupItem::Registration),
        RECORD => Some(BackupItem::Record(body.into())),
        OUTBOX => {
            let row: OutboxJson = serde_json::from_slice(&body).ok()?;
            Some(BackupItem::Outbox(row.id, MemberId(unhex(&row.member)?)))
        }
        _ => None,
    }
}

fn fill(input: &mut impl Read, bytes: &mut [u8], count: u64) -> Result<(), BackupError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::Truncated(count),
        _ => error.into(),
    })
}

fn checksum(kind: u8, len: &[u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[kind]), len), body)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[derive(Serialize, Deserialize)]
struct MemberJson {
    member: String,
    label: String,
    token_hash: String,
    at: Timestamp,
}

impl From<&MemberRow> for MemberJson {
    fn from(row: &MemberRow) -> Self {
        Self { member: hex(&row.member.0), label: row.label.clone(), token_hash: hex(&row.token_hash), at: row.at }
    }
}

impl MemberJson {
    fn row(self) -> Option<MemberRow> {
        let (member, token_hash) = (MemberId(unhex(&self.member)?), unhex(&self.token_hash)?);
        Some(MemberRow { member, label: self.label, token_hash, at: self.at })
    }
}

#[derive(Serialize, Deserialize)]
struct RegistrationJson {
    member: String,
    keys: MailboxKeys,
    grant: Grant,
    at: Timestamp,
}

impl From<&RegistrationRow> for RegistrationJson {
    fn from(row: &RegistrationRow) -> Self {
        Self { member: hex(&row.member.0), keys: row.keys, grant: row.grant, at: row.at }
    }
}

impl RegistrationJson {
    fn row(self) -> Option<RegistrationRow> {
        let member = MemberId(unhex(&self.member)?);
        Some(RegistrationRow { member, keys: self.keys, grant: self.grant, at: self.at })
    }
}

#[derive(Serialize, Deserialize)]
struct OutboxJson {
    id: RecordId,
    member: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<BackupItem>) {
        let member = MemberId([7; 16]);
        let items = vec![
            BackupItem::Member(MemberRow {
                member,
                label: "Awa".to_owned(),
                token_hash: [9; 32],
                at: Timestamp(1_800_000_000),
            }),
            BackupItem::Record(Bytes::from_static(b"a frame")),
            BackupItem::Outbox(RecordId([3; 32]), member),
        ];
        let mut file = head(&BackupHead { key: [1; 32], network: NetworkName::standard() });
        let mut writer = ItemWriter::new(&mut file);
        for item in &items {
            writer.item(item).unwrap();
        }
        writer.finish().unwrap();
        (file, items)
    }

    fn read(file: &[u8]) -> Result<Vec<BackupItem>, BackupError> {
        let (mut reader, head) = BackupReader::begin(file)?;
        assert_eq!(head, BackupHead { key: [1; 32], network: NetworkName::standard() });
        let mut items = Vec::new();
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
        Ok(items)
    }

    #[test]
    fn a_backup_comes_back_as_it_was() {
        let (file, items) = sample();
        assert_eq!(read(&file).unwrap(), items);
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let (file, _) = sample();
        for at in 0..file.len() {
            assert!(matches!(read(&file[..at]), Err(BackupError::Truncated(_))), "cut at {at}");
            let mut flipped = file.clone();
            flipped[at] ^= 0x10;
            assert!(read(&flipped).is_err(), "flipped {at}");
        }
    }
}
