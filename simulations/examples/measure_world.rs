//! Measures the world: `cargo run --release -p griot-simulations --example measure_world -- NODES MESSAGES MINUTES [BITS]`.
//!
//! A network where each node dials four others at random, with a person on each; messages between them are evenly
//! spread. With shards, each node carries one, dials three others of it and one of a few hubs, which carry all.
//! Prints what a run costs: wall time, memory, copies for each delivery. The trace hash is the same every time.
//!
//! `AWAY=1`: half of the people, to whom the others write, are off line, so that a message is one record and not two.
//! `DISCOVERY=1`: with kad.

#![allow(clippy::unwrap_used, reason = "a tool for developers may end with a panic")]

use griot_simulations::{allocator, plan::*, world};

/// Nodes that each node dials.
const DIALS: u64 = 4;

/// Nodes of which one is a hub, where there are shards.
const NODES_PER_HUB: u64 = 100;

struct Progress {
    trace: Option<std::io::BufWriter<std::fs::File>>,
}

impl Listener for Progress {
    fn arrived(&mut self, _: Arrival) {}

    fn traced(&mut self, line: &str) {
        use std::io::Write;
        if let Some(trace) = &mut self.trace {
            writeln!(trace, "{line}").unwrap();
        }
    }

    fn wants_trace(&self) -> bool {
        self.trace.is_some()
    }

    fn progress(&mut self, now: VirtualMs) -> bool {
        if now.0.is_multiple_of(60_000) {
            eprintln!("{} min, {} MB", now.0 / 60_000, resident_mb());
        }
        true
    }
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn plan(nodes: u64, messages: u64, minutes: u64, bits: u8) -> Plan {
    let mut random = 88_172_645_463_325_252_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let shards = 1_u64 << bits;
    let hubs = if shards == 1 { 0 } else { nodes.div_ceil(NODES_PER_HUB).min(nodes.div_ceil(shards)) };
    let mut links = std::collections::BTreeSet::new();
    for from in 0..nodes {
        for dial in 0..DIALS {
            let to = match hubs {
                0 => draw(nodes),
                _ if dial == 0 => draw(hubs),
                // A mailbox lives in the shard that its home's number gives.
                _ => from % shards + shards * draw((nodes - 1 - from % shards) / shards + 1),
            };
            if to != from {
                links.insert((from as u32, to as u32));
            }
        }
    }
    // The hubs are second homes of somebody in each shard.
    let homes = |n: u32| {
        let hub = (u64::from(n) < hubs * shards).then_some(NodeIndex(n / shards as u32));
        std::iter::once(NodeIndex(n)).chain(hub.filter(|hub| hub.0 != n)).collect()
    };
    let node = |_| NodePlan {
        region: 0,
        up_bytes_per_second: 0,
        down_bytes_per_second: 0,
        behind_nat: false,
        starts_up: true,
        conduct: Conduct::Honest,
    };
    let (from_ms, to_ms) = (60_000, minutes * 60_000 - 60_000);
    let away = std::env::var_os("AWAY").is_some();
    let mut anyone = |odd: u64| if away { (2 * draw(nodes / 2) + odd) as u32 } else { draw(nodes) as u32 };
    let message = |n: u64| MessagePlan {
        at: VirtualMs(from_ms + (to_ms - from_ms) * n / messages),
        author: PersonIndex(anyone(0)),
        mailbox: MailboxIndex(anyone(1)),
        bytes: 200,
        life_seconds: 7 * 24 * 3600,
    };
    Plan {
        scenario: "measure".to_owned(),
        seed: 1,
        epoch_unix_seconds: 1_800_000_000,
        duration_ms: minutes * 60_000,
        bits,
        postage_bits: 0,
        fsync_ms: 1,
        discovery: std::env::var_os("DISCOVERY").is_some(),
        shared_signature_checks: true,
        nodes: (0..nodes).map(node).collect(),
        links: links.into_iter().map(|(from, to)| LinkPlan { from: NodeIndex(from), to: NodeIndex(to) }).collect(),
        latency: LatencyPlan::Everywhere(LatencyLaw::LogNormal { median_ms: 50.0, sigma: 0.5 }),
        messages: (0..messages).map(message).collect(),
        people: (0..nodes as u32)
            .map(|n| PersonPlan { homes: homes(n), starts_online: !away || n % 2 == 0, full_client: false })
            .collect(),
        mailboxes: (0..nodes as u32).map(|n| MailboxPlan { shared: false, readers: vec![PersonIndex(n)] }).collect(),
        events: Vec::new(),
        outage: None,
    }
}

fn main() {
    allocator::keep_freed_memory();
    let argument = |n, otherwise| std::env::args().nth(n).map_or(otherwise, |text| text.parse().unwrap());
    let (nodes, messages, minutes, bits) = (argument(1, 100), argument(2, 100), argument(3, 5), argument(4, 0));
    let plan = plan(nodes, messages, minutes, bits as u8);
    let begun = std::time::Instant::now();
    let trace = std::env::var_os("TRACE").map(|file| std::io::BufWriter::new(std::fs::File::create(file).unwrap()));
    let recording = world::run(&plan, &mut Progress { trace }).unwrap();
    let wall = begun.elapsed().as_secs_f64();
    let total = |of: fn(&MessageFate) -> u64| recording.messages.iter().map(of).sum::<u64>();
    let holders = total(|fate| u64::from(fate.holders));
    let copies = total(|fate| u64::from(fate.copies));
    let read = total(|fate| fate.deliveries.len() as u64);
    println!(
        "{nodes} nodes, {messages} messages, {minutes} min: {wall:.1} s, {:.0} times real time, {} MB; {read} read, \
         {holders} holders, {copies} copies ({:.2} for each), {:.1} MB sent",
        recording.virtual_ms as f64 / 1000.0 / wall,
        resident_mb(),
        copies as f64 / holders.max(1) as f64,
        recording.nodes.iter().map(|node| node.sent_bytes).sum::<u64>() as f64 / 1e6,
    );
    let mut times: Vec<u64> = plan
        .messages
        .iter()
        .zip(&recording.messages)
        .flat_map(|(message, fate)| fate.deliveries.iter().map(|delivery| delivery.at.0 - message.at.0))
        .collect();
    times.sort_unstable();
    if let (Some(median), Some(last)) = (times.get(times.len() / 2), times.last()) {
        println!("read after {median} ms (median), {last} ms (last)");
    }
    for invariant in &recording.invariants {
        println!(
            "{:>10} checks {:>6} broken  {} {:?}",
            invariant.checks,
            invariant.broken,
            invariant.name,
            invariant.examples.first()
        );
    }
    println!("{:?}", recording.counters);
    println!("{}", recording.trace_hash);
}
