//! What is checked when the run is over.
//!
//! Promises about delivery hold *once the network is whole and had time*. So they are checked for what was accepted
//! long enough before the end, and only where since then nothing was cut, every node that is not gone for ever ran, and
//! the readers were on line. Where a node was lost with its disk, what only it held is lost with it, and delivery is
//! counted but not demanded. Nodes that mean harm promise nothing: what only they accepted, and readers who live on no
//! other, are not looked at, nor is what they hold. What they do to honest nodes is, whatever comes of it.

use std::sync::atomic::Ordering;

use griot_node::store::Holding;
use griot_protocol::Unverified;

use super::{World, invariants::Law, time::now, trace::Short};
use crate::plan::{EventPlan, MessageIndex, PersonIndex, VirtualMs};

/// How long a whole network may take to bring everything everywhere: three rounds of sync over a few hops, and the
/// longest pause after a failure.
pub(crate) const SETTLES_WITHIN_MS: u64 = 180_000;

impl World {
    /// Checks what must hold at the end.
    pub(crate) fn check_at_the_end(&self) {
        if !self.is_settled() {
            return;
        }
        if !self.is_anything_lost() {
            self.check_delivery();
            self.check_receipts();
        }
        self.check_acked_is_gone();
    }

    /// Whether nothing has disturbed the network for long enough.
    fn is_settled(&self) -> bool {
        let quiet_ms = now().0.saturating_sub(self.quiet_since.load(Ordering::Relaxed));
        let all_up = self.nodes().all(|node| {
            let slot = self.slot(node);
            slot.dead || slot.running.is_some()
        });
        quiet_ms >= SETTLES_WITHIN_MS && all_up && self.net.is_whole()
    }

    /// Whether the plan loses a disk for good.
    fn is_anything_lost(&self) -> bool {
        self.plan.events.iter().any(|(_, event)| matches!(event, EventPlan::Die(_) | EventPlan::LoseStore(_)))
    }

    fn reads_somewhere(&self, person: PersonIndex) -> bool {
        let (online, homes) = {
            let state = self.people.person(person);
            (state.online, state.homes.clone())
        };
        online && homes.iter().any(|home| self.is_honest(*home) && self.handle(*home).is_some())
    }

    fn check_delivery(&self) {
        let now = now();
        for (index, plan) in self.plan.messages.iter().enumerate() {
            let message = MessageIndex(index as u32);
            let (accepted, expires) = {
                let ledger = self.ledger.state();
                let fate = &ledger.fates[index];
                (fate.accepted, fate.expires)
            };
            let (Some((at, home)), Some(expires)) = (accepted, expires) else { continue };
            if at.0 + SETTLES_WITHIN_MS > now.0 || expires <= now || !self.is_honest(home) {
                continue;
            }
            for reader in self.plan.readers_of(plan) {
                if !self.reads_somewhere(reader) {
                    continue;
                }
                let mut ledger = self.ledger.state();
                let read = ledger.has_read(reader, message);
                ledger.invariants.check(Law::AcceptedIsDelivered, read, || {
                    format!(
                        "message {index}, accepted by node {} at {} ms, had not reached person {} at {} ms",
                        home.0, at.0, reader.0, now.0
                    )
                });
            }
        }
    }

    fn check_acked_is_gone(&self) {
        let now = now();
        let acked = self.acked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for node in self.nodes().filter(|node| self.is_honest(*node)) {
            let slot = self.slot(node);
            if slot.dead {
                continue;
            }
            for (id, at) in acked.iter().filter(|(_, at)| at.0 + SETTLES_WITHIN_MS <= now.0) {
                let gone = !matches!(slot.disk.store.frame(id), Ok(Some(_)));
                self.ledger.state().invariants.check(Law::AckedIsGone, gone, || {
                    format!("node {} still holds {}, which was acked at {} ms", node.0, Short(&id.0), at.0)
                });
            }
        }
    }

    /// Every node that signed a receipt has the envelope, or knows that it was collected.
    fn check_receipts(&self) {
        for node in self.nodes().filter(|node| self.is_honest(*node)) {
            let (store, id) = {
                let slot = self.slot(node);
                if slot.dead {
                    continue;
                }
                (slot.disk.store.clone(), slot.identity.node_id())
            };
            let now = VirtualMs(now().0);
            for (message, record) in self.written() {
                let Ok(about) = store.about(&record) else { continue };
                for about in about {
                    let Ok(Some(frame)) = store.frame(&about) else { continue };
                    let Ok(receipt) = Unverified::parse(frame) else { continue };
                    let griot_protocol::Body::Custody(custody) = receipt.claimed().body() else { continue };
                    if custody.node != id || self.ledger.state().fates[message.0 as usize].expires <= Some(now) {
                        continue;
                    }
                    let row = store.row(&record).ok().flatten();
                    let holds = row.is_some_and(|row| row.acked || row.holding == Holding::Held);
                    self.ledger.state().invariants.check(Law::StoredIsTrue, holds, || {
                        format!("node {} signed a receipt for message {} and does not hold it", node.0, message.0)
                    });
                }
            }
        }
    }
}
