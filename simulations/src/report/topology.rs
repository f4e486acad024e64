//! The network as a picture: before the outage, and in the middle of it.

use std::collections::BTreeMap;

use super::{
    Plot,
    data::RunData,
    layout,
    svg::{Anchor, GRID, INK, PALETTE, Svg},
};
use crate::plan::{Conduct, EventPlan, NodeIndex, Plan};

/// Nodes that are drawn; a larger network would be a blot.
const NODES_MAX: usize = 400;

/// What is up and what is cut at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether each node runs.
    pub up: Vec<bool>,
    /// The cuts, by name: from these to those.
    cuts: BTreeMap<String, (Vec<NodeIndex>, Vec<NodeIndex>)>,
    /// The throttled pairs, likewise.
    throttles: BTreeMap<String, (Vec<NodeIndex>, Vec<NodeIndex>)>,
}

impl State {
    /// The state after all events up to a moment.
    #[must_use]
    pub fn at(plan: &Plan, ms: u64) -> Self {
        let up = plan.nodes.iter().map(|node| node.starts_up).collect();
        let mut state = Self { up, cuts: BTreeMap::new(), throttles: BTreeMap::new() };
        for (_, event) in plan.events.iter().take_while(|(at, _)| at.0 <= ms) {
            match event {
                EventPlan::Crash(node) | EventPlan::Stop(node) | EventPlan::Die(node) => state.set(*node, false),
                EventPlan::Start(node) => state.set(*node, true),
                EventPlan::Cut { name, from, to } => {
                    state.cuts.insert(name.clone(), (from.clone(), to.clone()));
                }
                EventPlan::Throttle { name, from, to, .. } => {
                    state.throttles.insert(name.clone(), (from.clone(), to.clone()));
                }
                EventPlan::Heal { name } => {
                    state.cuts.remove(name);
                    state.throttles.remove(name);
                }
                _ => {}
            }
        }
        state
    }

    fn set(&mut self, node: NodeIndex, up: bool) {
        if let Some(state) = self.up.get_mut(node.0 as usize) {
            *state = up;
        }
    }

    fn between(sides: &BTreeMap<String, (Vec<NodeIndex>, Vec<NodeIndex>)>, a: NodeIndex, b: NodeIndex) -> bool {
        sides
            .values()
            .any(|(from, to)| (from.contains(&a) && to.contains(&b)) || (from.contains(&b) && to.contains(&a)))
    }

    /// Whether nothing (or nothing one way) gets from one node to another.
    #[must_use]
    pub fn is_cut(&self, a: NodeIndex, b: NodeIndex) -> bool {
        Self::between(&self.cuts, a, b)
    }

    /// Whether what gets from one to the other is throttled.
    #[must_use]
    pub fn is_throttled(&self, a: NodeIndex, b: NodeIndex) -> bool {
        Self::between(&self.throttles, a, b)
    }
}

/// The picture; `None` where the plan was not kept or the network is too large to draw.
#[must_use]
pub fn picture(data: &RunData) -> Option<Plot> {
    let plan = data.plan.as_ref().filter(|plan| plan.nodes.len() <= NODES_MAX)?;
    let links: Vec<(usize, usize)> = plan.links.iter().map(|link| (link.from.0 as usize, link.to.0 as usize)).collect();
    let places = layout::places(plan.nodes.len(), &links);
    let (before, during) = plan
        .outage
        .map_or((0, plan.duration_ms / 2), |(from, until)| (from.0.saturating_sub(1), from.0 + (until.0 - from.0) / 2));
    let regions = data.manifest.regions.len();
    let legend_lines = 1 + regions.div_ceil(4);
    let mut svg = Svg::new(720.0, 420.0 + 22.0 * legend_lines as f64);
    svg.text((20.0, 24.0), Anchor::Start, 15.0, "The network");
    for (side, (name, at)) in
        [("before the outage", before), ("in the middle of the outage", during)].into_iter().enumerate()
    {
        let left = 20.0 + 350.0 * side as f64;
        svg.rect((left, 52.0), (330.0, 350.0), "#FFFFFF", GRID);
        svg.text((left + 165.0, 44.0), Anchor::Middle, 13.0, name);
        panel(&mut svg, plan, &State::at(plan, at), &places, (left + 18.0, 70.0), (294.0, 314.0));
    }
    legend(&mut svg, &data.manifest.regions);
    let caption = "Nodes and the links they were given, before the outage and in its middle. Nodes that are down are crossed \
                   out; links to them and links across a partition are gone; throttled links are dashed. The size of a node \
                   says how many people live there.";
    Some(Plot {
        name: "topology".into(),
        caption: caption.into(),
        svg: svg.finish("The network before and during the outage"),
    })
}

fn panel(svg: &mut Svg, plan: &Plan, state: &State, places: &[(f64, f64)], at: (f64, f64), size: (f64, f64)) {
    let on_paper = |node: NodeIndex| {
        let (x, y) = places[node.0 as usize];
        (at.0 + x * size.0, at.1 + y * size.1)
    };
    for link in &plan.links {
        let runs = state.up[link.from.0 as usize] && state.up[link.to.0 as usize];
        if !runs || state.is_cut(link.from, link.to) {
            continue;
        }
        let throttled = state.is_throttled(link.from, link.to);
        let (colour, dash) = if throttled { ("#777777", "4 3") } else { ("#BBBBBB", "") };
        svg.line(on_paper(link.from), on_paper(link.to), colour, 0.7, dash);
    }
    let mut people = vec![0_u32; plan.nodes.len()];
    for home in plan.people.iter().filter_map(|person| person.homes.first()) {
        people[home.0 as usize] += 1;
    }
    let most = people.iter().copied().max().unwrap_or(1).max(1);
    for (number, node) in plan.nodes.iter().enumerate() {
        let place = on_paper(NodeIndex(number as u32));
        let radius = 3.6 + 3.6 * libm::sqrt(f64::from(people[number]) / f64::from(most));
        shape(svg, place, radius, usize::from(node.region), node.conduct == Conduct::Honest, state.up[number]);
    }
}

/// A node: its region in colour and shape, filled where honest, black where it means harm, crossed out where down.
fn shape(svg: &mut Svg, at: (f64, f64), radius: f64, region: usize, honest: bool, up: bool) {
    let (x, y) = at;
    let colour = if honest { PALETTE[region % (PALETTE.len() - 1)] } else { "#000000" };
    let (fill, stroke) = if up { (colour, "#FFFFFF") } else { ("#FFFFFF", colour) };
    let r = radius;
    match (honest, region % 4) {
        (false, _) => svg.polygon(&[(x, y - r - 1.0), (x + r + 1.0, y + r), (x - r - 1.0, y + r)], fill, stroke, 1.0),
        (true, 0) => svg.circle(at, r, fill, stroke, 1.0),
        (true, 1) => svg.polygon(&[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)], fill, stroke, 1.0),
        (true, 2) => {
            svg.polygon(&[(x, y - r - 1.5), (x + r + 1.5, y), (x, y + r + 1.5), (x - r - 1.5, y)], fill, stroke, 1.0)
        }
        (true, _) => svg.polygon(&[(x - r, y - r), (x + r, y - r), (x, y + r + 1.5)], fill, stroke, 1.0),
    }
    if !up {
        svg.line((x - r, y - r), (x + r, y + r), INK, 1.4, "");
        svg.line((x - r, y + r), (x + r, y - r), INK, 1.4, "");
    }
}

fn legend(svg: &mut Svg, regions: &[String]) {
    let mut y = 424.0;
    let entries: Vec<(usize, bool, bool, &str)> = vec![
        (0, true, true, "a node that runs"),
        (0, true, false, "one that is down"),
        (0, false, true, "one that means harm"),
    ];
    for (place, (region, honest, up, name)) in entries.into_iter().enumerate() {
        let x = 30.0 + 175.0 * place as f64;
        shape(svg, (x, y - 4.0), 5.0, region, honest, up);
        svg.text((x + 12.0, y), Anchor::Start, 12.0, name);
    }
    for (region, name) in regions.iter().enumerate() {
        if region % 4 == 0 {
            y += 22.0;
        }
        let x = 30.0 + 175.0 * (region % 4) as f64;
        shape(svg, (x, y - 4.0), 5.0, region, true, true);
        svg.text((x + 12.0, y), Anchor::Start, 12.0, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outcome::figures::tests::plan, plan::VirtualMs};

    #[test]
    fn the_state_follows_the_events() {
        let mut plan = plan();
        let (a, b) = (NodeIndex(0), NodeIndex(1));
        plan.events = vec![
            (VirtualMs(10), EventPlan::Crash(b)),
            (VirtualMs(20), EventPlan::Cut { name: "x".into(), from: vec![a], to: vec![b] }),
            (VirtualMs(30), EventPlan::Start(b)),
            (VirtualMs(40), EventPlan::Heal { name: "x".into() }),
        ];
        let at = |ms| {
            let state = State::at(&plan, ms);
            (state.up[1], state.is_cut(a, b), state.is_cut(b, a))
        };
        assert_eq!(at(5), (true, false, false));
        assert_eq!(at(25), (false, true, true));
        assert_eq!(at(35), (true, true, true));
        assert_eq!(at(45), (true, false, false));
    }
}
