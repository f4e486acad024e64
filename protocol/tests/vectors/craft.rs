//! Makes frames by hand, right or wrong in one chosen way. Ids, signed messages and postage are computed here a second
//! time, from docs/protocol.md and not through the crate, so that the vectors do not merely repeat the code.

use ed25519_dalek::{Signer, SigningKey};
use griot_protocol::{
    AckItem, Address, CollectKey, CollectSecret, DeliverKey, DeliverSecret, Grant, MailboxKeys, MailboxKind,
    NetworkName, NetworkParams, NodeId, NodeSecret, RecordId, Timestamp, codec,
};

/// The clock of all vectors.
pub const NOW: Timestamp = Timestamp(1_800_000_000);
/// The postage of all vectors.
pub const POSTAGE_BITS: u8 = 8;
/// The network of all vectors.
pub const NETWORK: &str = "griot";
pub const DAY: u64 = 86_400;

pub const DELIVER_SEED: [u8; 32] = [0x11; 32];
pub const COLLECT_SEED: [u8; 32] = [0x22; 32];
pub const NODE_SEED: [u8; 32] = [0x33; 32];
pub const OTHER_SEED: [u8; 32] = [0x44; 32];

/// Prime order of the base point, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

pub fn network() -> NetworkName {
    NETWORK.parse().unwrap()
}

pub fn params() -> NetworkParams {
    NetworkParams { postage_bits: POSTAGE_BITS, ..NetworkParams::standard(network()) }
}

pub fn deliver() -> DeliverSecret {
    DeliverSecret::from_bytes(&DELIVER_SEED)
}

pub fn collect() -> CollectSecret {
    CollectSecret::from_bytes(&COLLECT_SEED)
}

pub fn node() -> NodeSecret {
    NodeSecret::from_bytes(&NODE_SEED)
}

pub fn mailbox() -> MailboxKeys {
    MailboxKeys { kind: MailboxKind::Direct, deliver: deliver().public(), collect: collect().public(), nonce: 7 }
}

pub fn grant() -> Grant {
    Grant::issue(&network(), &collect(), &mailbox().address(), &node().public(), NOW.plus(100 * DAY))
}

/// Suite 1 and the first `bucket` bytes that BLAKE3 gives for "griot test payload".
pub fn payload(bucket: usize) -> Vec<u8> {
    let mut payload = vec![1; 1 + bucket];
    blake3::Hasher::new().update(b"griot test payload").finalize_xof().fill(&mut payload[1..]);
    payload
}

pub fn record_id(label: u32) -> RecordId {
    RecordId(*blake3::hash(&label.to_le_bytes()).as_bytes())
}

pub fn sorted_ids(count: u32) -> Vec<RecordId> {
    let mut ids: Vec<_> = (0..count).map(record_id).collect();
    ids.sort();
    ids
}

pub fn sorted_items(count: u32) -> Vec<AckItem> {
    sorted_ids(count).into_iter().map(|id| AckItem { created_at: NOW.minus(600), id }).collect()
}

/// An unsigned integer in its shortest form.
pub fn varint(value: u64) -> Vec<u8> {
    codec::encode(&value)
}

/// The fields of a mailbox's keys.
pub fn keys_bytes(keys: &MailboxKeys) -> Vec<u8> {
    codec::encode(keys)
}

/// An envelope's header without its stamp, field by field.
pub fn envelope_header(keys: &[u8], created_at: u64, expires_at: u64) -> Vec<u8> {
    [keys, &varint(created_at), &varint(expires_at)].concat()
}

/// A record in the making: the bytes before the stamp, the stamp, and the bytes after it.
#[derive(Clone)]
pub struct Craft {
    pub kind: u8,
    pub version: u8,
    pub before_stamp: Vec<u8>,
    /// The length of the payload and the payload; empty for acks and receipts.
    pub after_stamp: Vec<u8>,
    /// What the id hashes as payload.
    pub payload: Vec<u8>,
    pub domain: &'static str,
    pub network: &'static str,
    pub seed: [u8; 32],
}

impl Craft {
    pub fn envelope(before_stamp: Vec<u8>, payload: Vec<u8>) -> Self {
        let after_stamp = [varint(payload.len() as u64), payload.clone()].concat();
        let domain = "griot 1 envelope";
        Self { kind: 1, version: 1, before_stamp, after_stamp, payload, domain, network: NETWORK, seed: DELIVER_SEED }
    }

    pub fn good_envelope() -> Self {
        let header = envelope_header(&keys_bytes(&mailbox()), NOW.0 - 60, NOW.0 + DAY);
        Self::envelope(header, payload(256))
    }

    pub fn ack(keys: &MailboxKeys, items: &[AckItem], expires_at: u64) -> Self {
        let fields = (*keys, true, items.to_vec(), expires_at);
        Self {
            kind: 2,
            before_stamp: codec::encode(&fields),
            after_stamp: Vec::new(),
            payload: Vec::new(),
            domain: "griot 1 ack",
            seed: COLLECT_SEED,
            ..Self::good_envelope()
        }
    }

    pub fn good_ack() -> Self {
        Self::ack(&mailbox(), &sorted_items(2), NOW.0 - 600 + 30 * DAY)
    }

    pub fn custody(grant: &Grant, items: &[RecordId], stored_at: u64, expires_at: u64) -> Self {
        let fields = (mailbox(), node().public(), *grant, items.to_vec(), stored_at, expires_at);
        Self {
            kind: 3,
            before_stamp: codec::encode(&fields),
            after_stamp: Vec::new(),
            payload: Vec::new(),
            domain: "griot 1 custody",
            seed: NODE_SEED,
            ..Self::good_envelope()
        }
    }

    pub fn good_custody() -> Self {
        Self::custody(&grant(), &sorted_ids(2), NOW.0 - 5, NOW.0 + DAY)
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The id with this stamp.
    pub fn id(&self, stamp: u64) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("griot 2026 record id v1");
        hasher.update(&[self.kind, self.version]);
        hasher.update(&self.before_stamp);
        hasher.update(&stamp.to_le_bytes());
        hasher.update(blake3::hash(&self.payload).as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The first stamp whose id has exactly this many leading zero bits, or at least as many.
    pub fn stamp(&self, accept: impl Fn(u32) -> bool) -> u64 {
        (0..).find(|stamp| accept(leading_zeros(&self.id(*stamp)))).unwrap()
    }

    pub fn body(&self, stamp: u64) -> Vec<u8> {
        [&self.before_stamp[..], &stamp.to_le_bytes(), &self.after_stamp].concat()
    }

    /// Stamped and signed.
    pub fn frame(&self) -> Vec<u8> {
        let stamp = self.stamp(|bits| bits >= u32::from(POSTAGE_BITS));
        self.frame_with_stamp(stamp)
    }

    pub fn frame_with_stamp(&self, stamp: u64) -> Vec<u8> {
        self.frame_with_body(&self.body(stamp))
    }

    pub fn frame_with_body(&self, body: &[u8]) -> Vec<u8> {
        let unsigned = [&[self.kind, self.version][..], &(body.len() as u32).to_le_bytes(), body].concat();
        let message = to_sign(self.domain, self.network, &unsigned);
        let signature = SigningKey::from_bytes(&self.seed).sign(&message).to_bytes();
        [&unsigned[..], &signature].concat()
    }
}

pub fn to_sign(domain: &str, network: &str, rest: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0, network.len() as u8], network.as_bytes(), rest].concat()
}

fn leading_zeros(id: &[u8; 32]) -> u32 {
    let whole = id.iter().take_while(|byte| **byte == 0).count();
    whole as u32 * 8 + id.get(whole).map_or(0, |byte| byte.leading_zeros())
}

/// Adds the group order to the signature's scalar: another encoding of the same number.
pub fn malleate(mut frame: Vec<u8>) -> Vec<u8> {
    let at = frame.len() - 32;
    let mut carry = 0;
    for (byte, order) in frame[at..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    frame
}

/// An envelope to a mailbox with this deliver key, "signed" with R = the base point and S = 1: right for every key that
/// is the neutral element, in all libraries that do not look for weak keys.
pub fn weak_key_frame(deliver: [u8; 32]) -> Vec<u8> {
    let keys = MailboxKeys { deliver: DeliverKey(deliver), ..mailbox() };
    let header = envelope_header(&keys_bytes(&keys), NOW.0 - 60, NOW.0 + DAY);
    let mut frame = Craft::envelope(header, payload(256)).frame();
    let at = frame.len() - 64;
    frame[at] = 0x58;
    frame[at + 1..at + 32].fill(0x66);
    frame[at + 32..].fill(0);
    frame[at + 32] = 1;
    frame
}

/// A grant made with other ingredients than it should be.
pub fn odd_grant(network: &str, seed: &[u8; 32], address: &Address, node: &NodeId) -> Grant {
    Grant::issue(&network.parse().unwrap(), &CollectSecret::from_bytes(seed), address, node, NOW.plus(100 * DAY))
}

pub fn other_node() -> NodeId {
    NodeSecret::from_bytes(&OTHER_SEED).public()
}

pub fn other_collect() -> CollectKey {
    CollectSecret::from_bytes(&OTHER_SEED).public()
}
