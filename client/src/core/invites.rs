//! Invites: a mailbox that everybody with the link may write one kind of thing to, a request.

use griot_protocol::{Address, InviteLink};
use vodozemac::{Ed25519PublicKey, Ed25519Signature, olm::PreKeyMessage};

use super::{
    contacts::{contact_id, id_of},
    crypto,
    error::ClientError,
    limits::{INVITE_DAYS_DEFAULT, INVITE_DAYS_MAX, INVITES_MAX, REQUESTS_MAX},
    rows::{ContactRow, InviteRow, MailboxRow, Purpose, RequestRow, key},
    tx::Tx,
    types::{ContactState, Event, Invite, InviteInfo, InviteOptions, RequestInfo},
    wire::{Request, Said, is_name},
};
use crate::store::Store;

/// Seconds of a day.
const DAY_SECONDS: u64 = 24 * 3600;

/// Postage on requests beyond the network's: strangers pay a little more.
const INVITE_POSTAGE_BITS_EXTRA: u8 = 4;

/// How long an ended invite stays in the list, in seconds.
const ENDED_INVITE_SECONDS: u64 = 30 * DAY_SECONDS;

impl InviteRow {
    /// As a person sees it.
    pub fn show(&self, now: griot_protocol::Timestamp) -> InviteInfo {
        InviteInfo {
            id: self.id.clone(),
            once: self.once,
            expires_at: self.expires_at,
            active: self.active && self.expires_at > now,
            requests: self.requests,
        }
    }
}

impl RequestRow {
    /// As a person sees it.
    pub fn show(&self) -> RequestInfo {
        RequestInfo { id: self.id.clone(), name: self.name.clone(), message: self.message.clone(), at: self.at }
    }
}

impl<S: Store> Tx<'_, S> {
    pub fn create_invite(&mut self, options: InviteOptions) -> Result<Invite, ClientError> {
        let days = options.expires_days.unwrap_or(INVITE_DAYS_DEFAULT);
        if days == 0 || days > INVITE_DAYS_MAX {
            return Err(ClientError::InviteDays);
        }
        let active = self.all::<InviteRow>(key::INVITES)?.iter().filter(|row| row.active).count();
        if active >= INVITES_MAX {
            return Err(ClientError::TooManyInvites);
        }
        let params = self.params()?;
        let mut account = self.account()?;
        let (identity_ed25519, identity_curve25519) = account.identity()?;
        let prekey = if options.once {
            let mut olm = account.olm()?;
            let made = olm.generate_one_time_keys(1).created;
            olm.mark_keys_as_published();
            account.olm = olm.pickle();
            self.put_account(&account)?;
            made.first().ok_or(ClientError::Crypto("no one-time key was made"))?.to_bytes()
        } else {
            account.fallback
        };
        let (private, hpke_public) = crypto::request_keys(self.rng);
        let id = id_of(&self.random());
        let mailbox = self.new_mailbox(Purpose::Invite(id.clone()), private)?;
        let expires_at = self.now.plus(u64::from(days) * DAY_SECONDS);
        let link = InviteLink {
            network: params.name.to_string(),
            bits: params.bits.get(),
            postage_bits: params.postage_bits.saturating_add(INVITE_POSTAGE_BITS_EXTRA),
            mailbox: mailbox.keys,
            deliver_secret: mailbox.deliver,
            hpke_public,
            identity_ed25519,
            identity_curve25519,
            prekey,
            once: options.once,
            expires_at,
            name: account.name,
        };
        let address = mailbox.keys.address();
        let row = InviteRow { id, once: options.once, expires_at, address, active: true, requests: 0 };
        self.put(key::invite(&row.id), &row)?;
        Ok(Invite { info: row.show(self.now), link: link.to_text() })
    }

    pub fn revoke_invite(&mut self, id: &str) -> Result<(), ClientError> {
        let row: InviteRow = self.get(&key::invite(id))?.ok_or(ClientError::NoSuchInvite)?;
        self.end_invite(row)
    }

    fn end_invite(&mut self, mut row: InviteRow) -> Result<(), ClientError> {
        row.active = false;
        self.put(key::invite(&row.id), &row)?;
        self.withdraw(&row.address)
    }

    /// Ends invites whose time has run out, and forgets those that ended long ago.
    pub fn expire_invites(&mut self) -> Result<(), ClientError> {
        for row in self.all::<InviteRow>(key::INVITES)? {
            if row.expires_at.plus(ENDED_INVITE_SECONDS) <= self.now {
                self.withdraw(&row.address)?;
                self.delete(key::invite(&row.id));
            } else if row.active && row.expires_at <= self.now {
                self.end_invite(row)?;
            }
        }
        Ok(())
    }

    /// Takes a payload from an invite's mailbox. Whatever it is, it may be acked: junk from strangers is not kept.
    pub fn receive_request(&mut self, mailbox: &MailboxRow, invite: &str, payload: &[u8]) -> Result<(), ClientError> {
        let Some(mut row) = self.get::<InviteRow>(&key::invite(invite))?.filter(|row| row.active) else {
            return Ok(());
        };
        let address = mailbox.keys.address();
        let opened = crypto::open_request(&mailbox.seal, &address, payload);
        let Some(request) = opened.and_then(|plain| griot_protocol::codec::decode::<Request>(&plain).ok()) else {
            return Ok(());
        };
        let ours = self.account()?.identity()?;
        let id = contact_id(&ours, &request.ed25519, &request.curve25519);
        let blocked = |contact: ContactRow| contact.state == ContactState::Blocked;
        if !is_signed(&request, &address) || self.get::<ContactRow>(&key::contact(&id))?.is_some_and(blocked) {
            return Ok(());
        }
        let known = self.raw(&key::request(&id))?.is_some();
        if !known && self.all_raw(key::REQUESTS)?.len() >= REQUESTS_MAX {
            self.warn("more requests than can be kept: revoke the invite that brings them");
            return Ok(());
        }
        let Ok(first) = PreKeyMessage::from_bytes(&request.olm) else {
            return Ok(());
        };
        let Some((session, plain)) = self.open_first(&request.curve25519, &first)? else {
            return Ok(());
        };
        let Some(Said::Request { message, binding }) = Said::parse(&plain) else {
            return Ok(());
        };
        if binding != request.binding(&address) {
            return Ok(());
        }
        row.requests += 1;
        if row.once {
            self.end_invite(row)?;
        } else {
            self.put(key::invite(&row.id), &row)?;
        }
        let Request { ed25519, curve25519, fallback, name, mailbox: given, .. } = request;
        let request = RequestRow {
            id,
            name,
            message,
            at: self.now,
            ed25519,
            curve25519,
            fallback,
            keys: given.keys,
            deliver: given.deliver,
            seal: given.seal,
            session: session.pickle(),
        };
        self.put(key::request(&request.id), &request)?;
        self.events.push(Event::Request(request.show()));
        Ok(())
    }
}

/// Whether a request's fields are sound and signed by the identity it names.
fn is_signed(request: &Request, invite: &Address) -> bool {
    let (Ok(key), Ok(signature)) =
        (Ed25519PublicKey::from_slice(&request.ed25519), Ed25519Signature::from_slice(&request.signature))
    else {
        return false;
    };
    is_name(&request.name) && request.mailbox.is_sound() && key.verify(&request.to_sign(invite), &signature).is_ok()
}
