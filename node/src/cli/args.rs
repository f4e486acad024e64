//! The command line, as `--help` shows it.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand};
use griot_protocol::NetworkName;
use libp2p::Multiaddr;

use crate::config::{ApiLayer, Layer};

const LONG_ABOUT: &str = "\
A Griot node: it takes sealed messages, keeps them on disk, and passes them on to other nodes until their recipients \
have collected them. It can read none of them.

Without a command it runs, with defaults that work: data in ~/.local/share/griot, other nodes on port 7701, the API \
for clients on <data-dir>/api.sock and 127.0.0.1:7700.";

const EXAMPLES: &str = "\
Examples:
  griotd                                             run a node
  griotd --peer /dns4/griot.example.org/tcp/7701     run it, connected to another
  griotd status                                      how is it?
  griotd member add Awa                              a token for a person on another machine
  griotd --api 0.0.0.0:7700 --api-tls api.crt api.key   let clients in from elsewhere
  griotd bundle export stick.griot                   carry everything on a USB stick (`bundle import` on the other side)

Every option can also stand in <data-dir>/griotd.toml or in the environment: GRIOT_DATA_DIR, GRIOT_CONFIG,
GRIOT_NETWORK, GRIOT_LISTEN, GRIOT_PEER, GRIOT_NO_DISCOVERY, GRIOT_API, GRIOT_API_CERT, GRIOT_API_KEY,
GRIOT_INSECURE_HTTP, GRIOT_METRICS, GRIOT_MEMBERS, GRIOT_ALLOW_PEERS, GRIOT_BLOCK_PEERS, GRIOT_NO_MDNS, GRIOT_CARRY,
GRIOT_LOG, GRIOT_LOG_FORMAT, GRIOT_BITS, GRIOT_POSTAGE_BITS.
Options win over the environment, the environment over the file.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "griotd", version, about = "A Griot node", long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
pub struct Args {
    /// Options of every command.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do; run, where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Default, ClapArgs)]
pub struct Flags {
    /// Where the node keeps everything [default: ~/.local/share/griot].
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A configuration file [default: DATA-DIR/griotd.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The network's name [default: griot].
    #[arg(long, global = true, value_name = "NAME")]
    network: Option<NetworkName>,
    /// Listen for other nodes here, instead of the defaults. May be given several times.
    #[arg(long, global = true, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// Stay connected to this node. May be given several times.
    #[arg(long, global = true, value_name = "MULTIADDR")]
    peer: Vec<Multiaddr>,
    /// Dial only --peer: no local discovery, no DHT, no remembered nodes.
    #[arg(long, global = true)]
    no_discovery: bool,
    /// Serve the API here, instead of 127.0.0.1:7700. Beyond this machine it needs --api-tls.
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    api: Option<SocketAddr>,
    /// Serve the API with TLS: a certificate chain and its private key, PEM.
    #[arg(long, global = true, num_args = 2, value_names = ["CERT", "KEY"])]
    api_tls: Vec<PathBuf>,
    /// Serve plain HTTP beyond this machine, because something in front of the node does TLS.
    #[arg(long, global = true)]
    insecure_http: bool,
    /// Serve Prometheus metrics here.
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// Shard bits of the network: the same on all its nodes [default: 0].
    #[arg(long, global = true, value_name = "N")]
    bits: Option<u8>,
    /// Postage of the network: the same on all its nodes [default: 8].
    #[arg(long, global = true, value_name = "N")]
    postage_bits: Option<u8>,
}

impl From<Flags> for Layer {
    fn from(flags: Flags) -> Self {
        let given = |list: Vec<Multiaddr>| (!list.is_empty()).then_some(list);
        let mut tls = flags.api_tls.into_iter();
        Self {
            config: flags.config,
            data_dir: flags.data_dir,
            network: flags.network,
            bits: flags.bits,
            postage_bits: flags.postage_bits,
            listen: given(flags.listen),
            peers: given(flags.peer),
            discovery: flags.no_discovery.then_some(false),
            metrics: flags.metrics,
            api: ApiLayer {
                listen: flags.api,
                cert: tls.next(),
                key: tls.next(),
                insecure_http: flags.insecure_http.then_some(true),
                ..ApiLayer::default()
            },
            ..Self::default()
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node (the default).
    Run,
    /// Print the node's id.
    Id,
    /// How the running node is.
    Status {
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Which nodes it is connected to, should be, or remembers.
    Peers {
        /// One JSON object a line on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Who may use the node from other machines.
    #[command(subcommand)]
    Member(Member),
    /// Carry messages where no network goes: courier files.
    #[command(subcommand)]
    Bundle(Bundle),
    /// Write everything that makes this node itself into FILE, its secret key included.
    Backup {
        /// The file to write.
        file: PathBuf,
    },
    /// Make a node again from a backup, in an empty data directory.
    Restore {
        /// The file to read.
        file: PathBuf,
    },
    /// Read every record held and check that it proves itself.
    Verify,
    /// Look for what may be wrong, and say what to do.
    Doctor {
        /// One JSON object for each finding on stdout.
        #[arg(long)]
        json: bool,
    },
}

/// Who may use the node from other machines.
#[derive(Debug, Subcommand)]
pub enum Member {
    /// Add a member and print its token, alone on stdout. It is shown only this once.
    Add {
        /// Who it is, for your own list.
        label: String,
    },
    /// List members.
    List {
        /// One JSON object a line on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a member: its token and its registrations end.
    Revoke {
        /// Its id, from `member list`.
        id: String,
    },
}

/// Courier files.
#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Write every record that the node holds into FILE.
    Export {
        /// The file to write.
        file: PathBuf,
    },
    /// Take the records in FILE. Importing twice is fine.
    Import {
        /// The file to read.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_are_taken_before_and_after_the_command() {
        for line in [
            "griotd --data-dir /d --listen /ip4/1.2.3.4/tcp/1 --listen /ip4/1.2.3.4/tcp/2 --api-tls c k status --json",
            "griotd status --json --api-tls c k --data-dir /d --listen /ip4/1.2.3.4/tcp/1 --listen /ip4/1.2.3.4/tcp/2",
        ] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(matches!(args.command, Some(Command::Status { json: true })));
            let layer = Layer::from(args.flags);
            assert_eq!(layer.data_dir.unwrap(), PathBuf::from("/d"));
            assert_eq!(layer.listen.unwrap().len(), 2);
            assert_eq!((layer.api.cert.unwrap(), layer.api.key.unwrap()), ("c".into(), "k".into()));
        }
        assert!(Args::try_parse_from(["griotd"]).unwrap().command.is_none());
        assert!(Args::try_parse_from(["griotd", "--api-tls", "only-one"]).is_err());
        assert!(Args::try_parse_from(["griotd", "--netwrok", "x"]).is_err());
    }
}
