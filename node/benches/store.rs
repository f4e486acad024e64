//! How many entries a second become durable, by how many batches share a sync; and what reading costs.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench that fails may panic")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use griot_node::store::{DiskStore, Entry, Options, Position, Store};
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, ShardBits, Timestamp,
    envelope,
};

/// Mailboxes that the records go to in turn.
const MAILBOXES: u8 = 50;

/// Makes distinct envelopes of 1 KiB.
struct Maker {
    params: NetworkParams,
    mailboxes: Vec<(DeliverSecret, MailboxKeys)>,
    made: u64,
}

impl Maker {
    fn new() -> Self {
        let mailboxes = (1..=MAILBOXES).map(|number| {
            let deliver = DeliverSecret::from_bytes(&[number; 32]);
            let collect = CollectSecret::from_bytes(&[number + 100; 32]).public();
            let keys = MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect, nonce: 0 };
            (deliver, keys)
        });
        let params = NetworkParams { name: NetworkName::standard(), bits: ShardBits::ZERO, postage_bits: 0 };
        Self { params, mailboxes: mailboxes.collect(), made: 0 }
    }

    fn make(&mut self) -> Record {
        self.made += 1;
        let mut payload = vec![0; 1025];
        payload[1..9].copy_from_slice(&self.made.to_le_bytes());
        let (deliver, keys) = &self.mailboxes[self.made as usize % self.mailboxes.len()];
        let now = Timestamp(1_800_000_000);
        envelope::seal(&self.params, deliver, *keys, now, now.plus(86_400 * 7), payload).unwrap()
    }

    fn groups(&mut self, count: usize) -> Vec<Vec<Entry>> {
        (0..count).map(|_| vec![Entry::Record(self.make())]).collect()
    }
}

fn store() -> (tempfile::TempDir, DiskStore) {
    // Beside the sources and not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (store, _) = DiskStore::open(dir.path(), &Options::new(ShardBits::ZERO)).unwrap();
    (dir, store)
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit_group");
    for size in [1, 8, 64, 256] {
        let (_dir, store) = store();
        let mut maker = Maker::new();
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("{size} batches of one 1 KiB envelope"), |bencher| {
            bencher.iter_batched(
                || maker.groups(size),
                |groups| store.commit_group(&groups).unwrap(),
                BatchSize::NumIterations(16),
            );
        });
        while store.maintain(Timestamp(0)).unwrap().more {}
    }
}

fn read(criterion: &mut Criterion) {
    let (_dir, store) = store();
    let mut maker = Maker::new();
    for _ in 0..64 {
        store.commit_group(&maker.groups(64)).unwrap();
    }
    let ids = store.held(None, 4096).unwrap();
    let mut at = 0;
    criterion.bench_function("frame", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % ids.len();
            store.frame(&ids[at]).unwrap()
        });
    });
    let address = maker.mailboxes[0].1.address();
    criterion.bench_function("a page of 50", |bencher| {
        bencher.iter(|| store.mailbox(&address, Position(0), 50).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = commit, read
}
criterion_main!(benches);
