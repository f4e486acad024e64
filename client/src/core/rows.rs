//! The rows of the store: what is kept, and under which keys.
//!
//! A key is one letter and an id; numbers are big-endian, so that they scan in order. Values are JSON, except frames
//! and held payloads, which are raw bytes.

use std::collections::BTreeMap;

use griot_protocol::{Address, Cursor, MailboxKeys, NetworkParams, NodeId, RecordId, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use vodozemac::olm::{AccountPickle, SessionPickle};

use super::{
    error::ClientError,
    types::{ContactState, Home, SendState},
};
use crate::store::{Row, Store};

/// The version of these rows.
pub(super) const ROWS_VERSION: u32 = 1;

/// Rows read at once while scanning.
const SCAN_PAGE: usize = 256;

/// The account itself.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub version: u32,
    pub name: String,
    /// vodozemac's account: identity keys, fallback keys, one-time keys.
    pub olm: AccountPickle,
    /// The current fallback key.
    pub fallback: [u8; 32],
    pub fallback_at: Timestamp,
    /// Known once a home was greeted.
    pub network: Option<NetworkParams>,
    pub next_home: u32,
    pub next_sent: u64,
    pub next_inbox: u64,
    pub next_queued: u64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct HomeRow {
    pub home: Home,
    pub node: Option<NodeRow>,
}

/// What a home said of itself.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct NodeRow {
    pub node_id: NodeId,
    pub params: NetworkParams,
    pub postage_bits_now: u8,
    pub shards: Vec<u32>,
    pub greeted_at: Timestamp,
}

/// What a mailbox of ours is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    Contact(String),
    Invite(String),
}

/// A mailbox of ours.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct MailboxRow {
    pub keys: MailboxKeys,
    pub deliver: [u8; 32],
    pub collect: [u8; 32],
    /// The seal key; for an invite the HPKE private key.
    pub seal: [u8; 32],
    pub purpose: Purpose,
    /// Withdrawn mailboxes stay until every home has forgotten them.
    pub active: bool,
    pub registered: BTreeMap<u32, RegisteredRow>,
    pub cursors: BTreeMap<u32, Cursor>,
    pub chains: Vec<ChainRow>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RegisteredRow {
    pub node_id: NodeId,
    pub renew_at: Timestamp,
}

/// How far a writer's chain was read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ChainRow {
    pub chain: [u8; 16],
    /// The sequence number that is due.
    pub next: u64,
    /// BLAKE3 of the payload before it; `None` where that was never seen.
    pub prev: Option<[u8; 32]>,
    pub gap: Option<GapRow>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct GapRow {
    pub asked: Vec<u32>,
    /// When the last reachable home had been asked.
    pub asked_at: Option<Timestamp>,
}

/// A mailbox that somebody gave us to write to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OutRow {
    pub keys: MailboxKeys,
    pub deliver: [u8; 32],
    pub seal: [u8; 32],
    pub chain: [u8; 16],
    pub seq: u64,
    pub prev: [u8; 32],
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ContactRow {
    pub id: String,
    pub name: String,
    pub state: ContactState,
    pub ed25519: [u8; 32],
    pub curve25519: [u8; 32],
    /// Their current fallback key.
    pub fallback: [u8; 32],
    /// Ours, as they last heard it.
    pub fallback_told: [u8; 32],
    /// The mailbox they write to.
    pub mailbox: Option<Address>,
    /// The mailbox we write to.
    pub out: Option<OutRow>,
    #[serde(default)]
    pub healing: HealingRow,
}

/// Where the healing of a contact's sessions stands.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct HealingRow {
    /// Counts the notes of records to report.
    pub next_report: u64,
    /// When the last new session was begun.
    pub reset_at: Timestamp,
    /// Whether something of theirs was opened since.
    pub is_proven: bool,
    /// When something was last reported.
    pub reported_at: Timestamp,
}

/// Olm sessions with a contact, the one to send with first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct SessionsRow(pub Vec<SessionPickle>);

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct InviteRow {
    pub id: String,
    pub once: bool,
    pub expires_at: Timestamp,
    pub address: Address,
    pub active: bool,
    pub requests: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RequestRow {
    pub id: String,
    pub name: String,
    pub message: Option<String>,
    pub at: Timestamp,
    pub ed25519: [u8; 32],
    pub curve25519: [u8; 32],
    pub fallback: [u8; 32],
    pub keys: MailboxKeys,
    pub deliver: [u8; 32],
    pub seal: [u8; 32],
    pub session: SessionPickle,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SentRow {
    pub id: String,
    pub contact: String,
    pub at: Timestamp,
    pub content: serde_json::Value,
    pub state: SendState,
    pub stored_on: Vec<NodeId>,
    pub reason: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct InboxRow {
    pub id: String,
    pub contact: String,
    pub at: Timestamp,
    pub content: serde_json::Value,
}

/// What a queued record is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum QueuedKind {
    /// A message, by its number among the sent.
    Message { contact: String, number: u64 },
    /// An acceptance, a new mailbox, a report: kept, to be said again where it could not be read.
    Control { contact: String, said: serde_json::Value },
    /// A request for contact.
    Request,
    /// An ack of ours.
    Ack,
}

/// A record that waits for a home, or for its ack. Its frame is in a row of its own.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct QueuedRow {
    /// Records leave in the order in which they were made.
    pub number: u64,
    pub kind: QueuedKind,
    pub address: Address,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub accepted: Vec<u32>,
    /// When the last home accepted it.
    pub offered_at: Option<Timestamp>,
    pub refused: BTreeMap<u32, String>,
    pub stored: bool,
    /// The records in which the same was said before, and could not be read.
    #[serde(default)]
    pub again: Vec<RecordId>,
}

/// A payload that was seen.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SeenRow {
    pub expires_at: Timestamp,
    /// Whether it may be acked: read and stored, or a duplicate of such.
    pub done: bool,
    /// The ack that named it last.
    pub ack: Option<RecordId>,
}

/// An item of an ack that has yet to be made.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AckDueRow {
    pub payload: [u8; 32],
}

/// An envelope that could not be read, with what it takes to ack it once its content was.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UnreadableRow {
    pub contact: String,
    pub address: Address,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub payload: [u8; 32],
}

/// A held envelope, as codec bytes.
#[derive(bincode::Encode, bincode::Decode)]
pub(super) struct HeldRow {
    pub id: RecordId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub payload: Vec<u8>,
}

/// The store's keys.
pub(super) mod key {
    use griot_protocol::{Address, RecordId, Timestamp};

    pub const ACCOUNT: &[u8] = b"A";
    pub const HOMES: &[u8] = b"H";
    pub const MAILBOXES: &[u8] = b"M";
    pub const CONTACTS: &[u8] = b"K";
    pub const INVITES: &[u8] = b"I";
    pub const REQUESTS: &[u8] = b"Q";
    pub const SENT: &[u8] = b"N";
    pub const INBOX: &[u8] = b"B";
    pub const QUEUE: &[u8] = b"T";
    pub const SEEN: &[u8] = b"D";
    pub const UNREADABLE: &[u8] = b"U";
    pub const ACKS_DUE: &[u8] = b"G";

    fn join(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    pub fn home(id: u32) -> Vec<u8> {
        join(&[HOMES, &id.to_be_bytes()])
    }
    pub fn mailbox(address: &Address) -> Vec<u8> {
        join(&[MAILBOXES, address.as_bytes()])
    }
    pub fn contact(id: &str) -> Vec<u8> {
        join(&[CONTACTS, id.as_bytes()])
    }
    pub fn sessions(contact: &str) -> Vec<u8> {
        join(&[b"S", contact.as_bytes()])
    }
    pub fn invite(id: &str) -> Vec<u8> {
        join(&[INVITES, id.as_bytes()])
    }
    pub fn request(id: &str) -> Vec<u8> {
        join(&[REQUESTS, id.as_bytes()])
    }
    pub fn sent(number: u64) -> Vec<u8> {
        join(&[SENT, &number.to_be_bytes()])
    }
    /// From a sent message's id to its number.
    pub fn sent_number(id: &str) -> Vec<u8> {
        join(&[b"n", id.as_bytes()])
    }
    pub fn inbox(number: u64) -> Vec<u8> {
        join(&[INBOX, &number.to_be_bytes()])
    }
    /// All numbers of received messages with this id: one for each contact that used it.
    pub fn inbox_numbers(id: &str) -> Vec<u8> {
        join(&[b"b", id.as_bytes()])
    }
    pub fn inbox_number(id: &str, contact: &str) -> Vec<u8> {
        join(&[b"b", id.as_bytes(), contact.as_bytes()])
    }
    pub fn queued(id: &RecordId) -> Vec<u8> {
        join(&[QUEUE, id.as_bytes()])
    }
    pub fn frame(id: &RecordId) -> Vec<u8> {
        join(&[b"F", id.as_bytes()])
    }
    pub fn seen(address: &Address, payload: &[u8; 32]) -> Vec<u8> {
        join(&[SEEN, address.as_bytes(), payload])
    }
    pub fn unreadable(id: &RecordId) -> Vec<u8> {
        join(&[UNREADABLE, id.as_bytes()])
    }
    /// Unreadable records that a contact is to be told of.
    pub fn reports(contact: &str) -> Vec<u8> {
        join(&[b"R", contact.as_bytes()])
    }
    pub fn report(contact: &str, number: u64) -> Vec<u8> {
        join(&[b"R", contact.as_bytes(), &number.to_be_bytes()])
    }
    pub fn acks_due(address: &Address) -> Vec<u8> {
        join(&[ACKS_DUE, address.as_bytes()])
    }
    pub fn ack_due(address: &Address, created_at: Timestamp, id: &RecordId) -> Vec<u8> {
        join(&[ACKS_DUE, address.as_bytes(), &created_at.0.to_be_bytes(), id.as_bytes()])
    }
    /// Address, time and id of an ack's item, from its key.
    pub fn parse_ack_due(key: &[u8]) -> Option<(Address, Timestamp, RecordId)> {
        let rest = key.strip_prefix(ACKS_DUE)?;
        let (address, rest) = rest.split_first_chunk::<32>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let id = <[u8; 32]>::try_from(rest).ok()?;
        Some((Address(*address), Timestamp(u64::from_be_bytes(*at)), RecordId(id)))
    }
    pub fn parse_record(key: &[u8]) -> Option<RecordId> {
        <[u8; 32]>::try_from(key.get(1..)?).ok().map(RecordId)
    }
    pub fn held_in(address: &Address) -> Vec<u8> {
        join(&[b"W", address.as_bytes()])
    }
    pub fn held_chain(address: &Address, chain: &[u8; 16]) -> Vec<u8> {
        join(&[b"W", address.as_bytes(), chain])
    }
    pub fn held(address: &Address, chain: &[u8; 16], seq: u64) -> Vec<u8> {
        join(&[b"W", address.as_bytes(), chain, &seq.to_be_bytes()])
    }
    pub fn parse_held_seq(key: &[u8]) -> Option<u64> {
        key.last_chunk::<8>().map(|seq| u64::from_be_bytes(*seq))
    }
}

/// Reads a row.
pub(super) fn load<S: Store, T: DeserializeOwned>(store: &S, key: &[u8]) -> Result<Option<T>, ClientError> {
    store.get(key)?.map(|bytes| decode(&bytes)).transpose()
}

/// Reads every row whose key begins with `prefix`.
pub(super) fn load_all<S: Store, T: DeserializeOwned>(store: &S, prefix: &[u8]) -> Result<Vec<T>, ClientError> {
    load_raw(store, prefix)?.iter().map(|(_, bytes)| decode(bytes)).collect()
}

/// The homes, in the order in which they were added.
pub(super) fn homes<S: Store>(store: &S) -> Result<Vec<HomeRow>, ClientError> {
    load_all(store, key::HOMES)
}

/// Reads every row whose key begins with `prefix`, undecoded.
pub(super) fn load_raw<S: Store>(store: &S, prefix: &[u8]) -> Result<Vec<Row>, ClientError> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let page = store.scan(prefix, after.as_deref(), SCAN_PAGE)?;
        let whole = page.len() < SCAN_PAGE;
        rows.extend(page);
        if whole {
            return Ok(rows);
        }
    }
}

/// Reads a row's JSON.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::Damaged(error.to_string()))
}

/// Writes a row's JSON.
pub(super) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(row).map_err(|error| ClientError::Damaged(error.to_string()))
}
