//! One layer of configuration: every field optional, the same shape for flags, environment and file.

use std::{net::SocketAddr, path::PathBuf};

use griot_protocol::{NetworkName, Shard};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Config, ConfigError, LogFormat, MembersPolicy, TlsFiles, shard_bits};

/// What one source says. The field names are the file's keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Layer {
    /// The configuration file itself: a flag or variable, never a key.
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// See [`Config::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// The network's name.
    pub network: Option<NetworkName>,
    /// The network's shard bits.
    pub bits: Option<u8>,
    /// The network's least postage.
    pub postage_bits: Option<u8>,
    /// See [`Config::listen`]. Replaces lower layers as a whole.
    pub listen: Option<Vec<Multiaddr>>,
    /// See [`Config::peers`]. Replaces lower layers as a whole.
    pub peers: Option<Vec<Multiaddr>>,
    /// See [`Config::announce`]. Replaces lower layers as a whole.
    pub announce: Option<Vec<Multiaddr>>,
    /// See [`Config::relay_for_others`].
    pub relay_for_others: Option<bool>,
    /// See [`Config::use_relays`].
    pub use_relays: Option<bool>,
    /// See [`Config::discovery`].
    pub discovery: Option<bool>,
    /// See [`Config::mdns`].
    pub mdns: Option<bool>,
    /// See [`Config::allow_peers`].
    #[serde(deserialize_with = "peer_ids")]
    pub allow_peers: Option<Vec<PeerId>>,
    /// See [`Config::block_peers`].
    #[serde(deserialize_with = "peer_ids")]
    pub block_peers: Option<Vec<PeerId>>,
    /// See [`Config::carry`].
    pub carry: Option<Vec<u32>>,
    /// See [`Config::members`].
    pub members: Option<MembersPolicy>,
    /// See [`Config::metrics`].
    pub metrics: Option<SocketAddr>,
    /// The table `[api]`.
    pub api: ApiLayer,
    /// The table `[limits]`.
    pub limits: LimitsLayer,
    /// The table `[log]`.
    pub log: LogLayer,
}

/// The table `[api]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ApiLayer {
    /// See [`super::ApiConfig::listen`].
    pub listen: Option<SocketAddr>,
    /// Certificate chain: with `key`.
    pub cert: Option<PathBuf>,
    /// Private key: with `cert`.
    pub key: Option<PathBuf>,
    /// See [`super::ApiConfig::insecure_http`].
    pub insecure_http: Option<bool>,
    /// See [`super::ApiConfig::hosts`].
    pub hosts: Option<Vec<String>>,
    /// See [`super::ApiConfig::origins`].
    pub origins: Option<Vec<String>>,
    /// See [`super::ApiConfig::connections_max`].
    pub connections_max: Option<usize>,
}

/// The table `[limits]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitsLayer {
    /// See [`super::Limits::best_effort_bytes`].
    pub best_effort_bytes: Option<u64>,
    /// See [`super::Limits::disk_reserve_bytes`].
    pub disk_reserve_bytes: Option<u64>,
    /// See [`super::Limits::index_cache_bytes`].
    pub index_cache_bytes: Option<u64>,
    /// See [`super::Limits::member_mailboxes`].
    pub member_mailboxes: Option<u64>,
    /// See [`super::Limits::member_bytes`].
    pub member_bytes: Option<u64>,
    /// See [`super::Limits::member_records_per_second`].
    pub member_records_per_second: Option<u64>,
    /// See [`super::Limits::peers`].
    pub peers: Option<u32>,
}

/// The table `[log]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogLayer {
    /// See [`super::LogConfig::format`].
    pub format: Option<LogFormat>,
    /// See [`super::LogConfig::level`].
    pub level: Option<String>,
}

/// Peer ids as text.
fn peer_ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<PeerId>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    let parse = |text: String| text.parse().map_err(|error| D::Error::custom(format!("`{text}`: {error}")));
    texts.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// Lays a value over a default.
fn set<T>(to: &mut T, from: Option<T>) {
    if let Some(from) = from {
        *to = from;
    }
}

impl Layer {
    /// This layer laid over `lower`.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let (cert, key) = match (self.api.cert, self.api.key) {
            // Certificate and key belong together: a layer that names either is asked for both.
            (None, None) => (lower.api.cert, lower.api.key),
            named => named,
        };
        Self {
            config: self.config.or(lower.config),
            data_dir: self.data_dir.or(lower.data_dir),
            network: self.network.or(lower.network),
            bits: self.bits.or(lower.bits),
            postage_bits: self.postage_bits.or(lower.postage_bits),
            listen: self.listen.or(lower.listen),
            peers: self.peers.or(lower.peers),
            announce: self.announce.or(lower.announce),
            relay_for_others: self.relay_for_others.or(lower.relay_for_others),
            use_relays: self.use_relays.or(lower.use_relays),
            discovery: self.discovery.or(lower.discovery),
            mdns: self.mdns.or(lower.mdns),
            allow_peers: self.allow_peers.or(lower.allow_peers),
            block_peers: self.block_peers.or(lower.block_peers),
            carry: self.carry.or(lower.carry),
            members: self.members.or(lower.members),
            metrics: self.metrics.or(lower.metrics),
            api: ApiLayer {
                listen: self.api.listen.or(lower.api.listen),
                cert,
                key,
                insecure_http: self.api.insecure_http.or(lower.api.insecure_http),
                hosts: self.api.hosts.or(lower.api.hosts),
                origins: self.api.origins.or(lower.api.origins),
                connections_max: self.api.connections_max.or(lower.api.connections_max),
            },
            limits: self.limits.over(lower.limits),
            log: LogLayer { format: self.log.format.or(lower.log.format), level: self.log.level.or(lower.log.level) },
        }
    }

    /// Fills what is still open with defaults and checks the whole.
    pub(super) fn resolve(self, data_dir: PathBuf) -> Result<Config, ConfigError> {
        let mut config = Config::defaults(data_dir);
        if let Some(name) = self.network {
            config.network.name = name;
        }
        if let Some(bits) = self.bits {
            config.network.bits = shard_bits(bits)?;
        }
        if let Some(bits) = self.postage_bits {
            config.network.postage_bits = bits;
        }
        set(&mut config.listen, self.listen);
        set(&mut config.peers, self.peers);
        set(&mut config.announce, self.announce);
        set(&mut config.relay_for_others, self.relay_for_others);
        set(&mut config.use_relays, self.use_relays);
        config.discovery = self.discovery.unwrap_or(config.discovery);
        config.mdns = self.mdns.unwrap_or(config.mdns);
        set(&mut config.allow_peers, self.allow_peers);
        set(&mut config.block_peers, self.block_peers);
        config.carry = self.carry.unwrap_or_default().into_iter().map(Shard).collect();
        config.carry.sort_unstable();
        config.carry.dedup();
        config.members = self.members.unwrap_or(config.members);
        config.metrics = self.metrics;
        config.api.listen = self.api.listen.unwrap_or(config.api.listen);
        config.api.tls = match (self.api.cert, self.api.key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::value("api.key", "api.cert is set: name its private key too")),
            (None, Some(_)) => return Err(ConfigError::value("api.cert", "api.key is set: name its certificate too")),
        };
        config.api.insecure_http = self.api.insecure_http.unwrap_or(false);
        config.api.hosts = self.api.hosts.unwrap_or_default();
        config.api.origins = self.api.origins.unwrap_or_default();
        config.api.connections_max = self.api.connections_max.unwrap_or(config.api.connections_max);
        self.limits.apply(&mut config.limits);
        config.log.format = self.log.format.unwrap_or(config.log.format);
        config.log.level = self.log.level.unwrap_or(config.log.level);
        config.check()
    }
}

impl LimitsLayer {
    fn over(self, lower: Self) -> Self {
        Self {
            best_effort_bytes: self.best_effort_bytes.or(lower.best_effort_bytes),
            disk_reserve_bytes: self.disk_reserve_bytes.or(lower.disk_reserve_bytes),
            index_cache_bytes: self.index_cache_bytes.or(lower.index_cache_bytes),
            member_mailboxes: self.member_mailboxes.or(lower.member_mailboxes),
            member_bytes: self.member_bytes.or(lower.member_bytes),
            member_records_per_second: self.member_records_per_second.or(lower.member_records_per_second),
            peers: self.peers.or(lower.peers),
        }
    }

    fn apply(&self, limits: &mut super::Limits) {
        limits.best_effort_bytes = self.best_effort_bytes.unwrap_or(limits.best_effort_bytes);
        limits.disk_reserve_bytes = self.disk_reserve_bytes.unwrap_or(limits.disk_reserve_bytes);
        limits.index_cache_bytes = self.index_cache_bytes.unwrap_or(limits.index_cache_bytes);
        limits.member_mailboxes = self.member_mailboxes.unwrap_or(limits.member_mailboxes);
        limits.member_bytes = self.member_bytes.unwrap_or(limits.member_bytes);
        limits.member_records_per_second = self.member_records_per_second.unwrap_or(limits.member_records_per_second);
        limits.peers = self.peers.unwrap_or(limits.peers);
    }
}
