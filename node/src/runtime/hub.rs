//! Who waits for what: streams sleep here until their mailbox or record has news.
//!
//! Nothing travels through the hub but a number that grows. A slow reader misses wake-ups, never envelopes: it reads
//! them from the store, from its own cursor, whenever it gets round to it. So no queue can overflow here.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use griot_protocol::{Address, RecordId};
use tokio::sync::watch;

/// Sleepers by what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    mailboxes: Topics<Address>,
    records: Topics<RecordId>,
}

impl Hub {
    /// Sleeps until envelopes arrive in a mailbox.
    pub(crate) fn watch_mailbox(&self, address: Address) -> watch::Receiver<u64> {
        self.mailboxes.watch(address)
    }

    /// Sleeps until receipts or acks arrive for an envelope.
    pub(crate) fn watch_record(&self, id: RecordId) -> watch::Receiver<u64> {
        self.records.watch(id)
    }

    pub(crate) fn wake_mailbox(&self, address: &Address) {
        self.mailboxes.wake(address);
    }

    pub(crate) fn wake_record(&self, id: &RecordId) {
        self.records.wake(id);
    }
}

#[derive(Debug)]
struct Topics<K>(Mutex<BTreeMap<K, watch::Sender<u64>>>);

impl<K> Default for Topics<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Topics<K> {
    fn watch(&self, key: K) -> watch::Receiver<u64> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Topics nobody waits for any more go when the map has doubled since: amortised, and bounded by the sleepers.
        if topics.len().is_power_of_two() {
            topics.retain(|_, topic| topic.receiver_count() > 0);
        }
        topics.entry(key).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn wake(&self, key: &K) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(key) {
            topic.send_modify(|version| *version += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_and_forgotten_topics_go() {
        let hub = Hub::default();
        let mut kept = hub.watch_mailbox(Address([0; 32]));
        for n in 1..=64 {
            drop(hub.watch_mailbox(Address([n; 32])));
        }
        assert!(hub.mailboxes.0.lock().unwrap().len() <= 65);
        hub.wake_mailbox(&Address([0; 32]));
        assert!(kept.has_changed().unwrap());
        kept.mark_unchanged();
        hub.wake_mailbox(&Address([1; 32]));
        assert!(!kept.has_changed().unwrap());
    }
}
