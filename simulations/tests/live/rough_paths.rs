//! Two or three real nodes on paths that are cut, one-way, or lossy: what was accepted arrives, once and in order.

use griot_simulations::live::{
    mesh,
    node::{NodeOptions, NodeProcess},
    person::Person,
    skip, wait_for,
    wire::{End, Wire},
};

const A: End = End::new(0);
const B: End = End::new(1);

/// One-way latency of every path.
const LATENCY_MS: u32 = 20;

/// Nodes on a wire, every pair of them linked. What runs in the wire's namespaces ends before it.
struct Net {
    nodes: Vec<NodeProcess>,
    wire: Wire,
}

/// Nothing, where this machine cannot have one.
fn net(nodes: u16) -> Option<Net> {
    let wire = match Wire::lay(nodes, 1) {
        Ok(wire) => wire,
        Err(error) => {
            skip(&format!("network namespaces with TUN devices ({error})")).unwrap();
            return None;
        }
    };
    let size = usize::from(nodes);
    wire.set_latencies(&vec![vec![LATENCY_MS; size]; size]);
    let links: Vec<_> = (0..size).flat_map(|from| (0..from).map(move |to| (from, to))).collect();
    Some(Net { nodes: mesh::start(&wire, &links, &NodeOptions::default()).unwrap(), wire })
}

impl Net {
    /// Awa, whose home is the first node, and Kofi, whose home is the second; they are in contact.
    fn awa_and_kofi(&self) -> (Person, Person) {
        let awa = Person::init("Awa", &[self.nodes[0].url()]).unwrap();
        let kofi = Person::init("Kofi", &[self.nodes[1].url()]).unwrap();
        kofi.befriend(&awa).unwrap();
        (awa, kofi)
    }

    /// Cuts the path between the first two nodes, both ways.
    fn cut_line(&self) {
        self.wire.cut(&[A], &[B]);
        self.wire.cut(&[B], &[A]);
    }

    /// Heals it, both ways.
    fn heal_line(&self) {
        self.wire.heal(&[A], &[B]);
        self.wire.heal(&[B], &[A]);
    }
}

fn send_all(from: &Person, to: &str, texts: &[String]) {
    for text in texts {
        from.send(to, text, "accepted").unwrap();
    }
}

fn wait_until_read(by: &Person, texts: &[String]) {
    wait_for("the messages to arrive", || (by.texts().unwrap().len() >= texts.len()).then_some(())).unwrap();
    assert_eq!(by.texts().unwrap(), texts);
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

#[test]
fn what_is_sent_in_a_short_cut_arrives_after_the_heal() {
    let Some(net) = net(2) else { return };
    let (awa, kofi) = net.awa_and_kofi();
    let all = texts(4);
    net.cut_line();
    send_all(&awa, "Kofi", &all);
    assert!(kofi.texts().unwrap().is_empty());
    wait_for("something to be cut off", || (net.wire.counts(A, B).cut_packets > 0).then_some(())).unwrap();
    net.heal_line();
    wait_until_read(&kofi, &all);
}

#[test]
fn what_is_sent_in_a_cut_that_ended_the_connection_arrives_after_the_heal() {
    let Some(net) = net(2) else { return };
    let (awa, kofi) = net.awa_and_kofi();
    let all = texts(2);
    net.cut_line();
    send_all(&awa, "Kofi", &all[..1]);
    for node in &net.nodes {
        wait_for("a node to give the other up", || (node.info().ok()?.peers == 0).then_some(())).unwrap();
    }
    send_all(&awa, "Kofi", &all[1..]);
    assert!(kofi.texts().unwrap().is_empty());
    net.heal_line();
    wait_until_read(&kofi, &all);
}

#[test]
fn losing_every_fifth_packet_loses_no_message() {
    let Some(net) = net(2) else { return };
    let (awa, kofi) = net.awa_and_kofi();
    net.wire.change(&[A], &[B], |link| link.loss_ppm = 200_000);
    net.wire.change(&[B], &[A], |link| link.loss_ppm = 200_000);
    let all = texts(10);
    send_all(&awa, "Kofi", &all);
    wait_until_read(&kofi, &all);
    assert!(net.wire.counts(A, B).lost_packets > 0);
}

#[test]
fn a_one_way_cut_holds_mail_back_one_way() {
    let Some(net) = net(2) else { return };
    let (awa, kofi) = net.awa_and_kofi();
    net.wire.cut(&[A], &[B]);
    let all = texts(3);
    send_all(&awa, "Kofi", &all);
    wait_for("something to be cut off", || (net.wire.counts(A, B).cut_packets > 0).then_some(())).unwrap();
    assert!(kofi.texts().unwrap().is_empty());
    assert_eq!(net.wire.counts(B, A).cut_packets, 0);
    net.wire.heal(&[A], &[B]);
    wait_until_read(&kofi, &all);
}

#[test]
fn a_third_node_carries_mail_around_a_cut() {
    let Some(net) = net(3) else { return };
    let (awa, kofi) = net.awa_and_kofi();
    net.cut_line();
    let delivered = net.wire.counts(A, B).delivered_packets;
    let all = texts(3);
    send_all(&awa, "Kofi", &all);
    wait_until_read(&kofi, &all);
    assert_eq!(net.wire.counts(A, B).delivered_packets, delivered, "the cut stood all the time");
}
