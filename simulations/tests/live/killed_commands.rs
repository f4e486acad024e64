//! Nothing is left half done when a command is killed: kill -9 of every command that changes something, at random
//! moments. Afterwards the same command works, and nothing is doubled or lost.

use std::time::Duration;

use griot_client::core::{ContactInfo, ContactState, InviteInfo, RequestInfo, SendState, SentMessage};
use griot_simulations::live::{node, person::Person, wait_for};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Accounts that are made, and that become contacts.
const PEOPLE: usize = 8;

/// Messages whose `send` is killed.
const MESSAGES: usize = 20;

/// The latest moment of a kill: about what a command takes, so that it strikes before, in and after the work.
const KILL_MS_MAX: u64 = 70;

fn seeded() -> StdRng {
    let seed: u64 = std::env::var("GRIOT_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed} (set GRIOT_TEST_SEED to replay)");
    StdRng::seed_from_u64(seed)
}

/// Begins a command and kills it somewhere in it. Returns whether it was still at work.
fn begin_and_kill(person: &Person, args: &[&str], rng: &mut StdRng) -> bool {
    let mut child = person.spawn(args).unwrap();
    // The random moment.
    std::thread::sleep(Duration::from_millis(rng.random_range(0..KILL_MS_MAX)));
    let was_at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_at_work
}

/// `init` again: it makes the account, or says that all of it is there.
fn init_again(person: &Person, args: &[&str]) {
    let output = person.output(args).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || words.contains("account here already"), "{words}");
    let homes: Vec<serde_json::Value> = person.json(&["home", "list"]).unwrap();
    assert_eq!(homes.len(), 2, "both homes or none: {words}");
}

#[test]
fn every_command_may_be_killed_and_given_again() {
    let mut rng = seeded();
    let nodes = node::row(2, &[]).unwrap();
    let urls = [nodes[0].url(), nodes[1].url()];
    let awa = Person::init("Awa", &urls).unwrap();
    let mut struck = 0;
    for n in 0..PEOPLE {
        let name = format!("Kofi {n}");
        let kofi = Person::uninitialised().unwrap();
        let init = ["init", "--name", &name, "--node", &urls[0], "--node", &urls[1]];
        struck += usize::from(begin_and_kill(&kofi, &init, &mut rng));
        init_again(&kofi, &init);

        struck += usize::from(begin_and_kill(&awa, &["invite"], &mut rng));
        let link = awa.run(&["invite"]).unwrap();
        let connect = ["connect", link.trim(), "--message", "hello"];
        struck += usize::from(begin_and_kill(&kofi, &connect, &mut rng));
        kofi.run(&connect).unwrap();

        let request: RequestInfo = wait_for("the request", || {
            let mut requests: Vec<RequestInfo> = awa.json(&["requests"]).unwrap();
            assert!(requests.len() <= 1, "one person asks once: {requests:?}");
            requests.pop()
        })
        .unwrap();
        assert_eq!(request.name, name);
        struck += usize::from(begin_and_kill(&awa, &["accept", &request.id], &mut rng));
        awa.run(&["accept", &request.id]).unwrap();
        wait_for("the acceptance", || {
            let contacts: Vec<ContactInfo> = kofi.json(&["contacts"]).unwrap();
            assert_eq!(contacts.len(), 1);
            (contacts[0].state == ContactState::Connected).then_some(())
        })
        .unwrap();
        kofi.send("Awa", &format!("from {name}"), "stored").unwrap();
        awa.send(&name, "welcome", "stored").unwrap();
        assert_eq!(kofi.texts().unwrap(), ["welcome"]);
    }
    let contacts: Vec<ContactInfo> = awa.json(&["contacts"]).unwrap();
    assert_eq!(contacts.len(), PEOPLE, "each once");
    let expected: Vec<String> = (0..PEOPLE).map(|n| format!("from Kofi {n}")).collect();
    assert_eq!(awa.texts().unwrap(), expected);
    let requests: Vec<RequestInfo> = awa.json(&["requests"]).unwrap();
    assert!(requests.is_empty(), "a second request of a killed connect is none of its own: {requests:?}");
    let invites: Vec<InviteInfo> = awa.json(&["invite", "list"]).unwrap();
    assert!(invites.len() <= 2 * PEOPLE);
    println!("{struck} of {} commands were still at work", 4 * PEOPLE);
    assert!(struck > 0, "no command was ever killed at work");
}

#[test]
fn a_message_whose_send_was_killed_is_sent_whole_and_once_or_not_at_all() {
    let mut rng = seeded();
    let nodes = node::row(1, &[]).unwrap();
    let awa = Person::init("Awa", &[nodes[0].url()]).unwrap();
    let kofi = Person::init("Kofi", &[nodes[0].url()]).unwrap();
    kofi.befriend(&awa).unwrap();
    let mut struck = 0;
    for n in 0..MESSAGES {
        struck += usize::from(begin_and_kill(&awa, &["send", "Kofi", &format!("killed {n}")], &mut rng));
        awa.send("Kofi", &format!("whole {n}"), "accepted").unwrap();
        // The reader, too, may die at any moment.
        begin_and_kill(&kofi, &["inbox"], &mut rng);
    }
    let sent = wait_for("every message to be delivered", || {
        kofi.texts().unwrap();
        let sent: Vec<SentMessage> = awa.json(&["sent"]).unwrap();
        sent.iter().all(|message| message.state == SendState::Delivered).then_some(sent)
    })
    .unwrap();
    let texts: Vec<String> = sent.iter().map(|message| message.content["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kofi.texts().unwrap(), texts, "what is queued is read, once, in order");
    for n in 0..MESSAGES {
        let count = |text: &str| texts.iter().filter(|sent| *sent == text).count();
        assert_eq!(count(&format!("whole {n}")), 1);
        assert!(count(&format!("killed {n}")) <= 1);
    }
    println!("{struck} of {MESSAGES} sends were still at work");
    assert!(struck > 0, "no send was ever killed at work");
}
