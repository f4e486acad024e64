//! What a log entry holds: a record's frame, or a fact of this node alone under a kind byte from `0x80` up, which no
//! record has. The bytes after the kind are `griot_protocol::codec`'s.
//!
//! Besides the [`Local`] facts of the contract there are three that only the disk store writes:
//!
//! - [`MOVED`]: a held record copied out of an old segment, with what the index knew of it then;
//! - [`ROW`]: the same for a row without a body;
//! - [`FLOORS`]: which hours of expiry are closed from here on, which may be fewer than before. [`FLOOR`] said it in
//!   earlier versions, where acks went together with everything else.

use bytes::Bytes;
use griot_protocol::{Address, Grant, MailboxKeys, Record, RecordId, RecordKind, Timestamp, Unverified, codec};

use super::{Entry, Holding, Local, MemberId, Position, Row, floors::Floors};

const REGISTERED: u8 = 0x80;
const UNREGISTERED: u8 = 0x81;
const MEMBER_ADDED: u8 = 0x82;
const MEMBER_REVOKED: u8 = 0x83;
const SUBMITTED: u8 = 0x84;
const DISCHARGED: u8 = 0x85;
const EVICTED: u8 = 0x86;
const MARKED: u8 = 0x87;
/// A held record in a new place: the length of the row as u16 LE, the row, the frame.
const MOVED: u8 = 0x90;
/// A row without a body in a new place.
const ROW: u8 = 0x91;
/// The first hour of expiry that was not dropped, acks or not.
const FLOOR: u8 = 0x92;
/// The same for all but acks, and for acks.
const FLOORS: u8 = 0x93;

/// What an entry of the log says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    Record(Record),
    Local(Local),
    Moved(Row, Record),
    Row(Row),
    Floors(Floors),
}

impl Fact {
    pub(super) fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Record(record) => Self::Record(record.clone()),
            Entry::Local(local) => Self::Local(local.clone()),
        }
    }

    /// The bytes of the entry.
    pub(super) fn encode(&self) -> Bytes {
        match self {
            Self::Record(record) => record.frame().clone(),
            Self::Local(local) => encode_local(local).into(),
            Self::Moved(row, record) => {
                let row = codec::encode(&pack(row));
                let mut out = vec![MOVED];
                out.extend_from_slice(&(row.len() as u16).to_le_bytes());
                out.extend_from_slice(&row);
                out.extend_from_slice(record.frame());
                out.into()
            }
            Self::Row(row) => with_kind(ROW, &codec::encode(&pack(row))).into(),
            Self::Floors(floors) => with_kind(FLOORS, &codec::encode(&(floors.rows, floors.acks))).into(),
        }
    }

    /// Reads an entry whose checksum was right. `None` for one that this version does not know.
    pub(super) fn decode(bytes: Bytes) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            0..0x80 => Some(Self::Record(record(bytes)?)),
            MOVED => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = usize::from(u16::from_le_bytes(*length));
                let row = unpack(codec::decode(rest.get(..length)?).ok()?)?;
                Some(Self::Moved(row, record(bytes.slice(1 + 2 + length..))?))
            }
            ROW => Some(Self::Row(unpack(codec::decode(rest).ok()?)?)),
            FLOOR => {
                let hour = codec::decode(rest).ok()?;
                Some(Self::Floors(Floors { rows: hour, acks: hour }))
            }
            FLOORS => {
                let (rows, acks) = codec::decode(rest).ok()?;
                Some(Self::Floors(Floors { rows, acks }))
            }
            kind => Some(Self::Local(decode_local(kind, rest)?)),
        }
    }
}

fn record(frame: Bytes) -> Option<Record> {
    Some(Unverified::parse(frame).ok()?.from_own_disk())
}

fn with_kind(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + rest.len());
    out.push(kind);
    out.extend_from_slice(rest);
    out
}

fn encode_local(local: &Local) -> Vec<u8> {
    match local {
        Local::Registered { member, keys, grant, at } => {
            with_kind(REGISTERED, &codec::encode(&(member.0, *keys, *grant, *at)))
        }
        Local::Unregistered { member, address } => with_kind(UNREGISTERED, &codec::encode(&(member.0, *address))),
        Local::MemberAdded { member, label, token_hash, at } => {
            with_kind(MEMBER_ADDED, &codec::encode(&(member.0, label.clone(), *token_hash, *at)))
        }
        Local::MemberRevoked { member } => with_kind(MEMBER_REVOKED, &codec::encode(&member.0)),
        Local::Submitted { id, member } => with_kind(SUBMITTED, &codec::encode(&(*id, member.0))),
        Local::Discharged { id } => with_kind(DISCHARGED, &codec::encode(id)),
        Local::Evicted { id } => with_kind(EVICTED, &codec::encode(id)),
        Local::Marked { id, kind, address, created_at, expires_at } => {
            with_kind(MARKED, &codec::encode(&(*id, kind.byte(), *address, *created_at, *expires_at)))
        }
    }
}

fn decode_local(kind: u8, bytes: &[u8]) -> Option<Local> {
    Some(match kind {
        REGISTERED => {
            let (member, keys, grant, at): ([u8; 16], MailboxKeys, Grant, Timestamp) = codec::decode(bytes).ok()?;
            Local::Registered { member: MemberId(member), keys, grant, at }
        }
        UNREGISTERED => {
            let (member, address): ([u8; 16], Address) = codec::decode(bytes).ok()?;
            Local::Unregistered { member: MemberId(member), address }
        }
        MEMBER_ADDED => {
            let (member, label, token_hash, at): ([u8; 16], String, [u8; 32], Timestamp) = codec::decode(bytes).ok()?;
            Local::MemberAdded { member: MemberId(member), label, token_hash, at }
        }
        MEMBER_REVOKED => Local::MemberRevoked { member: MemberId(codec::decode(bytes).ok()?) },
        SUBMITTED => {
            let (id, member): (RecordId, [u8; 16]) = codec::decode(bytes).ok()?;
            Local::Submitted { id, member: MemberId(member) }
        }
        DISCHARGED => Local::Discharged { id: codec::decode(bytes).ok()? },
        EVICTED => Local::Evicted { id: codec::decode(bytes).ok()? },
        MARKED => {
            let (id, kind, address, created_at, expires_at): (RecordId, u8, Address, Timestamp, Timestamp) =
                codec::decode(bytes).ok()?;
            Local::Marked { id, kind: RecordKind::from_byte(kind)?, address, created_at, expires_at }
        }
        _ => return None,
    })
}

/// A [`Row`] as it is encoded.
pub(super) type Packed = (RecordId, u8, Address, Timestamp, Timestamp, u32, u8, bool, Option<[u8; 16]>, Option<u64>);

/// A row as a value that the codec knows.
pub(super) fn pack(row: &Row) -> Packed {
    let holding = match row.holding {
        Holding::Held => 0,
        Holding::Killed => 1,
        Holding::Marked => 2,
    };
    (
        row.id,
        row.kind.byte(),
        row.address,
        row.created_at,
        row.expires_at,
        row.frame_bytes,
        holding,
        row.acked,
        row.outbox.map(|member| member.0),
        row.position.map(|position| position.0),
    )
}

/// The inverse of [`pack`].
pub(super) fn unpack(packed: Packed) -> Option<Row> {
    let (id, kind, address, created_at, expires_at, frame_bytes, holding, acked, outbox, position) = packed;
    let holding = match holding {
        0 => Holding::Held,
        1 => Holding::Killed,
        2 => Holding::Marked,
        _ => return None,
    };
    Some(Row {
        id,
        kind: RecordKind::from_byte(kind)?,
        address,
        created_at,
        expires_at,
        frame_bytes,
        holding,
        acked,
        outbox: outbox.map(MemberId),
        position: position.map(Position),
    })
}

#[cfg(test)]
mod tests {
    use griot_protocol::{CollectKey, DeliverKey, Hour, MailboxKind, Signature};

    use super::*;

    #[test]
    fn every_local_fact_comes_back_and_no_prefix_of_it_does() {
        let (id, address, member) = (RecordId([1; 32]), Address([2; 32]), MemberId([3; 16]));
        let (deliver, collect) = (DeliverKey([4; 32]), CollectKey([5; 32]));
        let keys = MailboxKeys { kind: MailboxKind::Direct, deliver, collect, nonce: 300 };
        let grant = Grant { until: Timestamp(9), signature: Signature([6; 64]) };
        let (created_at, expires_at) = (Timestamp(60), Timestamp(7200));
        let facts = [
            Local::Registered { member, keys, grant, at: Timestamp(7) },
            Local::Unregistered { member, address },
            Local::MemberAdded { member, label: "Ama".into(), token_hash: [7; 32], at: Timestamp(8) },
            Local::MemberRevoked { member },
            Local::Submitted { id, member },
            Local::Discharged { id },
            Local::Evicted { id },
            Local::Marked { id, kind: RecordKind::Ack, address, created_at, expires_at },
        ];
        let mut facts: Vec<Fact> = facts.into_iter().map(Fact::Local).collect();
        facts.push(Fact::Floors(Floors { rows: Hour(500_012), acks: Hour(12) }));
        let (kind, holding) = (RecordKind::Envelope, Holding::Killed);
        let outbox = Some(member);
        let position = Some(Position(5));
        let row =
            Row { id, kind, address, created_at, expires_at, frame_bytes: 9, holding, acked: true, outbox, position };
        facts.push(Fact::Row(row));
        for fact in facts {
            let bytes = fact.encode();
            assert_eq!(Fact::decode(bytes.clone()).as_ref(), Some(&fact));
            for cut in 0..bytes.len() {
                assert_eq!(Fact::decode(bytes.slice(..cut)), None, "{fact:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn the_floor_of_earlier_logs_was_that_of_acks_too() {
        let bytes = with_kind(FLOOR, &codec::encode(&Hour(500_012)));
        let floors = Floors { rows: Hour(500_012), acks: Hour(500_012) };
        assert_eq!(Fact::decode(bytes.into()), Some(Fact::Floors(floors)));
    }
}
