//! Nodes that were connected once find each other again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use griot_simulations::live::{node, node::NodeProcess, person::Person, wait_for};

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
