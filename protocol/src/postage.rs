//! Postage: a little work for whoever makes a record, none for whoever checks it
//! (the idea is [Hashcash](http://www.hashcash.org/papers/hashcash.pdf), 2002).
//!
//! A record's id must begin with a number of zero bits. The maker changes the `stamp`, the last field of the header,
//! until it does.

use bincode::{Decode, Encode};

use crate::id::RecordId;

/// Eight bytes that the maker of a record is free to choose. A fixed width keeps the header's length the same for
/// every stamp, so that grinding overwrites bytes in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Stamp(pub [u8; 8]);

/// How many leading zero bits an id has; 255 also where all 256 are.
#[must_use]
pub fn bits_of(id: &RecordId) -> u8 {
    let mut bits: u8 = 0;
    for byte in id.0 {
        bits = bits.saturating_add(byte.leading_zeros() as u8);
        if byte != 0 {
            break;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leading_zero_bits() {
        let mut id = RecordId([0xff; 32]);
        assert_eq!(bits_of(&id), 0);
        id.0[0] = 0;
        id.0[1] = 0b0001_0000;
        assert_eq!(bits_of(&id), 11);
        assert_eq!(bits_of(&RecordId([0; 32])), 255);
    }
}
