//! A look at what goes over a substream: which frames gossip sends, and how often.
//!
//! gossipsub does not tell how many copies it sends. The bytes do: a substream begins with multistream-select's lines,
//! and if the protocol chosen is gossipsub's, then come its messages, each with its length, as protobuf. A frame is known
//! by the end of its signature, which is as good as random.

use super::Net;

/// What gossipsub's protocols begin with.
const GOSSIPSUB: &[u8] = b"/meshsub/";

/// What multistream-select says first.
const MULTISTREAM: &[u8] = b"/multistream/1.0.0\n";

/// No line of multistream-select is longer.
const LINE_BYTES_MAX: u64 = 128;

/// Bytes by which a frame is known.
const MARK_BYTES: usize = 8;

/// Protobuf: field 2 of an RPC is a message, field 2 of a message is its data; both are "length-delimited".
const RPC_PUBLISH: u64 = 2 << 3 | 2;
const MESSAGE_DATA: u64 = 2 << 3 | 2;

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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Speech {
    #[default]
    Negotiating,
    Gossip,
    Other,
}

impl Tap {
    /// Looks at bytes that are being written.
    pub(crate) fn look(&mut self, net: &Net, written: &[u8]) {
        if self.speech == Speech::Other {
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
        if self.speech != Speech::Other {
            self.rest.extend_from_slice(rest);
        }
    }

    /// Reads whole lines and messages; says how many bytes they were.
    fn read(&mut self, net: &Net, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some((length, head)) = varint(&bytes[done..]) {
            if self.speech == Speech::Negotiating && length > LINE_BYTES_MAX {
                self.speech = Speech::Other;
            }
            if self.speech == Speech::Other {
                break;
            }
            let end = done + head + usize::try_from(length).unwrap_or(usize::MAX / 2);
            let Some(body) = bytes.get(done + head..end) else { break };
            match self.speech {
                Speech::Negotiating => self.speech = after_line(body),
                Speech::Gossip => count_frames(net, body),
                Speech::Other => {}
            }
            done = end;
        }
        done
    }
}

fn after_line(line: &[u8]) -> Speech {
    if line == MULTISTREAM {
        Speech::Negotiating
    } else if line.starts_with(GOSSIPSUB) {
        Speech::Gossip
    } else {
        Speech::Other
    }
}

fn count_frames(net: &Net, rpc: &[u8]) {
    for message in fields(rpc, RPC_PUBLISH) {
        for frame in fields(message, MESSAGE_DATA) {
            if let Some(mark) = mark_of(frame) {
                net.count_copy(mark);
            }
        }
    }
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
        assert_eq!((net.copies(0), tap.speech), (0, Speech::Other));
        assert!(tap.rest.is_empty());
    }
}
