//! The driver: owns the relay, gives it every input in turn, and carries out what it says.
//!
//! It never blocks. Signature checks and receipts run on tokio's workers, commits on the writer thread; both report
//! back over one channel. Towards the swarm it only ever tries: a publication that finds the queue full is dropped (sync
//! will bring the record), an exchange that cannot be sent has failed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use griot_protocol::{NetworkParams, NodeId, NodeSecret, Timestamp, api::NodeInfo, custody};
use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::Metrics,
    network::{Command, Event},
    relay::{Answer, CallError, CallId, Input, Now, Output, Relay},
    runtime::{handle::Call, hub::Hub, last_ran::LastRan, writer::Job},
    store::Store,
};

/// How often the relay hears that time passes: a quarter of the receipt delay's worth of patience, and cheap.
const TICK: Duration = Duration::from_millis(50);

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
    pub last_ran: LastRan,
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
    peers: BTreeSet<NodeId>,
    warnings: VecDeque<String>,
    maintained: Instant,
}

impl State {
    pub(crate) fn new(warnings: Vec<String>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            next_call: 0,
            calls: BTreeMap::new(),
            listen: BTreeSet::new(),
            peers: BTreeSet::new(),
            warnings: warnings.into(),
            maintained: now,
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

/// The wall clock, in the protocol's seconds.
pub(crate) fn wall_clock() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
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
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut done = Vec::with_capacity(BURST);
        let mut calls = Vec::with_capacity(BURST);
        loop {
            tokio::select! {
                _ = &mut stop => break,
                count = sources.done.recv_many(&mut done, BURST) => {
                    self.alone = count == 1;
                    for input in done.drain(..) {
                        self.feed(input);
                    }
                }
                count = sources.calls.recv_many(&mut calls, BURST) => {
                    if count == 0 {
                        break;
                    }
                    self.alone = count == 1;
                    for call in calls.drain(..) {
                        self.take_call(call);
                    }
                }
                Some(event) = sources.events.recv() => self.take_event(event),
                _ = tick.tick() => self.tick(),
            }
        }
    }

    fn now(&self) -> Now {
        Now { wall: wall_clock(), mono_ms: self.state.started.elapsed().as_millis() as u64 }
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
            let _ = self.writer.send(Job::Maintain { now: wall_clock() });
            self.last_ran.write(wall_clock());
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
            time: wall_clock(),
            listen: self.state.listen.iter().map(Multiaddr::to_string).collect(),
            peers: self.state.peers.len() as u64,
            records: totals.records,
            bytes: totals.bytes,
            mailboxes: totals.mailboxes,
            outbox: totals.outbox,
            uptime_seconds: self.state.started.elapsed().as_secs(),
            warnings: self.state.warnings.iter().cloned().collect(),
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
                let _ = self.done.send(Input::Verified { ticket, result: record.verify(&self.params.name) });
            }
            Output::Verify { ticket, record } => {
                let (done, network) = (self.done.clone(), self.params.name.clone());
                tokio::spawn(async move {
                    let _ = done.send(Input::Verified { ticket, result: record.verify(&network) });
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
            Output::Count(tally) => self.metrics.count(&tally),
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
