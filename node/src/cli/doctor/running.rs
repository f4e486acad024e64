//! What a running node says of itself, its peers and its mail.

use std::collections::BTreeSet;

use griot_protocol::api::{
    ClockReport, DiskReport, DiskTrend, NodeInfo, NodeReport, PeerInfo, PeerState, Reachability,
};

use super::{
    super::{
        CliError,
        client::Daemon,
        inspect::{duration, peer_state, reached},
        status::{self, Syncs},
    },
    Findings, ports,
};

/// A clock farther off than this is not kept by anyone.
const CLOCK_NOTE_SECONDS: u64 = 60;

/// Records are refused, and neighbours' clocks believed, from here on.
const CLOCK_PROBLEM_SECONDS: u64 = 10 * 60;

/// Fewer neighbours than this may be wrong together.
const CLOCK_PEERS_MIN: u64 = 3;

/// Neighbours are compared with every half minute in turn: after this time without a good sync something is wrong.
const SYNC_SECONDS_MAX: u64 = 10 * 60;

/// Syncs with one peer that may fail in a row before it is worth a word: peers are restarted, links are cut.
const SYNC_FAILURES: u32 = 5;

/// A disk that lasts for less is a problem now: buying one takes as long.
const DISK_DAYS_PROBLEM: u64 = 14;

/// A disk that lasts for less is worth knowing.
const DISK_DAYS_NOTE: u64 = 60;

/// Mail that no home vouches for after this time is on its way no longer.
const OUTBOX_SECONDS: u64 = 3600;

/// Peers named in one finding.
const NAMED_MAX: usize = 3;

pub(super) async fn examine(found: &mut Findings, mut daemon: Daemon) {
    let info: NodeInfo = match daemon.get("/v1/node").await {
        Ok(info) => info,
        Err(error) => {
            return found.problem("node", format_args!("the node runs but does not answer ({error})"), "restart it");
        }
    };
    node(found, &info);
    match daemon.find_at::<NodeReport>("/v1/report").await {
        Ok(Some(report)) => {
            ports::bound(found, &info.listen, &report.listening);
            ports::answering(found, &report.listening).await;
            clock(found, &report.clock);
            disk(found, &report.disk);
            mail(found, &report);
            other_records(found, &report);
        }
        Ok(None) => {
            found.note("version", "the running node is too old to be examined further", "restart it with this version")
        }
        Err(error) => found.problem("node", format_args!("it cannot say how it does ({error})"), "see its log"),
    }
    let peers: Result<Vec<PeerInfo>, CliError> = daemon.get("/v1/peers").await;
    match peers {
        Ok(peers) => {
            connections(found, &peers);
            syncs(found, &peers, info.uptime_seconds);
            reachability(found, &info, &peers);
            versions(found, &peers);
        }
        Err(error) => found.problem("peers", format_args!("it cannot say who its peers are ({error})"), "see its log"),
    }
}

fn node(found: &mut Findings, info: &NodeInfo) {
    found.good("node", format_args!("a node runs: version {}, network {}", info.version, info.network));
    if info.version != env!("CARGO_PKG_VERSION") {
        found.note("version", "the node is of another version than this command", "restart it to use the new one");
    }
    for warning in &info.warnings {
        found.problem(
            "node",
            format_args!("it warns: {warning}"),
            "see docs/operations.md; a restart forgets what is settled",
        );
    }
}

fn clock(found: &mut Findings, clock: &ClockReport) {
    let set = "keep the clock by NTP (`timedatectl set-ntp true`)";
    if !clock.settled {
        found.problem(
            "clock",
            "the clock jumped by a day or more, and nothing is deleted as expired until a neighbour confirms it",
            set,
        );
    }
    let Some(seconds) = clock.behind_seconds else {
        return found.note("clock", "there is no neighbour to compare the clock with", "connect to some");
    };
    let said = format!("the clock is {}", status::clock(seconds, clock.peers));
    match seconds.unsigned_abs() {
        CLOCK_PROBLEM_SECONDS.. if clock.peers >= CLOCK_PEERS_MIN => {
            found.problem("clock", format_args!("{said}, and records are judged by theirs"), set);
        }
        CLOCK_PROBLEM_SECONDS.. => found.note("clock", said, format_args!("find out whose is wrong; {set}")),
        CLOCK_NOTE_SECONDS.. => found.note("clock", said, set),
        _ => found.good("clock", said),
    }
}

fn disk(found: &mut Findings, disk: &DiskReport) {
    let said = status::disk(disk);
    let cure = "a larger disk, or lower limits.best_effort_bytes and limits.member_bytes";
    match (disk.trend, disk.days_left) {
        (DiskTrend::Growing, Some(..DISK_DAYS_PROBLEM)) => found.problem("disk", said, cure),
        (DiskTrend::Growing, Some(..DISK_DAYS_NOTE)) => found.note("disk", said, cure),
        _ => found.good("disk", said),
    }
}

fn mail(found: &mut Findings, report: &NodeReport) {
    let mut calm = true;
    // What a home has vouched for waits for its reader, which is nobody's fault.
    let stuck = report.outbox.waiting.iter().filter(|row| row.reason != crate::runtime::COLLECTING);
    for row in stuck.filter(|row| row.oldest_seconds >= OUTBOX_SECONDS) {
        calm = false;
        found.note(
            "outbox",
            format_args!(
                "{} envelope(s) wait for up to {}: {}",
                row.envelopes,
                duration(row.oldest_seconds),
                row.detail
            ),
            cure_of(&row.reason),
        );
    }
    let replication = &report.replication;
    if let Some(worst) = replication.worst.first() {
        calm = false;
        found.note(
            "outbox",
            format_args!(
                "mail of {} mailbox(es), of {} looked at, lies on fewer homes than are known; {} since {}",
                replication.under_replicated,
                replication.mailboxes,
                worst.address,
                duration(worst.oldest_seconds)
            ),
            "a home may be down or cut off; its owner sees which in `griot status`, and adds another with `griot home add`",
        );
    }
    if calm {
        found.good("outbox", format_args!("{} envelope(s) wait to be collected", report.outbox.envelopes));
    }
}

fn cure_of(reason: &str) -> &'static str {
    match reason {
        "alone" => "connect to other nodes (--peer)",
        "no-carrier" | "not-taken" => {
            "connect to more nodes, one that carries its shard among them; `griotd peers` says who is there"
        }
        "mailbox-full" => "ask its reader to collect their mail, or raise limits.member_bytes",
        "grant-over" => "ask its reader to run `griot status` once: it renews the grant",
        _ => "its homes may be down or cut off: nothing to do here, it is kept until it expires",
    }
}

fn other_records(found: &mut Findings, report: &NodeReport) {
    let is_other = |reason: &str| matches!(reason, "unknown-kind" | "unknown-version" | "unknown-request");
    let count: u64 = report.refused.iter().filter(|row| is_other(&row.reason)).map(|row| row.records).sum();
    if count > 0 {
        found.note(
            "version",
            format_args!("{count} record(s) or questions of another version were not understood"),
            "peers may be newer: upgrade this node",
        );
    }
}

fn connections(found: &mut Findings, peers: &[PeerInfo]) {
    match peers.iter().filter(|peer| peer.connected).count() {
        0 => found.note("peers", "connected to nobody", "start another node, or give this one a --peer"),
        connected => found.good("peers", format_args!("connected to {connected} peer(s)")),
    }
    for peer in peers.iter().filter(|peer| peer.configured && !peer.connected) {
        let error = peer.last_error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
        found.problem(
            "peers",
            format_args!("the configured peer {} is {}{error}", peer.addresses.join(" "), peer_state(peer)),
            "is it up, is its address right?",
        );
    }
}

fn syncs(found: &mut Findings, peers: &[PeerInfo], uptime_seconds: u64) {
    let syncs = Syncs::of(peers);
    if syncs.peers == 0 {
        return;
    }
    let cure = "see its log for why syncs fail, and try a restart of both nodes";
    match syncs.newest_seconds {
        Some(seconds) if seconds <= SYNC_SECONDS_MAX => {
            found.good("peers", format_args!("compared with a peer {} ago", duration(seconds)));
        }
        Some(seconds) => found.problem("peers", format_args!("no sync has ended well for {}", duration(seconds)), cure),
        None if uptime_seconds > SYNC_SECONDS_MAX => {
            found.problem("peers", "no sync has ended well since the start", cure);
        }
        None => found.note("peers", "not compared with any peer yet", "ask again in a minute"),
    }
    for peer in peers.iter().filter(|peer| peer.connected && peer.sync_failures >= SYNC_FAILURES) {
        let why = peer.sync_error.as_deref().unwrap_or("why is not known");
        found.note(
            "peers",
            format_args!("{} syncs with {} failed in a row ({why})", peer.sync_failures, peer.peer_id),
            cure,
        );
    }
}

/// How others reach it. Not to be reached is no fault: most machines at home are not.
fn reachability(found: &mut Findings, info: &NodeInfo, peers: &[PeerInfo]) {
    let connected: Vec<&PeerInfo> = peers.iter().filter(|peer| peer.connected).collect();
    if connected.is_empty() {
        return;
    }
    let how = format!("it is reached {}", reached(info));
    match info.reachability {
        Reachability::Public | Reachability::Relayed | Reachability::Local => found.good("reachability", how),
        Reachability::Unknown => found.note("reachability", how, "peers test that: ask again in a minute"),
        Reachability::Unreachable => found.note(
            "reachability",
            how,
            "where others should reach it, connect it to a node that relays, or open and forward its --listen ports (TCP and \
             UDP) in firewall and router",
        ),
    }
    for circuit in &info.circuits {
        found.good("reachability", format_args!("others reach it at {circuit}"));
    }
    let dialled = connected.iter().filter(|peer| peer.dialled_us).count();
    if dialled > 0 {
        let of = connected.len();
        found.good("reachability", format_args!("{dialled} of {of} connected peers dialled this node directly"));
    }
    let seen: BTreeSet<&str> = connected.iter().filter_map(|peer| peer.sees_us_at.as_deref()).collect();
    if !seen.is_empty() {
        let named: Vec<&str> = seen.iter().copied().take(NAMED_MAX).collect();
        found.good("reachability", format_args!("peers see it at {}{}", named.join(", "), and_more(seen.len())));
    }
}

fn versions(found: &mut Findings, peers: &[PeerInfo]) {
    let mine = concat!("griotd/", env!("CARGO_PKG_VERSION"));
    let is_other = |peer: &&PeerInfo| {
        let program = peer.agent.as_deref().and_then(|agent| agent.split(' ').next());
        peer.connected && program.is_some_and(|program| program != mine)
    };
    let others: Vec<String> = peers.iter().filter(is_other).map(named).collect();
    if !others.is_empty() {
        let shown: Vec<&str> = others.iter().map(String::as_str).take(NAMED_MAX).collect();
        found.note(
            "version",
            format_args!("peers run another version: {}{}", shown.join(", "), and_more(others.len())),
            "they live together; upgrade whoever is older",
        );
    }
    for peer in peers.iter().filter(|peer| peer.state == PeerState::Avoided && !peer.configured) {
        let why = peer.last_error.as_deref().unwrap_or("why is not known");
        found.note(
            "version",
            format_args!("{} is left alone: {why}", peer.peer_id),
            "nothing, unless it should be of this network",
        );
    }
}

fn named(peer: &PeerInfo) -> String {
    format!("{} ({})", peer.peer_id, peer.agent.as_deref().unwrap_or_default())
}

fn and_more(count: usize) -> String {
    let more = count.saturating_sub(NAMED_MAX);
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

#[cfg(test)]
mod tests {
    use griot_protocol::{
        Address,
        api::{MailboxReport, OutboxReport, RefusedReport, ReplicationReport, WaitingReport},
    };

    use super::{super::Level, *};

    fn levels(examine: impl FnOnce(&mut Findings)) -> Vec<Level> {
        let mut found = Findings::default();
        examine(&mut found);
        found.0.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_clock_is_wrong_only_where_enough_neighbours_say_so() {
        let at = |behind_seconds, peers| {
            let report = ClockReport { peers, behind_seconds: Some(behind_seconds), overruled: false, settled: true };
            levels(|found| clock(found, &report))
        };
        assert_eq!(at(3, 1), [Level::Ok]);
        assert_eq!(at(-90, 5), [Level::Note]);
        assert_eq!(at(3600, 2), [Level::Note]);
        assert_eq!(at(-3600, 3), [Level::Problem]);
        let unsettled = ClockReport { settled: false, ..ClockReport::default() };
        assert_eq!(levels(|found| clock(found, &unsettled)), [Level::Problem, Level::Note]);
    }

    #[test]
    fn a_disk_is_judged_by_its_days_only_where_they_are_known() {
        let with = |trend, days_left| {
            let report = DiskReport { trend, days_left, growth_bytes_per_day: Some(1 << 30), ..DiskReport::default() };
            levels(|found| disk(found, &report))
        };
        assert_eq!(with(DiskTrend::Unknown, None), [Level::Ok]);
        assert_eq!(with(DiskTrend::Steady, None), [Level::Ok]);
        assert_eq!(with(DiskTrend::Growing, Some(100)), [Level::Ok]);
        assert_eq!(with(DiskTrend::Growing, Some(30)), [Level::Note]);
        assert_eq!(with(DiskTrend::Growing, Some(3)), [Level::Problem]);
    }

    #[test]
    fn mail_that_waits_for_its_reader_alone_is_no_finding() {
        let row = |reason: &str, oldest_seconds| WaitingReport {
            reason: reason.to_owned(),
            envelopes: 1,
            oldest_seconds,
            ..WaitingReport::default()
        };
        let with = |waiting, worst: Vec<MailboxReport>| {
            let report = NodeReport {
                outbox: OutboxReport { waiting, ..OutboxReport::default() },
                replication: ReplicationReport { under_replicated: worst.len() as u64, worst, ..Default::default() },
                ..NodeReport::default()
            };
            levels(|found| mail(found, &report))
        };
        assert_eq!(with(vec![row("collecting", 900_000), row("no-receipt", 50)], Vec::new()), [Level::Ok]);
        assert_eq!(with(vec![row("mailbox-full", 4000), row("alone", 9000)], Vec::new()), [Level::Note, Level::Note]);
        let mailbox = MailboxReport {
            address: Address([1; 32]),
            registered: false,
            envelopes: 1,
            stored_on: 1,
            homes_known: 2,
            oldest_seconds: 700,
        };
        assert_eq!(with(Vec::new(), vec![mailbox]), [Level::Note]);
    }

    #[test]
    fn what_is_not_understood_is_of_another_version() {
        let report = |reason: &str| {
            let row = RefusedReport { reason: reason.to_owned(), way: "gossip".to_owned(), records: 2 };
            NodeReport { refused: vec![row], ..NodeReport::default() }
        };
        assert_eq!(levels(|found| other_records(found, &report("unknown-version"))), [Level::Note]);
        assert!(levels(|found| other_records(found, &report("postage"))).is_empty());
    }

    fn peer(agent: &str) -> PeerInfo {
        PeerInfo { connected: true, agent: Some(agent.to_owned()), state: PeerState::Connected, ..PeerInfo::default() }
    }

    #[test]
    fn syncs_that_stopped_are_a_problem_and_new_ones_have_time() {
        let with = |last_sync_seconds, sync_failures, uptime| {
            let peers = [PeerInfo { last_sync_seconds, sync_failures, ..peer("") }];
            levels(|found| syncs(found, &peers, uptime))
        };
        assert_eq!(with(Some(20), 0, 9000), [Level::Ok]);
        assert_eq!(with(Some(20), SYNC_FAILURES, 9000), [Level::Ok, Level::Note]);
        assert_eq!(with(Some(700), 0, 9000), [Level::Problem]);
        assert_eq!(with(None, 0, 9000), [Level::Problem]);
        assert_eq!(with(None, 0, 20), [Level::Note]);
        assert!(levels(|found| syncs(found, &[], 9000)).is_empty(), "said already: connected to nobody");
    }

    fn info(reachability: Reachability) -> NodeInfo {
        NodeInfo {
            node_id: griot_protocol::NodeId([1; 32]),
            peer_id: String::new(),
            network: "griot".to_owned(),
            bits: 0,
            postage_bits: 8,
            postage_bits_now: 8,
            shards: vec![0],
            version: String::new(),
            time: griot_protocol::Timestamp(0),
            listen: Vec::new(),
            peers: 2,
            records: 0,
            bytes: 0,
            mailboxes: 0,
            outbox: 0,
            uptime_seconds: 0,
            warnings: Vec::new(),
            reachability,
            circuits: Vec::new(),
            relays: false,
        }
    }

    #[test]
    fn how_others_reach_it_is_said_and_only_what_may_be_wrong_is_noted() {
        let mut peers = vec![peer(""), peer("")];
        let mut info = info(Reachability::Unreachable);
        assert_eq!(levels(|found| reachability(found, &info, &peers)), [Level::Note]);
        info.reachability = Reachability::Relayed;
        info.circuits = vec!["/ip4/1.2.3.4/tcp/7701/p2p/R/p2p-circuit/p2p/N".to_owned()];
        assert_eq!(levels(|found| reachability(found, &info, &peers)), [Level::Ok, Level::Ok]);
        info.circuits.clear();
        peers[0].dialled_us = true;
        peers[1].sees_us_at = Some("/ip4/1.2.3.4/tcp/7701".to_owned());
        assert_eq!(levels(|found| reachability(found, &info, &peers)), [Level::Ok; 3]);
        assert!(levels(|found| reachability(found, &info, &[])).is_empty());
    }

    #[test]
    fn other_versions_are_named() {
        let mine = format!("griotd/{} bits=0 postage=8", env!("CARGO_PKG_VERSION"));
        assert!(levels(|found| versions(found, &[peer(&mine)])).is_empty());
        let mut found = Findings::default();
        let stranger = PeerInfo {
            state: PeerState::Avoided,
            connected: false,
            last_error: Some("it is of another network (/griot/2/griot)".to_owned()),
            ..PeerInfo::default()
        };
        versions(&mut found, &[peer(&mine), peer("griotd/9.0.0 bits=0"), stranger]);
        assert_eq!(found.0.len(), 2);
        assert!(found.0[0].text.contains("griotd/9.0.0"), "{found:?}");
        assert!(found.0[1].text.contains("/griot/2/griot"), "{found:?}");
    }
}
