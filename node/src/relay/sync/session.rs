//! One session: the initiator's way through the two sets of one shard with one neighbour.
//!
//! ```text
//! Opening ─▶ Reconciling ⟲ ─▶ Fetching ─▶ Settling ⟲ ─▶ Pushing ⟲ ─▶ next buckets ─▶ next set ─▶ end
//! ```
//!
//! There is never more than one exchange under way. After each window of fetched frames the session waits until the
//! relay has dealt with them ([`Session::settled`]): memory stays at one window, what the relay stored is seen before
//! anything more is asked for, and the acks are on disk before the rest is compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use griot_protocol::{
    Hour, NetworkParams, NodeId, RecordId, Shard, ShardBits,
    sync::{FETCH_IDS_MAX, FrameBudget, Open, Opened, Set, SyncFrame, SyncRequest, SyncResponse, root},
};

use super::{
    SyncOutput,
    limits::{EXCHANGE_MS_MAX, EXCHANGES_MAX, MARK_ROWS_MAX, SESSION_BYTES_MAX, SESSION_MS_MAX, SETTLE_MS_MAX},
    neighbour::Neighbour,
    reconcile::{Batch, ReconcileError, Round},
    respond::live_frame,
    summary::{Differing, Lone, differing, digests, first_hour, store_set},
};
use crate::{
    relay::{ExchangeId, Now},
    store::{Holding, Row, Store, StoreError},
};

/// What a session may look at and change while it takes a step.
pub(super) struct Context<'a> {
    pub now: Now,
    pub store: &'a dyn Store,
    pub params: &'a NetworkParams,
    pub peer: NodeId,
    pub neighbour: &'a mut Neighbour,
    /// The other sessions: what they are fetching is not fetched twice.
    pub others: &'a BTreeMap<NodeId, Session>,
    pub out: &'a mut Vec<SyncOutput>,
    /// Where to look for marks next; `None` while there is no room for their bodies.
    pub marks_from: Option<&'a mut Hour>,
}

/// How a session ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All was compared, and all that can be had was exchanged.
    Done,
    /// There is more to do: the budget was used up.
    More,
    /// There is more to do: other neighbours were bringing it just then.
    Skipped,
    /// The neighbour does not carry the shard, or does not understand.
    NotCarried,
    /// Something went wrong: what, for the log.
    Failed(&'static str),
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    Ask(SyncRequest),
    Wait,
    End(End),
}

#[derive(Debug)]
enum Phase {
    Opening,
    Reconciling(Box<Batch>),
    Fetching { window: Vec<RecordId> },
    Settling { window: Vec<RecordId>, until_ms: u64 },
    Pushing { offered: u64 },
}

/// One session. See the [module](self).
#[derive(Debug)]
pub(super) struct Session {
    pub shard: Shard,
    set: Set,
    phase: Phase,
    /// The exchange under way, and when it will have failed.
    exchange: Option<(ExchangeId, u64)>,
    hours: VecDeque<Differing>,
    need: BTreeSet<RecordId>,
    have: BTreeSet<RecordId>,
    /// Of those needed, those that only the sums speak of, and where each should be.
    guessed: BTreeMap<RecordId, Differing>,
    started_ms: u64,
    exchanges: u32,
    bytes: u64,
    skipped: bool,
    /// Whether marks were looked for.
    sought: bool,
    /// Records that this session brought here.
    brought: u64,
    /// Records that the neighbour took.
    pushed: u64,
}

impl From<StoreError> for End {
    fn from(_: StoreError) -> Self {
        Self::Failed("the store cannot be read")
    }
}

impl From<ReconcileError> for End {
    fn from(error: ReconcileError) -> Self {
        Self::Failed(match error {
            ReconcileError::Store(_) => "the store cannot be read",
            ReconcileError::Message(_) => "no negentropy message",
            ReconcileError::Buckets => "an answer about other buckets",
            ReconcileError::Endless => "a reconciliation without end",
        })
    }
}

impl Session {
    /// Begins to compare `shard`: also returns the first request.
    pub fn start(shard: Shard, context: &mut Context<'_>) -> (Self, SyncRequest) {
        let session = Self {
            shard,
            set: Set::Acks,
            phase: Phase::Opening,
            exchange: None,
            hours: VecDeque::new(),
            need: BTreeSet::new(),
            have: BTreeSet::new(),
            guessed: BTreeMap::new(),
            started_ms: context.now.mono_ms,
            exchanges: 0,
            bytes: 0,
            skipped: false,
            sought: false,
            brought: 0,
            pushed: 0,
        };
        context.neighbour.fetched.forget(context.now.mono_ms);
        context.neighbour.pushed.forget(context.now.mono_ms);
        let request = session.open(context);
        (session, request)
    }

    /// Notes that a request went out.
    pub fn sent(&mut self, exchange: ExchangeId, bytes: usize, now_ms: u64) {
        self.exchange = Some((exchange, now_ms.saturating_add(EXCHANGE_MS_MAX)));
        self.exchanges += 1;
        self.bytes += bytes as u64;
    }

    /// Whether this is the exchange under way; if so it is over.
    pub fn take_exchange(&mut self, exchange: ExchangeId, bytes: usize) -> bool {
        let is_ours = self.exchange.is_some_and(|(ours, _)| ours == exchange);
        if is_ours {
            self.exchange = None;
            self.bytes += bytes as u64;
        }
        is_ours
    }

    /// Whether this session brought a record here.
    pub fn has_brought(&self) -> bool {
        self.brought > 0
    }

    /// Whether this session was worth its while.
    pub fn was_useful(&self) -> bool {
        self.brought > 0 || self.pushed > 0
    }

    /// Records that came here, and that the neighbour took.
    pub const fn moved(&self) -> (u64, u64) {
        (self.brought, self.pushed)
    }

    /// Whether another session should leave this id to this one.
    fn is_fetching(&self, id: &RecordId) -> bool {
        match &self.phase {
            Phase::Fetching { window } | Phase::Settling { window, .. } => window.binary_search(id).is_ok(),
            Phase::Opening | Phase::Reconciling(_) | Phase::Pushing { .. } => false,
        }
    }

    /// Takes an answer.
    pub fn answered(&mut self, response: SyncResponse, context: &mut Context<'_>) -> Step {
        self.try_answered(response, context).unwrap_or_else(Step::End)
    }

    /// The relay has dealt with the frames that it was given.
    pub fn settled(&mut self, context: &mut Context<'_>) -> Step {
        let Phase::Settling { window, .. } = &mut self.phase else { return Step::Wait };
        let window = std::mem::take(window);
        self.settle(&window, context).and_then(|()| self.advance(context)).unwrap_or_else(Step::End)
    }

    /// Time passed.
    pub fn tick(&mut self, context: &mut Context<'_>) -> Step {
        let now_ms = context.now.mono_ms;
        if self.exchange.is_some_and(|(_, until_ms)| until_ms <= now_ms) {
            return Step::End(End::Failed("no answer in time"));
        }
        match self.phase {
            Phase::Settling { until_ms, .. } if until_ms <= now_ms => self.settled(context),
            _ => Step::Wait,
        }
    }

    fn try_answered(&mut self, response: SyncResponse, context: &mut Context<'_>) -> Result<Step, End> {
        match (std::mem::replace(&mut self.phase, Phase::Opening), response) {
            (_, SyncResponse::Unsupported) => Err(End::NotCarried),
            (_, SyncResponse::Busy) => Err(End::Failed("the neighbour is busy")),
            (_, SyncResponse::NotCarried { bits, postage_bits }) => {
                self.compare_params(bits, postage_bits, context);
                Err(End::NotCarried)
            }
            (Phase::Opening, SyncResponse::Opened(opened)) => self.opened(opened, context),
            (Phase::Reconciling(mut batch), SyncResponse::Reconciled { buckets }) => match batch.answered(&buckets)? {
                Round::Again => self.reconcile(batch),
                Round::Over(unfinished) => {
                    self.hours.extend(unfinished);
                    self.need = std::mem::take(&mut batch.need);
                    self.have = std::mem::take(&mut batch.have);
                    self.advance(context)
                }
            },
            (Phase::Fetching { window }, SyncResponse::Frames { frames, not_held }) => {
                self.fetched(window, frames, &not_held, context)
            }
            (Phase::Pushing { offered }, SyncResponse::Pushed { taken }) => {
                if taken == 0 {
                    self.have.clear();
                }
                self.pushed += u64::from(taken).min(offered);
                self.advance(context)
            }
            _ => Err(End::Failed("an answer to another question")),
        }
    }

    /// The next thing to do when nothing is under way.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<Step, End> {
        if self.is_over_budget(context.now) {
            return Err(End::More);
        }
        if let Some(step) = self.fetch(context)? {
            return Ok(step);
        }
        if let Some(step) = self.push(context)? {
            return Ok(step);
        }
        if !self.hours.is_empty() {
            let batch = Batch::take(context.store, self.set, self.shard, &mut self.hours)?;
            return self.reconcile(Box::new(batch));
        }
        match self.set {
            Set::Acks => {
                self.set = Set::Rest;
                self.phase = Phase::Opening;
                Ok(Step::Ask(self.open(context)))
            }
            Set::Rest if !self.sought => {
                self.sought = true;
                self.need = self.marks(context)?;
                self.advance(context)
            }
            Set::Rest if self.skipped => Err(End::Skipped),
            Set::Rest => Err(End::Done),
        }
    }

    fn is_over_budget(&self, now: Now) -> bool {
        self.exchanges >= EXCHANGES_MAX
            || self.bytes >= SESSION_BYTES_MAX
            || now.mono_ms.saturating_sub(self.started_ms) >= SESSION_MS_MAX
    }

    fn open(&self, context: &Context<'_>) -> SyncRequest {
        let first = first_hour(context.now.wall);
        SyncRequest::Open(Open {
            bits: context.params.bits,
            postage_bits: context.params.postage_bits,
            shard: self.shard,
            set: self.set,
            time: context.now.wall,
            first,
            root: root(&digests(context.store, self.set, self.shard, first)),
        })
    }

    fn opened(&mut self, opened: Opened, context: &mut Context<'_>) -> Result<Step, End> {
        context.out.push(SyncOutput::PeerTime { peer: context.peer, time: opened.time });
        self.compare_params(context.params.bits, opened.postage_bits, context);
        if let Some(theirs) = opened.digests {
            // Where the neighbour's clock is ahead, its first hour counts; ours is taken anew, it may have moved on.
            let first = opened.first.max(first_hour(context.now.wall));
            let ours = digests(context.store, self.set, self.shard, first);
            let live: Vec<_> = theirs.into_iter().filter(|digest| digest.hour >= first).collect();
            self.hours.clear();
            self.guessed.clear();
            for differing in differing(&ours, &live) {
                self.sort_out(differing, context)?;
            }
        }
        self.advance(context)
    }

    /// One id more on one side is transferred at once; any other difference is looked for.
    fn sort_out(&mut self, differing: Differing, context: &Context<'_>) -> Result<(), End> {
        match differing.lone {
            // Where it was asked for in vain, it may be that more than one differs.
            Some(Lone::Theirs(id)) if !context.neighbour.fetched.has(&id, context.now.mono_ms) => {
                self.need.insert(id);
                self.guessed.insert(id, differing);
            }
            Some(Lone::Ours(id)) if context.store.row(&id)?.is_some() => {
                self.have.insert(id);
            }
            Some(Lone::Theirs(_) | Lone::Ours(_)) | None => self.hours.push_back(differing),
        }
        Ok(())
    }

    fn compare_params(&self, bits: ShardBits, postage_bits: u8, context: &mut Context<'_>) {
        if bits != context.params.bits || postage_bits != context.params.postage_bits {
            context.out.push(SyncOutput::ParamsDiffer { peer: context.peer, bits, postage_bits });
        }
    }

    /// Some of the ids whose bodies were dropped, or not taken, for want of room, now that there is some: the next
    /// buckets in turn, because they are not indexed.
    fn marks(&self, context: &mut Context<'_>) -> Result<BTreeSet<RecordId>, End> {
        let mut marks = BTreeSet::new();
        let Some(from) = context.marks_from.as_deref_mut() else { return Ok(marks) };
        if context.store.totals().marks == 0 {
            return Ok(marks);
        }
        let mut hours = BTreeSet::new();
        for set in [Set::Acks, Set::Rest] {
            let first = (*from).max(first_hour(context.now.wall));
            hours.extend(digests(context.store, set, self.shard, first).into_iter().map(|digest| (digest.hour, set)));
        }
        let mut rows = 0;
        for (hour, set) in hours {
            if rows >= MARK_ROWS_MAX || marks.len() >= FETCH_IDS_MAX {
                *from = hour;
                return Ok(marks);
            }
            for (_, id) in context.store.bucket(store_set(set), self.shard, hour)? {
                rows += 1;
                if context.store.row(&id)?.is_some_and(|row| row.holding == Holding::Marked) {
                    marks.insert(id);
                }
            }
        }
        *from = Hour(0);
        Ok(marks)
    }

    fn reconcile(&mut self, batch: Box<Batch>) -> Result<Step, End> {
        if self.exchanges >= EXCHANGES_MAX {
            return Err(End::More);
        }
        let request = SyncRequest::Reconcile { shard: self.shard, set: self.set, buckets: batch.messages() };
        self.phase = Phase::Reconciling(batch);
        Ok(Step::Ask(request))
    }

    /// Asks for the next window of what is lacking. An id is left out where it came in the meantime, where a releasing
    /// ack has killed it here, where this neighbour was asked in vain, and where another one is bringing it just now.
    fn fetch(&mut self, context: &Context<'_>) -> Result<Option<Step>, End> {
        let now_ms = context.now.mono_ms;
        let mut window = Vec::new();
        while window.len() < FETCH_IDS_MAX && !context.neighbour.fetched.is_full() {
            let Some(id) = self.need.pop_first() else { break };
            if context.others.values().any(|session| session.is_fetching(&id)) {
                self.skipped = true;
            } else if !context.neighbour.fetched.has(&id, now_ms) {
                let row = context.store.row(&id)?;
                let is_wanted = |row: Row| context.marks_from.is_some() && row.holding == Holding::Marked;
                if row.is_none_or(is_wanted) {
                    window.push(id);
                }
            }
        }
        if window.is_empty() {
            self.need.clear();
            return Ok(None);
        }
        self.phase = Phase::Fetching { window: window.clone() };
        Ok(Some(Step::Ask(SyncRequest::Fetch { ids: window })))
    }

    fn fetched(
        &mut self,
        mut window: Vec<RecordId>,
        frames: Vec<SyncFrame>,
        not_held: &[RecordId],
        context: &mut Context<'_>,
    ) -> Result<Step, End> {
        let covered = frames.len() + not_held.len();
        if covered == 0 || covered > window.len() {
            return Err(End::Failed("more answers than questions"));
        }
        self.need.extend(window.drain(covered..));
        let not_held: BTreeSet<&RecordId> = not_held.iter().collect();
        if !not_held.iter().all(|id| window.binary_search(id).is_ok()) {
            return Err(End::Failed("an answer to another question"));
        }
        for id in &not_held {
            context.neighbour.fetched.note(**id, context.now.mono_ms);
            // If it was a guess, more than one differs there.
            self.hours.extend(self.guessed.remove(*id));
        }
        window.retain(|id| !not_held.contains(id));
        if frames.is_empty() {
            return self.advance(context);
        }
        let until_ms = context.now.mono_ms.saturating_add(SETTLE_MS_MAX);
        self.phase = Phase::Settling { window, until_ms };
        let frames = frames.into_iter().map(|frame| frame.0).collect();
        context.out.push(SyncOutput::Frames { peer: context.peer, frames });
        Ok(Step::Wait)
    }

    /// Notes which of the ids asked for have come to anything.
    fn settle(&mut self, window: &[RecordId], context: &mut Context<'_>) -> Result<(), End> {
        for id in window {
            if context.store.row(id)?.is_some_and(|row| row.holding != Holding::Marked) {
                self.brought += 1;
            } else {
                context.neighbour.fetched.note(*id, context.now.mono_ms);
            }
        }
        Ok(())
    }

    /// Pushes the next window of what the neighbour lacks: records that are held and have not expired, never marks.
    fn push(&mut self, context: &mut Context<'_>) -> Result<Option<Step>, End> {
        let now_ms = context.now.mono_ms;
        let mut frames = FrameBudget::default();
        while !context.neighbour.pushed.is_full() {
            let Some(id) = self.have.pop_first() else { break };
            if context.neighbour.pushed.has(&id, now_ms) {
                continue;
            }
            let Some(frame) = live_frame(context.store, &id, context.now.wall)? else { continue };
            if frames.add(frame).is_err() {
                self.have.insert(id);
                break;
            }
            context.neighbour.pushed.note(id, now_ms);
        }
        if frames.is_empty() {
            self.have.clear();
            return Ok(None);
        }
        self.phase = Phase::Pushing { offered: frames.len() as u64 };
        Ok(Some(Step::Ask(SyncRequest::Push { frames: frames.into_frames() })))
    }
}
