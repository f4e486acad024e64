//! The swarm task: one loop that owns the swarm, takes commands, and tells events.
//!
//! It never waits for anyone. Commands and swarm events take turns, so that neither a flood of publications nor a busy
//! network starves the other. Time comes from tokio's clock, which the simulator pauses.

mod carriers;
mod events;
mod outbox;
mod peers;
mod pending;
mod reach;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::StreamExt;
use griot_protocol::{NodeId, RecordId, Shard, ShardBits, Timestamp, limits::SYNC_BYTES_MAX};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    gossipsub::{MessageAcceptance, PublishError},
    kad,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use tokio::{sync::mpsc, time::Instant};

use self::{
    carriers::Carriers,
    outbox::Outbox,
    peers::Peers,
    pending::{Exchanges, Unjudged},
};
use super::{
    Command, Event, NetworkMetrics,
    behaviour::{Behaviour, BehaviourEvent, protocol_version},
    codec::SYNC_MESSAGE_BYTES_MAX,
    config::NetworkConfig,
    gossip::topic_score,
    metrics::GossipOutcome,
    reconnect::{Dial, DialId, Failure, Policy, Reconnect},
    relays::{Relays, Ticket},
    topics::{self, CARRIED_SHARDS_MAX},
};
use crate::{
    identity,
    relay::{GossipId, InboundId, Verdict},
    store::RememberedPeer,
};

/// How often the rounds are made: announcing, remembering, parting from those that never said who they are.
const ROUND: Duration = Duration::from_secs(5);

/// How long a peer has to say who it is.
const IDENTIFY_WITHIN_MS: u64 = 30_000;

/// How long a peer of another network is left alone.
const OTHER_NETWORK_MS: u64 = 10 * 60 * 1000;

/// How long a peer that the relay wants gone is kept out.
const BAN_MS: u64 = 5 * 60 * 1000;

/// Peers kept out at a time.
const BANNED_MAX: usize = 1024;

/// Dials of ours under way: far more than the limits on connections let through.
const DIALS_MAX: usize = 1024;

/// How often everything carried is announced again.
const ANNOUNCE_EVERY_MS: u64 = 15 * 60 * 1000;

/// Above this many times the wanted peers, connections that only a search through kad needed are closed.
const TRIM_ABOVE_FACTOR: usize = 4;

/// A connection younger than this is not trimmed.
const TRIM_AGE_MS: u64 = 60_000;

/// A direct connection that has stood for so long takes the place of a relayed one. Both sides ping every 15 s, and must
/// have heard of each other over both.
const DIRECT_STABLE_MS: u64 = 30_000;

/// How long the last connections may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What the task is given beside the swarm and its channels.
#[derive(Debug)]
pub struct Setup {
    /// The configuration that the behaviour was made from.
    pub config: NetworkConfig,
    /// Peers from before the restart.
    pub remembered: Vec<RememberedPeer>,
    /// Seed of jitter and choice.
    pub seed: u64,
    /// Counters. `NetworkMetrics::default()` counts without telling anyone.
    pub metrics: NetworkMetrics,
}

/// Runs a swarm until [`Command::Shutdown`], or until nobody is left to talk to. The swarm listens already.
pub async fn run(
    swarm: Swarm<Behaviour>,
    setup: Setup,
    mut commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
) {
    // One question for the task's life: each costs a lock on what all senders share, twice.
    let listener = events.clone();
    let nobody_listens = listener.closed();
    tokio::pin!(nobody_listens);
    let mut task = Task::new(swarm, setup, events);
    let mut commands_first = true;
    // One timer for the task's life: most steps leave it where it is.
    let timer = tokio::time::sleep_until(task.next_round);
    tokio::pin!(timer);
    while !task.outbox.is_closed() {
        task.dial_what_is_due();
        let wake_at = task.wake_at();
        if timer.deadline() != wake_at || timer.is_elapsed() {
            timer.as_mut().reset(wake_at);
        }
        let step = tokio::select! {
            biased;
            step = task.next_step(&mut commands, commands_first) => step,
            () = nobody_listens.as_mut() => Step::Wake,
            () = timer.as_mut() => Step::Wake,
        };
        commands_first = !matches!(step, Step::Command(_));
        match step {
            Step::Command(None | Some(Command::Shutdown)) => break,
            Step::Command(Some(command)) => task.on_command(command),
            Step::Swarm(event) => task.on_swarm_event(*event),
            Step::Wake => {}
        }
        if Instant::now() >= task.next_round {
            task.make_the_rounds();
        }
    }
    task.close().await;
}

/// What happened next.
enum Step {
    Command(Option<Command>),
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
    Wake,
}

struct Task {
    swarm: Swarm<Behaviour>,
    config: NetworkConfig,
    protocol_version: String,
    started: Instant,
    next_round: Instant,
    next_announce_ms: u64,
    outbox: Outbox,
    peers: Peers,
    reconnect: Reconnect,
    /// Our own dials by connection. kad's are not among them.
    dials: BTreeMap<ConnectionId, DialId>,
    unjudged: Unjudged,
    exchanges: Exchanges,
    carriers: Carriers,
    /// Addresses of this node's own that it listens on.
    listens: BTreeSet<Multiaddr>,
    relays: Relays,
    /// Listeners at relays.
    reservations: Vec<(ListenerId, Ticket)>,
    told: reach::Told,
    /// Until when.
    banned: BTreeMap<PeerId, u64>,
    /// What was last told to be remembered, without the times.
    remembered: BTreeSet<PeerId>,
    metrics: NetworkMetrics,
}

impl Task {
    fn new(swarm: Swarm<Behaviour>, setup: Setup, events: mpsc::Sender<Event>) -> Self {
        let Setup { config, remembered, seed, metrics } = setup;
        let policy = Policy {
            wanted: config.peers_wanted,
            delay_max_ms: u64::try_from(config.reconnect_delay_max.as_millis()).unwrap_or(u64::MAX),
            discovery: config.discovery,
        };
        let me = *swarm.local_peer_id();
        let now = Instant::now();
        let mut relays = Relays::new(config.nat.is_some_and(|nat| nat.use_relays), seed);
        for address in swarm.external_addresses() {
            relays.confirmed(address.clone());
        }
        Self {
            reconnect: Reconnect::new(policy, me, &config.peers, &remembered, seed),
            protocol_version: protocol_version(&config.params.name),
            swarm,
            config,
            started: now,
            next_round: now + ROUND,
            next_announce_ms: ANNOUNCE_EVERY_MS,
            outbox: Outbox::new(events, metrics.clone()),
            peers: Peers::default(),
            dials: BTreeMap::new(),
            unjudged: Unjudged::default(),
            exchanges: Exchanges::default(),
            carriers: Carriers::default(),
            listens: BTreeSet::new(),
            relays,
            reservations: Vec::new(),
            told: reach::Told::default(),
            banned: BTreeMap::new(),
            remembered: remembered.iter().filter_map(|peer| peer.peer_id.parse().ok()).collect(),
            metrics,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When there is something to do even if nothing happens.
    fn wake_at(&self) -> Instant {
        let dial_at = self.reconnect.next_ms().map(|at| self.started + Duration::from_millis(at));
        dial_at.map_or(self.next_round, |at| at.min(self.next_round))
    }

    async fn next_step(&mut self, commands: &mut mpsc::Receiver<Command>, commands_first: bool) -> Step {
        let Self { swarm, outbox, .. } = self;
        if commands_first {
            tokio::select! {
                biased;
                command = commands.recv() => Step::Command(command),
                event = swarm.select_next_some() => Step::Swarm(Box::new(event)),
                () = outbox.drain() => Step::Wake,
            }
        } else {
            tokio::select! {
                biased;
                event = swarm.select_next_some() => Step::Swarm(Box::new(event)),
                command = commands.recv() => Step::Command(command),
                () = outbox.drain() => Step::Wake,
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { shard, id, frame } => self.publish(shard, id, frame),
            Command::Judge { message, verdict, peer: _ } => self.judge(message, verdict),
            Command::Ask { peer, exchange, request } => self.ask(peer, exchange, request),
            Command::Answer { inbound, response } => self.answer(inbound, response),
            Command::Carry { shards } => self.carry(shards),
            Command::FindCarriers { shard } => self.find_carriers(shard),
            Command::Disconnect { peer, reason } => self.ban(peer, reason),
            Command::Peers { answer } => {
                let mut peers = self.peers.infos(|peer| self.reconnect.is_configured(peer));
                peers.extend(self.reconnect.absent(self.now_ms(), |peer| self.peers.is_up(peer)));
                // Whoever asked may have given up.
                let _ = answer.send(peers);
            }
            // The loop ends on it.
            Command::Shutdown => {}
        }
    }

    fn publish(&mut self, shard: Shard, id: RecordId, frame: Bytes) {
        let topic = topics::topic(&self.config.params, shard);
        match self.swarm.behaviour_mut().gossip.publish(topic, frame) {
            Ok(_) => self.metrics.gossip(GossipOutcome::Published),
            Err(PublishError::Duplicate) => self.metrics.gossip(GossipOutcome::PublishedBefore),
            Err(error) => {
                tracing::debug!(%id, shard = shard.0, %error, "nobody heard a publication");
                self.metrics.gossip(GossipOutcome::Unheard);
                // A hint: where it is dropped, the next sync brings the record to the neighbours.
                let _ = self.outbox.hint(Event::Unheard { id });
            }
        }
    }

    fn judge(&mut self, message: GossipId, verdict: Verdict) {
        let Some((message, source)) = self.unjudged.take(message) else { return };
        let (acceptance, outcome) = match verdict {
            Verdict::Accept => (MessageAcceptance::Accept, GossipOutcome::Accepted),
            Verdict::Ignore => (MessageAcceptance::Ignore, GossipOutcome::Ignored),
            Verdict::Reject => (MessageAcceptance::Reject, GossipOutcome::Rejected),
        };
        self.metrics.gossip(outcome);
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&message, &source, acceptance);
    }

    fn ask(&mut self, peer: NodeId, exchange: crate::relay::ExchangeId, request: Bytes) {
        // Asking a peer that is not connected would make libp2p dial it.
        let connected = identity::peer_id(&peer).filter(|id| self.peers.is_up(id));
        match connected {
            Some(id) if request.len() <= SYNC_MESSAGE_BYTES_MAX && self.exchanges.has_room_to_ask() => {
                let request = self.swarm.behaviour_mut().aside.sync.send_request(&id, request);
                self.exchanges.ask(request, exchange, peer);
            }
            _ => {
                tracing::debug!(%peer, bytes = request.len(), limit = SYNC_BYTES_MAX, "a request was not sent");
                self.outbox.fact(Event::Answered { peer, exchange, response: None });
            }
        }
    }

    fn answer(&mut self, inbound: InboundId, response: Bytes) {
        // Dropping the channel, where the response is too long, tells the peer that there is none.
        let Some(channel) = self.exchanges.answer(inbound) else { return };
        if response.len() > SYNC_MESSAGE_BYTES_MAX {
            tracing::warn!(bytes = response.len(), "a response is too long and was not sent");
            return;
        }
        // Fails where the peer is gone; it will ask again.
        let _ = self.swarm.behaviour_mut().aside.sync.send_response(channel, response);
    }

    fn carry(&mut self, shards: Vec<Shard>) {
        let known = self.config.params.bits.shard_count();
        let wanted: BTreeSet<_> = shards.into_iter().filter(|shard| shard.0 < known).collect();
        if wanted.len() > CARRIED_SHARDS_MAX {
            tracing::warn!(shards = wanted.len(), limit = CARRIED_SHARDS_MAX, "too many shards for one node");
        }
        let change = self.carriers.carry(wanted.into_iter().take(CARRIED_SHARDS_MAX).collect());
        let behaviour = self.swarm.behaviour_mut();
        for shard in change.end {
            behaviour.gossip.unsubscribe(&topics::topic(&self.config.params, shard));
            if let Some(kad) = behaviour.aside.kad.as_mut() {
                kad.stop_providing(&topics::provider_key(&self.config.params, shard));
            }
        }
        for shard in change.begin {
            let topic = topics::topic(&self.config.params, shard);
            if let Err(error) = behaviour.gossip.set_topic_params(topic.clone(), topic_score()) {
                tracing::warn!(%error, "no score for a shard");
            }
            if let Err(error) = behaviour.gossip.subscribe(&topic) {
                tracing::warn!(%error, shard = shard.0, "not subscribed to a shard");
            }
        }
        self.announce();
    }

    /// Announces the next few shards. Where there is only one, everybody carries it, and nobody looks for carriers.
    fn announce(&mut self) {
        if self.config.params.bits == ShardBits::ZERO {
            return;
        }
        let Some(kad) = self.swarm.behaviour_mut().aside.kad.as_mut() else { return };
        for shard in self.carriers.next_announcements() {
            let key = topics::provider_key(&self.config.params, shard);
            if let Err(error) = kad.start_providing(key) {
                tracing::debug!(%error, shard = shard.0, "a shard was not announced");
            }
        }
    }

    /// Tells connected carriers at once, and, where more can be found, all of them when the search ends.
    fn find_carriers(&mut self, shard: Shard) {
        let peers = self.connected_carriers(shard);
        let searches = self.config.discovery && self.carriers.may_search(shard);
        if !peers.is_empty() || !searches {
            self.outbox.fact(Event::Carriers { shard, peers: peers.into_iter().collect() });
        }
        if searches && let Some(kad) = self.swarm.behaviour_mut().aside.kad.as_mut() {
            let query = kad.get_providers(topics::provider_key(&self.config.params, shard));
            self.carriers.search(query, shard);
        }
    }

    fn connected_carriers(&self, shard: Shard) -> BTreeSet<NodeId> {
        let topic = topics::topic(&self.config.params, shard).hash();
        let subscribed = self.swarm.behaviour().gossip.all_peers().filter(|(_, topics)| topics.contains(&&topic));
        subscribed
            .filter_map(|(id, _)| self.peers.get(id))
            .filter(|peer| peer.up && !peer.parting)
            .map(|peer| peer.node)
            .collect()
    }

    fn on_providers(&mut self, query: kad::QueryId, found: BTreeSet<PeerId>) {
        let (me, now) = (*self.swarm.local_peer_id(), self.now_ms());
        let found = found.into_iter().filter(|peer| *peer != me && !self.reconnect.is_avoided(peer, now));
        for peer in self.carriers.found(query, found.collect()) {
            // kad knows the addresses for as long as the search runs, so it is dialled now. Being connected already,
            // or having no address, is no failure worth telling.
            let opts = DialOpts::peer_id(peer).allocate_new_port().build();
            if let Err(error) = self.swarm.dial(opts) {
                tracing::debug!(%peer, %error, "a carrier is not dialled");
            }
        }
    }

    fn on_search_ended(&mut self, query: kad::QueryId) {
        let Some((shard, found)) = self.carriers.ended(query) else { return };
        let mut peers = self.connected_carriers(shard);
        peers.extend(found.iter().filter_map(identity::node_id));
        self.outbox.fact(Event::Carriers { shard, peers: peers.into_iter().collect() });
    }

    /// Disconnects a peer, and keeps it out for a while.
    fn ban(&mut self, peer: NodeId, reason: &'static str) {
        let Some(id) = identity::peer_id(&peer) else { return };
        tracing::info!(peer = %id, reason, "keeping a peer out for a while");
        self.metrics.refused("banned");
        let until = self.now_ms() + BAN_MS;
        if self.banned.len() >= BANNED_MAX
            && let Some((first, _)) = self.banned.pop_first()
        {
            self.swarm.behaviour_mut().aside.doors.unblock(first);
        }
        self.banned.insert(id, until);
        self.swarm.behaviour_mut().aside.doors.block(id);
        self.part(id, until, reason);
    }

    /// Parts from a peer, and does not dial it until then.
    fn part(&mut self, peer: PeerId, until_ms: u64, reason: &str) {
        self.reconnect.avoid(peer, until_ms, reason);
        if let Some(kad) = self.swarm.behaviour_mut().aside.kad.as_mut() {
            kad.remove_peer(&peer);
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.parting = true;
        }
        // Nothing to close where it is not connected.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn dial_what_is_due(&mut self) {
        let now = self.now_ms();
        for Dial { id, peer, addresses } in self.reconnect.poll(now) {
            let opts = match peer {
                Some(peer) => DialOpts::peer_id(peer).addresses(addresses).allocate_new_port().build(),
                None => match addresses.into_iter().next() {
                    Some(address) => DialOpts::unknown_peer_id().address(address).allocate_new_port().build(),
                    None => continue,
                },
            };
            let connection = opts.connection_id();
            match self.swarm.dial(opts) {
                Ok(()) => {
                    self.dials.insert(connection, id);
                }
                Err(error) => self.dial_failed(id, peer, &error),
            }
        }
    }

    fn dial_failed(&mut self, id: DialId, peer: Option<PeerId>, error: &DialError) {
        let failure = match error {
            DialError::LocalPeerId { .. } => {
                tracing::info!("an address to dial is this node's own: dropped");
                Failure::Myself
            }
            DialError::DialPeerConditionFalse(_) => Failure::Underway,
            DialError::WrongPeerId { obtained, address } => {
                let configured = peer.is_some_and(|peer| self.reconnect.is_configured(&peer));
                if configured {
                    tracing::warn!(%address, %obtained, "another node answers at a configured --peer: correct its /p2p/");
                }
                Failure::Unreachable
            }
            _ => Failure::Unreachable,
        };
        tracing::debug!(?peer, %error, "dial failed");
        self.metrics.dial(if failure == Failure::Underway { "underway" } else { "failed" });
        self.reconnect.failed(id, failure, &error.to_string(), self.now_ms());
    }

    fn make_the_rounds(&mut self) {
        self.next_round = Instant::now() + ROUND;
        let now = self.now_ms();
        if now >= self.next_announce_ms {
            self.next_announce_ms = now + ANNOUNCE_EVERY_MS;
            self.carriers.announce_again();
        }
        self.announce();
        self.remember(false);
        self.let_banned_back(now);
        self.part_from_silent(now);
        self.trim(now);
        self.close_superseded(now);
        self.settle_reach();
        // Bounded whatever libp2p does or does not tell: the reconnection policy gives lost dials up by itself.
        while self.dials.len() > DIALS_MAX {
            self.dials.pop_first();
        }
    }

    /// Tells whom to remember, where that has changed.
    fn remember(&mut self, always: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(now.as_secs());
        let peers: BTreeSet<_> = self.reconnect.worth_remembering(now).into_iter().map(|(peer, _)| peer).collect();
        if (always && !peers.is_empty()) || peers != self.remembered {
            self.remembered = peers;
            self.outbox.fact(Event::Remember { peers: self.reconnect.remembered(now) });
        }
    }

    fn let_banned_back(&mut self, now: u64) {
        let over: Vec<_> = self.banned.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| *peer).collect();
        for peer in over {
            self.banned.remove(&peer);
            if !self.config.block.contains(&peer) {
                self.swarm.behaviour_mut().aside.doors.unblock(peer);
            }
        }
    }

    fn part_from_silent(&mut self, now: u64) {
        let silent = self.peers.iter().filter(|(_, peer)| !peer.up && peer.since_ms + IDENTIFY_WITHIN_MS <= now);
        for peer in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            tracing::debug!(%peer, "parting from a peer that does not say who it is");
            self.metrics.refused("silent");
            self.part(peer, now + OTHER_NETWORK_MS, "it did not say who it is");
        }
    }

    /// Searches through kad leave connections behind. The oldest of those that we opened, that nobody asked for and no
    /// mesh uses, are closed.
    fn trim(&mut self, now: u64) {
        let keep = self.config.peers_wanted.max(1) * TRIM_ABOVE_FACTOR;
        let excess = self.peers.up_count().saturating_sub(keep);
        if excess == 0 {
            return;
        }
        let mesh: BTreeSet<_> = self.swarm.behaviour().gossip.all_mesh_peers().copied().collect();
        let mut spare: Vec<_> = self
            .peers
            .iter()
            .filter(|(id, peer)| {
                peer.since_ms + TRIM_AGE_MS <= now
                    && peer.connections.iter().all(|connection| connection.dialled)
                    && !mesh.contains(id)
                    && !self.reconnect.is_configured(id)
            })
            .map(|(id, peer)| (peer.since_ms, *id))
            .collect();
        spare.sort_unstable();
        for (_, peer) in spare.into_iter().take(excess) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Says good-bye to everyone.
    async fn close(mut self) {
        self.remember(true);
        let peers: Vec<_> = self.peers.iter().map(|(peer, _)| *peer).collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.on_swarm_event(event);
            }
        };
        // A peer that does not answer keeps nobody here.
        let _ = tokio::time::timeout(CLOSE_WITHIN, closed).await;
    }
}
