//! The API answers what it should, refuses what it must with a stable reason, and goes on.

use super::daemon::{Answer, Daemon, Mailbox, exchange, now};
use axum::body::Body;
use griot_node::config::MembersPolicy;
use griot_protocol::{
    Cursor, Nonce, ProofMethod, Record,
    api::{
        Accepted, MemberToken, NodeInfo, PeerInfo, PeerState, RecordState, RecordStatus, Registered, Registration,
        Unregistration,
    },
    feed,
    limits::FRAME_BYTES_MAX,
};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

#[tokio::test]
async fn a_record_goes_in_and_comes_out_of_its_mailbox() {
    let daemon = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(1);
    let registered: Registered = daemon.register(&mailbox).await.json();
    assert_eq!(registered.address, mailbox.address());

    let mut sent = Vec::new();
    for n in 0..5 {
        let record = mailbox.envelope(n);
        let answer = daemon.submit(record.frame().clone()).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json::<Accepted>(), Accepted { id: record.id(), duplicate: false });
        sent.push(record);
    }
    let again: Accepted = daemon.submit(sent[0].frame().clone()).await.json();
    assert!(again.duplicate);

    let path = format!("/v1/mailboxes/{}/records", mailbox.address());
    let first = daemon.get(&format!("{path}?max=3&after={}", registered.cursor)).await;
    assert_eq!(first.headers["griot-more"], "true");
    let page = feed::read_page(&first.body).unwrap();
    let rest = daemon.get(&format!("{path}?after={}", page[2].0)).await;
    assert_eq!(rest.headers["griot-more"], "false");
    let frames: Vec<_> = page.into_iter().chain(feed::read_page(&rest.body).unwrap()).map(|(_, frame)| frame).collect();
    assert_eq!(frames, sent.iter().map(|record| &record.frame()[..]).collect::<Vec<_>>());
    let other_epoch = Cursor { epoch: registered.cursor.epoch ^ 1, position: u64::MAX };
    let from_start = daemon.get(&format!("{path}?after={other_epoch}")).await;
    assert_eq!(feed::read_page(&from_start.body).unwrap().len(), 5, "a cursor of another epoch reads from the start");

    let status: RecordStatus = daemon.get(&format!("/v1/records/{}", sent[0].id())).await.json();
    assert_eq!(status.state, RecordState::Held);
    let unnamed = status.receipts.is_empty();
    assert_eq!(status.waiting.is_some(), unnamed, "it waits until its first receipt: {status:?}");
    let info: NodeInfo = daemon.get("/v1/node").await.json();
    assert_eq!((info.network.as_str(), info.mailboxes), ("griot", 1));
    daemon.stop().await;
}

/// Asks until the record's status is as wanted.
async fn status_until(daemon: &Daemon, record: &Record, wanted: impl Fn(&RecordStatus) -> bool) -> RecordStatus {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let status: RecordStatus = daemon.get(&format!("/v1/records/{}", record.id())).await.json();
        if wanted(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "still {status:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_record_says_why_it_waits_and_that_its_time_ran_out() {
    let daemon = Daemon::start(|_| {}).await;
    let (here, elsewhere) = (Mailbox::new(20), Mailbox::new(21));
    daemon.register(&here).await;
    let [ours, theirs] = [&here, &elsewhere].map(|mailbox| mailbox.envelope(0));
    for record in [&ours, &theirs] {
        daemon.submit(record.frame().clone()).await;
    }
    let status = status_until(&daemon, &ours, |status| !status.receipts.is_empty()).await;
    assert_eq!((status.state, status.waiting), (RecordState::Held, None), "this node is its home: nothing is missing");
    let status = status_until(&daemon, &theirs, |_| true).await;
    assert_eq!(status.waiting.as_deref(), Some("this node is connected to no other node"));

    // With a neighbour that is no home of it either, that is not the reason any more.
    let address = daemon.listens_on().await.parse().unwrap();
    let other = Daemon::start(|config| config.peers = vec![address]).await;
    let waiting = Some("no home of its mailbox has signed a receipt that came back".to_owned());
    status_until(&daemon, &theirs, |status| status.waiting == waiting).await;
    other.register(&elsewhere).await;
    let status = status_until(&daemon, &theirs, |status| !status.receipts.is_empty()).await;
    assert_eq!((status.state, status.waiting), (RecordState::Held, None));
    other.stop().await;

    // A short life, and a mailbox that nobody reads.
    let mut tries = 0..20;
    let brief = loop {
        let brief = Mailbox::new(22).envelope_for(tries.next().expect("accepted within its two seconds"), 256, 2);
        if daemon.submit(brief.frame().clone()).await.status == 202 {
            break brief;
        }
    };
    let status = status_until(&daemon, &brief, |status| status.state != RecordState::Held).await;
    assert_eq!((status.state, status.waiting), (RecordState::Expired, None));
    daemon.stop().await;
}

#[tokio::test]
async fn peers_that_are_not_connected_are_listed_with_the_reason() {
    let blocked = griot_node::identity::Identity::from_bytes(&[9; 32]).unwrap().peer_id();
    let host = Daemon::start(|config| config.block_peers = vec![blocked]).await;
    let address = host.listens_on().await;
    // A node whose key is the blocked one, and another.
    let [nobody, other] = [Some([9; 32]), None].map(|key: Option<[u8; 32]>| {
        let peer = address.parse().unwrap();
        Daemon::start(move |config| {
            if let Some(key) = key {
                write_identity(&config.data_dir, &key);
            }
            config.peers = vec![peer];
        })
    });
    let (nobody, other) = (nobody.await, other.await);
    let peers = async |daemon: &Daemon| daemon.get("/v1/peers").await.json::<Vec<PeerInfo>>();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let refused = loop {
        let [refused] = <[PeerInfo; 1]>::try_from(peers(&nobody).await).unwrap();
        let connected = peers(&other).await.iter().any(|peer| peer.connected && peer.state == PeerState::Connected);
        if refused.failures > 0 && refused.last_error.is_some() && connected {
            break refused;
        }
        assert!(tokio::time::Instant::now() < deadline, "{refused:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(refused.configured && !refused.connected, "{refused:?}");
    assert!(refused.last_error.as_ref().unwrap().contains("may keep this node out"), "{refused:?}");
    assert!(matches!(refused.state, PeerState::Waiting | PeerState::Dialling), "{refused:?}");
    assert_eq!(refused.next_try_seconds.is_some(), refused.state == PeerState::Waiting);
    assert!(address.ends_with(&refused.peer_id) && address.starts_with(&refused.addresses[0]), "{refused:?}");
    // The one that was let in is the only one that the host counts.
    let [peer] = <[PeerInfo; 1]>::try_from(peers(&host).await).unwrap();
    assert_eq!(peer.peer_id, other.node.handle().info().await.unwrap().peer_id);
    // Gone, it is remembered, and not dialled, for discovery is off here.
    other.stop().await;
    let gone = loop {
        let [peer] = <[PeerInfo; 1]>::try_from(peers(&host).await).unwrap();
        if !peer.connected {
            break peer;
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!((gone.state, gone.configured, gone.next_try_seconds), (PeerState::Idle, false, None), "{gone:?}");
    assert!(gone.last_seen.is_some());
    nobody.stop().await;
    host.stop().await;
}

fn write_identity(dir: &std::path::Path, key: &[u8; 32]) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = dir.join(griot_node::identity::IDENTITY_FILE);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(key).unwrap();
}

#[tokio::test]
async fn hostile_records_are_refused_with_a_reason_and_the_node_goes_on() {
    let daemon = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(2);
    let good = mailbox.envelope(0);
    let frame = good.frame();

    assert_eq!(daemon.submit(vec![0; FRAME_BYTES_MAX + 1].into()).await.problem(413), "oversized");
    assert_eq!(daemon.submit(frame.slice(..frame.len() - 1)).await.problem(400), "truncated");
    assert_eq!(daemon.submit(Vec::new().into()).await.problem(400), "truncated");
    let mut flipped = frame.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    assert_eq!(daemon.submit(flipped.into()).await.problem(422), "signature");
    let mut unknown = frame.to_vec();
    unknown[0] = 0x7e;
    assert_eq!(daemon.submit(unknown.into()).await.problem(422), "unknown-kind");
    for seed in 0..64u8 {
        let random: Vec<u8> = (0..200u32).map(|n| blake3::hash(&[seed, n as u8]).as_bytes()[0]).collect();
        let answer = daemon.submit(random.into()).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        answer.problem(answer.status.as_u16());
    }
    let wrong_type = daemon.ask(Method::POST, "/v1/records", JSON, frame.clone()).await;
    assert_eq!(wrong_type.problem(415), "unsupported-media-type");
    // Announced too long: refused although little was sent.
    let mut raw = daemon.socket().await;
    let head = "POST /v1/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: 99999999\r\n\r\n";
    raw.write_all(head.as_bytes()).await.unwrap();
    raw.write_all(&vec![0; FRAME_BYTES_MAX + 1]).await.unwrap();
    let mut answer = [0; 12];
    raw.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    assert_eq!(daemon.submit(frame.clone()).await.status, 202);
    daemon.stop().await;
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let daemon = Daemon::start(|_| {}).await;
    assert_eq!(daemon.get("/v1/nothing").await.problem(404), "not-found");
    let wrong_method = daemon.ask(Method::DELETE, "/v1/records", JSON, "").await;
    assert_eq!(wrong_method.problem(405), "method-not-allowed");
    assert_eq!(wrong_method.headers["allow"], "POST");
    assert_eq!(daemon.get("/v1/records/zz").await.problem(400), "bad-request");
    assert_eq!(daemon.get(&format!("/v1/records/{}", "0".repeat(64))).await.problem(404), "not-found");
    assert_eq!(daemon.get("/v1/mailboxes/zz/records").await.problem(400), "bad-request");
    assert_eq!(daemon.get("/v1/records/%ff").await.problem(400), "bad-request");
    let address = Mailbox::new(3).address();
    assert_eq!(daemon.get(&format!("/v1/mailboxes/{address}/records")).await.problem(403), "not-registered");
    assert_eq!(daemon.get(&format!("/v1/mailboxes/{address}/records?after=x")).await.problem(400), "bad-request");
    let path = format!("/v1/mailboxes/{address}");
    assert_eq!(daemon.ask(Method::PUT, &path, JSON, "{").await.problem(400), "bad-request");
    assert_eq!(daemon.ask(Method::PUT, &path, JSON, vec![b' '; 20_000]).await.problem(413), "oversized");
    assert_eq!(daemon.get("/v1/stream").await.problem(400), "websocket");
    assert_eq!(daemon.ask(Method::POST, "/v1/bundle", OCTETS, "no bundle").await.problem(400), "bad-request");
    daemon.stop().await;
}

#[tokio::test]
async fn a_registration_needs_a_fresh_nonce_the_right_key_and_a_sound_grant() {
    let daemon = Daemon::start(|_| {}).await;
    let (mailbox, other) = (Mailbox::new(4), Mailbox::new(5));
    let node = daemon.node.handle().node_id();
    let path = format!("/v1/mailboxes/{}", mailbox.address());
    let put = async |registration: &Registration| -> Answer {
        daemon.ask(Method::PUT, &path, JSON, serde_json::to_vec(registration).unwrap()).await
    };
    let sound = mailbox.registration(node, daemon.nonce().await);

    let invented = mailbox.registration(node, Nonce([7; 32]));
    assert_eq!(put(&invented).await.problem(403), "nonce");
    let stolen = Registration { proof: other.proof(node, ProofMethod::Register, sound.proof.nonce), ..sound.clone() };
    assert_eq!(put(&stolen).await.problem(403), "proof");
    let wrong_call =
        Registration { proof: mailbox.proof(node, ProofMethod::Unregister, sound.proof.nonce), ..sound.clone() };
    assert_eq!(put(&wrong_call).await.problem(403), "proof");
    let wrong_node = griot_protocol::NodeId([9; 32]);
    let elsewhere =
        Registration { proof: mailbox.proof(wrong_node, ProofMethod::Register, sound.proof.nonce), ..sound.clone() };
    assert_eq!(put(&elsewhere).await.problem(403), "proof");
    let foreign_keys = Registration { keys: other.keys, ..sound.clone() };
    assert_eq!(put(&foreign_keys).await.problem(400), "bad-request");
    for until in [now().minus(1), now().plus(401 * 86_400)] {
        let grant = Registration { grant: mailbox.grant(node, until), ..sound.clone() };
        assert_eq!(put(&grant).await.problem(422), "grant");
    }
    let forged = Registration { grant: other.grant(node, now().plus(60)), ..sound.clone() };
    assert_eq!(put(&forged).await.problem(422), "grant");

    // None of that used the nonce up; success does.
    assert_eq!(put(&sound).await.status, 200);
    assert_eq!(put(&sound).await.problem(403), "nonce");

    let end = Unregistration {
        keys: mailbox.keys,
        proof: mailbox.proof(node, ProofMethod::Unregister, daemon.nonce().await),
    };
    let end = serde_json::to_vec(&end).unwrap();
    assert_eq!(daemon.ask(Method::DELETE, &path, JSON, end.clone()).await.status, 204);
    assert_eq!(daemon.ask(Method::DELETE, &path, JSON, end).await.problem(403), "nonce");
    daemon.stop().await;
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let daemon = Daemon::start(|_| {}).await;
    let mailbox = Mailbox::new(6);
    let registration = mailbox.registration(daemon.node.handle().node_id(), daemon.nonce().await);
    let mut value = serde_json::to_value(registration).unwrap();
    value["of_a_newer_version"] = serde_json::json!({"deep": [1, 2]});
    let path = format!("/v1/mailboxes/{}", mailbox.address());
    assert_eq!(daemon.ask(Method::PUT, &path, JSON, value.to_string()).await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn over_tcp_tokens_hosts_and_origins_decide() {
    let daemon = Daemon::start(|_| {}).await;
    let host = ("host", "127.0.0.1:7700");
    let get = async |headers: &[(&str, &str)]| daemon.ask_tcp(Method::GET, "/v1/node", headers, "").await;
    let anonymous = get(&[host]).await;
    assert_eq!(anonymous.problem(401), "unauthorized");
    assert!(anonymous.headers.contains_key("www-authenticate"));
    assert_eq!(get(&[host, ("authorization", "Bearer grt_wrong")]).await.problem(401), "unauthorized");
    assert_eq!(get(&[host, ("authorization", "Basic YTpi")]).await.problem(401), "unauthorized");
    assert_eq!(get(&[host, ("authorization", "B")]).await.problem(401), "unauthorized");
    assert_eq!(get(&[("host", "rebound.example")]).await.problem(421), "host");
    assert_eq!(get(&[]).await.problem(400), "bad-request");
    assert_eq!(get(&[host, ("origin", "https://evil.example")]).await.problem(403), "origin");
    assert_eq!(get(&[host, ("origin", "null")]).await.problem(403), "origin");
    assert_eq!(daemon.ask_tcp(Method::GET, "/health/ready", &[host], "").await.status, 200);
    assert_eq!(daemon.ask_tcp(Method::GET, "/metrics", &[host], "").await.problem(403), "operator-only");

    let member: MemberToken = daemon.ask(Method::POST, "/v1/members", JSON, r#"{"label":"Awa"}"#).await.json();
    let bearer = format!("Bearer {}", member.token);
    let token = ("authorization", bearer.as_str());
    assert_eq!(get(&[host, token]).await.status, 200);
    assert_eq!(get(&[host, token, ("origin", "http://localhost:3000")]).await.status, 200);
    for path in ["/v1/members", "/v1/peers", "/v1/report", "/v1/bundle", "/v1/backup"] {
        assert_eq!(daemon.ask_tcp(Method::GET, path, &[host, token], "").await.problem(403), "operator-only");
    }
    let headers = [host, ("content-type", JSON)];
    let joining = daemon.ask_tcp(Method::POST, "/v1/members/self", &headers, r#"{"label":""}"#);
    assert_eq!(joining.await.problem(403), "invite-only");

    let path = format!("/v1/members/{}", member.id);
    assert_eq!(daemon.ask(Method::DELETE, &path, JSON, "").await.status, 204);
    assert_eq!(get(&[host, token]).await.problem(401), "unauthorized");
    assert_eq!(daemon.ask(Method::DELETE, &path, JSON, "").await.problem(404), "not-found");
    daemon.stop().await;
}

#[tokio::test]
async fn a_members_mailbox_is_not_another_members_to_read() {
    let daemon = Daemon::start(|config| config.members = MembersPolicy::Open).await;
    let host = ("host", "localhost");
    let mut tokens = Vec::new();
    for label in ["Awa", "Ibou"] {
        let body = format!(r#"{{"label":"{label}"}}"#);
        let joined = daemon.ask_tcp(Method::POST, "/v1/members/self", &[host, ("content-type", JSON)], body).await;
        assert_eq!(joined.status, 201);
        tokens.push(format!("Bearer {}", joined.json::<MemberToken>().token));
    }
    let mailbox = Mailbox::new(7);
    let awa = [host, ("authorization", tokens[0].as_str()), ("content-type", JSON)];
    let nonces: griot_protocol::api::Nonces = daemon.ask_tcp(Method::POST, "/v1/nonces", &awa, "").await.json();
    let registration = serde_json::to_vec(&mailbox.registration(nonces.node_id, nonces.nonces[0])).unwrap();
    let path = format!("/v1/mailboxes/{}", mailbox.address());
    // A nonce is its member's: another cannot use it.
    let ibou = [host, ("authorization", tokens[1].as_str()), ("content-type", JSON)];
    assert_eq!(daemon.ask_tcp(Method::PUT, &path, &ibou, registration.clone()).await.problem(403), "nonce");
    assert_eq!(daemon.ask_tcp(Method::PUT, &path, &awa, registration).await.status, 200);
    let page = format!("{path}/records");
    assert_eq!(daemon.ask_tcp(Method::GET, &page, &awa, "").await.status, 200);
    assert_eq!(daemon.ask_tcp(Method::GET, &page, &ibou, "").await.problem(403), "not-registered");
    daemon.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let daemon = Daemon::start(|_| {}).await;
    let mut raw = daemon.socket().await;
    let head = "POST /v1/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: 500\r\n\r\nabc";
    raw.write_all(head.as_bytes()).await.unwrap();
    // Half a minute of real time: the API's own limit is what is tested.
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("urn:griot:problem:timeout"), "{answer}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let daemon = Daemon::start(|_| {}).await;
    let mut raw = daemon.tcp().await;
    raw.write_all(b"GET /health/live HTTP/1.1\r\nhost: loc").await.unwrap();
    let mut answer = Vec::new();
    let _ = raw.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_bundle_carries_everything_to_another_node() {
    let (here, there) = (Daemon::start(|_| {}).await, Daemon::start(|_| {}).await);
    let mailbox = Mailbox::new(8);
    for n in 0..10 {
        assert_eq!(here.submit(mailbox.envelope(n).frame().clone()).await.status, 202);
    }
    let bundle = here.get("/v1/bundle").await.body;
    let import =
        async || there.ask(Method::POST, "/v1/bundle", OCTETS, bundle.clone()).await.json::<serde_json::Value>();
    let first = import().await;
    assert_eq!((first["new"].as_u64(), first["complete"].as_bool()), (Some(10), Some(true)), "{first}");
    let second = import().await;
    assert_eq!((second["new"].as_u64(), second["known"].as_u64()), (Some(0), Some(10)), "{second}");
    let cut = bundle.slice(..bundle.len() - 1);
    assert_eq!(there.ask(Method::POST, "/v1/bundle", OCTETS, cut).await.problem(400), "bad-request");
    let checked: serde_json::Value = there.ask(Method::POST, "/v1/verify", JSON, "").await.json();
    assert_eq!((checked["records"].as_u64(), checked["damaged"].as_u64()), (Some(10), Some(0)), "{checked}");
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let daemon = Daemon::start(|config| config.metrics = Some("127.0.0.1:0".parse().unwrap())).await;
    daemon.submit(Mailbox::new(9).envelope(0).frame().clone()).await;
    daemon.submit(Vec::new().into()).await.problem(400);
    let stream = tokio::net::TcpStream::connect(daemon.server.metrics().unwrap()).await.unwrap();
    let request = hyper::Request::get("/metrics").header("host", "x").body(Body::empty()).unwrap();
    let text = String::from_utf8(exchange(stream, request).await.body.to_vec()).unwrap();
    assert!(text.contains("griot_records_accepted_total{kind=\"envelope\",way=\"api\"} 1"), "{text}");
    assert!(text.contains("griot_records_refused_total{reason=\"truncated\",way=\"api\"} 1"), "{text}");
    // All that an alert may rely on is there from the start, also what has not happened yet.
    for name in [
        "record_bytes",
        "mailboxes",
        "oldest_uncollected_seconds",
        "fdatasync_seconds",
        "batch_entries",
        "gossip_duplicates",
        "syncs_done",
        "syncs_failed",
        "sync_repaired_records",
        "peers",
        "disk_free_bytes",
    ] {
        assert!(text.contains(&format!("# TYPE griot_{name} ")), "no griot_{name} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let stream = tokio::net::TcpStream::connect(daemon.server.metrics().unwrap()).await.unwrap();
    let request = hyper::Request::get("/v1/node").header("host", "x").body(Body::empty()).unwrap();
    assert_eq!(exchange(stream, request).await.problem(404), "not-found");
    assert_eq!(daemon.get("/metrics").await.status, 200);
    daemon.stop().await;
}
