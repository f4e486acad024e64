//! A network side of a node on loopback, without relay or store: tests speak for the relay.

use std::time::Duration;

use bytes::Bytes;
use griot_node::{
    identity::Identity,
    network::{Command, Event, NetworkConfig, NetworkMetrics, Setup, build, run, start},
    relay::{GossipId, Verdict},
    store::RememberedPeer,
};
use griot_protocol::{NetworkName, NetworkParams, NodeId, RecordId, Shard, ShardBits, api::PeerInfo};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// No step of a test takes longer, on however slow a machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

pub struct Net {
    pub identity: Identity,
    pub listen: Vec<Multiaddr>,
    pub commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    /// Events that a wait passed over, for later waits.
    passed: Vec<Event>,
    pub registry: Registry,
    task: JoinHandle<()>,
}

pub fn params(network: &str, bits: u8) -> NetworkParams {
    let name: NetworkName = network.parse().unwrap();
    NetworkParams { bits: ShardBits::try_from(bits).unwrap(), ..NetworkParams::standard(name) }
}

/// On loopback, without mDNS, quick to reconnect.
pub fn config(listen: &[&str], peers: &[Multiaddr]) -> NetworkConfig {
    NetworkConfig {
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        peers: peers.to_vec(),
        mdns: false,
        reconnect_delay_max: Duration::from_secs(1),
        ..NetworkConfig::new(params("test", 0))
    }
}

pub fn identity(n: u8) -> Identity {
    Identity::from_bytes(&[n; 32]).unwrap()
}

impl Net {
    pub async fn start(n: u8, config: NetworkConfig) -> Self {
        Self::start_remembering(n, config, Vec::new()).await
    }

    pub async fn start_remembering(n: u8, config: NetworkConfig, remembered: Vec<RememberedPeer>) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let (identity, mut registry) = (identity(n), Registry::default());
        let listeners = config.listen.len();
        let (commands, task) = start(config, &identity, remembered, sender, &mut registry).unwrap();
        let mut net = Self { identity, listen: Vec::new(), commands, events, passed: Vec::new(), registry, task };
        for _ in 0..listeners {
            let address = net
                .wait("listening", |event| match event {
                    Event::Listening { address } => Some(address.clone()),
                    _ => None,
                })
                .await;
            net.listen.push(address);
        }
        net
    }

    /// One that listens nowhere: nobody can dial it, as if it were behind NAT.
    pub fn start_hidden(n: u8, config: NetworkConfig) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let (commands, orders) = mpsc::channel(64);
        let identity = identity(n);
        let swarm = build(&config, &identity).unwrap();
        let setup = Setup { config, remembered: Vec::new(), seed: u64::from(n), metrics: NetworkMetrics::default() };
        let task = tokio::spawn(run(swarm, setup, orders, sender));
        let (listen, passed, registry) = (Vec::new(), Vec::new(), Registry::default());
        Self { identity, listen, commands, events, passed, registry, task }
    }

    pub fn id(&self) -> NodeId {
        self.identity.node_id()
    }

    pub fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// The first event that `wanted` takes. What it does not take is kept.
    pub async fn wait<T>(&mut self, what: &str, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        self.wait_within(DEADLINE, wanted).await.unwrap_or_else(|| panic!("no {what} in time; saw {:?}", self.passed))
    }

    pub async fn wait_within<T>(&mut self, limit: Duration, mut wanted: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut seen = 0;
        loop {
            while seen < self.passed.len() {
                if let Some(found) = wanted(&self.passed[seen]) {
                    self.passed.remove(seen);
                    return Some(found);
                }
                seen += 1;
            }
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) => self.passed.push(event),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    pub async fn up(&mut self, peer: NodeId) {
        self.wait("peer up", |event| matches!(event, Event::PeerUp { peer: up } if *up == peer).then_some(())).await;
    }

    pub async fn down(&mut self, peer: NodeId) {
        self.wait("peer down", |event| matches!(event, Event::PeerDown { peer: down } if *down == peer).then_some(()))
            .await;
    }

    pub async fn send(&self, command: Command) {
        self.commands.send(command).await.unwrap();
    }

    /// Connected peers.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        self.all_peers().await.into_iter().filter(|peer| peer.connected).collect()
    }

    /// Connected, configured and remembered peers.
    pub async fn all_peers(&self) -> Vec<PeerInfo> {
        let (answer, peers) = oneshot::channel();
        self.send(Command::Peers { answer }).await;
        peers.await.unwrap()
    }

    pub async fn peer_ids(&self) -> Vec<PeerId> {
        self.peers().await.iter().map(|peer| peer.peer_id.parse().unwrap()).collect()
    }

    pub async fn carry(&self, shards: &[u32]) {
        self.send(Command::Carry { shards: shards.iter().copied().map(Shard).collect() }).await;
    }

    /// Publishes until somebody hears it: subscriptions travel after the connection stands.
    pub async fn publish(&mut self, shard: u32, frame: &'static [u8]) {
        let deadline = Instant::now() + DEADLINE;
        let id = RecordId(*blake3::hash(frame).as_bytes());
        loop {
            self.send(Command::Publish { shard: Shard(shard), id, frame: Bytes::from_static(frame) }).await;
            // Commands are answered in order, so what the publication told has been told when this returns.
            self.peers().await;
            let unheard = self
                .wait_within(Duration::ZERO, |event| {
                    matches!(event, Event::Unheard { id: unheard } if *unheard == id).then_some(())
                })
                .await;
            if unheard.is_none() {
                return;
            }
            assert!(Instant::now() < deadline, "nobody hears");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn gossiped(&mut self, wanted: &'static [u8]) -> (NodeId, GossipId) {
        self.wait("gossip", |event| match event {
            Event::Gossiped { peer, message, frame, .. } if frame == wanted => Some((*peer, *message)),
            _ => None,
        })
        .await
    }

    pub async fn judge(&self, (peer, message): (NodeId, GossipId), verdict: Verdict) {
        self.send(Command::Judge { peer, message, verdict }).await;
    }

    /// Ends as a process does that is told to; returns what it remembered last.
    pub async fn stop(mut self) -> Vec<RememberedPeer> {
        self.commands.send(Command::Shutdown).await.unwrap();
        let mut remembered = Vec::new();
        for event in std::mem::take(&mut self.passed) {
            if let Event::Remember { peers } = event {
                remembered = peers;
            }
        }
        while let Some(event) = self.events.recv().await {
            if let Event::Remember { peers } = event {
                remembered = peers;
            }
        }
        self.task.await.unwrap();
        remembered
    }
}

/// Without `/p2p/…`.
pub fn bare(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// Polls until it is so.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !is().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The TCP or UDP port.
pub fn port(address: &Multiaddr) -> u16 {
    let port = |part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    };
    address.iter().find_map(port).unwrap()
}
