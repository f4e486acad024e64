//! Olm sessions: which one a message goes out with, and which one opens what comes in.
//!
//! Two people can have several sessions: each may have begun one, and one that is out of step is replaced by a new one
//! from the other's fallback key. The session that last opened a message is the one to send with, since the other side
//! certainly has it.

use griot_protocol::Timestamp;
use vodozemac::{
    Curve25519PublicKey,
    olm::{Account, OlmMessage, Session, SessionConfig},
};

use super::{
    error::ClientError,
    limits::{FALLBACK_SECONDS_MAX, SESSIONS_MAX},
    rows::{AccountRow, ContactRow, SessionsRow, key},
    tx::Tx,
};
use crate::store::Store;

impl AccountRow {
    /// vodozemac's account. The row is to be written again where it was changed.
    pub fn olm(&self) -> Result<Account, ClientError> {
        // Pickles cannot be cloned, but they can be written and read.
        let pickle = super::rows::decode(&super::rows::encode(&self.olm)?)?;
        Ok(Account::from_pickle(pickle))
    }

    /// Our identity keys: Ed25519, Curve25519.
    pub fn identity(&self) -> Result<([u8; 32], [u8; 32]), ClientError> {
        let keys = self.olm()?.identity_keys();
        Ok((*keys.ed25519.as_bytes(), keys.curve25519.to_bytes()))
    }
}

/// Makes a new current fallback key.
pub(super) fn new_fallback(account: &mut Account) -> Result<[u8; 32], ClientError> {
    account.generate_fallback_key();
    let key = account.fallback_key().into_values().next().ok_or(ClientError::Crypto("no fallback key was made"))?;
    account.mark_keys_as_published();
    Ok(key.to_bytes())
}

/// Begins a session with the holder of `identity`, from one of their fallback or one-time keys.
pub(super) fn begin(account: &Account, identity: &[u8; 32], prekey: &[u8; 32]) -> Result<Session, ClientError> {
    account
        .create_outbound_session(
            SessionConfig::version_1(),
            Curve25519PublicKey::from_bytes(*identity),
            Curve25519PublicKey::from_bytes(*prekey),
        )
        .map_err(|_| ClientError::Crypto("the other side's keys are not valid"))
}

/// Encrypts, and gives Olm's message type and bytes.
pub(super) fn encrypt(session: &mut Session, plain: &[u8]) -> Result<(u8, Vec<u8>), ClientError> {
    let message = session.encrypt(plain).map_err(|_| ClientError::Crypto("the message could not be encrypted"))?;
    let (olm_type, bytes) = message.to_parts();
    Ok((olm_type as u8, bytes))
}

impl<S: Store> Tx<'_, S> {
    /// Encrypts for a contact, with the session that they have for certain, or a new one.
    pub fn encrypt_for(&mut self, contact: &ContactRow, plain: &[u8]) -> Result<(u8, Vec<u8>), ClientError> {
        let mut sessions: SessionsRow = self.get(&key::sessions(&contact.id))?.unwrap_or_default();
        let mut session = if sessions.0.is_empty() {
            begin(&self.account()?.olm()?, &contact.curve25519, &contact.fallback)?
        } else {
            Session::from_pickle(sessions.0.remove(0))
        };
        let encrypted = encrypt(&mut session, plain)?;
        sessions.0.insert(0, session.pickle());
        self.put(key::sessions(&contact.id), &sessions)?;
        Ok(encrypted)
    }

    /// Puts a session first; the one unused for longest makes room.
    pub fn add_session(&mut self, contact: &str, session: &Session) -> Result<(), ClientError> {
        let mut sessions: SessionsRow = self.get(&key::sessions(contact))?.unwrap_or_default();
        sessions.0.insert(0, session.pickle());
        sessions.0.truncate(SESSIONS_MAX);
        self.put(key::sessions(contact), &sessions)
    }

    /// Decrypts what a contact's Olm says; `None` where no session of theirs opens it.
    pub fn decrypt_from(
        &mut self,
        contact: &ContactRow,
        olm_type: u8,
        olm: &[u8],
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let Ok(message) = OlmMessage::from_parts(usize::from(olm_type), olm) else {
            return Ok(None);
        };
        let sessions: SessionsRow = self.get(&key::sessions(&contact.id))?.unwrap_or_default();
        let mut sessions: Vec<Session> = sessions.0.into_iter().map(Session::from_pickle).collect();
        let opened = match &message {
            OlmMessage::Normal(_) => open_with_any(&mut sessions, &message),
            OlmMessage::PreKey(first) => {
                let known = sessions.iter().position(|session| session.session_keys() == first.session_keys());
                match known {
                    Some(index) => {
                        let opened = sessions.get_mut(index).and_then(|session| session.decrypt(&message).ok());
                        opened.map(|plain| (index, plain))
                    }
                    None => {
                        let opened = self.open_first(&contact.curve25519, first)?;
                        opened.map(|(session, plain)| {
                            sessions.insert(0, session);
                            (0, plain)
                        })
                    }
                }
            }
        };
        let Some((index, plain)) = opened else {
            return Ok(None);
        };
        let used = sessions.remove(index);
        sessions.insert(0, used);
        sessions.truncate(SESSIONS_MAX);
        let row = SessionsRow(sessions.iter().map(Session::pickle).collect());
        self.put(key::sessions(&contact.id), &row)?;
        Ok(Some(plain))
    }

    /// Begins a session from its first message, and uses up the one-time key that it names.
    pub fn open_first(
        &mut self,
        identity: &[u8; 32],
        first: &vodozemac::olm::PreKeyMessage,
    ) -> Result<Option<(Session, Vec<u8>)>, ClientError> {
        let mut row = self.account()?;
        let mut account = row.olm()?;
        let identity = Curve25519PublicKey::from_bytes(*identity);
        let Ok(created) = account.create_inbound_session(SessionConfig::version_1(), identity, first) else {
            return Ok(None);
        };
        row.olm = account.pickle();
        self.put_account(&row)?;
        Ok(Some((created.session, created.plaintext)))
    }

    /// Replaces the fallback key once it is old. Contacts hear of it with the next message to each.
    pub fn rotate_fallback(&mut self) -> Result<(), ClientError> {
        let mut row = self.account()?;
        if self.now < row.fallback_at.plus(FALLBACK_SECONDS_MAX) {
            return Ok(());
        }
        let mut account = row.olm()?;
        row.fallback = new_fallback(&mut account)?;
        row.fallback_at = self.now;
        row.olm = account.pickle();
        self.put_account(&row)
    }
}

fn open_with_any(sessions: &mut [Session], message: &OlmMessage) -> Option<(usize, Vec<u8>)> {
    sessions.iter_mut().enumerate().find_map(|(index, session)| Some((index, session.decrypt(message).ok()?)))
}

/// A new account.
pub(super) fn new_account(now: Timestamp, name: &str) -> Result<AccountRow, ClientError> {
    let mut account = Account::new();
    let fallback = new_fallback(&mut account)?;
    Ok(AccountRow {
        version: super::rows::ROWS_VERSION,
        name: name.to_owned(),
        olm: account.pickle(),
        fallback,
        fallback_at: now,
        network: None,
        next_home: 1,
        next_sent: 1,
        next_inbox: 1,
        next_queued: 1,
    })
}
