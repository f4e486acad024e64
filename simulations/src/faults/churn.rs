//! Churn: nodes that come and go, in sessions of an exponential or a Weibull law.

use crate::{
    plan::{EventPlan, NodeIndex, VirtualMs},
    random::{Random, whole_ms},
    scenario::{Law, Span, clock::Clock},
};

/// A session never is shorter, in milliseconds of the run: a node that is killed while it opens its store tests the machine,
/// not the network.
const SESSION_MS_MIN: u64 = 1000;

/// A duration of a law, in milliseconds of the run.
fn draw(law: &Law, clock: Clock, random: &mut Random) -> u64 {
    let ms = |span: Span| clock.ms(span) as f64;
    let drawn = match law {
        Law::Exponential { mean } => random.exponential(ms(*mean)),
        Law::Weibull { k, scale } => random.weibull(*k, ms(*scale)),
    };
    whole_ms(drawn).max(SESSION_MS_MIN)
}

/// The comings and goings of one node between two moments.
pub fn node(
    node: NodeIndex,
    laws: (&Law, &Law),
    between: (u64, u64),
    crash: bool,
    clock: Clock,
    random: &mut Random,
    events: &mut Vec<(VirtualMs, EventPlan)>,
) {
    let (session, pause) = laws;
    let mut at = between.0;
    loop {
        at = at.saturating_add(draw(session, clock, random));
        if at >= between.1 {
            return;
        }
        events.push((VirtualMs(at), if crash { EventPlan::Crash(node) } else { EventPlan::Stop(node) }));
        at = at.saturating_add(draw(pause, clock, random));
        if at >= between.1 {
            // Whoever is away when churn ends comes back then: what follows is to be seen with all nodes.
            events.push((VirtualMs(between.1), EventPlan::Start(node)));
            return;
        }
        events.push((VirtualMs(at), EventPlan::Start(node)));
    }
}
