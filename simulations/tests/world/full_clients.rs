//! People with a full client: what two of them write to each other is encrypted by one production client, travels
//! through the network, and is decrypted and shown by the other, once, byte for byte, whatever happens to the homes.

use super::support::*;
use griot_simulations::plan::*;

/// Eight nodes and twelve people, every second of whom has a full client; a home crashes, the network is cut in two,
/// somebody is away, somebody writes while off line.
fn eventful() -> Plan {
    let mut plan = village(8, 21, 6);
    for index in 8..12 {
        let homes = vec![NodeIndex(index - 8), NodeIndex(index - 4)];
        plan.people.push(PersonPlan { homes, starts_online: true, full_client: false });
        plan.mailboxes.push(MailboxPlan { shared: false, readers: vec![PersonIndex(index)] });
    }
    for person in plan.people.iter_mut().step_by(2) {
        person.full_client = true;
    }
    for n in 0..120 {
        let author = n * 5 % 12;
        plan.messages.push(MessagePlan {
            at: VirtualMs(20_000 + u64::from(n) * 1_200),
            author: PersonIndex(author),
            mailbox: MailboxIndex((author + 1 + n % 7) % 12),
            // From a word to more than a small bucket.
            bytes: [3, 200, 900, 5_000][n as usize % 4],
            life_seconds: 7 * 24 * 3600,
        });
    }
    let [a, b] = [(0..3), (3..8)].map(|range| range.map(NodeIndex).collect::<Vec<_>>());
    cut_both_ways(&mut plan, 40_000, "halves", &a, &b);
    at(&mut plan, 60_000, EventPlan::Crash(NodeIndex(4)));
    at(&mut plan, 65_000, EventPlan::Offline(PersonIndex(2)));
    at(&mut plan, 90_000, EventPlan::Start(NodeIndex(4)));
    at(&mut plan, 110_000, EventPlan::Heal { name: "halves".to_owned() });
    at(&mut plan, 115_000, EventPlan::Online(PersonIndex(2)));
    at(&mut plan, 120_000, EventPlan::Crash(NodeIndex(0)));
    at(&mut plan, 135_000, EventPlan::Start(NodeIndex(0)));
    at(&mut plan, 145_000, EventPlan::Homes(PersonIndex(6), vec![NodeIndex(6), NodeIndex(1)]));
    plan
}

/// The messages between two people with a full client.
fn texts(plan: &Plan) -> Vec<usize> {
    let is_full = |person: &PersonIndex| plan.people[person.0 as usize].full_client;
    let all = plan.messages.iter().enumerate();
    all.filter(|(_, message)| is_full(&message.author) && plan.readers_of(message).all(|reader| is_full(&reader)))
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn every_text_is_read_once_as_it_was_written_and_two_processes_agree() {
    let plan = eventful();
    let texts = texts(&plan);
    assert!(texts.len() >= 20, "{} texts", texts.len());
    let [first, second] = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| run_in_a_fresh_process(&plan)));
        runs.map(|run| run.join().unwrap())
    });
    assert_lawful(
        &first,
        &[
            "acknowledged-survives-crash",
            "read-was-written",
            "shown-once",
            "accepted-is-delivered",
            "acked-is-gone",
            "stored-is-true",
            "acked-was-read",
        ],
    );
    for number in &texts {
        let fate = &first.messages[*number];
        assert_eq!((fate.deliveries.len(), fate.shown_again), (1, 0), "message {number}: {fate:?}");
        assert!(fate.accepted.is_some() && fate.acked.is_some(), "message {number}: {fate:?}");
    }
    // Not all: some are read and acked at a home of both before a receipt, or another node, has come by.
    let count = |is: &dyn Fn(&MessageFate) -> bool| texts.iter().filter(|number| is(&first.messages[**number])).count();
    let (stored, travelled) =
        (count(&|fate| fate.stored.is_some()), count(&|fate| fate.holders > 1 && fate.copies > 0));
    assert!(stored > 0, "of no text the author knew a home that held it");
    assert!(travelled * 2 > texts.len(), "{travelled} of {} texts travelled", texts.len());
    assert_eq!(delivered(&plan, &first), plan.messages.len(), "and so is everything else");
    let counted = |name: &str| first.counters.get(name).copied().unwrap_or_default();
    assert_eq!(counted("clients.accounts"), 6);
    assert_eq!(counted("clients.messages"), texts.len() as u64);
    assert_eq!(counted("clients.decrypted"), texts.len() as u64);
    assert_eq!((counted("clients.undecryptable"), counted("clients.refusals")), (0, 0));
    assert_eq!(first.trace_hash, second.trace_hash);
    assert_eq!(first, second);
}
