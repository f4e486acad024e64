//! Every limit of anti-entropy, each with its reason.

/// How often each carried shard is compared with a neighbour. The design's promise, *stored* within 60 s over three
/// hops when gossip lost the record, stands on it (and on [`spread`](super::Sync::spread)).
pub const INTERVAL_MS: u64 = 30_000;

/// Up to this much is added to or taken from each interval, so that nodes started together do not stay in step.
pub const INTERVAL_JITTER_MS: u64 = 5_000;

/// A new neighbour is compared with after at most this long: the side with the smaller id within this time, the other
/// not before [`YIELD_MS`], because one session works in both directions.
pub const PEER_UP_JITTER_MS: u64 = 500;

/// A shard that the other side has just opened with us is not opened from here for this long.
pub const YIELD_MS: u64 = 15_000;

/// What sync just brought is news to the other neighbours too: this many of them are compared with soon.
pub const SPREAD_PEERS: usize = 4;

/// …within this time, which gathers what comes in one burst.
pub const SPREAD_MS: u64 = 2_000;

/// The first pause after a failed session.
pub const BACKOFF_MS_MIN: u64 = 1_000;

/// The longest pause after failed sessions, jitter included. An honest neighbour that was restarted is never left
/// alone for longer.
pub const BACKOFF_MS_MAX: u64 = 15_000;

/// The pause before a session that ran out of budget, and got something for it, is taken up again.
pub const CONTINUE_MS: u64 = 200;

/// The pause where records were left out because another neighbour was bringing them already.
pub const SKIPPED_MS: u64 = 3_000;

/// An exchange that is not answered in this time has failed. A full answer is 1 MiB: 20 s serve 500 kbit/s.
pub const EXCHANGE_MS_MAX: u64 = 20_000;

/// The next window is fetched after this time even when nobody said that the last one was dealt with: a forgotten
/// signal must not stop repair, and going on early is merely wasteful.
pub const SETTLE_MS_MAX: u64 = 5_000;

/// A session ends after this time, and goes on later if it was useful: a neighbour that answers slowly on purpose
/// must not keep one of the few places.
pub const SESSION_MS_MAX: u64 = 60_000;

/// Sessions at a time: each holds up to one window of 1 MiB and a few MiB of ids.
pub const SESSIONS_MAX: usize = 8;

/// Exchanges in one session. A month of differing hours takes some fifty reconciliations of three rounds; the rest is
/// for fetching.
pub const EXCHANGES_MAX: u32 = 512;

/// Bytes in one session, both ways.
pub const SESSION_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Rounds of one reconciliation. Honest sets part in log₁₆ of their size; an answer that was cut brings a thousand ids
/// at least, and [`TRANSFER_IDS_MAX`] ends it after some thirty of those.
pub const ROUNDS_MAX: u32 = 64;

/// Differing ids after which a reconciliation is interrupted to transfer them: bounds the memory of what a liar
/// invents.
pub const TRANSFER_IDS_MAX: usize = 32 * 1024;

/// Our own ids in one reconciliation, beyond which no further bucket joins it: bounds its memory to some 10 MiB (a
/// single larger bucket is taken alone).
pub const BATCH_IDS_MAX: u64 = 256 * 1024;

/// Ids that the responder reads for one request before it leaves the remaining buckets for the next.
pub const RESPONSE_IDS_MAX: usize = 128 * 1024;

/// How long a shard is not opened with a neighbour that does not carry it, or does not understand.
pub const NOT_CARRIED_MS: u64 = 5 * 60_000;

/// How long a fruitless fetch or push of one id is not repeated with the same neighbour; doubled each time.
pub const HOLD_MS_MIN: u64 = 20_000;

/// The longest such time: a record that is refused for good costs two transfers an hour at most.
pub const HOLD_MS_MAX: u64 = 30 * 60_000;

/// Ids remembered as fruitless for each neighbour and direction. While they are all in use nothing more is fetched
/// from (or pushed to) it: this is what ends the business of a neighbour that offers without end and never delivers.
pub const HOLDS_MAX: usize = 8 * 1024;

/// What a neighbour may make us do: a unit is about a microsecond of work, this many come back each second (a fifth of
/// one core)…
pub const UNITS_PER_SECOND: u64 = 200_000;

/// …and this many can be saved up: a month's catch-up of an ordinary community in one go.
pub const UNITS_MAX: u64 = 4_000_000;

/// Units of any request: decoding, digests, encoding.
pub const REQUEST_UNITS: u64 = 200;

/// Units of a frame read from disk or taken in.
pub const FRAME_UNITS: u64 = 20;

/// Neighbours whose use is accounted for; far above the connection limit.
pub const ACCOUNTS_MAX: usize = 4096;

/// Rows looked at for marks in one session, when there is room again: some milliseconds of reading.
pub const MARK_ROWS_MAX: usize = 4 * 1024;
