//! Our mailboxes: made, placed in a shard that our homes carry, registered at each, withdrawn.

use griot_protocol::{
    Address, CollectSecret, DeliverSecret, Grant, MailboxKeys, MailboxKind, NodeId, Nonce, Proof, ProofMethod, Shard,
    api,
};

use super::{
    error::ClientError,
    limits::{GRANT_RENEW_SECONDS, GRANT_SECONDS},
    rows::{MailboxRow, Purpose, RegisteredRow, key},
    tx::Tx,
    types::HomeId,
};
use crate::store::Store;

impl<S: Store> Tx<'_, S> {
    /// A mailbox of ours, withdrawn or not.
    pub fn mailbox(&self, address: &Address) -> Result<Option<MailboxRow>, ClientError> {
        self.get(&key::mailbox(address))
    }

    pub fn put_mailbox(&mut self, mailbox: &MailboxRow) -> Result<(), ClientError> {
        self.put(key::mailbox(&mailbox.keys.address()), mailbox)
    }

    /// Makes a mailbox in a shard that our homes carry. `seal` is its seal key or HPKE private key.
    pub fn new_mailbox(&mut self, purpose: Purpose, seal: [u8; 32]) -> Result<MailboxRow, ClientError> {
        let bits = self.params()?.bits;
        let (deliver, collect) = (self.random::<32>(), self.random::<32>());
        let mut keys = MailboxKeys {
            kind: MailboxKind::Direct,
            deliver: DeliverSecret::from_bytes(&deliver).public(),
            collect: CollectSecret::from_bytes(&collect).public(),
            nonce: 0,
        };
        if let Some(shard) = self.pick_shard(bits.shard_count())? {
            keys = keys.grind_into(shard, bits).ok_or(ClientError::Crypto("no address in the homes' shards"))?;
        }
        let mailbox = MailboxRow {
            keys,
            deliver,
            collect,
            seal,
            purpose,
            active: true,
            registered: Default::default(),
            cursors: Default::default(),
            chains: Vec::new(),
        };
        self.put_mailbox(&mailbox)?;
        Ok(mailbox)
    }

    /// A shard carried by as many of our homes as possible; `None` where any place is as good.
    fn pick_shard(&mut self, shard_count: u32) -> Result<Option<Shard>, ClientError> {
        if shard_count == 1 {
            return Ok(None);
        }
        let homes = self.homes()?;
        let mut votes = std::collections::BTreeMap::<u32, usize>::new();
        for shard in homes.iter().filter_map(|home| home.node.as_ref()).flat_map(|node| &node.shards) {
            if *shard < shard_count {
                *votes.entry(*shard).or_default() += 1;
            }
        }
        let most = votes.values().copied().max().unwrap_or(0);
        let best: Vec<u32> = votes.into_iter().filter(|(_, n)| *n == most).map(|(shard, _)| shard).collect();
        let pick = u64::from_le_bytes(self.random::<8>()) as usize;
        Ok(best.get(pick % best.len().max(1)).map(|shard| Shard(*shard)))
    }

    /// Withdraws a mailbox: its secrets go at once, but the one that tells the homes to forget it.
    pub fn withdraw(&mut self, address: &Address) -> Result<(), ClientError> {
        let Some(mut mailbox) = self.mailbox(address)? else {
            return Ok(());
        };
        mailbox.active = false;
        mailbox.deliver = [0; 32];
        mailbox.seal = [0; 32];
        mailbox.chains.clear();
        mailbox.cursors.clear();
        for (held, _) in self.all_raw(&key::held_in(address))? {
            self.delete(held);
        }
        if mailbox.registered.is_empty() {
            self.delete(key::mailbox(address));
            return Ok(());
        }
        self.put_mailbox(&mailbox)
    }

    /// A home registered it.
    pub fn registered(&mut self, home: HomeId, address: &Address) -> Result<(), ClientError> {
        let Some(mut mailbox) = self.mailbox(address)? else {
            return Ok(());
        };
        let node = self.home(home)?.and_then(|home| home.node);
        let node_id = node.ok_or(ClientError::NoNetwork)?.node_id;
        let renew_at = self.now.plus(GRANT_RENEW_SECONDS);
        mailbox.registered.insert(home.0, RegisteredRow { node_id, renew_at });
        self.put_mailbox(&mailbox)
    }

    /// A home knows nothing of it (any more).
    pub fn unregistered(&mut self, home: HomeId, address: &Address) -> Result<(), ClientError> {
        let Some(mut mailbox) = self.mailbox(address)? else {
            return Ok(());
        };
        mailbox.registered.remove(&home.0);
        if !mailbox.active && mailbox.registered.is_empty() {
            self.delete(key::mailbox(address));
            return Ok(());
        }
        self.put_mailbox(&mailbox)
    }

    /// What registers a mailbox at `home`.
    pub fn registration(
        &self,
        home: HomeId,
        address: &Address,
        node_id: &NodeId,
        nonce: Nonce,
    ) -> Result<api::Registration, ClientError> {
        let (mailbox, proof) = self.prove(home, address, node_id, nonce, ProofMethod::Register)?;
        if !mailbox.active {
            return Err(ClientError::NoSuchMailbox);
        }
        let collect = CollectSecret::from_bytes(&mailbox.collect);
        let until = self.now.plus(GRANT_SECONDS);
        let grant = Grant::issue(&self.params()?.name, &collect, address, node_id, until);
        Ok(api::Registration { keys: mailbox.keys, grant, proof })
    }

    /// A proof, made only for the node that was greeted at this home: no other can get a grant by standing in for it.
    pub fn prove(
        &self,
        home: HomeId,
        address: &Address,
        node_id: &NodeId,
        nonce: Nonce,
        method: ProofMethod,
    ) -> Result<(MailboxRow, Proof), ClientError> {
        let row = self.home(home)?.ok_or(ClientError::NoSuchHome)?;
        if row.node.is_none_or(|node| node.node_id != *node_id) {
            return Err(ClientError::HomeChanged);
        }
        let mailbox = self.mailbox(address)?.ok_or(ClientError::NoSuchMailbox)?;
        let collect = CollectSecret::from_bytes(&mailbox.collect);
        let proof = Proof::make(&self.params()?.name, &collect, node_id, method, address, nonce);
        Ok((mailbox, proof))
    }
}
