//! Values that every implementation must accept, with their exact bytes.

use griot_protocol::{
    Address, BundleHeader, BundleWriter, Cursor, InviteLink, MailboxKeys, MailboxKind, Nonce, Proof, ProofMethod,
    Record, RecordId, Shard, ShardBits, Timestamp, ack, codec, custody, envelope, feed, padding::BUCKETS, postage,
};
use serde_json::{Value, json};

use crate::craft::*;

/// Frames longer than this are given as their BLAKE3 hash: they are made again from the inputs.
const FRAME_BYTES_SHOWN_MAX: usize = 20_000;

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(bytes.as_ref())
}

/// The keys that all vectors use.
pub fn keys() -> Value {
    json!({
        "about": "Ed25519 seeds (RFC 8032 private keys) and public keys used by all vectors; none is secret.",
        "network": NETWORK, "postage_bits": POSTAGE_BITS, "now": NOW,
        "deliver": { "seed": hex(DELIVER_SEED), "public": deliver().public() },
        "collect": { "seed": hex(COLLECT_SEED), "public": collect().public() },
        "node": { "seed": hex(NODE_SEED), "public": node().public() },
        "other": { "seed": hex(OTHER_SEED), "public": other_collect() },
        "mailbox": mailbox_json(&mailbox()),
    })
}

fn mailbox_json(keys: &MailboxKeys) -> Value {
    json!({ "keys": keys, "encoded": hex(codec::encode(keys)), "address": keys.address() })
}

/// Addresses, shards, and the first nonce that reaches a shard.
pub fn mailboxes() -> Value {
    let variants = [
        mailbox(),
        MailboxKeys { kind: MailboxKind::Shared, ..mailbox() },
        MailboxKeys { nonce: 0, ..mailbox() },
        MailboxKeys { nonce: 250, ..mailbox() },
        MailboxKeys { nonce: 251, ..mailbox() },
        MailboxKeys { nonce: 65_536, ..mailbox() },
        MailboxKeys { nonce: u32::MAX, ..mailbox() },
    ];
    let bits = |n: u8| ShardBits::try_from(n).unwrap();
    let shards = |keys: &MailboxKeys| -> Value {
        [0, 1, 4, 8, 16].map(|n| json!({ "bits": n, "shard": keys.address().shard(bits(n)) })).to_vec().into()
    };
    let addresses: Vec<_> = variants
        .iter()
        .map(|keys| {
            let mut value = mailbox_json(keys);
            value["shards"] = shards(keys);
            value
        })
        .collect();
    let start = MailboxKeys { nonce: 0, ..mailbox() };
    let ground: Vec<_> = [(1, 0), (1, 1), (4, 9), (8, 0xfe), (12, 0xabc)]
        .map(|(n, shard)| {
            let ground = start.grind_into(Shard(shard), bits(n)).unwrap();
            json!({ "bits": n, "shard": shard, "start_nonce": 0, "nonce": ground.nonce, "address": ground.address() })
        })
        .to_vec();
    json!({ "about": "Addresses, the shards they fall into, and nonces ground upwards from start_nonce.",
            "addresses": addresses, "ground": ground })
}

/// Ids and their leading zero bits.
pub fn postages() -> Value {
    let id = |lead: &[u8]| {
        let mut id = [0xff; 32];
        id[..lead.len()].copy_from_slice(lead);
        RecordId(id)
    };
    let ids = [id(&[]), id(&[0x7f]), id(&[1]), id(&[0]), id(&[0, 0x80]), id(&[0, 1]), id(&[0, 0, 0, 0x10])];
    let list: Vec<_> = ids.map(|id| json!({ "id": id, "bits": postage::bits_of(&id) })).to_vec();
    json!({ "about": "How many leading zero bits an id has.", "postage": list })
}

fn record(name: &str, why: &str, record: &Record, craft: &Craft, inputs: Value) -> Value {
    let frame = record.frame();
    let stamp = craft.stamp(|bits| bits >= u32::from(POSTAGE_BITS));
    assert_eq!(craft.id(stamp), record.id().0, "{name}: two ways to the same id");
    assert_eq!(craft.frame_with_stamp(stamp), frame[..], "{name}: two ways to the same frame");
    let mut value = json!({
        "name": name, "why": why, "kind": record.kind().name(), "network": NETWORK, "now": NOW,
        "postage_bits": POSTAGE_BITS, "inputs": inputs, "stamp": hex(stamp.to_le_bytes()),
        "id": record.id(), "address": record.address(), "frame_bytes": frame.len(),
        "frame_blake3": hex(blake3::hash(frame).as_bytes()),
    });
    if frame.len() <= FRAME_BYTES_SHOWN_MAX {
        value["frame"] = hex(frame).into();
        let signed = to_sign(craft.domain, NETWORK, &frame[..frame.len() - 64]);
        value["signed_message_blake3"] = hex(blake3::hash(&signed).as_bytes()).into();
    }
    value
}

fn envelope_vector(name: &str, why: &str, kind: MailboxKind, bucket: usize, created: u64, expires: u64) -> Value {
    let keys = MailboxKeys { kind, ..mailbox() };
    let made =
        envelope::seal(&params(), &deliver(), keys, Timestamp(created), Timestamp(expires), payload(bucket)).unwrap();
    let craft = Craft::envelope(envelope_header(&keys_bytes(&keys), created, expires), payload(bucket));
    let inputs = json!({ "keys": keys, "created_at": created, "expires_at": expires, "payload_suite": 1,
        "payload_ciphertext": format!("first {bucket} bytes of the BLAKE3 XOF of \"griot test payload\""),
        "payload_bucket": bucket });
    record(name, why, &made, &craft, inputs)
}

pub fn envelopes() -> Value {
    let n = NOW.0;
    let direct = MailboxKind::Direct;
    let mut list: Vec<_> = BUCKETS
        .map(|bucket| {
            let name = format!("envelope-{bucket}");
            envelope_vector(&name, "one of each bucket", direct, bucket, n - 60, n + DAY)
        })
        .to_vec();
    list.push(envelope_vector("envelope-shared", "groups and channels", MailboxKind::Shared, 256, n - 60, n + DAY));
    let edge = |name: &str, why: &str, from, to| envelope_vector(name, why, direct, 256, from, to);
    list.push(edge("envelope-full-life", "exactly 30 days", n - 60, n - 60 + 30 * DAY));
    list.push(edge("envelope-just-ahead", "created exactly 10 minutes ahead", n + 600, n + DAY));
    list.push(edge("envelope-last-second", "expires in the next second", n - DAY, n + 1));
    json!({ "about": "Envelopes. The payload is the suite byte and the ciphertext.", "records": list })
}

pub fn acks() -> Value {
    let make = |name: &str, why: &str, release: bool, count: u32| {
        let items = sorted_items(count);
        let made = ack::make(&params(), &collect(), mailbox(), release, items.clone()).unwrap();
        let expires_at = NOW.0 - 600 + 30 * DAY;
        let craft = Craft::ack(&mailbox(), &items, expires_at).with(|c| c.before_stamp[66] = u8::from(release));
        let listed: Vec<_> = items.iter().map(|i| json!({ "created_at": i.created_at, "id": i.id })).collect();
        let inputs = json!({ "keys": mailbox(), "release": release, "items": listed, "expires_at": expires_at });
        record(name, why, &made, &craft, inputs)
    };
    let list = [
        make("ack-release", "collected, drop the bodies", true, 2),
        make("ack-keep", "collected by one device of several", false, 1),
        make("ack-256", "as many items as fit", true, 256),
    ];
    json!({ "about": "Acks, signed by the collect key.", "records": list })
}

pub fn custodies() -> Value {
    let make = |name: &str, why: &str, count: u32, stored_at: u64| {
        let items = sorted_ids(count);
        let expires_at = NOW.0 + DAY;
        let (stored, expires) = (Timestamp(stored_at), Timestamp(expires_at));
        let made = custody::make(&params(), &node(), mailbox(), grant(), items.clone(), stored, expires).unwrap();
        let craft = Craft::custody(&grant(), &items, stored_at, expires_at);
        let inputs = json!({ "keys": mailbox(), "node": node().public(), "grant": grant(), "items": items,
            "stored_at": stored_at, "expires_at": expires_at });
        record(name, why, &made, &craft, inputs)
    };
    let list = [
        make("custody", "two envelopes on a home's disk", 2, NOW.0 - 5),
        make("custody-256", "as many items as fit", 256, NOW.0 - 5),
    ];
    let grant =
        json!({ "network": NETWORK, "address": mailbox().address(), "node": node().public(), "grant": grant() });
    json!({ "about": "Custody receipts, signed by the node; the grant in them is signed by the collect key.",
            "grant": grant, "records": list })
}

pub fn proofs() -> Value {
    let nonce = Nonce([0x55; 32]);
    let address = mailbox().address();
    let methods = [
        ("register", ProofMethod::Register),
        ("unregister", ProofMethod::Unregister),
        ("subscribe", ProofMethod::Subscribe),
    ];
    let list: Vec<_> = methods
        .map(|(name, method)| {
            let proof = Proof::make(&network(), &collect(), &node().public(), method, &address, nonce);
            json!({ "method": name, "network": NETWORK, "node": node().public(), "address": address, "nonce": nonce,
                    "signature": proof.signature })
        })
        .to_vec();
    json!({ "about": "Proofs that a client holds a mailbox's collect secret.", "proofs": list })
}

pub fn invite(once: bool, name: &str) -> InviteLink {
    InviteLink {
        network: NETWORK.to_owned(),
        bits: 0,
        postage_bits: 12,
        mailbox: mailbox(),
        deliver_secret: DELIVER_SEED,
        hpke_public: [0x61; 32],
        identity_ed25519: [0x62; 32],
        identity_curve25519: [0x63; 32],
        prekey: [0x64; 32],
        once,
        expires_at: NOW.plus(14 * DAY),
        name: name.to_owned(),
    }
}

pub fn invites() -> Value {
    let accept: Vec<_> = [(false, "Ama"), (true, "Kofi Ağa 🥁"), (false, "")]
        .map(|(once, name)| {
            let link = invite(once, name);
            json!({ "link": link.to_text(), "once": once, "name": name, "network": NETWORK, "bits": 0,
                "postage_bits": 12, "mailbox": link.mailbox, "deliver_secret": hex(link.deliver_secret),
                "hpke_public": hex(link.hpke_public), "identity_ed25519": hex(link.identity_ed25519),
                "identity_curve25519": hex(link.identity_curve25519), "prekey": hex(link.prekey),
                "expires_at": link.expires_at })
        })
        .to_vec();
    let good = invite(false, "Ama").to_text();
    let damaged = good.replacen('a', "b", 1);
    let changed = |change: fn(&mut InviteLink)| {
        let mut link = invite(false, "Ama");
        change(&mut link);
        link.to_text()
    };
    let version = {
        let upper = good["griot:".len()..].to_ascii_uppercase();
        let mut bytes = data_encoding::BASE32_NOPAD.decode(upper.as_bytes()).unwrap();
        bytes[0] = 2;
        let content = bytes.len() - 4;
        let sum = blake3::hash(&bytes[..content]);
        bytes[content..].copy_from_slice(&sum.as_bytes()[..4]);
        format!("griot:{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    };
    let reject = json!([
        { "link": "https://example.org/", "reason": "scheme", "why": "another scheme" },
        { "link": "griot:", "reason": "damaged", "why": "nothing after the scheme" },
        { "link": good[..good.len() - 3], "reason": "damaged", "why": "the end is missing" },
        { "link": damaged, "reason": "damaged", "why": "one letter mistyped" },
        { "link": format!("griot:{}", "a".repeat(2100)), "reason": "too-long", "why": "longer than any link" },
        { "link": version, "reason": "version", "why": "made by a newer program" },
        { "link": changed(|l| l.deliver_secret = OTHER_SEED), "reason": "invalid", "why": "the secret is not the mailbox's" },
        { "link": changed(|l| l.mailbox.kind = MailboxKind::Shared), "reason": "invalid", "why": "a shared mailbox" },
        { "link": changed(|l| l.network = "No Such".into()), "reason": "invalid", "why": "no network has this name" },
        { "link": changed(|l| l.bits = 17), "reason": "invalid", "why": "more shard bits than there are" },
        { "link": changed(|l| l.postage_bits = 33), "reason": "invalid", "why": "nobody could pay this postage" },
        { "link": changed(|l| l.name = "x".repeat(65)), "reason": "invalid", "why": "a name of 65 bytes" },
        { "link": changed(|l| l.name = "\u{1b}[2J".into()), "reason": "invalid", "why": "a name that clears the screen" },
    ]);
    json!({ "about": "Invite links.", "accept": accept, "reject": reject })
}

/// Two small real frames for pages and bundles.
pub fn two_frames() -> [Vec<u8>; 2] {
    [Craft::good_envelope().frame(), Craft::good_ack().frame()]
}

pub fn feeds() -> Value {
    let cursors = [Cursor { epoch: 0x0102_0304_0506_0708, position: 1 }, Cursor { epoch: u64::MAX, position: 0 }];
    let frames = two_frames();
    let mut page = Vec::new();
    for (cursor, frame) in cursors.into_iter().zip(&frames) {
        feed::push_to_page(&mut page, cursor, frame);
    }
    let address: Address = mailbox().address();
    let message = feed::stream_message(&address, cursors[0], &frames[0]);
    let cut = |end: usize| hex(&page[..end]);
    let mut huge = page.clone();
    huge[16..20].fill(0xff);
    json!({ "about": "A page of GET /v1/mailboxes/{address}/records and a binary message of GET /v1/stream.",
        "frames": frames.map(hex), "cursors": cursors, "page": hex(&page), "address": address,
        "stream_message": hex(message),
        "reject_pages": [
            { "page": cut(10), "why": "ends inside a cursor" }, { "page": cut(18), "why": "ends inside a length" },
            { "page": cut(page.len() - 1), "why": "ends inside a frame" },
            { "page": hex(huge), "why": "announces 4 GiB" } ],
        "reject_stream_messages": [ { "message": hex([7; 47]), "why": "one byte short of an address and a cursor" } ] })
}

pub fn bundles() -> Value {
    let header = BundleHeader { network: network(), created_at: NOW };
    let frames = two_frames();
    let (mut writer, mut file) = BundleWriter::begin(&header);
    for frame in &frames {
        file.extend(writer.entry(frame).unwrap());
    }
    file.extend(writer.finish());
    let (empty, mut nothing) = BundleWriter::begin(&header);
    nothing.extend(empty.finish());
    let changed = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        hex(file)
    };
    let first_entry = nothing.len() - 16;
    let mut local = nothing[..first_entry].to_vec();
    local.extend([1, 0, 0, 0]);
    local.extend(crc32c::crc32c(&[1, 0, 0, 0, 0x80]).to_le_bytes());
    local.push(0x80);
    json!({ "about": "Courier files.", "network": NETWORK, "created_at": NOW, "frames": frames.map(hex),
        "bundle": hex(&file), "empty_bundle": hex(&nothing),
        "damaged_entry": { "bundle": changed(first_entry + 100, 0), "why": "read on: one entry is skipped", "damaged": 1 },
        "reject": [
            { "bundle": changed(0, b'g'), "reason": "magic", "why": "another file" },
            { "bundle": changed(8, 2), "reason": "version", "why": "a newer version" },
            { "bundle": changed(12, 0), "reason": "header", "why": "the time in the header was damaged" },
            { "bundle": changed(first_entry + 3, 0xff), "reason": "length", "why": "an entry of 4 GiB" },
            { "bundle": changed(file.len() - 8, 9), "reason": "count", "why": "the end counts other entries" },
            { "bundle": hex(&file[..file.len() - 16]), "reason": "truncated", "why": "the end marker is missing" },
            { "bundle": hex([&file[..], &[0]].concat()), "reason": "trailing", "why": "a byte follows the end" },
            { "bundle": hex(local), "reason": "local-kind", "why": "a node's own note" } ] })
}
