//! The test vectors in this directory, which other implementations are written against.
//!
//! Two things are tested: that the committed files are what this code makes (`GRIOT_REGENERATE_VECTORS=1` writes them
//! anew), and that every vector, read from its file, passes through the public API as on a node.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that finds what it does not expect should fail there"
)]

mod accept;
mod craft;
mod reject;
mod sync;

use std::{collections::BTreeSet, path::PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use griot_protocol::{
    Address, BundleError, BundleItem, BundleReader, BundleSummary, CollectKey, Cursor, Grant, InviteLink, MailboxKeys,
    NetworkName, NodeId, Proof, ProofMethod, Record, RecordId, Refusal, Shard, ShardBits, Timestamp, Unverified, feed,
    invite::InviteError, postage,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    let list = value[field].as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn get<T: DeserializeOwned>(value: &Value, field: &str) -> T {
    serde_json::from_value(value[field].clone()).unwrap_or_else(|error| panic!("{field}: {error}"))
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    HEXLOWER.decode(value[field].as_str().unwrap().as_bytes()).unwrap()
}

/// All that a node asks of a frame, in its order.
fn admit(frame: &[u8], network: &NetworkName, now: Timestamp, postage_bits: u8) -> Result<Record, Refusal> {
    let unverified = Unverified::parse(Bytes::copy_from_slice(frame))?;
    unverified.check_times(now)?;
    unverified.check_postage(postage_bits)?;
    unverified.verify(network)
}

fn rejects() -> Value {
    let frames: Vec<_> = reject::all()
        .into_iter()
        .map(|vector| {
            // Zeros at the end are counted, not written: an oversized frame is mostly zeros.
            let zeros = vector.frame.iter().rev().take_while(|byte| **byte == 0).count();
            let zeros = if zeros > 1024 { zeros } else { 0 };
            let shown = &vector.frame[..vector.frame.len() - zeros];
            let class = format!("{:?}", vector.refusal.class()).to_lowercase();
            let mut value = json!({ "name": vector.name, "reason": vector.refusal.reason(), "class": class,
                "why": vector.why, "network": craft::NETWORK, "now": craft::NOW, "postage_bits": craft::POSTAGE_BITS,
                "frame": HEXLOWER.encode(shown) });
            if zeros > 0 {
                value["then_zeros"] = zeros.into();
            }
            value
        })
        .collect();
    json!({ "about": "Frames that must be refused, each for the reason named, checked in the order of docs/protocol.md. \
        `then_zeros` zero bytes follow `frame` where it is given.", "reject": frames })
}

fn files() -> [(&'static str, Value); 12] {
    [
        ("keys.json", accept::keys()),
        ("mailbox.json", accept::mailboxes()),
        ("postage.json", accept::postages()),
        ("envelope.json", accept::envelopes()),
        ("ack.json", accept::acks()),
        ("custody.json", accept::custodies()),
        ("proof.json", accept::proofs()),
        ("invite.json", accept::invites()),
        ("feed.json", accept::feeds()),
        ("bundle.json", accept::bundles()),
        ("sync.json", sync::vectors()),
        ("reject.json", rejects()),
    ]
}

/// Writing and reading share one test, so that nothing reads a half-written file.
#[test]
fn the_committed_files_are_what_this_code_makes_and_every_vector_holds() {
    let regenerate = std::env::var_os("GRIOT_REGENERATE_VECTORS").is_some();
    for (name, made) in files() {
        if regenerate {
            std::fs::write(path(name), serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        }
        assert!(read(name) == made, "{name} differs: GRIOT_REGENERATE_VECTORS=1 writes it anew, if that is intended");
    }
    for file in ["envelope.json", "ack.json", "custody.json"] {
        accepted_records(&read(file));
    }
    mailboxes_and_postage();
    grant_and_proofs();
    invites();
    feeds();
    bundles();
    sync::check(&read("sync.json"));
    rejected_frames();
    worked_example();
}

fn accepted_records(file: &Value) {
    for vector in list(file, "records") {
        let name: String = get(vector, "name");
        // The largest frames are not in the file; craft.rs made them a second time and compared.
        if vector.get("frame").is_none() {
            assert!(get::<usize>(vector, "frame_bytes") > 16_384, "{name}");
            continue;
        }
        let frame = bytes(vector, "frame");
        assert_eq!(HEXLOWER.encode(blake3::hash(&frame).as_bytes()), vector["frame_blake3"], "{name}");
        let record = admit(&frame, &get(vector, "network"), get(vector, "now"), get(vector, "postage_bits"));
        let record = record.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(record.id(), get::<RecordId>(vector, "id"), "{name}");
        assert_eq!(record.address(), get::<Address>(vector, "address"), "{name}");
        assert_eq!(record.kind().name(), vector["kind"], "{name}");
        assert_eq!(record.frame()[..], frame[..], "{name}");
    }
}

/// The hex in docs/protocol.md is the hex in the vectors.
fn worked_example() {
    let page = std::fs::read_to_string(path("../../../docs/protocol.md")).unwrap();
    let packed: String = page.chars().filter(|c| !c.is_whitespace()).collect();
    let file = read("envelope.json");
    let vector = list(&file, "records").iter().find(|vector| vector["name"] == "envelope-256").unwrap();
    for field in ["id", "address", "frame_blake3", "stamp"] {
        let hex: String = get(vector, field);
        assert!(page.contains(&hex), "{field} {hex}");
    }
    let encoded: String = get(&read("keys.json")["mailbox"], "encoded");
    assert!(packed.contains(&encoded), "the mailbox keys");
    for field in ["created_at", "expires_at"] {
        let time = &vector["inputs"][field];
        assert!(page.contains(&format!("{field} {time}")), "{field} {time}");
    }
    let limit = griot_protocol::limits::FRAME_BYTES_MAX;
    assert!(packed.contains(&format!("|frame|{},{}bytes|", limit / 1000, limit % 1000)), "the largest frame");
}

fn rejected_frames() {
    let file = read("reject.json");
    let mut names = BTreeSet::new();
    let mut reasons = BTreeSet::new();
    for vector in list(&file, "reject") {
        let name: String = get(vector, "name");
        let mut frame = bytes(vector, "frame");
        frame.resize(frame.len() + vector["then_zeros"].as_u64().unwrap_or(0) as usize, 0);
        let answer = admit(&frame, &get(vector, "network"), get(vector, "now"), get(vector, "postage_bits"));
        let reason = answer.map(|record| record.id()).map_err(Refusal::reason);
        assert_eq!(reason.err().unwrap_or("accepted"), vector["reason"], "{name}");
        assert!(names.insert(name.clone()), "{name} is there twice");
        reasons.insert(get::<String>(vector, "reason"));
    }
    assert!(names.len() >= 100, "{}", names.len());
    assert_eq!(reasons.len(), 19, "every refusal has a vector: {reasons:?}");
}

fn mailboxes_and_postage() {
    let file = read("mailbox.json");
    for vector in list(&file, "addresses") {
        let keys: MailboxKeys = get(vector, "keys");
        assert_eq!(griot_protocol::codec::decode::<MailboxKeys>(&bytes(vector, "encoded")), Ok(keys));
        assert_eq!(keys.address(), get::<Address>(vector, "address"));
        for shard in list(vector, "shards") {
            assert_eq!(keys.address().shard(get::<ShardBits>(shard, "bits")), get::<Shard>(shard, "shard"));
        }
    }
    for vector in list(&file, "ground") {
        let (bits, shard): (ShardBits, Shard) = (get(vector, "bits"), get(vector, "shard"));
        let start = MailboxKeys { nonce: get(vector, "start_nonce"), ..craft::mailbox() };
        let ground = start.grind_into(shard, bits).unwrap();
        assert_eq!((ground.nonce, ground.address()), (get(vector, "nonce"), get(vector, "address")));
    }
    for vector in list(&read("postage.json"), "postage") {
        assert_eq!(postage::bits_of(&get(vector, "id")), get::<u8>(vector, "bits"));
    }
}

fn grant_and_proofs() {
    let collect: CollectKey = get(&read("keys.json")["collect"], "public");
    let vector = &read("custody.json")["grant"];
    let (network, node, address): (NetworkName, NodeId, Address) =
        (get(vector, "network"), get(vector, "node"), get(vector, "address"));
    let grant: Grant = get(vector, "grant");
    assert_eq!(grant.verify(&network, &collect, &address, &node), Ok(()));
    let methods = [
        ("register", ProofMethod::Register),
        ("unregister", ProofMethod::Unregister),
        ("subscribe", ProofMethod::Subscribe),
    ];
    for vector in list(&read("proof.json"), "proofs") {
        let proof: Proof = serde_json::from_value(vector.clone()).unwrap();
        for (name, method) in methods {
            let answer = proof.verify(&network, &collect, &node, method, &address);
            let expected = if vector["method"] == name { Ok(()) } else { Err(Refusal::Signature) };
            assert_eq!(answer, expected, "a proof to {} used to {name}", vector["method"]);
        }
        let elsewhere = proof.verify(&network, &collect, &craft::other_node(), ProofMethod::Register, &address);
        assert_eq!(elsewhere, Err(Refusal::Signature));
    }
}

fn invites() {
    let file = read("invite.json");
    for vector in list(&file, "accept") {
        let text: String = get(vector, "link");
        let link = InviteLink::parse(&text).unwrap();
        assert_eq!(link, accept::invite(get(vector, "once"), &get::<String>(vector, "name")));
        assert_eq!(link.to_text(), text);
        let pasted = format!("  {}\n", text.to_ascii_uppercase());
        assert_eq!(InviteLink::parse(&pasted), Ok(link));
    }
    for vector in list(&file, "reject") {
        let error = InviteLink::parse(vector["link"].as_str().unwrap()).unwrap_err();
        let reason = match error {
            InviteError::Scheme => "scheme",
            InviteError::TooLong => "too-long",
            InviteError::Damaged => "damaged",
            InviteError::Version => "version",
            InviteError::Invalid => "invalid",
        };
        assert_eq!(reason, vector["reason"], "{}", vector["why"]);
    }
}

fn feeds() {
    let file = read("feed.json");
    let frames = get::<Vec<String>>(&file, "frames").into_iter().map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap());
    let expected: Vec<_> = get::<Vec<Cursor>>(&file, "cursors").into_iter().zip(frames).collect();
    let page = bytes(&file, "page");
    let entries: Vec<_> = feed::read_page(&page).unwrap().into_iter().map(|(c, f)| (c, f.to_vec())).collect();
    assert_eq!(entries, expected);
    let message = bytes(&file, "stream_message");
    let (cursor, frame) = &expected[0];
    assert_eq!(feed::read_stream_message(&message), Ok((get(&file, "address"), *cursor, &frame[..])));
    for vector in list(&file, "reject_pages") {
        assert!(feed::read_page(&bytes(vector, "page")).is_err(), "{}", vector["why"]);
    }
    for vector in list(&file, "reject_stream_messages") {
        assert!(feed::read_stream_message(&bytes(vector, "message")).is_err(), "{}", vector["why"]);
    }
}

fn read_bundle(file: &[u8]) -> Result<(Vec<BundleItem>, BundleSummary), BundleError> {
    let mut reader = BundleReader::new();
    let mut items = Vec::new();
    assert_eq!(reader.push(file), file.len());
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    Ok((items, reader.finish()?))
}

fn bundles() {
    let file = read("bundle.json");
    let (items, summary) = read_bundle(&bytes(&file, "bundle")).unwrap();
    assert_eq!(summary, BundleSummary { entries: 2, damaged: 0 });
    let BundleItem::Header(header) = &items[0] else { panic!("the header comes first") };
    assert_eq!((header.network.clone(), header.created_at), (get(&file, "network"), get(&file, "created_at")));
    for (item, hex) in items[1..3].iter().zip(get::<Vec<String>>(&file, "frames")) {
        let BundleItem::Frame(frame) = item else { panic!("a frame") };
        assert_eq!(HEXLOWER.encode(frame), hex);
        admit(frame, &header.network, craft::NOW, craft::POSTAGE_BITS).unwrap();
    }
    assert_eq!(read_bundle(&bytes(&file, "empty_bundle")).unwrap().1, BundleSummary::default());
    let (_, summary) = read_bundle(&bytes(&file["damaged_entry"], "bundle")).unwrap();
    assert_eq!(summary.damaged, get::<u64>(&file["damaged_entry"], "damaged"));
    for vector in list(&file, "reject") {
        let reason = match read_bundle(&bytes(vector, "bundle")).unwrap_err() {
            BundleError::Magic => "magic",
            BundleError::Version => "version",
            BundleError::Header => "header",
            BundleError::Length => "length",
            BundleError::LocalKind => "local-kind",
            BundleError::Count => "count",
            BundleError::Trailing => "trailing",
            BundleError::Truncated => "truncated",
        };
        assert_eq!(reason, vector["reason"], "{}", vector["why"]);
    }
}
