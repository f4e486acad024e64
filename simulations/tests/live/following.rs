//! `inbox --follow` owns the home, and every other command on it goes through it: nobody sees a lock.

use std::io::{BufRead, BufReader};

use griot_client::core::InboxMessage;
use griot_simulations::live::{node, person::Person};

#[test]
fn a_follower_prints_messages_as_they_come_while_send_works_beside_it() {
    let nodes = node::row(2, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[1].url()]).unwrap();
    kofi.befriend(&awa).unwrap();

    let mut follower = kofi.spawn(&["inbox", "--follow", "--json"]).unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<InboxMessage>(&lines.next().unwrap().unwrap()).unwrap();
    for n in 0..5 {
        let text = format!("question {n}");
        awa.send("Kofi", &text, "accepted").unwrap();
        let message = next();
        assert_eq!((message.from.as_str(), message.content["text"].as_str()), ("Awa", Some(text.as_str())));
        kofi.send("Awa", &format!("answer {n}"), "accepted").unwrap();
    }
    // The follower acked what it stored, while it was running.
    let id = awa.send("Kofi", "done", "delivered").unwrap();
    assert_eq!(next().id, id);
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(awa.texts().unwrap().len(), 5);
    assert_eq!(kofi.inbox().unwrap().len(), 6);
}

#[test]
fn what_is_sent_beside_a_killed_follower_still_goes_out() {
    let nodes = node::row(1, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[0].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let mut follower = awa.spawn(&["inbox", "--follow"]).unwrap();
    awa.send("Kofi", "one", "accepted").unwrap();
    follower.kill().unwrap();
    follower.wait().unwrap();
    awa.send("Kofi", "two", "accepted").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["one", "two"]);
}
