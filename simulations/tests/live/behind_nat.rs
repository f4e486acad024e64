//! Two homes behind NAT, real nodes, real routers, and one node that both can dial.

use griot_protocol::api::{PeerInfo, Reachability};
use griot_simulations::live::{
    nat::{Homes, INTERNET, Ports},
    node::{NodeOptions, NodeProcess},
    person::Person,
    skip, wait_for,
};

/// Two nodes at home, the second of which was told nothing but the address of the first at the relay.
struct Network {
    relay: NodeProcess,
    nodes: [NodeProcess; 2],
    // Dropped last: the nodes run in it.
    _homes: Homes,
}

impl Network {
    fn start(homes: Homes) -> Self {
        // In a network with shards the relay carries those of its own members, who are none: what travels between the homes
        // travels between them, and not by way of its disk.
        let args = ["--bits", "2"].map(str::to_owned).to_vec();
        let relay = NodeProcess::start(NodeOptions {
            args: args.clone(),
            // Not so as to find anyone, but to test for others whether they can be dialled.
            discovery: true,
            namespace: Some(homes.internet().to_owned()),
            listen: Some(format!("/ip4/{INTERNET}/tcp/7701")),
            ..NodeOptions::default()
        })
        .unwrap();
        let at_home = |number: usize, peers: Vec<String>| {
            NodeProcess::start(NodeOptions {
                peers,
                args: args.clone(),
                namespace: Some(homes.home(number).to_owned()),
                listen: Some(format!("/ip4/{}/tcp/7701", Homes::address(number))),
                ..NodeOptions::default()
            })
            .unwrap()
        };
        let first = at_home(0, relay.addresses().unwrap());
        let circuit = wait_for("a place at the relay", || {
            first.info().ok().filter(|info| info.reachability == Reachability::Relayed)?.circuits.into_iter().next()
        })
        .unwrap();
        assert!(circuit.starts_with(&relay.addresses().unwrap()[0]), "{circuit}");
        assert!(relay.info().unwrap().relays);
        let second = at_home(1, vec![circuit]);
        Self { relay, nodes: [first, second], _homes: homes }
    }

    /// How one node is connected with the other, once it is as wanted.
    fn linked(&self, what: &str, wanted: impl Fn(&PeerInfo) -> bool) {
        for (node, other) in [(&self.nodes[0], &self.nodes[1]), (&self.nodes[1], &self.nodes[0])] {
            let name = other.info().unwrap().peer_id;
            let linked = wait_for(what, || {
                node.peers().ok()?.into_iter().find(|peer| peer.peer_id == name && peer.connected && wanted(peer))
            });
            linked.unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", node.peers(), node.log_tail()));
        }
    }

    /// Lets somebody at the first home write to somebody at the second.
    fn write(&self, text: &str) {
        let awa = Person::init("Awa", &[self.nodes[0].url()]).unwrap();
        let kofi = Person::init("Kofi", &[self.nodes[1].url()]).unwrap();
        kofi.befriend(&awa).unwrap();
        awa.send("Kofi", text, "stored").unwrap();
        assert_eq!(kofi.texts().unwrap(), [text]);
    }
}

#[test]
fn behind_nat_that_lets_nobody_in_messages_travel_through_a_relay() {
    let homes = match Homes::build(Ports::Shuffled) {
        Ok(homes) => homes,
        Err(error) => return skip(&format!("network namespaces with NAT ({error})")).unwrap(),
    };
    let mut network = Network::start(homes);
    network.linked("a connection through the relay", |peer| peer.relayed);
    network.write("from home to home");
    assert_eq!(network.relay.info().unwrap().records, 0, "it only passes on what it cannot read");
    network.linked("the same connection", |peer| peer.relayed);
    let doctor = network.nodes[0].command(&["doctor"]).unwrap();
    assert!(doctor.contains("it is reached through 1 relay(s)") && doctor.contains("/p2p-circuit/"), "{doctor}");

    // The relay dies without a word and comes back: so does the way through it.
    network.relay.kill();
    for node in &network.nodes {
        wait_for("everybody to be alone", || node.info().ok().filter(|info| info.peers == 0)).unwrap();
    }
    network.relay.launch().unwrap();
    network.linked("a new connection through the relay", |peer| peer.relayed);
}

#[test]
fn behind_nat_that_keeps_ports_two_homes_need_the_relay_only_to_meet() {
    let homes = match Homes::build(Ports::Kept) {
        Ok(homes) => homes,
        Err(error) => return skip(&format!("network namespaces with NAT ({error})")).unwrap(),
    };
    let mut network = Network::start(homes);
    network.linked("a direct connection", |peer| !peer.relayed);
    network.linked("the relayed one to be closed", |peer| !peer.addresses.iter().any(|at| at.contains("p2p-circuit")));
    network.relay.stop().unwrap();
    network.write("no relay is left");
}
