//! The ends of a wire.

use std::{fmt, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

/// The most ends of one wire. Every pair has a generator and counters of its own, and every end a namespace and a
/// device: 128 of them are far more nodes than one machine runs as processes.
pub const ENDS_MAX: u16 = 128;

/// All addresses of a wire are in here: `10.78.0.0/16`.
pub(super) const PREFIX: [u8; 2] = [10, 78];

/// One end: the place of one machine, as its programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct End(u16);

impl End {
    /// The end with this number, counted from 0.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its place in a list of all ends.
    #[must_use]
    pub fn place(self) -> usize {
        self.0.into()
    }

    /// Its address: `10.78.0.1` for the first.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        let [high, low] = self.0.wrapping_add(1).to_be_bytes();
        Ipv4Addr::new(PREFIX[0], PREFIX[1], high, low)
    }

    /// Whose address this is.
    pub(super) fn at(address: Ipv4Addr) -> Option<Self> {
        let [a, b, high, low] = address.octets();
        let number = u16::from_be_bytes([high, low]).checked_sub(1)?;
        ([a, b] == PREFIX).then_some(Self(number))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "end {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_found_by_its_address() {
        for number in [0, 1, 254, 255, 256, ENDS_MAX - 1] {
            assert_eq!(End::at(End::new(number).address()), Some(End::new(number)));
        }
        assert_eq!(End::at(Ipv4Addr::new(10, 78, 0, 0)), None);
        assert_eq!(End::at(Ipv4Addr::new(10, 77, 0, 1)), None);
    }
}
