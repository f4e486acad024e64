//! Which protocols a node speaks, and how each is bounded.

#![allow(missing_docs, reason = "the derive leaves the variants of the events undocumented")]

use std::{num::NonZeroUsize, time::Duration};

use griot_protocol::{NetworkName, NetworkParams};
use libp2p::{
    StreamProtocol,
    allow_block_list::{self, AllowedPeers},
    connection_limits, identify, kad, mdns, ping, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    address,
    codec::{SYNC_PROTOCOL, SyncCodec},
    config::{NetworkConfig, NetworkError},
    doors::{self, Doors},
    gossip::{Gossip, gossip},
    offer::Offered,
    reach::Reach,
    woken::Woken,
};
use crate::identity::Identity;

/// How often a connection is tested, and how long the test may take: a dead one is known within 35 seconds. Pings are
/// most of what a quiet node does.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long one exchange on the sync protocol may take: a megabyte needs 65 s at 128 kbit/s.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);

/// Exchanges at a time on one connection.
const SYNC_STREAMS_MAX: usize = 16;

/// How long kad may look for something.
const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an announcement of carrying a shard lives, and how often it is repeated.
const PROVIDER_TTL: Duration = Duration::from_secs(2 * 3600);
const PROVIDER_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// Shards for which announcements are kept here. kad spreads keys over all nodes, each keeps the twenty nearest.
const PROVIDED_KEYS_MAX: usize = 16 * 1024;

/// kad nodes that keep one announcement.
const KAD_REPLICATION: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// Peers in one bucket of the routing table: as in the largest such network, BitTorrent's. libp2p sets the memory for all
/// 256 buckets aside at once, which with its default of twenty is 1.6 MB.
const KAD_BUCKET_PEERS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// How often the routing table is looked through for gaps. Each time costs a small network some hundred kilobytes for
/// each node and many short-lived connections; in between, whoever connects fills the table.
const KAD_REFRESH_INTERVAL: Duration = Duration::from_secs(30 * 60);

pub(super) type Kad = kad::Behaviour<kad::store::MemoryStore>;

/// All that a node speaks, as its swarm runs it.
pub type Behaviour = Offered<Protocols>;

/// What [`Behaviour`] tells.
pub type BehaviourEvent = ProtocolsEvent;

/// All protocols of a node. The order matters: who may not connect is turned away before anyone else hears of it.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub struct Protocols {
    pub(super) aside: Woken<Aside>,
    pub(super) gossip: Gossip,
}

/// All but gossip: they have nothing to do at most times, and are not asked then.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub struct Aside {
    pub(super) doors: Doors,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) sync: request_response::Behaviour<SyncCodec>,
    /// Only where discovery is wanted: without it the routing table would stay empty, and kad would know of nobody.
    pub(super) kad: Toggle<Kad>,
    /// Only where something is to be done about NAT. The simulator does without.
    pub(super) reach: Toggle<Reach>,
}

impl Behaviour {
    /// Sets up the protocols. Needs a tokio runtime where mDNS is wanted. `relays` belongs to the transport that is used,
    /// where that one reaches peers through relays.
    ///
    /// # Errors
    /// [`NetworkError::Setup`].
    pub fn new(
        config: &NetworkConfig,
        identity: &Identity,
        relays: Option<relay::client::Behaviour>,
    ) -> Result<Self, NetworkError> {
        let mut blocked = allow_block_list::Behaviour::default();
        for peer in &config.block {
            blocked.block_peer(*peer);
        }
        let aside = Aside {
            doors: Doors::new(doors::Parts {
                limits: limits(config),
                blocked,
                allowed: Toggle::from(allowed(config)),
                mdns: Toggle::from(mdns(config, identity)),
            }),
            identify: identify::Behaviour::new(
                identify::Config::new(protocol_version(&config.params.name), identity.keypair().public())
                    .with_agent_version(agent_version(&config.params))
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
            sync: request_response::Behaviour::with_codec(
                SyncCodec,
                [(SYNC_PROTOCOL, ProtocolSupport::Full)],
                request_response::Config::default()
                    .with_request_timeout(SYNC_TIMEOUT)
                    .with_max_concurrent_streams(SYNC_STREAMS_MAX),
            ),
            kad: Toggle::from(config.discovery.then(|| kad(&config.params.name, identity)).transpose()?),
            // Whoever dials only whom the operator named dials nobody back either.
            reach: Toggle::from(config.nat.map(|nat| Reach::new(nat, identity, relays, config.discovery)).transpose()?),
        };
        Ok(Self::around(Protocols { aside: Woken::new(aside), gossip: gossip(&config.params.name)? }))
    }
}

fn limits(config: &NetworkConfig) -> connection_limits::Behaviour {
    let limits = config.limits;
    let mut behaviour = connection_limits::Behaviour::new(
        connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.pending_in))
            .with_max_pending_outgoing(Some(limits.pending_out))
            .with_max_established_incoming(Some(limits.established_in))
            .with_max_established_outgoing(Some(limits.established_out))
            .with_max_established_per_peer(Some(limits.per_peer)),
    );
    // A full house never turns away those the operator wants.
    for peer in config.peers.iter().filter_map(|peer| address::split_peer(peer).1) {
        behaviour.bypass_peer_id(&peer);
    }
    behaviour
}

fn allowed(config: &NetworkConfig) -> Option<allow_block_list::Behaviour<AllowedPeers>> {
    let mut allowed = allow_block_list::Behaviour::<AllowedPeers>::default();
    for peer in &config.allow {
        allowed.allow_peer(*peer);
    }
    (!config.allow.is_empty()).then_some(allowed)
}

fn kad(network: &NetworkName, identity: &Identity) -> Result<Kad, NetworkError> {
    let protocol = StreamProtocol::try_from_owned(format!("/griot/kad/1/{network}"))
        .map_err(|error| NetworkError::Setup { what: "kad", why: error.to_string() })?;
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(KAD_QUERY_TIMEOUT)
        .set_replication_factor(KAD_REPLICATION)
        .set_kbucket_size(KAD_BUCKET_PEERS)
        .set_periodic_bootstrap_interval(Some(KAD_REFRESH_INTERVAL))
        // Only peers that identify has confirmed enter the routing table, and only with addresses that make sense.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        // Announcements are looked at before they are kept, values are never kept: nobody's disk but our own.
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_INTERVAL))
        .set_replication_interval(None)
        .set_publication_interval(None);
    let store = kad::store::MemoryStore::with_config(
        identity.peer_id(),
        kad::store::MemoryStoreConfig {
            max_records: 0,
            max_value_bytes: 0,
            max_providers_per_key: kad::K_VALUE.get(),
            max_provided_keys: PROVIDED_KEYS_MAX,
        },
    );
    let mut behaviour = kad::Behaviour::with_config(identity.peer_id(), store, config);
    behaviour.set_mode(Some(kad::Mode::Server));
    Ok(behaviour)
}

fn mdns(config: &NetworkConfig, identity: &Identity) -> Option<mdns::tokio::Behaviour> {
    if !(config.discovery && config.mdns) {
        return None;
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), identity.peer_id())
        .inspect_err(|error| tracing::warn!(%error, "no discovery in the local network"))
        .ok()
}

/// What identify calls the network: peers that say otherwise are of another one.
pub(super) fn protocol_version(network: &NetworkName) -> String {
    format!("/griot/1/{network}")
}

/// What a node calls itself: its version, and the parameters that its network should agree on.
pub(super) fn agent_version(params: &NetworkParams) -> String {
    let (version, bits, postage) = (env!("CARGO_PKG_VERSION"), params.bits.get(), params.postage_bits);
    format!("griotd/{version} bits={bits} postage={postage}")
}

/// In words, how a peer's parameters differ from ours. What it does not say, or says unreadably, does not differ.
pub(super) fn difference(params: &NetworkParams, agent: &str) -> Option<String> {
    let said = |name: &str| {
        agent
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse::<u8>().ok())
    };
    let ours = [("bits", params.bits.get()), ("postage", params.postage_bits)];
    let differing: Vec<_> = ours
        .into_iter()
        .filter_map(|(name, ours)| {
            said(name).filter(|theirs| *theirs != ours).map(|theirs| format!("{name} {theirs}, here {ours}"))
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_differ_are_named() {
        let params = NetworkParams::standard(NetworkName::standard());
        assert_eq!(difference(&params, &agent_version(&params)), None);
        assert_eq!(difference(&params, "griotd/9.0 bits=2 postage=8 moon=full").as_deref(), Some("bits 2, here 0"));
        assert_eq!(
            difference(&params, "griotd/9.0 bits=2 postage=9").as_deref(),
            Some("bits 2, here 0; postage 9, here 8")
        );
        for unreadable in ["", "other/1", "griotd/9.0 bits=many postage=999", "bits postage ="] {
            assert_eq!(difference(&params, unreadable), None);
        }
    }
}
