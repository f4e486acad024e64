//! The client's core: every decision, no IO, no clock, no threads.
//!
//! The core is driven in four steps, over and over:
//!
//! 1. a command changes the stored state in one transaction ([`Client::send`], …);
//! 2. [`Client::tick`] does what time asks for: expiry, new fallback keys, gaps that were waited for long enough;
//! 3. [`Client::work`] derives from the stored state what has to be done at the homes now: registrations,
//!    submissions, fetches, questions. It is a function of what is stored, so nothing is forgotten by a crash;
//! 4. the caller does it and reports what came of it with [`Client::done`], which changes the stored state
//!    again and returns what a person should hear of ([`Event`]s).

mod error;
pub mod limits;
mod types;

use griot_protocol::{Address, NodeId, Nonce, RecordId, Timestamp, api};
use rand::CryptoRng;

use crate::store::Store;

pub use error::ClientError;
pub use types::*;

/// A client: one account over one store.
pub struct Client<S: Store> {
    store: S,
    rng: Box<dyn CryptoRng + Send>,
}

#[allow(unused_variables, clippy::todo, missing_docs, clippy::missing_errors_doc)] // Skeleton for the shell to build on; replaced next.
impl<S: Store> Client<S> {
    pub fn create(store: S, rng: Box<dyn CryptoRng + Send>, now: Timestamp, name: &str) -> Result<Self, ClientError> {
        todo!()
    }
    pub fn open(store: S, rng: Box<dyn CryptoRng + Send>, now: Timestamp) -> Result<Self, ClientError> {
        todo!()
    }
    /// Gives the store back.
    pub fn into_store(self) -> S {
        self.store
    }
    pub fn store(&self) -> &S {
        &self.store
    }
    // Homes.
    pub fn add_home(
        &mut self,
        url: &str,
        token: Option<&str>,
        fingerprint: Option<&str>,
        insecure_http: bool,
    ) -> Result<HomeId, ClientError> {
        todo!()
    }
    pub fn remove_home(&mut self, id: HomeId) -> Result<(), ClientError> {
        todo!()
    }
    pub fn homes(&self) -> Result<Vec<(Home, HomeStatus)>, ClientError> {
        todo!()
    }
    // Invites and contacts.
    pub fn create_invite(&mut self, now: Timestamp, options: InviteOptions) -> Result<Invite, ClientError> {
        todo!()
    }
    pub fn invites(&self, now: Timestamp) -> Result<Vec<InviteInfo>, ClientError> {
        todo!()
    }
    pub fn revoke_invite(&mut self, now: Timestamp, id: &str) -> Result<(), ClientError> {
        todo!()
    }
    /// The contact (pending), and the record that carries the request.
    pub fn connect(
        &mut self,
        now: Timestamp,
        link: &str,
        message: Option<&str>,
    ) -> Result<(ContactInfo, RecordId), ClientError> {
        todo!()
    }
    pub fn requests(&self) -> Result<Vec<RequestInfo>, ClientError> {
        todo!()
    }
    /// The contact (connected), and the record that carries the acceptance.
    pub fn accept(&mut self, now: Timestamp, id: &str) -> Result<(ContactInfo, RecordId), ClientError> {
        todo!()
    }
    pub fn decline(&mut self, now: Timestamp, id: &str) -> Result<(), ClientError> {
        todo!()
    }
    pub fn contacts(&self) -> Result<Vec<ContactInfo>, ClientError> {
        todo!()
    }
    pub fn block(&mut self, now: Timestamp, who: &str) -> Result<ContactInfo, ClientError> {
        todo!()
    }
    pub fn unblock(&mut self, now: Timestamp, who: &str) -> Result<ContactInfo, ClientError> {
        todo!()
    }
    pub fn safety(&self, who: &str) -> Result<SafetyNumber, ClientError> {
        todo!()
    }
    // Messages.
    pub fn send(&mut self, now: Timestamp, who: &str, content: serde_json::Value) -> Result<SentMessage, ClientError> {
        todo!()
    }
    pub fn sent(&self, who: Option<&str>) -> Result<Vec<SentMessage>, ClientError> {
        todo!()
    }
    pub fn sent_one(&self, id: &str) -> Result<SentMessage, ClientError> {
        todo!()
    }
    pub fn inbox(&self, from: Option<&str>, after: Option<&str>) -> Result<Vec<InboxMessage>, ClientError> {
        todo!()
    }
    /// Whether a home accepted a record made here (a request, an acceptance). `None`: it is not waiting any more.
    pub fn is_accepted(&self, id: RecordId) -> Result<Option<bool>, ClientError> {
        todo!()
    }
    pub fn status(&self) -> Result<ClientStatus, ClientError> {
        todo!()
    }
    // Driving.
    /// What time asks for. Call before `work`.
    pub fn tick(&mut self, now: Timestamp) -> Result<Vec<Event>, ClientError> {
        todo!()
    }
    /// What is to be done at the homes, most urgent first. Handed-out work is not handed out again until `done` was
    /// called for it (or 60 s passed).
    pub fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, ClientError> {
        todo!()
    }
    /// Forget when mailboxes were last read, records asked about, silent homes tried: `work` offers all again.
    pub fn refresh(&mut self) {
        todo!()
    }
    /// Takes the outcome of any work, handed out by `work` or not (a stream's envelopes are a `Fetch` page with one
    /// entry and `more: true` while the stream is not live).
    pub fn done(&mut self, now: Timestamp, work: Work, outcome: Outcome) -> Result<Vec<Event>, ClientError> {
        todo!()
    }
    pub fn registration(
        &mut self,
        now: Timestamp,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::Registration, ClientError> {
        todo!()
    }
    pub fn unregistration(
        &self,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::Unregistration, ClientError> {
        todo!()
    }
    /// Every mailbox to stream from `home`: those registered there.
    pub fn subscriptions(&self, home: HomeId) -> Result<Vec<Address>, ClientError> {
        todo!()
    }
    pub fn subscribe(
        &self,
        home: HomeId,
        address: Address,
        node_id: NodeId,
        nonce: Nonce,
    ) -> Result<api::StreamRequest, ClientError> {
        todo!()
    }
    /// Records to watch on `home`'s stream: sent, accepted there, not delivered yet.
    pub fn watches(&self, home: HomeId) -> Result<Vec<RecordId>, ClientError> {
        todo!()
    }
}
