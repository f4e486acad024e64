//! Members, and the mailboxes they register: changes are durable before they are answered.

use griot_protocol::{Address, Grant, MailboxKeys, Refusal};

use crate::store::{Entry, Local, MemberId};

use super::{
    Relay,
    disk::unreadable,
    pending::Commit,
    registry::quota_of,
    turn::Turn,
    types::{Answer, CallError, CallId, Output},
};

impl Relay {
    pub(super) fn register(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        member: MemberId,
        keys: MailboxKeys,
        grant: Grant,
    ) {
        if let Err(error) = self.may_register(turn, member, &keys, &grant) {
            turn.emit(Output::Respond { call, result: Err(error) });
            return;
        }
        let reserved = !self.registry.has(&keys.address(), member);
        if reserved {
            self.registry.reserve(member);
        }
        let entry = Entry::Local(Local::Registered { member, keys, grant, at: turn.wall });
        self.commit(turn, vec![entry], Commit::Register { call, member, keys, reserved });
    }

    fn may_register(
        &self,
        turn: &Turn<'_>,
        member: MemberId,
        keys: &MailboxKeys,
        grant: &Grant,
    ) -> Result<(), CallError> {
        if !grant.is_bounded(turn.wall) || grant.until <= turn.wall {
            return Err(CallError::Refused(Refusal::Grant));
        }
        let quota = quota_of(&self.config.limits, member).mailboxes;
        if !self.registry.has(&keys.address(), member) && self.registry.usage(member).mailboxes >= quota {
            return Err(CallError::Quota(format!(
                "this node registers {quota} mailboxes for a member: withdraw some, or use another node"
            )));
        }
        self.takes_local()
    }

    pub(super) fn unregister(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId, address: Address) {
        let may = if self.registry.has(&address, member) { self.takes_local() } else { Err(CallError::NotFound) };
        if let Err(error) = may {
            turn.emit(Output::Respond { call, result: Err(error) });
            return;
        }
        let entry = Entry::Local(Local::Unregistered { member, address });
        self.commit(turn, vec![entry], Commit::Unregister { call, member, address });
    }

    pub(super) fn add_member(
        &mut self,
        turn: &mut Turn<'_>,
        call: CallId,
        member: MemberId,
        label: String,
        token_hash: [u8; 32],
    ) {
        if let Err(error) = self.takes_local() {
            turn.emit(Output::Respond { call, result: Err(error) });
            return;
        }
        let entry = Entry::Local(Local::MemberAdded { member, label, token_hash, at: turn.wall });
        self.commit(turn, vec![entry], Commit::AddMember { call });
    }

    pub(super) fn revoke_member(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId) {
        let members = turn.store.members();
        let may = match turn.read(members) {
            Ok(members) if members.iter().any(|row| row.member == member) => self.takes_local(),
            Ok(_) => Err(CallError::NotFound),
            Err(_) => Err(unreadable()),
        };
        if let Err(error) = may {
            turn.emit(Output::Respond { call, result: Err(error) });
            return;
        }
        let entry = Entry::Local(Local::MemberRevoked { member });
        self.commit(turn, vec![entry], Commit::RevokeMember { call, member });
    }

    fn takes_local(&self) -> Result<(), CallError> {
        if self.pending.takes_local() { Ok(()) } else { Err(CallError::Busy) }
    }

    /// A registration is durable.
    pub(super) fn registered(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId, keys: &MailboxKeys) {
        let address = keys.address();
        let usage = turn.store.usage(&address);
        if self.registry.insert(address, member, usage) {
            let shard = address.shard(self.config.params.bits);
            if self.carriage.add(shard) {
                self.now_carries(turn, shard);
            }
        }
        // Mail that came before the mailbox was registered, or while its grant had run out, has no receipt yet.
        if usage.envelopes > 0 {
            self.receipts.scan(address);
        }
        turn.emit(Output::Respond { call, result: Ok(Answer::Done) });
    }

    /// The end of a registration is durable.
    pub(super) fn unregistered(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId, address: &Address) {
        self.forget(turn, &[*address], member);
        turn.emit(Output::Respond { call, result: Ok(Answer::Done) });
    }

    /// A member's end is durable, and with it that of its registrations.
    pub(super) fn member_revoked(&mut self, turn: &mut Turn<'_>, call: CallId, member: MemberId) {
        let addresses = self.registry.of_member(member);
        self.forget(turn, &addresses, member);
        turn.emit(Output::Respond { call, result: Ok(Answer::Done) });
    }

    fn forget(&mut self, turn: &mut Turn<'_>, addresses: &[Address], member: MemberId) {
        let mut carries_less = false;
        for address in addresses {
            if self.registry.remove(address, member) {
                carries_less |= self.carriage.remove(address.shard(self.config.params.bits));
            }
        }
        if carries_less {
            self.carries_less(turn);
        }
    }
}
