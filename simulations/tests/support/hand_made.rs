//! Recordings made by hand, for tests of what is done *with* recordings.
//!
//! No node runs here: a toy model (a message takes a few hundred milliseconds, or until the end of the outage) fills in a
//! recording of the right shape, so that reports, sweeps and comparisons can be tested in a second. Nothing of it is in the
//! program.

use std::{collections::BTreeMap, path::Path};

use griot_simulations::{
    outcome::{Manifest, Outcome, RunFolder, Summary, arrivals::ArrivalWriter, files::ARRIVALS, manifest::FORMAT},
    plan::{Arrival, Delivery, MessageFate, MessageIndex, Minute, NodeFate, Plan, Recording, VirtualMs, Way},
    random::Random,
    scenario::{
        Overrides,
        draw::{draw, plan_hash},
        load, parse,
    },
};

/// Writes the folder of a run of `smoke` (or of the scenario in `GRIOT_DEMO_SCENARIO`) with this seed.
pub fn run(place: &Path, seed: u64) {
    let name = std::env::var("GRIOT_DEMO_SCENARIO").unwrap_or_else(|_| "smoke".to_owned());
    let source = load(&name).unwrap();
    let scenario = parse(&source, &Overrides::default()).unwrap();
    let drawn = draw(&scenario, seed).unwrap();
    let central_plan = drawn.central.unwrap();
    let (recording, arrivals) = record(&drawn.plan, true);
    let (central, _) = record(&central_plan, false);
    let summary = Summary::of(&drawn.plan, &recording, Some((&central_plan, &central)));
    let manifest = Manifest {
        format: FORMAT,
        scenario: drawn.plan.scenario.clone(),
        scenario_hash: source.hash(),
        scenario_text: source.text,
        seed,
        parameters: Vec::new(),
        compress: scenario.compress,
        regions: scenario.regions.iter().map(|region| region.name.clone()).collect(),
        plan_hash: plan_hash(&drawn.plan).unwrap(),
        version: "0.0.0".into(),
        system: "hand-made".into(),
        started_at: 0,
        wall_seconds: 1.0,
        speed: 1.0,
        shared_signature_checks: true,
        interrupted: false,
        replay: format!("griot-sim run {name} --seed {seed}"),
        arrivals_left_out: 0,
    };
    let folder = RunFolder::begin(place).unwrap();
    let mut writer = ArrivalWriter::new(folder.create(ARRIVALS).unwrap(), drawn.plan.nodes.len() as u32).unwrap();
    for arrival in &arrivals {
        writer.push(arrival).unwrap();
    }
    writer.finish().unwrap();
    let outcome = Outcome {
        plan: &drawn.plan,
        recording: &recording,
        central: Some((&central_plan, &central)),
        manifest: &manifest,
        summary: &summary,
        with_plan: true,
    };
    folder.finish(&outcome).unwrap();
}

/// The toy model: in the outage a federated network delays some messages to its end, a central one all of them.
fn record(plan: &Plan, federated: bool) -> (Recording, Vec<Arrival>) {
    let mut random = Random::new(plan.seed, "hand-made");
    let (from, until) = plan.outage.map_or((0, 0), |(from, until)| (from.0, until.0));
    let nodes = plan.nodes.len() as u32;
    let minutes = plan.duration_ms.div_ceil(60_000);
    let mut timeline: Vec<Minute> =
        (0..minutes).map(|minute| Minute { minute, nodes_up: u64::from(nodes), ..Minute::default() }).collect();
    let minute_of = |ms: u64| ((ms / 60_000).min(minutes - 1)) as usize;
    let mut arrivals = Vec::new();
    let mut messages = Vec::new();
    for (number, message) in plan.messages.iter().enumerate() {
        let at = message.at.0;
        let in_outage = (from..until).contains(&at);
        let entry = plan.people[message.author.0 as usize].homes[0];
        let held = in_outage && (!federated || random.chance(0.2));
        let begins = if held && !federated { until } else { at };
        let accepted = begins + 5;
        let mut deliveries = Vec::new();
        for reader in
            plan.mailboxes[message.mailbox.0 as usize].readers.iter().filter(|reader| **reader != message.author)
        {
            timeline[minute_of(at)].offered += 1;
            let home = plan.people[reader.0 as usize].homes[0];
            let takes = 20 + random.exponential(if federated { 250.0 } else { 60.0 }) as u64;
            let late = random.exponential(40_000.0) as u64;
            let read = if held { until + takes + late } else { at + takes };
            if read >= plan.duration_ms {
                continue;
            }
            let hops = if home == entry { 0 } else { 1 + random.below(3) as u16 };
            deliveries.push(Delivery { reader: *reader, at: VirtualMs(read), home, hops: Some(hops) });
            timeline[minute_of(read)].delivered += 1;
            for minute in &mut timeline[minute_of(accepted)..minute_of(read)] {
                minute.in_custody += 1;
            }
            if federated && home != entry {
                let arrival = |ms, node, from, way| Arrival {
                    at: VirtualMs(ms),
                    message: MessageIndex(number as u32),
                    node,
                    from,
                    way,
                };
                arrivals.push(arrival(read - 10, home, entry, Way::Gossip));
            }
        }
        arrivals.push(Arrival {
            at: VirtualMs(accepted),
            message: MessageIndex(number as u32),
            node: entry,
            from: entry,
            way: Way::Submitted,
        });
        messages.push(MessageFate {
            record: blake3::hash(&(number as u64).to_le_bytes()).to_hex().to_string(),
            accepted: Some((VirtualMs(accepted), entry)),
            stored: Some(VirtualMs(accepted + 90)),
            stored_on: 1,
            acked: deliveries.first().map(|delivery| VirtualMs(delivery.at.0 + 100)),
            deliveries,
            copies: if federated { nodes * 5 } else { 0 },
            holders: if federated { nodes } else { 1 },
            expires: Some(VirtualMs(at + message.life_seconds * 1000)),
            ..MessageFate::default()
        });
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    for minute in &mut timeline {
        minute.bytes = if federated { (minute.offered * 400 + 90) * u64::from(nodes) * 5 } else { 0 };
    }
    let fates = (0..nodes).map(|node| NodeFate {
        sent_bytes: if federated { 1_500_000 + random.exponential(600_000.0) as u64 } else { 0 },
        received_bytes: 1_000_000,
        records: 10,
        records_max: 400 + u64::from(node),
        stored_bytes_max: 400_000,
        up_ms: plan.duration_ms,
        crashes: 0,
        peers: 6,
    });
    let recording = Recording {
        trace_hash: blake3::hash(&plan.seed.to_le_bytes()).to_hex().to_string(),
        virtual_ms: plan.duration_ms,
        interrupted: false,
        nodes: fates.collect(),
        messages,
        timeline,
        invariants: Vec::new(),
        counters: BTreeMap::from([("syncs".to_owned(), 12)]),
    };
    (recording, arrivals)
}
