//! How two people come to write to each other: a link, a request, a yes.

use griot_client::{
    agent,
    core::{Client, ClientError, ContactState, InviteOptions, limits::INVITE_DAYS_MAX},
    store::Store,
};

use super::{lock, name_of, person_called};
use crate::{plan::PersonIndex, world::World};

impl World {
    /// Does what is left to do until everybody with whom a person writes is a contact. Says whether it did anything.
    pub(super) fn make_contacts<S: Store>(&self, person: PersonIndex, account: &mut Client<S>) -> bool {
        let is_whole = self
            .clients
            .of(person)
            .is_none_or(|client| client.connected.len() == client.asks.len() + client.expects.len());
        if is_whole {
            return false;
        }
        match self.try_make_contacts(person, account) {
            Ok(did) => did,
            // No home has told yet which network this is.
            Err(ClientError::NoNetwork) => false,
            Err(error) => {
                self.client_failed(person, &error);
                false
            }
        }
    }

    fn try_make_contacts<S: Store>(&self, person: PersonIndex, account: &mut Client<S>) -> Result<bool, ClientError> {
        let (asks, expects) = match self.clients.of(person) {
            Some(client) => (client.asks.clone(), client.expects.clone()),
            None => return Ok(false),
        };
        let mut did = false;
        if !expects.is_empty() && !lock(&self.clients.links).contains_key(&person) {
            let options = InviteOptions { once: false, expires_days: Some(INVITE_DAYS_MAX) };
            let invite = account.create_invite(agent::now(), options)?;
            lock(&self.clients.links).insert(person, invite.link);
            self.note(format_args!("p{} hands out a link", person.0));
            expects.iter().for_each(|other| self.clients.wake(*other));
            did = true;
        }
        for request in account.requests()? {
            let welcome = person_called(&request.name).filter(|other| expects.contains(other));
            if let Some(other) = welcome {
                account.accept(agent::now(), &request.id)?;
                self.note(format_args!("p{} says yes to p{}", person.0, other.0));
                did = true;
            }
        }
        let contacts = account.contacts()?;
        for other in asks {
            let link = lock(&self.clients.links).get(&other).cloned();
            let is_asked = contacts.iter().any(|contact| contact.name == name_of(other));
            if let Some(link) = link.filter(|_| !is_asked) {
                account.connect(agent::now(), &link, None)?;
                self.note(format_args!("p{} asks p{} for contact", person.0, other.0));
                did = true;
            }
        }
        let contacts = account.contacts()?;
        let connected = contacts.iter().filter(|contact| contact.state == ContactState::Connected);
        let connected = connected.filter_map(|contact| person_called(&contact.name)).collect();
        if let Some(mut client) = self.clients.of(person) {
            client.connected = connected;
        }
        Ok(did)
    }
}
