//! The same scenario and the same seed give the same plan, on every machine and for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use griot_simulations::{
    plan::{Conduct, EventPlan, Plan},
    scenario::{
        self, Overrides,
        draw::{Drawn, draw, plan_hash},
    },
};

/// The plans of all built-in scenarios with seed 1: name, hash of the federated plan, hash of the baseline's.
///
/// A change here changes what every published seed stands for. Where one is meant, take the new hashes from the failing
/// test's message and say in the changelog that seeds have moved.
const HASHES: &str = include_str!("plans.txt");

fn drawn(name: &str, seed: u64, overrides: &Overrides) -> Drawn {
    let source = scenario::load(name).unwrap();
    let scenario = scenario::parse(&source, overrides).unwrap_or_else(|error| panic!("{name}: {error}"));
    draw(&scenario, seed).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn built_in_plans_are_what_they_were() {
    let mut hashes = String::new();
    for (name, _) in scenario::builtin::ALL {
        let drawn = drawn(name, 1, &Overrides::default());
        let central = drawn.central.as_ref().map(|plan| plan_hash(plan).unwrap()).unwrap_or_default();
        hashes += &format!("{name} {} {central}\n", plan_hash(&drawn.plan).unwrap());
    }
    assert_eq!(hashes, HASHES, "the plans have changed; they are now:\n{hashes}");
}

#[test]
fn seeds_differ_and_one_purpose_does_not_shift_the_others() {
    let plain = drawn("smoke", 1, &Overrides::default()).plan;
    assert_ne!(plan_hash(&plain).unwrap(), plan_hash(&drawn("smoke", 2, &Overrides::default()).plan).unwrap());
    let params = vec![("topology".to_owned(), "{ kind = 'scale-free', links = 3 }".to_owned())];
    let other = drawn("smoke", 1, &Overrides { params, ..Overrides::default() }).plan;
    assert_ne!(plain.links, other.links);
    assert_eq!(plain.messages, other.messages, "another topology, and the same messages");
    assert_eq!(plain.people, other.people);
    assert_eq!(plain.events, other.events);
}

#[test]
fn who_has_a_whole_client_changes_nothing_else_and_is_bounded() {
    let with = |share: &str| {
        let params = vec![("people.full_clients".to_owned(), share.to_owned())];
        Overrides { params, ..Overrides::default() }
    };
    let (none, some) = (drawn("smoke", 1, &with("0.0")).plan, drawn("smoke", 1, &with("0.2")).plan);
    let count = |plan: &Plan| plan.people.iter().filter(|person| person.full_client).count();
    assert_eq!((count(&none), count(&some)), (0, 12));
    let mut without = some.clone();
    without.people.iter_mut().for_each(|person| person.full_client = false);
    assert_eq!(without, none);
    assert!(!serde_json::to_string(&none).unwrap().contains("full_client"), "such plans look as they always did");
    let texts = some.messages.iter().filter(|message| {
        let direct = !some.mailboxes[message.mailbox.0 as usize].shared;
        let both = some.people[message.author.0 as usize].full_client
            && some.readers_of(message).all(|reader| some.people[reader.0 as usize].full_client);
        direct && both
    });
    assert!(texts.count() >= 12, "those who have one know each other");
    let many = Overrides { nodes: Some(300), ..with("0.5") };
    assert_eq!(count(&drawn("smoke", 1, &many).plan) as u64, scenario::limits::FULL_CLIENTS_MAX);
}

fn assert_sound(name: &str, plan: &Plan) {
    let (nodes, people) = (plan.nodes.len() as u32, plan.people.len() as u32);
    assert!(nodes > 0 && people > 0 && !plan.messages.is_empty(), "{name}");
    assert!(plan.links.iter().all(|link| link.from.0 < nodes && link.to.0 < nodes && link.from != link.to), "{name}");
    for person in &plan.people {
        assert!((1..=3).contains(&person.homes.len()), "{name}");
        assert!(person.homes.iter().all(|home| plan.nodes[home.0 as usize].conduct == Conduct::Honest), "{name}");
    }
    assert!(plan.messages.windows(2).all(|pair| pair[0].at <= pair[1].at), "{name}");
    assert!(plan.events.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{name}");
    assert!(plan.events.iter().all(|(at, _)| at.0 < plan.duration_ms), "{name}");
    for message in &plan.messages {
        assert!(message.author.0 < people && message.at.0 < plan.duration_ms, "{name}");
        let mailbox = &plan.mailboxes[message.mailbox.0 as usize];
        assert!(mailbox.readers.iter().any(|reader| *reader != message.author), "{name}: somebody reads it");
    }
    let (from, until) = plan.outage.expect("every built-in scenario says which time it is about");
    assert!(from < until && until.0 < plan.duration_ms, "{name}: there is a before and an after");
    assert!(
        plan.messages.iter().any(|message| message.at >= from && message.at < until),
        "{name}: written in the outage"
    );
}

#[test]
fn built_in_scenarios_are_sound_at_any_size() {
    for (name, _) in scenario::builtin::ALL {
        for nodes in [None, Some(10), Some(300)] {
            let drawn = drawn(name, 7, &Overrides { nodes, ..Overrides::default() });
            assert_eq!(drawn.plan.nodes.len(), nodes.unwrap_or(drawn.plan.nodes.len() as u32) as usize);
            assert_sound(name, &drawn.plan);
            let central = drawn.central.expect("every built-in scenario has a baseline");
            assert_sound(name, &central);
            assert_eq!((central.nodes.len(), central.messages.len()), (1, drawn.plan.messages.len()));
        }
    }
}

#[test]
fn built_in_scenarios_are_small_enough_to_be_run_casually() {
    for (name, _) in scenario::builtin::ALL {
        let plan = drawn(name, 1, &Overrides::default()).plan;
        println!(
            "{name}: {} nodes, {} links, {} people, {} mailboxes, {} messages, {} events, {} min",
            plan.nodes.len(),
            plan.links.len(),
            plan.people.len(),
            plan.mailboxes.len(),
            plan.messages.len(),
            plan.events.len(),
            plan.duration_ms / 60_000
        );
        assert!(plan.nodes.len() <= 60 && plan.messages.len() <= 6000, "{name}: {} messages", plan.messages.len());
        assert!(plan.duration_ms <= 12 * 3_600_000, "{name}: longer than twelve hours must be compressed");
    }
}

#[test]
fn the_full_length_is_an_option() {
    let short = drawn("split-brain-30d", 1, &Overrides::default()).plan;
    let long = drawn("split-brain-30d", 1, &Overrides { full_length: true, ..Overrides::default() }).plan;
    assert_eq!(long.duration_ms, 33 * 86_400_000);
    assert_eq!(short.duration_ms, 33 * 86_400_000 / 120);
    let life = |plan: &Plan| plan.messages[0].life_seconds;
    assert_eq!((life(&short), life(&long)), (21_600, 2_592_000));
    let ratio = long.messages.len() as f64 / short.messages.len() as f64;
    assert!((0.9..1.1).contains(&ratio), "as much is written: {ratio}");
    assert!(short.events.iter().any(|(_, event)| matches!(event, EventPlan::Heal { .. })));
}

#[test]
fn more_nodes_mean_more_of_everything() {
    let count = |nodes| {
        let plan = drawn("whatsapp-2021-10-04", 1, &Overrides { nodes: Some(nodes), ..Overrides::default() }).plan;
        let crashes = plan.events.iter().filter(|(_, event)| matches!(event, EventPlan::Crash(_))).count();
        (plan.people.len(), plan.messages.len(), crashes)
    };
    let (small, large) = (count(40), count(400));
    assert_eq!((small.0 * 10, small.2 * 10), (large.0, large.2));
    let ratio = large.1 as f64 / small.1 as f64;
    assert!((9.0..11.0).contains(&ratio), "{ratio}");
}

#[test]
fn topologies_and_latencies_come_from_files_beside_the_scenario() {
    let temp = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(temp.path().join(name), text).unwrap();
    write(
        "net.graphml",
        "<graphml><key id=\"r\" attr.name=\"region\"/><graph><node id=\"a\"><data key=\"r\">south</data></node>\
         <node id=\"b\"/><node id=\"c\"/><edge source=\"a\" target=\"b\"/></graph></graphml>",
    );
    write("rtt.csv", "place,here,there\nhere,2,80\nthere,,4\n");
    let head = "name = \"mine\"\nabout = \"x\"\nduration = \"1h\"\n[topology]\nkind = \"file\"\npath = \"net.graphml\"\n\
                [latency]\nkind = \"regions\"\nmatrix = \"rtt.csv\"\n[[regions]]\nname = \"north\"\nshare = 1.0\nplace = \"here\"\n";
    let text = format!("{head}[[regions]]\nname = \"south\"\nshare = 0.0\nplace = \"there\"\n");
    write("mine.toml", &text);
    let path = temp.path().join("mine.toml");
    let plan = drawn(path.to_str().unwrap(), 1, &Overrides::default()).plan;
    assert_eq!(plan.nodes.iter().map(|node| node.region).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(plan.links.len(), 2, "the island is joined");
    let griot_simulations::plan::LatencyPlan::Regions { one_way_ms, .. } = &plan.latency else { panic!() };
    assert_eq!(one_way_ms, &[[1, 40], [40, 2]]);
    // What a file says wrongly is said with the file's name.
    write("mine.toml", head);
    let scenario = scenario::parse(&scenario::load(path.to_str().unwrap()).unwrap(), &Overrides::default()).unwrap();
    assert!(draw(&scenario, 1).unwrap_err().to_string().contains("`south`"));
    write("rtt.csv", "place,here\nhere,x\n");
    write("mine.toml", &text);
    let scenario = scenario::parse(&scenario::load(path.to_str().unwrap()).unwrap(), &Overrides::default()).unwrap();
    let error = draw(&scenario, 1).unwrap_err().to_string();
    assert!(error.contains("rtt.csv") && error.contains("line 2"), "{error}");
}

#[test]
fn hostile_values_are_refused_in_words() {
    let keys = [
        "duration",
        "starts_at",
        "compress",
        "network.nodes",
        "network.bits",
        "network.postage_bits",
        "network.fsync",
        "topology.degree",
        "topology.kind",
        "latency.median_ms",
        "latency.sigma",
        "bandwidth.slow_share",
        "bandwidth.up_kib_per_second",
        "nat.share",
        "people.per_node",
        "people.homes",
        "people.largest_share",
        "people.full_clients",
        "people.online.kind",
        "workload.per_person_per_day",
        "workload.curve",
        "workload.contacts",
        "workload.sizes",
        "workload.life",
        "workload.from",
        "workload.until",
        "workload.groups.per_hundred_people",
        "workload.groups.size",
        "workload.groups.share",
        "workload.channels.per_day",
        "workload.bots.answer_after_max",
        "workload.bursts",
        "faults.0.at",
        "faults.0.every",
        "faults.0.lasts",
        "faults.0.nodes",
        "faults.1.nodes.share",
        "faults.3.seconds",
        "adversaries",
        "outage.at",
        "outage.lasts",
        "central.kind",
        "central.share",
    ];
    let values = [
        "nan",
        "inf",
        "-inf",
        "-1",
        "1e308",
        "9223372036854775807",
        "\"\"",
        "\"9999999999999999d\"",
        "\"3650d\"",
        "true",
        "[]",
        "{}",
        "[nan]",
        "0",
        "\"0s\"",
    ];
    let (mut refused, mut drawn) = (0, 0);
    for key in keys {
        for value in values {
            let params = vec![(key.to_owned(), value.to_owned())];
            let parsed =
                scenario::parse(&scenario::load("smoke").unwrap(), &Overrides { params, ..Overrides::default() });
            // Whatever passes is small enough to be drawn, and what cannot be drawn says why.
            match parsed.map(|scenario| draw(&scenario, 1)) {
                Ok(Ok(plan)) => {
                    scenario::plan_file::check_plan(&plan.plan)
                        .unwrap_or_else(|what| panic!("{key} = {value}: {what}"));
                    drawn += 1;
                }
                Ok(Err(error)) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
                Err(error) => {
                    assert!(error.to_string().len() > 20, "{key} = {value}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 450 && drawn > 20, "{refused} refused, {drawn} drawn");
}
