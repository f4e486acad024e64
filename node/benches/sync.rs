//! What anti-entropy costs where nothing, or little, differs: one bucket of 100,000 ids.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::collections::BTreeSet;

use criterion::{Criterion, criterion_group, criterion_main};
use griot_node::{
    relay::{
        Now,
        sync::{Sync, SyncConfig},
    },
    store::{Entry, Local, MemoryStore, Store},
};
use griot_protocol::{
    Address, NetworkName, NetworkParams, NodeId, RecordId, RecordKind, Shard, ShardBits, Timestamp,
    sync::{BucketMessage, Open, Set, SyncRequest},
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

const IDS: u64 = 100_000;
const NOW: Now = Now { wall: Timestamp(1_800_000_000), mono_ms: 0 };
const EXPIRES_AT: Timestamp = Timestamp(1_800_000_000 + 7200);

fn id(number: u64) -> RecordId {
    RecordId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// Ids are all that matters here, so the store holds marks: no signatures need to be made.
fn store() -> MemoryStore {
    let store = MemoryStore::new(ShardBits::ZERO);
    let mark = |number| {
        Entry::Local(Local::Marked {
            id: id(number),
            kind: RecordKind::Envelope,
            address: Address([0; 32]),
            created_at: NOW.wall,
            expires_at: EXPIRES_AT,
        })
    };
    let marks: Vec<Entry> = (0..IDS).map(mark).collect();
    for batch in marks.chunks(1000) {
        store.commit(batch).expect("memory does not fail");
    }
    store
}

fn request_about_all_but(left_out: u64) -> SyncRequest {
    let mut storage = NegentropyStorageVector::new();
    for number in left_out..IDS {
        storage.insert(EXPIRES_AT.0, Id::from_byte_array(id(number).0)).expect("not sealed");
    }
    storage.seal().expect("sealed once");
    let message = Negentropy::owned(storage, 0).and_then(|mut all| all.initiate()).expect("initiates once");
    let buckets = vec![BucketMessage { hour: EXPIRES_AT.hour(), message }];
    SyncRequest::Reconcile { shard: Shard(0), set: Set::Rest, buckets }
}

fn bench(criterion: &mut Criterion) {
    let store = store();
    let params = NetworkParams::standard(NetworkName::standard());
    let bits = params.bits;
    let open = SyncRequest::Open(Open {
        bits,
        postage_bits: params.postage_bits,
        shard: Shard(0),
        set: Set::Rest,
        time: NOW.wall,
        first: NOW.wall.hour(),
        root: [0; 32],
    });
    let mut sync = Sync::new(SyncConfig { params, node: NodeId([1; 32]) }, 1);
    sync.set_carried(NOW, &BTreeSet::from([Shard(0)]));
    let mut mono_ms = 0;
    let requests = [
        ("open", open),
        ("reconcile, equal", request_about_all_but(0)),
        ("reconcile, ten differ", request_about_all_but(10)),
    ];
    for (name, request) in requests {
        let request = request.encode();
        criterion.bench_function(&format!("answer: {name}, {IDS} ids"), |bencher| {
            bencher.iter(|| {
                // Time passes, or the neighbour would be told that we are busy.
                mono_ms += 60_000;
                sync.asked(Now { mono_ms, ..NOW }, NodeId([2; 32]), &request, &store)
            });
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
