//! TEMPORARY: stands in for `service.rs` until the disk store is merged. Nothing here is durable.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};

use super::{Handle, Node};
use crate::{
    api::Server,
    config::Config,
    metrics::{Exposition, Metrics},
    store::{MemoryStore, Store, StoreError},
};

/// A running daemon.
pub struct Service {
    node: Node,
    server: Server,
}

impl Service {
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
}

/// Runs a daemon until a signal.
///
/// # Errors
/// In words.
pub async fn serve(config: Config, ready: impl FnOnce(&Service)) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| text(&error))?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    std::fs::create_dir_all(&config.data_dir).map_err(|error| text(&error))?;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(config.network.bits));
    let warnings = vec!["this build keeps nothing on disk".to_owned()];
    let node = Node::start(&config, store, warnings, &metrics, &mut registry).map_err(|error| text(&error))?;
    let exposition = Exposition::new(Arc::new(registry), metrics, config.data_dir.clone());
    let server = Server::start(&config, node.handle(), exposition).await.map_err(|error| text(&error))?;
    let service = Service { node, server };
    ready(&service);
    terminate.recv().await;
    service.server.shutdown().await;
    service.node.shutdown().await;
    Ok(())
}

/// Opens the store of a node that does not run.
///
/// # Errors
/// Always, until the disk store is merged.
pub fn open_offline(_: &Config) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::Schema("this build has no disk store yet".to_owned()))
}
