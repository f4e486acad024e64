//! Feeds: how a node hands a mailbox's envelopes to its reader, in pages (`GET /v1/mailboxes/{address}/records`) and as
//! a stream (`GET /v1/stream`).
//!
//! A page is a sequence of `[epoch u64 LE][position u64 LE][len u32 LE][frame]`; a stream's binary message is
//! `[address 32][epoch u64 LE][position u64 LE][frame]`. Epoch and position together are a [`Cursor`]: a reader that
//! gives the last one back gets what came after it.

use serde::{Deserialize, Serialize};

use crate::{id::Address, limits::FRAME_BYTES_MAX};

/// A place in a mailbox on one node. Positions only grow within an epoch; a node whose index was rebuilt or restored
/// starts a new epoch, and a cursor of another epoch reads from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Random, new at every rebuild or restore.
    pub epoch: u64,
    /// Grows with every envelope; 0 is before the first.
    pub position: u64,
}

/// Text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is 32 lowercase hex digits, as the node gave it")]
pub struct CursorError;

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.epoch, self.position)
    }
}

impl std::str::FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let well_formed = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(CursorError);
        }
        let part = |range: &str| u64::from_str_radix(range, 16).map_err(|_| CursorError);
        Ok(Self { epoch: part(&text[..16])?, position: part(&text[16..])? })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes that are no feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node's answer is not a feed of records")]
pub struct FeedError;

/// Appends one envelope to a page.
pub fn push_to_page(page: &mut Vec<u8>, cursor: Cursor, frame: &[u8]) {
    page.extend_from_slice(&cursor.epoch.to_le_bytes());
    page.extend_from_slice(&cursor.position.to_le_bytes());
    page.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    page.extend_from_slice(frame);
}

/// Reads a page.
///
/// # Errors
/// [`FeedError`]: it ends early, or announces a frame larger than any.
pub fn read_page(mut page: &[u8]) -> Result<Vec<(Cursor, &[u8])>, FeedError> {
    let mut entries = Vec::new();
    while !page.is_empty() {
        let (cursor, rest) = split_cursor(page)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(FeedError)?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > FRAME_BYTES_MAX || len > rest.len() {
            return Err(FeedError);
        }
        let (frame, rest) = rest.split_at(len);
        entries.push((cursor, frame));
        page = rest;
    }
    Ok(entries)
}

/// The binary message that streams one envelope.
#[must_use]
pub fn stream_message(address: &Address, cursor: Cursor, frame: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(48 + frame.len());
    message.extend_from_slice(&address.0);
    message.extend_from_slice(&cursor.epoch.to_le_bytes());
    message.extend_from_slice(&cursor.position.to_le_bytes());
    message.extend_from_slice(frame);
    message
}

/// Reads a binary stream message.
///
/// # Errors
/// [`FeedError`]: it is too short, or its frame larger than any.
pub fn read_stream_message(message: &[u8]) -> Result<(Address, Cursor, &[u8]), FeedError> {
    let (address, rest) = message.split_first_chunk::<32>().ok_or(FeedError)?;
    let (cursor, frame) = split_cursor(rest)?;
    if frame.len() > FRAME_BYTES_MAX {
        return Err(FeedError);
    }
    Ok((Address(*address), cursor, frame))
}

fn split_cursor(bytes: &[u8]) -> Result<(Cursor, &[u8]), FeedError> {
    let (epoch, rest) = bytes.split_first_chunk::<8>().ok_or(FeedError)?;
    let (position, rest) = rest.split_first_chunk::<8>().ok_or(FeedError)?;
    let cursor = Cursor { epoch: u64::from_le_bytes(*epoch), position: u64::from_le_bytes(*position) };
    Ok((cursor, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_messages_come_back_as_they_were() {
        let cursor = Cursor { epoch: 7, position: 9 };
        let mut page = Vec::new();
        push_to_page(&mut page, cursor, b"one");
        push_to_page(&mut page, cursor, b"two");
        assert_eq!(read_page(&page), Ok(vec![(cursor, &b"one"[..]), (cursor, &b"two"[..])]));
        page.pop();
        assert_eq!(read_page(&page), Err(FeedError));
        let message = stream_message(&Address([1; 32]), cursor, b"one");
        assert_eq!(read_stream_message(&message), Ok((Address([1; 32]), cursor, &b"one"[..])));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
