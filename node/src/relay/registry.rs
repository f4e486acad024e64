//! Mailboxes registered here, and what their members use: custody class 1.
//!
//! Kept in memory, loaded from the store at start. Grants stay in the store, they are needed for receipts only. A
//! mailbox that several members registered (a group's, say) counts against each of them.

use std::collections::BTreeMap;

use griot_protocol::Address;

use crate::store::{MemberId, Usage};

use super::limits::{Limits, Quota};

#[derive(Debug, Default)]
struct Mailbox {
    members: Vec<MemberId>,
    bytes: u64,
}

/// What one member uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberUse {
    /// Mailboxes, those whose registration is under way included.
    pub mailboxes: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// All registrations.
#[derive(Debug, Default)]
pub(super) struct Registry {
    mailboxes: BTreeMap<Address, Mailbox>,
    members: BTreeMap<MemberId, MemberUse>,
    /// Registrations under way: they count against the quota, so that many at once cannot overrun it.
    reserved: BTreeMap<MemberId, u64>,
    refreshed: Option<Address>,
}

/// The quota of a member.
pub(super) fn quota_of(limits: &Limits, member: MemberId) -> &Quota {
    if member == MemberId::LOCAL { &limits.local } else { &limits.member }
}

impl Registry {
    pub(super) fn contains(&self, address: &Address) -> bool {
        self.mailboxes.contains_key(address)
    }

    pub(super) fn has(&self, address: &Address, member: MemberId) -> bool {
        self.mailboxes.get(address).is_some_and(|mailbox| mailbox.members.contains(&member))
    }

    pub(super) fn usage(&self, member: MemberId) -> MemberUse {
        let mut usage = self.members.get(&member).copied().unwrap_or_default();
        usage.mailboxes += self.reserved.get(&member).copied().unwrap_or(0);
        usage
    }

    /// Whether a registered mailbox has room for `bytes` more, at the expense of any of its members.
    pub(super) fn has_room(&self, address: &Address, bytes: u64, limits: &Limits) -> bool {
        self.mailboxes.get(address).is_some_and(|mailbox| {
            mailbox.members.iter().any(|member| {
                self.usage(*member).bytes.saturating_add(bytes) <= quota_of(limits, *member).mailbox_bytes
            })
        })
    }

    pub(super) fn reserve(&mut self, member: MemberId) {
        *self.reserved.entry(member).or_default() += 1;
    }

    pub(super) fn release(&mut self, member: MemberId) {
        if let Some(count) = self.reserved.get_mut(&member) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.reserved.remove(&member);
            }
        }
    }

    /// A registration is durable. Returns whether it is the mailbox's first.
    pub(super) fn insert(&mut self, address: Address, member: MemberId, usage: Usage) -> bool {
        let mailbox = self.mailboxes.entry(address).or_default();
        let first = mailbox.members.is_empty();
        if !mailbox.members.contains(&member) {
            mailbox.members.push(member);
            let used = self.members.entry(member).or_default();
            used.mailboxes += 1;
            used.bytes += mailbox.bytes;
        }
        self.refresh(&address, usage);
        first
    }

    /// A registration has ended. Returns whether it was the mailbox's last.
    pub(super) fn remove(&mut self, address: &Address, member: MemberId) -> bool {
        let Some(mailbox) = self.mailboxes.get_mut(address) else { return false };
        let before = mailbox.members.len();
        mailbox.members.retain(|other| *other != member);
        if mailbox.members.len() < before
            && let Some(used) = self.members.get_mut(&member)
        {
            used.mailboxes = used.mailboxes.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(mailbox.bytes);
            if used.mailboxes == 0 {
                self.members.remove(&member);
            }
        }
        if mailbox.members.is_empty() {
            self.mailboxes.remove(address);
            return true;
        }
        false
    }

    /// All mailboxes that `member` registered.
    pub(super) fn of_member(&self, member: MemberId) -> Vec<Address> {
        self.mailboxes
            .iter()
            .filter(|(_, mailbox)| mailbox.members.contains(&member))
            .map(|(address, _)| *address)
            .collect()
    }

    /// Takes over what the store says that a mailbox holds.
    pub(super) fn refresh(&mut self, address: &Address, usage: Usage) {
        let Some(mailbox) = self.mailboxes.get_mut(address) else { return };
        for member in &mailbox.members {
            if let Some(used) = self.members.get_mut(member) {
                used.bytes = used.bytes.saturating_sub(mailbox.bytes).saturating_add(usage.bytes);
            }
        }
        mailbox.bytes = usage.bytes;
    }

    /// The next `max` mailboxes in turn, so that over time all are refreshed.
    pub(super) fn next_to_refresh(&mut self, max: usize) -> Vec<Address> {
        let from = match self.refreshed {
            Some(address) => (std::ops::Bound::Excluded(address), std::ops::Bound::Unbounded),
            None => (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded),
        };
        let next: Vec<Address> = self.mailboxes.range(from).take(max).map(|(address, _)| *address).collect();
        self.refreshed = if next.len() < max { None } else { next.last().copied() };
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: MemberId = MemberId([1; 16]);
    const BEN: MemberId = MemberId([2; 16]);

    fn usage(bytes: u64) -> Usage {
        Usage { envelopes: 1, bytes }
    }

    #[test]
    fn a_shared_mailbox_counts_for_each_and_stays_until_the_last_leaves() {
        let address = Address([7; 32]);
        let mut registry = Registry::default();
        assert!(registry.insert(address, ANA, usage(10)));
        assert!(!registry.insert(address, BEN, usage(10)));
        assert!(!registry.insert(address, BEN, usage(30)), "renewing changes nothing but the usage");
        assert_eq!(registry.usage(ANA), MemberUse { mailboxes: 1, bytes: 30 });
        assert_eq!(registry.usage(BEN), MemberUse { mailboxes: 1, bytes: 30 });
        assert!(!registry.remove(&address, ANA));
        assert_eq!(registry.usage(ANA), MemberUse::default());
        registry.refresh(&address, usage(5));
        assert_eq!(registry.usage(BEN).bytes, 5);
        assert!(registry.remove(&address, BEN));
        assert!(!registry.contains(&address));
    }

    #[test]
    fn refreshing_comes_round_to_everyone() {
        let mut registry = Registry::default();
        for n in 0..5 {
            registry.insert(Address([n; 32]), ANA, usage(0));
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(registry.next_to_refresh(2));
        }
        assert_eq!(seen, registry.mailboxes.keys().copied().collect::<Vec<_>>());
    }
}
