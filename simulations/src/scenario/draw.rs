//! From a scenario and a seed to a plan.

use super::{
    CommunitiesBy, JitterSection, LatencySection, Scenario, ScenarioError, TopologySection, central::central,
    clock::Clock, parse::Problem, parse_moment,
};
use crate::{
    faults::{Crowd, FaultError, cast, close_in, rehome, schedule},
    plan::{EventPlan, LatencyLaw, LatencyPlan, NodeIndex, NodePlan, PersonPlan, Plan, VirtualMs},
    random::Random,
    scenario::{limits, parse::read_bounded},
    topology::{self, FileGraph, Graph, Matrix, behind_nat, regions_of},
    workload::{self, WorkloadError, acquaintances, presence, settle},
};

/// What a scenario and a seed come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The federated run.
    pub plan: Plan,
    /// The same people and messages with one provider, where the scenario compares.
    pub central: Option<Plan>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The scenario is not sound.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A value cannot be.
    #[error("{0}")]
    Value(#[from] Problem),
    /// The workload is too large.
    #[error("[workload]: {0}")]
    Workload(#[from] WorkloadError),
    /// The faults cannot be.
    #[error("[[faults]]: {0}")]
    Faults(#[from] FaultError),
    /// A file that the scenario names.
    #[error("{path}: {what}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// Draws the plan of a (checked) scenario.
///
/// # Errors
/// [`DrawError`].
pub fn draw(scenario: &Scenario, seed: u64) -> Result<Drawn, DrawError> {
    let epoch = parse_moment(&scenario.starts_at).map_err(|what| Problem::new("starts_at", what))?;
    let clock = Clock::new(scenario.compress, epoch);
    let duration_ms = clock.ms(scenario.duration);
    let file = read_topology(scenario)?;
    let nodes = file.as_ref().map_or(scenario.network.nodes, |file| file.graph.nodes());
    let stream = |purpose: &str| Random::new(seed, purpose);

    let regions = place_nodes(scenario, nodes, file.as_ref())?;
    let mut links = stream("topology");
    let mut graph = link_nodes(scenario, nodes, &regions, file, &mut links);
    let roles = cast(&scenario.adversaries, nodes, &mut stream("adversaries"));
    let honest = roles.honest();
    let people = settle(&scenario.people, &regions, &honest, &mut stream("people"));
    let crowd = Crowd {
        regions: regions.clone(),
        region_names: scenario.regions.iter().map(|region| region.name.clone()).collect(),
        people: people.on_each(nodes as usize),
        honest,
    };
    close_in(&scenario.adversaries, &roles, &crowd, &mut graph, &mut stream("eclipse"));

    let mut nat = vec![false; nodes as usize];
    let nat_count = libm::round(scenario.nat.share * f64::from(nodes)) as usize;
    let everybody: Vec<u32> = (0..nodes).collect();
    for node in stream("nat").choose(&everybody, nat_count) {
        nat[node as usize] = true;
    }
    let links = behind_nat(&graph, &nat, &mut links);

    let people_regions: Vec<u16> = people.homes.iter().map(|homes| regions[homes[0].0 as usize]).collect();
    let presence = presence(&scenario.people.online, people.homes.len(), clock, duration_ms, &mut stream("online"))
        .ok_or(FaultError::TooMany)?;
    let written = workload::write(&scenario.workload, &people_regions, clock, duration_ms, seed)?;

    let mut events = schedule(&scenario.faults, &crowd, clock, duration_ms, seed)?;
    events.extend(rehome(&scenario.faults, &events, &people.homes, &crowd, clock, &mut stream("rehome")));
    events.retain(|(at, _)| at.0 < duration_ms);
    let mut starts_up = vec![true; nodes as usize];
    for (node, section) in roles.section.iter().enumerate() {
        if let Some(from) = section.and_then(|place| scenario.adversaries[place].from) {
            starts_up[node] = false;
            events.push((VirtualMs(clock.ms(from)), EventPlan::Start(NodeIndex(node as u32))));
        }
    }
    events.extend(presence.events);
    events.sort_by_key(|(at, _)| *at);
    if events.len() > limits::EVENTS_MAX {
        return Err(FaultError::TooMany.into());
    }

    let mut slow = vec![false; nodes as usize];
    let bandwidth = &scenario.bandwidth;
    for node in stream("bandwidth").choose(&everybody, libm::round(bandwidth.slow_share * f64::from(nodes)) as usize) {
        slow[node as usize] = true;
    }
    let node_plans = roles.conduct.iter().cloned().enumerate().map(|(node, conduct)| {
        let adversary = roles.section[node].map(|place| &scenario.adversaries[place]);
        let (up, down) = if slow[node] {
            (bandwidth.slow_up_kib_per_second, bandwidth.slow_down_kib_per_second)
        } else {
            (bandwidth.up_kib_per_second, bandwidth.down_kib_per_second)
        };
        let up = adversary.and_then(|adversary| adversary.up_kib_per_second).unwrap_or(up);
        let down = adversary.and_then(|adversary| adversary.down_kib_per_second).unwrap_or(down);
        NodePlan {
            region: regions[node],
            up_bytes_per_second: up.saturating_mul(1024),
            down_bytes_per_second: down.saturating_mul(1024),
            behind_nat: nat[node],
            starts_up: starts_up[node],
            conduct,
        }
    });
    let full_clients = libm::round(scenario.people.full_clients * people.homes.len() as f64) as usize;
    // A larger network has more people, and not more than the machine bears of these.
    let full_clients = full_clients.min(limits::FULL_CLIENTS_MAX as usize);
    let full_clients = acquaintances(people.homes.len(), full_clients, &written, &mut stream("full clients"));
    let person_plans = people
        .homes
        .into_iter()
        .zip(presence.at_start)
        .zip(full_clients)
        .map(|((homes, starts_online), full_client)| PersonPlan { homes, starts_online, full_client });
    let plan = Plan {
        scenario: scenario.name.clone(),
        seed,
        epoch_unix_seconds: epoch,
        duration_ms,
        bits: scenario.network.bits,
        postage_bits: scenario.network.postage_bits,
        fsync_ms: scenario.network.fsync.ms(),
        discovery: scenario.network.discovery,
        shared_signature_checks: scenario.network.shared_signature_checks,
        nodes: node_plans.collect(),
        links,
        latency: latency(scenario)?,
        people: person_plans.collect(),
        mailboxes: written.mailboxes,
        messages: written.messages,
        events,
        outage: scenario.outage.map(|outage| {
            let at = clock.ms(outage.at);
            (VirtualMs(at), VirtualMs((at + clock.ms(outage.lasts)).min(duration_ms)))
        }),
    };
    let central = scenario.central.as_ref().map(|section| central(section, scenario, &plan, clock));
    Ok(Drawn { plan, central })
}

fn in_folder(scenario: &Scenario, path: &str) -> std::path::PathBuf {
    scenario.folder.as_ref().map_or_else(|| path.into(), |folder| folder.join(path))
}

fn read_topology(scenario: &Scenario) -> Result<Option<FileGraph>, DrawError> {
    let TopologySection::File { path } = &scenario.topology else { return Ok(None) };
    let wrong = |what: String| DrawError::File { path: path.clone(), what };
    let text = read_bounded(&in_folder(scenario, path)).map_err(|error| wrong(error.to_string()))?;
    topology::parse_file(&text).map(Some).map_err(|error| wrong(error.to_string()))
}

/// The region of every node: as a topology file says, else by the regions' shares.
fn place_nodes(scenario: &Scenario, nodes: u32, file: Option<&FileGraph>) -> Result<Vec<u16>, DrawError> {
    let shares: Vec<f64> = scenario.regions.iter().map(|region| region.share).collect();
    let mut regions = regions_of(nodes, &shares);
    for (node, named) in file.iter().flat_map(|file| file.regions.iter().enumerate()) {
        if let Some(name) = named {
            let place = scenario.regions.iter().position(|region| region.name == *name);
            let what =
                || Problem::new("regions", format!("the topology file has a region `{name}`; add it to `[[regions]]`"));
            regions[node] = place.ok_or_else(what)? as u16;
        }
    }
    Ok(regions)
}

fn link_nodes(scenario: &Scenario, nodes: u32, regions: &[u16], file: Option<FileGraph>, random: &mut Random) -> Graph {
    match &scenario.topology {
        TopologySection::Regular { degree } => topology::regular(nodes, *degree, random),
        TopologySection::SmallWorld { degree, rewire } => topology::small_world(nodes, *degree, *rewire, random),
        TopologySection::ScaleFree { links } => topology::scale_free(nodes, *links, random),
        TopologySection::Communities { by, size, degree, gateways, gateway_links } => {
            let members: Vec<Vec<u32>> = match by {
                CommunitiesBy::Size => {
                    (0..nodes).collect::<Vec<_>>().chunks(*size as usize).map(<[u32]>::to_vec).collect()
                }
                CommunitiesBy::Region => (0..scenario.regions.len() as u16)
                    .map(|region| (0..nodes).filter(|node| regions[*node as usize] == region).collect())
                    .collect(),
            };
            topology::communities(&members, *degree, *gateways, *gateway_links, random)
        }
        TopologySection::File { .. } => {
            let mut graph = file.map_or_else(|| Graph::new(nodes), |file| file.graph);
            graph.join_pieces(random);
            graph
        }
    }
}

const fn law(section: JitterSection) -> LatencyLaw {
    match section {
        JitterSection::Constant { ms } => LatencyLaw::Constant { ms },
        JitterSection::Uniform { min_ms, max_ms } => LatencyLaw::Uniform { min_ms, max_ms },
        JitterSection::LogNormal { median_ms, sigma } => LatencyLaw::LogNormal { median_ms, sigma },
    }
}

fn latency(scenario: &Scenario) -> Result<LatencyPlan, DrawError> {
    Ok(match &scenario.latency {
        LatencySection::Constant { ms } => LatencyPlan::Everywhere(LatencyLaw::Constant { ms: *ms }),
        LatencySection::Uniform { min_ms, max_ms } => {
            LatencyPlan::Everywhere(LatencyLaw::Uniform { min_ms: *min_ms, max_ms: *max_ms })
        }
        LatencySection::LogNormal { median_ms, sigma } => {
            LatencyPlan::Everywhere(LatencyLaw::LogNormal { median_ms: *median_ms, sigma: *sigma })
        }
        LatencySection::Regions { matrix, jitter } => {
            let path = matrix.clone().unwrap_or_else(|| "the built-in matrix".to_owned());
            let wrong = |what: String| DrawError::File { path: path.clone(), what };
            let matrix = match matrix {
                Some(file) => {
                    let text = read_bounded(&in_folder(scenario, file)).map_err(|error| wrong(error.to_string()))?;
                    Matrix::parse(&text)
                }
                None => Matrix::built_in(),
            };
            let places: Vec<&str> = scenario.regions.iter().map(super::RegionSection::place).collect();
            let one_way_ms =
                matrix.and_then(|matrix| matrix.one_way(&places)).map_err(|error| wrong(error.to_string()))?;
            LatencyPlan::Regions { one_way_ms, jitter: law(*jitter) }
        }
    })
}

/// BLAKE3 over a plan's JSON, lower-case hex: two runs with the same one did the same things at the same times.
///
/// # Errors
/// None that can happen: a plan always has a JSON form.
pub fn plan_hash(plan: &Plan) -> Result<String, serde_json::Error> {
    let mut hasher = blake3::Hasher::new();
    serde_json::to_writer(&mut hasher, plan)?;
    Ok(hasher.finalize().to_hex().to_string())
}
