//! A transaction: what one command or one outcome reads and changes.
//!
//! Every decision of the core is a method on [`Tx`]. It reads through its own changes, and what it changed becomes one
//! commit of the store. Nothing is kept in memory beside it, so a crash before or after the commit leaves a state that
//! the next process continues from, as if nothing had happened.

use std::collections::BTreeMap;

use griot_protocol::{NetworkParams, Timestamp};
use rand::CryptoRng;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::ClientError,
    rows::{self, AccountRow, key},
    types::Event,
};
use crate::store::{Change, Row, Store};

/// The changes of one transaction.
pub(super) struct Tx<'c, S: Store> {
    store: &'c S,
    /// Randomness.
    pub rng: &'c mut (dyn CryptoRng + Send),
    /// The time at which it happens.
    pub now: Timestamp,
    /// What a person should hear of, once it is committed.
    pub events: Vec<Event>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'c, S: Store> Tx<'c, S> {
    pub fn new(store: &'c S, rng: &'c mut (dyn CryptoRng + Send), now: Timestamp) -> Self {
        Self { store, rng, now, events: Vec::new(), changes: BTreeMap::new() }
    }

    /// What is to be committed, and what is to be told.
    pub fn finish(self) -> (Vec<Change>, Vec<Event>) {
        let changes = self.changes.into_iter().map(|(key, value)| match value {
            Some(value) => Change::Put(key, value),
            None => Change::Delete(key),
        });
        (changes.collect(), self.events)
    }

    pub fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.store.get(key)?),
        }
    }

    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ClientError> {
        self.raw(key)?.map(|bytes| rows::decode(&bytes)).transpose()
    }

    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, row: &T) -> Result<(), ClientError> {
        let bytes = rows::encode(row)?;
        self.put_raw(key, bytes);
        Ok(())
    }

    pub fn put_raw(&mut self, key: Vec<u8>, bytes: Vec<u8>) {
        self.changes.insert(key, Some(bytes));
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }

    /// Every row whose key begins with `prefix`, in order.
    pub fn all_raw(&self, prefix: &[u8]) -> Result<Vec<Row>, ClientError> {
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = rows::load_raw(self.store, prefix)?.into_iter().collect();
        for (key, value) in self.changes.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().collect())
    }

    pub fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, ClientError> {
        self.all_raw(prefix)?.iter().map(|(_, bytes)| rows::decode(bytes)).collect()
    }

    pub fn account(&self) -> Result<AccountRow, ClientError> {
        self.get(key::ACCOUNT)?.ok_or(ClientError::NoAccount)
    }

    pub fn put_account(&mut self, account: &AccountRow) -> Result<(), ClientError> {
        self.put(key::ACCOUNT.to_vec(), account)
    }

    /// The network's parameters, once a home told.
    pub fn params(&self) -> Result<NetworkParams, ClientError> {
        self.account()?.network.ok_or(ClientError::NoNetwork)
    }

    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        self.events.push(Event::Warning(text.into()));
    }
}
