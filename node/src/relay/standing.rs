//! Where an envelope stands, for whoever asks: the time by which its life is judged, and why nobody has vouched for it
//! yet.
//!
//! Only what this node knows is said. That a home elsewhere had no room, say, travels on no wire: such an envelope
//! waits because *no home of its mailbox has signed a receipt yet*.

use griot_protocol::{Address, RecordId, Timestamp};

use super::{Relay, outbox::Away, types::Now};
use crate::store::Store;

/// What the relay knows about an envelope beside its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The time by which records are judged: not always this machine's clock.
    pub now: Timestamp,
    /// Why it waits for its first custody receipt. It says nothing about envelopes that have one.
    pub waiting: Waiting,
}

/// Why an envelope waits for its first custody receipt. The text is for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// This node is one of the mailbox's homes, and its receipt is on the way.
    Signing,
    /// This node is one of the mailbox's homes, but the grant under which it may sign has run out.
    GrantOver,
    /// This node is one of the mailbox's homes, and its reader has used up what members may have uncollected.
    MailboxFull,
    /// No other node is connected.
    Alone,
    /// The mailbox's shard is not carried here, and no node that carries it is connected.
    NoCarrier,
    /// Carriers of the shard are connected, and none of them has taken it yet.
    NotTaken,
    /// Carriers of the shard took it.
    Handed,
    /// It was passed on, and no receipt came back.
    NoReceipt,
}

impl Waiting {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Signing,
        Self::GrantOver,
        Self::MailboxFull,
        Self::Alone,
        Self::NoCarrier,
        Self::NotTaken,
        Self::Handed,
        Self::NoReceipt,
    ];

    /// Its name in reports and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::GrantOver => "grant-over",
            Self::MailboxFull => "mailbox-full",
            Self::Alone => "alone",
            Self::NoCarrier => "no-carrier",
            Self::NotTaken => "not-taken",
            Self::Handed => "handed",
            Self::NoReceipt => "no-receipt",
        }
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signing => "this node is a home of its mailbox and is about to sign its receipt",
            Self::GrantOver => {
                "this node is a home of its mailbox and may sign no receipt until the recipient's client renews its grant"
            }
            Self::MailboxFull => {
                "the recipient's mailbox is full: this node is its home, and vouches for nothing more until some is collected"
            }
            Self::Alone => "this node is connected to no other node",
            Self::NoCarrier => "no node that carries its shard is connected yet",
            Self::NotTaken => "nodes that carry its shard are connected and have not taken it yet",
            Self::Handed => {
                "nodes that carry its shard took it, and no home of its mailbox has signed a receipt that came back"
            }
            Self::NoReceipt => "no home of its mailbox has signed a receipt that came back",
        })
    }
}

impl Relay {
    /// Where an envelope stands.
    #[must_use]
    pub fn standing(&self, now: Now, address: &Address, id: &RecordId, store: &dyn Store) -> Standing {
        let now = self.clock.judged(now);
        Standing { now, waiting: self.waiting(now, address, id, store) }
    }

    pub(super) fn waiting(&self, now: Timestamp, address: &Address, id: &RecordId, store: &dyn Store) -> Waiting {
        if self.registry.contains(address) {
            // Where the store cannot be read nothing speaks against a receipt.
            let grants = store.registrations(address).unwrap_or_default();
            let over = !grants.is_empty() && grants.iter().all(|row| row.grant.until < now);
            // It is counted in the mailbox already, so that what there is no room for is what is over the quota.
            let has_room = self.registry.has_room(address, 0, &self.config.limits);
            return match (over, has_room) {
                (true, _) => Waiting::GrantOver,
                (false, false) => Waiting::MailboxFull,
                (false, true) => Waiting::Signing,
            };
        }
        if self.peers.is_empty() {
            return Waiting::Alone;
        }
        match self.outbox.get(id).and_then(|item| item.away) {
            Some(Away { handed: 1.., .. }) => Waiting::Handed,
            Some(away) if self.has_connected_carrier(away.shard) => Waiting::NotTaken,
            Some(_) => Waiting::NoCarrier,
            None => Waiting::NoReceipt,
        }
    }
}
