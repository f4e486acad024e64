//! A person with two homes: either may die.

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
fn a_dead_home_is_a_warning_on_stderr_and_stdout_holds_only_objects() {
    let mut nodes = node::row(2, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url(), nodes[1].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[0].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    awa.send("Kofi", "hello", "stored").unwrap();
    kofi.send("Awa", "hello", "stored").unwrap();
    awa.texts().unwrap();
    awa.run(&["invite"]).unwrap();
    nodes[1].kill();
    for (args, lines) in [
        (&["inbox", "--json"][..], 1),
        (&["inbox", "--json", "--from", "Kofi"], 1),
        (&["sent", "--json", "Kofi"], 1),
        (&["send", "Kofi", "again", "--wait", "stored", "--json"], 1),
        (&["contacts", "--json"], 1),
        (&["requests", "--json"], 0),
        (&["invite", "list", "--json"], 1),
        (&["home", "list", "--json"], 2),
        (&["status", "--json"], 1),
    ] {
        let output = awa.output(args).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout.lines().count(), lines, "{args:?}: {stdout}");
        for line in stdout.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{args:?}: {line}");
        }
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("warning: home {}", nodes[1].url())), "{args:?}: {stderr}");
    }
    let late = awa.output(&["send", "Kofi", "unread", "--wait", "delivered", "--timeout", "1", "--json"]).unwrap();
    assert_eq!(late.status.code(), Some(3));
    let object: serde_json::Value = serde_json::from_slice(&late.stdout).unwrap();
    assert_eq!(object["state"], "stored");
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
