//! A look at what goes over a substream: which frames are sent, how often, and what all the bytes are for.
//!
//! gossipsub does not tell how many copies it sends. The bytes do: a substream begins with multistream-select's lines,
//! and if the protocol chosen is gossipsub's, then come its messages, each with its length, as protobuf. Where it is
//! sync's, one message comes with its length, which the protocol's own decoder reads. A frame is known by the end of its
//! signature, which is as good as random.

use griot_protocol::sync::{SyncFrame, SyncRequest, SyncResponse};

use super::Net;

/// What multistream-select says first.
const MULTISTREAM: &[u8] = b"/multistream/1.0.0\n";

/// No line of multistream-select is longer.
const LINE_BYTES_MAX: u64 = 128;

/// Bytes by which a frame is known.
const MARK_BYTES: usize = 8;

/// Protobuf: field 2 of an RPC is a message, field 2 of a message is its data; both are "length-delimited".
const RPC_PUBLISH: u64 = 2 << 3 | 2;
const MESSAGE_DATA: u64 = 2 << 3 | 2;

/// Before a sync message: its length, little-endian.
const SYNC_LENGTH_BYTES: usize = 4;

/// How a frame is known.
pub(crate) fn mark_of(frame: &[u8]) -> Option<u64> {
    frame.last_chunk::<MARK_BYTES>().map(|end| u64::from_le_bytes(*end))
}

/// What one substream has said so far.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    speech: Speech,
    /// What was written of a line or message that is not complete.
    rest: Vec<u8>,
}

/// What a substream is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speech {
    /// Both sides agree on a protocol.
    #[default]
    Negotiating,
    Gossip,
    Sync,
    Ping,
    Identify,
    Kad,
    Other,
}

/// What protocols begin with.
const PROTOCOLS: [(&[u8], Speech); 5] = [
    (b"/meshsub/", Speech::Gossip),
    (griot_protocol::sync::PROTOCOL.as_bytes(), Speech::Sync),
    (b"/ipfs/ping/", Speech::Ping),
    (b"/ipfs/id/", Speech::Identify),
    (b"/griot/kad/", Speech::Kad),
];

impl Speech {
    pub(crate) const ALL: [Self; 7] =
        [Self::Negotiating, Self::Gossip, Self::Sync, Self::Ping, Self::Identify, Self::Kad, Self::Other];

    /// Its name among the counters.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Negotiating => "negotiation",
            Self::Gossip => "gossip",
            Self::Sync => "sync",
            Self::Ping => "ping",
            Self::Identify => "identify",
            Self::Kad => "kad",
            Self::Other => "other",
        }
    }

    const fn is_listened_to(self) -> bool {
        matches!(self, Self::Negotiating | Self::Gossip | Self::Sync)
    }
}

impl Tap {
    /// What the substream is about, as far as is known.
    pub(crate) const fn speech(&self) -> Speech {
        self.speech
    }

    /// Looks at bytes that are being written.
    pub(crate) fn look(&mut self, net: &Net, written: &[u8]) {
        if !self.speech.is_listened_to() {
            return;
        }
        if self.rest.is_empty() {
            let done = self.read(net, written);
            self.keep(&written[done..]);
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend_from_slice(written);
            let done = self.read(net, &all);
            self.keep(&all[done..]);
        }
    }

    fn keep(&mut self, rest: &[u8]) {
        if self.speech.is_listened_to() {
            self.rest.extend_from_slice(rest);
        }
    }

    /// Reads whole lines and messages; says how many bytes they were.
    fn read(&mut self, net: &Net, bytes: &[u8]) -> usize {
        let mut done = 0;
        while self.speech.is_listened_to() {
            let Some((length, head)) = self.length(&bytes[done..]) else { break };
            if self.speech == Speech::Negotiating && length > LINE_BYTES_MAX {
                self.speech = Speech::Other;
                break;
            }
            let end = done + head + usize::try_from(length).unwrap_or(usize::MAX / 2);
            let Some(body) = bytes.get(done + head..end) else { break };
            match self.speech {
                Speech::Negotiating => self.speech = after_line(body),
                Speech::Gossip => count_gossip(net, body),
                Speech::Sync => count_sync(net, body),
                Speech::Ping | Speech::Identify | Speech::Kad | Speech::Other => {}
            }
            done = end;
        }
        done
    }

    /// How long the next line or message is, and how many bytes say so.
    fn length(&self, bytes: &[u8]) -> Option<(u64, usize)> {
        if self.speech == Speech::Sync {
            let length = bytes.first_chunk::<SYNC_LENGTH_BYTES>()?;
            return Some((u64::from(u32::from_le_bytes(*length)), SYNC_LENGTH_BYTES));
        }
        varint(bytes)
    }
}

fn after_line(line: &[u8]) -> Speech {
    if line == MULTISTREAM {
        return Speech::Negotiating;
    }
    let known = PROTOCOLS.iter().find(|(begins, _)| line.starts_with(begins));
    known.map_or(Speech::Other, |(_, speech)| *speech)
}

fn count_gossip(net: &Net, rpc: &[u8]) {
    for message in fields(rpc, RPC_PUBLISH) {
        for frame in fields(message, MESSAGE_DATA) {
            if let Some(mark) = mark_of(frame) {
                net.count_copy(mark);
            }
        }
    }
}

/// A request and a response are told apart by their form: bytes that are one are not the other, and were they, they
/// would hold no frame that is counted.
fn count_sync(net: &Net, message: &[u8]) {
    let frames = match (SyncRequest::decode(message), SyncResponse::decode(message)) {
        (Ok(SyncRequest::Push { frames }), _) | (_, Ok(SyncResponse::Frames { frames, .. })) => frames,
        _ => return,
    };
    frames.iter().filter_map(|SyncFrame(frame)| mark_of(frame)).for_each(|mark| net.count_copy(mark));
}

/// The length-delimited fields with this tag.
fn fields(mut bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let (tag, head) = varint(bytes)?;
            bytes = &bytes[head..];
            let (number, head) = varint(bytes)?;
            bytes = &bytes[head..];
            match tag & 7 {
                0 => {}
                2 => {
                    let field = bytes.get(..usize::try_from(number).ok()?)?;
                    bytes = &bytes[field.len()..];
                    if tag == wanted {
                        return Some(field);
                    }
                }
                // gossipsub has no others.
                _ => return None,
            }
        }
    })
}

/// A varint and how many bytes it has.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut length = body.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(body);
        bytes
    }

    fn field(tag: u64, body: &[u8]) -> Vec<u8> {
        [vec![tag as u8], delimited(body)].concat()
    }

    /// An RPC with a subscription, two messages and a control message, all but the messages to be passed over.
    fn speech(protocol: &[u8]) -> Vec<u8> {
        let message = |end: u8| {
            let frame = [vec![0; 300], vec![end; 8]].concat();
            field(RPC_PUBLISH, &[field(MESSAGE_DATA, &frame), field(4 << 3 | 2, b"topic")].concat())
        };
        let subscription = field(1 << 3 | 2, &[8, 1]);
        let rpc = [subscription, message(1), field(3 << 3 | 2, b"control"), message(2)].concat();
        [delimited(MULTISTREAM), delimited(protocol), delimited(&rpc), delimited(&rpc)].concat()
    }

    #[test]
    fn copies_are_counted_however_the_bytes_are_cut() {
        let all = speech(b"/meshsub/1.2.0\n");
        for size in [1, 2, 7, 64, 333, all.len()] {
            let net = Net::empty();
            net.watch_frame(u64::from_le_bytes([2; 8]), 0);
            let mut tap = Tap::default();
            all.chunks(size).for_each(|chunk| tap.look(&net, chunk));
            assert_eq!(net.copies(0), 2, "in pieces of {size}");
            assert!(tap.rest.is_empty());
        }
    }

    #[test]
    fn other_protocols_are_not_looked_at() {
        let net = Net::empty();
        net.watch_frame(u64::from_le_bytes([2; 8]), 0);
        let mut tap = Tap::default();
        tap.look(&net, &speech(b"/ipfs/ping/1.0.0\n"));
        assert_eq!((net.copies(0), tap.speech), (0, Speech::Ping));
        assert!(tap.rest.is_empty());
    }

    #[test]
    fn frames_in_sync_are_counted_wherever_they_are_carried() {
        let frames = || [1, 2, 2].map(|end| SyncFrame([vec![0; 300], vec![end; 8]].concat().into())).to_vec();
        let push = SyncRequest::Push { frames: frames() }.encode();
        let answer = SyncResponse::Frames { frames: frames(), not_held: Vec::new() }.encode();
        for (message, size) in [(&push, 1), (&push, 4096), (&answer, 7), (&answer, 4096)] {
            let length = (message.len() as u32).to_le_bytes();
            let all =
                [delimited(MULTISTREAM), delimited(b"/griot/sync/1\n"), length.to_vec(), message.to_vec()].concat();
            let net = Net::empty();
            net.watch_frame(u64::from_le_bytes([2; 8]), 0);
            let mut tap = Tap::default();
            all.chunks(size).for_each(|chunk| tap.look(&net, chunk));
            assert_eq!((net.copies(0), tap.speech), (2, Speech::Sync), "in pieces of {size}");
            assert!(tap.rest.is_empty());
        }
    }
}
