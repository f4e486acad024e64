//! A person with two homes: either may die.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use griot_client::core::SentMessage;
use griot_simulations::live::{node, person::Person, wait_for};

#[test]
fn a_message_is_stored_on_both_homes_and_read_once_when_one_is_dead() {
    let mut nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[1].url(), nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let id = awa.send("Kofi", "two copies", "stored").unwrap();
    wait_for("receipts of both homes", || {
        let sent: Vec<SentMessage> = awa.json(&["sent"]).unwrap();
        sent.into_iter().find(|message| message.id == id && message.stored_on.len() == 2)
    })
    .unwrap();
    nodes[1].kill();
    assert_eq!(kofi.texts().unwrap(), ["two copies"]);
    nodes[1].launch().unwrap();
    assert_eq!(kofi.texts().unwrap(), ["two copies"]);
}

#[test]
fn with_no_home_reachable_reading_still_works_and_sending_waits_in_the_queue() {
    let mut nodes = node::row(1, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[0].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "first", "accepted").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["first"]);
    nodes[0].kill();
    let read = kofi.output(&["inbox", "--json"]).unwrap();
    assert_eq!(read.status.code(), Some(0));
    assert!(!read.stderr.is_empty(), "a home that does not answer is a warning");
    let send = awa.output(&["send", "Kofi", "second", "--timeout", "1"]).unwrap();
    assert_eq!(send.status.code(), Some(3), "the message stays queued");
    nodes[0].launch().unwrap();
    awa.run(&["status"]).unwrap();
    assert_eq!(kofi.texts().unwrap(), ["first", "second"]);
}
