//! The driver: owns the relay, gives it every input in turn, and carries out what it says.
//!
//! It never blocks. Signature checks and receipts run on tokio's workers, commits on the writer thread; both report
//! back over one channel. Towards the swarm it only ever tries: a publication that finds the queue full is dropped (sync
//! will bring the record), an exchange that cannot be sent has failed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use griot_protocol::{
    NetworkParams, NodeId, NodeSecret,
    api::{NodeInfo, Reachability},
    custody,
};
use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::Metrics,
    network::{Command, Event},
    relay::{Answer, CallError, CallId, Input, Now, Output, Relay},
    runtime::{counts::Counts, growth::Growth, handle::Call, host::Host, hub::Hub, report::Facts, writer::Job},
    store::Store,
};

/// How often the relay hears that time passes while something waits for it: half of the receipt delay's worth of
/// patience.
const TICK: Duration = Duration::from_millis(50);

/// How often it hears so while nothing does: waking a sleeping machine twenty times a second is not cheap. Not less often:
/// a sync that takes several sessions goes on after 200 ms, and one with a neighbour that has just come begins within
/// half a second.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// How often the writer checkpoints and compacts.
const MAINTAIN_EVERY: Duration = Duration::from_secs(10);

/// Inputs handled before the loop looks at its channels again, so that no source starves another.
const BURST: usize = 256;

/// Warnings kept for `status`: the latest are the ones an operator needs.
const WARNINGS_MAX: usize = 16;

/// What the driver is made of.
pub(crate) struct Driver {
    pub relay: Relay,
    pub store: Arc<dyn Store>,
    pub hub: Arc<Hub>,
    pub metrics: Metrics,
    pub params: NetworkParams,
    pub secret: NodeSecret,
    pub peer_id: String,
    pub network: mpsc::Sender<Command>,
    pub writer: mpsc::UnboundedSender<Job>,
    pub done: mpsc::UnboundedSender<Input>,
    pub host: Arc<dyn Host>,
    /// Whether the input at hand was the only one that waited.
    pub alone: bool,
    pub state: State,
}

/// What the driver remembers between inputs: only what it must to answer.
pub(crate) struct State {
    started: Instant,
    next_call: u64,
    calls: BTreeMap<CallId, oneshot::Sender<Result<Answer, CallError>>>,
    listen: BTreeSet<Multiaddr>,
    reachability: Reachability,
    circuits: Vec<Multiaddr>,
    relays: bool,
    peers: BTreeSet<NodeId>,
    warnings: VecDeque<String>,
    maintained: Instant,
    counts: Counts,
    growth: Growth,
}

impl State {
    pub(crate) fn new(warnings: Vec<String>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            next_call: 0,
            calls: BTreeMap::new(),
            listen: BTreeSet::new(),
            reachability: Reachability::Unknown,
            circuits: Vec::new(),
            relays: false,
            peers: BTreeSet::new(),
            warnings: warnings.into(),
            maintained: now,
            counts: Counts::default(),
            growth: Growth::default(),
        }
    }

    fn warn(&mut self, text: String) {
        tracing::warn!("{text}");
        if self.warnings.contains(&text) {
            return;
        }
        if self.warnings.len() == WARNINGS_MAX {
            self.warnings.pop_front();
        }
        self.warnings.push_back(text);
    }
}

/// The three sources of inputs besides time.
pub(crate) struct Sources {
    pub calls: mpsc::Receiver<Call>,
    pub events: mpsc::Receiver<Event>,
    pub done: mpsc::UnboundedReceiver<Input>,
}

/// Which of the three sources is asked first, so that none starves the others. Chance would do as well, but a run that
/// is repeated in virtual time must make the same choices.
#[derive(Clone, Copy)]
enum First {
    Done,
    Calls,
    Events,
}

impl First {
    const fn next(self) -> Self {
        match self {
            Self::Done => Self::Calls,
            Self::Calls => Self::Events,
            Self::Events => Self::Done,
        }
    }
}

/// What woke the driver.
enum Wake {
    Stop,
    Tick,
    /// So many inputs are in the buffer.
    Done(usize),
    /// So many calls are in the buffer; none where all handles are gone.
    Calls(usize),
    Event(Event),
}

impl Sources {
    /// Waits for whatever comes next; at the same time `first` is preferred. Dropping the future loses nothing.
    async fn next(&mut self, first: First, done: &mut Vec<Input>, calls: &mut Vec<Call>) -> Wake {
        let Self { calls: call, events: event, done: input } = self;
        match first {
            First::Done => tokio::select! {
                biased;
                count = input.recv_many(done, BURST) => Wake::Done(count),
                count = call.recv_many(calls, BURST) => Wake::Calls(count),
                Some(event) = event.recv() => Wake::Event(event),
            },
            First::Calls => tokio::select! {
                biased;
                count = call.recv_many(calls, BURST) => Wake::Calls(count),
                Some(event) = event.recv() => Wake::Event(event),
                count = input.recv_many(done, BURST) => Wake::Done(count),
            },
            First::Events => tokio::select! {
                biased;
                Some(event) = event.recv() => Wake::Event(event),
                count = input.recv_many(done, BURST) => Wake::Done(count),
                count = call.recv_many(calls, BURST) => Wake::Calls(count),
            },
        }
    }
}

impl Driver {
    /// Runs until every [`Handle`](super::Handle) is gone or `stop` fires.
    pub(crate) async fn run(mut self, mut sources: Sources, mut stop: oneshot::Receiver<()>) {
        let outputs = match self.relay.start(self.now(), &*self.store) {
            Ok(outputs) => outputs,
            Err(error) => {
                self.state.warn(format!("loading registrations failed: {error}"));
                Vec::new()
            }
        };
        self.carry_out(outputs);
        let tick = tokio::time::sleep(TICK);
        tokio::pin!(tick);
        // They grow to what bursts need: room for whole bursts would be most of an idle node's memory.
        let (mut done, mut calls) = (Vec::new(), Vec::new());
        let mut first = First::Done;
        loop {
            let wake = tokio::select! {
                biased;
                _ = &mut stop => Wake::Stop,
                () = &mut tick => Wake::Tick,
                wake = sources.next(first, &mut done, &mut calls) => wake,
            };
            first = first.next();
            match wake {
                Wake::Stop | Wake::Calls(0) => break,
                Wake::Tick => self.tick(),
                Wake::Done(count) => {
                    self.alone = count == 1;
                    for input in done.drain(..) {
                        self.feed(input);
                    }
                }
                Wake::Calls(count) => {
                    self.alone = count == 1;
                    for call in calls.drain(..) {
                        self.take_call(call);
                    }
                }
                Wake::Event(event) => self.take_event(event),
            }
            let wait = if self.relay.is_waiting(self.now()) { TICK } else { IDLE_TICK };
            let next = tokio::time::Instant::now() + wait;
            if tick.is_elapsed() || next < tick.deadline() {
                tick.as_mut().reset(next);
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: self.host.wall_clock(), mono_ms: self.state.started.elapsed().as_millis() as u64 }
    }

    fn feed(&mut self, input: Input) {
        let now = self.now();
        let outputs = self.relay.handle(now, input, &*self.store);
        self.carry_out(outputs);
    }

    fn tick(&mut self) {
        self.feed(Input::Tick);
        if self.state.maintained.elapsed() >= MAINTAIN_EVERY {
            self.state.maintained = Instant::now();
            let now = self.host.wall_clock();
            let _ = self.writer.send(Job::Maintain { now });
            self.host.runs_at(now);
            let now_ms = self.now().mono_ms;
            if self.state.growth.is_due(now_ms) {
                self.state.growth.note(now_ms, self.store.footprint().log_bytes);
            }
        }
    }

    fn take_call(&mut self, call: Call) {
        let input = match call {
            Call::Submit { member, frame, answer } => Input::Submit { call: self.await_answer(answer), member, frame },
            Call::Register { member, keys, grant, answer } => {
                Input::Register { call: self.await_answer(answer), member, keys, grant }
            }
            Call::Unregister { member, address, answer } => {
                Input::Unregister { call: self.await_answer(answer), member, address }
            }
            Call::AddMember { member, label, token_hash, answer } => {
                Input::AddMember { call: self.await_answer(answer), member, label, token_hash }
            }
            Call::RevokeMember { member, answer } => Input::RevokeMember { call: self.await_answer(answer), member },
            Call::Import { frame, answer } => Input::Import { call: self.await_answer(answer), frame },
            Call::Info { answer } => {
                let _ = answer.send(self.info());
                return;
            }
            Call::Standing { address, id, answer } => {
                let _ = answer.send(self.relay.standing(self.now(), &address, &id, &*self.store));
                return;
            }
            Call::IsFull { answer } => {
                let _ = answer.send(self.relay.is_disk_full());
                return;
            }
            Call::Report { answer } => {
                let _ = answer.send(Box::new(self.facts()));
                return;
            }
            Call::Progress { answer } => {
                let _ = answer.send((self.now(), self.relay.progress().clone()));
                return;
            }
            Call::Peers { answer } => {
                // A full queue drops the question, and with it the asker's receiver: it hears an error and asks again.
                let _ = self.network.try_send(Command::Peers { answer });
                return;
            }
        };
        self.feed(input);
    }

    fn await_answer(&mut self, answer: oneshot::Sender<Result<Answer, CallError>>) -> CallId {
        let call = CallId(self.state.next_call);
        self.state.next_call += 1;
        self.state.calls.insert(call, answer);
        call
    }

    fn info(&self) -> NodeInfo {
        let totals = self.store.totals();
        NodeInfo {
            node_id: self.secret.public(),
            peer_id: self.peer_id.clone(),
            network: self.params.name.to_string(),
            bits: self.params.bits.get(),
            postage_bits: self.params.postage_bits,
            postage_bits_now: self.relay.postage_bits_now(),
            shards: self.relay.carried().into_iter().map(|shard| shard.0).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: self.host.wall_clock(),
            listen: self.state.listen.iter().map(Multiaddr::to_string).collect(),
            peers: self.state.peers.len() as u64,
            records: totals.records,
            bytes: totals.bytes,
            mailboxes: totals.mailboxes,
            outbox: totals.outbox,
            uptime_seconds: self.state.started.elapsed().as_secs(),
            warnings: self.state.warnings.iter().cloned().collect(),
            reachability: self.state.reachability,
            circuits: self.state.circuits.iter().map(Multiaddr::to_string).collect(),
            relays: self.state.relays,
        }
    }

    fn facts(&self) -> Facts {
        let now = self.now();
        Facts {
            node: self.secret.public(),
            time: now.wall,
            relay: self.relay.report(now, &*self.store),
            counts: self.state.counts.clone(),
            growth: self.state.growth.clone(),
        }
    }

    fn take_event(&mut self, event: Event) {
        let input = match event {
            Event::Listening { address } => {
                self.state.listen.insert(address);
                return;
            }
            Event::NotListening { address } => {
                self.state.listen.remove(&address);
                return;
            }
            Event::Reachability { reachability, circuits, relays } => {
                self.state.reachability = reachability;
                self.state.circuits = circuits;
                self.state.relays = relays;
                return;
            }
            Event::ParamsDiffer { peer, detail } => {
                self.state.warn(format!("peer {peer} has other network parameters: {detail}"));
                return;
            }
            Event::Remember { peers } => {
                if let Err(error) = self.store.remember_peers(&peers) {
                    tracing::warn!(%error, "the peers to dial after a restart could not be noted");
                }
                return;
            }
            Event::PeerUp { peer } => {
                self.state.peers.insert(peer);
                self.metrics.set_peers(self.state.peers.len() as u64);
                Input::PeerUp { peer }
            }
            Event::RoundTrip { peer, ms } => Input::RoundTrip { peer, ms },
            Event::PeerDown { peer } => {
                self.state.peers.remove(&peer);
                self.metrics.set_peers(self.state.peers.len() as u64);
                Input::PeerDown { peer }
            }
            Event::Gossiped { peer, message, shard, frame } => Input::Gossiped { peer, message, shard, frame },
            Event::Unheard { id } => Input::Unheard { id },
            Event::Asked { peer, inbound, request } => Input::Asked { peer, inbound, request },
            Event::Answered { peer, exchange, response } => Input::Answered { peer, exchange, response },
            Event::Carriers { shard, peers } => Input::Carriers { shard, peers },
        };
        self.feed(input);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.carry_out_one(output);
        }
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Respond { call, result } => {
                if let Some(answer) = self.state.calls.remove(&call) {
                    let _ = answer.send(result);
                }
            }
            // Waking another thread takes as long as the check itself: alone, it is sooner done here.
            Output::Verify { ticket, record } if self.alone => {
                let _ = self.done.send(Input::Verified { ticket, result: self.host.verify(record, &self.params.name) });
            }
            Output::Verify { ticket, record } => {
                let (done, network, host) = (self.done.clone(), self.params.name.clone(), Arc::clone(&self.host));
                tokio::spawn(async move {
                    let _ = done.send(Input::Verified { ticket, result: host.verify(record, &network) });
                });
            }
            Output::Persist { ticket, entries } => {
                let _ = self.writer.send(Job::Commit { ticket, entries });
            }
            Output::MakeReceipt { ticket, keys, grant, items, stored_at, expires_at } => {
                let (done, params, secret) = (self.done.clone(), self.params.clone(), self.secret.clone());
                tokio::spawn(async move {
                    let result = custody::make(&params, &secret, keys, grant, items, stored_at, expires_at);
                    let _ = done.send(Input::ReceiptMade { ticket, result });
                });
            }
            Output::Expire { now } => {
                let _ = self.writer.send(Job::Expire { now });
            }
            Output::Delivered { address, .. } => self.hub.wake_mailbox(&address),
            Output::News { id } => self.hub.wake_record(&id),
            Output::Kept { id, way, from } => self.host.kept(&id, way, from.as_ref()),
            Output::Count(tally) => {
                self.metrics.count(&tally);
                self.state.counts.count(&tally);
                self.host.counted(&tally);
            }
            Output::Warn(text) => self.state.warn(text),
            other => self.tell_network(other),
        }
    }

    fn tell_network(&mut self, output: Output) {
        let command = match output {
            Output::Judge { peer, message, verdict } => Command::Judge { peer, message, verdict },
            Output::Publish { shard, id, frame } => Command::Publish { shard, id, frame },
            Output::Answer { inbound, response } => Command::Answer { inbound, response },
            Output::Carry { shards } => Command::Carry { shards },
            Output::FindCarriers { shard } => Command::FindCarriers { shard },
            Output::Disconnect { peer, reason } => Command::Disconnect { peer, reason },
            Output::Ask { peer, exchange, request } => Command::Ask { peer, exchange, request },
            _ => return,
        };
        if let Err(error) = self.network.try_send(command) {
            self.metrics.overflowed("network");
            // An exchange that was never sent has failed; everything else is repaired by sync.
            if let Command::Ask { peer, exchange, .. } = error.into_inner() {
                let _ = self.done.send(Input::Answered { peer, exchange, response: None });
            }
        }
    }
}
