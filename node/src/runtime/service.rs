//! A node as a daemon: the store on its disk, the node, and the API in front of it, from start to signal.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};

use super::{Handle, Node, StartError};
use crate::{
    api::{ServeError, Server},
    config::Config,
    metrics::{Exposition, Metrics},
    store::{DiskStore, Observer, OpenReport, Options, Store, StoreError},
};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node did not start.
    #[error(transparent)]
    Node(#[from] StartError),
    /// The API did not start.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// The system refused to tell of signals.
    #[error("waiting for signals: {0}")]
    Signals(std::io::Error),
}

/// A running daemon.
pub struct Service {
    node: Node,
    server: Server,
}

impl Service {
    /// Opens the data directory, joins the network, and serves the API.
    ///
    /// # Errors
    /// [`ServiceError`], each with what to do.
    pub async fn start(config: &Config) -> Result<Self, ServiceError> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let (store, report) = open_store(config, &metrics)?;
        let store: Arc<dyn Store> = Arc::new(store);
        let node = Node::start(config, store, report.warnings(), &metrics, &mut registry)?;
        let exposition = Exposition::new(Arc::new(registry), metrics, config.data_dir.clone());
        let server = match Server::start(config, node.handle(), exposition).await {
            Ok(server) => server,
            Err(error) => {
                node.shutdown().await;
                return Err(error.into());
            }
        };
        Ok(Self { node, server })
    }

    /// How to ask the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.node.handle()
    }

    /// The API's server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Answers what is under way, then stops the node.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.node.shutdown().await;
    }
}

/// Runs a daemon until SIGINT or SIGTERM; `ready` is called once it serves.
///
/// # Errors
/// [`ServiceError`], each with what to do.
pub async fn serve(config: Config, ready: impl FnOnce(&Service)) -> Result<(), ServiceError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServiceError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServiceError::Signals)?;
    let service = Service::start(&config).await?;
    ready(&service);
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        _ = terminate.recv() => tracing::info!("told to stop: stopping"),
    }
    service.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

fn open_store(config: &Config, metrics: &Metrics) -> Result<(DiskStore, OpenReport), StoreError> {
    let observer: Arc<dyn Observer> = Arc::new(metrics.clone());
    let options = Options {
        disk_reserve_bytes: config.limits.disk_reserve_bytes,
        cache_bytes: config.limits.index_cache_bytes,
        observer: Some(observer),
        ..Options::new(config.network.bits)
    };
    DiskStore::open(&config.data_dir, options)
}
