//! What the core takes and gives: plain values.

use bytes::Bytes;
use griot_protocol::{
    Address, Cursor, RecordId, Timestamp,
    api::{Accepted, NodeInfo, Problem, RecordStatus},
};
use serde::{Deserialize, Serialize};

/// One of the account's homes, numbered as they were added; a number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HomeId(pub u32);

/// A home node and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Its number.
    pub id: HomeId,
    /// `unix:PATH`, `http://…` or `https://…`.
    pub url: String,
    /// Bearer token, where it needs one.
    pub token: Option<String>,
    /// Pinned SHA-256 of the node's certificate, lowercase hex; system roots where there is none.
    pub fingerprint: Option<String>,
    /// Whether plain HTTP off loopback was explicitly allowed.
    pub insecure_http: bool,
}

/// A home to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewHome {
    /// `unix:PATH`, `http://…` or `https://…`.
    pub url: String,
    /// Bearer token, where it needs one.
    pub token: Option<String>,
    /// Pinned SHA-256 of the node's certificate, lowercase hex; system roots where there is none.
    pub fingerprint: Option<String>,
    /// Whether plain HTTP off loopback is explicitly allowed.
    pub insecure_http: bool,
}

/// Something to do at a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// `GET /v1/node`: learn (again) who it is.
    Greet {
        /// Where.
        home: HomeId,
    },
    /// `PUT /v1/mailboxes/{address}` with [`Client::registration`](super::Client).
    Register {
        /// Where.
        home: HomeId,
        /// What.
        address: Address,
    },
    /// `DELETE /v1/mailboxes/{address}` with [`Client::unregistration`](super::Client).
    Unregister {
        /// Where.
        home: HomeId,
        /// What.
        address: Address,
    },
    /// `POST /v1/records`.
    Submit {
        /// Where.
        home: HomeId,
        /// What.
        id: RecordId,
        /// Its frame.
        frame: Bytes,
    },
    /// `GET /v1/mailboxes/{address}/records?after=`.
    Fetch {
        /// Where.
        home: HomeId,
        /// What.
        address: Address,
        /// From where on.
        after: Option<Cursor>,
    },
    /// `GET /v1/records/{id}`.
    Ask {
        /// Where.
        home: HomeId,
        /// About what.
        id: RecordId,
    },
}

impl Work {
    /// Where it is to be done.
    #[must_use]
    pub const fn home(&self) -> HomeId {
        match self {
            Self::Greet { home }
            | Self::Register { home, .. }
            | Self::Unregister { home, .. }
            | Self::Submit { home, .. }
            | Self::Fetch { home, .. }
            | Self::Ask { home, .. } => *home,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// To [`Work::Greet`].
    Greeted(NodeInfo),
    /// To [`Work::Register`].
    Registered(Cursor),
    /// To [`Work::Unregister`].
    Unregistered,
    /// To [`Work::Submit`]: on the home's disk.
    Accepted(Accepted),
    /// To [`Work::Fetch`]: envelopes with the cursor after each, and whether more wait.
    Page {
        /// In order.
        entries: Vec<(Cursor, Bytes)>,
        /// Whether more wait beyond these.
        more: bool,
    },
    /// To [`Work::Ask`]; `None` where the home knows nothing of it.
    Status(Option<RecordStatus>),
    /// The home answered with an error.
    Refused(Problem),
    /// The home did not answer: why, in words for a person.
    Unreachable(String),
}

/// What a person (or a bot) should hear of.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message was received, decrypted and stored.
    Message(InboxMessage),
    /// Somebody asks for contact.
    Request(RequestInfo),
    /// A contact accepted, or was lost.
    Contact(ContactInfo),
    /// A sent message has a new state.
    Sent(SentMessage),
    /// Something to show on stderr: a gap, a home that does not answer, a message that cannot be read.
    Warning(String),
}

/// How far a sent message has come, as proven by the records the design names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SendState {
    /// Stored here, accepted by no home yet.
    Queued,
    /// On the disk of a home of the sender.
    Accepted,
    /// On the disk of at least one home that the recipient chose (verified custody receipts).
    Stored,
    /// Collected by the recipient (verified ack).
    Delivered,
    /// Its time ran out before it was delivered.
    Expired,
    /// Every home refused it: `reason` says why.
    Refused,
}

/// A message sent from here: one object of `griot sent --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// The message (32 lowercase hex digits, the same on both sides).
    pub id: String,
    /// The contact.
    pub to: String,
    /// The contact's name.
    pub name: String,
    /// When it was sent.
    pub at: Timestamp,
    /// How far it has come.
    pub state: SendState,
    /// Nodes, of those that the recipient chose, that proved to hold it.
    pub stored_on: Vec<String>,
    /// Why it waits or was refused, in words for a person.
    pub reason: Option<String>,
    /// What was sent.
    pub content: serde_json::Value,
}

/// A received message: one object of `griot inbox --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxMessage {
    /// The message.
    pub id: String,
    /// The contact's name.
    pub from: String,
    /// The contact's id.
    pub contact: String,
    /// When it was sent, by the sender's clock.
    pub at: Timestamp,
    /// `{"type": "text", "text": …}`, or a type that this version does not know.
    pub content: serde_json::Value,
}

/// Somebody who asks for contact: one object of `griot requests --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestInfo {
    /// The request.
    pub id: String,
    /// What the other calls themself.
    pub name: String,
    /// What they say.
    pub message: Option<String>,
    /// When it was made.
    pub at: Timestamp,
}

/// Where a contact stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContactState {
    /// We asked; they have not accepted.
    Pending,
    /// Both sides can write.
    Connected,
    /// We blocked them.
    Blocked,
}

/// A contact: one object of `griot contacts --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactInfo {
    /// The contact.
    pub id: String,
    /// What they call themself.
    pub name: String,
    /// Where we stand.
    pub state: ContactState,
}

/// An invite that was made here: one object of `griot invite list --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteInfo {
    /// The invite.
    pub id: String,
    /// Whether it takes one request only.
    pub once: bool,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it still takes requests.
    pub active: bool,
    /// Requests it brought.
    pub requests: u64,
}

/// How an invite is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InviteOptions {
    /// Whether it takes one request only.
    pub once: bool,
    /// Days until it ends; [`INVITE_DAYS_DEFAULT`](super::limits::INVITE_DAYS_DEFAULT) where `None`.
    pub expires_days: Option<u32>,
}

/// A new invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// What the list says of it.
    pub info: InviteInfo,
    /// The link: `griot:…`. It is shown once and kept nowhere.
    pub link: String,
}

/// What is known of a home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeStatus {
    /// The node, once it was greeted.
    pub node_id: Option<griot_protocol::NodeId>,
    /// Its network.
    pub network: Option<String>,
    /// When it last answered, in this run.
    pub answered_at: Option<Timestamp>,
    /// Why it did not answer, or refused to know us, when it was last tried, in this run.
    pub error: Option<String>,
    /// Mailboxes registered there.
    pub registered: u64,
    /// Mailboxes that should be.
    pub mailboxes: u64,
}

/// The account at a glance: `griot status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// What the person calls themself.
    pub name: String,
    /// The network, once a home told.
    pub network: Option<String>,
    /// How many homes there are.
    pub homes: u64,
    /// Connected contacts.
    pub contacts: u64,
    /// Requests that wait for an answer.
    pub requests: u64,
    /// Messages that no home has accepted yet.
    pub queued: u64,
    /// Messages accepted and not yet delivered.
    pub undelivered: u64,
    /// Received envelopes that could not be read, and whose content has not come in another one either.
    pub unreadable: u64,
}

/// Sixty digits that two people compare; the same on both sides, and different where somebody sits between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyNumber {
    /// Twelve groups of five digits.
    pub groups: Vec<String>,
}

impl std::fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.groups.join(" "))
    }
}
