//! Mailboxes with their secrets, all drawn from the seed.

use griot_protocol::{
    Address, CollectSecret, DeliverSecret, Grant, MailboxKeys, MailboxKind, NetworkParams, NodeId, Shard, Timestamp,
    limits::GRANT_SECONDS_MAX,
};

use crate::{
    plan::{MailboxIndex, Plan},
    world::seeds,
};

/// A mailbox, as those know it who may put in and take out.
pub(crate) struct Mailbox {
    pub keys: MailboxKeys,
    pub address: Address,
    pub deliver: DeliverSecret,
    pub collect: CollectSecret,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mailbox").field(&self.address).finish()
    }
}

impl Mailbox {
    pub(crate) fn new(plan: &Plan, params: &NetworkParams, index: MailboxIndex) -> Option<Self> {
        let plan_of = plan.mailboxes.get(index.0 as usize)?;
        let secret = |name| seeds::bytes(plan.seed, name, u64::from(index.0));
        let deliver = DeliverSecret::from_bytes(&secret("deliver key"));
        let collect = CollectSecret::from_bytes(&secret("collect key"));
        let kind = if plan_of.shared { MailboxKind::Shared } else { MailboxKind::Direct };
        let keys = MailboxKeys { kind, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        // A community shares its shards, so the first reader's first home decides.
        let first = plan_of.readers.first().and_then(|reader| plan.people.get(reader.0 as usize));
        let home = first.and_then(|person| person.homes.first()).map_or(0, |home| home.0);
        let keys = keys.grind_into(Shard(home % params.bits.shard_count()), params.bits)?;
        Some(Self { keys, address: keys.address(), deliver, collect })
    }

    /// The right of a node to say *stored*, as long as the rules allow.
    pub(crate) fn grant(&self, params: &NetworkParams, node: &NodeId, now: Timestamp) -> Grant {
        // A node whose clock is behind must not take it for unbounded.
        let until = now.plus(GRANT_SECONDS_MAX / 2);
        Grant::issue(&params.name, &self.collect, &self.address, node, until)
    }
}
