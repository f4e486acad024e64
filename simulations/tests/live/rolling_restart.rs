//! Nodes are restarted one after the other, as for an upgrade, while people write, a follower reads, and strangers' records pour in: the
//! follower reconnects, misses nothing and shows nothing twice, also where the index had to be made again and old cursors mean
//! nothing.

use std::{
    io::{BufRead as _, BufReader},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use griot_client::core::InboxMessage;
use griot_protocol::RecordId;
use griot_simulations::live::{node, person::Person, wait_for};

use super::strangers;

/// How often each node is restarted.
const ROUNDS: usize = 3;

/// Messages to be read at the least, a few for each restart.
const MESSAGES_MIN: usize = 30;

/// Submits strangers' records until it is told to stop, whatever becomes of its connection. Returns those acknowledged.
async fn pour(url: String, first: u64, stop: Arc<AtomicBool>) -> Vec<RecordId> {
    let mut acknowledged = Vec::new();
    let mut n = first;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = strangers::connect(&url);
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            match connection.submit(strangers::record(n).frame().clone()).await {
                Ok(accepted) => acknowledged.push(accepted.id),
                Err(_) => break,
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    acknowledged
}

#[test]
fn a_follower_misses_nothing_and_sees_nothing_twice_while_nodes_restart_under_load() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut nodes = node::row(2, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[1].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let mut follower = kofi.spawn(&["inbox", "--follow", "--json"]).unwrap();
    let shown = BufReader::new(follower.stdout.take().unwrap());

    let stop = Arc::new(AtomicBool::new(false));
    let pouring: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(place, node)| runtime.spawn(pour(node.url(), place as u64 * 1_000_000_000, Arc::clone(&stop))))
        .collect();
    let reading = std::thread::spawn(move || {
        let message = |line: Result<String, _>| serde_json::from_str::<InboxMessage>(&line.unwrap()).unwrap();
        let texts = shown.lines().map(message).map(|message| message.content["text"].as_str().unwrap().to_owned());
        let mut read = Vec::new();
        for text in texts {
            let is_last = text == "the last";
            read.push(text);
            if is_last {
                break;
            }
        }
        read
    });
    let written = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = Vec::new();
            while written.len() < MESSAGES_MIN || !stop.load(Ordering::Relaxed) {
                let text = format!("message {}", written.len());
                awa.send("Kofi", &text, "accepted").unwrap();
                written.push(text);
            }
            written
        });
        for round in 0..ROUNDS {
            for node in &mut nodes {
                node.stop().unwrap();
                if round == 1 {
                    // A new index has a new epoch.
                    std::fs::remove_dir_all(node.data_dir().join("index")).unwrap();
                }
                node.launch().unwrap();
                wait_for("the nodes to meet again", || (node.info().ok()?.peers == 1).then_some(())).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    awa.send("Kofi", "the last", "accepted").unwrap();
    wait_for("the follower to show the last message", || reading.is_finished().then_some(())).unwrap();
    let mut read = reading.join().unwrap();
    assert_eq!(read.pop().as_deref(), Some("the last"));
    assert_eq!(read, written, "each once, in order");
    assert!(follower.try_wait().unwrap().is_none(), "it is the same follower as at the start");
    follower.kill().unwrap();
    follower.wait().unwrap();

    for (place, pouring) in pouring.into_iter().enumerate() {
        let acknowledged = runtime.block_on(pouring).unwrap();
        assert!(acknowledged.len() > 10, "there was no load");
        let mut connection = strangers::connect(&nodes[place].url());
        for id in acknowledged {
            assert!(runtime.block_on(connection.status(&id)).unwrap().is_some(), "{id} was acknowledged and is gone");
        }
    }
}
