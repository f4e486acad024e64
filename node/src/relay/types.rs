//! What goes into the relay and what comes out: plain values.

use bytes::Bytes;
use griot_protocol::{
    Address, Grant, MailboxKeys, NodeId, Record, RecordId, Refusal, Shard, Timestamp, Unverified, api::Accepted,
};

use crate::store::{Entry, MemberId, Outcome, Position};

/// The time, as the relay is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: what records are judged by.
    pub wall: Timestamp,
    /// Milliseconds of a clock that never goes back: what timers run by.
    pub mono_ms: u64,
}

/// Names an API call until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Names a verification, a commit or a receipt in the making until it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a gossip message until it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub u64);

/// Names a request that this node sent to a peer, until it is answered or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// Names a peer's request until this node answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client submits a record.
    Submit {
        /// The call to answer.
        call: CallId,
        /// Who submits.
        member: MemberId,
        /// The record's frame.
        frame: Bytes,
    },
    /// A client registers a mailbox. The rim has checked proof, nonce and the grant's signature.
    Register {
        /// The call to answer.
        call: CallId,
        /// Whose registration it will be.
        member: MemberId,
        /// The mailbox.
        keys: MailboxKeys,
        /// The right to issue receipts.
        grant: Grant,
    },
    /// A client ends its registration. The rim has checked proof and nonce.
    Unregister {
        /// The call to answer.
        call: CallId,
        /// Whose registration it was.
        member: MemberId,
        /// The mailbox.
        address: Address,
    },
    /// The operator adds a member.
    AddMember {
        /// The call to answer.
        call: CallId,
        /// The new member.
        member: MemberId,
        /// The operator's label.
        label: String,
        /// BLAKE3 of the bearer token.
        token_hash: [u8; 32],
    },
    /// The operator revokes a member.
    RevokeMember {
        /// The call to answer.
        call: CallId,
        /// The member.
        member: MemberId,
    },
    /// A bundle's frame is imported by the operator.
    Import {
        /// The call to answer.
        call: CallId,
        /// The record's frame.
        frame: Bytes,
    },
    /// A frame came by gossip and waits to be judged.
    Gossiped {
        /// Who handed it over.
        peer: NodeId,
        /// The message to judge.
        message: GossipId,
        /// The shard on whose topic it came.
        shard: Shard,
        /// The record's frame.
        frame: Bytes,
    },
    /// A peer of this network is connected (sent once for the first connection).
    PeerUp {
        /// The peer.
        peer: NodeId,
    },
    /// A peer answered a ping.
    RoundTrip {
        /// The peer.
        peer: NodeId,
        /// Milliseconds that it took.
        ms: u64,
    },
    /// The last connection to a peer is gone.
    PeerDown {
        /// The peer.
        peer: NodeId,
    },
    /// A peer asks something on the sync protocol.
    Asked {
        /// Who asks.
        peer: NodeId,
        /// The request to answer.
        inbound: InboundId,
        /// The encoded `griot_protocol::sync::SyncRequest`.
        request: Bytes,
    },
    /// A peer answered, or will not.
    Answered {
        /// Who was asked.
        peer: NodeId,
        /// Which request.
        exchange: ExchangeId,
        /// The encoded `griot_protocol::sync::SyncResponse`, or `None` where the exchange failed.
        response: Option<Bytes>,
    },
    /// Peers that carry a shard, from [`Output::FindCarriers`]; they are connected or being dialled.
    Carriers {
        /// The shard.
        shard: Shard,
        /// Who announces to carry it.
        peers: Vec<NodeId>,
    },
    /// A gossip publication reached no mesh peer: offer the record to the next neighbour at once.
    Unheard {
        /// The record.
        id: RecordId,
    },
    /// A signature was checked.
    Verified {
        /// Which.
        ticket: Ticket,
        /// The record, or what is wrong with it.
        result: Result<Record, Refusal>,
    },
    /// A commit is durable, or failed.
    Persisted {
        /// Which.
        ticket: Ticket,
        /// The outcomes of its records, or what went wrong, in words for an operator.
        result: Result<Vec<Outcome>, PersistError>,
    },
    /// A custody receipt was signed.
    ReceiptMade {
        /// Which.
        ticket: Ticket,
        /// The receipt.
        result: Result<Record, Refusal>,
    },
    /// Rows were dropped because their time ran out ([`Output::Expire`]).
    ExpiredRows(u64),
    /// The store kept its house in order, as it does every few seconds.
    Maintained {
        /// Whether the disk has no room for new records.
        full: bool,
    },
    /// Time has passed. Sent at least once a second; more often makes receipts leave sooner.
    Tick,
}

/// Why a commit failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistError {
    /// No room on the disk.
    Full,
    /// Anything else, in words for an operator.
    Failed(String),
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Answer an API call.
    Respond {
        /// The call.
        call: CallId,
        /// The answer.
        result: Result<Answer, CallError>,
    },
    /// Check a signature and report [`Input::Verified`].
    Verify {
        /// To be given back.
        ticket: Ticket,
        /// What to verify.
        record: Unverified,
    },
    /// Make entries durable and report [`Input::Persisted`]. Commits are made in the order in which they were said.
    Persist {
        /// To be given back.
        ticket: Ticket,
        /// What to persist.
        entries: Vec<Entry>,
    },
    /// Sign and stamp a custody receipt and report [`Input::ReceiptMade`].
    MakeReceipt {
        /// To be given back.
        ticket: Ticket,
        /// The mailbox.
        keys: MailboxKeys,
        /// The right to issue it.
        grant: Grant,
        /// What is on disk.
        items: Vec<RecordId>,
        /// Since when.
        stored_at: Timestamp,
        /// When the receipt may be dropped.
        expires_at: Timestamp,
    },
    /// Tell gossipsub what a message was worth.
    Judge {
        /// Who handed it over.
        peer: NodeId,
        /// The message.
        message: GossipId,
        /// What it was worth.
        verdict: Verdict,
    },
    /// Publish a record to the shard's topic; report [`Input::Unheard`] where no mesh peer took it.
    Publish {
        /// The shard.
        shard: Shard,
        /// The record.
        id: RecordId,
        /// Its frame.
        frame: Bytes,
    },
    /// Send a request on the sync protocol and report [`Input::Answered`].
    Ask {
        /// Whom.
        peer: NodeId,
        /// To be given back.
        exchange: ExchangeId,
        /// The encoded request.
        request: Bytes,
    },
    /// Answer a request on the sync protocol.
    Answer {
        /// Which.
        inbound: InboundId,
        /// The encoded response.
        response: Bytes,
    },
    /// Carry exactly these shards: subscribe to their topics and announce them.
    Carry {
        /// All of them, in order.
        shards: Vec<Shard>,
    },
    /// Find (and connect to) peers that carry a shard, and report [`Input::Carriers`].
    FindCarriers {
        /// The shard.
        shard: Shard,
    },
    /// An envelope is on disk and in its mailbox: wake whoever streams it.
    Delivered {
        /// The mailbox.
        address: Address,
        /// Where it stands.
        position: Position,
        /// The envelope.
        id: RecordId,
    },
    /// A receipt or ack that names this envelope is on disk: wake whoever watches it.
    News {
        /// The envelope.
        id: RecordId,
    },
    /// A record is on disk that was not here before. Nothing need be done: for counting, logging and tracing.
    Kept {
        /// The record.
        id: RecordId,
        /// By which door it came.
        way: Way,
        /// Which neighbour handed it over first.
        from: Option<NodeId>,
    },
    /// Drop what expired before `now`, and open what is closed after it, in small pieces between commits; and report
    /// [`Input::ExpiredRows`].
    Expire {
        /// The time by which records may be dropped: never after the one by which they are judged.
        now: Timestamp,
    },
    /// Disconnect and do not dial for a while.
    Disconnect {
        /// Whom.
        peer: NodeId,
        /// Why, for the log.
        reason: &'static str,
    },
    /// Count something.
    Count(Tally),
    /// Tell the operator (log, and `warnings` in status).
    Warn(String),
}

/// By which door a record came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// A client submitted it.
    Api,
    /// It was in a bundle.
    Import,
    /// By gossip.
    Gossip,
    /// By sync, or handed over directly.
    Sync,
    /// A neighbour told of it, and it was fetched.
    Told,
    /// This node made it.
    Own,
}

impl Way {
    /// Its name in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Import => "import",
            Self::Gossip => "gossip",
            Self::Sync => "sync",
            Self::Told => "told",
            Self::Own => "own",
        }
    }
}

/// What a gossip message was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass it on.
    Accept,
    /// Do not pass it on; nobody is to blame.
    Ignore,
    /// No honest peer sends this.
    Reject,
}

/// The answer to an API call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The record is durable.
    Accepted(Accepted),
    /// The registration, its end, or the change of members is durable.
    Done,
}

/// Why an API call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The record breaks a rule.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// A quota is used up: what, and what to do.
    #[error("{0}")]
    Quota(String),
    /// Too many calls in a short time.
    #[error("too many submissions: wait {0} s")]
    Rate(u64),
    /// The node cannot write: the disk is full or failed.
    #[error("{0}")]
    Storage(String),
    /// Too much is waiting: try again soon.
    #[error("the node is busy: try again in a second")]
    Busy,
    /// There is no such registration, record or member.
    #[error("not found")]
    NotFound,
}

/// Something worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tally {
    /// A record of this kind (its name) became durable here, by this way (`api`, `gossip`, `sync`, `told`, `import`, or `own` for this
    /// node's receipts).
    Accepted(&'static str, &'static str),
    /// A record was refused, for this reason, on this way.
    Refused(&'static str, &'static str),
    /// A gossip message was a duplicate of something held.
    GossipDuplicate,
    /// A record that gossip had not brought came by sync.
    SyncRepaired,
    /// Of these, one that gossip should have brought: made while the neighbour that brought it was connected.
    GossipMissed,
    /// A sync with a peer ended well.
    SyncDone,
    /// A sync with a peer failed.
    SyncFailed,
    /// Sync bytes sent.
    SyncBytesOut(u64),
    /// Of these, so many are frames of records: the rest is what comparing costs.
    SyncFrameBytesOut(u64),
    /// Sync bytes received.
    SyncBytesIn(u64),
    /// Envelopes evicted for want of room.
    Evicted,
    /// Rows dropped because their time ran out.
    Expired(u64),
    /// A custody receipt was issued.
    ReceiptIssued,
}
