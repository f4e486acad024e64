//! Starting a node and stopping it.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    driver::{Driver, Sources, State, wall_clock},
    handle::{Handle, Inner},
    hub::Hub,
    last_ran::LastRan,
    writer,
};
use crate::{
    config::Config,
    identity::{Identity, IdentityError},
    metrics::Metrics,
    network::{self, Command, ConnectionLimits, NetworkConfig, NetworkError},
    relay::{self, CarryPolicy, Relay},
    store::{Store, StoreError},
};

/// API calls that wait for the driver. More than all connections could have in flight would only be memory.
const CALLS_MAX: usize = 4096;

/// Network events that wait for the driver; beyond it gossip is dropped, and sync brings it later.
const EVENTS_MAX: usize = 4096;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory's identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network did not start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The system refused something else.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// A running node.
pub struct Node {
    handle: Handle,
    store: Arc<dyn Store>,
    stop: oneshot::Sender<()>,
    driver: JoinHandle<()>,
    network: mpsc::Sender<Command>,
    swarm: JoinHandle<()>,
    writer: std::thread::JoinHandle<()>,
}

impl Node {
    /// Joins the network and runs on `store`, which says `warnings` of itself. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], each with what to do.
    pub fn start(
        config: &Config,
        store: Arc<dyn Store>,
        warnings: Vec<String>,
        metrics: &Metrics,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        let identity = Identity::load_or_create(&config.data_dir)?;
        let (events_in, events) = mpsc::channel(EVENTS_MAX);
        let remembered = store.remembered_peers()?;
        let (network, swarm) = network::start(
            network_config(config),
            &identity,
            remembered,
            events_in,
            registry.sub_registry_with_prefix("griot"),
        )?;

        let hub = Arc::new(Hub::default());
        let (done_in, done) = mpsc::unbounded_channel();
        let (jobs, writer) = writer::spawn(Arc::clone(&store), done_in.clone())
            .map_err(|source| StartError::Io { what: "starting the writer thread", source })?;
        let (calls_in, calls) = mpsc::channel(CALLS_MAX);
        let last_ran = LastRan::new(&config.data_dir);
        let relay = Relay::new(relay_config(config, &identity), seed()?, last_ran.read());
        let driver = Driver {
            relay,
            store: Arc::clone(&store),
            hub: Arc::clone(&hub),
            metrics: metrics.clone(),
            params: config.network.clone(),
            secret: identity.secret().clone(),
            peer_id: identity.peer_id().to_string(),
            network: network.clone(),
            writer: jobs,
            done: done_in,
            last_ran,
            alone: false,
            state: State::new(warnings),
        };
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(driver.run(Sources { calls, events, done }, stopped));
        let handle = Handle::new(Inner {
            calls: calls_in,
            store: Arc::clone(&store),
            params: config.network.clone(),
            node_id: identity.node_id(),
            hub,
        });
        Ok(Self { handle, store, stop, driver, network, swarm, writer })
    }

    /// How the API speaks to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops it: no new calls, what was being written is finished, connections are closed, the index is checkpointed.
    pub async fn shutdown(self) {
        let _ = self.stop.send(());
        let _ = self.driver.await;
        let _ = self.network.send(Command::Shutdown).await;
        let _ = self.swarm.await;
        // The driver is gone and with it the writer's queue: it ends when it has written what it had.
        let writer = self.writer;
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        let store = self.store;
        let checkpoint = tokio::task::spawn_blocking(move || store.maintain(wall_clock())).await;
        if let Ok(Err(error)) = checkpoint {
            tracing::warn!(%error, "the last checkpoint failed; the next start replays more of the log");
        }
    }
}

fn network_config(config: &Config) -> NetworkConfig {
    NetworkConfig {
        listen: config.listen.clone(),
        peers: config.peers.clone(),
        discovery: config.discovery,
        mdns: config.mdns,
        allow: config.allow_peers.clone(),
        block: config.block_peers.clone(),
        limits: ConnectionLimits { established_in: config.limits.peers, ..ConnectionLimits::default() },
        ..NetworkConfig::new(config.network.clone())
    }
}

fn relay_config(config: &Config, identity: &Identity) -> relay::Config {
    let mine = &config.limits;
    let mut limits = relay::Limits { best_effort_bytes: mine.best_effort_bytes, ..relay::Limits::default() };
    limits.member.mailboxes = mine.member_mailboxes;
    limits.member.mailbox_bytes = mine.member_bytes;
    limits.member.outbox_bytes = mine.member_bytes;
    limits.member_rate.per_second = u32::try_from(mine.member_records_per_second).unwrap_or(u32::MAX);
    let carry = CarryPolicy::Listed(config.carry.iter().copied().collect());
    relay::Config { carry, limits, ..relay::Config::new(config.network.clone(), identity.node_id()) }
}

fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::Io { what: "drawing randomness", source: error.into() })?;
    Ok(seed)
}
