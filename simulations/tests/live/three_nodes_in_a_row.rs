//! A — B — C: the outer nodes are not connected to each other, and the recipient is away while everything is sent.

use griot_client::core::SendState;
use griot_simulations::live::{node, person::Person, wait_for};

#[test]
fn a_message_crosses_a_node_in_between_while_the_recipient_is_away() {
    let nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();

    // Kofi runs nothing from here on; his home node takes the message for him.
    let id = awa.send("Kofi", "the boat leaves at six", "stored").unwrap();
    assert_eq!(awa.state_of(&id).unwrap(), Some(SendState::Stored));
    let ids_of = |node: &node::NodeProcess| node.info().unwrap().peer_id;
    assert!(nodes[0].peers().unwrap().iter().all(|peer| peer.peer_id != ids_of(&nodes[2])));

    assert_eq!(kofi.texts().unwrap(), ["the boat leaves at six"]);
    wait_for("the ack to travel back", || (awa.state_of(&id).unwrap() == Some(SendState::Delivered)).then_some(()))
        .unwrap();
}

#[test]
fn both_directions_keep_their_order_and_nothing_is_doubled() {
    let nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let from_awa: Vec<String> = (0..12).map(|n| format!("awa {n}")).collect();
    let from_kofi: Vec<String> = (0..12).map(|n| format!("kofi {n}")).collect();
    for (a, k) in from_awa.iter().zip(&from_kofi) {
        awa.send("Kofi", a, "accepted").unwrap();
        kofi.send("Awa", k, "accepted").unwrap();
    }
    wait_for("all at Kofi's", || (kofi.texts().unwrap().len() >= 12).then_some(())).unwrap();
    wait_for("all at Awa's", || (awa.texts().unwrap().len() >= 12).then_some(())).unwrap();
    assert_eq!(kofi.texts().unwrap(), from_awa);
    assert_eq!(awa.texts().unwrap(), from_kofi);
}
