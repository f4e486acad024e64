//! The shrinker: from a run that fails to the smallest one that still fails.
//!
//! A run with sixty nodes and three thousand messages that breaks an invariant says little. So parts are taken away (faults,
//! messages, people, nodes, links) as long as the failure stays: delta debugging (Zeller and Hildebrandt 2002). Whatever is
//! taken, a plan stays a plan: what named a removed node or person is removed or mended with it.
//!
//! Nothing here runs anything: whether a smaller plan still fails is the caller's to say, so the search is tested by itself.

mod ddmin;
mod keep;

pub use ddmin::{Budget, minimise};
pub use keep::{Keep, Unit};

use crate::plan::Plan;

/// What a search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The smallest plan that still fails.
    pub plan: Plan,
    /// How often the failure was asked about.
    pub tries: u64,
    /// Whether the search ended because nothing more could be taken (and not because it had tried often enough).
    pub complete: bool,
}

/// Shrinks a plan that fails, in at most `tries_max` tries. `fails` says whether a plan still does.
pub fn shrink(plan: &Plan, tries_max: u64, fails: &mut dyn FnMut(&Plan) -> bool) -> Shrunk {
    let mut budget = Budget::new(tries_max);
    let mut keep = Keep::all(plan);
    loop {
        let before = keep.size();
        // Messages first: they are what a run spends its time on, so every later try is faster.
        for dimension in [Unit::Message, Unit::Fault, Unit::Person, Unit::Node, Unit::Link] {
            let items = keep.items(dimension);
            let left = minimise(&items, &mut budget, &mut |candidate| {
                let mut smaller = keep.clone();
                smaller.set(dimension, candidate);
                fails(&smaller.build(plan))
            });
            keep.set(dimension, &left);
        }
        if keep.size() == before || budget.is_spent() {
            break;
        }
    }
    let plan = shorten(keep.build(plan), &mut budget, fails);
    Shrunk { plan, tries: budget.tries(), complete: !budget.is_spent() }
}

/// Lets the run end earlier, as long as it still fails.
fn shorten(mut plan: Plan, budget: &mut Budget, fails: &mut dyn FnMut(&Plan) -> bool) -> Plan {
    /// A run of less than this is not worth another try.
    const SHORT_MS: u64 = 30_000;
    let mut cut = plan.duration_ms / 2;
    while cut >= SHORT_MS / 2 && plan.duration_ms > SHORT_MS && budget.take() {
        let mut shorter = plan.clone();
        shorter.duration_ms -= cut;
        let end = shorter.duration_ms;
        // What lies after the end is not part of the plan any more.
        shorter.messages.retain(|message| message.at.0 < end);
        shorter.events.retain(|(at, _)| at.0 < end);
        shorter.outage = shorter
            .outage
            .filter(|(from, _)| from.0 < end)
            .map(|(from, until)| (from, until.min(crate::plan::VirtualMs(end))));
        if fails(&shorter) {
            plan = shorter;
            cut = cut.min(plan.duration_ms / 2);
        } else {
            cut /= 2;
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{EventPlan, NodeIndex},
        scenario::{Overrides, draw::draw, load, parse},
    };

    fn smoke() -> Plan {
        let scenario = parse(&load("smoke").unwrap(), &Overrides::default()).unwrap();
        draw(&scenario, 1).unwrap().plan
    }

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let plan = smoke();
        // It "fails" where a node crashes and a message of more than 1,000 bytes is written.
        let mut fails = |plan: &Plan| {
            plan.events.iter().any(|(_, event)| matches!(event, EventPlan::Crash(_)))
                && plan.messages.iter().any(|message| message.bytes > 1000)
        };
        assert!(fails(&plan));
        let shrunk = shrink(&plan, 10_000, &mut fails);
        assert!(shrunk.complete && fails(&shrunk.plan));
        let small = &shrunk.plan;
        assert_eq!((small.messages.len(), small.mailboxes.len(), small.nodes.len()), (1, 1, 1));
        assert!(small.people.len() <= 2, "an author and a reader: {}", small.people.len());
        let crashes = small.events.iter().filter(|(_, event)| matches!(event, EventPlan::Crash(_))).count();
        assert!(crashes == 1 && small.events.len() <= 2, "{:?}", small.events);
        assert!(small.links.is_empty() && shrunk.tries < 2000, "{} tries", shrunk.tries);
        assert!(small.duration_ms < plan.duration_ms);
    }

    #[test]
    fn two_nodes_that_are_needed_stay_with_their_link() {
        let plan = smoke();
        let (a, b) = (plan.links[3].from, plan.links[3].to);
        let regions = |plan: &Plan| plan.nodes.iter().filter(|node| node.region == 7).count();
        let mut marked = plan.clone();
        marked.nodes[a.0 as usize].region = 7;
        marked.nodes[b.0 as usize].region = 7;
        let linked = |plan: &Plan| {
            let is = |node: NodeIndex| plan.nodes[node.0 as usize].region == 7;
            plan.links.iter().any(|link| is(link.from) && is(link.to))
        };
        let shrunk = shrink(&marked, 10_000, &mut |plan| regions(plan) == 2 && linked(plan));
        assert_eq!((shrunk.plan.nodes.len(), shrunk.plan.links.len(), shrunk.plan.messages.len()), (2, 1, 0));
    }

    #[test]
    fn a_search_ends_when_it_has_tried_often_enough() {
        let shrunk = shrink(&smoke(), 5, &mut |_| true);
        assert!(shrunk.tries <= 5 && !shrunk.complete);
    }
}
