//! What must hold for all values: round trips, no meaning in a damaged frame, and no panic whatever the bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that finds what it does not expect should fail there"
)]

use bytes::Bytes;
use griot_protocol::{
    AckItem, Address, BundleHeader, BundleItem, BundleReader, BundleWriter, CollectSecret, Cursor, DeliverSecret,
    Grant, InviteLink, MailboxKeys, MailboxKind, NetworkName, NetworkParams, NodeId, NodeSecret, Nonce, Record,
    RecordId, Shard, ShardBits, Signature, Stamp, Timestamp, Unverified, ack, codec, custody, entry, envelope, feed,
    frame,
    padding::BUCKETS,
    sync::{SyncFrame, SyncRequest, SyncResponse},
};
use proptest::{collection::vec, prelude::*};

/// Grinding costs 2^bits hashes for every case.
const POSTAGE_BITS: u8 = 2;
const MONTH: u64 = 30 * 24 * 3600;

fn params(name: &NetworkName) -> NetworkParams {
    NetworkParams { postage_bits: POSTAGE_BITS, ..NetworkParams::standard(name.clone()) }
}

fn networks() -> impl Strategy<Value = NetworkName> {
    "[a-z0-9-]{1,32}".prop_map(|name| name.parse().unwrap())
}

fn kinds() -> impl Strategy<Value = MailboxKind> {
    prop_oneof![Just(MailboxKind::Direct), Just(MailboxKind::Shared)]
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![0..300u64, 1_700_000_000..1_900_000_000u64, any::<u64>()].prop_map(Timestamp)
}

#[derive(Clone, Debug)]
struct Owner {
    deliver: DeliverSecret,
    collect: CollectSecret,
    node: NodeSecret,
    keys: MailboxKeys,
}

fn owners(kind: impl Strategy<Value = MailboxKind>) -> impl Strategy<Value = Owner> {
    (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u32>(), kind).prop_map(|(d, c, n, nonce, kind)| {
        let deliver = DeliverSecret::from_bytes(&d);
        let collect = CollectSecret::from_bytes(&c);
        let keys = MailboxKeys { kind, deliver: deliver.public(), collect: collect.public(), nonce };
        Owner { deliver, collect, node: NodeSecret::from_bytes(&n), keys }
    })
}

/// Moments with a month of room after them.
fn moments() -> impl Strategy<Value = Timestamp> {
    prop_oneof![0..300u64, 1_700_000_000..1_900_000_000u64, 0..u64::MAX - 2 * MONTH].prop_map(Timestamp)
}

fn envelopes() -> impl Strategy<Value = (NetworkName, Record)> {
    (networks(), owners(kinds()), moments(), 1..=MONTH, 0..3usize, any::<u8>()).prop_map(
        |(network, owner, from, life, bucket, fill)| {
            let payload = vec![fill; 1 + BUCKETS[bucket]];
            let made = envelope::seal(&params(&network), &owner.deliver, owner.keys, from, from.plus(life), payload);
            (network, made.unwrap())
        },
    )
}

fn acks() -> impl Strategy<Value = (NetworkName, Record)> {
    let items = vec((0..10_000u64, any::<[u8; 32]>()), 1..20);
    (networks(), owners(Just(MailboxKind::Direct)), moments(), any::<bool>(), items).prop_map(
        |(network, owner, from, release, items)| {
            let item = |(at, id)| AckItem { created_at: from.plus(at), id: RecordId(id) };
            let items = items.into_iter().map(item).collect();
            (network.clone(), ack::make(&params(&network), &owner.collect, owner.keys, release, items).unwrap())
        },
    )
}

fn custodies() -> impl Strategy<Value = (NetworkName, Record)> {
    let items = vec(any::<[u8; 32]>().prop_map(RecordId), 1..20);
    (networks(), owners(kinds()), moments(), 1..=MONTH, items).prop_map(|(network, owner, from, life, items)| {
        let (node, address) = (owner.node.public(), owner.keys.address());
        let grant = Grant::issue(&network, &owner.collect, &address, &node, from.plus(MONTH));
        let to = from.plus(life);
        let made = custody::make(&params(&network), &owner.node, owner.keys, grant, items, from, to);
        (network, made.unwrap())
    })
}

fn records() -> impl Strategy<Value = (NetworkName, Record)> {
    prop_oneof![envelopes(), acks(), custodies()]
}

fn invites() -> impl Strategy<Value = InviteLink> {
    let keys = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let rest = (0..=16u8, 0..=32u8, any::<bool>(), times(), "[^\\p{Cc}]{0,16}");
    (networks(), any::<[u8; 32]>(), owners(Just(MailboxKind::Direct)), keys, rest).prop_map(
        |(network, deliver_secret, owner, keys, (bits, postage_bits, once, expires_at, name))| InviteLink {
            network: network.to_string(),
            bits,
            postage_bits,
            mailbox: MailboxKeys { deliver: DeliverSecret::from_bytes(&deliver_secret).public(), ..owner.keys },
            deliver_secret,
            hpke_public: keys.0,
            identity_ed25519: keys.1,
            identity_curve25519: keys.2,
            prekey: keys.3,
            once,
            expires_at,
            name,
        },
    )
}

fn cursors() -> impl Strategy<Value = Cursor> {
    (any::<u64>(), any::<u64>()).prop_map(|(epoch, position)| Cursor { epoch, position })
}

fn parse(frame: &[u8]) -> Result<Unverified, griot_protocol::Refusal> {
    Unverified::parse(Bytes::copy_from_slice(frame))
}

/// Reads a bundle in pieces; returns its frames where all of it is good.
fn read_bundle(file: &[u8], piece: usize) -> Option<Vec<Bytes>> {
    let mut reader = BundleReader::new();
    let mut frames = Vec::new();
    for mut chunk in file.chunks(piece) {
        while !chunk.is_empty() {
            chunk = &chunk[reader.push(chunk)..];
            while let Some(item) = reader.next_item().ok()? {
                if let BundleItem::Frame(frame) = item {
                    frames.push(frame);
                }
            }
        }
    }
    reader.finish().ok().map(|_| frames)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_made_is_accepted_and_comes_back_whole((network, made) in records()) {
        let parsed = parse(made.frame()).unwrap();
        parsed.check_postage(POSTAGE_BITS).unwrap();
        prop_assert!(made.check_times(made.body().created_at()).is_ok());
        prop_assert!(made.check_times(made.expires_at()).is_err());
        let record = parsed.verify(&network).unwrap();
        prop_assert_eq!(&record, &made);
        prop_assert_eq!(record.payload(), made.payload());
    }

    #[test]
    fn a_flipped_bit_is_refused_and_never_keeps_the_id((network, made) in records(), at in any::<prop::sample::Index>()) {
        let mut frame = made.frame().to_vec();
        let bit = at.index(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parsed) = parse(&frame) {
            let in_signature = bit / 8 >= frame.len() - 64;
            prop_assert_eq!(parsed.claimed().id() == made.id(), in_signature);
            prop_assert!(parsed.verify(&network).is_err());
        }
    }

    #[test]
    fn a_record_holds_in_its_own_network_only((network, made) in records(), other in networks()) {
        prop_assume!(network != other);
        prop_assert!(parse(made.frame()).unwrap().verify(&other).is_err());
    }

    #[test]
    fn a_cut_or_extended_frame_is_refused((_, made) in records(), at in any::<prop::sample::Index>(), more in vec(any::<u8>(), 1..40)) {
        let frame = made.frame();
        prop_assert!(parse(&frame[..at.index(frame.len())]).is_err());
        prop_assert!(parse(&[&frame[..], &more].concat()).is_err());
    }

    #[test]
    fn links_come_back(link in invites()) {
        prop_assert_eq!(InviteLink::parse(&link.to_text()), Ok(link));
    }

    #[test]
    fn a_mistyped_link_is_noticed(link in invites(), at in any::<prop::sample::Index>(), letter in "[a-z2-7]") {
        let mut text = link.to_text();
        let at = "griot:".len() + at.index(text.len() - "griot:".len());
        prop_assume!(text[at..=at] != letter);
        text.replace_range(at..=at, &letter);
        prop_assert!(InviteLink::parse(&text).is_err());
    }

    #[test]
    fn codec_types_come_back(
        owner in owners(kinds()), time in times(), id in any::<[u8; 32]>(), stamp in any::<[u8; 8]>(),
        bits in 0..=16u8, shard in any::<u32>(), half in any::<[u8; 32]>(),
    ) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        let bits = ShardBits::try_from(bits).unwrap();
        prop_assert_eq!(codec::decode(&codec::encode(&owner.keys)), Ok(owner.keys));
        prop_assert_eq!(codec::decode(&codec::encode(&time)), Ok(time));
        prop_assert_eq!(codec::decode(&codec::encode(&RecordId(id))), Ok(RecordId(id)));
        prop_assert_eq!(codec::decode(&codec::encode(&Address(id))), Ok(Address(id)));
        prop_assert_eq!(codec::decode(&codec::encode(&NodeId(id))), Ok(NodeId(id)));
        prop_assert_eq!(codec::decode(&codec::encode(&Nonce(id))), Ok(Nonce(id)));
        prop_assert_eq!(codec::decode(&codec::encode(&Stamp(stamp))), Ok(Stamp(stamp)));
        prop_assert_eq!(codec::decode(&codec::encode(&bits)), Ok(bits));
        prop_assert_eq!(codec::decode(&codec::encode(&Shard(shard))), Ok(Shard(shard)));
        prop_assert_eq!(codec::decode(&codec::encode(&Signature(signature))), Ok(Signature(signature)));
    }

    #[test]
    fn texts_come_back(id in any::<[u8; 32]>(), cursor in cursors(), network in networks()) {
        prop_assert_eq!(RecordId(id).to_string().parse(), Ok(RecordId(id)));
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        prop_assert_eq!(network.as_str().parse(), Ok(network));
    }

    #[test]
    fn pages_come_back(entries in vec((cursors(), vec(any::<u8>(), 0..200)), 0..8), address in any::<[u8; 32]>()) {
        let mut page = Vec::new();
        for (cursor, frame) in &entries {
            feed::push_to_page(&mut page, *cursor, frame);
        }
        let read = feed::read_page(&page).unwrap();
        let expected: Vec<_> = entries.iter().map(|(cursor, frame)| (*cursor, &frame[..])).collect();
        prop_assert_eq!(read, expected);
        if let Some((cursor, frame)) = entries.first() {
            let message = feed::stream_message(&Address(address), *cursor, frame);
            prop_assert_eq!(feed::read_stream_message(&message), Ok((Address(address), *cursor, &frame[..])));
        }
    }

    #[test]
    fn bundles_come_back(
        network in networks(), created_at in times(), piece in 1..400usize,
        frames in vec((0..0x80u8, vec(any::<u8>(), 0..300)), 0..8), flip in any::<prop::sample::Index>(),
    ) {
        let frames: Vec<Bytes> = frames.into_iter().map(|(kind, rest)| [&[kind][..], &rest].concat().into()).collect();
        let (mut writer, mut file) = BundleWriter::begin(&BundleHeader { network, created_at });
        for frame in &frames {
            file.extend(writer.entry(frame).unwrap());
        }
        file.extend(writer.finish());
        prop_assert_eq!(read_bundle(&file, piece), Some(frames.clone()));
        prop_assert_eq!(read_bundle(&file[..flip.index(file.len())], piece), None);
        let bit = flip.index(file.len() * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(read_bundle(&file, piece), Some(frames));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2048), text in ".{0,200}", piece in 1..300usize) {
        let _ = parse(&bytes);
        let _ = frame::split(&bytes);
        let _ = codec::decode::<MailboxKeys>(&bytes);
        let _ = codec::decode::<griot_protocol::Ack>(&bytes);
        let _ = codec::decode::<griot_protocol::Custody>(&bytes);
        let _ = codec::decode::<griot_protocol::EnvelopeHeader>(&bytes);
        let _ = codec::decode::<InviteLink>(&bytes);
        let _ = codec::decode::<Vec<RecordId>>(&bytes);
        let _ = codec::decode::<ShardBits>(&bytes);
        let _ = feed::read_page(&bytes);
        let _ = feed::read_stream_message(&bytes);
        let _ = read_bundle(&bytes, piece);
        let _ = text.parse::<NetworkName>();
        let _ = text.parse::<Cursor>();
        let _ = text.parse::<RecordId>();
        let _ = InviteLink::parse(&text);
        let _ = InviteLink::parse(&format!("griot:{text}"));
        let _ = InviteLink::parse(&format!("griot:{}", data_encoding::BASE32_NOPAD.encode(&bytes)));
        let _ = serde_json::from_slice::<MailboxKeys>(&bytes);
        let _ = SyncRequest::decode(&bytes);
        let _ = SyncResponse::decode(&bytes);
        let _ = entry::scan(&bytes, entry::Marker([7; 8]));
    }

    #[test]
    fn sync_messages_come_back_and_damage_never_panics(
        frames in vec(vec(any::<u8>(), 70..200), 1..6), ids in vec(any::<[u8; 32]>().prop_map(RecordId), 1..20),
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let frames: Vec<_> = frames.into_iter().map(|frame| SyncFrame(frame.into())).collect();
        let push = SyncRequest::Push { frames: frames.clone() };
        let fetch = SyncRequest::Fetch { ids: ids.clone() };
        for request in [push, fetch] {
            let mut bytes = request.encode().to_vec();
            prop_assert_eq!(SyncRequest::decode(&bytes), Ok(request));
            prop_assert!(SyncRequest::decode(&bytes[..bytes.len() - 1]).is_err());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(request) = SyncRequest::decode(&bytes) {
                prop_assert_eq!(&request.encode()[..], &bytes[..]);
            }
        }
        let response = SyncResponse::Frames { frames, not_held: ids };
        prop_assert_eq!(SyncResponse::decode(&response.encode()), Ok(response));
    }

    #[test]
    fn log_entries_come_back_and_damage_is_seen(
        marker in any::<[u8; 8]>(), frame in vec(any::<u8>(), 1..300), batch in 0..1_000_000u64,
        first in any::<bool>(), last in any::<bool>(), flip in any::<prop::sample::Index>(),
    ) {
        prop_assume!(marker != [0; 8]);
        let marker = entry::Marker(marker);
        let written = entry::LogEntry { place: entry::Place::new(batch, 5), first, last, frame: &frame };
        let mut bytes = Vec::new();
        entry::append(&mut bytes, marker, &written);
        prop_assert_eq!(entry::scan(&bytes, marker), entry::Scan::Entry(written));
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!matches!(entry::scan(&bytes, marker), entry::Scan::Entry(_)));
    }

    #[test]
    fn arbitrary_bodies_never_panic_and_what_parses_is_canonical(
        kind in 1..=3u8, (_, made) in records(), at in any::<prop::sample::Index>(), patch in vec(any::<u8>(), 1..12),
    ) {
        let mut frame = made.frame().to_vec();
        frame[0] = kind;
        let at = 6 + at.index(frame.len() - 6);
        let end = (at + patch.len()).min(frame.len());
        frame[at..end].copy_from_slice(&patch[..end - at]);
        if let Ok(parsed) = parse(&frame) {
            let record = parsed.claimed();
            let body = &frame[6..frame.len() - 64];
            let again = match record.body() {
                griot_protocol::Body::Envelope(header) => codec::encode(&(*header, record.payload().to_vec())),
                griot_protocol::Body::Ack(ack) => codec::encode(ack),
                griot_protocol::Body::Custody(custody) => codec::encode(custody),
            };
            prop_assert_eq!(&again[..], body);
        }
    }

    #[test]
    fn arbitrary_bytes_behind_a_good_start_never_panic(tail in vec(any::<u8>(), 0..400)) {
        let header = BundleHeader { network: NetworkName::standard(), created_at: Timestamp(1) };
        let (_, mut file) = BundleWriter::begin(&header);
        file.extend(&tail);
        let _ = read_bundle(&file, 50);
        for kind in 1..=3u8 {
            let mut frame = vec![kind, 1];
            frame.extend((tail.len() as u32).to_le_bytes());
            frame.extend(&tail);
            frame.extend([0; 64]);
            let _ = parse(&frame);
        }
        let mut content = vec![1];
        content.extend(&tail);
        let sum = blake3::hash(&content);
        content.extend(&sum.as_bytes()[..4]);
        let _ = InviteLink::parse(&format!("griot:{}", data_encoding::BASE32_NOPAD.encode(&content)));
    }
}
