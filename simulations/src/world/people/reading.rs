//! Reading a mailbox at a home, and acking what was read.

use std::collections::BTreeSet;

use bytes::Bytes;
use griot_node::runtime::Handle;
use griot_protocol::{
    Body, NodeId, RecordId, RecordKind, Unverified, ack, ack::AckItem, api::RecordStatus, limits::ITEMS_MAX,
};

use crate::{
    plan::{MailboxIndex, MessagePlan, NodeIndex, PersonIndex},
    world::{World, member_of},
};

/// Envelopes read at once.
const PAGE_ENVELOPES: usize = 256;

/// How many nodes have signed receipts, as the author finds in a record's status.
pub(super) fn stored_on(status: &RecordStatus) -> u32 {
    let nodes: BTreeSet<NodeId> = status.receipts.iter().filter_map(|receipt| signer(receipt)).collect();
    u32::try_from(nodes.len()).unwrap_or(u32::MAX)
}

fn signer(receipt: &str) -> Option<NodeId> {
    let frame = data_encoding::BASE64.decode(receipt.as_bytes()).ok()?;
    match Unverified::parse(Bytes::from(frame)).ok()?.claimed().body() {
        Body::Custody(custody) => Some(custody.node),
        Body::Envelope(_) | Body::Ack(_) => None,
    }
}

impl World {
    /// Reads what is new in a mailbox at a home.
    pub(super) fn read_mailbox(&self, person: PersonIndex, home: NodeIndex, handle: &Handle, mailbox: MailboxIndex) {
        let keys = self.people.mailbox(mailbox);
        let is_direct = !self.plan.mailboxes[mailbox.0 as usize].shared;
        loop {
            let cursor = self.people.person(person).cursors.get(&(home, mailbox)).copied();
            // A store in memory does not fail to be read.
            let Ok(page) = handle.page(&keys.address, cursor, PAGE_ENVELOPES) else { return };
            for (cursor, id, frame) in &page.entries {
                let item = Unverified::parse(frame.clone()).ok().and_then(|record| ack_item(&record));
                let is_ours = item.is_some() && self.is_for(id, mailbox);
                let is_new = !self.is_by(id, person) && self.ledger.state().read(person, home, id, is_ours);
                let mut state = self.people.person(person);
                state.cursors.insert((home, mailbox), *cursor);
                if let Some(item) = item.filter(|_| is_direct && is_new) {
                    state.to_ack.entry(mailbox).or_default().insert(item);
                }
            }
            if !page.more {
                return;
            }
        }
    }

    fn plan_of(&self, id: &RecordId) -> Option<&MessagePlan> {
        let message = self.ledger.state().message_of(id)?;
        self.plan.messages.get(message.0 as usize)
    }

    fn is_for(&self, id: &RecordId, mailbox: MailboxIndex) -> bool {
        self.plan_of(id).is_some_and(|plan| plan.mailbox == mailbox)
    }

    /// Whether a person wrote it, and meets it again in a mailbox that it shares.
    fn is_by(&self, id: &RecordId, person: PersonIndex) -> bool {
        self.plan_of(id).is_some_and(|plan| plan.author == person)
    }

    /// Acks what was read, at a home. What it does not take is tried again with the next reading, at whichever home.
    pub(super) async fn ack_what_was_read(&self, person: PersonIndex, home: NodeIndex, handle: &Handle) {
        loop {
            let next = {
                let state = self.people.person(person);
                let next = state.to_ack.first_key_value();
                next.map(|(mailbox, items)| (*mailbox, items.iter().copied().take(ITEMS_MAX).collect::<Vec<_>>()))
            };
            let Some((mailbox, items)) = next else { return };
            let keys = self.people.mailbox(mailbox);
            let Ok(record) = ack::make(&self.params, &keys.collect, keys.keys, true, items.clone()) else { return };
            let taken = handle.submit(member_of(person), record.frame().clone()).await;
            if let Err(error) = taken {
                self.note(format_args!("n{} takes no ack of p{}: {error}", home.0, person.0));
                return;
            }
            let mut state = self.people.person(person);
            if let Some(waiting) = state.to_ack.get_mut(&mailbox) {
                for item in &items {
                    waiting.remove(item);
                }
                if waiting.is_empty() {
                    state.to_ack.remove(&mailbox);
                }
            }
            drop(state);
            if self.is_honest(home) {
                self.acked(items.iter().map(|item| item.id));
            }
        }
    }

    pub(crate) fn acked(&self, ids: impl Iterator<Item = RecordId>) {
        let now = crate::world::time::now();
        let mut acked = self.acked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for id in ids {
            acked.entry(id).or_insert(now);
        }
    }
}

fn ack_item(record: &Unverified) -> Option<AckItem> {
    let record = record.claimed();
    (record.kind() == RecordKind::Envelope).then(|| AckItem { created_at: record.body().created_at(), id: record.id() })
}
