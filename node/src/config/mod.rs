//! What an operator may decide, and where they may say it.
//!
//! Four layers, each overriding the next: flags, environment (`GRIOT_…`), a TOML file, defaults. A layer is a
//! [`Layer`]: the same fields, all optional. [`Config`] is what comes out when they are laid over each other and
//! checked, so that the rest of the node never meets an impossible configuration.
//!
//! The file is `--config FILE` or `GRIOT_CONFIG`, else `<data-dir>/griotd.toml` where there is one.
//! `docs/griotd.toml` shows every key with its default, and a test holds it to that.

mod env;
mod file;
mod layer;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use griot_protocol::{NetworkName, NetworkParams, Shard, ShardBits, limits::POSTAGE_BITS_MAX};
use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;

pub use layer::{ApiLayer, Layer, LimitsLayer, LogLayer};

/// The API's port unless told otherwise.
pub const API_PORT: u16 = 7700;

/// The libp2p port (TCP and QUIC) unless told otherwise.
pub const P2P_PORT: u16 = 7701;

/// Bytes that a Unix socket's path may have on Linux: `sun_path` holds 108 with its closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "api.sock";

/// The configuration file's name in the data directory.
pub const CONFIG_NAME: &str = "griotd.toml";

/// Everything an operator may decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The network's name and parameters.
    pub network: NetworkParams,
    /// Multiaddrs to listen on for other nodes.
    pub listen: Vec<Multiaddr>,
    /// Nodes to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Addresses under which others reach this node, where it cannot learn them by itself: a port that a router forwards.
    pub announce: Vec<Multiaddr>,
    /// Whether to relay between nodes that cannot be dialled, once this one has been.
    pub relay_for_others: bool,
    /// Whether to be reached, and to reach others, through relays where there is no other way.
    pub use_relays: bool,
    /// Whether to look for nodes beyond `peers`: mDNS, kad dialling, remembered peers.
    pub discovery: bool,
    /// Whether to look for nodes on the local network (only with `discovery`).
    pub mdns: bool,
    /// Only these nodes may connect or be dialled; all, where it is empty.
    pub allow_peers: Vec<PeerId>,
    /// These nodes may not.
    pub block_peers: Vec<PeerId>,
    /// Shards to carry besides those of registered mailboxes.
    pub carry: Vec<Shard>,
    /// Who may become a member.
    pub members: MembersPolicy,
    /// The local daemon API.
    pub api: ApiConfig,
    /// Where to serve `/metrics` (and `/health/…`) without a token; nowhere unless told.
    pub metrics: Option<SocketAddr>,
    /// Quotas and budgets.
    pub limits: Limits,
    /// How to log.
    pub log: LogConfig,
}

/// The local daemon API over TCP. The Unix socket is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Certificate chain and key; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether plain HTTP is wanted beyond this machine.
    pub insecure_http: bool,
    /// Host names under which plain HTTP may be asked, besides loopback names and IP addresses.
    pub hosts: Vec<String>,
    /// Web origins whose pages may call, besides those of loopback.
    pub origins: Vec<String>,
    /// Connections at once.
    pub connections_max: usize,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the node's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who may become a member over TCP. Whoever can open the Unix socket always is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembersPolicy {
    /// Anyone who can reach the API makes themselves a member (`POST /v1/members/self`).
    Open,
    /// The operator adds members (`griotd member add`).
    #[default]
    Invite,
    /// Nobody: tokens are refused, only the Unix socket serves.
    Closed,
}

/// Quotas and budgets. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What best-effort mail (custody class 3) may take.
    pub best_effort_bytes: u64,
    /// What must stay free on the disk.
    pub disk_reserve_bytes: u64,
    /// What sled may cache.
    pub index_cache_bytes: u64,
    /// Mailboxes per member.
    pub member_mailboxes: u64,
    /// Bytes held per member: its mailboxes and its outbox.
    pub member_bytes: u64,
    /// Records a member may submit per second, on average.
    pub member_records_per_second: u64,
    /// Connected peers.
    pub peers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Weeks of a town's mail; a small disk still has room for the node itself.
            best_effort_bytes: 8 << 30,
            // Enough to write a last segment, a log line, and to log in and clean up.
            disk_reserve_bytes: 256 << 20,
            // sled's own default is 1 GiB; an idle node should fit a Raspberry Pi.
            index_cache_bytes: 32 << 20,
            // One per contact and direction, plus groups: nobody's phone book is longer.
            member_mailboxes: 10_000,
            member_bytes: 1 << 30,
            // A person never types this fast; a bot that does runs its own node.
            member_records_per_second: 50,
            peers: 256,
        }
    }
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// A level, or `tracing` directives such as `info,griot_node::relay=debug`.
    pub level: String,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// What is wrong with a configuration, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or a value has the wrong type.
    #[error("{path}: {message}")]
    File {
        /// Which.
        path: PathBuf,
        /// Line and reason.
        message: String,
    },
    /// A key that means nothing.
    #[error("{path}: unknown key `{key}`{suggestion}")]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key, with its table.
        key: String,
        /// `; did you mean …?`, or nothing.
        suggestion: String,
    },
    /// A value that cannot be.
    #[error("{key}: {message}")]
    Value {
        /// The key, flag or variable.
        key: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
}

impl ConfigError {
    pub(crate) fn value(key: &'static str, message: impl std::fmt::Display) -> Self {
        Self::Value { key, message: message.to_string() }
    }
}

impl Config {
    /// The defaults, for a node that keeps everything in `data_dir`.
    #[must_use]
    pub fn defaults(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            network: NetworkParams::standard(NetworkName::standard()),
            listen: default_listen(),
            peers: Vec::new(),
            announce: Vec::new(),
            relay_for_others: true,
            use_relays: true,
            discovery: true,
            mdns: true,
            allow_peers: Vec::new(),
            block_peers: Vec::new(),
            carry: Vec::new(),
            members: MembersPolicy::default(),
            api: ApiConfig {
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT)),
                tls: None,
                insecure_http: false,
                hosts: Vec::new(),
                origins: Vec::new(),
                connections_max: 1024,
            },
            metrics: None,
            limits: Limits::default(),
            log: LogConfig { format: LogFormat::Text, level: "info".to_owned() },
        }
    }

    /// Lays `flags` over the environment, over the file, over the defaults, and checks the outcome.
    ///
    /// # Errors
    /// [`ConfigError`], which says what to change.
    pub fn load(flags: Layer, var: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let named = flags.config.clone();
        let upper = flags.over(Layer::from_env(&var)?);
        let named = named.or_else(|| upper.config.clone());
        let (layer, data_dir) = match named {
            Some(path) => {
                let layer = upper.over(Layer::from_file(&path)?);
                let data_dir = layer.data_dir.clone().unwrap_or_else(|| default_data_dir(&var));
                (layer, data_dir)
            }
            None => {
                let data_dir = upper.data_dir.clone().unwrap_or_else(|| default_data_dir(&var));
                let path = data_dir.join(CONFIG_NAME);
                let file = if path.exists() { Layer::from_file(&path)? } else { Layer::default() };
                if file.data_dir.as_ref().is_some_and(|elsewhere| *elsewhere != data_dir) {
                    let message = format!(
                        "{} lies in the data directory and names another one: remove the key, or pass the file with --config",
                        path.display()
                    );
                    return Err(ConfigError::value("data_dir", message));
                }
                (upper.over(file), data_dir)
            }
        };
        layer.resolve(data_dir)
    }

    /// The node's Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.data_dir)
    }

    /// Refuses what cannot work or would be unsafe.
    fn check(self) -> Result<Self, ConfigError> {
        let bytes = self.socket().as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX {
            let message = format!(
                "the path of its socket, {}, has {bytes} bytes and the system allows {SOCKET_PATH_BYTES_MAX}: \
                 choose a shorter --data-dir (a symbolic link to it will do)",
                self.socket().display()
            );
            return Err(ConfigError::value("data_dir", message));
        }
        if self.network.postage_bits > POSTAGE_BITS_MAX {
            return Err(ConfigError::value("postage_bits", format!("at most {POSTAGE_BITS_MAX}")));
        }
        for peer in self.peers.iter().filter_map(peer_of) {
            if self.block_peers.contains(&peer) || !(self.allow_peers.is_empty() || self.allow_peers.contains(&peer)) {
                let message =
                    format!("{peer} is to be stayed connected to, and block_peers or allow_peers keeps it out");
                return Err(ConfigError::value("peers", message));
            }
        }
        if let Some(shard) = self.carry.iter().find(|shard| shard.0 >= self.network.bits.shard_count()) {
            let last = self.network.bits.shard_count() - 1;
            let message =
                format!("there is no shard {}: with bits = {} they are 0 to {last}", shard.0, self.network.bits.get());
            return Err(ConfigError::value("carry", message));
        }
        if !self.api.listen.ip().is_loopback() && self.api.tls.is_none() && !self.api.insecure_http {
            let message = format!(
                "{} can be reached from other machines, and tokens would cross the network in the clear: give it a \
                 certificate (--api-tls CERT KEY), or say --insecure-http if something in front of it does TLS",
                self.api.listen
            );
            return Err(ConfigError::value("api", message));
        }
        if self.api.connections_max == 0 {
            return Err(ConfigError::value("api.connections_max", "at least 1"));
        }
        Ok(self)
    }
}

/// Who should answer at an address, where it says so.
fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

/// The socket of the node that keeps everything in `data_dir`.
#[must_use]
pub fn socket_in(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_NAME)
}

/// TCP and QUIC on [`P2P_PORT`], on IPv6 and IPv4.
#[must_use]
pub fn default_listen() -> Vec<Multiaddr> {
    use libp2p::multiaddr::Protocol;
    let ips = [Protocol::Ip4(Ipv4Addr::UNSPECIFIED), Protocol::Ip6(std::net::Ipv6Addr::UNSPECIFIED)];
    ips.into_iter()
        .flat_map(|ip| {
            let tcp = Multiaddr::empty().with(ip.clone()).with(Protocol::Tcp(P2P_PORT));
            let quic = Multiaddr::empty().with(ip).with(Protocol::Udp(P2P_PORT)).with(Protocol::QuicV1);
            [tcp, quic]
        })
        .collect()
}

/// `$XDG_DATA_HOME/griot`, else `~/.local/share/griot`, else `./griot-data` where there is no home.
fn default_data_dir(var: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("griot-data"), |data| data.join("griot"))
}

/// Checks shard bits.
pub(crate) fn shard_bits(bits: u8) -> Result<ShardBits, ConfigError> {
    ShardBits::try_from(bits).map_err(|error| ConfigError::value("bits", error))
}

#[cfg(test)]
mod tests;
