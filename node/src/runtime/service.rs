//! A node as a daemon: the store on its disk, the node, and the API in front of it, from start to signal.

use std::{sync::Arc, time::Duration};

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
        let node = Node::start(config, store, warnings(&report), &metrics, &mut registry)?;
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

/// Opens the store of a node that does not run, and with it the data directory's lock, so that no node starts meanwhile.
///
/// # Errors
/// [`StoreError`], with what to do.
pub fn open_offline(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    let options = Options { cache_bytes: config.limits.index_cache_bytes, ..Options::new(config.network.bits) };
    let (store, report) = DiskStore::open(&config.data_dir, &options)?;
    for warning in warnings(&report) {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(store))
}

impl Observer for Metrics {
    fn synced(&self, latency: Duration, entries: usize, bytes: u64) {
        Self::synced(self, latency, entries, bytes);
    }
}

/// What an operator should know of how the store was found.
fn warnings(report: &OpenReport) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(reason) = &report.rebuilt {
        warnings.push(format!("the index was rebuilt from the record log: {reason}"));
    }
    for file in &report.quarantined {
        warnings.push(format!(
            "a damaged piece of the record log was set aside in {}; neighbours are asked for its records",
            file.display()
        ));
    }
    if report.unknown > 0 {
        warnings.push(format!(
            "{} entries of the record log are of a newer version and are left as they are",
            report.unknown
        ));
    }
    warnings
}

fn open_store(config: &Config, metrics: &Metrics) -> Result<(DiskStore, OpenReport), StoreError> {
    let observer: Arc<dyn Observer> = Arc::new(metrics.clone());
    let options = Options {
        reserve_bytes: config.limits.disk_reserve_bytes,
        cache_bytes: config.limits.index_cache_bytes,
        observer: Some(observer),
        ..Options::new(config.network.bits)
    };
    DiskStore::open(&config.data_dir, &options)
}
