//! What others have published about gossipsub in networks of a thousand nodes, run again in the world.
//!
//! Each [`Study`] is a network that somebody else simulated, with code that has nothing in common with ours, and wrote
//! down: how many neighbours, which latencies, how many messages, what came of them. The world runs the same network
//! with our nodes and *our* gossip parameters (D = 4, at least 3, at most 6, a heartbeat a second), which are not to be
//! bent for a comparison. Counted is what the others counted: every node that comes to hold a
//! message, the time from writing to that, and how often the message was sent. Our messages make a second record, the
//! ack; nobody reads here, so there is none.

mod found;
mod model;

use std::collections::BTreeSet;

pub use found::Found;
pub use model::Expected;
use model::{Mesh, Network};

use super::{TruthError, Witness, bare_plan};
use crate::{
    cli::World,
    plan::{
        Conduct, LatencyLaw, LatencyPlan, LinkPlan, MailboxIndex, MailboxPlan, MessagePlan, NodeIndex, NodePlan,
        PersonIndex, PersonPlan, Plan, VirtualMs,
    },
    random::Random,
};

/// Nodes of one run at most: ten thousand take a machine of 64 GB.
pub const NODES_MAX: u32 = 10_000;

/// How long meshes form before the first message: connections take some seconds, and a mesh some heartbeats.
const WARM_UP_MS: u64 = 45_000;

/// Between two messages.
const EVERY_MS: u64 = 1_000;

/// How long the last message is waited for. vyzo's script waits as long.
const LINGER_MS: u64 = 10_000;

/// Messages live longer than the run.
const LIFE_SECONDS: u64 = 3600;

/// A network that somebody else has simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Study {
    /// Its name on the command line.
    pub name: &'static str,
    /// Who, and where it is to be read.
    pub source: &'static str,
    /// How many nodes it had.
    pub nodes: u32,
    /// How many others each node dials.
    pub connect: u32,
    /// How many nodes write.
    pub writers: u32,
    /// How many messages.
    pub messages: u32,
    /// Payload bytes of a message; ours are rounded up to a bucket.
    pub bytes: u32,
    /// One-way latency of a path.
    pub latency: LatencyLaw,
    /// Bytes a second that a node sends and receives; 0: unlimited.
    pub bandwidth: (u64, u64),
    /// Milliseconds that a writer needed before its message was sent, which ours does not: added to what we measure.
    pub before_ms: u64,
    /// Whether writers sent to all their neighbours; ours do not.
    pub flood: bool,
    /// What was published.
    pub published: &'static [(&'static str, f64)],
}

/// vyzo's simulator, the one gossipsub was designed with, as the script `episub-experiments.ss` ran it: defaults but for
/// the number of nodes and messages. A path has one latency for both directions, uniform from 10 to 150 ms, and each
/// message up to a tenth of it more; ours has one for each direction, from 11 to 157 ms, which has the same mean.
const VYZO: Study = Study {
    name: "vyzo",
    source: "https://gist.github.com/vyzo/25a53ec19c6b1d3b5e1064ece60b755c (gossipsub/v1.0), \
             https://github.com/vyzo/gerbil-simsub",
    nodes: 1000,
    connect: 20,
    writers: 5,
    messages: 60,
    bytes: 200,
    latency: LatencyLaw::Uniform { min_ms: 11, max_ms: 157 },
    bandwidth: (0, 0),
    before_ms: 0,
    flood: false,
    published: &[
        ("delivered", 60_000.0),
        ("copies for each delivery", 6.29),
        ("below 100 ms", 1_334.0),
        ("100 to 200 ms", 20_818.0),
        ("200 to 300 ms", 36_508.0),
        ("300 to 400 ms", 1_280.0),
        ("400 ms and above", 0.0),
    ],
};

/// Waku's: 1,000 real nwaku nodes under Shadow, every path 100 ms, 83 Mbit/s down and 38 up, 10 kB messages. A node
/// checks a zero-knowledge proof before it passes a message on, which was set to 12 ms: here they are part of the path.
/// The writer makes one in 150 ms, which are added, and sends to all its neighbours (nim-libp2p's `floodPublish`).
const WAKU: Study = Study {
    name: "waku",
    source: "https://docs.waku.org/research/research-and-studies/message-propagation, \
             https://github.com/waku-org/research/blob/master/rln-delay-simulations/shadow.yaml, \
             https://github.com/waku-org/nwaku/pull/2168",
    nodes: 1000,
    connect: 50,
    writers: 1,
    messages: 10,
    bytes: 10_240,
    latency: LatencyLaw::Constant { ms: 112 },
    bandwidth: (38_000_000 / 8, 83_000_000 / 8),
    before_ms: 150,
    flood: true,
    published: &[
        ("delivered to others", 9_990.0),
        ("mean, ms", 508.0),
        ("fastest, ms", 263.0),
        ("p95, ms", 627.0),
        ("slowest, ms", 695.0),
    ],
};

/// All of them.
pub const STUDIES: [Study; 2] = [VYZO, WAKU];

/// Runs a study's network, of another size where `nodes` says so.
///
/// # Errors
/// [`TruthError`].
pub fn run(study: &Study, nodes: Option<u32>, seed: u64, world: &dyn World) -> Result<Found, TruthError> {
    let plan = plan_of(study, nodes.unwrap_or(study.nodes), seed)?;
    let mut witness = Witness::default();
    let recording = world.run(&plan, &mut witness)?;
    let models = [
        model::expect(&theirs(study, plan.nodes.len() as u32), seed),
        model::expect(&ours(study, &plan, frame_bytes(study)), seed),
    ];
    Ok(Found::of(study, &plan, &recording, &witness.arrivals, models))
}

/// Bytes of one message between our nodes: its payload's bucket, and some 210 around it.
fn frame_bytes(study: &Study) -> u64 {
    griot_protocol::padding::bucket_for(study.bytes as usize).unwrap_or_default() as u64 + 210
}

fn theirs(study: &Study, nodes: u32) -> Network {
    Network {
        nodes,
        connect: study.connect,
        latency: study.latency,
        mesh: Mesh::Drawn,
        flood: study.flood,
        copy_us: copy_us(u64::from(study.bytes), study.bandwidth.0),
        before_ms: study.before_ms,
    }
}

fn ours(study: &Study, plan: &Plan, bytes: u64) -> Network {
    let copy_us = copy_us(bytes, study.bandwidth.0);
    Network { mesh: Mesh::FirstCome, flood: false, copy_us, ..theirs(study, plan.nodes.len() as u32) }
}

/// How long a line is busy with so many bytes.
fn copy_us(bytes: u64, bytes_per_second: u64) -> u64 {
    (bytes * 1_000_000).checked_div(bytes_per_second).unwrap_or_default()
}

/// The plan of a study.
///
/// # Errors
/// The number of nodes makes no sense.
pub fn plan_of(study: &Study, nodes: u32, seed: u64) -> Result<Plan, TruthError> {
    if nodes <= study.writers || nodes > NODES_MAX {
        return Err(TruthError::Plan(format!("{} has {} to {NODES_MAX} nodes", study.name, study.writers + 1)));
    }
    let mut random = Random::new(seed, "published network");
    let (up, down) = study.bandwidth;
    let node = |_| NodePlan {
        region: 0,
        up_bytes_per_second: up,
        down_bytes_per_second: down,
        behind_nat: false,
        starts_up: true,
        conduct: Conduct::Honest,
    };
    // Whoever writes is as good as anybody: the paths are random already.
    let writers = random.distinct_below(u64::from(nodes), u64::from(study.writers));
    let person =
        |home: &u64| PersonPlan { homes: vec![NodeIndex(*home as u32)], starts_online: true, full_client: false };
    let mut people: Vec<PersonPlan> = writers.iter().map(person).collect();
    // Somebody who is never on line: the message spreads to all nodes, and no ack follows it.
    let reader = PersonIndex(people.len() as u32);
    people.push(PersonPlan { homes: vec![NodeIndex(0)], starts_online: false, full_client: false });
    let message = |number: u32, writer: u64| MessagePlan {
        at: VirtualMs(WARM_UP_MS + u64::from(number) * EVERY_MS),
        author: PersonIndex(writer as u32),
        mailbox: MailboxIndex(0),
        bytes: study.bytes,
        life_seconds: LIFE_SECONDS,
    };
    let links = links(&mut random, nodes, study.connect);
    let messages: Vec<MessagePlan> =
        (0..study.messages).map(|number| message(number, random.below(writers.len() as u64))).collect();
    Ok(Plan {
        duration_ms: WARM_UP_MS + u64::from(study.messages) * EVERY_MS + LINGER_MS,
        nodes: (0..nodes).map(node).collect(),
        links,
        latency: LatencyPlan::Everywhere(study.latency),
        people,
        mailboxes: vec![MailboxPlan { shared: false, readers: vec![reader] }],
        messages,
        ..bare_plan(study.name, seed)
    })
}

/// Each node dials so many others, drawn at random; two that would dial each other have one link.
fn links(random: &mut Random, nodes: u32, connect: u32) -> Vec<LinkPlan> {
    let mut links = BTreeSet::new();
    for from in 0..nodes {
        for step in random.distinct_below(u64::from(nodes) - 1, u64::from(connect)) {
            let to = ((u64::from(from) + 1 + step) % u64::from(nodes)) as u32;
            if !links.contains(&(to, from)) {
                links.insert((from, to));
            }
        }
    }
    links.into_iter().map(|(from, to)| LinkPlan { from: NodeIndex(from), to: NodeIndex(to) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_dials_as_many_as_the_study_says_and_nobody_twice() {
        let plan = plan_of(&VYZO, 200, 1).unwrap();
        let pairs: BTreeSet<_> =
            plan.links.iter().map(|link| (link.from.min(link.to), link.from.max(link.to))).collect();
        assert_eq!(pairs.len(), plan.links.len());
        // 200 × 20 less those that two nodes drew alike: about 200 × 20 × 20 / 199 / 2.
        assert!((3_700..3_900).contains(&pairs.len()), "{}", pairs.len());
        assert!(plan.links.iter().all(|link| link.from != link.to));
        assert_eq!((plan.messages.len(), plan.people.len()), (60, 6));
        assert_eq!(plan_of(&VYZO, 200, 1).unwrap(), plan);
        assert!(plan_of(&VYZO, 5, 1).is_err() && plan_of(&WAKU, NODES_MAX + 1, 1).is_err());
    }
}
