//! What is inside the outer seals, and inside Olm.
//!
//! ```text
//! direct payload:  seal( Inner { chain, seq, prev, olm, fallback } )      olm( JSON: Said )
//! request payload: hpke( Request { identity, fallback, name, mailbox, … } )  olm( JSON: Said::Request )
//! ```

use bincode::{Decode, Encode};
use griot_protocol::{
    DeliverSecret, MailboxKeys, MailboxKind, RecordId, Timestamp, codec, invite::DISPLAY_NAME_BYTES_MAX,
};
use serde::{Deserialize, Serialize};

use super::limits::{REQUEST_MESSAGE_BYTES_MAX, RESENDS_MAX, UNREADABLE_MAX};

/// What signatures over requests are made for.
const REQUEST_DOMAIN: &[u8] = b"griot 1 contact request";

/// The longest message id that is looked at: 16 bytes in hex.
const MESSAGE_ID_CHARS: usize = 32;

/// A direct payload's content. It is decoded before Olm sees anything, so that messages reach Olm in order.
#[derive(Clone, Encode, Decode)]
pub(super) struct Inner {
    /// Random, new for every writer, mailbox and restore.
    pub chain: [u8; 16],
    /// Counts from 0 within the chain.
    pub seq: u64,
    /// BLAKE3 of the payload before, zeros for the first.
    pub prev: [u8; 32],
    /// Olm's message type: 0 pre-key, 1 normal.
    pub olm_type: u8,
    /// Olm's message.
    pub olm: Vec<u8>,
    /// The sender's fallback key, where the recipient has not heard it. Outside Olm, because it is what heals a session
    /// that is out of step; the seal key, which two people hold, vouches for it.
    pub fallback: Option<[u8; 32]>,
}

/// Keys of a mailbox, given to the one who may write to it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub(super) struct Handover {
    pub keys: MailboxKeys,
    #[serde(with = "hex32")]
    pub deliver: [u8; 32],
    #[serde(with = "hex32")]
    pub seal: [u8; 32],
}

impl Handover {
    /// Whether one can write to it.
    pub fn is_sound(&self) -> bool {
        self.keys.kind == MailboxKind::Direct && DeliverSecret::from_bytes(&self.deliver).public() == self.keys.deliver
    }
}

/// A request's content.
#[derive(Clone, Encode, Decode)]
pub(super) struct Request {
    pub ed25519: [u8; 32],
    pub curve25519: [u8; 32],
    pub fallback: [u8; 32],
    pub name: String,
    pub mailbox: Handover,
    /// The first pre-key message, with a [`Said::Request`].
    pub olm: Vec<u8>,
    /// The Ed25519 key's signature over [`Request::to_sign`].
    pub signature: [u8; 64],
}

impl Request {
    /// What ties the identity keys to each other, to the mailbox offered and to the invite's address.
    pub fn to_sign(&self, invite: &griot_protocol::Address) -> Vec<u8> {
        let fields = (self.ed25519, self.curve25519, self.fallback, self.name.clone(), self.mailbox.clone());
        [REQUEST_DOMAIN, &[0], invite.as_bytes(), &codec::encode(&fields)].concat()
    }

    /// The hash of [`Request::to_sign`], said again inside Olm, so that the Olm identity vouches for it too.
    pub fn binding(&self, invite: &griot_protocol::Address) -> String {
        blake3::hash(&self.to_sign(invite)).to_hex().to_string()
    }
}

/// What is said inside Olm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Said {
    /// A message to show.
    Message { id: String, at: Timestamp, content: serde_json::Value },
    /// Please accept me.
    Request { message: Option<String>, binding: String },
    /// I accept; write to this mailbox.
    Accept { name: String, mailbox: Handover },
    /// From now on, write to this mailbox.
    Mailbox { mailbox: Handover },
    /// I could not read these: say them again.
    Unreadable { records: Vec<RecordId> },
}

impl Said {
    /// Reads it; `None` where it is nothing that this version understands, or breaks a bound.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let said: Self = serde_json::from_slice(bytes).ok()?;
        let sound = match &said {
            Self::Message { id, .. } => is_message_id(id),
            Self::Request { message, .. } => {
                message.as_ref().is_none_or(|message| message.len() <= REQUEST_MESSAGE_BYTES_MAX)
            }
            Self::Accept { name, mailbox } => is_name(name) && mailbox.is_sound(),
            Self::Mailbox { mailbox } => mailbox.is_sound(),
            Self::Unreadable { records } => records.len() <= UNREADABLE_MAX,
        };
        sound.then_some(said)
    }
}

/// Something said to a contact, and the records in which the same was said before and could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Utterance {
    #[serde(flatten)]
    pub said: Said,
    /// At most [`RESENDS_MAX`]; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<RecordId>,
}

impl Utterance {
    /// Reads it; `None` where it is nothing that this version understands, or breaks a bound.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        /// The part beside what is said: read on its own, so that each half has one way to be wrong.
        #[derive(Deserialize)]
        struct Beside {
            #[serde(default)]
            again: Vec<RecordId>,
        }
        let said = Said::parse(bytes)?;
        let Beside { again } = serde_json::from_slice(bytes).ok()?;
        (again.len() <= RESENDS_MAX).then_some(Self { said, again })
    }
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handover({})", self.keys.address())
    }
}

/// Whether a text can be somebody's name: shown in terminals, so without control characters.
pub(super) fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= DISPLAY_NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

fn is_message_id(id: &str) -> bool {
    id.len() == MESSAGE_ID_CHARS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// 32 bytes as lowercase hex in JSON.
mod hex32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        <[u8; 32]>::try_from(bytes).map_err(|_| D::Error::custom("expected 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = codec::decode::<Inner>(&bytes);
            let _ = codec::decode::<Request>(&bytes);
            let _ = Utterance::parse(&bytes);
        }
    }

    #[test]
    fn what_is_said_again_names_the_records_before_and_a_first_time_names_none() {
        let said = Said::Message { id: "0".repeat(32), at: Timestamp(1), content: serde_json::json!({"type": "text"}) };
        for again in [Vec::new(), vec![RecordId([7; 32]); RESENDS_MAX]] {
            let text = serde_json::to_vec(&Utterance { said: said.clone(), again: again.clone() }).unwrap();
            assert_eq!(Utterance::parse(&text), Some(Utterance { said: said.clone(), again }));
        }
        let first = serde_json::to_value(Utterance { said: said.clone(), again: Vec::new() }).unwrap();
        assert!(first.get("again").is_none());
        let many = Utterance { said, again: vec![RecordId([7; 32]); RESENDS_MAX + 1] };
        assert_eq!(Utterance::parse(&serde_json::to_vec(&many).unwrap()), None);
    }

    #[test]
    fn bounds_are_checked_where_it_is_read() {
        let message = |id: &str| format!(r#"{{"type":"message","id":"{id}","at":1,"content":{{}}}}"#);
        assert!(Said::parse(message(&"0".repeat(32)).as_bytes()).is_some());
        assert!(Said::parse(message("-rf").as_bytes()).is_none());
        assert!(Said::parse(br#"{"type":"telepathy"}"#).is_none());
        assert!(!is_name("") && !is_name("a\u{1b}[2J") && !is_name(&"x".repeat(65)) && is_name("Awa"));
    }
}
