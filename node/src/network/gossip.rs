//! How gossipsub is set up.
//!
//! Messages are anonymous: no author, no sequence number, no signature of the gossip layer; records prove themselves.
//! A message's id is the hash of the *whole* frame, signature included. Were the signature left out, a peer could flip
//! one of its bits, send the damaged copy first, and every node that had seen it would take the good copy for a
//! duplicate.
//!
//! Nothing is forwarded before the relay has judged it. Scores punish only what no honest node does: invalid records,
//! broken promises, grafting in spite of back-off. Being slow, quiet, or many behind one IP address (a school, a
//! village, a carrier's NAT) is no fault here.

use std::time::Duration;

use griot_protocol::NetworkName;
use libp2p::gossipsub::{
    self, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicScoreParams, ValidationMode,
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

/// Heartbeats for which messages are kept: the relay has ten seconds to judge one, under whatever load.
const HISTORY_HEARTBEATS: usize = 10;

/// How long a message is remembered as seen.
const SEEN_FOR: Duration = Duration::from_secs(120);

/// How long the score of a peer that left is remembered: reconnecting is no way to be forgiven.
const SCORE_KEPT_FOR: Duration = Duration::from_secs(600);

/// Over this time the memory of a fault fades to a tenth.
const FAULT_FADES_OVER: Duration = Duration::from_secs(600);

/// Builds the behaviour.
pub(super) fn gossip(network: &NetworkName) -> Result<Gossip, NetworkError> {
    let refused = |why: String| NetworkError::Setup { what: "gossipsub", why };
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::from(blake3::hash(&message.data).as_bytes().to_vec()))
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

fn peer_score() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: 40.0,
        app_specific_weight: 0.0,
        // Many honest nodes share an address.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: gossipsub::score_parameter_decay(FAULT_FADES_OVER),
        retain_score: SCORE_KEPT_FOR,
        // A full queue may cost a slow peer its place in the mesh, never its voice.
        slow_peer_weight: -0.01,
        slow_peer_threshold: 100.0,
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
        first_message_deliveries_decay: gossipsub::score_parameter_decay(Duration::from_secs(60)),
        first_message_deliveries_cap: 50.0,
        // A quiet mesh is a healthy one: nobody is punished for having nothing to deliver.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -20.0,
        invalid_message_deliveries_decay: gossipsub::score_parameter_decay(FAULT_FADES_OVER),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_valid() {
        gossip(&NetworkName::standard()).unwrap();
        topic_score().validate().unwrap();
    }
}
