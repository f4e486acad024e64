//! Nodes on one local network find each other by themselves, without any `--peer`.

use griot_simulations::live::{
    namespace::Cable,
    node::{NodeOptions, NodeProcess},
    person::Person,
    skip, wait_for,
};

#[test]
fn two_nodes_on_one_wire_find_each_other_and_carry_a_message() {
    let cable = match Cable::lay() {
        Ok(cable) => cable,
        Err(error) => return skip(&format!("a network namespace of one's own ({error})")).unwrap(),
    };
    let start = |end: usize| {
        NodeProcess::start(NodeOptions {
            discovery: true,
            mdns: true,
            namespace: Some(cable.ends()[end].to_owned()),
            listen: Some(format!("/ip4/{}/tcp/7701", cable.addresses()[end])),
            ..NodeOptions::default()
        })
        .unwrap()
    };
    let here = start(0);
    let there = start(1);
    for (node, other) in [(&here, &there), (&there, &here)] {
        let wanted = other.info().unwrap().peer_id;
        let peer = wait_for("the nodes to find each other", || {
            node.peers().ok()?.into_iter().find(|peer| peer.connected && peer.peer_id == wanted)
        })
        .unwrap();
        assert!(!peer.configured, "nobody told it");
    }
    let awa = Person::init("Awa", &[here.url()]).unwrap();
    let kofi = Person::init("Kofi", &[there.url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "over the wire", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["over the wire"]);
}
