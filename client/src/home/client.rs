//! One home and a few connections to it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use griot_protocol::{
    Address, Cursor, NodeId, Nonce, RecordId,
    api::{Accepted, NodeInfo, RecordStatus, Registered, Registration, Unregistration},
};

use super::{
    calls::Page,
    connection::Connection,
    dial::{Patience, Target},
    error::HomeError,
    stream::HomeStream,
};
use crate::core::Home;

/// Connections that are kept for the next call.
const IDLE_MAX: usize = 4;

/// How long before its end a nonce is no longer used: the call still has to get there.
const NONCE_MARGIN: Duration = Duration::from_secs(5);

/// A home. Calls may be made at the same time; each takes an idle connection or opens one.
#[derive(Debug)]
pub struct HomeClient {
    target: Arc<Target>,
    idle: Mutex<Vec<Connection>>,
    nonces: Mutex<Vec<(NodeId, Nonce, Instant)>>,
}

impl HomeClient {
    /// A client of the home that `target` leads to. Connects when it is first used.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target: Arc::new(target), idle: Mutex::default(), nonces: Mutex::default() }
    }

    /// A client of an account's home.
    ///
    /// # Errors
    /// As [`Target::of`].
    pub fn of(home: &Home, patience: Patience) -> Result<Self, HomeError> {
        Target::of(home, patience).map(Self::new)
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Who it is.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn greet(&self) -> Result<NodeInfo, HomeError> {
        let mut connection = self.take();
        let result = connection.greet().await;
        self.put_back(connection);
        result
    }

    /// A nonce for one proof to this home, and the node that gave it.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn nonce(&self) -> Result<(NodeId, Nonce), HomeError> {
        if let Some(nonce) = self.kept_nonce() {
            return Ok(nonce);
        }
        let mut connection = self.take();
        let result = connection.nonces().await;
        self.put_back(connection);
        let nonces = result?;
        // A node that says "valid for ever" is not believed beyond an hour.
        let valid = Duration::from_secs(nonces.valid_seconds.min(3600)).saturating_sub(NONCE_MARGIN);
        let until = Instant::now() + valid;
        let mut fresh = nonces.nonces.into_iter();
        let first = fresh.next().ok_or_else(|| HomeError::NotANode("it gave no nonces".to_owned()))?;
        let node = nonces.node_id;
        lock(&self.nonces).extend(fresh.take(64).map(|nonce| (node, nonce, until)));
        Ok((node, first))
    }

    fn kept_nonce(&self) -> Option<(NodeId, Nonce)> {
        let now = Instant::now();
        let mut kept = lock(&self.nonces);
        kept.retain(|(_, _, until)| *until > now);
        kept.pop().map(|(node, nonce, _)| (node, nonce))
    }

    /// Forgets the kept nonces: a home that was started again does not know them.
    pub fn forget_nonces(&self) {
        lock(&self.nonces).clear();
    }

    /// Registers a mailbox.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn register(&self, address: &Address, body: &Registration) -> Result<Registered, HomeError> {
        let mut connection = self.take();
        let result = connection.register(address, body).await;
        self.put_back(connection);
        result
    }

    /// Ends a registration.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn unregister(&self, address: &Address, body: &Unregistration) -> Result<(), HomeError> {
        let mut connection = self.take();
        let result = connection.unregister(address, body).await;
        self.put_back(connection);
        result
    }

    /// Hands over a record; returns once it is on the home's disk.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn submit(&self, frame: Bytes) -> Result<Accepted, HomeError> {
        let mut connection = self.take();
        let result = connection.submit(frame).await;
        self.put_back(connection);
        result
    }

    /// Reads a page of a mailbox.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn fetch(&self, address: &Address, after: Option<Cursor>) -> Result<Page, HomeError> {
        let mut connection = self.take();
        let result = connection.fetch(address, after).await;
        self.put_back(connection);
        result
    }

    /// What the home knows about a record.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn status(&self, id: &RecordId) -> Result<Option<RecordStatus>, HomeError> {
        let mut connection = self.take();
        let result = connection.status(id).await;
        self.put_back(connection);
        result
    }

    /// Opens a stream on a connection of its own.
    ///
    /// # Errors
    /// [`HomeError`].
    pub async fn stream(&self) -> Result<HomeStream, HomeError> {
        HomeStream::open(&self.target).await
    }

    fn take(&self) -> Connection {
        lock(&self.idle).pop().unwrap_or_else(|| Connection::new(self.target.clone()))
    }

    /// Called after a call has ended; the connection of a call that was given up in between is dropped instead.
    fn put_back(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

/// Locks; a panic elsewhere leaves these lists in order.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
