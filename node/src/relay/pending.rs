//! What is under way between admission and disk.
//!
//! A record is verified once however many hand the same frame over, and its id counts as seen only once its signature
//! was checked: verifications are told apart by id *and* signature, so that a copy with a bad signature cannot hold up
//! the good one.

use std::collections::BTreeMap;

use griot_protocol::{MailboxKeys, NodeId, Record, RecordId, Shard, limits::SIGNATURE_BYTES};

use crate::store::MemberId;

use super::{
    limits::{IN_FLIGHT_BYTES_MAX, IN_FLIGHT_GOSSIP_MAX, IN_FLIGHT_RECORDS_MAX, IN_FLIGHT_SYNC_MAX},
    types::{CallId, GossipId, Ticket, Way},
};

/// Names a batch of frames that a neighbour handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchId(pub u64);

/// Who handed a record over, and how they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Submit {
        call: CallId,
        member: MemberId,
    },
    Import {
        call: CallId,
    },
    Gossip {
        peer: NodeId,
        message: GossipId,
        /// On whose topic it came.
        shard: Shard,
    },
    /// Part of a batch, which is done when all its frames are durable or refused.
    Sync {
        peer: NodeId,
        batch: BatchId,
    },
    /// The same, of what a neighbour had told of.
    Told {
        peer: NodeId,
        batch: BatchId,
    },
    /// A receipt that this node signed.
    Own,
}

impl Origin {
    /// The neighbour that handed it over.
    pub(super) const fn peer(&self) -> Option<NodeId> {
        match self {
            Self::Gossip { peer, .. } | Self::Sync { peer, .. } | Self::Told { peer, .. } => Some(*peer),
            Self::Submit { .. } | Self::Import { .. } | Self::Own => None,
        }
    }

    /// The batch that it is part of.
    pub(super) const fn batch(&self) -> Option<BatchId> {
        match self {
            Self::Sync { batch, .. } | Self::Told { batch, .. } => Some(*batch),
            Self::Submit { .. } | Self::Import { .. } | Self::Gossip { .. } | Self::Own => None,
        }
    }

    pub(super) const fn way(&self) -> Way {
        match self {
            Self::Submit { .. } => Way::Api,
            Self::Import { .. } => Way::Import,
            Self::Gossip { .. } => Way::Gossip,
            Self::Sync { .. } => Way::Sync,
            Self::Told { .. } => Way::Told,
            Self::Own => Way::Own,
        }
    }
}

/// Tells frames apart: the id covers everything but the signature.
pub(super) type FrameKey = (RecordId, [u8; SIGNATURE_BYTES]);

/// The key of a claimed record.
pub(super) fn frame_key(claimed: &Record) -> FrameKey {
    let mut signature = [0; SIGNATURE_BYTES];
    let frame = claimed.frame();
    if let Some(end) = frame.last_chunk::<SIGNATURE_BYTES>() {
        signature = *end;
    }
    (claimed.id(), signature)
}

/// A signature being checked.
#[derive(Debug)]
pub(super) struct Verifying {
    pub key: FrameKey,
    pub origins: Vec<Origin>,
    /// Whether another frame with the same id is or was being checked meanwhile.
    pub contested: bool,
    pub load: Load,
}

/// A place taken in the queue of one way; given back when the record is durable or refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    way: Way,
    bytes: usize,
}

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Saving {
    pub record: Record,
    /// Who waits for it.
    pub origins: Vec<Origin>,
    /// Who came with a copy meanwhile; answered as duplicates once it is durable.
    pub late: Vec<Origin>,
    /// The member whose outbox it enters.
    pub payer: Option<MemberId>,
    /// Whether this node owes a receipt for it.
    pub receipt: bool,
    pub load: Option<Load>,
}

/// A mark on its way to the disk: the record itself was not wanted.
#[derive(Debug)]
pub(super) struct Marking {
    pub load: Load,
}

/// A commit under way, and what follows from it.
#[derive(Debug)]
pub(super) enum Commit {
    Save(Box<Saving>),
    Mark(Marking),
    /// A held envelope enters a member's outbox.
    Outboxed {
        id: RecordId,
        call: CallId,
    },
    Register {
        call: CallId,
        member: MemberId,
        keys: MailboxKeys,
        reserved: bool,
    },
    Unregister {
        call: CallId,
        member: MemberId,
        address: griot_protocol::Address,
    },
    AddMember {
        call: CallId,
    },
    RevokeMember {
        call: CallId,
        member: MemberId,
    },
    Discharge {
        ids: Vec<RecordId>,
    },
    Evict {
        ids: Vec<RecordId>,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct InFlight {
    records: usize,
    bytes: usize,
}

/// Everything under way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    verifying: BTreeMap<Ticket, Verifying>,
    by_key: BTreeMap<FrameKey, Ticket>,
    /// Each with whether a full disk takes it too ([`Entry::makes_room`](crate::store::Entry::makes_room)).
    commits: BTreeMap<Ticket, (Commit, bool)>,
    saving: BTreeMap<RecordId, Ticket>,
    in_flight: BTreeMap<Way, InFlight>,
    local_commits: usize,
}

impl Pending {
    /// Takes a place in the queue of `way`, if one is free.
    pub(super) fn enter(&mut self, way: Way, bytes: usize) -> Option<Load> {
        let in_flight = self.in_flight.entry(way).or_default();
        let records_max = match way {
            Way::Gossip => IN_FLIGHT_GOSSIP_MAX,
            Way::Sync | Way::Told => IN_FLIGHT_SYNC_MAX,
            Way::Api | Way::Import | Way::Own => IN_FLIGHT_RECORDS_MAX,
        };
        if in_flight.records >= records_max || in_flight.bytes.saturating_add(bytes) > IN_FLIGHT_BYTES_MAX {
            return None;
        }
        in_flight.records += 1;
        in_flight.bytes += bytes;
        Some(Load { way, bytes })
    }

    pub(super) fn leave(&mut self, load: Load) {
        if let Some(in_flight) = self.in_flight.get_mut(&load.way) {
            in_flight.records = in_flight.records.saturating_sub(1);
            in_flight.bytes = in_flight.bytes.saturating_sub(load.bytes);
        }
    }

    /// The verification of exactly this frame, if one is under way.
    pub(super) fn verification_of(&mut self, key: &FrameKey) -> Option<&mut Verifying> {
        let ticket = self.by_key.get(key)?;
        self.verifying.get_mut(ticket)
    }

    pub(super) fn verify(&mut self, ticket: Ticket, key: FrameKey, origin: Origin, load: Load) {
        let rivals: Vec<Ticket> = self
            .by_key
            .range((key.0, [0; SIGNATURE_BYTES])..=(key.0, [0xff; SIGNATURE_BYTES]))
            .map(|(_, t)| *t)
            .collect();
        for rival in &rivals {
            if let Some(verifying) = self.verifying.get_mut(rival) {
                verifying.contested = true;
            }
        }
        self.by_key.insert(key, ticket);
        let contested = !rivals.is_empty();
        self.verifying.insert(ticket, Verifying { key, origins: vec![origin], contested, load });
    }

    pub(super) fn verified(&mut self, ticket: Ticket) -> Option<Verifying> {
        let verifying = self.verifying.remove(&ticket)?;
        self.by_key.remove(&verifying.key);
        Some(verifying)
    }

    /// The record with this id that is on its way to the disk.
    pub(super) fn saving(&mut self, id: &RecordId) -> Option<&mut Saving> {
        let ticket = self.saving.get(id)?;
        match self.commits.get_mut(ticket) {
            Some((Commit::Save(saving), _)) => Some(saving),
            _ => None,
        }
    }

    /// Whether nothing is under way and every place was given back.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let is_free = |in_flight: &InFlight| in_flight.records == 0 && in_flight.bytes == 0;
        let is_empty = self.verifying.is_empty() && self.by_key.is_empty() && self.commits.is_empty();
        is_empty && self.saving.is_empty() && self.local_commits == 0 && self.in_flight.values().all(is_free)
    }

    /// Whether there is room for one more local commit.
    pub(super) const fn takes_local(&self) -> bool {
        self.local_commits < super::limits::LOCAL_COMMITS_MAX
    }

    pub(super) fn commit(&mut self, ticket: Ticket, commit: Commit, makes_room: bool) {
        match &commit {
            Commit::Save(saving) => {
                self.saving.insert(saving.record.id(), ticket);
            }
            Commit::Mark(_) => {}
            _ => self.local_commits += 1,
        }
        self.commits.insert(ticket, (commit, makes_room));
    }

    pub(super) fn committed(&mut self, ticket: Ticket) -> Option<(Commit, bool)> {
        let (commit, makes_room) = self.commits.remove(&ticket)?;
        match &commit {
            Commit::Save(saving) => {
                self.saving.remove(&saving.record.id());
            }
            Commit::Mark(_) => {}
            _ => self.local_commits = self.local_commits.saturating_sub(1),
        }
        Some((commit, makes_room))
    }
}
