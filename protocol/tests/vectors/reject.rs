//! Frames that every implementation must refuse, each wrong in one way, with the reason it must give.

use griot_protocol::{AckItem, Grant, MailboxKeys, MailboxKind, Refusal, Timestamp};

use crate::craft::*;

/// One frame and why it is refused.
pub struct Reject {
    pub name: &'static str,
    pub refusal: Refusal,
    pub why: &'static str,
    pub frame: Vec<u8>,
}

type List = Vec<Reject>;

fn add(list: &mut List, name: &'static str, refusal: Refusal, why: &'static str, frame: Vec<u8>) {
    list.push(Reject { name, refusal, why, frame });
}

pub fn all() -> List {
    let mut list = Vec::new();
    frames(&mut list);
    encodings(&mut list);
    payloads(&mut list);
    times(&mut list);
    signatures(&mut list);
    weak_keys(&mut list);
    acks(&mut list);
    custodies(&mut list);
    grants(&mut list);
    list
}

fn frames(list: &mut List) {
    use Refusal::{Length, Oversized, Truncated, UnknownKind, UnknownVersion};
    let good = Craft::good_envelope().frame();
    let patched = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let len = (good.len() - 70) as u32;
    let cut = |end: usize| good[..end].to_vec();
    add(list, "empty", Truncated, "no bytes at all", Vec::new());
    add(list, "one-byte", Truncated, "a kind byte alone", cut(1));
    add(list, "half-a-header", Truncated, "ends inside the length field", cut(5));
    add(list, "header-only", Truncated, "no body and no signature", cut(6));
    add(list, "shorter-than-a-signature", Truncated, "one byte short of a header and a signature", cut(69));
    add(list, "cut-in-the-payload", Truncated, "ends in the middle of the payload", cut(200));
    add(list, "cut-in-the-signature", Truncated, "the last byte is missing", cut(good.len() - 1));
    add(list, "length-one-more", Truncated, "announces one byte more than came", patched(2, &(len + 1).to_le_bytes()));
    add(list, "length-one-less", Length, "announces one byte less than came", patched(2, &(len - 1).to_le_bytes()));
    add(list, "length-zero", Length, "announces an empty body and has one", patched(2, &[0; 4]));
    add(list, "length-huge", Truncated, "announces 4 GiB", patched(2, &[0xff; 4]));
    add(list, "length-big-endian", Truncated, "the length in the wrong byte order", patched(2, &len.to_be_bytes()));
    add(list, "byte-after-the-signature", Length, "one byte follows the signature", [&good[..], &[0]].concat());
    let mut oversized = good.clone();
    oversized.resize(68 * 1024 + 1, 0);
    add(list, "oversized", Oversized, "one byte more than the largest frame", oversized);
    add(list, "kind-0", UnknownKind, "no kind has this byte", patched(0, &[0]));
    add(list, "kind-4", UnknownKind, "a kind that a newer version may have", patched(0, &[4]));
    add(list, "kind-local", UnknownKind, "a node's own log entries are never sent", patched(0, &[0x80]));
    add(list, "version-0", UnknownVersion, "there was no version 0", patched(1, &[0]));
    add(list, "version-2", UnknownVersion, "a version that may come", patched(1, &[2]));
    let signed = |kind: u8, version: u8| {
        Craft::good_envelope()
            .with(|c| {
                c.kind = kind;
                c.version = version;
            })
            .frame()
    };
    add(list, "kind-4-signed", UnknownKind, "an unknown kind, stamped and signed", signed(4, 1));
    add(list, "version-2-signed", UnknownVersion, "an unknown version, stamped and signed", signed(1, 2));
}

fn encodings(list: &mut List) {
    use Refusal::{Malformed, NotCanonical, Trailing};
    let good = Craft::good_envelope();
    let keys = keys_bytes(&mailbox());
    let header = |keys: &[u8]| envelope_header(keys, NOW.0 - 60, NOW.0 + DAY);
    let envelope = |before: Vec<u8>| Craft::envelope(before, payload(256)).frame();
    let with_kind = |kind: &[u8]| envelope(header(&[kind, &keys[1..]].concat()));
    let with_nonce = |nonce: &[u8]| envelope(header(&[&keys[..65], nonce].concat()));
    add(list, "empty-body", Malformed, "a frame around nothing", good.frame_with_body(&[]));
    add(list, "mailbox-kind-2", Malformed, "there are two mailbox kinds, 0 and 1", with_kind(&[2]));
    add(list, "mailbox-kind-long", NotCanonical, "the mailbox kind 0 written in three bytes", with_kind(&[251, 0, 0]));
    add(list, "nonce-long-16", NotCanonical, "the nonce 7 written in three bytes", with_nonce(&[251, 7, 0]));
    add(list, "nonce-long-32", NotCanonical, "the nonce 7 written in five bytes", with_nonce(&[252, 7, 0, 0, 0]));
    let wide = [253, 7, 0, 0, 0, 0, 0, 0, 0];
    add(list, "nonce-too-wide", Malformed, "the nonce has 32 bits and came as 64", with_nonce(&wide));
    add(list, "varint-marker-254", Malformed, "254 introduces 128-bit numbers, which no field has", with_nonce(&[254]));
    add(list, "varint-marker-255", Malformed, "255 introduces nothing", with_nonce(&[255]));
    let long_time = [&[253][..], &(NOW.0 - 60).to_le_bytes()].concat();
    let before = [&keys[..], &long_time, &varint(NOW.0 + DAY)].concat();
    add(list, "time-long", NotCanonical, "created_at fits in 32 bits and came as 64", envelope(before));
    let with_len = |len: &[u8]| good.clone().with(|c| c.after_stamp = [len, &payload(256)].concat()).frame();
    add(list, "payload-length-long", NotCanonical, "the length 257 in five bytes", with_len(&[252, 1, 1, 0, 0]));
    let huge = [&[253][..], &u64::MAX.to_le_bytes()].concat();
    add(list, "payload-length-huge", Malformed, "announces 2^64 - 1 bytes", with_len(&huge));
    add(list, "payload-length-one-more", Malformed, "announces 258 bytes, 257 follow", with_len(&[251, 2, 1]));
    add(list, "payload-length-one-less", Trailing, "announces 256 bytes, 257 follow", with_len(&[251, 0, 1]));
    let trailing = good.clone().with(|c| c.after_stamp.push(0)).frame();
    add(list, "envelope-trailing", Trailing, "a byte follows the payload, inside the body", trailing);
    let trailing = Craft::good_ack().with(|c| c.after_stamp.push(0)).frame();
    add(list, "ack-trailing", Trailing, "a byte follows the stamp", trailing);
    let trailing = Craft::good_custody().with(|c| c.after_stamp.push(0)).frame();
    add(list, "custody-trailing", Trailing, "a byte follows the stamp", trailing);
    let release = Craft::good_ack().with(|c| c.before_stamp[70 - 4] = 2).frame();
    add(list, "ack-release-2", Malformed, "a boolean is 0 or 1", release);
    let mut before = [&keys[..], &[1]].concat();
    before.extend(varint(u64::from(u32::MAX)));
    let many = Craft::good_ack().with(|c| c.before_stamp = before).frame();
    add(list, "ack-items-huge", Malformed, "announces four thousand million items", many);
    let cut = Craft::good_ack().with(|c| c.before_stamp.truncate(100)).frame();
    add(list, "ack-cut", Malformed, "the body ends inside an item", cut);
    let as_custody = Craft::good_ack().with(|c| c.kind = 3).frame();
    add(list, "ack-as-custody", Malformed, "the body of an ack under the kind of a custody receipt", as_custody);
}

fn payloads(list: &mut List) {
    use Refusal::Bucket;
    let with = |payload: Vec<u8>| {
        let header = envelope_header(&keys_bytes(&mailbox()), NOW.0 - 60, NOW.0 + DAY);
        Craft::envelope(header, payload).frame()
    };
    add(list, "payload-empty", Bucket, "no suite byte", with(Vec::new()));
    add(list, "payload-suite-only", Bucket, "a suite byte and nothing", with(vec![1]));
    add(list, "payload-256", Bucket, "256 bytes with the suite byte: the ciphertext has 255", with(payload(255)));
    add(list, "payload-258", Bucket, "a ciphertext of 257 bytes", with(payload(257)));
    add(list, "payload-1024", Bucket, "1024 bytes with the suite byte", with(payload(1023)));
}

fn times(list: &mut List) {
    use Refusal::{Backwards, Expired, Future, LifeTooLong, Postage};
    let with = |created_at: u64, expires_at: u64| {
        Craft::envelope(envelope_header(&keys_bytes(&mailbox()), created_at, expires_at), payload(256)).frame()
    };
    let month = 30 * DAY;
    add(list, "life-zero", Backwards, "expires in the second it begins", with(NOW.0 - 60, NOW.0 - 60));
    add(list, "life-backwards", Backwards, "expires before it begins", with(NOW.0 + 60, NOW.0 + 59));
    add(list, "life-too-long", LifeTooLong, "30 days and one second", with(NOW.0 - 60, NOW.0 - 59 + month));
    add(list, "life-endless", LifeTooLong, "from the epoch to the end of time", with(0, u64::MAX));
    add(list, "future", Future, "created 10 minutes and one second ahead", with(NOW.0 + 601, NOW.0 + DAY));
    add(list, "future-far", Future, "created at the end of time", with(u64::MAX - 1, u64::MAX));
    add(list, "expired", Expired, "expires in this very second", with(NOW.0 - DAY, NOW.0));
    add(list, "expired-long-ago", Expired, "valid in 1970", with(0, DAY));
    let cheap = |craft: Craft| {
        let stamp = craft.stamp(|bits| bits == u32::from(POSTAGE_BITS) - 1);
        craft.frame_with_stamp(stamp)
    };
    add(list, "envelope-postage", Postage, "one zero bit too few", cheap(Craft::good_envelope()));
    add(list, "ack-postage", Postage, "one zero bit too few", cheap(Craft::good_ack()));
    add(list, "custody-postage", Postage, "one zero bit too few", cheap(Craft::good_custody()));
}

fn signatures(list: &mut List) {
    use Refusal::Signature;
    let good = Craft::good_envelope();
    let frame = good.frame();
    let end = frame.len();
    let domain = |domain: &'static str| good.clone().with(|c| c.domain = domain).frame();
    add(list, "domain-of-an-ack", Signature, "signed under the domain of acks", domain("griot 1 ack"));
    add(list, "domain-empty", Signature, "signed under an empty domain", domain(""));
    add(
        list,
        "network-other",
        Signature,
        "signed for another network",
        good.clone().with(|c| c.network = "other").frame(),
    );
    let ack = Craft::good_ack().with(|c| c.network = "other").frame();
    add(list, "ack-network-other", Signature, "signed for another network", ack);
    let seed = |seed| good.clone().with(|c| c.seed = seed).frame();
    add(list, "signed-by-the-collect-key", Signature, "who may read may not write", seed(COLLECT_SEED));
    add(list, "signed-by-a-stranger", Signature, "a key that is not the mailbox's", seed(OTHER_SEED));
    add(list, "scalar-malleated", Signature, "S + L instead of S", malleate(frame.clone()));
    let ack = malleate(Craft::good_ack().frame());
    add(list, "ack-scalar-malleated", Signature, "S + L instead of S", ack);
    add(list, "signature-zero", Signature, "64 zero bytes", [&frame[..end - 64], &[0; 64]].concat());
    add(
        list,
        "signature-ones",
        Signature,
        "R is no point and S is too large",
        [&frame[..end - 64], &[0xff; 64]].concat(),
    );
    let mut r = frame.clone();
    r[end - 64..end - 32].fill(0);
    r[end - 64] = 1;
    add(list, "r-small-order", Signature, "R is the neutral element", r.clone());
    r[end - 64..end - 32].fill(0xff);
    r[end - 64] = 0xee;
    r[end - 33] = 0x7f;
    add(list, "r-not-canonical", Signature, "R is the neutral element with y = p + 1", r);
    let mut flipped = frame.clone();
    flipped[end - 1] ^= 0x01;
    add(list, "signature-bit", Signature, "one bit of the signature flipped", flipped);

    // Changed after signing, with fresh postage, under the old signature.
    let transplant = |craft: Craft| {
        let forged = craft.frame();
        [&forged[..forged.len() - 64], &frame[end - 64..]].concat()
    };
    let other_payload = good.clone().with(|c| {
        c.payload[9] ^= 1;
        let at = c.after_stamp.len() - 257 + 9;
        c.after_stamp[at] ^= 1;
    });
    add(list, "payload-changed", Signature, "one bit of the payload changed after signing", transplant(other_payload));
    let rekeyed = MailboxKeys { collect: other_collect(), ..mailbox() };
    let header = envelope_header(&keys_bytes(&rekeyed), NOW.0 - 60, NOW.0 + DAY);
    let swapped = transplant(Craft::envelope(header, payload(256)));
    add(list, "collect-key-swapped", Signature, "another collect key, so another mailbox, after signing", swapped);
    let header = envelope_header(&keys_bytes(&mailbox()), NOW.0 - 60, NOW.0 + 2 * DAY);
    let longer = transplant(Craft::envelope(header, payload(256)));
    add(list, "life-changed", Signature, "a longer life after signing", longer);
    let first = good.stamp(|bits| bits >= u32::from(POSTAGE_BITS));
    let second = (first + 1..).find(|stamp| good.id(*stamp)[0] == 0).unwrap();
    let restamped = good.frame_with_stamp(second);
    let restamped = [&restamped[..restamped.len() - 64], &frame[end - 64..]].concat();
    add(list, "stamp-changed", Signature, "other postage after signing", restamped);
}

fn weak_keys(list: &mut List) {
    use Refusal::Signature;
    let point = |low: u8, fill: u8, high: u8| {
        let mut bytes = [fill; 32];
        bytes[0] = low;
        bytes[31] = high;
        bytes
    };
    let mut weak = |name, why, key| add(list, name, Signature, why, weak_key_frame(key));
    weak(
        "key-neutral",
        "the deliver key is the neutral element, under which R = B, S = 1 signs everything",
        point(1, 0, 0),
    );
    weak("key-neutral-signed", "the neutral element with the sign bit set, which is not canonical", point(1, 0, 0x80));
    weak("key-neutral-p-plus-1", "the neutral element with y = p + 1, which is not canonical", point(0xee, 0xff, 0x7f));
    weak("key-order-2", "the deliver key has order 2", point(0xec, 0xff, 0x7f));
    weak("key-order-4", "the deliver key has order 4", point(0, 0, 0));
    weak("key-p", "order 4 with y = p, which is not canonical", point(0xed, 0xff, 0x7f));
    weak("key-p-plus-3", "y = p + 3 is not canonical", point(0xf0, 0xff, 0x7f));
    weak("key-no-point", "y = 2 is on no point of the curve", point(2, 0, 0));
}

fn acks(list: &mut List) {
    use Refusal::{AckExpiry, AckOfShared, Expired, Future, Items, Signature};
    let until = NOW.0 - 600 + 30 * DAY;
    let shared = MailboxKeys { kind: MailboxKind::Shared, ..mailbox() };
    let of = |items: &[AckItem]| Craft::ack(&mailbox(), items, until).frame();
    let two = sorted_items(2);
    add(
        list,
        "ack-of-shared",
        AckOfShared,
        "many read it: nobody may remove",
        Craft::ack(&shared, &two, until).frame(),
    );
    let none = Craft::ack(&mailbox(), &[], 30 * DAY).frame();
    add(list, "ack-of-nothing", Items, "an empty list of items", none);
    add(list, "ack-257-items", Items, "one item too many", of(&sorted_items(257)));
    add(list, "ack-unsorted", Items, "items in descending order", of(&[two[1], two[0]]));
    add(list, "ack-duplicate", Items, "the same item twice", of(&[two[0], two[0]]));
    let later = AckItem { created_at: NOW.minus(599), ..two[0] };
    let unsorted = Craft::ack(&mailbox(), &[later, two[1]], until + 1).frame();
    add(list, "ack-unsorted-times", Items, "items are ordered by created_at before id", unsorted);
    let expiring = |at: u64| Craft::ack(&mailbox(), &two, at).frame();
    add(list, "ack-lives-longer", AckExpiry, "one second more than 30 days", expiring(until + 1));
    add(list, "ack-lives-shorter", AckExpiry, "one second less than 30 days", expiring(until - 1));
    let at = |created_at: u64| {
        let item = AckItem { created_at: Timestamp(created_at), ..two[0] };
        Craft::ack(&mailbox(), &[item], created_at + 30 * DAY).frame()
    };
    add(list, "ack-expired", Expired, "its latest item is 30 days old", at(NOW.0 - 30 * DAY));
    add(list, "ack-future", Future, "its latest item is 10 minutes and one second ahead", at(NOW.0 + 601));
    let by = Craft::good_ack().with(|c| c.seed = DELIVER_SEED).frame();
    add(list, "ack-by-the-deliver-key", Signature, "who may write may not remove", by);
    let under = Craft::good_ack().with(|c| c.domain = "griot 1 envelope").frame();
    add(list, "ack-domain-of-an-envelope", Signature, "signed under the domain of envelopes", under);
}

fn custodies(list: &mut List) {
    use Refusal::{Backwards, Expired, Future, Items, LifeTooLong, Signature};
    let two = sorted_ids(2);
    let of = |items: &[_]| Craft::custody(&grant(), items, NOW.0 - 5, NOW.0 + DAY).frame();
    add(list, "custody-of-nothing", Items, "an empty list of items", of(&[]));
    add(list, "custody-257-items", Items, "one item too many", of(&sorted_ids(257)));
    add(list, "custody-unsorted", Items, "items in descending order", of(&[two[1], two[0]]));
    add(list, "custody-duplicate", Items, "the same item twice", of(&[two[0], two[0]]));
    let living = |from: u64, to: u64| Craft::custody(&grant(), &two, from, to).frame();
    add(list, "custody-backwards", Backwards, "expires in the second it begins", living(NOW.0, NOW.0));
    let long = living(NOW.0 - 5, NOW.0 - 4 + 30 * DAY);
    add(list, "custody-life-too-long", LifeTooLong, "30 days and one second", long);
    add(list, "custody-future", Future, "stored 10 minutes and one second ahead", living(NOW.0 + 601, NOW.0 + DAY));
    add(list, "custody-expired", Expired, "expires in this very second", living(NOW.0 - DAY, NOW.0));
    let by = |seed| Craft::good_custody().with(|c| c.seed = seed).frame();
    add(list, "custody-by-the-collect-key", Signature, "only the node named in it may sign", by(COLLECT_SEED));
    add(list, "custody-by-another-node", Signature, "signed by a node that it does not name", by(OTHER_SEED));
}

fn grants(list: &mut List) {
    use Refusal::Grant as Refused;
    let with = |grant: &Grant| Craft::custody(grant, &sorted_ids(2), NOW.0 - 5, NOW.0 + DAY).frame();
    let (address, me) = (mailbox().address(), node().public());
    let mut none = grant();
    none.signature.0.fill(0);
    add(list, "grant-none", Refused, "no signature in the grant", with(&none));
    let other = odd_grant(NETWORK, &COLLECT_SEED, &address, &other_node());
    add(list, "grant-for-another-node", Refused, "the recipient chose another node", with(&other));
    let shared = MailboxKeys { kind: MailboxKind::Shared, ..mailbox() };
    let other = odd_grant(NETWORK, &COLLECT_SEED, &shared.address(), &me);
    add(list, "grant-for-another-address", Refused, "granted for another mailbox with the same keys", with(&other));
    let other = odd_grant("other", &COLLECT_SEED, &address, &me);
    add(list, "grant-for-another-network", Refused, "granted in another network", with(&other));
    let other = odd_grant(NETWORK, &DELIVER_SEED, &address, &me);
    add(list, "grant-by-the-deliver-key", Refused, "a sender cannot choose the recipient's homes", with(&other));
    let other = odd_grant(NETWORK, &NODE_SEED, &address, &me);
    add(list, "grant-by-the-node", Refused, "a node cannot choose itself", with(&other));
    let mut longer = grant();
    longer.until = longer.until.plus(1);
    add(list, "grant-prolonged", Refused, "until was moved after signing", with(&longer));
    let ended = Grant::issue(&network(), &collect(), &address, &me, NOW.minus(6));
    add(list, "grant-run-out", Refused, "stored one second after the grant ended", with(&ended));
    let mut malleated = grant();
    let frame = malleate(malleated.signature.0.to_vec());
    malleated.signature.0.copy_from_slice(&frame);
    add(list, "grant-malleated", Refused, "S + L in the grant's signature", with(&malleated));
}
