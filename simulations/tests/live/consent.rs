//! Nobody writes to you unless you gave them the means, and you can take it back.

use griot_client::core::{ContactInfo, ContactState, InviteInfo, RequestInfo};
use griot_simulations::live::{node, person::Person, wait_for};

fn requests(person: &Person) -> Vec<RequestInfo> {
    person.json(&["requests"]).unwrap()
}

fn contact(person: &Person, name: &str) -> Option<ContactInfo> {
    person.json::<ContactInfo>(&["contacts"]).unwrap().into_iter().find(|contact| contact.name == name)
}

#[test]
fn a_pending_contact_cannot_be_written_to_and_a_declined_one_never_can() {
    let nodes = node::row(2, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[1].url()]).unwrap();
    let link = kofi.run(&["invite"]).unwrap();
    assert!(link.starts_with("griot:") && link.lines().count() == 1);
    awa.run(&["connect", link.trim()]).unwrap();
    assert_eq!(contact(&awa, "Kofi").unwrap().state, ContactState::Pending);
    assert_eq!(awa.output(&["send", "Kofi", "let me in"]).unwrap().status.code(), Some(1));
    let request = wait_for("the request", || requests(&kofi).into_iter().next()).unwrap();
    kofi.run(&["decline", &request.id]).unwrap();
    assert!(requests(&kofi).is_empty());
    assert_eq!(contact(&awa, "Kofi").unwrap().state, ContactState::Pending);
    assert!(kofi.texts().unwrap().is_empty());
}

#[test]
fn a_revoked_invite_brings_no_more_requests_and_a_single_use_one_brings_one() {
    let nodes = node::row(1, &[]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[0].url()]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let binta = Person::init("Binta", &[nodes[0].url()]).unwrap();

    let once = kofi.run(&["invite", "--once"]).unwrap();
    awa.run(&["connect", once.trim()]).unwrap();
    wait_for("the first request", || (requests(&kofi).len() == 1).then_some(())).unwrap();
    binta.output(&["connect", once.trim()]).unwrap();
    assert_eq!(requests(&kofi).len(), 1);

    let revoked = kofi.run(&["invite"]).unwrap();
    let active: Vec<InviteInfo> =
        kofi.json::<InviteInfo>(&["invite", "list"]).unwrap().into_iter().filter(|i| i.active).collect();
    assert_eq!(active.len(), 1);
    kofi.run(&["invite", "revoke", &active[0].id]).unwrap();
    let chidi = Person::init("Chidi", &[nodes[0].url()]).unwrap();
    chidi.output(&["connect", revoked.trim()]).unwrap();
    assert_eq!(requests(&kofi).len(), 1);
}

#[test]
fn a_blocked_contact_is_no_longer_heard_and_both_see_the_same_safety_number() {
    let nodes = node::row(2, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[1].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let digits = |text: String| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let numbers = [awa.run(&["safety", "Kofi"]).unwrap(), kofi.run(&["safety", "Awa"]).unwrap()].map(digits);
    assert!(numbers[0].len() >= 30);
    assert_eq!(numbers[0], numbers[1]);

    awa.send("Kofi", "before", "stored").unwrap();
    assert_eq!(kofi.texts().unwrap(), ["before"]);
    kofi.run(&["block", "Awa"]).unwrap();
    assert_eq!(contact(&kofi, "Awa").unwrap().state, ContactState::Blocked);
    awa.send("Kofi", "after", "accepted").unwrap();
    let after = awa.output(&["send", "Kofi", "after, waiting", "--wait", "delivered", "--timeout", "3"]).unwrap();
    assert_eq!(after.status.code(), Some(3));
    assert_eq!(kofi.texts().unwrap(), ["before"]);
}
