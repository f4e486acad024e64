//! Flooding: envelopes that are valid in every respect, to mailboxes that nobody reads.
//!
//! Each has a mailbox of its own, so that no limit for one mailbox meets it, the smallest payload, because postage is paid
//! by the envelope, and the longest life. The postage is ground for real.

use griot_node::network::Command;
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, Record, Timestamp, envelope, limits::LIFE_SECONDS_MAX,
    padding::BUCKETS,
};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::{Adversary, Moment, Outputs, View, pace::Pace};
use crate::{plan::VirtualMs, world::seeds};

/// One flooding node.
#[derive(Debug)]
pub(super) struct Flooder {
    view: View,
    random: ChaCha8Rng,
    pace: Pace,
}

impl Flooder {
    pub fn new(view: View, per_second: u32, seed: u64, now: VirtualMs) -> Self {
        let mut random = seeds::rng(seed, "flooding", 0);
        let pace = Pace::new(per_second, random.next_u64(), now);
        Self { view, random, pace }
    }

    fn envelope(&mut self, wall: Timestamp) -> Option<Record> {
        let deliver = DeliverSecret::from_bytes(&self.random.random());
        let collect = CollectSecret::from_bytes(&self.random.random());
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        let mut payload = vec![0; 1 + BUCKETS[0]];
        self.random.fill(&mut payload[1..]);
        let created = wall.floor_minute();
        envelope::seal(&self.view.params, &deliver, keys, created, created.plus(LIFE_SECONDS_MAX), payload).ok()
    }
}

impl Adversary for Flooder {
    fn next(&self) -> Option<VirtualMs> {
        Some(self.pace.next())
    }

    fn act(&mut self, now: Moment, out: &mut Outputs) {
        for _ in 0..self.pace.take(now.at) {
            let Some(record) = self.envelope(now.wall) else { continue };
            let (id, shard) = (record.id(), record.address().shard(self.view.params.bits));
            out.to_network.push(Command::Publish { shard, id, frame: record.frame().clone() });
            out.did("flooded", Some(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use griot_protocol::Unverified;

    use super::*;

    #[test]
    fn what_it_sends_is_valid_and_each_has_a_mailbox_of_its_own() {
        let view = View::for_tests();
        let params = view.params.clone();
        let mut flooder = Flooder::new(view, 5, 1, VirtualMs(0));
        let mut out = Outputs::default();
        let now = Moment { at: VirtualMs(1_200), wall: Timestamp(1_800_000_030) };
        flooder.act(now, &mut out);
        assert_eq!(out.to_network.len(), 5);
        assert_eq!(out.deeds.len(), 5);
        let mut mailboxes = std::collections::BTreeSet::new();
        for command in out.to_network {
            let Command::Publish { shard, id, frame } = command else { panic!("{command:?}") };
            let record = Unverified::parse(frame).unwrap();
            record.check_times(now.wall).unwrap();
            record.check_postage(params.postage_bits).unwrap();
            let record = record.verify(&params.name).unwrap();
            assert_eq!((record.id(), record.address().shard(params.bits)), (id, shard));
            mailboxes.insert(record.address());
        }
        assert_eq!(mailboxes.len(), 5);
    }

    #[test]
    fn the_same_seed_floods_alike_and_another_otherwise() {
        let flood = |seed| {
            let mut out = Outputs::default();
            let now = Moment { at: VirtualMs(2_000), wall: Timestamp(1_800_000_030) };
            Flooder::new(View::for_tests(), 3, seed, VirtualMs(0)).act(now, &mut out);
            out.deeds
        };
        assert_eq!(flood(1), flood(1));
        assert_ne!(flood(1), flood(2));
    }
}
