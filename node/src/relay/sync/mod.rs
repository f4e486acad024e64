//! Anti-entropy: what gossip lost, sync brings.
//!
//! Neighbours compare, shard by shard, which records they have, and exchange what either lacks: when they meet, and
//! every 30 seconds with one of them. The messages, and what exactly is hashed, are in [`griot_protocol::sync`]. Like
//! the rest of the relay this is a state machine without IO.
//!
//! # For the relay
//!
//! [`Sync`] does not admit, verify or store anything. Frames carry no trust: the relay puts them through admission.
//!
//! | when | call | then |
//! |---|---|---|
//! | the carried shards change | [`set_carried`](Sync::set_carried) | |
//! | a peer comes or goes | [`peer_up`](Sync::peer_up), [`peer_down`](Sync::peer_down) | |
//! | a tick, at least once a second | [`tick`](Sync::tick) | carry out the outputs |
//! | a peer answered or failed, and [`Sync::owns`] the exchange | [`answered`](Sync::answered) | carry out the outputs |
//! | all frames of the last [`SyncOutput::Frames`] from a peer are durable or refused | [`settled`](Sync::settled) | carry out the outputs |
//! | a peer asks | [`asked`](Sync::asked) | admit what was pushed, *then* answer |
//! | the byte budget is reached, or no longer | [`set_room`](Sync::set_room) | |
//! | a record came by sync and is durable | [`spread`](Sync::spread) | |
//!
//! Two of these make the order right. A session that has fetched acks waits for `settled` before it compares the rest,
//! so that envelopes killed by those acks are no longer in the set; and a responder that answers a push only once the
//! pushed acks are durable gives the same to the other side. Both also keep memory at one window of 1 MiB for each
//! session. Forgetting either is wasteful, never wrong: a session goes on by itself after [`limits::SETTLE_MS_MAX`],
//! and an exchange fails only after [`limits::EXCHANGE_MS_MAX`], so answer a push within a few seconds whatever happens.
//!
//! # What keeps a liar from doing harm
//!
//! A session has a budget of exchanges, bytes and time; a reconciliation one of rounds and ids. Ids fetched in vain
//! (answered "not held", or whose frames this node refused) are held back for a time that doubles with each attempt,
//! and their number is bounded: while the list is full nothing more is fetched from that neighbour. A neighbour's
//! requests are answered while it has not used up its share of this node's time. Nothing here is a penalty: to judge a
//! peer by the frames it hands over is the relay's business.

mod holds;
pub mod limits;
mod neighbour;
mod progress;
mod reconcile;
mod respond;
mod session;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use griot_protocol::{
    Hour, NetworkParams, NodeId, RecordId, Shard, Timestamp,
    sync::{ABOUT_IDS_MAX, FETCH_IDS_MAX, FrameBudget, SyncFrame, SyncRequest, SyncResponse},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::progress::Progress;
use self::{
    limits::{
        ACCOUNTS_MAX, CONTINUE_MS, INTERVAL_JITTER_MS, INTERVAL_MS, PEER_UP_JITTER_MS, SESSIONS_MAX, SKIPPED_MS,
        SPREAD_MS, SPREAD_PEERS, YIELD_MS,
    },
    neighbour::{Account, Neighbour},
    progress::Meetings,
    respond::{Reply, Responder},
    session::{Context, End, Session, Step},
};
use crate::{
    relay::{ExchangeId, Now, Tally},
    store::Store,
};

/// Exchange ids with this bit are sync's own; the relay's have it clear.
pub const EXCHANGE_BIT: u64 = 1 << 63;

/// Why a session that used up its budget without any use is called failed.
const MUCH_FOR_NOTHING: &str = "much work for nothing";

/// What sync must know of its node.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// The network's parameters.
    pub params: NetworkParams,
    /// This node.
    pub node: NodeId,
}

/// What sync wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOutput {
    /// Send a request and report the answer, or its failure, with [`Sync::answered`].
    Ask {
        /// Whom.
        peer: NodeId,
        /// To be given back; [`Sync::owns`] it.
        exchange: ExchangeId,
        /// The encoded request.
        request: Bytes,
    },
    /// Put these fetched frames through admission, then call [`Sync::settled`].
    Frames {
        /// Who handed them over.
        peer: NodeId,
        /// The frames; nothing about them was checked.
        frames: Vec<Bytes>,
    },
    /// What a neighbour's clock says.
    PeerTime {
        /// Who.
        peer: NodeId,
        /// Its wall clock.
        time: Timestamp,
    },
    /// A neighbour of this network has other parameters: warn the operator.
    ParamsDiffer {
        /// Who.
        peer: NodeId,
        /// Its shard bits.
        bits: griot_protocol::ShardBits,
        /// Its postage.
        postage_bits: u8,
    },
    /// A session ended early, for the log.
    Ended {
        /// With whom.
        peer: NodeId,
        /// Which shard.
        shard: Shard,
        /// Why.
        reason: &'static str,
    },
    /// Count something.
    Count(Tally),
}

/// How to deal with a peer's request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The encoded response. Where frames were pushed, send it once they are durable or refused.
    pub response: Bytes,
    /// Frames to put through admission.
    pub pushed: Vec<Bytes>,
    /// Ids that the peer has. Only ever without pushed frames.
    pub offered: Vec<RecordId>,
    /// Carry these out.
    pub outputs: Vec<SyncOutput>,
}

/// The state of anti-entropy with all neighbours. See the [module](self).
#[derive(Debug)]
pub struct Sync {
    config: SyncConfig,
    random: ChaCha8Rng,
    carried: BTreeSet<Shard>,
    neighbours: BTreeMap<NodeId, Neighbour>,
    sessions: BTreeMap<NodeId, Session>,
    /// When each carried shard is compared with some neighbour next.
    next_ms: BTreeMap<Shard, u64>,
    accounts: BTreeMap<NodeId, Account>,
    meetings: Meetings,
    exchanges: u64,
    has_room: bool,
    marks_from: Hour,
}

impl Sync {
    /// Nothing carried, nobody connected. All jitter and choice follows from `seed`.
    #[must_use]
    pub fn new(config: SyncConfig, seed: u64) -> Self {
        Self {
            config,
            random: ChaCha8Rng::seed_from_u64(seed),
            carried: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_ms: BTreeMap::new(),
            accounts: BTreeMap::new(),
            meetings: Meetings::default(),
            exchanges: 0,
            has_room: true,
            marks_from: Hour(0),
        }
    }

    /// Carry exactly these shards. New ones are compared with neighbours soon.
    pub fn set_carried(&mut self, now: Now, shards: &BTreeSet<Shard>) {
        let new: Vec<Shard> = shards.difference(&self.carried).copied().collect();
        self.carried.clone_from(shards);
        self.next_ms.retain(|shard, _| shards.contains(shard));
        for neighbour in self.neighbours.values_mut() {
            neighbour.keep_shards(|shard| shards.contains(shard));
        }
        for shard in new {
            self.spread(now, shard, None);
            let at_ms = self.interval(now);
            self.next_ms.insert(shard, at_ms);
        }
    }

    /// A peer is connected.
    pub fn peer_up(&mut self, now: Now, peer: NodeId) {
        let mut neighbour = Neighbour::default();
        let jitter_ms = self.random.random_range(0..=PEER_UP_JITTER_MS);
        let yields = if self.config.node < peer { 0 } else { YIELD_MS };
        for shard in &self.carried {
            neighbour.want(*shard, now.mono_ms.saturating_add(jitter_ms + yields));
        }
        self.neighbours.insert(peer, neighbour);
        self.sessions.remove(&peer);
    }

    /// A peer is gone.
    pub fn peer_down(&mut self, peer: NodeId) {
        self.neighbours.remove(&peer);
        self.sessions.remove(&peer);
    }

    /// What came by sync into `shard` is news to the other neighbours: compare with a few of them soon.
    pub fn spread(&mut self, now: Now, shard: Shard, from: Option<NodeId>) {
        let mut others = self.candidates(now, shard);
        others.retain(|peer| Some(*peer) != from);
        for _ in 0..SPREAD_PEERS {
            let Some(peer) = self.take_random(&mut others) else { break };
            let at_ms = now.mono_ms.saturating_add(self.random.random_range(SPREAD_MS / 2..=SPREAD_MS));
            if let Some(neighbour) = self.neighbours.get_mut(&peer) {
                neighbour.want(shard, at_ms);
            }
        }
    }

    /// Neighbours that are not known not to carry a shard, in order.
    #[must_use]
    pub fn carriers(&self, now: Now, shard: Shard) -> Vec<NodeId> {
        self.candidates(now, shard)
    }

    /// A neighbour said that it does not carry a shard.
    pub fn carries_not(&mut self, now: Now, peer: NodeId, shard: Shard) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.carries_not(shard, now.mono_ms);
        }
    }

    /// Whether there is room for bodies that were dropped, or not taken, for want of it: then they are asked for again.
    /// True at first.
    pub const fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// Whether an exchange is sync's; those that the relay started itself are not.
    #[must_use]
    pub const fn owns(exchange: ExchangeId) -> bool {
        exchange.0 & EXCHANGE_BIT != 0
    }

    /// The relay moved records with a peer outside of any session.
    pub fn moved_aside(&mut self, peer: NodeId, received: u32, sent: u32) {
        self.meetings.moved(peer, received.into(), sent.into());
    }

    /// How it stands with each neighbour, those that are gone included.
    #[must_use]
    pub const fn progress(&self) -> &BTreeMap<NodeId, Progress> {
        self.meetings.each()
    }

    /// Sessions under way.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Time passed.
    #[must_use]
    pub fn tick(&mut self, now: Now, store: &dyn Store) -> Vec<SyncOutput> {
        let mut out = Vec::new();
        let active: Vec<NodeId> = self.sessions.keys().copied().collect();
        for peer in active {
            self.drive(now, peer, store, &mut out, Session::tick);
        }
        let due: Vec<Shard> =
            self.next_ms.iter().filter(|(_, at)| **at <= now.mono_ms).map(|(shard, _)| *shard).collect();
        for shard in due {
            let mut candidates = self.candidates(now, shard);
            if let Some(neighbour) = self.take_random(&mut candidates).and_then(|peer| self.neighbours.get_mut(&peer)) {
                neighbour.want(shard, now.mono_ms);
            }
            let at_ms = self.interval(now);
            self.next_ms.insert(shard, at_ms);
        }
        self.start_sessions(now, store, &mut out);
        out
    }

    /// A peer answered, or (`None`) will not. Answers to exchanges of sessions that have ended are ignored.
    #[must_use]
    pub fn answered(
        &mut self,
        now: Now,
        peer: NodeId,
        exchange: ExchangeId,
        response: Option<&[u8]>,
        store: &dyn Store,
    ) -> Vec<SyncOutput> {
        let mut out = Vec::new();
        let bytes = response.map_or(0, <[u8]>::len);
        if bytes > 0 {
            out.push(SyncOutput::Count(Tally::SyncBytesIn(bytes as u64)));
        }
        if self.sessions.get_mut(&peer).is_some_and(|session| session.take_exchange(exchange, bytes)) {
            self.drive(now, peer, store, &mut out, |session, context| match response.map(SyncResponse::decode) {
                None => Step::End(End::Failed("the exchange failed")),
                Some(Err(_)) => Step::End(End::Failed("no message that this version knows")),
                Some(Ok(response)) => session.answered(response, context),
            });
            self.start_sessions(now, store, &mut out);
        }
        out
    }

    /// All frames of the last [`SyncOutput::Frames`] from this peer are durable or refused.
    #[must_use]
    pub fn settled(&mut self, now: Now, peer: NodeId, store: &dyn Store) -> Vec<SyncOutput> {
        let mut out = Vec::new();
        self.drive(now, peer, store, &mut out, Session::settled);
        self.start_sessions(now, store, &mut out);
        out
    }

    /// A peer asks.
    #[must_use]
    pub fn asked(&mut self, now: Now, peer: NodeId, request: &[u8], store: &dyn Store) -> Asked {
        let mut outputs = vec![SyncOutput::Count(Tally::SyncBytesIn(request.len() as u64))];
        let reply = self.reply(now, peer, request, store, &mut outputs);
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.charge(reply.units);
        }
        self.meetings.moved(peer, reply.pushed.len() as u64, reply.served);
        if reply.agrees {
            self.meetings.together(peer, now.mono_ms);
        }
        let response = reply.response.encode();
        outputs.push(SyncOutput::Count(Tally::SyncBytesOut(response.len() as u64)));
        if let SyncResponse::Frames { frames, .. } = &reply.response {
            outputs.push(SyncOutput::Count(frame_bytes_out(frames)));
        }
        Asked { response, pushed: reply.pushed, offered: reply.offered, outputs }
    }

    fn reply(&mut self, now: Now, peer: NodeId, request: &[u8], store: &dyn Store, out: &mut Vec<SyncOutput>) -> Reply {
        if !self.has_units(now, peer) {
            return Reply::new(SyncResponse::Busy);
        }
        let Ok(request) = SyncRequest::decode(request) else {
            out.push(SyncOutput::Count(Tally::Refused("unknown-request", "sync")));
            return Reply::new(SyncResponse::Unsupported);
        };
        if let SyncRequest::Open(open) = &request {
            out.push(SyncOutput::PeerTime { peer, time: open.time });
            let params = &self.config.params;
            if open.bits != params.bits || open.postage_bits != params.postage_bits {
                let (bits, postage_bits) = (open.bits, open.postage_bits);
                out.push(SyncOutput::ParamsDiffer { peer, bits, postage_bits });
            }
            // Its session works in both directions: ours can wait.
            if let Some(neighbour) = self.neighbours.get_mut(&peer) {
                neighbour.postpone(open.shard, now.mono_ms.saturating_add(YIELD_MS));
            }
        }
        let responder = Responder { params: &self.config.params, carried: &self.carried, store, wall: now.wall };
        responder.answer(request)
    }

    /// Whether the peer has not used up its share of this node's time. Accounts outlive connections, so that nobody
    /// gets a new one by connecting again; those that filled up again make room.
    fn has_units(&mut self, now: Now, peer: NodeId) -> bool {
        if !self.accounts.contains_key(&peer) {
            if self.accounts.len() >= ACCOUNTS_MAX {
                self.accounts.retain(|_, account| !account.is_full(now.mono_ms));
            }
            if self.accounts.len() >= ACCOUNTS_MAX {
                return false;
            }
            self.accounts.insert(peer, Account::new(now.mono_ms));
        }
        self.accounts.get_mut(&peer).is_some_and(|account| account.is_open(now.mono_ms))
    }

    /// Begins sessions while there is room: with whoever waited longest.
    fn start_sessions(&mut self, now: Now, store: &dyn Store, out: &mut Vec<SyncOutput>) {
        while self.sessions.len() < SESSIONS_MAX {
            let is_free = |(peer, neighbour): &(&NodeId, &Neighbour)| {
                neighbour.is_due(now.mono_ms) && !self.sessions.contains_key(*peer)
            };
            let next = self.neighbours.iter().filter(is_free).min_by_key(|(_, neighbour)| neighbour.served_ms);
            let Some(peer) = next.map(|(peer, _)| *peer) else { return };
            let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
            let Some(shard) = neighbour.take_due(now.mono_ms) else { return };
            neighbour.served_ms = now.mono_ms;
            if !neighbour.may_carry(shard, now.mono_ms) {
                continue;
            }
            let params = &self.config.params;
            let others = &self.sessions;
            let marks_from = self.has_room.then_some(&mut self.marks_from);
            let mut context = Context { now, store, params, peer, neighbour, others, out, marks_from };
            let (session, request) = Session::start(shard, &mut context);
            self.ask(now, peer, session, &request, out);
        }
    }

    /// Lets a session take a step, and does what it says.
    fn drive(
        &mut self,
        now: Now,
        peer: NodeId,
        store: &dyn Store,
        out: &mut Vec<SyncOutput>,
        step: impl FnOnce(&mut Session, &mut Context<'_>) -> Step,
    ) {
        let (Some(mut session), Some(neighbour)) = (self.sessions.remove(&peer), self.neighbours.get_mut(&peer)) else {
            return;
        };
        let (params, others) = (&self.config.params, &self.sessions);
        let marks_from = self.has_room.then_some(&mut self.marks_from);
        let mut context = Context { now, store, params, peer, neighbour, others, out, marks_from };
        match step(&mut session, &mut context) {
            Step::Wait => {
                self.sessions.insert(peer, session);
            }
            Step::Ask(request) => self.ask(now, peer, session, &request, out),
            Step::End(end) => self.ended(now, peer, &session, &end, out),
        }
    }

    fn ask(&mut self, now: Now, peer: NodeId, mut session: Session, request: &SyncRequest, out: &mut Vec<SyncOutput>) {
        if let SyncRequest::Push { frames } = request {
            out.push(SyncOutput::Count(frame_bytes_out(frames)));
        }
        let request = request.encode();
        self.exchanges += 1;
        let exchange = ExchangeId(EXCHANGE_BIT | self.exchanges);
        session.sent(exchange, request.len(), now.mono_ms);
        self.sessions.insert(peer, session);
        out.push(SyncOutput::Count(Tally::SyncBytesOut(request.len() as u64)));
        out.push(SyncOutput::Ask { peer, exchange, request });
    }

    fn ended(&mut self, now: Now, peer: NodeId, session: &Session, end: &End, out: &mut Vec<SyncOutput>) {
        let shard = session.shard;
        let jitter: u8 = self.random.random();
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        let (received, sent) = session.moved();
        self.meetings.moved(peer, received, sent);
        match end {
            End::Done => neighbour.succeeded(),
            End::More if session.was_useful() => {
                neighbour.succeeded();
                neighbour.want(shard, now.mono_ms.saturating_add(CONTINUE_MS));
            }
            End::Skipped => {
                neighbour.succeeded();
                neighbour.want(shard, now.mono_ms.saturating_add(SKIPPED_MS));
            }
            End::NotCarried => neighbour.carries_not(shard, now.mono_ms),
            End::More | End::Failed(_) => {
                neighbour.failed(now.mono_ms, jitter);
                neighbour.want(shard, now.mono_ms);
            }
        }
        match end {
            End::Done => {
                out.push(SyncOutput::Count(Tally::SyncDone));
                self.meetings.together(peer, now.mono_ms);
            }
            End::Skipped => out.push(SyncOutput::Count(Tally::SyncDone)),
            End::NotCarried => out.push(SyncOutput::Ended { peer, shard, reason: "not carried" }),
            End::More if session.was_useful() => {}
            End::More => {
                out.push(SyncOutput::Count(Tally::SyncFailed));
                self.meetings.failed(peer, MUCH_FOR_NOTHING);
                out.push(SyncOutput::Ended { peer, shard, reason: MUCH_FOR_NOTHING });
            }
            End::Failed(reason) => {
                out.push(SyncOutput::Count(Tally::SyncFailed));
                self.meetings.failed(peer, reason);
                out.push(SyncOutput::Ended { peer, shard, reason });
            }
        }
        if session.has_brought() {
            self.spread(now, shard, Some(peer));
        }
    }

    /// Neighbours with which comparing `shard` may make sense, in order.
    fn candidates(&self, now: Now, shard: Shard) -> Vec<NodeId> {
        let may = |(_, neighbour): &(&NodeId, &Neighbour)| neighbour.may_carry(shard, now.mono_ms);
        self.neighbours.iter().filter(may).map(|(peer, _)| *peer).collect()
    }

    fn take_random(&mut self, peers: &mut Vec<NodeId>) -> Option<NodeId> {
        (!peers.is_empty()).then(|| peers.swap_remove(self.random.random_range(0..peers.len())))
    }

    fn interval(&mut self, now: Now) -> u64 {
        let range = INTERVAL_MS - INTERVAL_JITTER_MS..=INTERVAL_MS + INTERVAL_JITTER_MS;
        now.mono_ms.saturating_add(self.random.random_range(range))
    }
}

fn frame_bytes_out(frames: &[SyncFrame]) -> Tally {
    Tally::SyncFrameBytesOut(frames.iter().map(|frame| frame.0.len() as u64).sum())
}

/// Requests that push these frames, each at most 1 MiB. Decode the answers with [`SyncResponse::decode`]; the right one
/// is [`SyncResponse::Pushed`].
#[must_use]
pub fn push_requests(frames: impl IntoIterator<Item = Bytes>) -> Vec<Bytes> {
    let mut requests = Vec::new();
    let mut budget = FrameBudget::default();
    for frame in frames {
        if let Err(frame) = budget.add(frame) {
            let full = std::mem::take(&mut budget);
            requests.push(SyncRequest::Push { frames: full.into_frames() }.encode());
            // A frame fits an empty budget: the largest is 68 KiB.
            let _ = budget.add(frame);
        }
    }
    if !budget.is_empty() {
        requests.push(SyncRequest::Push { frames: budget.into_frames() }.encode());
    }
    requests
}

/// Requests for the receipts and acks of these envelopes; the right answer is [`SyncResponse::News`].
#[must_use]
pub fn about_requests(ids: &[RecordId]) -> Vec<Bytes> {
    ids.chunks(ABOUT_IDS_MAX).map(|ids| SyncRequest::About { ids: ids.to_vec() }.encode()).collect()
}

/// Requests for these records; the right answer is [`SyncResponse::Frames`].
#[must_use]
pub fn fetch_requests(ids: &[RecordId]) -> Vec<Bytes> {
    ids.chunks(FETCH_IDS_MAX).map(|ids| SyncRequest::Fetch { ids: ids.to_vec() }.encode()).collect()
}

#[cfg(test)]
mod tests;
