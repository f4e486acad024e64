//! The seam between the engine and its homes.
//!
//! The engine decides what is asked of which home and when; *how* a home is reached is behind three traits. A program
//! that a person runs reaches homes over HTTP ([`OverHttp`]). The simulator, whose nodes run in the same process, hands
//! the same calls to a node's API without a socket in between, and everything above this line is the same.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use griot_protocol::{
    Address, Cursor, NodeId, Nonce, RecordId,
    api::{Accepted, NodeInfo, RecordStatus, Registered, Registration, StreamRequest, Unregistration},
};

use super::{
    calls::Page,
    client::HomeClient,
    dial::Patience,
    error::HomeError,
    stream::{HomeStream, StreamItem},
};
use crate::core::Home;

/// What a call to a home comes to, one day.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, HomeError>>;

/// How an account's homes are reached.
pub trait Reach: Send + Sync {
    /// The way to a home. Nothing is asked of it yet.
    ///
    /// # Errors
    /// What is stored of the home leads nowhere.
    fn home(&self, home: &Home) -> Result<Arc<dyn HomeCalls>, HomeError>;
}

/// What can be asked of a home. Calls may be made at the same time.
pub trait HomeCalls: Send + Sync {
    /// Who it is.
    fn greet(&self) -> Answer<'_, NodeInfo>;
    /// A nonce for one proof to this home, and the node that gave it.
    fn nonce(&self) -> Answer<'_, (NodeId, Nonce)>;
    /// Forgets the kept nonces: a home that was started again does not know them.
    fn forget_nonces(&self);
    /// Registers a mailbox.
    fn register<'a>(&'a self, address: &'a Address, body: &'a Registration) -> Answer<'a, Registered>;
    /// Ends a registration. One that is not there is gone, too.
    fn unregister<'a>(&'a self, address: &'a Address, body: &'a Unregistration) -> Answer<'a, ()>;
    /// Hands over a record; returns once it is on the home's disk.
    fn submit(&self, frame: Bytes) -> Answer<'_, Accepted>;
    /// Reads a page of a mailbox.
    fn fetch<'a>(&'a self, address: &'a Address, after: Option<Cursor>) -> Answer<'a, Page>;
    /// What the home knows about a record.
    fn status<'a>(&'a self, id: &'a RecordId) -> Answer<'a, Option<RecordStatus>>;
    /// Opens a stream, and waits for the node's first word.
    fn stream(&self) -> Answer<'_, Box<dyn HomeNews>>;
}

/// An open stream.
pub trait HomeNews: Send {
    /// The node that answered.
    fn node(&self) -> NodeId;
    /// What every subscription on this stream signs.
    fn nonce(&self) -> Nonce;
    /// Says something.
    fn send<'a>(&'a mut self, request: &'a StreamRequest) -> Answer<'a, ()>;
    /// Waits for the next item. May be given up and called again without loss.
    fn next(&mut self) -> Answer<'_, StreamItem>;
}

/// Homes at the addresses that are stored of them, over HTTP.
#[derive(Clone, Copy, Debug)]
pub struct OverHttp(pub Patience);

impl Reach for OverHttp {
    fn home(&self, home: &Home) -> Result<Arc<dyn HomeCalls>, HomeError> {
        Ok(Arc::new(HomeClient::of(home, self.0)?))
    }
}

impl HomeCalls for HomeClient {
    fn greet(&self) -> Answer<'_, NodeInfo> {
        self.greet().boxed()
    }
    fn nonce(&self) -> Answer<'_, (NodeId, Nonce)> {
        self.nonce().boxed()
    }
    fn forget_nonces(&self) {
        self.forget_nonces();
    }
    fn register<'a>(&'a self, address: &'a Address, body: &'a Registration) -> Answer<'a, Registered> {
        self.register(address, body).boxed()
    }
    fn unregister<'a>(&'a self, address: &'a Address, body: &'a Unregistration) -> Answer<'a, ()> {
        self.unregister(address, body).boxed()
    }
    fn submit(&self, frame: Bytes) -> Answer<'_, Accepted> {
        self.submit(frame).boxed()
    }
    fn fetch<'a>(&'a self, address: &'a Address, after: Option<Cursor>) -> Answer<'a, Page> {
        self.fetch(address, after).boxed()
    }
    fn status<'a>(&'a self, id: &'a RecordId) -> Answer<'a, Option<RecordStatus>> {
        self.status(id).boxed()
    }
    fn stream(&self) -> Answer<'_, Box<dyn HomeNews>> {
        async { Ok(Box::new(self.stream().await?) as Box<dyn HomeNews>) }.boxed()
    }
}

impl HomeNews for HomeStream {
    fn node(&self) -> NodeId {
        self.node()
    }
    fn nonce(&self) -> Nonce {
        self.nonce()
    }
    fn send<'a>(&'a mut self, request: &'a StreamRequest) -> Answer<'a, ()> {
        self.send(request).boxed()
    }
    fn next(&mut self) -> Answer<'_, StreamItem> {
        self.next().boxed()
    }
}
