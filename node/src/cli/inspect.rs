//! Commands that look at the running node, and those that change its members.

use std::io::Write;

use axum::body::Body;
use griot_protocol::api::{MemberInfo, MemberToken, NewMember, NodeInfo, PeerInfo, PeerState, Reachability};
use hyper::Method;
use serde::Serialize;

use super::{CliError, client::Daemon};
use crate::{config::Config, identity::Identity};

/// The node's ids, from its key: it need not run.
pub(super) fn id(config: &Config) -> Result<(), CliError> {
    let identity = Identity::load(&config.data_dir).map_err(CliError::failed)?;
    let Some(identity) = identity else {
        let dir = config.data_dir.display();
        return Err(CliError::failed(format!("{dir} holds no node yet: `griotd --data-dir {dir}` makes one")));
    };
    line(&identity.node_id())?;
    eprintln!("peer id {}", identity.peer_id());
    Ok(())
}

pub(super) async fn peers(config: &Config, json: bool) -> Result<(), CliError> {
    let peers: Vec<PeerInfo> = Daemon::need(&config.data_dir).await?.get("/v1/peers").await?;
    for peer in &peers {
        if json {
            object(peer)?;
            continue;
        }
        line(&peer_line(peer))?;
    }
    if peers.is_empty() && !json {
        eprintln!("none yet: start another node, or restart this one with --peer MULTIADDR");
    }
    Ok(())
}

/// How others reach the node, in words.
pub(super) fn reached(info: &NodeInfo) -> String {
    let how = match info.reachability {
        Reachability::Public => "directly, from everywhere".to_owned(),
        Reachability::Relayed => format!("through {} relay(s): nobody far away can dial it", relays(info)),
        Reachability::Local => "directly, from nearby; not known to be from further away".to_owned(),
        Reachability::Unreachable => "by nobody: it can only dial others".to_owned(),
        Reachability::Unknown => "not known yet".to_owned(),
    };
    if info.relays { how + "; relays for others" } else { how }
}

/// At how many relays it has a place. Each has one name and several addresses.
fn relays(info: &NodeInfo) -> usize {
    let relay = |circuit: &String| {
        circuit.split_once("/p2p-circuit").map(|(relay, _)| relay.rsplit('/').next().map(str::to_owned))
    };
    info.circuits.iter().filter_map(relay).collect::<std::collections::BTreeSet<_>>().len()
}

fn peer_line(peer: &PeerInfo) -> String {
    let id = if peer.peer_id.is_empty() { "(not reached yet)" } else { &peer.peer_id };
    let mut text = format!("{id} {}", peer_state(peer));
    if peer.configured {
        text.push_str(" (configured)");
    }
    if peer.relayed {
        text.push_str(" (through a relay)");
    }
    for part in [peer.rtt_ms.map(|ms| format!("{ms} ms")), peer.agent.as_deref().map(printable)].into_iter().flatten() {
        text = format!("{text} {part}");
    }
    for address in &peer.addresses {
        text = format!("{text} {}", printable(address));
    }
    if let Some(sync) = peer_sync(peer) {
        text = format!("{text}, {sync}");
    }
    match &peer.last_error {
        Some(error) => format!("{text}: {}", printable(error)),
        None => text,
    }
}

/// When a peer and this node last had the same, and how far they had come apart until then.
pub(super) fn peer_sync(peer: &PeerInfo) -> Option<String> {
    let failed = match (peer.sync_failures, &peer.sync_error) {
        (0, _) => String::new(),
        (count, why) => {
            format!(", {count} syncs failed since ({})", printable(why.as_deref().unwrap_or("why is not known")))
        }
    };
    let (received, sent) = (peer.sync_received.unwrap_or(0), peer.sync_sent.unwrap_or(0));
    match peer.last_sync_seconds {
        Some(seconds) => Some(format!("synced {} ago ({received} came, {sent} went){failed}", duration(seconds))),
        None if peer.connected => Some(format!("not synced yet{failed}")),
        None => None,
    }
}

/// How it stands with a peer, in words.
pub(super) fn peer_state(peer: &PeerInfo) -> String {
    let seconds = peer.next_try_seconds.unwrap_or_default();
    let failures = match peer.failures {
        0 => String::new(),
        1 => ", failed once".to_owned(),
        count => format!(", failed {count} times"),
    };
    match peer.state {
        PeerState::Dialling => format!("dialling{failures}"),
        PeerState::Waiting => format!("not connected, next try in {seconds} s{failures}"),
        PeerState::Idle => format!("remembered{failures}"),
        PeerState::Avoided => format!("left alone for {seconds} s"),
        PeerState::Connected => "connected".to_owned(),
        PeerState::Unknown if peer.connected => "connected".to_owned(),
        PeerState::Unknown => "known".to_owned(),
    }
}

pub(super) async fn add_member(config: &Config, label: String) -> Result<(), CliError> {
    let body = serde_json::to_vec(&NewMember { label }).map_err(CliError::failed)?;
    let mut daemon = Daemon::need(&config.data_dir).await?;
    let member: MemberToken = daemon.json(Method::POST, "/v1/members", Body::from(body)).await?;
    line(&member.token)?;
    eprintln!("member {}: give them this token; it is not shown again", member.id);
    eprintln!("they use it with: griot init --name NAME --node URL --token TOKEN");
    Ok(())
}

pub(super) async fn members(config: &Config, json: bool) -> Result<(), CliError> {
    let members: Vec<MemberInfo> = Daemon::need(&config.data_dir).await?.get("/v1/members").await?;
    for member in &members {
        if json {
            object(member)?;
            continue;
        }
        let label = printable(&member.label);
        line(&format_args!("{} {label} ({} mailboxes, {} bytes)", member.id, member.mailboxes, member.bytes))?;
    }
    if members.is_empty() && !json {
        eprintln!("none: `griotd member add NAME` makes one");
    }
    Ok(())
}

pub(super) async fn revoke_member(config: &Config, id: &str) -> Result<(), CliError> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(CliError::Usage("a member's id is 32 lowercase hex digits: see `griotd member list`".to_owned()));
    }
    Daemon::need(&config.data_dir).await?.delete(&format!("/v1/members/{id}")).await?;
    eprintln!("revoked {id}");
    Ok(())
}

/// One JSON object on one line of stdout.
pub(super) fn object(value: &impl Serialize) -> Result<(), CliError> {
    line(&serde_json::to_string(value).map_err(CliError::failed)?)
}

/// One line of stdout. A reader that left (`| head`) is no panic.
pub(super) fn line(text: &impl std::fmt::Display) -> Result<(), CliError> {
    writeln!(std::io::stdout().lock(), "{text}").map_err(CliError::failed)
}

/// Seconds in the largest unit of which there are at least two.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Text of strangers, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_one_unit() {
        let said = [0, 119, 120, 7199, 7200, 172_799, 172_800, 864_000].map(duration);
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days", "10 days"]);
    }

    #[test]
    fn a_peer_is_said_to_be_synced_only_where_it_was() {
        let mut peer = PeerInfo { connected: true, sync_failures: 2, ..PeerInfo::default() };
        peer.sync_error = Some("no answer in time".to_owned());
        assert_eq!(peer_sync(&peer).unwrap(), "not synced yet, 2 syncs failed since (no answer in time)");
        peer =
            PeerInfo { last_sync_seconds: Some(30), sync_received: Some(4), sync_sent: Some(1), ..PeerInfo::default() };
        assert_eq!(peer_sync(&peer).unwrap(), "synced 30 s ago (4 came, 1 went)");
        assert_eq!(peer_sync(&PeerInfo::default()), None);
    }
}
