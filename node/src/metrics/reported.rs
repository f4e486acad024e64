//! Gauges that take asking the relay: what waits in the outbox, how far peers are behind, how long the disk will last. They are set
//! from a node's own report just before they are shown.

use std::sync::atomic::AtomicU64;

use griot_protocol::api::{DiskTrend, NodeReport, PeerInfo};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, gauge::Gauge},
    registry::Registry,
};

use super::Count;
use crate::runtime::reasons;

/// A figure that may be unknown (NaN) or endless (+Inf): neither sets off an alarm that compares with "less than".
#[derive(Clone, Debug)]
struct Figure(Gauge<f64, AtomicU64>);

impl Default for Figure {
    fn default() -> Self {
        let gauge = Gauge::default();
        gauge.set(f64::NAN);
        Self(gauge)
    }
}

/// Envelopes of the outbox by what they wait for: one gauge for each reason. A `Family` would do as well, but for the hash
/// map in it: making one more changes the order of all others in a run in virtual time.
#[derive(Clone, Debug)]
struct ByReason(Vec<(&'static str, Count)>);

impl Default for ByReason {
    fn default() -> Self {
        Self(reasons().map(|reason| (reason, Count::default())).collect())
    }
}

impl EncodeMetric for ByReason {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (reason, gauge) in &self.0 {
            gauge.encode(encoder.encode_family(&[("reason", *reason)])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// The gauges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported {
    outbox_bytes: Count,
    outbox_oldest: Count,
    outbox_waiting: ByReason,
    under_replicated: Count,
    never_synced: Count,
    oldest_sync: Count,
    log_bytes: Count,
    disk_growth: Figure,
    disk_days: Figure,
    clock_behind: Figure,
    line_share: Figure,
}

impl Reported {
    pub(super) fn register(&self, registry: &mut Registry) {
        let gauges: [(&str, &str, &Count); 6] = [
            ("outbox_bytes", "Bytes of the envelopes in griot_outbox_records", &self.outbox_bytes),
            (
                "outbox_oldest_seconds",
                "Age of the oldest envelope in the outbox, by its author's clock; 0 where none waits",
                &self.outbox_oldest,
            ),
            (
                "mailboxes_under_replicated",
                "Mailboxes, of those looked at, with mail older than ten minutes for which no home vouches, or fewer than \
                 are known to vouch for other mail of the same mailbox",
                &self.under_replicated,
            ),
            (
                "peers_never_synced",
                "Connected peers with which no sync has ended well since the start",
                &self.never_synced,
            ),
            (
                "peers_oldest_sync_seconds",
                "Time since the last good sync with the connected peer where it is longest ago; 0 where there was none",
                &self.oldest_sync,
            ),
            ("log_bytes", "Bytes of the record log in use", &self.log_bytes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let figures: [(&str, &str, &Figure); 4] = [
            (
                "line_share_bytes",
                "Bytes a second of strangers' mail that each neighbour may bring by gossip; infinite while lines are not full",
                &self.line_share,
            ),
            (
                "disk_growth_bytes_per_day",
                "Median growth of the record log in a day; 0 where it does not grow, NaN before two days were seen",
                &self.disk_growth,
            ),
            (
                "disk_days_left",
                "Days until only the reserve of the disk is left, if the log grows on as it does; infinite where it does \
                 not grow, NaN before two days were seen",
                &self.disk_days,
            ),
            (
                "clock_behind_seconds",
                "Median of the neighbours' clocks minus this machine's; NaN where none is known",
                &self.clock_behind,
            ),
        ];
        for (name, help, figure) in figures {
            registry.register(name, help, figure.0.clone());
        }
        registry.register(
            "outbox_waiting_records",
            "Envelopes of the outbox, the thousand oldest at most, by what they wait for",
            self.outbox_waiting.clone(),
        );
    }

    /// Sets the gauges to what a report says.
    pub(crate) fn show(&self, report: &NodeReport) {
        self.outbox_bytes.set(report.outbox.bytes);
        self.outbox_oldest.set(report.outbox.oldest_seconds.unwrap_or(0));
        for (reason, gauge) in &self.outbox_waiting.0 {
            let row = report.outbox.waiting.iter().find(|row| row.reason == *reason);
            gauge.set(row.map_or(0, |row| row.envelopes));
        }
        self.under_replicated.set(report.replication.under_replicated);
        self.log_bytes.set(report.disk.log_bytes);
        let (growth, days) = match report.disk.trend {
            DiskTrend::Unknown => (f64::NAN, f64::NAN),
            DiskTrend::Steady => (0.0, f64::INFINITY),
            DiskTrend::Growing => (figure(report.disk.growth_bytes_per_day), figure(report.disk.days_left)),
        };
        self.disk_growth.0.set(growth);
        self.disk_days.0.set(days);
        self.line_share.0.set(report.line_share_bytes.map_or(f64::INFINITY, |share| share as f64));
        self.clock_behind.0.set(report.clock.behind_seconds.map_or(f64::NAN, |seconds| seconds as f64));
    }

    /// Sets the gauges to how it stands with the peers.
    pub(crate) fn show_peers(&self, peers: &[PeerInfo]) {
        let connected = || peers.iter().filter(|peer| peer.connected);
        self.never_synced.set(connected().filter(|peer| peer.last_sync_seconds.is_none()).count() as u64);
        self.oldest_sync.set(connected().filter_map(|peer| peer.last_sync_seconds).max().unwrap_or(0));
    }
}

fn figure(known: Option<u64>) -> f64 {
    known.map_or(f64::NAN, |known| known as f64)
}

#[cfg(test)]
mod tests {
    use griot_protocol::api::{ClockReport, DiskReport, OutboxReport, WaitingReport};

    use super::*;

    fn text(reported: &Reported) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        reported.register(registry.sub_registry_with_prefix("griot"));
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
    }

    #[test]
    fn a_report_is_shown_and_what_is_not_known_is_no_number() {
        let reported = Reported::default();
        has(&text(&reported), "griot_disk_days_left NaN");
        let waiting =
            WaitingReport { reason: "no-receipt".to_owned(), envelopes: 3, oldest_seconds: 70, ..Default::default() };
        let outbox = OutboxReport {
            envelopes: 5,
            bytes: 700,
            oldest_seconds: Some(90),
            waiting: vec![waiting],
            ..Default::default()
        };
        let clock = ClockReport { behind_seconds: Some(-7), ..ClockReport::default() };
        let mut report = NodeReport { outbox, clock, ..NodeReport::default() };
        reported.show(&report);
        let shown = text(&reported);
        for line in [
            "griot_outbox_bytes 700",
            "griot_outbox_oldest_seconds 90",
            "griot_outbox_waiting_records{reason=\"no-receipt\"} 3",
            "griot_outbox_waiting_records{reason=\"collecting\"} 0",
            "griot_clock_behind_seconds -7.0",
            "griot_line_share_bytes inf",
            "griot_disk_days_left NaN",
        ] {
            has(&shown, line);
        }
        report.disk = DiskReport {
            trend: DiskTrend::Growing,
            growth_bytes_per_day: Some(1000),
            days_left: Some(12),
            ..DiskReport::default()
        };
        report.outbox = OutboxReport::default();
        report.line_share_bytes = Some(2048);
        reported.show(&report);
        let shown = text(&reported);
        has(&shown, "griot_line_share_bytes 2048.0");
        has(&shown, "griot_disk_days_left 12.0");
        has(&shown, "griot_outbox_waiting_records{reason=\"no-receipt\"} 0");
        report.disk = DiskReport { trend: DiskTrend::Steady, ..DiskReport::default() };
        reported.show(&report);
        has(&text(&reported), "griot_disk_days_left inf");
    }

    #[test]
    fn only_connected_peers_can_be_behind() {
        let reported = Reported::default();
        let peer = |connected, last_sync_seconds| PeerInfo { connected, last_sync_seconds, ..PeerInfo::default() };
        reported.show_peers(&[peer(true, Some(4)), peer(true, Some(90)), peer(true, None), peer(false, Some(7000))]);
        let shown = text(&reported);
        has(&shown, "griot_peers_never_synced 1");
        has(&shown, "griot_peers_oldest_sync_seconds 90");
    }
}
