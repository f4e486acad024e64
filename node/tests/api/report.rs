//! What a real node tells its operator of itself: what waits and why, when it last synced with whom, what it refused.

use std::time::Duration;

use super::daemon::{Daemon, Mailbox, now};
use griot_protocol::api::{DiskTrend, NodeReport, PeerInfo};
use tokio::time::Instant;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn report(daemon: &Daemon) -> NodeReport {
    daemon.get("/v1/report").await.json()
}

/// Asks until the answer is as wanted.
async fn until<T: std::fmt::Debug>(ask: impl AsyncFn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn metrics(daemon: &Daemon) -> String {
    String::from_utf8(daemon.get("/metrics").await.body.to_vec()).unwrap()
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "no {line} in {text}");
}

#[tokio::test]
async fn the_outbox_says_for_how_long_and_why_until_a_home_has_vouched() {
    let sender = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(30);
    let letter = mailbox.envelope(0);
    sender.submit(letter.frame().clone()).await;
    let waits = report(&sender).await.outbox;
    assert_eq!((waits.envelopes, waits.bytes, waits.examined), (1, letter.frame().len() as u64, 1));
    let made = letter.body().created_at();
    assert!(waits.oldest_seconds.unwrap() <= now().since(made), "{waits:?}");
    assert_eq!((waits.waiting[0].reason.as_str(), waits.waiting[0].envelopes), ("alone", 1));
    let text = metrics(&sender).await;
    assert_line(&text, "griot_outbox_waiting_records{reason=\"alone\"} 1");
    assert_line(&text, &format!("griot_outbox_bytes {}", letter.frame().len()));

    let address = sender.listens_on().await.parse().unwrap();
    let home = Daemon::start(|config| config.peers = vec![address]).await;
    assert_eq!(home.register(&mailbox).await.status, 200);
    let stored = until(async || report(&sender).await, |report| report.outbox.waiting[0].reason == "collecting").await;
    assert_eq!(stored.outbox.waiting.len(), 1);
    let text = metrics(&sender).await;
    assert_line(&text, "griot_outbox_waiting_records{reason=\"alone\"} 0");
    assert_line(&text, "griot_outbox_waiting_records{reason=\"collecting\"} 1");
    home.stop().await;
    sender.stop().await;
}

#[tokio::test]
async fn peers_say_when_they_were_last_synced_and_how_much_moved() {
    let begun = now();
    let first = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(31);
    for n in 0..3 {
        first.submit(mailbox.envelope(n).frame().clone()).await;
    }
    let address = first.listens_on().await.parse().unwrap();
    let second = Daemon::start(|config| config.peers = vec![address]).await;
    let peer = async |daemon: &Daemon| daemon.get("/v1/peers").await.json::<Vec<PeerInfo>>().pop();
    // The one with the smaller id begins at once; the other learns of it when they next compare.
    let ask = async || (peer(&first).await, peer(&second).await);
    let synced = |peer: &Option<PeerInfo>| peer.as_ref().is_some_and(|peer| peer.last_sync.is_some());
    let (at_first, at_second) = until(ask, |(one, other)| synced(one) || synced(other)).await;
    for peer in [&at_first, &at_second].into_iter().flatten().filter(|peer| peer.last_sync.is_some()) {
        let last_sync = peer.last_sync.unwrap();
        assert!(last_sync >= begun && last_sync <= now(), "{peer:?}");
        assert!(peer.last_sync_seconds.unwrap() <= now().since(begun), "{peer:?}");
        assert_eq!((peer.sync_failures, &peer.sync_error), (0, &None), "{peer:?}");
    }
    // Three letters went from the first to the second, by whatever side is asked.
    if let Some(peer) = at_first.filter(|peer| peer.last_sync.is_some()) {
        assert_eq!((peer.sync_received, peer.sync_sent), (Some(0), Some(3)), "{peer:?}");
        assert!(peer.dialled_us && peer.sees_us_at.is_some(), "{peer:?}");
    }
    if let Some(peer) = at_second.filter(|peer| peer.last_sync.is_some()) {
        assert_eq!((peer.sync_received, peer.sync_sent), (Some(3), Some(0)), "{peer:?}");
        assert!(!peer.dialled_us && peer.sees_us_at.is_some(), "{peer:?}");
    }
    let arrivals = report(&second).await.arrivals;
    assert_eq!((arrivals.by_sync, arrivals.by_gossip), (3, 0));
    let text = metrics(&second).await;
    assert_line(&text, "griot_sync_repaired_records_total 3");
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn refusals_the_disk_the_clock_and_the_listeners_are_told() {
    let daemon = Daemon::start(|config| config.metrics = Some("127.0.0.1:0".parse().unwrap())).await;
    for _ in 0..2 {
        daemon.submit(Vec::new().into()).await.problem(400);
    }
    let report = report(&daemon).await;
    let refused = &report.refused[0];
    assert_eq!((refused.reason.as_str(), refused.way.as_str(), refused.records), ("truncated", "api", 2));
    assert!(report.disk.free_bytes.unwrap() > 0);
    assert_eq!((report.disk.trend, report.disk.days_left), (DiskTrend::Unknown, None), "it has just started");
    assert_eq!((report.clock.peers, report.clock.behind_seconds, report.clock.settled), (0, None, true));
    assert_eq!(report.listening.peers, ["/ip4/127.0.0.1/tcp/0"]);
    assert_eq!(report.listening.api, daemon.server.tcp().to_string());
    assert_eq!(report.listening.metrics, daemon.server.metrics().map(|address| address.to_string()));
    let text = metrics(&daemon).await;
    assert_line(&text, "griot_disk_days_left NaN");
    assert_line(&text, "griot_clock_behind_seconds NaN");
    assert_line(&text, "griot_mailboxes_under_replicated 0");
    assert_line(&text, "griot_gossip_missed_records_total 0");
    daemon.stop().await;
}
