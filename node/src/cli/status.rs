//! `griotd status`: how is it?

use griot_protocol::api::{DiskReport, DiskTrend, NodeInfo, NodeReport, OutboxReport, PeerInfo, ReplicationReport};
use serde::Serialize;

use super::{
    CliError,
    client::Daemon,
    inspect::{duration, line, object, printable, reached},
};
use crate::config::Config;

/// Reasons of refusal that are shown; all are in `--json`.
const REFUSALS_SHOWN: usize = 5;

/// Under-replicated mailboxes that are shown; twenty are in `--json`.
const MAILBOXES_SHOWN: usize = 5;

/// What `--json` shows: everything that `/v1/node` says, and what the operator alone may know.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    info: &'a NodeInfo,
    /// Nothing where the running node is older than this command.
    report: Option<&'a NodeReport>,
    syncs: &'a Syncs,
}

/// When connected peers were last found to have the same.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Syncs {
    /// Connected peers.
    pub peers: u64,
    /// Of these, ones with which no sync has ended well since the start.
    pub never: u64,
    /// Seconds since the last good sync with anyone.
    pub newest_seconds: Option<u64>,
    /// Seconds since the last good one with the peer where it is longest ago.
    pub oldest_seconds: Option<u64>,
}

impl Syncs {
    pub(super) fn of(peers: &[PeerInfo]) -> Self {
        let connected = || peers.iter().filter(|peer| peer.connected);
        let ages = || connected().filter_map(|peer| peer.last_sync_seconds);
        Self {
            peers: connected().count() as u64,
            never: connected().filter(|peer| peer.last_sync_seconds.is_none()).count() as u64,
            newest_seconds: ages().min(),
            oldest_seconds: ages().max(),
        }
    }
}

pub(super) async fn status(config: &Config, json: bool) -> Result<(), CliError> {
    let mut daemon = Daemon::need(&config.data_dir).await?;
    let info: NodeInfo = daemon.get("/v1/node").await?;
    let peers: Vec<PeerInfo> = daemon.get("/v1/peers").await?;
    let report: Option<NodeReport> = daemon.find_at("/v1/report").await?;
    let syncs = Syncs::of(&peers);
    if json {
        return object(&Status { info: &info, report: report.as_ref(), syncs: &syncs });
    }
    for text in head(&info, &syncs).into_iter().chain(report.iter().flat_map(body)) {
        line(&text)?;
    }
    for warning in &info.warnings {
        line(&format_args!("warning   {}", printable(warning)))?;
    }
    Ok(())
}

fn head(info: &NodeInfo, syncs: &Syncs) -> Vec<String> {
    let mut lines = vec![
        format!("peer id   {}", info.peer_id),
        format!("node id   {}", info.node_id),
        format!("network   {} (bits {}, postage {})", info.network, info.bits, info.postage_bits),
        format!("running   {} for {} s", info.version, info.uptime_seconds),
    ];
    lines.extend(info.listen.iter().map(|address| format!("listens   {address}")));
    lines.extend(info.circuits.iter().map(|address| format!("relayed   {address}")));
    lines.push(format!("reached   {}", reached(info)));
    lines.push(format!("peers     {}", info.peers));
    lines.extend(synced(syncs));
    lines.push(format!("records   {} ({} bytes)", info.records, info.bytes));
    lines.push(format!("mailboxes {}", info.mailboxes));
    lines.push(format!("outbox    {}", info.outbox));
    if info.postage_bits_now > info.postage_bits {
        lines.push(format!("congested: postage for other communities' mailboxes is {} now", info.postage_bits_now));
    }
    lines
}

fn synced(syncs: &Syncs) -> Option<String> {
    let never = match syncs.never {
        0 => String::new(),
        count => format!("; not yet with {count} of {}", syncs.peers),
    };
    match (syncs.newest_seconds, syncs.oldest_seconds) {
        _ if syncs.peers == 0 => None,
        (Some(newest), Some(oldest)) if newest < oldest => {
            Some(format!("synced    {} ago; longest ago {}{never}", duration(newest), duration(oldest)))
        }
        (Some(newest), _) => Some(format!("synced    {} ago{never}", duration(newest))),
        (None, _) => Some("synced    with nobody yet".to_owned()),
    }
}

fn body(report: &NodeReport) -> Vec<String> {
    let mut lines = outbox(&report.outbox);
    lines.extend(replication(&report.replication));
    let arrivals = &report.arrivals;
    lines.push(format!(
        "arrived   {} by gossip, {} large ones by offer, {} by sync ({} that gossip should have brought)",
        arrivals.by_gossip, arrivals.by_offer, arrivals.by_sync, arrivals.missed_by_gossip
    ));
    let shown = report.refused.iter().take(REFUSALS_SHOWN);
    lines.extend(shown.map(|row| format!("refused   {} by {}: {}", row.records, row.way, row.reason)));
    lines.push(format!("disk      {}", disk(&report.disk)));
    if let Some(share) = report.line_share_bytes {
        lines.push(format!(
            "lines     FULL: each neighbour may bring {share} bytes of strangers' mail a second by gossip, the rest comes by sync"
        ));
    }
    if let Some(seconds) = report.clock.behind_seconds {
        lines.push(format!("clock     {}", clock(seconds, report.clock.peers)));
    }
    lines
}

fn outbox(outbox: &OutboxReport) -> Vec<String> {
    let Some(oldest) = outbox.oldest_seconds else { return Vec::new() };
    let mut lines = vec![format!("          {} bytes, the oldest of {} ago", outbox.bytes, duration(oldest))];
    if outbox.examined < outbox.envelopes {
        lines.push(format!("          of the {} oldest:", outbox.examined));
    }
    lines.extend(outbox.waiting.iter().map(|row| {
        format!("          {} for up to {}: {}", row.envelopes, duration(row.oldest_seconds), printable(&row.detail))
    }));
    lines
}

fn replication(replication: &ReplicationReport) -> Vec<String> {
    if replication.under_replicated == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "on fewer homes than known: mail of {} mailboxes, of {} looked at",
        replication.under_replicated, replication.mailboxes
    )];
    lines.extend(replication.worst.iter().take(MAILBOXES_SHOWN).map(|mailbox| {
        format!(
            "          {}: {} of {} homes known have it, {} waiting, the oldest of {} ago",
            mailbox.address,
            mailbox.stored_on,
            mailbox.homes_known,
            mailbox.envelopes,
            duration(mailbox.oldest_seconds)
        )
    }));
    lines
}

/// The disk in words.
pub(super) fn disk(disk: &DiskReport) -> String {
    let free =
        disk.free_bytes.map_or_else(|| "free space unknown".to_owned(), |free| format!("{} MiB free", free >> 20));
    let heading = match (disk.trend, disk.growth_bytes_per_day, disk.days_left) {
        (DiskTrend::Growing, Some(growth), Some(days)) => {
            format!("it lasts about {days} days at {} MiB a day", growth >> 20)
        }
        (DiskTrend::Growing, Some(growth), None) => format!("the log grows by {} MiB a day", growth >> 20),
        (DiskTrend::Steady, _, _) => "the log does not grow".to_owned(),
        _ => format!("how long it lasts is not known yet, after {}", duration(disk.watched_seconds)),
    };
    let full = if disk.full { "; FULL: no new records are taken" } else { "" };
    format!("{free}{full}; the log has {} MiB; {heading}", disk.log_bytes >> 20)
}

/// A clock in words.
pub(super) fn clock(behind_seconds: i64, peers: u64) -> String {
    let neighbours = if peers == 1 { "one neighbour".to_owned() } else { format!("the median of {peers} neighbours") };
    match behind_seconds {
        -1..=1 => format!("as {neighbours}"),
        2.. => format!("{} behind {neighbours}", duration(behind_seconds.unsigned_abs())),
        _ => format!("{} ahead of {neighbours}", duration(behind_seconds.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use griot_protocol::api::WaitingReport;

    use super::*;

    #[test]
    fn the_disk_promises_nothing_that_is_not_known() {
        let free = DiskReport { free_bytes: Some(5 << 30), log_bytes: 64 << 20, ..DiskReport::default() };
        assert_eq!(
            disk(&DiskReport { watched_seconds: 7200, ..free.clone() }),
            "5120 MiB free; the log has 64 MiB; how long it lasts is not known yet, after 2 h"
        );
        let growing = DiskReport {
            trend: DiskTrend::Growing,
            growth_bytes_per_day: Some(100 << 20),
            days_left: Some(48),
            ..free
        };
        assert!(disk(&growing).ends_with("it lasts about 48 days at 100 MiB a day"), "{}", disk(&growing));
        let full = DiskReport { full: true, ..free };
        assert!(disk(&full).starts_with("5120 MiB free; FULL: no new records are taken; the log has 64 MiB; "));
        let steady = DiskReport { trend: DiskTrend::Steady, ..DiskReport::default() };
        assert_eq!(disk(&steady), "free space unknown; the log has 0 MiB; the log does not grow");
    }

    #[test]
    fn clocks_and_syncs_are_said_in_words() {
        assert_eq!(clock(0, 4), "as the median of 4 neighbours");
        assert_eq!(clock(90, 1), "90 s behind one neighbour");
        assert_eq!(clock(-7200, 3), "2 h ahead of the median of 3 neighbours");
        let peer = |connected, last_sync_seconds| PeerInfo { connected, last_sync_seconds, ..PeerInfo::default() };
        let syncs = Syncs::of(&[peer(true, Some(4)), peer(true, Some(90)), peer(true, None), peer(false, Some(1))]);
        assert_eq!(synced(&syncs).unwrap(), "synced    4 s ago; longest ago 90 s; not yet with 1 of 3");
        assert_eq!(synced(&Syncs::default()), None);
        assert_eq!(synced(&Syncs::of(&[peer(true, None)])).unwrap(), "synced    with nobody yet");
    }

    #[test]
    fn the_outbox_says_how_many_wait_for_what_and_of_how_many() {
        let row = WaitingReport {
            detail: "no home \u{1b}".to_owned(),
            envelopes: 3,
            oldest_seconds: 60,
            ..WaitingReport::default()
        };
        let report =
            OutboxReport { envelopes: 9, bytes: 70, oldest_seconds: Some(60), examined: 3, waiting: vec![row] };
        let lines = outbox(&report);
        assert_eq!(lines[0].trim(), "70 bytes, the oldest of 60 s ago");
        assert_eq!(lines[1].trim(), "of the 3 oldest:");
        assert_eq!(lines[2].trim(), "3 for up to 60 s: no home \u{fffd}");
        assert!(outbox(&OutboxReport::default()).is_empty());
    }
}
