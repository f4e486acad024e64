//! Names of protocols, as numbers.
//!
//! libp2p keeps every name that is offered on a connection with that connection, and compares all of them after each
//! frame. A name here is the number of a slot in a table of the process: for eight protocols a few bytes on each
//! connection, and the text, which is compared, is the same memory for all.

use std::sync::OnceLock;

/// Different names that this process has offered: eight, and one more for each network that it was in, of which there is
/// one, or some in tests.
const NAMES_MAX: usize = 256;

static NAMES: [OnceLock<Box<str>>; NAMES_MAX] = [const { OnceLock::new() }; NAMES_MAX];

/// A protocol's name: where it stands in the table of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u8);

impl Name {
    /// `None`, and a line in the log, where the table is full: then the protocol is not offered.
    pub(super) fn of(name: &str) -> Option<Self> {
        let slot = NAMES.iter().position(|slot| **slot.get_or_init(|| name.into()) == *name);
        if slot.is_none() {
            tracing::error!(name, "a protocol is not offered: this process knows {NAMES_MAX} others");
        }
        slot.and_then(|slot| u8::try_from(slot).ok()).map(Self)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        NAMES[usize::from(self.0)].get().map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_and_others_are_not() {
        let [first, second] = ["/names/1", "/names/2"].map(|name| Name::of(name).unwrap());
        assert_eq!(Name::of(&["/names", "/1"].concat()), Some(first));
        assert_ne!(first, second);
        assert_eq!((first.as_ref(), second.as_ref()), ("/names/1", "/names/2"));
    }
}
