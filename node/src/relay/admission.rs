//! Admission: what is done with bytes from outside, cheapest check first.
//!
//! length and header → times → topic and shard → seen → postage → rate → signature. What is wrong with a record decides what is
//! thought of whoever handed it over: only what no honest implementation sends is held against a peer; wrong times,
//! unknown kinds and overload never are.

use bytes::Bytes;
use griot_protocol::{Body, Class, MailboxKind, Record, RecordId, RecordKind, Refusal, Unverified, api::Accepted};

use crate::store::{Entry, Holding, Local, MemberId, Row};

use super::{
    Relay,
    disk::{storage_error, unreadable},
    limits::{STRIKES_MAX, WAITING_COPIES_MAX},
    outbox::Item,
    pending::{Commit, Origin, frame_key},
    turn::{Turn, Unreadable},
    types::{Answer, CallError, CallId, Output, PersistError, Tally, Ticket, Verdict, Way},
};

/// Why a record is turned away.
#[derive(Clone, Debug)]
pub(super) enum No {
    /// It breaks a rule of the protocol.
    Rule(Refusal),
    /// It came by gossip on the topic of another shard than its mailbox's.
    Topic,
    /// This node does not carry its shard.
    Shard,
    /// Too many in a short time; there will be room in so many milliseconds.
    Rate(u64),
    /// Lines are full, and this neighbour has had its share of them; it has some again in so many milliseconds.
    Lines(u64),
    /// Too many are under way.
    Busy,
    /// A quota is used up: which, in words for the member.
    Quota(String),
    /// The budget for what is not ours is used up.
    Room,
    /// The disk is full.
    Full,
    /// The store cannot be read.
    Unreadable,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Rule(refusal)
    }
}

impl From<Unreadable> for No {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl No {
    /// Its name in counters.
    const fn reason(&self) -> &'static str {
        match self {
            Self::Rule(refusal) => refusal.reason(),
            Self::Topic => "topic",
            Self::Shard => "shard",
            Self::Rate(_) => "rate",
            Self::Lines(_) => "lines",
            Self::Busy => "busy",
            Self::Quota(_) => "quota",
            Self::Room => "room",
            Self::Full => "disk-full",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether an honest peer may have handed it over.
    fn is_blameless(&self) -> bool {
        match self {
            Self::Rule(refusal) => refusal.class() != Class::Invalid,
            // A topic names its number of bits, and we subscribe only to those of ours: where the shard lies is no
            // matter of opinion, and an honest node has checked it before it passed the record on.
            Self::Topic => false,
            _ => true,
        }
    }

    fn call_error(self) -> CallError {
        match self {
            Self::Rule(refusal) => CallError::Refused(refusal),
            Self::Rate(wait_ms) | Self::Lines(wait_ms) => CallError::Rate(wait_ms.div_ceil(1000).max(1)),
            Self::Busy | Self::Shard | Self::Topic => CallError::Busy,
            Self::Quota(text) => CallError::Quota(text),
            Self::Room => {
                CallError::Quota("no room for mailboxes of other communities: raise the best-effort budget".to_owned())
            }
            Self::Full => storage_error(&PersistError::Full),
            Self::Unreadable => unreadable(),
        }
    }
}

impl Relay {
    /// Lets a frame in as far as the signature check, or answers whoever brought it.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>, origin: Origin, frame: Bytes) {
        if let Err(no) = self.try_admit(turn, origin, frame) {
            self.turn_away(turn, origin, no);
        }
    }

    fn try_admit(&mut self, turn: &mut Turn<'_>, origin: Origin, frame: Bytes) -> Result<(), No> {
        let unverified = Unverified::parse(frame)?;
        unverified.check_times(turn.wall)?;
        let claimed = unverified.claimed();
        if !self.is_on_its_topic(&origin, claimed) {
            return Err(No::Topic);
        }
        if !self.wants_shard(&origin, claimed) {
            return Err(No::Shard);
        }
        if self.answer_if_seen(turn, origin, claimed)? {
            return Ok(());
        }
        unverified.check_postage(self.config.params.postage_bits)?;
        self.take_rate(turn, &origin, claimed)?;
        if !self.disk.takes(claimed.kind(), turn.mono_ms) {
            return Err(No::Full);
        }
        let key = frame_key(claimed);
        if let Some(verifying) = self.pending.verification_of(&key) {
            if verifying.origins.len() >= WAITING_COPIES_MAX {
                return Err(No::Busy);
            }
            verifying.origins.push(origin);
            return Ok(());
        }
        let load = self.pending.enter(origin.way(), claimed.frame().len()).ok_or(No::Busy)?;
        let ticket = self.ticket();
        self.pending.verify(ticket, key, origin, load);
        turn.emit(Output::Verify { ticket, record: unverified });
        Ok(())
    }

    /// Whether a gossiped record came on the topic of its own shard. On another it would travel among nodes that do not
    /// want it, and past those that do.
    fn is_on_its_topic(&self, origin: &Origin, claimed: &Record) -> bool {
        match origin {
            Origin::Gossip { shard, .. } => claimed.address().shard(self.config.params.bits) == *shard,
            Origin::Submit { .. } | Origin::Import { .. } | Origin::Sync { .. } | Origin::Told { .. } | Origin::Own => {
                true
            }
        }
    }

    /// Whether the record's shard is carried, or the record may come in all the same.
    fn wants_shard(&self, origin: &Origin, claimed: &Record) -> bool {
        match origin {
            Origin::Submit { .. } | Origin::Import { .. } | Origin::Own => true,
            Origin::Gossip { .. } | Origin::Told { .. } => {
                self.carriage.carries(claimed.address().shard(self.config.params.bits))
            }
            // Carriers answer for what was submitted here into shards that are not carried here.
            Origin::Sync { .. } => {
                self.carriage.carries(claimed.address().shard(self.config.params.bits))
                    || named(claimed.body()).iter().any(|id| self.outbox.contains(id))
            }
        }
    }

    /// Answers for a record that is known; says whether it was.
    fn answer_if_seen(&mut self, turn: &mut Turn<'_>, origin: Origin, claimed: &Record) -> Result<bool, No> {
        let id = claimed.id();
        if self.pending.saving(&id).is_some() {
            self.join_saving(turn, origin, &id);
            return Ok(true);
        }
        // What is being evicted is as good as gone: taking it in again brings the body back.
        if self.evicting.contains(&id) {
            return Ok(false);
        }
        let row = turn.store.row(&id);
        let Some(row) = turn.read(row)? else { return Ok(false) };
        let is_wanted_mark = row.holding == Holding::Marked && self.wants_mark(turn, &origin, claimed);
        if is_wanted_mark {
            return Ok(false);
        }
        self.duplicate(turn, origin, &row);
        Ok(true)
    }

    /// Whether a record known by id only would now be taken in.
    fn wants_mark(&self, turn: &Turn<'_>, origin: &Origin, claimed: &Record) -> bool {
        match origin {
            Origin::Submit { .. } | Origin::Import { .. } | Origin::Own => true,
            Origin::Gossip { .. } | Origin::Sync { .. } | Origin::Told { .. } => self.has_room(turn, claimed),
        }
    }

    /// A copy of a record that is on its way to the disk: answered once it is there.
    pub(super) fn join_saving(&mut self, turn: &mut Turn<'_>, origin: Origin, id: &RecordId) {
        match origin {
            Origin::Submit { .. } | Origin::Import { .. } => {
                let Some(saving) = self.pending.saving(id) else { return };
                if saving.late.len() < WAITING_COPIES_MAX {
                    saving.late.push(origin);
                } else {
                    self.turn_away(turn, origin, No::Busy);
                }
            }
            Origin::Gossip { peer, message, .. } => {
                turn.count(Tally::GossipDuplicate);
                turn.emit(Output::Judge { peer, message, verdict: Verdict::Ignore });
            }
            Origin::Sync { batch, .. } | Origin::Told { batch, .. } => self.one_done(batch),
            Origin::Own => {}
        }
    }

    /// A copy of a record that the store knows.
    pub(super) fn duplicate(&mut self, turn: &mut Turn<'_>, origin: Origin, row: &Row) {
        match origin {
            Origin::Submit { call, member } => match self.enters_outbox(turn, member, row) {
                Ok(false) => accepted(turn, call, row.id, true),
                Ok(true) if self.pending.takes_local() => self.take_into_outbox(turn, call, member, row),
                Ok(true) => self.turn_away(turn, origin, No::Busy),
                Err(no) => self.turn_away(turn, origin, no),
            },
            Origin::Import { call } => accepted(turn, call, row.id, true),
            Origin::Gossip { .. } | Origin::Sync { .. } | Origin::Told { .. } | Origin::Own => {
                self.join_saving(turn, origin, &row.id);
            }
        }
    }

    /// Whether an envelope that is held already must also be kept for the member who submits it now.
    fn enters_outbox(&self, turn: &mut Turn<'_>, member: MemberId, row: &Row) -> Result<bool, No> {
        let is_kept = row.outbox.is_some() || self.outbox.contains(&row.id);
        if row.kind != RecordKind::Envelope || row.holding != Holding::Held || row.acked || is_kept {
            return Ok(false);
        }
        if self.is_proven_stored(turn, &row.id)? {
            return Ok(false);
        }
        self.check_outbox_quota(member, u64::from(row.frame_bytes))?;
        Ok(true)
    }

    /// Whether a held `Shared` envelope has a custody receipt: it then needs no outbox any more.
    fn is_proven_stored(&self, turn: &mut Turn<'_>, id: &RecordId) -> Result<bool, Unreadable> {
        let about = turn.store.about(id);
        let mut has_receipt = false;
        for about in turn.read(about)? {
            let row = turn.store.row(&about);
            has_receipt |= turn.read(row)?.is_some_and(|row| row.kind == RecordKind::Custody);
        }
        if !has_receipt {
            return Ok(false);
        }
        let frame = turn.store.frame(id);
        let Some(frame) = turn.read(frame)? else { return Ok(false) };
        Ok(Unverified::parse(frame).is_ok_and(|held| held.claimed().body().keys().kind == MailboxKind::Shared))
    }

    fn take_rate(&mut self, turn: &Turn<'_>, origin: &Origin, claimed: &Record) -> Result<(), No> {
        match origin {
            Origin::Submit { member, .. } if *member != MemberId::LOCAL => {
                self.rates.take_member(*member, &self.config.limits, turn.mono_ms).map_err(No::Rate)
            }
            Origin::Gossip { peer, .. } => {
                self.rates.take_peer(*peer, &self.config.limits, turn.mono_ms).map_err(No::Rate)?;
                if self.is_for_members(claimed) || !self.peers.contains(peer) {
                    return Ok(());
                }
                self.lines.bring(*peer, claimed.frame().len(), turn.mono_ms).map_err(No::Lines)
            }
            Origin::Submit { .. } | Origin::Import { .. } | Origin::Sync { .. } | Origin::Told { .. } | Origin::Own => {
                Ok(())
            }
        }
    }

    /// Tells whoever brought a record that it is not taken.
    pub(super) fn turn_away(&mut self, turn: &mut Turn<'_>, origin: Origin, no: No) {
        turn.count(Tally::Refused(no.reason(), origin.way().name()));
        match origin {
            Origin::Submit { call, .. } | Origin::Import { call } => {
                turn.emit(Output::Respond { call, result: Err(no.call_error()) });
            }
            Origin::Gossip { peer, message, .. } => {
                let verdict = if no.is_blameless() { Verdict::Ignore } else { Verdict::Reject };
                turn.emit(Output::Judge { peer, message, verdict });
            }
            Origin::Sync { peer, batch } | Origin::Told { peer, batch } => {
                self.one_done(batch);
                if no.is_blameless() {
                    return;
                }
                let strikes = self.strikes.entry(peer).or_default();
                *strikes += 1;
                if *strikes == STRIKES_MAX {
                    turn.emit(Output::Disconnect { peer, reason: "it keeps sending invalid records" });
                }
            }
            Origin::Own => {}
        }
    }

    /// A signature was checked.
    pub(super) fn verified(&mut self, turn: &mut Turn<'_>, ticket: Ticket, result: Result<Record, Refusal>) {
        let Some(verifying) = self.pending.verified(ticket) else { return };
        let record = match result {
            Ok(record) => record,
            Err(refusal) => {
                self.pending.leave(verifying.load);
                for origin in verifying.origins {
                    self.turn_away(turn, origin, No::Rule(refusal));
                }
                return;
            }
        };
        let id = record.id();
        let mut known = self.pending.saving(&id).is_some();
        let mut row = None;
        if verifying.contested && !known {
            let read = turn.store.row(&id);
            row = turn.read(read).unwrap_or_default().filter(|row| row.holding != Holding::Marked);
            known = row.is_some();
        }
        if !known {
            self.place(turn, record, verifying.origins, verifying.load);
            return;
        }
        self.pending.leave(verifying.load);
        for origin in verifying.origins {
            match &row {
                Some(row) => self.duplicate(turn, origin, row),
                None => self.join_saving(turn, origin, &id),
            }
        }
    }

    fn take_into_outbox(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId, row: &Row) {
        self.outbox.insert(row.id, Item::of_row(row, member));
        let entry = Entry::Local(Local::Submitted { id: row.id, member });
        self.commit(turn, vec![entry], Commit::Outboxed { id: row.id, call });
    }
}

/// "It is on disk."
pub(super) fn accepted(turn: &mut Turn<'_>, call: CallId, id: RecordId, duplicate: bool) {
    turn.emit(Output::Respond { call, result: Ok(Answer::Accepted(Accepted { id, duplicate })) });
}

/// The envelopes that an ack or a receipt names.
pub(super) fn named(body: &Body) -> Vec<RecordId> {
    match body {
        Body::Envelope(_) => Vec::new(),
        Body::Ack(ack) => ack.items.iter().map(|item| item.id).collect(),
        Body::Custody(custody) => custody.items.clone(),
    }
}

/// Whether a record that came this way must be announced by gossip: gossiped ones are passed on by gossipsub itself.
pub(super) const fn needs_announcing(way: Way) -> bool {
    !matches!(way, Way::Gossip)
}
