//! kill -9, at random moments, fifty times: the sender's node right after *accepted*, the recipient's home right after
//! *stored*. Every accepted message is delivered exactly once, and every id that was acknowledged is still there after
//! every restart.

use std::time::Duration;

use griot_client::home::Connection;
use griot_protocol::RecordId;
use griot_simulations::live::{node, node::NodeProcess, person::Person, wait_for};
use rand::{RngExt as _, SeedableRng as _};

use super::strangers;

/// Rounds in which a node dies.
const ROUNDS: usize = 50;

/// Records submitted one after the other while the node may die at any moment.
const RAW_RECORDS: usize = 200;

/// Submits records until the node dies; returns those it acknowledged.
async fn submit_until_death(mut connection: Connection, first: u64) -> Vec<RecordId> {
    let mut acknowledged = Vec::new();
    for n in first..first + RAW_RECORDS as u64 {
        match connection.submit(strangers::record(n).frame().clone()).await {
            Ok(accepted) => acknowledged.push(accepted.id),
            Err(_) => break,
        }
    }
    acknowledged
}

async fn assert_all_known(node: &NodeProcess, ids: &[RecordId], round: usize) {
    let mut connection = strangers::connect(&node.url());
    for id in ids {
        let status = connection.status(id).await.unwrap();
        assert!(status.is_some(), "round {round}: {id} was acknowledged and is gone after kill -9");
    }
}

#[test]
fn nothing_accepted_is_lost_or_doubled_when_nodes_are_killed() {
    let seed: u64 = std::env::var("GRIOT_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_211_004);
    println!("seed {seed} (set GRIOT_TEST_SEED to replay)");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();

    let mut sent = Vec::new();
    let mut acknowledged = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        let pause = Duration::from_millis(rng.random_range(0..40));
        let (victim, wait) = if rng.random_bool(0.5) { (0, "accepted") } else { (2, "stored") };
        awa.send("Kofi", &text, wait).unwrap();
        sent.push(text);
        let submitting =
            runtime.spawn(submit_until_death(strangers::connect(&nodes[victim].url()), (round * RAW_RECORDS) as u64));
        // The random moment: between the answer and anything up to two gossip hops later.
        std::thread::sleep(pause);
        nodes[victim].kill();
        acknowledged[victim].extend(runtime.block_on(submitting).unwrap());
        nodes[victim].launch().unwrap();
        runtime.block_on(assert_all_known(&nodes[victim], &acknowledged[victim], round));
    }
    assert!(acknowledged.iter().any(|ids| !ids.is_empty()), "no record was ever acknowledged before a kill");
    wait_for("every message", || (kofi.texts().unwrap().len() >= ROUNDS).then_some(())).unwrap();
    assert_eq!(kofi.texts().unwrap(), sent);
}
