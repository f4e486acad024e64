//! What follows when a commit is durable, or has failed. Nothing is answered, announced or shown before.

use griot_protocol::{Address, Body, MailboxKind, Record, RecordId};

use crate::store::{Entry, Local, Outcome, Position, Row};

use super::{
    Relay,
    admission::{accepted, named, needs_announcing},
    disk::storage_error,
    large::is_large,
    pending::{Commit, Origin, Saving},
    turn::Turn,
    types::{Answer, CallError, CallId, Output, PersistError, Tally, Ticket, Way},
};

/// What the operator is told of a full disk, and when it is over.
const FULL: &str = "the disk is full: new records are refused until there is room";
const TAKES_AGAIN: &str = "the disk takes records again";

impl Relay {
    /// A commit came back.
    pub(super) fn persisted(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        result: Result<Vec<Outcome>, PersistError>,
    ) {
        let Some((commit, makes_room)) = self.pending.committed(ticket) else { return };
        match result {
            Ok(outcomes) => {
                if !makes_room && self.disk.recovered() {
                    turn.emit(Output::Warn(TAKES_AGAIN.to_owned()));
                }
                self.durable(turn, commit, outcomes.first().copied());
            }
            Err(error) => {
                if self.disk.failed(&error, turn.mono_ms) {
                    turn.emit(Output::Warn(match &error {
                        PersistError::Full => FULL.to_owned(),
                        PersistError::Failed(text) => format!("writing records failed: {text}"),
                    }));
                }
                self.failed(turn, commit, &error);
            }
        }
    }

    /// The store has looked for itself whether there is room: nobody need submit anything for the operator to know, and
    /// whoever was sent away because the disk was full need not be the first to try again.
    pub(super) fn maintained(&mut self, turn: &mut Turn<'_>, full: bool) {
        if full {
            if self.disk.failed(&PersistError::Full, turn.mono_ms) {
                turn.emit(Output::Warn(FULL.to_owned()));
            }
        } else if self.disk.has_room() {
            turn.emit(Output::Warn(TAKES_AGAIN.to_owned()));
        }
    }

    fn durable(&mut self, turn: &mut Turn<'_>, commit: Commit, outcome: Option<Outcome>) {
        match commit {
            Commit::Save(saving) => self.saved(turn, *saving, outcome),
            Commit::Mark(marking) => self.pending.leave(marking.load),
            Commit::Outboxed { id, call } => {
                self.check_outbox(turn, &[id]);
                self.follow_shard(turn, &id);
                accepted(turn, call, id, true);
            }
            Commit::Register { call, member, keys, reserved } => {
                if reserved {
                    self.registry.release(member);
                }
                self.registered(turn, call, member, &keys);
            }
            Commit::Unregister { call, member, address } => self.unregistered(turn, call, member, &address),
            Commit::AddMember { call } => done(turn, call),
            Commit::RevokeMember { call, member } => self.member_revoked(turn, call, member),
            Commit::Discharge { ids } => {
                for id in &ids {
                    self.outbox.remove(id);
                }
            }
            Commit::Evict { ids } => {
                for id in &ids {
                    self.evicting.remove(id);
                    turn.count(Tally::Evicted);
                }
                self.note_postage(turn);
            }
        }
    }

    fn failed(&mut self, turn: &mut Turn<'_>, commit: Commit, error: &PersistError) {
        let mut refuse = |call| turn.emit(Output::Respond { call, result: Err(storage_error(error)) });
        match commit {
            Commit::Save(saving) => {
                let saving = *saving;
                for origin in saving.origins.iter().chain(&saving.late) {
                    if let Origin::Submit { call, .. } | Origin::Import { call } = origin {
                        refuse(*call);
                    }
                }
                self.all_done(&saving.origins);
                if saving.payer.is_some() {
                    self.outbox.remove(&saving.record.id());
                }
                if let Some(load) = saving.load {
                    self.pending.leave(load);
                }
                if saving.origins.contains(&Origin::Own) {
                    self.receipts.settled(&named(saving.record.body()));
                    self.receipts.scan(saving.record.address());
                }
            }
            Commit::Mark(marking) => self.pending.leave(marking.load),
            Commit::Outboxed { id, call } => {
                self.outbox.remove(&id);
                refuse(call);
            }
            Commit::Register { call, member, reserved, .. } => {
                if reserved {
                    self.registry.release(member);
                }
                refuse(call);
            }
            Commit::Unregister { call, .. } | Commit::AddMember { call } | Commit::RevokeMember { call, .. } => {
                refuse(call);
            }
            // They stay in the outbox until the next receipt, or until they expire.
            Commit::Discharge { .. } => {}
            Commit::Evict { ids } => {
                for id in &ids {
                    self.evicting.remove(id);
                }
            }
        }
    }

    /// A record is on disk, or was there already.
    fn saved(&mut self, turn: &mut Turn<'_>, saving: Saving, outcome: Option<Outcome>) {
        if let Some(load) = saving.load {
            self.pending.leave(load);
        }
        let id = saving.record.id();
        let is_new = matches!(outcome, Some(Outcome::Inserted(_)));
        // An ack may have come before it: the store then keeps no custody of it for the submitter.
        if saving.payer.is_some() {
            self.check_outbox(turn, &[id]);
        }
        let is_kept = is_kept(turn, id, outcome);
        for origin in &saving.origins {
            if let Origin::Submit { call, .. } | Origin::Import { call } = *origin {
                answer_saved(turn, call, id, is_new, is_kept);
            }
        }
        match outcome {
            Some(Outcome::Inserted(position)) => {
                self.count_new(turn, &saving);
                self.announce(turn, &saving);
                self.take_effect(turn, &saving, position);
            }
            // A releasing ack came before it: whoever sent it learns that it was collected.
            Some(Outcome::Buried) => turn.emit(Output::News { id }),
            Some(Outcome::Present) | None => {}
        }
        if is_new && saving.origins.iter().all(|origin| origin.way() == Way::Sync) {
            self.note_news(&saving.origins, saving.record.address().shard(self.config.params.bits));
        }
        self.told.arrived(&id);
        self.all_done(&saving.origins);
        if saving.origins.contains(&Origin::Own) {
            self.receipts.settled(&named(saving.record.body()));
        }
        self.answer_late(turn, &saving, is_kept);
    }

    fn answer_late(&mut self, turn: &mut Turn<'_>, saving: &Saving, is_kept: bool) {
        if saving.late.is_empty() {
            return;
        }
        let row = turn.store.row(&saving.record.id());
        let row: Option<Row> = turn.read(row).unwrap_or_default();
        for origin in saving.late.iter().copied() {
            match (&row, origin) {
                (Some(row), _) => self.duplicate(turn, origin, row),
                // Where it is durable all the same, the commit said so.
                (None, Origin::Submit { call, .. } | Origin::Import { call }) => {
                    answer_saved(turn, call, saving.record.id(), false, is_kept);
                }
                (None, _) => {}
            }
        }
    }

    fn count_new(&mut self, turn: &mut Turn<'_>, saving: &Saving) {
        let Some(first) = saving.origins.first() else { return };
        let way = first.way();
        turn.emit(Output::Kept { id: saving.record.id(), way, from: first.peer() });
        turn.count(Tally::Accepted(saving.record.kind().name(), way.name()));
        match way {
            Way::Sync => {
                turn.count(Tally::SyncRepaired);
                if self.gossip_should_have(first, &saving.record) {
                    turn.count(Tally::GossipMissed);
                }
            }
            Way::Own => turn.count(Tally::ReceiptIssued),
            Way::Api | Way::Import | Way::Gossip | Way::Told => {}
        }
    }

    /// Whether gossip should have brought a record that sync did: it is not large, is of a shard whose gossip is heard here,
    /// and was made after the neighbour that brought it was met. Authors round down to the minute, so that none is counted
    /// that was made before, and some are not that were made just after.
    fn gossip_should_have(&self, origin: &Origin, record: &Record) -> bool {
        let met_at = origin.peer().and_then(|peer| self.met_at.get(&peer));
        met_at.is_some_and(|met_at| record.body().created_at() >= *met_at)
            && !is_large(record)
            && self.carriage.carries(record.address().shard(self.config.params.bits))
    }

    /// Gossips what did not come by gossip, or tells neighbours of it where it is large, and sees to it that somebody
    /// carries what is not carried here.
    fn announce(&mut self, turn: &mut Turn<'_>, saving: &Saving) {
        let ways = || saving.origins.iter().map(Origin::way);
        let is_relayed = ways().all(|way| matches!(way, Way::Sync | Way::Import));
        if !ways().all(needs_announcing) || (is_relayed && !self.rates.take_relayed(turn.mono_ms)) {
            return;
        }
        let record = &saving.record;
        let shard = record.address().shard(self.config.params.bits);
        if ways().all(|way| way == Way::Sync) && !self.carriage.carries(shard) {
            // News of an envelope that was sent away: its own shard has it already.
            return;
        }
        if is_large(record) && self.carriage.carries(shard) {
            self.tell_of(turn, record.id(), shard);
        } else {
            turn.emit(Output::Publish { shard, id: record.id(), frame: record.frame().clone() });
        }
        if !self.carriage.carries(shard) {
            self.send_away(turn, record.id(), shard, record.expires_at());
        }
    }

    /// If others carry an envelope of the outbox, they are to be handed it, and asked about it.
    pub(super) fn follow_shard(&mut self, turn: &mut Turn<'_>, id: &RecordId) {
        let Some(item) = self.outbox.get(id).copied() else { return };
        let shard = item.address.shard(self.config.params.bits);
        if item.away.is_none() && !self.carriage.carries(shard) {
            self.send_away(turn, *id, shard, item.expires_at);
        }
    }

    /// What a new record means for mailboxes, outbox, streams and receipts.
    fn take_effect(&mut self, turn: &mut Turn<'_>, saving: &Saving, position: Option<Position>) {
        let record = &saving.record;
        let (id, address) = (record.id(), record.address());
        if self.registry.contains(&address) {
            let usage = turn.store.usage(&address);
            self.registry.refresh(&address, usage);
        }
        match record.body() {
            Body::Envelope(_) => {
                if let Some(position) = position {
                    turn.emit(Output::Delivered { address, position, id });
                }
                if saving.receipt {
                    let kind = record.body().keys().kind;
                    self.owe_receipt(turn, kind, address, id, record.expires_at());
                    return;
                }
                if self.registry.contains(&address) {
                    self.receipts.wait_for_room(address);
                }
                if saving.payer.is_none() {
                    self.note_postage(turn);
                    self.evict(turn);
                }
            }
            Body::Ack(ack) => {
                for item in &ack.items {
                    turn.emit(Output::News { id: item.id });
                }
                self.check_outbox(turn, &named(record.body()));
            }
            Body::Custody(custody) => {
                for id in &custody.items {
                    turn.emit(Output::News { id: *id });
                }
                if custody.keys.kind == MailboxKind::Shared {
                    self.discharge(turn, &custody.items, &address);
                }
            }
        }
    }

    /// Shared envelopes leave the outbox at their first valid custody receipt, which names their own mailbox.
    fn discharge(&mut self, turn: &mut Turn<'_>, items: &[RecordId], address: &Address) {
        let ids: Vec<RecordId> = items
            .iter()
            .copied()
            .filter(|id| self.outbox.get(id).is_some_and(|item| item.address == *address))
            .collect();
        if ids.is_empty() {
            return;
        }
        let entries = ids.iter().map(|id| Entry::Local(Local::Discharged { id: *id })).collect();
        self.commit(turn, entries, Commit::Discharge { ids });
    }

    /// Takes out of the table what the store says has left the outbox.
    fn check_outbox(&mut self, turn: &mut Turn<'_>, ids: &[RecordId]) {
        for id in ids.iter().filter(|id| self.outbox.contains(id)).copied().collect::<Vec<_>>() {
            let row = turn.store.row(&id);
            if let Ok(row) = turn.read(row)
                && row.is_none_or(|row| row.outbox.is_none())
            {
                self.outbox.remove(&id);
            }
        }
    }
}

fn done(turn: &mut Turn<'_>, call: CallId) {
    turn.emit(Output::Respond { call, result: Ok(Answer::Done) });
}

/// Whether a record that the store took is there. It keeps nothing that expires in a closed hour, and a clock that
/// was ahead has closed hours that are still to come: until that is noticed, or for as long as their acks are gone.
fn is_kept(turn: &mut Turn<'_>, id: RecordId, outcome: Option<Outcome>) -> bool {
    if outcome != Some(Outcome::Present) {
        return true;
    }
    let row = turn.store.row(&id);
    // Where the store cannot be read, its word stands.
    !matches!(turn.read(row), Ok(None))
}

/// Tells whoever submitted a record that it is on disk; or that it is not, because its hour is closed.
fn answer_saved(turn: &mut Turn<'_>, call: CallId, id: RecordId, is_new: bool, is_kept: bool) {
    if is_kept {
        return accepted(turn, call, id, !is_new);
    }
    let text = "this node keeps nothing that expires so soon, because its clock was ahead for a while: try again in a \
                minute, or use another node";
    turn.emit(Output::Respond { call, result: Err(CallError::Storage(text.to_owned())) });
}
