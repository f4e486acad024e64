//! Records of strangers, which nobody here reads: load for a node, and a way to ask it about each.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use griot_client::home::{Connection, Patience, Target};
use griot_protocol::{
    CollectSecret, DeliverSecret, MailboxKeys, MailboxKind, NetworkName, NetworkParams, Record, Timestamp, envelope,
};

/// A stranger's record, different for each `n`.
pub fn record(n: u64) -> Record {
    let (deliver, collect) = (DeliverSecret::from_bytes(&[7; 32]), CollectSecret::from_bytes(&[8; 32]));
    let keys =
        MailboxKeys { kind: MailboxKind::Direct, deliver: deliver.public(), collect: collect.public(), nonce: 0 };
    let now = Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let mut payload = vec![1; 257];
    payload[1..9].copy_from_slice(&n.to_le_bytes());
    let params = NetworkParams::standard(NetworkName::standard());
    envelope::seal(&params, &deliver, keys, now, now.plus(86_400), payload).unwrap()
}

/// A connection to the node at this address.
pub fn connect(url: &str) -> Connection {
    let target = Target::new(url.parse().unwrap(), None, None, false, Patience::default()).unwrap();
    Connection::new(Arc::new(target))
}
