//! Plans as files: what the shrinker writes and `griot-sim run PLAN.json` reads. A plan from a file is as hostile as any
//! bytes: everything in it is checked before it is run.

use std::path::Path;

use super::limits::{
    DELIVERIES_MAX, DURATION_MS_MAX, EVENTS_MAX, FULL_CLIENTS_MAX, HOMES_MAX, LATENCY_MS_MAX, MESSAGE_BYTES_MAX,
    MESSAGES_MAX, NODES_MAX, PEOPLE_MAX, REGIONS_MAX,
};
use crate::{
    outcome::{OutcomeError, files},
    plan::{EventPlan, LatencyLaw, LatencyPlan, NodeIndex, PersonIndex, Plan},
};

/// Why a plan from a file cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] OutcomeError),
    /// It makes no sense.
    #[error("{path}: {what}")]
    Unsound {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// Reads a plan and checks it.
///
/// # Errors
/// [`PlanError`].
pub fn read_plan(path: &Path) -> Result<Plan, PlanError> {
    let plan: Plan = files::read_json(path)?;
    check_plan(&plan).map_err(|what| PlanError::Unsound { path: path.display().to_string(), what })?;
    Ok(plan)
}

/// Checks that everything a plan names is there, in order, and within bounds.
///
/// # Errors
/// What is wrong, in words.
pub fn check_plan(plan: &Plan) -> Result<(), String> {
    let (nodes, people) = (plan.nodes.len(), plan.people.len());
    let bound = |what: &str, count: u64, max: u64| {
        if count <= max { Ok(()) } else { Err(format!("{count} {what}; at most {max}")) }
    };
    if nodes == 0 {
        return Err("it has no node".into());
    }
    bound("nodes", nodes as u64, u64::from(NODES_MAX))?;
    bound("people", people as u64, PEOPLE_MAX)?;
    let full_clients = plan.people.iter().filter(|person| person.full_client).count();
    bound("people with a full client", full_clients as u64, FULL_CLIENTS_MAX)?;
    bound("messages", plan.messages.len() as u64, MESSAGES_MAX)?;
    bound("events", plan.events.len() as u64, EVENTS_MAX as u64)?;
    bound("milliseconds", plan.duration_ms, DURATION_MS_MAX)?;
    bound("milliseconds of fdatasync", plan.fsync_ms, 10_000)?;
    bound("shard bits", u64::from(plan.bits), u64::from(griot_protocol::limits::SHARD_BITS_MAX))?;
    bound("bits of postage", u64::from(plan.postage_bits), 16)?;
    let node = |node: NodeIndex| {
        if (node.0 as usize) < nodes { Ok(()) } else { Err(format!("there is no node {}", node.0)) }
    };
    let person = |person: PersonIndex| {
        if (person.0 as usize) < people { Ok(()) } else { Err(format!("there is no person {}", person.0)) }
    };
    check_latency(plan)?;
    for link in &plan.links {
        node(link.from)?;
        node(link.to)?;
    }
    for (number, one) in plan.people.iter().enumerate() {
        if one.homes.is_empty() || one.homes.len() > HOMES_MAX {
            return Err(format!("person {number} has {} homes; 1 to {HOMES_MAX}", one.homes.len()));
        }
        one.homes.iter().try_for_each(|home| node(*home))?;
    }
    for (number, mailbox) in plan.mailboxes.iter().enumerate() {
        if mailbox.readers.is_empty() || (!mailbox.shared && mailbox.readers.len() > 1) {
            return Err(format!("mailbox {number} has {} readers; a direct one has one", mailbox.readers.len()));
        }
        mailbox.readers.iter().try_for_each(|reader| person(*reader))?;
    }
    let mut deliveries = 0_u64;
    for (number, message) in plan.messages.iter().enumerate() {
        person(message.author)?;
        let mailbox = plan.mailboxes.get(message.mailbox.0 as usize);
        deliveries +=
            mailbox.ok_or_else(|| format!("message {number} goes to a mailbox that is not there"))?.readers.len()
                as u64;
        bound("bytes in a message", u64::from(message.bytes), u64::from(MESSAGE_BYTES_MAX))?;
        bound("seconds of life", message.life_seconds, griot_protocol::limits::LIFE_SECONDS_MAX)?;
    }
    bound("pairs of a message and a reader", deliveries, DELIVERIES_MAX)?;
    if plan.messages.windows(2).any(|pair| pair[0].at > pair[1].at)
        || plan.events.windows(2).any(|pair| pair[0].0 > pair[1].0)
    {
        return Err("messages and events must be in order of time".into());
    }
    plan.events.iter().try_for_each(|(_, event)| check_event(event, &node, &person))
}

fn check_latency(plan: &Plan) -> Result<(), String> {
    let law = |law: &LatencyLaw| match *law {
        LatencyLaw::Constant { ms } if ms <= LATENCY_MS_MAX => Ok(()),
        LatencyLaw::Uniform { min_ms, max_ms } if min_ms <= max_ms && max_ms <= LATENCY_MS_MAX => Ok(()),
        LatencyLaw::LogNormal { median_ms, sigma }
            if (0.0..=f64::from(LATENCY_MS_MAX)).contains(&median_ms) && (0.0..=3.0).contains(&sigma) =>
        {
            Ok(())
        }
        _ => Err(format!("a latency out of bounds ({LATENCY_MS_MAX} ms at most)")),
    };
    match &plan.latency {
        LatencyPlan::Everywhere(everywhere) => law(everywhere),
        LatencyPlan::Regions { one_way_ms, jitter } => {
            let size = one_way_ms.len();
            let square = one_way_ms.iter().all(|row| row.len() == size && row.iter().all(|ms| *ms <= LATENCY_MS_MAX));
            let known = plan.nodes.iter().all(|node| usize::from(node.region) < size);
            if size == 0 || size > REGIONS_MAX || !square || !known {
                return Err("the latency matrix must be square and have a row for every region of a node".into());
            }
            law(jitter)
        }
    }
}

fn check_event(
    event: &EventPlan,
    node: &dyn Fn(NodeIndex) -> Result<(), String>,
    person: &dyn Fn(PersonIndex) -> Result<(), String>,
) -> Result<(), String> {
    match event {
        EventPlan::Crash(one)
        | EventPlan::Start(one)
        | EventPlan::Stop(one)
        | EventPlan::Die(one)
        | EventPlan::LoseStore(one)
        | EventPlan::DiskFull(one, _)
        | EventPlan::ClockSkew(one, _)
        | EventPlan::ClockDrift(one, _) => node(*one),
        EventPlan::Cut { from, to, .. } | EventPlan::Throttle { from, to, .. } => {
            from.iter().chain(to).try_for_each(|one| node(*one))
        }
        EventPlan::Heal { .. } => Ok(()),
        EventPlan::Reset(a, b) => node(*a).and_then(|()| node(*b)),
        EventPlan::Online(one) | EventPlan::Offline(one) => person(*one),
        EventPlan::Homes(one, homes) => {
            if homes.is_empty() || homes.len() > HOMES_MAX {
                return Err(format!("a person moves to {} homes; 1 to {HOMES_MAX}", homes.len()));
            }
            homes.iter().try_for_each(|home| node(*home)).and_then(|()| person(*one))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outcome::figures::tests::plan, plan::VirtualMs};

    #[test]
    fn a_sound_plan_passes_and_survives_its_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("plan.json");
        std::fs::write(&path, serde_json::to_vec(&plan()).unwrap()).unwrap();
        assert_eq!(read_plan(&path).unwrap(), plan());
        std::fs::write(&path, b"{").unwrap();
        assert!(matches!(read_plan(&path), Err(PlanError::Read(_))));
    }

    #[test]
    fn each_thing_that_is_wrong_is_found() {
        let wrong = |change: &dyn Fn(&mut Plan)| {
            let mut changed = plan();
            change(&mut changed);
            check_plan(&changed).unwrap_err()
        };
        assert!(wrong(&|p| p.nodes.clear()).contains("no node"));
        assert!(wrong(&|p| p.links[0].to = NodeIndex(9)).contains("node 9"));
        assert!(wrong(&|p| p.people[0].homes.clear()).contains("homes"));
        assert!(wrong(&|p| p.messages[0].author = PersonIndex(9)).contains("person 9"));
        assert!(wrong(&|p| p.mailboxes.truncate(1)).contains("mailbox"));
        assert!(wrong(&|p| p.messages.reverse()).contains("order"));
        assert!(wrong(&|p| p.events.push((VirtualMs(0), EventPlan::Crash(NodeIndex(5))))).contains("node 5"));
        assert!(
            wrong(&|p| p.latency = LatencyPlan::Everywhere(LatencyLaw::LogNormal { median_ms: f64::NAN, sigma: 1.0 }))
                .contains("latency")
        );
        assert!(wrong(&|p| p.messages[0].life_seconds = u64::MAX).contains("life"));
        assert!(wrong(&|p| p.duration_ms = u64::MAX).contains("milliseconds"));
    }
}
