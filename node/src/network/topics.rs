//! Topics: one for each shard, `/griot/1/<network>/<bits>/<shard>`.
//!
//! The same text is the key under which a node announces in kad that it carries the shard.

use griot_protocol::{NetworkName, NetworkParams, Shard, ShardBits};
use libp2p::{
    gossipsub::{IdentTopic, MaxCountSubscriptionFilter, TopicHash, TopicSubscriptionFilter},
    kad,
};

/// Shards one node may carry, and so topics that one peer may be subscribed to. Each costs every neighbour a map entry
/// and a heartbeat share; who wants to carry more of a network that large should run more nodes.
pub const CARRIED_SHARDS_MAX: usize = 4096;

/// A shard's topic.
pub(super) fn topic(params: &NetworkParams, shard: Shard) -> IdentTopic {
    IdentTopic::new(text(&params.name, params.bits, shard))
}

/// The shard whose topic this is, in this network at its present number of bits.
pub(super) fn shard_of(params: &NetworkParams, topic: &TopicHash) -> Option<Shard> {
    parse(&params.name, topic.as_str()).filter(|(bits, _)| *bits == params.bits).map(|(_, shard)| shard)
}

/// The key under which a shard's carriers are announced.
pub(super) fn provider_key(params: &NetworkParams, shard: Shard) -> kad::RecordKey {
    kad::RecordKey::new(&text(&params.name, params.bits, shard))
}

/// Whether a provider key names a shard of this network at its present number of bits: others have no business here.
pub(super) fn is_provider_key(params: &NetworkParams, key: &kad::RecordKey) -> bool {
    let topic = std::str::from_utf8(key.as_ref()).ok().map(TopicHash::from_raw);
    topic.is_some_and(|topic| shard_of(params, &topic).is_some())
}

fn text(network: &NetworkName, bits: ShardBits, shard: Shard) -> String {
    format!("/griot/1/{network}/{}/{}", bits.get(), shard.0)
}

/// Reads a topic of `network`. Only the one canonical spelling is a topic.
pub(super) fn parse(network: &NetworkName, topic: &str) -> Option<(ShardBits, Shard)> {
    let rest = topic.strip_prefix("/griot/1/")?.strip_prefix(network.as_str())?.strip_prefix('/')?;
    let (bits, shard) = rest.split_once('/')?;
    let bits = ShardBits::try_from(bits.parse::<u8>().ok()?).ok()?;
    let shard = Shard(shard.parse().ok()?);
    (shard.0 < bits.shard_count() && text(network, bits, shard) == topic).then_some((bits, shard))
}

/// Lets peers subscribe to well-formed topics of this network, whatever their number of bits: a network that is
/// growing a bit has nodes of both kinds.
#[derive(Clone, Debug)]
pub struct NetworkTopics(NetworkName);

impl TopicSubscriptionFilter for NetworkTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        parse(&self.0, topic.as_str()).is_some()
    }
}

/// The filter for `network`.
pub(super) fn filter(network: &NetworkName) -> MaxCountSubscriptionFilter<NetworkTopics> {
    MaxCountSubscriptionFilter {
        filter: NetworkTopics(network.clone()),
        max_subscribed_topics: CARRIED_SHARDS_MAX,
        max_subscriptions_per_request: CARRIED_SHARDS_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(bits: u8) -> NetworkParams {
        NetworkParams { bits: ShardBits::try_from(bits).unwrap(), ..NetworkParams::standard(NetworkName::standard()) }
    }

    #[test]
    fn topics_read_back() {
        for bits in [0, 1, 5, 16] {
            let params = params(bits);
            for shard in params.bits.shards().step_by(977) {
                let topic = topic(&params, shard);
                assert_eq!(parse(&params.name, topic.hash().as_str()), Some((params.bits, shard)));
                assert_eq!(shard_of(&params, &topic.hash()), Some(shard));
                assert!(is_provider_key(&params, &provider_key(&params, shard)));
            }
        }
        assert_eq!(topic(&params(2), Shard(3)).hash().as_str(), "/griot/1/griot/2/3");
    }

    #[test]
    fn only_canonical_topics_of_this_network_count() {
        let name = NetworkName::standard();
        for bad in [
            "",
            "/griot/1/griot",
            "/griot/1/griot/2",
            "/griot/1/griot/2/",
            "/griot/1/griot/2/4",
            "/griot/1/griot/02/3",
            "/griot/1/griot/2/03",
            "/griot/1/griot/2/+3",
            "/griot/1/griot/2/3/",
            "/griot/1/griot/17/3",
            "/griot/1/griots/2/3",
            "/griot/1/gri/2/3",
            "/griot/2/griot/2/3",
            "/griot/1/griot/2/-1",
        ] {
            assert_eq!(parse(&name, bad), None, "{bad}");
            assert!(!filter(&name).can_subscribe(&TopicHash::from_raw(bad)), "{bad}");
        }
        // Well-formed, but of another number of bits: a topic, though not one to keep provider records for.
        assert!(filter(&name).can_subscribe(&TopicHash::from_raw("/griot/1/griot/3/7")));
        assert!(!is_provider_key(&params(2), &kad::RecordKey::new(&"/griot/1/griot/3/7")));
        assert_eq!(shard_of(&params(2), &TopicHash::from_raw("/griot/1/griot/3/7")), None);
    }
}
