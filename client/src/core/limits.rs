//! Every limit of the client, each with its reason.

use griot_protocol::limits::LIFE_SECONDS_MAX;

/// Homes of one account: 2–3 are advised; every mailbox is registered at and read from each.
pub const HOMES_MAX: usize = 16;

/// Homes that an account should have at least: with one alone, mail is gone when it is.
pub const HOMES_ADVISED: usize = 2;

/// Active invites: each is a mailbox that every home is asked about.
pub const INVITES_MAX: usize = 64;

/// An invite's life unless told otherwise, in days.
pub const INVITE_DAYS_DEFAULT: u32 = 7;

/// An invite's longest life in days: its link names a fallback key, which is certain to be kept this long
/// ([`FALLBACK_SECONDS_MAX`] after it was replaced).
pub const INVITE_DAYS_MAX: u32 = 60;

/// Requests kept for a person to judge; more than that is a flood, and the invite wants revoking.
pub const REQUESTS_MAX: usize = 256;

/// A request's message in bytes: a few lines, so that a request fits a small bucket.
pub const REQUEST_MESSAGE_BYTES_MAX: usize = 1024;

/// How long a message tries to arrive: the longest that any node keeps it.
pub const MESSAGE_LIFE_SECONDS: u64 = LIFE_SECONDS_MAX;

/// Records that wait for a home or for an ack. A full queue is an error for the person, never a loss.
pub const QUEUE_MAX: usize = 10_000;

/// How long a grant runs that a home gets at registration.
pub const GRANT_SECONDS: u64 = 180 * 24 * 3600;

/// When a registration is renewed: half-way, so that three months without a connection are no harm.
pub const GRANT_RENEW_SECONDS: u64 = GRANT_SECONDS / 2;

/// A fallback key's age before it is replaced. vodozemac keeps one predecessor, so a peer may use one that is twice as old.
pub const FALLBACK_SECONDS_MAX: u64 = 60 * 24 * 3600;

/// How often a home is asked again who it is: postage and shards change seldom.
pub const GREET_EVERY_SECONDS: u64 = 3600;

/// How often a mailbox is read where no stream tells of news.
pub const FETCH_EVERY_SECONDS: u64 = 15;

/// The first pause before a home is asked about a record, then doubled up to [`ASK_PAUSE_SECONDS_MAX`].
pub const ASK_PAUSE_SECONDS_MIN: u64 = 1;

/// The longest pause between two questions about one record.
pub const ASK_PAUSE_SECONDS_MAX: u64 = 300;

/// The longest pause after a home did not answer.
pub const HOME_PAUSE_SECONDS_MAX: u64 = 60;

/// How long one home has to bring a record to *stored* before it is offered to another one.
pub const OFFER_AGAIN_SECONDS: u64 = 30;

/// Work that was handed out and not reported on is handed out again after this.
pub const WORK_FORGOTTEN_SECONDS: u64 = 60;

/// Work handed out at once.
pub const WORK_MAX: usize = 256;

/// How long later messages wait for a missing one, counted from when all reachable homes were asked.
pub const HOLD_SECONDS_MAX: u64 = 600;

/// Messages held in one mailbox while one is missing: Olm refuses larger gaps than 2,000 in any case.
pub const HELD_MAX: usize = 1_000;

/// Chains remembered for each mailbox. A writer starts a new one after a restore or a new mailbox, so seldom.
pub const CHAINS_MAX: usize = 8;

/// Olm sessions kept for each contact; the oldest unused one goes.
pub const SESSIONS_MAX: usize = 5;

/// How often a session that is out of step may be replaced: each costs a key agreement, and a contact could ask for them
/// without end.
pub const RESET_EVERY_SECONDS: u64 = 600;

/// How often unreadable records are reported once the new session works: what was under way meanwhile need not wait for
/// the next reset, and a contact who sends nothing but noise hears of it no more often than this.
pub const REPORT_EVERY_SECONDS: u64 = 30;

/// Unreadable records in one report: it then fits a small bucket.
pub const UNREADABLE_MAX: usize = 64;

/// Unreadable records of one contact that wait to be reported: twice the widest gap that Olm bridges.
pub const REPORTS_MAX: usize = 4_096;

/// How often one message is encrypted anew because the other side could not read it.
pub const RESENDS_MAX: usize = 3;
