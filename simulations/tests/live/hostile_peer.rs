//! A peer that speaks the protocols and means harm: everything it sends is refused with a reason and counted, and the
//! node goes on serving people.

use std::time::Duration;

use bytes::Bytes;
use griot_node::{
    identity::Identity,
    network::{self, Command, Event, NetworkConfig},
    relay::ExchangeId,
};
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, RecordId, Shard,
    Timestamp, envelope,
};
use griot_simulations::live::{
    node::{self, NodeOptions, NodeProcess},
    person::Person,
    wait_for,
};
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc;

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_secs())
}

fn params(network: &str, postage_bits: u8) -> NetworkParams {
    let name: NetworkName = network.parse().unwrap();
    NetworkParams { postage_bits, ..NetworkParams::standard(name) }
}

fn envelope_for(params: &NetworkParams, created: Timestamp, seconds: u64) -> Record {
    let (deliver, collect) = (DeliverSecret::from_bytes(&[7; 32]), CollectSecret::from_bytes(&[8; 32]));
    let keys =
        MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
    envelope::seal(params, &deliver, keys, created, created.plus(seconds), vec![1; 257]).unwrap()
}

/// Frames that no node may take, with what each is refused for.
fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    let good = envelope_for(&params("griot", 8), now(), 3600).frame().to_vec();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut cut = good.clone();
    cut.truncate(100);
    let other_network = envelope_for(&params("elsewhere", 8), now(), 3600).frame().to_vec();
    let free = (0..).map(|n| envelope_for(&params("griot", 0), now(), 3600 + n));
    let unpaid = free.filter(|r| griot_protocol::postage::bits_of(&r.id()) < 8).map(|r| r.frame().to_vec()).next();
    let mut unknown = good.clone();
    unknown[0] = 99;
    vec![
        ("signature", flipped),
        ("truncated", cut),
        ("signature", other_network),
        ("postage", unpaid.unwrap()),
        ("unknown-kind", unknown),
        ("future", envelope_for(&params("griot", 8), now().plus(86_400), 3600).frame().to_vec()),
        ("expired", envelope_for(&params("griot", 8), now().minus(86_400), 3600).frame().to_vec()),
    ]
}

struct Hostile {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
}

impl Hostile {
    async fn connect(target: &NodeProcess, seed: u8) -> Self {
        Self::connect_as(target, seed, NetworkParams::standard("griot".parse().unwrap())).await
    }

    async fn connect_as(target: &NodeProcess, seed: u8, params: NetworkParams) -> Self {
        let identity = Identity::from_bytes(&[seed; 32]).unwrap();
        let mut config = NetworkConfig::new(params);
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.peers = target.addresses().unwrap().iter().map(|address| address.parse().unwrap()).collect();
        (config.discovery, config.mdns) = (false, false);
        let (sender, events) = mpsc::channel(1024);
        let mut registry = prometheus_client::registry::Registry::default();
        let (commands, _) = network::start(config, &identity, Vec::new(), sender, &mut registry).unwrap();
        let mut hostile = Self { commands, events };
        hostile.tell(Command::Carry { shards: vec![Shard(0)] }).await;
        hostile.until(|event| matches!(event, Event::PeerUp { .. })).await;
        hostile
    }

    async fn tell(&self, command: Command) {
        self.commands.send(command).await.unwrap();
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let wait = async {
            loop {
                let event = self.events.recv().await.unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the event did not come")
    }
}

fn refused(metrics: &str, reason: &str) -> bool {
    let named = format!("reason=\"{reason}\"");
    let counted = |line: &str| line.contains("refused") && line.contains(&named) && !line.ends_with(" 0");
    metrics.lines().any(counted)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_hostile_peer_is_refused_with_reasons_and_the_node_goes_on() {
    let port = free_port();
    let args = vec!["--metrics".to_owned(), format!("127.0.0.1:{port}")];
    let target = NodeProcess::start(NodeOptions { args, ..NodeOptions::default() }).unwrap();
    let peer: griot_protocol::NodeId = target.info().unwrap().node_id;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for (n, (reason, frame)) in bad_frames().into_iter().enumerate() {
            // A fresh face each time: what one did must not hide what the next does.
            let mut hostile = Hostile::connect(&target, 100 + n as u8).await;
            let begun = std::time::Instant::now();
            while !refused(&get(port, "/metrics"), reason) {
                assert!(begun.elapsed() < Duration::from_secs(60), "{reason} is never counted");
                let (id, frame) = (RecordId([n as u8; 32]), Bytes::from(frame.clone()));
                hostile.tell(Command::Publish { shard: Shard(0), id, frame }).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let mut rng = rand::rngs::StdRng::seed_from_u64(n as u64);
            for ask in 0..20u64 {
                let mut request = vec![0; rng.random_range(0..2000)];
                rng.fill(&mut request[..]);
                let (exchange, request) = (ExchangeId(ask), Bytes::from(request));
                hostile.tell(Command::Ask { peer, exchange, request }).await;
                hostile.until(|event| matches!(event, Event::Answered { .. } | Event::PeerDown { .. })).await;
            }
            hostile.tell(Command::Shutdown).await;
        }
    });
    assert_eq!(target.info().unwrap().records, 0, "nothing of it was kept");
    let awa = Person::init("Awa", &[target.url()]).unwrap();
    let kofi = Person::init("Kofi", &[target.url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "still here", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["still here"]);
}

#[test]
fn a_good_record_on_another_shards_topic_is_refused_and_its_own_topic_still_brings_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("griotd.toml");
    std::fs::write(&config, "bits = 1\ncarry = [0, 1]\n").unwrap();
    let args = ["--config", config.to_str().unwrap()].map(str::to_owned).to_vec();
    let target = NodeProcess::start(NodeOptions { args, ..NodeOptions::default() }).unwrap();
    let params = NetworkParams { bits: 1.try_into().unwrap(), ..params("griot", 8) };
    let record = envelope_for(&params, now(), 3600);
    let shard = record.address().shard(params.bits);
    let publish = |shard| Command::Publish { shard, id: record.id(), frame: record.frame().clone() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let hostile = Hostile::connect_as(&target, 60, params).await;
        wait_for("the refusal", || {
            // Until the target's subscriptions have arrived, nobody hears it.
            hostile.commands.try_send(publish(Shard(1 - shard.0))).unwrap();
            let refused = target.metrics().ok()?.labelled("griot_records_refused_total", "reason=\"topic\"");
            (refused > 0.0).then_some(())
        })
        .unwrap();
        assert_eq!(target.info().unwrap().records, 0);
        hostile.tell(publish(shard)).await;
        wait_for("the record", || (target.info().unwrap().records == 1).then_some(())).unwrap();
        hostile.tell(Command::Shutdown).await;
    });
}

#[test]
fn a_record_that_is_replayed_a_thousand_times_is_stored_once() {
    let nodes = node::row(1, &[]).unwrap();
    let record = envelope_for(&params("griot", 8), now(), 3600);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let hostile = Hostile::connect(&nodes[0], 50).await;
        for _ in 0..1000 {
            let (id, frame) = (record.id(), record.frame().clone());
            hostile.tell(Command::Publish { shard: Shard(0), id, frame }).await;
        }
        wait_for("the record", || (nodes[0].info().unwrap().records == 1).then_some(())).unwrap();
        hostile.tell(Command::Shutdown).await;
    });
    assert_eq!(nodes[0].info().unwrap().records, 1);
}
