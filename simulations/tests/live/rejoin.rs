//! Nodes that were connected once find each other again.

use griot_simulations::live::{
    node::{self, NodeOptions, NodeProcess},
    person::Person,
    wait_for,
};

fn peers(node: &NodeProcess) -> u64 {
    node.info().map_or(0, |info| info.peers)
}

#[test]
fn a_node_that_was_away_gets_what_it_missed() {
    let mut nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    nodes[2].kill();
    for n in 0..5 {
        awa.send("Kofi", &format!("while you were away {n}"), "accepted").unwrap();
    }
    nodes[2].launch().unwrap();
    let texts = wait_for("what was missed", || {
        let texts = kofi.texts().unwrap();
        (texts.len() == 5).then_some(texts)
    })
    .unwrap();
    assert!(texts.iter().enumerate().all(|(n, text)| *text == format!("while you were away {n}")));
}

#[test]
fn sigterm_ends_a_node_cleanly_and_a_restart_links_the_row_again() {
    let mut nodes = node::row(2, &[]).unwrap();
    nodes[0].stop().unwrap();
    wait_for("the other to notice", || (peers(&nodes[1]) == 0).then_some(())).unwrap();
    nodes[0].launch().unwrap();
    wait_for("the row to be linked again", || (peers(&nodes[0]) == 1 && peers(&nodes[1]) == 1).then_some(())).unwrap();
}

#[test]
fn a_node_that_restarts_finds_its_network_again_though_the_one_it_was_told_of_is_dead() {
    let told = |first: &NodeProcess| NodeOptions {
        peers: first.addresses().unwrap(),
        discovery: true,
        ..NodeOptions::default()
    };
    let mut first = NodeProcess::start(NodeOptions { discovery: true, ..NodeOptions::default() }).unwrap();
    let second = NodeProcess::start(told(&first)).unwrap();
    let mut third = NodeProcess::start(told(&first)).unwrap();
    wait_for("all to know each other", || (peers(&second) == 2 && peers(&third) == 2).then_some(())).unwrap();
    let dead = first.info().unwrap().peer_id;
    first.kill();
    // Killed without warning: what it remembers must be on its disk already. It is noted within some seconds.
    let wanted = second.info().unwrap().peer_id;
    wait_for("the third to find the second again", || {
        if peers(&third) == 0 {
            return None;
        }
        third.kill();
        third.launch().unwrap();
        let found = wait_for("a peer", || (peers(&third) == 1).then_some(()));
        found.ok()
    })
    .unwrap();
    let listed = third.peers().unwrap();
    assert!(listed.iter().any(|peer| peer.connected && !peer.configured && peer.peer_id == wanted), "{listed:?}");
    // The dead one is listed as what it is: configured, not connected, and tried again.
    let listed = wait_for("a failed dial", || {
        let peer = third.peers().unwrap().into_iter().find(|peer| peer.peer_id == dead)?;
        (peer.failures > 0).then_some(peer)
    })
    .unwrap();
    assert!(listed.configured && !listed.connected && listed.last_error.is_some(), "{listed:?}");
    let doctor = third.command(&["doctor"]).unwrap_err().to_string();
    assert!(doctor.contains("1 problem"), "{doctor}");
}
