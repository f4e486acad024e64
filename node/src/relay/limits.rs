//! What a relay lets others use: quotas, rates and budgets that an operator may set, and fixed bounds on its own
//! queues. Every queue, table and round of work in the relay is bounded by one of these.

/// What one member may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Mailboxes registered.
    pub mailboxes: u64,
    /// Bytes of uncollected envelopes in those mailboxes.
    pub mailbox_bytes: u64,
    /// Envelopes in the outbox.
    pub outbox_envelopes: u64,
    /// Their bytes.
    pub outbox_bytes: u64,
}

/// So many a second on average, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The average.
    pub per_second: u32,
    /// At once after a rest; at least 1.
    pub burst: u32,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For each member with a token.
    pub member: Quota,
    /// For whoever opens the Unix socket: the operator, whose own disk it is.
    pub local: Quota,
    /// Submissions of each member with a token. The Unix socket has no rate.
    pub member_rate: Rate,
    /// Gossiped records from each peer.
    pub peer_rate: Rate,
    /// Bytes of envelopes kept for mailboxes that are not registered here and that nobody submitted here.
    pub best_effort_bytes: u64,
}

/// One mebibyte.
const MIB: u64 = 1024 * 1024;

impl Limits {
    /// A person has a mailbox per contact, group and invite, times a replacement or two.
    pub const MEMBER_MAILBOXES: u64 = 1000;
    /// A month of text and some pictures for someone who is away.
    pub const MEMBER_MAILBOX_BYTES: u64 = 256 * MIB;
    /// A month of writing to people who are all away.
    pub const MEMBER_OUTBOX_ENVELOPES: u64 = 20_000;
    /// The same in bytes.
    pub const MEMBER_OUTBOX_BYTES: u64 = 128 * MIB;
    /// Enough for a bridge or a bot that serves a town. Each outbox entry costs the node some 250 bytes of memory.
    pub const LOCAL_MAILBOXES: u64 = 100_000;
    /// What an operator's own programs may leave uncollected.
    pub const LOCAL_MAILBOX_BYTES: u64 = 16 * 1024 * MIB;
    /// Bounds the outbox table to some 250 MB of memory in the worst case.
    pub const LOCAL_OUTBOX_ENVELOPES: u64 = 1_000_000;
    /// What an operator's own programs may have under way.
    pub const LOCAL_OUTBOX_BYTES: u64 = 8 * 1024 * MIB;
    /// No person writes faster; a bot that does uses the Unix socket.
    pub const MEMBER_RATE: Rate = Rate { per_second: 50, burst: 1000 };
    /// A quarter of what one core can verify, so that one peer cannot take it all; what is ignored comes by sync.
    pub const PEER_RATE: Rate = Rate { per_second: 5000, burst: 50_000 };
    /// Small beside any disk of today, large beside a community's month of text.
    pub const BEST_EFFORT_BYTES: u64 = 4 * 1024 * MIB;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            member: Quota {
                mailboxes: Self::MEMBER_MAILBOXES,
                mailbox_bytes: Self::MEMBER_MAILBOX_BYTES,
                outbox_envelopes: Self::MEMBER_OUTBOX_ENVELOPES,
                outbox_bytes: Self::MEMBER_OUTBOX_BYTES,
            },
            local: Quota {
                mailboxes: Self::LOCAL_MAILBOXES,
                mailbox_bytes: Self::LOCAL_MAILBOX_BYTES,
                outbox_envelopes: Self::LOCAL_OUTBOX_ENVELOPES,
                outbox_bytes: Self::LOCAL_OUTBOX_BYTES,
            },
            member_rate: Self::MEMBER_RATE,
            peer_rate: Self::PEER_RATE,
            best_effort_bytes: Self::BEST_EFFORT_BYTES,
        }
    }
}

/// Records of one way that may be between admission and disk. At 43 µs a signature this is a tenth of a second of two
/// cores' work: more waiting would only be more latency.
pub(super) const IN_FLIGHT_RECORDS_MAX: usize = 4096;

/// The same for gossip, which members' submissions queue behind in the signature checker.
pub(super) const IN_FLIGHT_GOSSIP_MAX: usize = 1024;

/// The same for sync, whose neighbours hand over frames by the MiB and wait until these are dealt with.
pub(super) const IN_FLIGHT_SYNC_MAX: usize = 16_384;

/// Their bytes, for each way.
pub(super) const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Copies of one frame that wait for the same verification or commit: more are busy-answered or ignored.
pub(super) const WAITING_COPIES_MAX: usize = 64;

/// Local commits (registrations, members, evictions, …) that may be under way.
pub(super) const LOCAL_COMMITS_MAX: usize = 4096;

/// How long after a full disk was reported new records are refused before one is tried again.
pub(super) const FULL_RETRY_MS: u64 = 5_000;

/// How long envelopes wait for company before a receipt is signed: one receipt then serves a burst.
pub(super) const RECEIPT_DELAY_MS: u64 = 100;

/// How much longer, at most, the homes of a shared mailbox wait, each its own time: a group of ten has up to thirty homes, and a
/// channel thousands, and what one signs the others need not. Gossip reaches most homes within a second.
pub(super) const SHARED_RECEIPT_SPREAD_MS: u64 = 4_000;

/// Receipts of other homes for an envelope of a shared mailbox that are enough. Any reader can appoint a home there, so that more
/// would prove no more.
pub(super) const SHARED_RECEIPTS_ENOUGH: usize = 3;

/// Receipts that may be in the making: each costs a signature and its postage.
pub(super) const RECEIPTS_MAKING_MAX: usize = 64;

/// Envelopes that may wait for their receipt in memory. Where there are more, mailboxes are scanned later instead.
pub(super) const RECEIPT_IDS_MAX: usize = 65_536;

/// Envelopes that one tick looks at when it searches mailboxes for missing receipts.
pub(super) const RECEIPT_SCAN_MAX: usize = 256;

/// Mailboxes that took mail while they were full, and that one tick looks at for having room again: as many as have their
/// usage read again, which costs more.
pub(super) const ROOM_LOOKS_PER_TICK: usize = REFRESH_PER_TICK;

/// Rows read at once from the store when the relay starts.
pub(super) const LOAD_PAGE: usize = 1024;

/// Mailboxes whose usage one tick reads again, so that expiry is noticed in the quotas.
pub(super) const REFRESH_PER_TICK: usize = 256;

/// Outbox rows that one tick looks at for having expired.
pub(super) const OUTBOX_SWEEP_PER_TICK: usize = 256;

/// How often rows are expired.
pub(super) const EXPIRE_EVERY_MS: u64 = 60_000;

/// Envelopes evicted with one commit.
pub(super) const EVICT_MAX: usize = 256;

/// Id-only marks (about 150 bytes each on disk) beyond which unwanted records leave no trace.
pub(super) const MARKS_MAX: u64 = 1_000_000;

/// Percent of the best-effort budget from which on low postage is not enough.
pub(super) const CONGESTED_PERCENT: u64 = 90;

/// Extra postage bits asked for when congested, and when full: each bit doubles a sender's work.
pub(super) const CONGESTED_POSTAGE_BITS: u8 = 2;

/// See [`CONGESTED_POSTAGE_BITS`].
pub(super) const FULL_POSTAGE_BITS: u8 = 6;

/// Invalid records by sync after which a peer is disconnected: an honest one sends none, a damaged one few.
pub(super) const STRIKES_MAX: u32 = 16;

/// Peers whose rate is remembered after they are gone, so that reconnecting does not refill the bucket.
pub(super) const PEERS_REMEMBERED_MAX: usize = 4096;

/// Records received by sync or import that are announced by gossip, per second: beyond that sync carries them on,
/// because a healed partition must not become a gossip storm.
pub(super) const RELAYED_RATE: Rate = Rate { per_second: 200, burst: 1000 };

/// Batches of frames from neighbours that may be under way; sync keeps each at 1 MiB.
pub(super) const BATCHES_MAX: usize = 256;

/// How often ids without bodies are looked through, once there is room again.
pub(super) const RECLAIM_EVERY_MS: u64 = 10_000;

/// Rows looked at in one such round.
pub(super) const RECLAIM_SCAN_MAX: usize = 1024;

/// Bodies asked for in one such round.
pub(super) const RECLAIM_IDS_MAX: usize = 64;

/// Neighbours to which a publication that gossip did not take is offered at once.
pub(super) const OFFER_PEERS: usize = 3;

/// Records that wait to be offered to the next neighbour; what does not fit comes by sync.
pub(super) const OFFERS_WAITING_MAX: usize = 1024;

/// Requests of the relay's own (pushes, offers, questions about ids) that may be under way: two for each of many neighbours,
/// and some. What each is for takes some kilobytes at most.
pub(super) const ERRANDS_MAX: usize = 512;

/// Frames above this size are large: neighbours are told of them and fetch them, once. Texts, acks and receipts are well
/// below. See `large.rs`.
pub(super) const LARGE_BYTES: usize = 8 * 1024;

/// Neighbours that are told of a large record: an offer takes 50 bytes and an answer, so that all but a hub's are.
pub(super) const TELL_PEERS_MAX: usize = 16;

/// Ids that wait for the offer before theirs to be answered, for each neighbour and shard. What does not fit comes by sync.
pub(super) const TELLING_MAX: usize = griot_protocol::sync::OFFER_IDS_MAX;

/// Large records that this node was told of and lacks.
pub(super) const TOLD_MAX: usize = 4096;

/// …of which one neighbour may have been the first to tell so many: who invents ids does not push out others'.
pub(super) const TOLD_BY_ONE_MAX: usize = 256;

/// Neighbours remembered for each of them, in the order in which they told.
pub(super) const TELLERS_MAX: usize = 4;

/// Large records fetched from one neighbour at a time: a quarter of a megabyte, which a line of 256 kbit/s carries in eight
/// seconds.
pub(super) const TOLD_FETCH_MAX: usize = 4;

/// After so long without the record another neighbour is asked for it.
pub(super) const TOLD_FETCH_MS: u64 = 10_000;

/// How long an answer may take before the errand counts as failed.
pub(super) const ERRAND_TIMEOUT_MS: u64 = 60_000;

/// Carriers to which an envelope of a shard not carried here is handed over.
pub(super) const HAND_OVER_TO: usize = 3;

/// Carriers remembered for one shard.
pub(super) const CARRIERS_MAX: usize = 16;

/// How often carriers of one shard are looked for.
pub(super) const FIND_CARRIERS_EVERY_MS: u64 = 15_000;

/// First wait before carriers are asked about an envelope (again); it doubles from there.
pub(super) const ABOUT_FIRST_MS: u64 = 2_000;

/// Longest wait while custody is not proven: *stored* must follow within a minute.
pub(super) const ABOUT_FRESH_MAX_MS: u64 = 20_000;

/// Longest wait once some time has passed.
pub(super) const ABOUT_OLD_MAX_MS: u64 = 600_000;

/// Asks after which an envelope is no longer fresh: about ten minutes.
pub(super) const ABOUT_FRESH_TRIES: u32 = 32;

/// Envelopes that one tick hands over or asks about.
pub(super) const AWAY_PER_TICK: usize = 1024;

/// Acks (and imports) that wait for carriers of a shard not carried here.
pub(super) const PARCELS_MAX: usize = 4096;
