//! Two shard bits, five nodes: nodes carry only what they must, and messages still arrive, with their receipts and acks.

use griot_client::core::SendState;
use griot_simulations::live::{
    node::{self, NodeOptions},
    person::Person,
    wait_for,
};

#[test]
fn a_message_finds_its_shard_among_five_nodes_and_the_sender_hears_of_it() {
    let args = ["--bits", "2", "--postage-bits", "4"].map(str::to_owned).to_vec();
    let nodes = node::chain(5, &NodeOptions { args, discovery: true, ..NodeOptions::default() }).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[4].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let id = awa.send("Kofi", "into a shard of strangers", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["into a shard of strangers"]);
    wait_for("the ack", || (awa.state_of(&id).unwrap() == Some(SendState::Delivered)).then_some(())).unwrap();
    for node in &nodes {
        let info = node.info().unwrap();
        assert_eq!(info.bits, 2);
        assert!(info.shards.len() < 4, "no node carries the whole network: {:?}", info.shards);
    }
}
