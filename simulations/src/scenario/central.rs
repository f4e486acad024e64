//! The baseline: the same people and the same messages, with one provider in the middle.
//!
//! This is what most people use today, reduced to what matters for the comparison: everybody's only home is one node, which
//! runs the same code on the same disk. What happens to it is in the scenario's `[central]`: it is down, or people in some
//! regions cannot reach it, or nothing. People who cannot reach it are off line, and send and read when they can again. The
//! provider loses nothing: it is the best provider there can be, and the report shows what an outage does even so.

use super::{CentralKind, CentralSection, Scenario, clock::Clock};
use crate::{
    plan::{Conduct, EventPlan, NodeIndex, NodePlan, PersonIndex, PersonPlan, Plan, VirtualMs},
    random::Random,
};

/// Makes the baseline's plan from the federated one.
#[must_use]
pub fn central(section: &CentralSection, scenario: &Scenario, plan: &Plan, clock: Clock) -> Plan {
    let from = section.at.map(|at| clock.ms(at)).or(plan.outage.map(|(from, _)| from.0)).unwrap_or(0);
    let lasts = section.lasts.map(|lasts| clock.ms(lasts)).or(plan.outage.map(|(from, until)| until.0 - from.0));
    let until = from.saturating_add(lasts.unwrap_or(0)).min(plan.duration_ms);
    let provider = NodeIndex(0);
    let cut = match section.kind {
        CentralKind::Cut => cut_off(section, scenario, plan),
        CentralKind::Down | CentralKind::Unharmed => vec![false; plan.people.len()],
    };
    // People come and go as before; those who are cut off are off line in between, whatever they do.
    let mut online: Vec<bool> = plan.people.iter().map(|person| person.starts_online).collect();
    let mut events = Vec::new();
    let mut hidden = false;
    let mut changes = plan
        .events
        .iter()
        .filter_map(|(at, event)| match event {
            EventPlan::Online(person) => Some((at.0, *person, true)),
            EventPlan::Offline(person) => Some((at.0, *person, false)),
            _ => None,
        })
        .peekable();
    for (moment, begins) in [(from, true), (until, false), (u64::MAX, false)] {
        while let Some((at, person, comes)) = changes.next_if(|(at, ..)| *at < moment) {
            online[person.0 as usize] = comes;
            if !(hidden && cut[person.0 as usize]) {
                events
                    .push((VirtualMs(at), if comes { EventPlan::Online(person) } else { EventPlan::Offline(person) }));
            }
        }
        if moment >= plan.duration_ms {
            continue;
        }
        hidden = begins;
        for (person, _) in cut.iter().enumerate().filter(|(person, cut)| **cut && online[*person]) {
            let person = PersonIndex(person as u32);
            events
                .push((VirtualMs(moment), if begins { EventPlan::Offline(person) } else { EventPlan::Online(person) }));
        }
        if section.kind == CentralKind::Down {
            events
                .push((VirtualMs(moment), if begins { EventPlan::Stop(provider) } else { EventPlan::Start(provider) }));
        }
    }
    Plan {
        scenario: format!("{}-central", plan.scenario),
        nodes: vec![NodePlan {
            region: 0,
            up_bytes_per_second: 0,
            down_bytes_per_second: 0,
            behind_nat: false,
            starts_up: true,
            conduct: Conduct::Honest,
        }],
        bits: 0,
        discovery: false,
        links: Vec::new(),
        people: plan.people.iter().map(|person| PersonPlan { homes: vec![provider], ..person.clone() }).collect(),
        events,
        ..plan.clone()
    }
}

/// Who cannot reach the provider: the people of the regions, or a share of them.
fn cut_off(section: &CentralSection, scenario: &Scenario, plan: &Plan) -> Vec<bool> {
    let regions: Vec<usize> = scenario
        .regions
        .iter()
        .enumerate()
        .filter(|(_, region)| section.regions.is_empty() || section.regions.contains(&region.name))
        .map(|(place, _)| place)
        .collect();
    let there = |person: &PersonPlan| {
        scenario.regions.is_empty() || regions.contains(&usize::from(plan.nodes[person.homes[0].0 as usize].region))
    };
    let among: Vec<usize> =
        plan.people.iter().enumerate().filter(|(_, person)| there(person)).map(|(person, _)| person).collect();
    let count = libm::round(section.share.unwrap_or(1.0) * among.len() as f64) as usize;
    let mut cut = vec![false; plan.people.len()];
    for person in Random::new(plan.seed, "central").choose(&among, count) {
        cut[person] = true;
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, Source, draw::draw, parse};

    fn drawn(central: &str) -> (Plan, Plan) {
        let text = format!(
            "name = \"t\"\nabout = \"t\"\nduration = \"3h\"\n[network]\nnodes = 10\n\
             [[regions]]\nname = \"a\"\nshare = 0.5\n[[regions]]\nname = \"b\"\nshare = 0.5\n\
             [people]\nonline = {{ kind = \"sessions\", online = \"10m\", offline = \"10m\" }}\n\
             [outage]\nat = \"1h\"\nlasts = \"1h\"\n[central]\n{central}\n"
        );
        let scenario = parse(&Source { origin: "t".into(), text, folder: None }, &Overrides::default()).unwrap();
        let drawn = draw(&scenario, 1).unwrap();
        (drawn.plan, drawn.central.unwrap())
    }

    #[test]
    fn a_provider_that_is_down_stops_and_comes_back() {
        let (plan, central) = drawn("kind = \"down\"");
        assert_eq!((central.nodes.len(), central.messages.len()), (1, plan.messages.len()));
        let of_node: Vec<_> = central
            .events
            .iter()
            .filter(|(_, event)| matches!(event, EventPlan::Stop(_) | EventPlan::Start(_)))
            .map(|(at, event)| (at.0, event.clone()))
            .collect();
        assert_eq!(of_node, [(3_600_000, EventPlan::Stop(NodeIndex(0))), (7_200_000, EventPlan::Start(NodeIndex(0)))]);
    }

    #[test]
    fn people_who_are_cut_off_are_off_line_and_come_back_as_they_were() {
        let (plan, central) = drawn("kind = \"cut\"\nregions = [\"a\"]");
        assert!(central.events.windows(2).all(|pair| pair[0].0 <= pair[1].0), "in order");
        let online_at = |plan: &Plan, person: usize, until: u64| {
            let mut online = plan.people[person].starts_online;
            for (at, event) in &plan.events {
                match event {
                    EventPlan::Online(p) if p.0 as usize == person && at.0 <= until => online = true,
                    EventPlan::Offline(p) if p.0 as usize == person && at.0 <= until => online = false,
                    _ => {}
                }
            }
            online
        };
        for person in 0..plan.people.len() {
            let in_a = plan.people[person].homes[0].0 < 5;
            for at in [3_500_000, 3_600_000, 5_000_000, 7_199_999, 7_200_000, 9_000_000] {
                let cut = in_a && (3_600_000..7_200_000).contains(&at);
                let expected = !cut && online_at(&plan, person, at);
                assert_eq!(online_at(&central, person, at), expected, "person {person} at {at}");
            }
        }
    }
}
