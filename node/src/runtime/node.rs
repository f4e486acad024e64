//! Starting a node and stopping it.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    driver::{Driver, Sources, State},
    handle::{Handle, Inner},
    host::{Host, Machine},
    hub::Hub,
    writer::{self, Job},
};
use crate::{
    config::Config,
    identity::{Identity, IdentityError},
    metrics::Metrics,
    network::{self, Command, ConnectionLimits, Event, Nat, NetworkConfig, NetworkError},
    relay::{self, CarryPolicy, Input, Relay},
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

/// What a node is made of.
pub struct Parts {
    /// Where its records are.
    pub store: Arc<dyn Store>,
    /// What the store says of itself, for the operator.
    pub warnings: Vec<String>,
    /// Who it is.
    pub identity: Identity,
    /// What its relay may do. Its parameters are the node's.
    pub relay: relay::Config,
    /// From which the relay's choices among peers are drawn; nothing secret depends on it.
    pub seed: [u8; 32],
    /// The machine it runs on.
    pub host: Arc<dyn Host>,
    /// What it counts.
    pub metrics: Metrics,
}

/// A swarm that runs already: what [`network::start`] or [`network::run`] was given.
pub struct NetworkSide {
    /// The way to it.
    pub commands: mpsc::Sender<Command>,
    /// The way from it.
    pub events: mpsc::Receiver<Event>,
    /// Its task.
    pub task: JoinHandle<()>,
}

impl NetworkSide {
    /// The channel for a swarm's events, of the size that the driver expects.
    #[must_use]
    pub fn events() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
        mpsc::channel(EVENTS_MAX)
    }
}

/// Who makes commits durable. It ends when all senders of jobs are gone and it has done what it had.
pub enum Writer {
    /// A thread, as a real disk needs it.
    Thread(std::thread::JoinHandle<()>),
    /// A task, where writing does not block.
    Task(JoinHandle<()>),
}

/// A running node.
pub struct Node {
    handle: Handle,
    store: Arc<dyn Store>,
    host: Arc<dyn Host>,
    stop: oneshot::Sender<()>,
    driver: JoinHandle<()>,
    network: NetworkTask,
    writer: Writer,
}

struct NetworkTask {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
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
        let (events_in, events) = NetworkSide::events();
        let remembered = store.remembered_peers()?;
        let (commands, task) = network::start(
            network_config(config),
            &identity,
            remembered,
            events_in,
            registry.sub_registry_with_prefix("griot"),
        )?;
        let parts = Parts {
            store: Arc::clone(&store),
            warnings,
            relay: relay_config(config, &identity),
            identity,
            seed: seed()?,
            host: Arc::new(Machine::new(&config.data_dir)),
            metrics: metrics.clone(),
        };
        Self::assemble(parts, NetworkSide { commands, events, task }, |done| {
            let (jobs, thread) = writer::spawn(store, done)
                .map_err(|source| StartError::Io { what: "starting the writer thread", source })?;
            Ok((jobs, Writer::Thread(thread)))
        })
    }

    /// Makes a node of its parts and starts its driver. `writer` is started with the way back to the driver, and gives
    /// the way of [`Job`]s to it. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// What `writer` says.
    pub fn assemble(
        parts: Parts,
        network: NetworkSide,
        writer: impl FnOnce(mpsc::UnboundedSender<Input>) -> Result<(mpsc::UnboundedSender<Job>, Writer), StartError>,
    ) -> Result<Self, StartError> {
        let Parts { store, warnings, identity, relay, seed, host, metrics } = parts;
        let NetworkSide { commands, events, task } = network;
        let hub = Arc::new(Hub::default());
        let (done_in, done) = mpsc::unbounded_channel();
        let (jobs, writer) = writer(done_in.clone())?;
        let (calls_in, calls) = mpsc::channel(CALLS_MAX);
        let params = relay.params.clone();
        let driver = Driver {
            relay: Relay::new(relay, seed, host.last_ran()),
            store: Arc::clone(&store),
            hub: Arc::clone(&hub),
            metrics,
            params: params.clone(),
            secret: identity.secret().clone(),
            peer_id: identity.peer_id().to_string(),
            network: commands.clone(),
            writer: jobs,
            done: done_in,
            host: Arc::clone(&host),
            alone: false,
            state: State::new(warnings),
        };
        let (stop, stopped) = oneshot::channel();
        let driver = tokio::spawn(driver.run(Sources { calls, events, done }, stopped));
        let inner = Inner {
            calls: calls_in,
            store: Arc::clone(&store),
            params,
            node_id: identity.node_id(),
            hub,
            host: Arc::clone(&host),
        };
        let handle = Handle::new(inner);
        Ok(Self { handle, store, host, stop, driver, network: NetworkTask { commands, task }, writer })
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
        let _ = self.network.commands.send(Command::Shutdown).await;
        let _ = self.network.task.await;
        // The driver is gone and with it the writer's queue: it ends when it has written what it had.
        let (store, now) = (self.store, self.host.wall_clock());
        let checkpoint = match self.writer {
            Writer::Thread(thread) => {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                tokio::task::spawn_blocking(move || store.maintain(now)).await.ok()
            }
            Writer::Task(task) => {
                let _ = task.await;
                Some(store.maintain(now))
            }
        };
        if let Some(Err(error)) = checkpoint {
            tracing::warn!(%error, "the last checkpoint failed; the next start replays more of the log");
        }
    }

    /// Stops it as a power loss does: nothing is finished, nobody is told. A writer that is a thread finishes what it
    /// has; one that is a task is gone with the rest.
    pub fn abort(self) {
        self.driver.abort();
        self.network.task.abort();
        if let Writer::Task(task) = self.writer {
            task.abort();
        }
    }
}

fn network_config(config: &Config) -> NetworkConfig {
    NetworkConfig {
        listen: config.listen.clone(),
        peers: config.peers.clone(),
        announce: config.announce.clone(),
        nat: Some(Nat { relay_for_others: config.relay_for_others, use_relays: config.use_relays }),
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
