//! How the node does, for its operator: the relay's word and the counters, and what the store knows of receipts.
//!
//! The relay is asked briefly, between two inputs; everything that takes reading is done here, on a thread that may
//! block. All of it is bounded: so many envelopes are looked at, so many mailboxes are listed.

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{
    Address, Body, NodeId, RecordId, RecordKind, Timestamp, Unverified,
    api::{
        ClockReport, DiskReport, DiskTrend, MailboxReport, NodeReport, OutboxReport, ReplicationReport, WaitingReport,
    },
};

use super::{
    counts::Counts,
    growth::{Growth, Trend},
};
use crate::{
    relay::{Report, Waiting},
    store::{MemberId, Position, Store, StoreError},
};

/// The reason of envelopes that somebody has vouched for already.
pub const COLLECTING: &str = "collecting";

/// How long mail may be on its way to its homes before fewer of them than known is worth a word: twice what a receipt
/// over three hops may take is two minutes; the clocks of author and node may be off by more.
const GRACE_SECONDS: u64 = 10 * 60;

/// Mailboxes registered here of which the oldest mail is looked at.
const REGISTERED_MAX: usize = 1000;

/// Envelopes looked at in each.
const HELD_PER_MAILBOX: usize = 4;

/// Mailboxes listed with under-replicated mail, those that have waited longest first; all are counted.
const WORST_MAX: usize = 20;

/// What the driver says at once.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub node: NodeId,
    pub time: Timestamp,
    pub relay: Report,
    pub counts: Counts,
    pub growth: Growth,
}

/// Puts the report together. Where the API listens, and how much of the disk is free, is not known here.
pub(crate) fn assess(facts: &Facts, store: &dyn Store) -> Result<NodeReport, StoreError> {
    let mut receipts = Receipts { store, now: facts.relay.now, known: BTreeMap::new() };
    let mut mailboxes = Mailboxes::default();
    let outbox = outbox(&facts.relay, &mut receipts, &mut mailboxes)?;
    registered(facts, &mut receipts, &mut mailboxes)?;
    let clock = facts.relay.clock;
    Ok(NodeReport {
        time: facts.time,
        outbox,
        replication: mailboxes.replication(facts.relay.now),
        arrivals: facts.counts.arrivals(),
        refused: facts.counts.refused(),
        disk: DiskReport { full: facts.relay.disk_full, ..disk(&facts.growth, store) },
        clock: ClockReport {
            peers: clock.peers as u64,
            behind_seconds: clock.behind_seconds,
            overruled: clock.overruled,
            settled: clock.settled,
        },
        line_share_bytes: facts.relay.line_share,
        ..NodeReport::default()
    })
}

fn disk(growth: &Growth, store: &dyn Store) -> DiskReport {
    let footprint = store.footprint();
    let (trend, growth_bytes_per_day) = match growth.trend() {
        Trend::Unknown => (DiskTrend::Unknown, None),
        Trend::Steady => (DiskTrend::Steady, None),
        Trend::Growing(bytes) => (DiskTrend::Growing, Some(bytes)),
    };
    DiskReport {
        reserve_bytes: footprint.reserve_bytes,
        log_bytes: footprint.log_bytes,
        trend,
        watched_seconds: growth.watched_seconds(),
        growth_bytes_per_day,
        ..DiskReport::default()
    }
}

/// Who has vouched for an envelope.
#[derive(Default)]
struct Vouched {
    /// Homes whose grants still run: one whose grant is over may have been left by the mailbox's owner.
    homes: BTreeSet<NodeId>,
    /// Whether anybody has, at any time.
    ever: bool,
}

/// Reads receipts. Each names up to 256 envelopes, and is read once.
struct Receipts<'a> {
    store: &'a dyn Store,
    now: Timestamp,
    known: BTreeMap<RecordId, Option<(NodeId, Timestamp)>>,
}

impl Receipts<'_> {
    /// The store gives the receipts of the envelope's own mailbox alone: another's prove nothing.
    fn of(&mut self, id: &RecordId) -> Result<Vouched, StoreError> {
        let mut vouched = Vouched::default();
        for receipt in self.store.about(id)? {
            let Some((node, until)) = self.read(receipt)? else { continue };
            vouched.ever = true;
            if until >= self.now {
                vouched.homes.insert(node);
            }
        }
        Ok(vouched)
    }

    /// The node that issued a receipt, and until when its grant runs. Nothing for an ack.
    fn read(&mut self, id: RecordId) -> Result<Option<(NodeId, Timestamp)>, StoreError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let is_receipt = self.store.row(&id)?.is_some_and(|row| row.kind == RecordKind::Custody);
        let frame = if is_receipt { self.store.frame(&id)? } else { None };
        let record = frame.and_then(|frame| Unverified::parse(frame).ok());
        let found = record.and_then(|record| match record.claimed().body() {
            Body::Custody(custody) => Some((custody.node, custody.grant.until)),
            Body::Envelope(_) | Body::Ack(_) => None,
        });
        self.known.insert(id, found);
        Ok(found)
    }
}

fn outbox(relay: &Report, receipts: &mut Receipts<'_>, mailboxes: &mut Mailboxes) -> Result<OutboxReport, StoreError> {
    let mut waiting: BTreeMap<&'static str, WaitingReport> = BTreeMap::new();
    for waiter in &relay.oldest {
        let vouched = receipts.of(&waiter.id)?;
        let age = relay.now.since(waiter.created_at);
        let (reason, detail) = if vouched.ever {
            (COLLECTING, "a home of its mailbox has it, and its reader has not collected it yet".to_owned())
        } else {
            (waiter.waiting.name(), waiter.waiting.to_string())
        };
        let row = waiting.entry(reason).or_insert_with(|| WaitingReport {
            reason: reason.to_owned(),
            detail,
            ..WaitingReport::default()
        });
        row.envelopes += 1;
        row.bytes += waiter.bytes;
        row.oldest_seconds = row.oldest_seconds.max(age);
        mailboxes.add(waiter.address, waiter.id, waiter.created_at, vouched.homes);
    }
    let mut waiting: Vec<WaitingReport> = waiting.into_values().collect();
    waiting.sort_by_key(|row| std::cmp::Reverse(row.envelopes));
    Ok(OutboxReport {
        envelopes: relay.envelopes,
        bytes: relay.bytes,
        oldest_seconds: relay.oldest.first().map(|waiter| relay.now.since(waiter.created_at)),
        examined: relay.oldest.len() as u64,
        waiting,
    })
}

/// Looks at the oldest mail of mailboxes registered here.
fn registered(facts: &Facts, receipts: &mut Receipts<'_>, mailboxes: &mut Mailboxes) -> Result<(), StoreError> {
    let (store, mut last): (_, Option<(Address, MemberId)>) = (receipts.store, None);
    for row in store.all_registrations(None, REGISTERED_MAX)? {
        let address = row.keys.address();
        // Several members may have registered it.
        if last.replace((address, row.member)).is_some_and(|(before, _)| before == address) {
            continue;
        }
        mailboxes.registered(address, facts.node);
        for (_, id) in store.mailbox(&address, Position::default(), HELD_PER_MAILBOX)? {
            let Some(row) = store.row(&id)? else { continue };
            if !row.acked && row.expires_at > facts.relay.now {
                let vouched = receipts.of(&id)?;
                mailboxes.add(address, id, row.created_at, vouched.homes);
            }
        }
    }
    Ok(())
}

/// Mail by its mailbox, with the homes that vouch for it.
#[derive(Default)]
struct Mailboxes {
    each: BTreeMap<Address, Mailbox>,
}

#[derive(Default)]
struct Mailbox {
    registered: bool,
    known: BTreeSet<NodeId>,
    mail: BTreeMap<RecordId, (Timestamp, usize)>,
}

impl Mailboxes {
    fn registered(&mut self, address: Address, node: NodeId) {
        let mailbox = self.each.entry(address).or_default();
        mailbox.registered = true;
        mailbox.known.insert(node);
    }

    fn add(&mut self, address: Address, id: RecordId, created_at: Timestamp, stored_on: BTreeSet<NodeId>) {
        let mailbox = self.each.entry(address).or_default();
        mailbox.mail.insert(id, (created_at, stored_on.len()));
        mailbox.known.extend(stored_on);
    }

    fn replication(&self, now: Timestamp) -> ReplicationReport {
        let with_mail = || self.each.iter().filter(|(_, mailbox)| !mailbox.mail.is_empty());
        let mut under: Vec<MailboxReport> =
            with_mail().filter_map(|(address, mailbox)| mailbox.under_replicated(*address, now)).collect();
        under.sort_by_key(|report| std::cmp::Reverse(report.oldest_seconds));
        let count = under.len() as u64;
        under.truncate(WORST_MAX);
        ReplicationReport {
            examined: with_mail().map(|(_, mailbox)| mailbox.mail.len() as u64).sum(),
            mailboxes: with_mail().count() as u64,
            under_replicated: count,
            worst: under,
        }
    }
}

impl Mailbox {
    fn under_replicated(&self, address: Address, now: Timestamp) -> Option<MailboxReport> {
        // Every mailbox has a home, known or not.
        let wanted = self.known.len().max(1);
        let is_under =
            |(created_at, homes): &&(Timestamp, usize)| *homes < wanted && now.since(*created_at) >= GRACE_SECONDS;
        let under = || self.mail.values().filter(is_under);
        let oldest = under().map(|(created_at, _)| *created_at).min()?;
        Some(MailboxReport {
            address,
            registered: self.registered,
            envelopes: under().count() as u64,
            stored_on: under().map(|(_, homes)| *homes as u64).min().unwrap_or(0),
            homes_known: self.known.len() as u64,
            oldest_seconds: now.since(oldest),
        })
    }
}

/// Every reason for which an envelope may wait in the outbox.
pub fn reasons() -> impl Iterator<Item = &'static str> {
    std::iter::once(COLLECTING).chain(Waiting::ALL.into_iter().map(Waiting::name))
}
