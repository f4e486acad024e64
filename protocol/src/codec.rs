//! The one place where values become bytes and bytes become values.
//!
//! Bodies are [bincode](https://docs.rs/bincode/2.0.1) with `config::standard()`: little-endian, variable-length
//! integers (one byte below 251; then a marker 251, 252 or 253 and two, four or eight bytes). bincode is not canonical
//! by itself: it accepts a small number written long, and it ignores what follows the value. [`decode`] therefore
//! demands that every byte is consumed and that encoding the value again gives exactly the bytes that came. Two
//! different byte strings never decode to the same value, so a record has one id.
//!
//! bincode is no longer developed (3.0.0 is an empty package); 2.0.1 is pinned and used nowhere else, so that it can
//! be replaced here without touching the format.

use bincode::{
    Decode, Encode,
    config::{self, Configuration, Limit, LittleEndian, Varint},
};

use crate::limits::DECODE_BYTES_MAX;

type Config = Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>>;

const CONFIG: Config = config::standard().with_limit::<DECODE_BYTES_MAX>();

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end early, hold an unknown variant, or announce more than the limit.
    #[error("the bytes are not an encoded value")]
    Invalid,
    /// Bytes follow the value.
    #[error("bytes follow the value")]
    Trailing,
    /// The value has a shorter encoding than the one that came.
    #[error("the encoding is not canonical")]
    NotCanonical,
}

/// Encodes `value`.
///
/// The types of this crate always encode; a value larger than [`DECODE_BYTES_MAX`] gives bytes that nobody will decode.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Encoding into a Vec fails only where a type's own `Encode` does, and ours are all derived.
    bincode::encode_to_vec(value, CONFIG).unwrap_or_default()
}

/// Decodes the whole of `bytes`, accepting only what [`encode`] would have written.
///
/// # Errors
/// [`CodecError`], which says in what way the bytes are not canonical.
pub fn decode<T: Encode + Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, consumed) = bincode::decode_from_slice::<T, _>(bytes, CONFIG).map_err(|_| CodecError::Invalid)?;
    if consumed != bytes.len() {
        return Err(CodecError::Trailing);
    }
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_must_be_written_short() {
        assert_eq!(decode::<u64>(&[7]), Ok(7));
        assert_eq!(decode::<u64>(&[251, 7, 0]), Err(CodecError::NotCanonical));
        assert_eq!(decode::<u64>(&[7, 0]), Err(CodecError::Trailing));
        assert_eq!(decode::<u64>(&[251, 7]), Err(CodecError::Invalid));
    }

    #[test]
    fn a_huge_announced_length_is_refused_before_it_is_allocated() {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(decode::<Vec<u8>>(&bytes), Err(CodecError::Invalid));
    }
}
