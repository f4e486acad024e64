//! Contacts: asked, accepted, blocked.
//!
//! A contact is a pair of mailboxes, one each way. *Block* withdraws the one that they write to: no home keeps mail for
//! it any more, and its secrets are gone. *Unblock* makes a new one and hands it over through the other direction,
//! which block left alone; where both blocked each other, one of them connects again with a new invite.

use griot_protocol::{DeliverSecret, InviteLink, RecordId, envelope};
use vodozemac::olm::Session;

use super::{
    crypto,
    error::ClientError,
    limits::{MESSAGE_LIFE_SECONDS, REQUEST_MESSAGE_BYTES_MAX},
    ratchet,
    rows::{ContactRow, MailboxRow, OutRow, Purpose, QueuedKind, RequestRow, key},
    tx::Tx,
    types::{ContactInfo, ContactState, Event, SafetyNumber},
    wire::{Handover, Request, Said},
};
use crate::store::Store;

/// BLAKE3 derive-key context of contacts' ids.
const CONTACT_CONTEXT: &str = "griot 2026 contact id v1";
/// BLAKE3 derive-key context of safety numbers.
const SAFETY_CONTEXT: &str = "griot 2026 safety number v1";
/// Bytes of an id: 16 characters of base32.
const ID_BYTES: usize = 10;

/// A new contact's keys.
pub(super) struct Peer {
    pub name: String,
    pub ed25519: [u8; 32],
    pub curve25519: [u8; 32],
    pub fallback: [u8; 32],
}

impl ContactRow {
    /// As a person sees it.
    pub fn show(&self) -> ContactInfo {
        ContactInfo { id: self.id.clone(), name: self.name.clone(), state: self.state }
    }
}

/// Bytes as an id: lowercase base32, which never begins with `-`.
pub(super) fn id_of(bytes: &[u8; ID_BYTES]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// The id of the contact (or request) with these identity keys: local to this account, and the same every time.
pub(super) fn contact_id(ours: &([u8; 32], [u8; 32]), ed25519: &[u8; 32], curve25519: &[u8; 32]) -> String {
    let hash = blake3::derive_key(CONTACT_CONTEXT, &[ours.0, ours.1, *ed25519, *curve25519].concat());
    let mut bytes = [0; ID_BYTES];
    bytes.copy_from_slice(&hash[..ID_BYTES]);
    id_of(&bytes)
}

/// Sixty digits over both identities, whichever side computes them.
pub(super) fn safety_number(ours: &([u8; 32], [u8; 32]), theirs: &([u8; 32], [u8; 32])) -> SafetyNumber {
    let (low, high) = if ours <= theirs { (ours, theirs) } else { (theirs, ours) };
    let mut hasher = blake3::Hasher::new_derive_key(SAFETY_CONTEXT);
    hasher.update(&[low.0, low.1, high.0, high.1].concat());
    let mut bytes = [0; 60];
    hasher.finalize_xof().fill(&mut bytes);
    let group = |five: &[u8]| {
        let number = five.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    };
    SafetyNumber { groups: bytes.chunks(5).map(group).collect() }
}

/// Finds a contact by id, or by a name that only one has.
pub(super) fn resolve(contacts: Vec<ContactRow>, who: &str) -> Result<ContactRow, ClientError> {
    let mut named: Vec<ContactRow> = Vec::new();
    for contact in contacts {
        if contact.id == who {
            return Ok(contact);
        }
        if contact.name == who {
            named.push(contact);
        }
    }
    if named.len() > 1 {
        let ids: Vec<String> = named.into_iter().map(|contact| contact.id).collect();
        return Err(ClientError::Ambiguous { name: who.to_owned(), ids: ids.join(", ") });
    }
    named.pop().ok_or_else(|| ClientError::NoSuchContact(who.to_owned()))
}

impl<S: Store> Tx<'_, S> {
    pub fn contact(&self, id: &str) -> Result<ContactRow, ClientError> {
        self.get(&key::contact(id))?.ok_or_else(|| ClientError::NoSuchContact(id.to_owned()))
    }

    pub fn put_contact(&mut self, contact: &ContactRow) -> Result<(), ClientError> {
        self.put(key::contact(&contact.id), contact)
    }

    pub fn who(&self, who: &str) -> Result<ContactRow, ClientError> {
        resolve(self.all(key::CONTACTS)?, who)
    }

    /// The contact with these keys, new and pending where there was none, with a mailbox to write to us.
    fn contact_for(&mut self, peer: Peer) -> Result<(ContactRow, Handover), ClientError> {
        let id = contact_id(&self.account()?.identity()?, &peer.ed25519, &peer.curve25519);
        let known: Option<ContactRow> = self.get(&key::contact(&id))?;
        let mut contact = known.unwrap_or_else(|| ContactRow {
            id: id.clone(),
            name: peer.name.clone(),
            state: ContactState::Pending,
            ed25519: peer.ed25519,
            curve25519: peer.curve25519,
            fallback: peer.fallback,
            fallback_told: [0; 32],
            mailbox: None,
            out: None,
            healing: Default::default(),
        });
        if contact.state == ContactState::Blocked {
            return Err(ClientError::Blocked(contact.name));
        }
        contact.name = peer.name;
        let mailbox = self.mailbox_for(&mut contact)?;
        self.put_contact(&contact)?;
        Ok((contact, mailbox))
    }

    /// The mailbox that a contact writes to, made where there is none.
    fn mailbox_for(&mut self, contact: &mut ContactRow) -> Result<Handover, ClientError> {
        let known = contact.mailbox.map(|address| self.mailbox(&address)).transpose()?.flatten();
        let mailbox: MailboxRow = match known.filter(|mailbox| mailbox.active) {
            Some(mailbox) => mailbox,
            None => {
                let seal = self.random();
                self.new_mailbox(Purpose::Contact(contact.id.clone()), seal)?
            }
        };
        contact.mailbox = Some(mailbox.keys.address());
        Ok(Handover { keys: mailbox.keys, deliver: mailbox.deliver, seal: mailbox.seal })
    }

    /// A mailbox that they gave us, with a chain of its own.
    pub fn out_to(&mut self, given: &Handover) -> OutRow {
        let chain = self.random();
        OutRow { keys: given.keys, deliver: given.deliver, seal: given.seal, chain, seq: 0, prev: [0; 32] }
    }

    /// Asks the maker of a link for contact.
    pub fn connect(&mut self, link: &str, message: Option<&str>) -> Result<(ContactInfo, RecordId), ClientError> {
        let link = InviteLink::parse(link)?;
        let params = self.params()?;
        if link.network != params.name.as_str() {
            return Err(ClientError::OtherNetwork { theirs: link.network.clone(), ours: params.name.to_string() });
        }
        let message = message.map(str::to_owned);
        if let Some(bytes) = message.as_ref().map(String::len).filter(|len| *len > REQUEST_MESSAGE_BYTES_MAX) {
            return Err(ClientError::TooLarge { bytes, max: REQUEST_MESSAGE_BYTES_MAX });
        }
        if !super::wire::is_name(&link.name) {
            return Err(ClientError::Link(griot_protocol::invite::InviteError::Invalid));
        }
        let created_at = self.now.floor_minute();
        let expires_at = link.expires_at.min(created_at.plus(MESSAGE_LIFE_SECONDS));
        if expires_at <= self.now {
            return Err(ClientError::InviteExpired);
        }
        let account = self.account()?;
        let (ed25519, curve25519) = account.identity()?;
        if link.identity_ed25519 == ed25519 {
            return Err(ClientError::OwnInvite);
        }
        let peer = Peer {
            name: link.name.clone(),
            ed25519: link.identity_ed25519,
            curve25519: link.identity_curve25519,
            fallback: link.prekey,
        };
        let (mut contact, mailbox) = self.contact_for(peer)?;
        let olm = account.olm()?;
        let mut session = ratchet::begin(&olm, &link.identity_curve25519, &link.prekey)?;
        let address = link.mailbox.address();
        let mut request = Request {
            ed25519,
            curve25519,
            fallback: account.fallback,
            name: account.name.clone(),
            mailbox,
            olm: Vec::new(),
            signature: [0; 64],
        };
        let said = Said::Request { message, binding: request.binding(&address) };
        let plain = super::rows::encode(&said)?;
        request.olm = ratchet::encrypt(&mut session, &plain)?.1;
        request.signature = olm.sign(request.to_sign(&address)).to_bytes();
        self.add_session(&contact.id, &session)?;
        contact.fallback_told = account.fallback;
        self.put_contact(&contact)?;

        let content = griot_protocol::codec::encode(&request);
        let payload = crypto::seal_request(self.rng, &link.hpke_public, &address, &content)?;
        let mut params = self.params_now()?;
        // A link could ask for hours of work; nobody needs more than the invite's few bits.
        params.postage_bits = params.postage_bits.max(link.postage_bits.min(REQUEST_POSTAGE_BITS_MAX));
        let secret = DeliverSecret::from_bytes(&link.deliver_secret);
        let record = envelope::seal(&params, &secret, link.mailbox, created_at, expires_at, payload)?;
        self.enqueue(&record, QueuedKind::Request, created_at, expires_at, Vec::new())?;
        Ok((contact.show(), record.id()))
    }

    /// Accepts a request.
    pub fn accept(&mut self, id: &str) -> Result<(ContactInfo, RecordId), ClientError> {
        let request: RequestRow = self.get(&key::request(id))?.ok_or(ClientError::NoSuchRequest)?;
        let given = Handover { keys: request.keys, deliver: request.deliver, seal: request.seal };
        let peer = Peer {
            name: request.name,
            ed25519: request.ed25519,
            curve25519: request.curve25519,
            fallback: request.fallback,
        };
        let (mut contact, mailbox) = self.contact_for(peer)?;
        contact.state = ContactState::Connected;
        contact.fallback = request.fallback;
        // Whatever they knew before, this request may come from a new beginning: say it again.
        contact.fallback_told = [0; 32];
        contact.out = Some(self.out_to(&given));
        self.put_contact(&contact)?;
        self.add_session(&contact.id, &Session::from_pickle(request.session))?;
        let name = self.account()?.name;
        let record = self.say_control(&contact.id, &Said::Accept { name, mailbox })?;
        self.delete(key::request(id));
        Ok((contact.show(), record))
    }

    /// Declines a request: the other side is told nothing.
    pub fn decline(&mut self, id: &str) -> Result<(), ClientError> {
        if self.raw(&key::request(id))?.is_none() {
            return Err(ClientError::NoSuchRequest);
        }
        self.delete(key::request(id));
        Ok(())
    }

    pub fn block(&mut self, who: &str) -> Result<ContactInfo, ClientError> {
        let mut contact = self.who(who)?;
        if let Some(address) = contact.mailbox.take() {
            self.withdraw(&address)?;
        }
        contact.state = ContactState::Blocked;
        self.forget_reports(&contact.id)?;
        self.put_contact(&contact)?;
        Ok(contact.show())
    }

    pub fn unblock(&mut self, who: &str) -> Result<ContactInfo, ClientError> {
        let mut contact = self.who(who)?;
        if contact.state != ContactState::Blocked {
            return Err(ClientError::NotBlocked(contact.name));
        }
        let mailbox = self.mailbox_for(&mut contact)?;
        contact.state = if contact.out.is_some() { ContactState::Connected } else { ContactState::Pending };
        self.put_contact(&contact)?;
        if contact.out.is_some() {
            self.say_control(&contact.id, &Said::Mailbox { mailbox })?;
        }
        Ok(contact.show())
    }

    /// They accepted, or gave a new mailbox.
    pub fn connected(&mut self, id: &str, name: Option<String>, given: &Handover) -> Result<(), ClientError> {
        let mut contact = self.contact(id)?;
        if contact.out.as_ref().is_none_or(|out| out.keys != given.keys) {
            contact.out = Some(self.out_to(given));
        }
        contact.state = ContactState::Connected;
        if let Some(name) = name {
            contact.name = name;
        }
        self.put_contact(&contact)?;
        self.events.push(Event::Contact(contact.show()));
        Ok(())
    }
}

/// The most postage that a link can ask for.
const REQUEST_POSTAGE_BITS_MAX: u8 = 20;
