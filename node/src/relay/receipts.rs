//! Custody receipts: "these are on my disk", for mailboxes whose recipients chose this node.
//!
//! Envelopes wait a moment for company, so that one signature covers a burst. Shared mailboxes may have as many homes as
//! readers: each waits for a time of its own, and signs nothing that a few others have signed by then. Mailboxes are also *scanned* for held
//! envelopes that have no receipt of this node: at start (a crash may have come between envelope and receipt), when a
//! mailbox that holds mail is registered, where more came at once than fits in memory, and when a mailbox that was full
//! has room again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use griot_protocol::{
    Address, Body, MailboxKeys, MailboxKind, NodeId, Record, RecordId, RecordKind, Refusal, Timestamp, Unverified,
    limits::{ITEMS_MAX, LIFE_SECONDS_MAX},
};

use rand::RngExt;

use crate::store::{Holding, Position};

use super::{
    Relay,
    limits::{
        RECEIPT_DELAY_MS, RECEIPT_IDS_MAX, RECEIPT_SCAN_MAX, RECEIPTS_MAKING_MAX, ROOM_LOOKS_PER_TICK,
        SHARED_RECEIPT_SPREAD_MS, SHARED_RECEIPTS_ENOUGH,
    },
    pending::{Origin, Saving},
    turn::{Turn, Unreadable},
    types::{Output, Ticket},
};

/// Envelopes of one mailbox that will share a receipt.
#[derive(Debug)]
struct Gathering {
    due_ms: u64,
    items: Vec<(RecordId, Timestamp)>,
}

/// Whose receipts there are for an envelope.
#[derive(Debug, Default)]
struct Signers {
    own: bool,
    others: BTreeSet<NodeId>,
}

impl Signers {
    /// Whether one more would prove nothing more to the author of a message to many readers.
    fn are_enough(&self) -> bool {
        self.others.len() >= SHARED_RECEIPTS_ENOUGH
    }
}

/// What is owed.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    gathering: BTreeMap<Address, Gathering>,
    /// When each gathering is due, in order.
    due: BTreeSet<(u64, Address)>,
    /// Envelopes gathered, in the making, or in receipts on their way to the disk.
    in_hand: BTreeSet<RecordId>,
    making: BTreeMap<Ticket, Vec<RecordId>>,
    /// Mailboxes to search, each from a position on.
    scans: BTreeMap<Address, Position>,
    /// Mailboxes that took an envelope without a receipt, because they were full: to be searched when they have room.
    /// Each was registered here when it came in, so that there are no more than registrations.
    full: BTreeSet<Address>,
    /// The last of them that was looked at.
    looked_at: Option<Address>,
}

impl Receipts {
    fn gather(&mut self, address: Address, id: RecordId, expires_at: Timestamp, now_ms: u64, due_ms: u64) {
        if self.in_hand.len() >= RECEIPT_IDS_MAX {
            self.scan(address);
            return;
        }
        if !self.in_hand.insert(id) {
            return;
        }
        let gathering = self.gathering.entry(address).or_insert_with(|| {
            self.due.insert((due_ms, address));
            Gathering { due_ms, items: Vec::new() }
        });
        gathering.items.push((id, expires_at));
        if gathering.items.len() == ITEMS_MAX {
            self.due.remove(&(gathering.due_ms, address));
            gathering.due_ms = now_ms;
            self.due.insert((now_ms, address));
        }
    }

    /// Searches a mailbox for envelopes without a receipt, from its start.
    pub(super) fn scan(&mut self, address: Address) {
        self.scans.insert(address, Position::default());
    }

    /// An envelope is in a mailbox that had no room for it: its receipt waits until there is some.
    pub(super) fn wait_for_room(&mut self, address: Address) {
        self.full.insert(address);
    }

    /// The next of the full mailboxes in turn, so that over time all are looked at.
    fn next_full(&mut self, max: usize) -> Vec<Address> {
        let from = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let next: Vec<Address> = self.full.range((from, Bound::Unbounded)).take(max).copied().collect();
        self.looked_at = if next.len() < max { None } else { next.last().copied() };
        next
    }

    /// Whether any are gathered that will be due.
    pub(super) fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The receipt with these items is durable, or has failed.
    pub(super) fn settled(&mut self, items: &[RecordId]) {
        for id in items {
            self.in_hand.remove(id);
        }
    }
}

/// A receipt lives as long as the latest of its envelopes, as far as the rules allow.
fn receipt_expiry(items: &[(RecordId, Timestamp)], stored_at: Timestamp) -> Timestamp {
    let latest = items.iter().map(|(_, expires_at)| *expires_at).max().unwrap_or_default();
    latest.clamp(stored_at.plus(1), stored_at.plus(LIFE_SECONDS_MAX))
}

impl Relay {
    /// An envelope of a mailbox registered here is durable.
    pub(super) fn owe_receipt(
        &mut self,
        turn: &Turn<'_>,
        kind: MailboxKind,
        address: Address,
        id: RecordId,
        expires_at: Timestamp,
    ) {
        let spread_ms = match kind {
            MailboxKind::Direct => 0,
            MailboxKind::Shared => self.rng.random_range(0..=SHARED_RECEIPT_SPREAD_MS),
        };
        let due_ms = turn.mono_ms.saturating_add(RECEIPT_DELAY_MS + spread_ms);
        self.receipts.gather(address, id, expires_at, turn.mono_ms, due_ms);
    }

    /// Has the receipts signed that are due.
    pub(super) fn make_due_receipts(&mut self, turn: &mut Turn<'_>) {
        while self.receipts.making.len() < RECEIPTS_MAKING_MAX {
            let is_due = self.receipts.due.first().is_some_and(|(due_ms, _)| *due_ms <= turn.mono_ms);
            let Some((_, address)) = is_due.then(|| self.receipts.due.pop_first()).flatten() else { return };
            let Some(mut gathering) = self.receipts.gathering.remove(&address) else { continue };
            self.leave_out_what_needs_none(turn, &address, &mut gathering);
            if gathering.items.is_empty() {
                continue;
            }
            let ids: Vec<RecordId> = gathering.items.iter().map(|(id, _)| *id).collect();
            if self.make_receipt(turn, &address, &gathering, &ids).is_none() {
                self.receipts.settled(&ids);
            }
        }
    }

    /// What its reader collected meanwhile is on this disk no more, and the ack proves more than a receipt could: for a
    /// reader who is on line that is every envelope, and a third of all records. In a shared mailbox, where there are no acks,
    /// others may have signed enough.
    fn leave_out_what_needs_none(&mut self, turn: &mut Turn<'_>, address: &Address, gathering: &mut Gathering) {
        let is_shared = self.kind_of(turn, address) == MailboxKind::Shared;
        let mut needless = Vec::new();
        gathering.items.retain(|(id, _)| {
            let row = turn.store.row(id);
            // A row that cannot be read now was durable a moment ago.
            let held = turn.read(row).map_or(true, |row| row.is_some_and(|row| row.holding == Holding::Held));
            let is_needed = held && !(is_shared && self.signers(turn, id).is_ok_and(|signers| signers.are_enough()));
            if !is_needed {
                needless.push(*id);
            }
            is_needed
        });
        self.receipts.settled(&needless);
    }

    /// What kind of mailbox one registered here is; direct, where that cannot be read: then every home signs.
    fn kind_of(&self, turn: &mut Turn<'_>, address: &Address) -> MailboxKind {
        let registrations = turn.store.registrations(address);
        let registrations = turn.read(registrations).unwrap_or_default();
        registrations.first().map_or(MailboxKind::Direct, |row| row.keys.kind)
    }

    /// Who has signed for an envelope, as far as is known here.
    fn signers(&self, turn: &mut Turn<'_>, id: &RecordId) -> Result<Signers, Unreadable> {
        let mut signers = Signers::default();
        let about = turn.store.about(id);
        for about in turn.read(about)? {
            let frame = turn.store.frame(&about);
            let Some(frame) = turn.read(frame)? else { continue };
            if let Ok(record) = Unverified::parse(frame)
                && let Body::Custody(custody) = record.claimed().body()
            {
                if custody.node == self.config.node {
                    signers.own = true;
                } else {
                    signers.others.insert(custody.node);
                }
            }
        }
        Ok(signers)
    }

    /// Nothing where the mailbox is no longer registered, or no grant runs any more.
    fn make_receipt(
        &mut self,
        turn: &mut Turn<'_>,
        address: &Address,
        gathering: &Gathering,
        ids: &[RecordId],
    ) -> Option<()> {
        // The exact second of arrival helps nobody but an observer.
        let stored_at = turn.wall.floor_minute();
        let registrations = turn.store.registrations(address);
        let registrations = turn.read(registrations).ok()?;
        let best = registrations.into_iter().max_by_key(|row| row.grant.until)?;
        if best.grant.until < turn.wall {
            return None;
        }
        let ticket = self.ticket();
        self.receipts.making.insert(ticket, ids.to_vec());
        let keys: MailboxKeys = best.keys;
        turn.emit(Output::MakeReceipt {
            ticket,
            keys,
            grant: best.grant,
            items: ids.to_vec(),
            stored_at,
            expires_at: receipt_expiry(&gathering.items, stored_at),
        });
        Some(())
    }

    /// A receipt was signed: it goes the way of any record, but for the signature check.
    pub(super) fn receipt_made(&mut self, turn: &mut Turn<'_>, ticket: Ticket, result: Result<Record, Refusal>) {
        let Some(items) = self.receipts.making.remove(&ticket) else { return };
        match result {
            Ok(record) if self.disk.takes(RecordKind::Custody, turn.mono_ms) => {
                let origins = vec![Origin::Own];
                self.save(turn, Saving { record, origins, late: Vec::new(), payer: None, receipt: false, load: None });
            }
            Ok(record) => {
                self.receipts.settled(&items);
                self.receipts.scan(record.address());
            }
            Err(refusal) => {
                self.receipts.settled(&items);
                turn.emit(Output::Warn(format!("a custody receipt could not be made: {refusal}")));
            }
        }
    }

    /// Has those mailboxes searched that were full and are not any more. Room comes from an ack, from expiry, or in
    /// another mailbox of the same member, whose quota they share: so it is asked for, rather than told.
    pub(super) fn look_for_room(&mut self) {
        for address in self.receipts.next_full(ROOM_LOOKS_PER_TICK) {
            let is_ours = self.registry.contains(&address);
            // What waits for its receipt is counted in the mailbox already.
            let has_room = self.registry.has_room(&address, 0, &self.config.limits);
            if is_ours && !has_room {
                continue;
            }
            self.receipts.full.remove(&address);
            if is_ours {
                self.receipts.scan(address);
            }
        }
    }

    /// Searches some more of the mailboxes that may lack receipts.
    pub(super) fn scan_for_receipts(&mut self, turn: &mut Turn<'_>) {
        let mut left = RECEIPT_SCAN_MAX;
        while left > 0 && self.receipts.in_hand.len() < RECEIPT_IDS_MAX {
            let Some((address, after)) = self.receipts.scans.pop_first() else { return };
            let page = turn.store.mailbox(&address, after, left);
            let Ok(page) = turn.read(page) else {
                self.receipts.scans.insert(address, after);
                return;
            };
            let kind = self.kind_of(turn, &address);
            // An empty mailbox costs a little too.
            let is_last = page.len() < left;
            left -= page.len().clamp(1, left);
            for (position, id) in page {
                if self.lacks_receipt(turn, &address, &id).unwrap_or(false)
                    && let Ok(Some(row)) = turn.store.row(&id)
                {
                    self.owe_receipt(turn, kind, address, id, row.expires_at);
                }
                if !is_last {
                    self.receipts.scans.insert(address, position);
                }
            }
        }
    }

    /// Whether a held envelope has no receipt of this node, and should have one.
    fn lacks_receipt(&self, turn: &mut Turn<'_>, address: &Address, id: &RecordId) -> Result<bool, Unreadable> {
        if self.receipts.in_hand.contains(id) || !self.registry.contains(address) {
            return Ok(false);
        }
        let row = turn.store.row(id);
        if turn.read(row)?.is_none_or(|row| row.holding != Holding::Held || row.expires_at <= turn.wall) {
            return Ok(false);
        }
        Ok(!self.signers(turn, id)?.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_lives_as_long_as_the_last_of_its_envelopes_within_the_rules() {
        let at = Timestamp(1_800_000_000);
        let id = RecordId([0; 32]);
        assert_eq!(receipt_expiry(&[(id, at.plus(60)), (id, at.plus(90))], at), at.plus(90));
        assert_eq!(receipt_expiry(&[(id, at.plus(LIFE_SECONDS_MAX + 60))], at), at.plus(LIFE_SECONDS_MAX));
        assert_eq!(receipt_expiry(&[(id, at)], at), at.plus(1));
    }
}
