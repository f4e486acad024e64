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

pub(super) async fn status(config: &Config, json: bool) -> Result<(), CliError> {
    let info: NodeInfo = Daemon::need(&config.data_dir).await?.get("/v1/node").await?;
    if json {
        return object(&info);
    }
    let congested = info.postage_bits_now > info.postage_bits;
    line(&format_args!("peer id   {}", info.peer_id))?;
    line(&format_args!("node id   {}", info.node_id))?;
    line(&format_args!("network   {} (bits {}, postage {})", info.network, info.bits, info.postage_bits))?;
    line(&format_args!("running   {} for {} s", info.version, info.uptime_seconds))?;
    for address in &info.listen {
        line(&format_args!("listens   {address}"))?;
    }
    for address in &info.circuits {
        line(&format_args!("relayed   {address}"))?;
    }
    line(&format_args!("reached   {}", reached(&info)))?;
    line(&format_args!("peers     {}", info.peers))?;
    line(&format_args!("records   {} ({} bytes)", info.records, info.bytes))?;
    line(&format_args!("mailboxes {}", info.mailboxes))?;
    line(&format_args!("outbox    {}", info.outbox))?;
    if congested {
        line(&format_args!("congested: postage for other communities' mailboxes is {} now", info.postage_bits_now))?;
    }
    for warning in &info.warnings {
        line(&format_args!("warning   {warning}"))?;
    }
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
    match &peer.last_error {
        Some(error) => format!("{text}: {}", printable(error)),
        None => text,
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

/// Text of strangers, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
