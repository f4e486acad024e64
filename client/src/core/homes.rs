//! Homes: the nodes that an account reads from and submits to.

use griot_protocol::{NetworkName, NetworkParams, ShardBits, api::NodeInfo};

use super::{
    error::ClientError,
    limits::HOMES_MAX,
    rows::{HomeRow, MailboxRow, NodeRow, QueuedRow, key},
    tx::Tx,
    types::{Home, HomeId, NewHome},
};
use crate::store::Store;

impl<S: Store> Tx<'_, S> {
    /// All homes, in the order in which they were added.
    pub fn homes(&self) -> Result<Vec<HomeRow>, ClientError> {
        self.all(key::HOMES)
    }

    /// A home; `None` once it was removed.
    pub fn home(&self, id: HomeId) -> Result<Option<HomeRow>, ClientError> {
        self.get(&key::home(id.0))
    }

    pub fn add_home(&mut self, new: &NewHome) -> Result<HomeId, ClientError> {
        let homes = self.homes()?;
        if homes.iter().any(|row| row.home.url == new.url) {
            return Err(ClientError::HomeExists);
        }
        if homes.len() >= HOMES_MAX {
            return Err(ClientError::TooManyHomes);
        }
        let mut account = self.account()?;
        let id = HomeId(account.next_home);
        account.next_home += 1;
        self.put_account(&account)?;
        let NewHome { url, token, fingerprint, insecure_http } = new.clone();
        let home = Home { id, url, token, fingerprint, insecure_http };
        self.put(key::home(id.0), &HomeRow { home, node: None })?;
        Ok(id)
    }

    /// Leaves a home behind without asking it.
    pub fn remove_home(&mut self, id: HomeId) -> Result<(), ClientError> {
        self.home(id)?.ok_or(ClientError::NoSuchHome)?;
        self.delete(key::home(id.0));
        self.forget_home(id)?;
        for (key, bytes) in self.all_raw(key::QUEUE)? {
            let mut row: QueuedRow = super::rows::decode(&bytes)?;
            let before = row.accepted.len() + row.refused.len();
            row.accepted.retain(|home| *home != id.0);
            row.refused.remove(&id.0);
            if row.accepted.len() + row.refused.len() != before {
                self.put(key, &row)?;
            }
        }
        Ok(())
    }

    /// Forgets registrations and cursors at a home.
    fn forget_home(&mut self, id: HomeId) -> Result<(), ClientError> {
        for mut mailbox in self.all::<MailboxRow>(key::MAILBOXES)? {
            let known = mailbox.registered.remove(&id.0).is_some() | mailbox.cursors.remove(&id.0).is_some();
            if !mailbox.active && mailbox.registered.is_empty() {
                self.delete(key::mailbox(&mailbox.keys.address()));
            } else if known {
                self.put_mailbox(&mailbox)?;
            }
        }
        Ok(())
    }

    /// A home said who it is.
    pub fn greeted(&mut self, id: HomeId, info: &NodeInfo) -> Result<(), ClientError> {
        let Some(mut row) = self.home(id)? else {
            return Ok(());
        };
        let Some(params) = params_of(info) else {
            self.warn(format!("{}: this node describes its network in a way that makes no sense", row.home.url));
            return Ok(());
        };
        let mut account = self.account()?;
        match &account.network {
            Some(network) if network.name != params.name => {
                let (url, theirs, ours) = (&row.home.url, &params.name, &network.name);
                let text =
                    format!("{url} belongs to the network \"{theirs}\", this account to \"{ours}\": it is not used");
                self.warn(text);
                return Ok(());
            }
            Some(network) if *network == params => {}
            // Bits and postage may grow; the name never changes.
            _ => {
                account.network = Some(params.clone());
                self.put_account(&account)?;
            }
        }
        if row.node.as_ref().is_some_and(|node| node.node_id != info.node_id) {
            self.forget_home(id)?;
            self.warn(format!("{} is another node than before: mailboxes are registered there anew", row.home.url));
        }
        row.node = Some(NodeRow {
            node_id: info.node_id,
            params,
            postage_bits_now: info.postage_bits_now,
            shards: info.shards.iter().copied().take(1 << 16).collect(),
            greeted_at: self.now,
        });
        self.put(key::home(id.0), &row)
    }

    /// Parameters for a new envelope: the network's, with the postage that our homes ask for now.
    pub fn params_now(&self) -> Result<NetworkParams, ClientError> {
        let mut params = self.params()?;
        let homes = self.homes()?;
        let asked = homes.iter().filter_map(|home| home.node.as_ref()).map(|node| node.postage_bits_now).max();
        params.postage_bits = params.postage_bits.max(asked.unwrap_or(0).min(POSTAGE_BITS_NOW_MAX));
        Ok(params)
    }
}

/// The most postage that a home can talk a client into: a second or two of work.
const POSTAGE_BITS_NOW_MAX: u8 = 20;

fn params_of(info: &NodeInfo) -> Option<NetworkParams> {
    let params = NetworkParams {
        name: info.network.parse::<NetworkName>().ok()?,
        bits: ShardBits::try_from(info.bits).ok()?,
        postage_bits: info.postage_bits,
    };
    (params.is_affordable() && params.postage_bits <= POSTAGE_BITS_NOW_MAX).then_some(params)
}
