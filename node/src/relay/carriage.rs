//! Which shards this node carries: those of the mailboxes registered here, and those its operator adds.
//!
//! In a network with one shard (`bits` = 0) everybody carries everything.

use std::collections::{BTreeMap, BTreeSet};

use griot_protocol::{Shard, ShardBits};

/// What the operator wants carried besides the members' shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarryPolicy {
    /// Everything: for nodes with room that want to help a network, or to keep a full archive of the last month.
    All,
    /// These, and no others. The default is none.
    Listed(BTreeSet<Shard>),
}

impl Default for CarryPolicy {
    fn default() -> Self {
        Self::Listed(BTreeSet::new())
    }
}

/// The shards carried now.
#[derive(Debug)]
pub(super) struct Carriage {
    bits: ShardBits,
    policy: CarryPolicy,
    /// Mailboxes registered here, by shard.
    members: BTreeMap<Shard, u64>,
}

impl Carriage {
    pub(super) fn new(bits: ShardBits, policy: CarryPolicy) -> Self {
        Self { bits, policy, members: BTreeMap::new() }
    }

    pub(super) fn carries(&self, shard: Shard) -> bool {
        if self.bits == ShardBits::ZERO || self.members.contains_key(&shard) {
            return true;
        }
        match &self.policy {
            CarryPolicy::All => true,
            CarryPolicy::Listed(listed) => listed.contains(&shard),
        }
    }

    /// A mailbox in `shard` was registered. Returns whether the node carries more than before.
    pub(super) fn add(&mut self, shard: Shard) -> bool {
        let before = self.carries(shard);
        *self.members.entry(shard).or_default() += 1;
        !before
    }

    /// A mailbox in `shard` is registered no more. Returns whether the node carries less than before.
    pub(super) fn remove(&mut self, shard: Shard) -> bool {
        if let Some(count) = self.members.get_mut(&shard) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.members.remove(&shard);
                return !self.carries(shard);
            }
        }
        false
    }

    /// All of them, in order.
    pub(super) fn shards(&self) -> Vec<Shard> {
        let exists = |shard: &Shard| shard.0 < self.bits.shard_count();
        match &self.policy {
            _ if self.bits == ShardBits::ZERO => vec![Shard(0)],
            CarryPolicy::All => self.bits.shards().collect(),
            CarryPolicy::Listed(listed) => {
                let all: BTreeSet<Shard> = listed.iter().chain(self.members.keys()).copied().filter(exists).collect();
                all.into_iter().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_is_always_carried() {
        let mut carriage = Carriage::new(ShardBits::ZERO, CarryPolicy::default());
        assert_eq!(carriage.shards(), [Shard(0)]);
        assert!(!carriage.add(Shard(0)));
        assert!(!carriage.remove(Shard(0)));
        assert_eq!(carriage.shards(), [Shard(0)]);
    }

    #[test]
    fn members_mailboxes_and_the_operator_decide() {
        let bits = ShardBits::try_from(2).unwrap();
        let mut carriage = Carriage::new(bits, CarryPolicy::Listed([Shard(3), Shard(99)].into()));
        assert_eq!(carriage.shards(), [Shard(3)]);
        assert!(carriage.add(Shard(1)));
        assert!(!carriage.add(Shard(1)));
        assert!(!carriage.add(Shard(3)));
        assert_eq!(carriage.shards(), [Shard(1), Shard(3)]);
        assert!(!carriage.remove(Shard(1)));
        assert!(carriage.remove(Shard(1)));
        assert!(!carriage.remove(Shard(3)), "the operator still wants it");
        assert_eq!(carriage.shards(), [Shard(3)]);
        assert_eq!(Carriage::new(bits, CarryPolicy::All).shards().len(), 4);
    }
}
