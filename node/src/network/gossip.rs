//! How gossipsub is set up.
//!
//! Messages are anonymous: no author, no sequence number, no signature of the gossip layer; records prove themselves.
//! A message's id is the hash of its topic and the *whole* frame, signature included. Were the signature left out, a
//! peer could flip one of its bits, send the damaged copy first, and every node that had seen it would take the good
//! copy for a duplicate. Were the topic left out, a peer could send a good frame first on the topic of another shard:
//! gossipsub notes every id it sees, also on topics nobody here subscribed to, so the copy on the right topic would be
//! dropped as a duplicate, and whoever brings it would be blamed for the bad one.
//!
//! Nothing is forwarded before the relay has judged it. Scores punish only what no honest node does: invalid records,
//! broken promises, grafting in spite of back-off. Being slow, quiet, or many behind one IP address (a school, a
//! village, a carrier's NAT) is no fault here.

use std::time::Duration;

use griot_protocol::NetworkName;
use libp2p::gossipsub::{
    self, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode,
};

use super::{
    config::NetworkError,
    topics::{self, NetworkTopics},
};

/// The gossip behaviour of a node.
pub(super) type Gossip = gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<NetworkTopics>>;

/// One gossip message on the wire: a frame of 68 KiB and what gossipsub puts around it.
pub const GOSSIP_BYTES_MAX: usize = 72 * 1024;

/// Messages that wait for one slow peer: 512 of the largest are 36 MiB, and what overflows comes by sync.
const PEER_QUEUE_MAX: usize = 512;

/// Peers to whom a message is sent whole (D), and the bounds within which their number is left alone. Six, libp2p's own
/// default, sends everybody 5.1 copies of a record, four sends 3.3; among a thousand nodes at 50 ms the last one has it
/// after 350 ms instead of 270. Where most neighbours withhold, one record in a hundred takes two seconds more: it comes
/// by what peers tell each other each second, or by sync. Here every byte may be paid for by the one who waits.
pub const MESH_PEERS: usize = 4;
/// With fewer, a node looks for more, up to [`MESH_PEERS`]; until then it takes whoever subscribes.
pub const MESH_PEERS_LOW: usize = 3;
/// With more, it parts from some, down to [`MESH_PEERS`].
pub const MESH_PEERS_HIGH: usize = 6;

/// Of them, those that this node chose itself: whoever surrounds it from outside does not have them all.
const MESH_PEERS_OUTBOUND_MIN: usize = 2;

/// Other peers that are told each second what there is (D_lazy), at least; a quarter of them where there are many. Each
/// message is told three times by every node that has it.
const TOLD_PEERS_MIN: usize = 2;

/// Heartbeats for which messages are kept: the relay has ten seconds to judge one, under whatever load.
const HISTORY_HEARTBEATS: usize = 10;

/// How long a message is remembered as seen.
const SEEN_FOR: Duration = Duration::from_secs(120);

/// How long the score of a peer that left is remembered: reconnecting is no way to be forgiven.
const SCORE_KEPT_FOR: Duration = Duration::from_secs(600);

/// Over this time the memory of a fault fades to a tenth.
const FAULT_FADES_OVER: Duration = Duration::from_secs(600);

/// Over this time the memory of a message brought first fades to a tenth.
const MERIT_FADES_OVER: Duration = Duration::from_secs(60);

/// How often all scores fade a little. libp2p's own default, each second, wakes an idle node as often as its heartbeat
/// does, for memories that last for minutes.
const FADE_EVERY: Duration = Duration::from_secs(10);

/// Builds the behaviour.
pub(super) fn gossip(network: &NetworkName) -> Result<Gossip, NetworkError> {
    let refused = |why: String| NetworkError::Setup { what: "gossipsub", why };
    let config = gossipsub::ConfigBuilder::default()
        .mesh_n(MESH_PEERS)
        .mesh_n_low(MESH_PEERS_LOW)
        .mesh_n_high(MESH_PEERS_HIGH)
        .mesh_outbound_min(MESH_PEERS_OUTBOUND_MIN)
        .gossip_lazy(TOLD_PEERS_MIN)
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.topic, &message.data))
        .max_transmit_size(GOSSIP_BYTES_MAX)
        .connection_handler_queue_len(PEER_QUEUE_MAX)
        .flood_publish(false)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .history_length(HISTORY_HEARTBEATS)
        .duplicate_cache_time(SEEN_FOR)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let mut gossip =
        Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, topics::filter(network))
            .map_err(|error| refused(error.to_owned()))?;
    gossip.with_peer_score(peer_score(), PeerScoreThresholds::default()).map_err(refused)?;
    Ok(gossip)
}

/// `BLAKE3(topic ‖ 0x00 ‖ frame)`. No topic holds a zero byte, so this is told apart in one way only.
fn message_id(topic: &TopicHash, frame: &[u8]) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(topic.as_str().as_bytes()).update(&[0]).update(frame);
    MessageId::from(hasher.finalize().as_bytes().to_vec())
}

/// What is left of a memory at each step, so that a tenth is left after so long.
fn fading_over(time: Duration) -> f64 {
    gossipsub::score_parameter_decay_with_base(time, FADE_EVERY, 0.1)
}

fn peer_score() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: 40.0,
        app_specific_weight: 0.0,
        // Many honest nodes share an address.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: fading_over(FAULT_FADES_OVER),
        decay_interval: FADE_EVERY,
        retain_score: SCORE_KEPT_FOR,
        // A full queue may cost a slow peer its place in the mesh, and its voice only where it cannot follow a thousand
        // messages a second.
        slow_peer_weight: -0.001,
        slow_peer_threshold: 1_000.0,
        slow_peer_decay: fading_over(FADE_EVERY),
        ..PeerScoreParams::default()
    }
}

/// What a peer can earn and lose in one shard. Three invalid records outweigh all it can earn, and silence it.
pub(super) fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 500.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: fading_over(MERIT_FADES_OVER),
        first_message_deliveries_cap: 50.0,
        // A quiet mesh is a healthy one: nobody is punished for having nothing to deliver.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -20.0,
        invalid_message_deliveries_decay: fading_over(FAULT_FADES_OVER),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_of_its_topic_and_every_byte_of_its_frame() {
        let topic = TopicHash::from_raw("/griot/1/griot/2/3");
        let id = message_id(&topic, b"frame");
        assert_eq!(id.0, blake3::hash(b"/griot/1/griot/2/3\0frame").as_bytes());
        assert_ne!(message_id(&topic, b"framf"), id);
        assert_ne!(message_id(&TopicHash::from_raw("/griot/1/griot/2/1"), b"frame"), id);
    }

    #[test]
    fn the_worked_example_of_the_protocol_page_has_this_id() {
        let vectors = include_str!("../../../protocol/tests/vectors/envelope.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let records = vectors["records"].as_array().unwrap();
        let example = records.iter().find(|record| record["name"] == "envelope-256").unwrap();
        let frame = data_encoding::HEXLOWER.decode(example["frame"].as_str().unwrap().as_bytes()).unwrap();
        let id = message_id(&TopicHash::from_raw("/griot/1/griot/0/0"), &frame);
        let id = data_encoding::HEXLOWER.encode(&id.0);
        assert!(include_str!("../../../docs/protocol.md").contains(&id), "{id}");
    }

    #[test]
    fn a_memory_fades_to_a_tenth_over_its_time() {
        for time in [FAULT_FADES_OVER, MERIT_FADES_OVER] {
            let steps = time.as_secs_f64() / FADE_EVERY.as_secs_f64();
            assert!((fading_over(time).powf(steps) - 0.1).abs() < 1e-9);
        }
    }

    #[test]
    fn only_who_falls_a_thousand_messages_a_second_behind_loses_its_voice() {
        let params = peer_score();
        // The most that is remembered of so many messages a second that found no room, for however long.
        let score = |each_second: f64| {
            let remembered = each_second * FADE_EVERY.as_secs_f64() / (1.0 - params.slow_peer_decay);
            params.slow_peer_weight * (remembered - params.slow_peer_threshold).max(0.0)
        };
        let silent = PeerScoreThresholds::default().gossip_threshold;
        assert!(score(50.0) >= 0.0);
        assert!((silent..0.0).contains(&score(900.0)));
        assert!(score(1_000.0) < silent);
    }

    #[test]
    fn the_configuration_is_valid() {
        gossip(&NetworkName::standard()).unwrap();
        topic_score().validate().unwrap();
    }
}
