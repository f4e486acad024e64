//! Griot's wire format and rules.
//!
//! Everything that Griot nodes exchange, store, or carry on a USB stick is a **record**: a signed frame that proves
//! itself, so that it does not matter who handed it over. There are three kinds:
//!
//! | kind | says | signed by |
//! |---|---|---|
//! | [envelope] | "put these sealed bytes into that mailbox" | the mailbox's *deliver* key |
//! | [ack] | "these were collected" (and, with `release`, "drop them") | the mailbox's *collect* key |
//! | [custody receipt](custody) | "these are on my disk, and the recipient chose me" | a node's key |
//!
//! A [mailbox] is a one-way letter box whose address is a hash of its public keys. Any node can check, without
//! asking anyone, that an envelope was signed by somebody who may write to that mailbox and an ack by somebody who
//! may read it.
//!
//! The way of a frame through this crate, cheapest check first:
//!
//! ```text
//! bytes ─▶ frame::split ─▶ record::Unverified::parse ─▶ check_times ─▶ check_postage ─▶ verify ─▶ record::Record
//!          length, kind     canonical body, shape,       now           leading zeros    ed25519
//!          version          sizes, id                                  of the id        strict
//! ```
//!
//! Nothing here does IO, reads a clock, spawns a thread, or draws randomness: callers pass times and secrets in.

pub mod ack;
pub mod api;
pub mod bundle;
pub mod codec;
pub mod custody;
pub mod entry;
pub mod envelope;
pub mod feed;
pub mod frame;
pub mod id;
pub mod invite;
pub mod keys;
pub mod limits;
pub mod mailbox;
pub mod network;
pub mod padding;
pub mod postage;
pub mod proof;
pub mod record;
pub mod refusal;
pub mod sync;
pub mod time;

pub use ack::{Ack, AckItem};
pub use bundle::{BundleError, BundleHeader, BundleItem, BundleReader, BundleSummary, BundleWriter};
pub use custody::{Custody, Grant};
pub use envelope::EnvelopeHeader;
pub use feed::Cursor;
pub use frame::RecordKind;
pub use id::{Address, NodeId, RecordId};
pub use invite::InviteLink;
pub use keys::{CollectKey, CollectSecret, DeliverKey, DeliverSecret, NodeSecret, Signature};
pub use mailbox::{MailboxKeys, MailboxKind, Shard, ShardBits};
pub use network::{NetworkName, NetworkParams};
pub use postage::Stamp;
pub use proof::{Nonce, Proof, ProofMethod};
pub use record::{Body, Record, Unverified};
pub use refusal::{Class, Refusal};
pub use time::{Hour, Timestamp};
