//! The sender sees why a message is not *stored* yet, as far as the node knows, and no longer than it is so.

use griot_client::core::{SendState, SentMessage};
use griot_simulations::live::{node, person::Person, wait_for};

fn until(awa: &Person, state: SendState, reason: Option<&str>) {
    wait_for(&format!("{state:?} because of {reason:?}"), || {
        let sent: Vec<SentMessage> = awa.json(&["sent"]).unwrap();
        let last = sent.last().unwrap();
        (last.state == state && last.reason.as_deref() == reason).then_some(())
    })
    .unwrap();
}

#[test]
fn a_message_that_waits_says_why_until_it_does_not_wait_any_more() {
    let mut nodes = node::row(3, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[2].url()]).unwrap();
    kofi.befriend(&awa).unwrap();

    // Kofi's home is dead, somebody else is there.
    nodes[2].kill();
    awa.send("Kofi", "patience", "accepted").unwrap();
    until(&awa, SendState::Accepted, Some("no home of its mailbox has signed a receipt that came back"));
    // Then nobody is.
    nodes[1].kill();
    until(&awa, SendState::Accepted, Some("this node is connected to no other node"));
    let shown = awa.run(&["sent"]).unwrap();
    assert!(shown.contains("connected to no other node"), "{shown}");
    nodes[1].launch().unwrap();
    nodes[2].launch().unwrap();
    until(&awa, SendState::Stored, None);
    assert_eq!(kofi.texts().unwrap(), ["patience"]);
    until(&awa, SendState::Delivered, None);
}
