//! The relay: every decision that a node makes about records, as a state machine without IO.
//!
//! One function, [`Relay::handle`], takes the time and an [`Input`] and returns [`Output`]s. It never asks for the
//! time, draws unseeded randomness, blocks, or iterates over a `HashMap`; the simulator runs exactly this code. It
//! reads the [`Store`] directly (reading decides nothing) and writes through
//! [`Output::Persist`]; nothing is answered, announced or forwarded as held before [`Input::Persisted`] came back.
//!
//! The way of a record, and the file that decides each step:
//!
//! ```text
//! Submitted / Gossiped / Synced
//!   └▶ admission (cheapest first: length, header, times, shard, seen, postage, rate)      admission.rs
//!        └▶ Output::Verify ─▶ Input::Verified                                             pending.rs
//!             └▶ custody class and quota ─▶ Output::Persist ─▶ Input::Persisted           custody.rs
//!                  └▶ Respond · Publish · Delivered (streams)                             durable.rs
//!                       ├▶ MakeReceipt, for mailboxes registered here                     receipts.rs
//!                       ├▶ neighbours are told, of what is large                          large.rs
//!                       └▶ carriers, for shards not carried here                          away.rs
//! ```
//!
//! Beside it: who may use how much ([`Limits`], `registry.rs`, `outbox.rs`, `rates.rs`), which shards are carried
//! (`carriage.rs`), how neighbours are compared with ([`sync`], driven by `neighbours.rs`), what time it is (`clock.rs`), how full lines are (`lines.rs`), whether the disk takes anything (`disk.rs`), what time brings
//! (`upkeep.rs`), where an envelope stands for whoever asks (`standing.rs`), and how all of it does for the operator
//! (`report.rs`).

mod admission;
mod away;
mod carriage;
mod clock;
mod config;
mod custody;
mod disk;
mod durable;
mod large;
mod limits;
mod lines;
mod members;
mod neighbours;
mod outbox;
mod pending;
mod rate;
mod rates;
mod receipts;
mod reclaim;
mod registry;
mod report;
mod standing;
pub mod sync;
#[cfg(test)]
mod tests;
mod turn;
mod types;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{NodeId, RecordId, Shard, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use carriage::CarryPolicy;
pub use config::Config;
pub use limits::{Limits, Quota, Rate};
pub use report::{ClockState, REPORTED_MAX, Report, Waiter};
pub use standing::{Standing, Waiting};
pub use types::*;

use crate::store::{Entry, Store};
use pending::{Commit, Origin};
use turn::Turn;

/// All decisions of one node.
#[derive(Debug)]
pub struct Relay {
    config: Config,
    rng: ChaCha8Rng,
    next_ticket: u64,
    next_exchange: u64,
    clock: clock::Clock,
    disk: disk::Disk,
    upkeep: upkeep::Upkeep,
    pending: pending::Pending,
    registry: registry::Registry,
    outbox: outbox::Outbox,
    receipts: receipts::Receipts,
    carriage: carriage::Carriage,
    dispatch: away::Dispatch,
    told: large::Told,
    rates: rates::Rates,
    lines: lines::Lines,
    /// Connected peers of this network.
    peers: BTreeSet<NodeId>,
    /// Since when, by the time that records are judged by.
    met_at: BTreeMap<NodeId, Timestamp>,
    /// Invalid records that connected peers handed over by sync.
    strikes: BTreeMap<NodeId, u32>,
    /// Envelopes whose eviction is under way.
    evicting: BTreeSet<RecordId>,
    postage_bits_now: u8,
    sync: sync::Sync,
    batches: neighbours::Batches,
    reclaim: reclaim::Reclaim,
}

impl Relay {
    /// A relay that knows nothing yet: [`start`](Self::start) it.
    ///
    /// `seed` is for choices among peers; nothing secret depends on it. `last_ran` is when the node last ran, by its
    /// own clock, where that is known.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], last_ran: Option<Timestamp>) -> Self {
        Self {
            rng: ChaCha8Rng::from_seed(seed),
            next_ticket: 0,
            next_exchange: 0,
            clock: clock::Clock::new(last_ran),
            disk: disk::Disk::default(),
            upkeep: upkeep::Upkeep::default(),
            pending: pending::Pending::default(),
            registry: registry::Registry::default(),
            outbox: outbox::Outbox::default(),
            receipts: receipts::Receipts::default(),
            carriage: carriage::Carriage::new(config.params.bits, config.carry.clone()),
            dispatch: away::Dispatch::default(),
            told: large::Told::default(),
            rates: rates::Rates::default(),
            lines: lines::Lines::default(),
            peers: BTreeSet::new(),
            met_at: BTreeMap::new(),
            strikes: BTreeMap::new(),
            evicting: BTreeSet::new(),
            postage_bits_now: config.params.postage_bits,
            sync: sync::Sync::new(
                sync::SyncConfig { params: config.params.clone(), node: config.node },
                seed.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            ),
            batches: neighbours::Batches::default(),
            reclaim: reclaim::Reclaim::default(),
            config,
        }
    }

    /// Takes an input and says what to do.
    pub fn handle(&mut self, now: Now, input: Input, store: &dyn Store) -> Vec<Output> {
        self.clock.observe(now);
        let mut turn = Turn::new(now, self.clock.judged(now), store);
        self.take(&mut turn, input);
        self.keep_up(&mut turn);
        self.finish_batches(&mut turn);
        self.finish(turn)
    }

    /// The shards carried now, in order.
    #[must_use]
    pub fn carried(&self) -> Vec<Shard> {
        self.carriage.shards()
    }

    /// The postage that records for other communities' mailboxes need now.
    #[must_use]
    pub const fn postage_bits_now(&self) -> u8 {
        self.postage_bits_now
    }

    fn take(&mut self, turn: &mut Turn<'_>, input: Input) {
        match input {
            Input::Submit { call, member, frame } => self.admit(turn, Origin::Submit { call, member }, frame),
            Input::Import { call, frame } => self.admit(turn, Origin::Import { call }, frame),
            Input::Gossiped { peer, message, shard, frame } => {
                self.admit(turn, Origin::Gossip { peer, message, shard }, frame);
            }
            Input::Register { call, member, keys, grant } => self.register(turn, call, member, keys, grant),
            Input::Unregister { call, member, address } => self.unregister(turn, call, member, address),
            Input::AddMember { call, member, label, token_hash } => {
                self.add_member(turn, call, member, label, token_hash);
            }
            Input::RevokeMember { call, member } => self.revoke_member(turn, call, member),
            Input::PeerUp { peer } => self.peer_up(turn, peer),
            Input::RoundTrip { peer, ms } => self.round_trip(turn, peer, ms),
            Input::PeerDown { peer } => self.peer_down(peer),
            Input::Asked { peer, inbound, request } => self.asked(turn, peer, inbound, &request),
            Input::Answered { peer, exchange, response } => self.answered(turn, peer, exchange, response.as_ref()),
            Input::Carriers { shard, peers } => self.carriers_found(turn, shard, peers),
            Input::Unheard { id } => self.unheard(turn, id),
            Input::Verified { ticket, result } => self.verified(turn, ticket, result),
            Input::Persisted { ticket, result } => self.persisted(turn, ticket, result),
            Input::ReceiptMade { ticket, result } => self.receipt_made(turn, ticket, result),
            Input::ExpiredRows(rows) => self.expired(turn, rows),
            Input::Maintained { full } => self.maintained(turn, full),
            Input::Tick => self.tick(turn),
        }
    }

    fn peer_up(&mut self, turn: &mut Turn<'_>, peer: NodeId) {
        self.peers.insert(peer);
        self.met_at.insert(peer, turn.wall);
        self.sync.peer_up(turn.now(), peer);
        self.offer_to(turn, &[peer]);
    }

    fn round_trip(&mut self, turn: &Turn<'_>, peer: NodeId, ms: u64) {
        if self.peers.contains(&peer) {
            self.lines.heard(peer, ms, turn.mono_ms);
        }
    }

    fn peer_down(&mut self, peer: NodeId) {
        self.peers.remove(&peer);
        self.met_at.remove(&peer);
        self.sync.peer_down(peer);
        self.told.peer_down(&peer);
        self.lines.peer_down(&peer);
        self.strikes.remove(&peer);
        self.clock.peer_down(&peer);
    }

    /// This node has begun to carry a shard: what was sent away there is now its own to keep and gossip.
    fn now_carries(&mut self, turn: &mut Turn<'_>, shard: Shard) {
        for id in self.outbox.away_in(shard) {
            self.outbox.set_away(&id, None);
        }
        self.emit_carry(turn);
    }

    /// This node has stopped to carry some shards: its outbox there needs carriers.
    fn carries_less(&mut self, turn: &mut Turn<'_>) {
        for id in self.outbox.ids().collect::<Vec<_>>() {
            self.follow_shard(turn, &id);
        }
        self.emit_carry(turn);
    }

    fn emit_carry(&mut self, turn: &mut Turn<'_>) {
        let shards = self.carriage.shards();
        self.sync.set_carried(turn.now(), &shards.iter().copied().collect());
        turn.emit(Output::Carry { shards });
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn exchange(&mut self) -> ExchangeId {
        self.next_exchange += 1;
        ExchangeId(self.next_exchange)
    }

    /// Has entries made durable; `commit` says what follows.
    fn commit(&mut self, turn: &mut Turn<'_>, entries: Vec<Entry>, commit: Commit) {
        let ticket = self.ticket();
        self.pending.commit(ticket, commit, entries.iter().all(Entry::makes_room));
        turn.emit(Output::Persist { ticket, entries });
    }
}
