//! The handle: what the API may ask of a running node. Cheap to clone.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use griot_protocol::{
    Address, Cursor, Grant, MailboxKeys, NetworkParams, NodeId, RecordId, RecordKind,
    api::{Accepted, NodeInfo, NodeReport, PeerInfo, RecordState, RecordStatus},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    identity,
    relay::{Answer, CallError, Now, Standing, sync::Progress},
    runtime::{
        host::Host,
        hub::Hub,
        page::{self, Page},
        report::{self, Facts},
    },
    store::{Holding, MemberId, MemberRow, Store, StoreError},
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The relay refused it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Reading the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// One call to the driver.
#[derive(Debug)]
pub(crate) enum Call {
    Submit {
        member: MemberId,
        frame: Bytes,
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    Register {
        member: MemberId,
        keys: MailboxKeys,
        grant: Grant,
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    Unregister {
        member: MemberId,
        address: Address,
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    AddMember {
        member: MemberId,
        label: String,
        token_hash: [u8; 32],
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    RevokeMember {
        member: MemberId,
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    Import {
        frame: Bytes,
        answer: oneshot::Sender<Result<Answer, CallError>>,
    },
    Info {
        answer: oneshot::Sender<NodeInfo>,
    },
    Peers {
        answer: oneshot::Sender<Vec<PeerInfo>>,
    },
    IsFull {
        answer: oneshot::Sender<bool>,
    },
    Report {
        answer: oneshot::Sender<Box<Facts>>,
    },
    Progress {
        answer: oneshot::Sender<(Now, BTreeMap<NodeId, Progress>)>,
    },
    Standing {
        address: Address,
        id: RecordId,
        answer: oneshot::Sender<Standing>,
    },
}

/// Why an envelope waits whose body is not here.
const NO_ROOM: &str = "this node has no room for it and keeps only its id; it asks for it again when there is room";

/// What the API may ask of a running node.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub calls: mpsc::Sender<Call>,
    pub store: Arc<dyn Store>,
    pub params: NetworkParams,
    pub node_id: NodeId,
    pub hub: Arc<Hub>,
    pub host: Arc<dyn Host>,
}

impl Handle {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The node's key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.inner.node_id
    }

    /// The network's parameters.
    #[must_use]
    pub fn params(&self) -> &NetworkParams {
        &self.inner.params
    }

    /// The store, for reading only.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Submits a record for `member`; returns when it is on disk.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn submit(&self, member: MemberId, frame: Bytes) -> Result<Accepted, HandleError> {
        self.accepted(|answer| Call::Submit { member, frame, answer }).await
    }

    /// Imports one frame of a bundle; returns when it is on disk.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn import(&self, frame: Bytes) -> Result<Accepted, HandleError> {
        self.accepted(|answer| Call::Import { frame, answer }).await
    }

    /// Registers a mailbox. The caller has checked proof, nonce and the grant's signature.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn register(&self, member: MemberId, keys: MailboxKeys, grant: Grant) -> Result<(), HandleError> {
        self.call(|answer| Call::Register { member, keys, grant, answer }).await.map(drop)
    }

    /// Ends a registration. The caller has checked proof and nonce.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn unregister(&self, member: MemberId, address: Address) -> Result<(), HandleError> {
        self.call(|answer| Call::Unregister { member, address, answer }).await.map(drop)
    }

    /// Adds a member.
    ///
    /// # Errors
    /// The relay's refusal.
    pub async fn add_member(&self, member: MemberId, label: String, token_hash: [u8; 32]) -> Result<(), HandleError> {
        self.call(|answer| Call::AddMember { member, label, token_hash, answer }).await.map(drop)
    }

    /// Revokes a member.
    ///
    /// # Errors
    /// [`CallError::NotFound`], or the relay's refusal.
    pub async fn revoke_member(&self, member: MemberId) -> Result<(), HandleError> {
        self.call(|answer| Call::RevokeMember { member, answer }).await.map(drop)
    }

    /// All members.
    ///
    /// # Errors
    /// Reading the store failed.
    pub fn members(&self) -> Result<Vec<MemberRow>, HandleError> {
        Ok(self.inner.store.members()?)
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// The node is shutting down.
    pub async fn info(&self) -> Result<NodeInfo, HandleError> {
        self.ask(|answer| Call::Info { answer }).await
    }

    /// Connected, configured and remembered peers.
    ///
    /// # Errors
    /// The node is shutting down.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, HandleError> {
        let mut peers = self.ask(|answer| Call::Peers { answer }).await?;
        let (now, progress) = self.ask(|answer| Call::Progress { answer }).await?;
        let named = progress.iter().filter_map(|(node, progress)| Some((identity::peer_id(node)?, progress)));
        let named: BTreeMap<String, &Progress> = named.map(|(peer, progress)| (peer.to_string(), progress)).collect();
        for peer in &mut peers {
            if let Some(progress) = named.get(&peer.peer_id) {
                say_progress(peer, now, progress);
            }
        }
        Ok(peers)
    }

    /// Whether it takes no new records because its disk is full.
    ///
    /// # Errors
    /// The node is shutting down.
    pub async fn is_full(&self) -> Result<bool, HandleError> {
        self.ask(|answer| Call::IsFull { answer }).await
    }

    /// How the node does, for its operator. Only one report should be under way at a time: each reads a thousand records.
    ///
    /// # Errors
    /// Reading the store failed, or the node is shutting down.
    pub async fn report(&self) -> Result<NodeReport, HandleError> {
        let facts = self.ask(|answer| Call::Report { answer }).await?;
        let store = Arc::clone(&self.inner.store);
        let assessed = tokio::task::spawn_blocking(move || report::assess(&facts, &*store)).await;
        Ok(assessed.map_err(|_| HandleError::Closed)??)
    }

    /// What is known about a record, with the receipts and acks that name it.
    ///
    /// # Errors
    /// Reading the store failed, or the node is shutting down.
    pub async fn record_status(&self, id: &RecordId) -> Result<Option<RecordStatus>, HandleError> {
        let store = &self.inner.store;
        let Some(row) = store.row(id)? else { return Ok(None) };
        let (mut receipts, mut acks) = (Vec::new(), Vec::new());
        for about in store.about(id)? {
            let (Some(row), Some(frame)) = (store.row(&about)?, store.frame(&about)?) else { continue };
            let text = data_encoding::BASE64.encode(&frame);
            match row.kind {
                RecordKind::Custody => receipts.push(text),
                RecordKind::Ack => acks.push(text),
                RecordKind::Envelope => {}
            }
        }
        let standing = self.ask(|answer| Call::Standing { address: row.address, id: *id, answer }).await?;
        let state = match row.holding {
            _ if row.acked => RecordState::Acked,
            _ if row.expires_at <= standing.now => RecordState::Expired,
            Holding::Held | Holding::Killed => RecordState::Held,
            Holding::Marked => RecordState::Evicted,
        };
        let waits = row.kind == RecordKind::Envelope && receipts.is_empty();
        let waiting = match state {
            RecordState::Held if waits => Some(standing.waiting.to_string()),
            RecordState::Evicted if waits => Some(NO_ROOM.to_owned()),
            _ => None,
        };
        Ok(Some(RecordStatus { id: *id, state, receipts, acks, waiting }))
    }

    /// A page of a mailbox after `after`, as of now. A cursor of another epoch reads from the start.
    ///
    /// # Errors
    /// Reading the store failed.
    pub fn page(&self, address: &Address, after: Option<Cursor>, max: usize) -> Result<Page, HandleError> {
        Ok(page::read(&*self.inner.store, address, after, max, self.inner.host.wall_clock())?)
    }

    /// Wakes when envelopes arrive in a mailbox. Subscribe first, read the page then, so that nothing falls between.
    #[must_use]
    pub fn watch_mailbox(&self, address: Address) -> watch::Receiver<u64> {
        self.inner.hub.watch_mailbox(address)
    }

    /// Wakes when receipts or acks arrive for an envelope.
    #[must_use]
    pub fn watch_record(&self, id: RecordId) -> watch::Receiver<u64> {
        self.inner.hub.watch_record(id)
    }

    async fn accepted(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<Answer, CallError>>) -> Call,
    ) -> Result<Accepted, HandleError> {
        match self.call(call).await? {
            Answer::Accepted(accepted) => Ok(accepted),
            Answer::Done => Err(HandleError::Closed),
        }
    }

    async fn call(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<Answer, CallError>>) -> Call,
    ) -> Result<Answer, HandleError> {
        Ok(self.ask(call).await??)
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, HandleError> {
        let (sender, receiver) = oneshot::channel();
        self.inner.calls.send(call(sender)).await.map_err(|_| HandleError::Closed)?;
        receiver.await.map_err(|_| HandleError::Closed)
    }
}

/// What the relay knows of a peer, beside what the network side does.
fn say_progress(peer: &mut PeerInfo, now: Now, progress: &Progress) {
    if let Some(together_ms) = progress.together_ms {
        let seconds = now.mono_ms.saturating_sub(together_ms) / 1000;
        peer.last_sync = Some(now.wall.minus(seconds));
        peer.last_sync_seconds = Some(seconds);
        peer.sync_received = Some(progress.received);
        peer.sync_sent = Some(progress.sent);
    }
    peer.sync_failures = progress.failures;
    peer.sync_error = progress.why.map(ToOwned::to_owned);
}
