//! How bytes travel: TCP (Noise, Yamux) and QUIC, over IPv4 and IPv6, with names resolved by DNS; and through a relay, which
//! sees nothing but Noise and Yamux between the two ends.

use std::time::Duration;

use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    noise, quic, relay, tcp, yamux,
};

use super::config::NetworkError;

/// How long it may take until a connection is encrypted and multiplexed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The same through a relay, which may have to be dialled first.
const RELAYED_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// QUIC gives a silent connection up after this; radio links go quiet for seconds at a time.
const QUIC_IDLE_TIMEOUT: Duration = Duration::from_secs(25);

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// The transport of a real node, and the behaviour that belongs to it where relays are used. The simulator brings its own.
pub(super) fn transport(
    keypair: &Keypair,
    uses_relays: bool,
) -> Result<(Connections, Option<relay::client::Behaviour>), NetworkError> {
    let direct = direct(keypair)?;
    if !uses_relays {
        return Ok((direct, None));
    }
    let (through_relays, relays) = relay::client::new(keypair.public().to_peer_id());
    let through_relays = through_relays
        .upgrade(Version::V1Lazy)
        .authenticate(encryption(keypair)?)
        .multiplex(yamux::Config::default())
        .timeout(RELAYED_HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    // First, since the other takes an address through a relay for the relay's own.
    let both = through_relays.or_transport(direct).map(|either, _| either.into_inner()).boxed();
    Ok((both, Some(relays)))
}

fn direct(keypair: &Keypair) -> Result<Connections, NetworkError> {
    match dns::tokio::Transport::system(sockets(keypair)?) {
        Ok(transport) => Ok(transport.boxed()),
        Err(error) => {
            tracing::warn!(%error, "no DNS configuration: only peers given by IP address can be dialled");
            sockets(keypair)
        }
    }
}

fn sockets(keypair: &Keypair) -> Result<Connections, NetworkError> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(encryption(keypair)?)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_idle_timeout = QUIC_IDLE_TIMEOUT.as_millis() as u32;
    let quic = quic::tokio::Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed())
}

fn encryption(keypair: &Keypair) -> Result<noise::Config, NetworkError> {
    noise::Config::new(keypair).map_err(|error| NetworkError::Setup { what: "noise", why: error.to_string() })
}
