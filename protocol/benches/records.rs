//! What one record costs: making it, reading it, checking it.
//!
//! `cargo bench -p griot-protocol --bench records`

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench is not a library")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use griot_protocol::{
    AckItem, CollectSecret, DeliverSecret, Grant, MailboxKeys, MailboxKind, NetworkName, NetworkParams, NodeSecret,
    Record, Shard, ShardBits, Timestamp, Unverified, ack, codec, custody, envelope,
};

const NOW: Timestamp = Timestamp(1_800_000_000);
const DAY: u64 = 86_400;

struct Fixture {
    network: NetworkName,
    deliver: DeliverSecret,
    collect: CollectSecret,
    node: NodeSecret,
    keys: MailboxKeys,
}

impl Fixture {
    fn new() -> Self {
        let deliver = DeliverSecret::from_bytes(&[1; 32]);
        let collect = CollectSecret::from_bytes(&[2; 32]);
        let keys =
            MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
        Self { network: NetworkName::standard(), deliver, collect, node: NodeSecret::from_bytes(&[3; 32]), keys }
    }

    fn params(&self, postage_bits: u8) -> NetworkParams {
        NetworkParams { postage_bits, ..NetworkParams::standard(self.network.clone()) }
    }

    fn envelope(&self, postage_bits: u8, created_at: Timestamp) -> Record {
        let payload = vec![7; 1 + 1024];
        let expires_at = created_at.plus(DAY);
        envelope::seal(&self.params(postage_bits), &self.deliver, self.keys, created_at, expires_at, payload).unwrap()
    }

    fn items(&self, count: u64) -> Vec<AckItem> {
        (0..count).map(|n| AckItem { created_at: NOW.plus(n), id: self.envelope(0, NOW.plus(n)).id() }).collect()
    }

    fn ack(&self, count: u64) -> Record {
        ack::make(&self.params(0), &self.collect, self.keys, true, self.items(count)).unwrap()
    }

    fn custody(&self, count: u64) -> Record {
        let (node, address) = (self.node.public(), self.keys.address());
        let grant = Grant::issue(&self.network, &self.collect, &address, &node, NOW.plus(DAY));
        let ids = self.items(count).into_iter().map(|item| item.id).collect();
        custody::make(&self.params(0), &self.node, self.keys, grant, ids, NOW, NOW.plus(DAY)).unwrap()
    }
}

fn reading(c: &mut Criterion) {
    let fixture = Fixture::new();
    let records = [
        ("envelope 1 KiB", fixture.envelope(0, NOW)),
        ("ack of 256", fixture.ack(256)),
        ("custody of 256", fixture.custody(256)),
    ];
    let mut group = c.benchmark_group("parse and id");
    for (name, record) in &records {
        group.throughput(Throughput::Bytes(record.frame().len() as u64));
        group.bench_function(*name, |b| b.iter(|| Unverified::parse(black_box(record.frame().clone())).unwrap()));
    }
    group.finish();
    let mut group = c.benchmark_group("verify");
    for (name, record) in &records {
        let parsed = Unverified::parse(record.frame().clone()).unwrap();
        group.bench_function(*name, |b| {
            b.iter_batched(|| parsed.clone(), |p| p.verify(&fixture.network).unwrap(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn making(c: &mut Criterion) {
    let fixture = Fixture::new();
    let mut group = c.benchmark_group("make");
    // Without postage: encode, hash, sign.
    group.bench_function("sign, envelope 1 KiB", |b| b.iter(|| fixture.envelope(0, black_box(NOW))));
    let items = fixture.items(256);
    let params = fixture.params(0);
    group.bench_function("sign, ack of 256", |b| {
        b.iter_batched(
            || items.clone(),
            |items| ack::make(&params, &fixture.collect, fixture.keys, true, items).unwrap(),
            BatchSize::SmallInput,
        );
    });
    // Every round has another time, so that the mean is over many grinds, not one grind many times.
    let mut at = NOW;
    group.bench_function("grind 8 bits and sign", |b| {
        b.iter(|| {
            at = at.plus(60);
            fixture.envelope(8, at)
        });
    });
    group.bench_function("grind 12 bits and sign", |b| {
        b.iter(|| {
            at = at.plus(60);
            fixture.envelope(12, at)
        });
    });
    group.finish();
}

fn parts(c: &mut Criterion) {
    let fixture = Fixture::new();
    c.bench_function("encode mailbox keys", |b| b.iter(|| codec::encode(black_box(&fixture.keys))));
    let encoded = codec::encode(&fixture.keys);
    c.bench_function("decode mailbox keys", |b| b.iter(|| codec::decode::<MailboxKeys>(black_box(&encoded)).unwrap()));
    c.bench_function("address", |b| b.iter(|| black_box(&fixture.keys).address()));
    let bits = ShardBits::try_from(8).unwrap();
    let mut keys = fixture.keys;
    c.bench_function("grind into one of 256 shards", |b| {
        b.iter(|| {
            keys.nonce = keys.nonce.wrapping_add(1);
            keys = keys.grind_into(Shard(0x5a), bits).unwrap();
        });
    });
}

criterion_group!(benches, reading, making, parts);
criterion_main!(benches);
