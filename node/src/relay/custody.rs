//! Custody: for whom a record is kept, and what makes room when there is too little.
//!
//! | class | what | bounded by |
//! |---|---|---|
//! | 1 | envelopes for mailboxes registered here | the members' quota |
//! | 2 | envelopes submitted here, until acked | the submitter's quota; refused at submission, never dropped later |
//! | 3 | the rest of the shards carried | a byte budget; eviction from the mailbox that holds most |
//!
//! Near the end of the budget, class 3 asks for more postage. What is refused or evicted for want of room leaves an
//! id-only mark, so that neighbours do not push it again and again. Classes 1 and 2 never wait behind class 3.

use griot_protocol::{Record, RecordId, RecordKind, limits::POSTAGE_BITS_MAX, postage};

use crate::store::{Entry, Local, MemberId};

use super::{
    Relay,
    admission::{No, named},
    limits::{CONGESTED_PERCENT, CONGESTED_POSTAGE_BITS, EVICT_MAX, FULL_POSTAGE_BITS, MARKS_MAX},
    outbox::Item,
    pending::{Commit, Load, Marking, Origin, Saving},
    registry::quota_of,
    turn::Turn,
    types::{Output, Tally, Verdict},
};

/// Extra postage that class 3 asks for when `held` of `budget` bytes are used.
fn surcharge(held: u64, budget: u64) -> u8 {
    if held >= budget {
        FULL_POSTAGE_BITS
    } else if held >= budget / 100 * CONGESTED_PERCENT {
        CONGESTED_POSTAGE_BITS
    } else {
        0
    }
}

impl Relay {
    /// Works out the postage that records for other communities' mailboxes need now.
    pub(super) fn note_postage(&mut self, turn: &Turn<'_>) {
        let least = self.config.params.postage_bits;
        let held = turn.store.totals().best_effort_bytes;
        let bits = least.saturating_add(surcharge(held, self.config.limits.best_effort_bytes));
        self.postage_bits_now = bits.min(POSTAGE_BITS_MAX).max(least);
    }

    /// Whether a record that nobody submitted here would be kept now.
    pub(super) fn has_room(&self, turn: &Turn<'_>, record: &Record) -> bool {
        let address = record.address();
        if record.kind() == RecordKind::Envelope && self.registry.contains(&address) {
            let bytes = record.frame().len() as u64;
            return self.registry.has_room(&address, bytes, &self.config.limits);
        }
        postage::bits_of(&record.id()) >= self.postage_bits_now || self.matters_here(turn, record)
    }

    /// Whether a record is for a mailbox registered here, or about what was submitted here.
    pub(super) fn is_for_members(&self, record: &Record) -> bool {
        let is_news =
            || record.kind() != RecordKind::Envelope && named(record.body()).iter().any(|id| self.outbox.contains(id));
        self.registry.contains(&record.address()) || is_news()
    }

    /// Whether an ack or receipt is about a mailbox or envelope that this node answers for.
    fn matters_here(&self, turn: &Turn<'_>, record: &Record) -> bool {
        if record.kind() == RecordKind::Envelope {
            return false;
        }
        let is_held = |id: &RecordId| {
            self.outbox.contains(id)
                || turn.store.row(id).is_ok_and(|row| row.is_some_and(|row| row.address == record.address()))
        };
        self.registry.contains(&record.address()) || named(record.body()).iter().any(is_held)
    }

    /// Whether `member` may have `bytes` more in the outbox.
    pub(super) fn check_outbox_quota(&self, member: MemberId, bytes: u64) -> Result<(), No> {
        let quota = quota_of(&self.config.limits, member);
        let used = self.outbox.usage(member);
        if used.envelopes >= quota.outbox_envelopes {
            return Err(No::Quota(format!(
                "{} envelopes wait to be collected, the most this node keeps for a member: wait, or use another node",
                used.envelopes
            )));
        }
        if used.bytes.saturating_add(bytes) > quota.outbox_bytes {
            return Err(No::Quota(format!(
                "{} bytes wait to be collected, and this node keeps {} for a member: wait, or use another node",
                used.bytes, quota.outbox_bytes
            )));
        }
        Ok(())
    }

    /// Finds a place for a verified record that is new here.
    pub(super) fn place(&mut self, turn: &mut Turn<'_>, record: Record, origins: Vec<Origin>, load: Load) {
        let (origins, late, payer) = self.find_payer(turn, &record, origins);
        if origins.is_empty() {
            self.pending.leave(load);
            return;
        }
        let is_mail = record.kind() == RecordKind::Envelope;
        let receipt = is_mail && self.registry.contains(&record.address()) && self.has_room(turn, &record);
        if receipt || payer.is_some() || self.is_taken(turn, &record, &origins) {
            for origin in &origins {
                if let Origin::Gossip { peer, message, .. } = *origin {
                    turn.emit(Output::Judge { peer, message, verdict: Verdict::Accept });
                }
            }
            let load = Some(load);
            self.save(turn, Saving { record, origins, late, payer, receipt, load });
        } else {
            self.mark(turn, &record, origins, load);
        }
    }

    fn is_taken(&self, turn: &Turn<'_>, record: &Record, origins: &[Origin]) -> bool {
        // A member's own acks are taken whatever the postage: members' records never wait behind others'.
        origins.iter().any(|origin| matches!(origin, Origin::Submit { .. } | Origin::Own))
            || self.has_room(turn, record)
    }

    /// Of those who submitted an envelope, the first whose quota has room pays for it. Returns who waits for the commit,
    /// who is answered after it as a duplicate, and the payer.
    fn find_payer(
        &mut self,
        turn: &mut Turn<'_>,
        record: &Record,
        origins: Vec<Origin>,
    ) -> (Vec<Origin>, Vec<Origin>, Option<MemberId>) {
        if record.kind() != RecordKind::Envelope {
            return (origins, Vec::new(), None);
        }
        let bytes = record.frame().len() as u64;
        let (mut waiting, mut late, mut payer) = (Vec::with_capacity(origins.len()), Vec::new(), None);
        for origin in origins {
            match origin {
                Origin::Submit { .. } if payer.is_some() => late.push(origin),
                Origin::Submit { member, .. } => match self.check_outbox_quota(member, bytes) {
                    Ok(()) => {
                        payer = Some(member);
                        waiting.push(origin);
                    }
                    Err(no) => self.turn_away(turn, origin, no),
                },
                Origin::Import { .. }
                | Origin::Gossip { .. }
                | Origin::Sync { .. }
                | Origin::Told { .. }
                | Origin::Own => {
                    waiting.push(origin);
                }
            }
        }
        (waiting, late, payer)
    }

    /// Makes a record durable.
    pub(super) fn save(&mut self, turn: &mut Turn<'_>, saving: Saving) {
        let record = &saving.record;
        let mut entries = vec![Entry::Record(record.clone())];
        if let Some(member) = saving.payer {
            self.outbox.insert(record.id(), Item::of(record, member));
            entries.push(Entry::Local(Local::Submitted { id: record.id(), member }));
        }
        self.commit(turn, entries, Commit::Save(Box::new(saving)));
    }

    /// Refuses custody of a valid record: only its id is kept. It is passed on where only its reader's quota is short.
    fn mark(&mut self, turn: &mut Turn<'_>, record: &Record, origins: Vec<Origin>, load: Load) {
        let is_ours = self.registry.contains(&record.address());
        let no = if is_ours {
            No::Quota("the members who read this mailbox have no room for more".to_owned())
        } else {
            No::Room
        };
        for origin in origins {
            match origin {
                Origin::Gossip { peer, message, .. } if is_ours => {
                    turn.count(Tally::Refused("quota", origin.way().name()));
                    turn.emit(Output::Judge { peer, message, verdict: Verdict::Accept });
                }
                _ => self.turn_away(turn, origin, no.clone()),
            }
        }
        if turn.store.totals().marks >= MARKS_MAX || !self.disk.takes(record.kind(), turn.mono_ms) {
            self.pending.leave(load);
            return;
        }
        let id = record.id();
        let entry = Entry::Local(Local::Marked {
            id,
            kind: record.kind(),
            address: record.address(),
            created_at: record.body().created_at(),
            expires_at: record.expires_at(),
        });
        self.commit(turn, vec![entry], Commit::Mark(Marking { load }));
    }

    /// Drops class-3 bodies while they are over budget; one round at a time.
    pub(super) fn evict(&mut self, turn: &mut Turn<'_>) {
        if !self.evicting.is_empty() || self.disk.is_full() {
            return;
        }
        let over = turn.store.totals().best_effort_bytes.saturating_sub(self.config.limits.best_effort_bytes);
        if over == 0 {
            return;
        }
        let candidates = turn.store.eviction_candidates(over, EVICT_MAX);
        let Ok(ids) = turn.read(candidates) else { return };
        // What was submitted here a moment ago may not be in the index as such yet.
        let ids: Vec<RecordId> = ids.into_iter().filter(|id| !self.outbox.contains(id)).collect();
        if ids.is_empty() {
            return;
        }
        self.evicting.extend(ids.iter().copied());
        let entries = ids.iter().map(|id| Entry::Local(Local::Evicted { id: *id })).collect();
        self.commit(turn, entries, Commit::Evict { ids });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postage_rises_with_what_is_held() {
        assert_eq!(surcharge(0, 1000), 0);
        assert_eq!(surcharge(899, 1000), 0);
        assert_eq!(surcharge(900, 1000), CONGESTED_POSTAGE_BITS);
        assert_eq!(surcharge(1000, 1000), FULL_POSTAGE_BITS);
        assert_eq!(surcharge(0, 0), FULL_POSTAGE_BITS, "no budget takes nothing at common postage");
    }
}
