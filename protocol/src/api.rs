//! The JSON of the local daemon API, shared by node and client.
//!
//! Readers ignore fields they do not know, so that newer nodes and clients live beside older ones; fields that a newer
//! version added carry `#[serde(default)]`.

mod report;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use report::{
    ArrivalsReport, ClockReport, DiskReport, DiskTrend, ListeningReport, MailboxReport, NodeReport, OutboxReport,
    RefusedReport, ReplicationReport, WaitingReport,
};

use crate::{
    custody::Grant,
    feed::Cursor,
    id::{Address, NodeId, RecordId},
    mailbox::MailboxKeys,
    proof::{Nonce, Proof},
    time::Timestamp,
};

/// `GET /v1/node`: who answers, and what a client must know before it makes records for this network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// The node's key.
    #[schema(value_type = String)]
    pub node_id: NodeId,
    /// The same as a libp2p peer id.
    pub peer_id: String,
    /// The network's name.
    pub network: String,
    /// Shard bits of the network.
    pub bits: u8,
    /// The network's least postage.
    pub postage_bits: u8,
    /// Postage to use now for mailboxes of other communities: higher while the node is congested.
    pub postage_bits_now: u8,
    /// Shards that this node carries, in which its members should place their mailboxes.
    pub shards: Vec<u32>,
    /// The node's version.
    pub version: String,
    /// The node's clock.
    #[schema(value_type = u64)]
    pub time: Timestamp,
    /// Full multiaddrs, with `/p2p/…`, on which it listens.
    pub listen: Vec<String>,
    /// Connected peers.
    pub peers: u64,
    /// Records held (envelopes with bodies, acks and receipts).
    pub records: u64,
    /// Bytes of records held.
    #[serde(default)]
    pub bytes: u64,
    /// Mailboxes registered here.
    #[serde(default)]
    pub mailboxes: u64,
    /// Envelopes submitted here and neither acked nor expired.
    #[serde(default)]
    pub outbox: u64,
    /// Seconds since the start.
    #[serde(default)]
    pub uptime_seconds: u64,
    /// What an operator should know: peers with other parameters, quarantined entries, a rebuilt index, a full disk.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How other nodes reach it, as far as it knows.
    #[serde(default)]
    pub reachability: Reachability,
    /// Full multiaddrs under which other nodes reach it through a relay.
    #[serde(default)]
    pub circuits: Vec<String>,
    /// Whether it relays for nodes that cannot be dialled.
    #[serde(default)]
    pub relays: bool,
}

/// How other nodes reach a node, as far as it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reachability {
    /// From everywhere: somebody did, or the operator says so.
    Public,
    /// Through a relay, and directly at most from nearby.
    Relayed,
    /// Directly from nearby (the same machine, the same private network), and not known to be from further away.
    Local,
    /// Not at all: it listens nowhere, or was tested. It reaches others.
    Unreachable,
    /// Not known (yet), or something that a newer node says.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How it stands between a node and a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// Connected, and known to be of this network.
    Connected,
    /// Being dialled, or connected and not yet known to be of this network.
    Dialling,
    /// To be dialled (again) in `next_try_seconds`.
    Waiting,
    /// Remembered, and not dialled now: enough others are connected, or discovery is off.
    Idle,
    /// Left alone for `next_try_seconds`: of another network, or it misbehaved.
    Avoided,
    /// Something that a newer node says, or an older one does not.
    #[default]
    #[serde(other)]
    Unknown,
}

/// `GET /v1/peers`: one connected, configured or remembered peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerInfo {
    /// libp2p peer id; empty for a configured address that names none and has not been reached yet.
    pub peer_id: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Addresses that are connected, configured, or remembered.
    pub addresses: Vec<String>,
    /// What it calls itself (identify's agent version), where it has said so.
    #[serde(default)]
    pub agent: Option<String>,
    /// Round-trip time in milliseconds, where it is known.
    #[serde(default)]
    pub rtt_ms: Option<u64>,
    /// When the last sync with it ended without an error, since this node started.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub last_sync: Option<Timestamp>,
    /// How many seconds ago that was.
    #[serde(default)]
    pub last_sync_seconds: Option<u64>,
    /// Records that it handed over by sync from the one before the last until the last: how far this node was behind it.
    #[serde(default)]
    pub sync_received: Option<u64>,
    /// Records that it was handed meanwhile: how far it was behind this node.
    #[serde(default)]
    pub sync_sent: Option<u64>,
    /// Syncs with it that failed since the last that did not.
    #[serde(default)]
    pub sync_failures: u32,
    /// Why the last of them failed, for a person.
    #[serde(default)]
    pub sync_error: Option<String>,
    /// Whether it dialled this node: proof that this node can be reached from where it is.
    #[serde(default)]
    pub dialled_us: bool,
    /// This node's address as it sees it, where it has said so.
    #[serde(default)]
    pub sees_us_at: Option<String>,
    /// Whether the operator configured it.
    #[serde(default)]
    pub configured: bool,
    /// How it stands with it.
    #[serde(default)]
    pub state: PeerState,
    /// Seconds until it is dialled at the earliest, where it will be.
    #[serde(default)]
    pub next_try_seconds: Option<u64>,
    /// Dials that failed, and connections that broke at once, since one last held.
    #[serde(default)]
    pub failures: u32,
    /// Why the last of them failed, or why it is left alone, for a person.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When it was last connected, where that is remembered and it is not connected now.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub last_seen: Option<Timestamp>,
    /// Whether it is connected through a relay only.
    #[serde(default)]
    pub relayed: bool,
}

/// `POST /v1/records` → 202: the record is on this node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The record's id.
    #[schema(value_type = String)]
    pub id: RecordId,
    /// Whether the node held it already.
    pub duplicate: bool,
}

/// Where an envelope stands, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordState {
    /// On this node's disk.
    Held,
    /// Collected by its recipient; the body may be gone.
    Acked,
    /// Known by id, body dropped for want of room.
    Evicted,
    /// Its time has run out, and no ack that names it is known; it is forgotten an hour or two later.
    Expired,
}

/// `GET /v1/records/{id}`: what this node can show about a record. The client verifies receipts and acks itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordStatus {
    /// The record.
    #[schema(value_type = String)]
    pub id: RecordId,
    /// Its state here.
    pub state: RecordState,
    /// Raw custody receipts that name it, base64 (RFC 4648, padded).
    pub receipts: Vec<String>,
    /// Raw acks that name it, base64 (RFC 4648, padded).
    pub acks: Vec<String>,
    /// Why it waits for its first custody receipt, in a few words for a person, where the node knows.
    #[serde(default)]
    pub waiting: Option<String>,
}

/// `POST /v1/nonces` → 201.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nonces {
    /// The node that gave them.
    #[schema(value_type = String)]
    pub node_id: NodeId,
    /// Nonces, each good for one proof.
    #[schema(value_type = Vec<String>)]
    pub nonces: Vec<Nonce>,
    /// Seconds until they run out.
    pub valid_seconds: u64,
}

/// `PUT /v1/mailboxes/{address}`: the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// The mailbox. Its address must be the one in the path.
    #[schema(value_type = Object)]
    pub keys: MailboxKeys,
    /// The recipient's word that this node may issue custody receipts.
    #[schema(value_type = Object)]
    pub grant: Grant,
    /// That the caller holds the collect secret.
    pub proof: Proof,
}

/// `DELETE /v1/mailboxes/{address}`: the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unregistration {
    /// The mailbox.
    #[schema(value_type = Object)]
    pub keys: MailboxKeys,
    /// That the caller holds the collect secret.
    pub proof: Proof,
}

/// `PUT /v1/mailboxes/{address}` → 200: the registration is on this node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// The mailbox.
    #[schema(value_type = String)]
    pub address: Address,
    /// Where reading it from the start begins.
    #[schema(value_type = String)]
    pub cursor: Cursor,
}

/// What a client says on `GET /v1/stream`, one JSON text message each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StreamRequest {
    /// Send this mailbox's envelopes from `after` on.
    Subscribe {
        /// The mailbox.
        #[schema(value_type = Object)]
        keys: MailboxKeys,
        /// That the caller holds the collect secret.
        proof: Proof,
        /// The last cursor seen; none reads from the start.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        after: Option<Cursor>,
    },
    /// Stop sending this mailbox's envelopes.
    Unsubscribe {
        /// The mailbox.
        #[schema(value_type = String)]
        address: Address,
    },
    /// Tell me when receipts or acks for this envelope arrive (a [`StreamEvent::Status`] each time).
    Watch {
        /// The envelope.
        #[schema(value_type = String)]
        id: RecordId,
    },
}

/// What a node says on `GET /v1/stream` as JSON text; envelopes come as binary messages ([`crate::feed`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StreamEvent {
    /// The first message: nonces for the subscriptions to come.
    Hello {
        /// The node.
        #[schema(value_type = String)]
        node_id: NodeId,
        /// A nonce that every [`StreamRequest::Subscribe`] on this connection signs.
        #[schema(value_type = String)]
        nonce: Nonce,
    },
    /// A subscription stands; what waits comes next.
    Subscribed {
        /// The mailbox.
        #[schema(value_type = String)]
        address: Address,
    },
    /// Everything that waited in this mailbox has been sent; what follows is new.
    Live {
        /// The mailbox.
        #[schema(value_type = String)]
        address: Address,
    },
    /// The reader is slower than the mailbox fills: nothing is lost, `behind` envelopes wait in the store.
    Lag {
        /// The mailbox.
        #[schema(value_type = String)]
        address: Address,
        /// How many envelopes wait.
        behind: u64,
    },
    /// News of a watched envelope: ask `GET /v1/records/{id}`.
    Status {
        /// The envelope.
        #[schema(value_type = String)]
        id: RecordId,
    },
    /// A request was refused; the connection stays.
    Refused {
        /// What was refused.
        detail: String,
        /// The mailbox, where the request named one.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        address: Option<Address>,
    },
}

/// `POST /v1/members`: the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewMember {
    /// A label for the operator.
    pub label: String,
}

/// `POST /v1/members` → 201. The token is shown once; the node keeps only its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberToken {
    /// The member.
    pub id: String,
    /// The bearer token.
    pub token: String,
}

/// `GET /v1/members`: one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberInfo {
    /// The member.
    pub id: String,
    /// The operator's label.
    pub label: String,
    /// Mailboxes registered.
    pub mailboxes: u64,
    /// Bytes held for the member.
    pub bytes: u64,
    /// When it was added.
    #[schema(value_type = u64)]
    pub added_at: Timestamp,
}

/// An error, as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`, or `urn:griot:problem:<reason>`, which is stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do, for a person.
    #[serde(default)]
    pub detail: String,
}

/// What every problem's `type` begins with where it has a stable reason.
pub const PROBLEM_PREFIX: &str = "urn:griot:problem:";

impl Problem {
    /// The stable reason in `type`, if it has one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.kind.strip_prefix(PROBLEM_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_older_and_newer_nodes_are_read() {
        let older = r#"{"peer_id": "p", "connected": true, "addresses": []}"#;
        let peer: PeerInfo = serde_json::from_str(older).unwrap();
        assert_eq!((peer.state, peer.failures, peer.next_try_seconds), (PeerState::Unknown, 0, None));
        let newer = r#"{"peer_id": "p", "connected": false, "addresses": [], "state": "hibernating", "moon": 1}"#;
        let peer: PeerInfo = serde_json::from_str(newer).unwrap();
        assert_eq!(peer.state, PeerState::Unknown);
        assert_eq!(serde_json::to_value(PeerState::Dialling).unwrap(), "dialling");
    }
}
