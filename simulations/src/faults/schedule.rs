//! From the `[[faults]]` of a scenario to events with their times.

use super::{Crowd, churn};
use crate::{
    plan::{EventPlan, NodeIndex, VirtualMs},
    random::{Random, whole_ms},
    scenario::{FaultKind, FaultSection, Span, clock::Clock, limits::EVENTS_MAX},
};

/// Why faults cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Too many events.
    #[error("the faults and the people's comings and goings are more than {EVENTS_MAX} events; make them rarer")]
    TooMany,
    /// A fault befalls nobody.
    #[error("fault {number} ({kind:?}) chooses no node: with so few nodes its selector is empty")]
    Nobody {
        /// Its place in the file, from 1.
        number: usize,
        /// What it is.
        kind: FaultKind,
    },
}

type Events = Vec<(VirtualMs, EventPlan)>;

/// Draws all faults of a run that lasts `duration_ms`. Each has a stream of its own, so that adding one changes no other.
///
/// # Errors
/// [`FaultError`].
pub fn schedule(
    faults: &[FaultSection],
    crowd: &Crowd,
    clock: Clock,
    duration_ms: u64,
    seed: u64,
) -> Result<Events, FaultError> {
    let mut events = Events::new();
    for (place, fault) in faults.iter().enumerate() {
        let mut random = Random::new(seed, &format!("fault {place}"));
        let context = Context { fault, crowd, clock, duration_ms, place };
        match fault.kind {
            FaultKind::Churn => context.churn(&mut random, &mut events)?,
            FaultKind::Rolling => context.rolling(&mut random, &mut events)?,
            _ => context.ordinary(&mut random, &mut events)?,
        }
        if events.len() > EVENTS_MAX {
            return Err(FaultError::TooMany);
        }
    }
    events.retain(|(at, _)| at.0 < duration_ms);
    Ok(events)
}

struct Context<'a> {
    fault: &'a FaultSection,
    crowd: &'a Crowd,
    clock: Clock,
    duration_ms: u64,
    place: usize,
}

impl Context<'_> {
    fn ms(&self, span: Option<Span>) -> Option<u64> {
        span.map(|span| self.clock.ms(span))
    }

    fn nodes(&self, random: &mut Random) -> Result<Vec<NodeIndex>, FaultError> {
        let nodes = self.crowd.select(&self.fault.nodes, random);
        if nodes.is_empty() {
            Err(FaultError::Nobody { number: self.place + 1, kind: self.fault.kind })
        } else {
            Ok(nodes)
        }
    }

    fn churn(&self, random: &mut Random, events: &mut Events) -> Result<(), FaultError> {
        let (Some(session), Some(pause)) = (&self.fault.session, &self.fault.pause) else { return Ok(()) };
        let from = self.ms(self.fault.at.or(self.fault.from)).unwrap_or(0);
        let until = self.ms(self.fault.until).unwrap_or(self.duration_ms).min(self.duration_ms);
        for node in self.nodes(random)? {
            churn::node(node, (session, pause), (from, until), self.fault.crash, self.clock, random, events);
            if events.len() > EVENTS_MAX {
                return Err(FaultError::TooMany);
            }
        }
        Ok(())
    }

    fn rolling(&self, random: &mut Random, events: &mut Events) -> Result<(), FaultError> {
        let down = self.ms(self.fault.lasts).unwrap_or(0);
        let gap = self.ms(self.fault.gap).unwrap_or(0);
        let mut at = self.ms(self.fault.at).unwrap_or(0);
        for node in self.nodes(random)? {
            events.push((VirtualMs(at), if self.fault.crash { EventPlan::Crash(node) } else { EventPlan::Stop(node) }));
            events.push((VirtualMs(at + down), EventPlan::Start(node)));
            at = at.saturating_add(down).saturating_add(gap);
        }
        Ok(())
    }

    fn ordinary(&self, random: &mut Random, events: &mut Events) -> Result<(), FaultError> {
        let Some(every) = self.ms(self.fault.every) else {
            return self.once(self.ms(self.fault.at).unwrap_or(0), 0, random, events);
        };
        let until = self.ms(self.fault.until).unwrap_or(self.duration_ms).min(self.duration_ms);
        let mut at = self.ms(self.fault.from).unwrap_or(0);
        for number in 0.. {
            at = at.saturating_add(whole_ms(random.exponential(every as f64)).max(1));
            if at >= until {
                break;
            }
            self.once(at, number, random, events)?;
            if events.len() > EVENTS_MAX {
                return Err(FaultError::TooMany);
            }
        }
        Ok(())
    }

    /// One occurrence: what happens at `at`, and what ends it.
    fn once(&self, at: u64, number: usize, random: &mut Random, events: &mut Events) -> Result<(), FaultError> {
        use FaultKind as K;
        let nodes = self.nodes(random)?;
        let fault = self.fault;
        let end = self.ms(fault.lasts).map(|lasts| VirtualMs(at.saturating_add(lasts)));
        let at = VirtualMs(at);
        let name = format!("{}-{}-{}", kind_name(fault.kind), self.place, number);
        match fault.kind {
            K::Partition | K::Throttle | K::Reset => {
                self.between(&nodes, at, end, name, random, events);
                return Ok(());
            }
            _ => {}
        }
        for node in nodes {
            match fault.kind {
                K::Crash => events.push((at, EventPlan::Crash(node))),
                K::Stop => events.push((at, EventPlan::Stop(node))),
                K::Die => events.push((at, EventPlan::Die(node))),
                K::LoseStore => {
                    events.push((at, EventPlan::Crash(node)));
                    // Lost while it is down; a node that comes back at once loses it just before.
                    events.push((at, EventPlan::LoseStore(node)));
                }
                K::DiskFull => events.push((at, EventPlan::DiskFull(node, true))),
                K::ClockSkew => events.push((at, EventPlan::ClockSkew(node, fault.seconds.unwrap_or(0)))),
                K::ClockDrift => events.push((at, EventPlan::ClockDrift(node, fault.ppm.unwrap_or(0)))),
                K::Partition | K::Throttle | K::Reset | K::Rolling | K::Churn => {}
            }
            let Some(end) = end else { continue };
            match fault.kind {
                K::Crash | K::Stop | K::LoseStore => events.push((end, EventPlan::Start(node))),
                K::DiskFull => events.push((end, EventPlan::DiskFull(node, false))),
                K::ClockSkew => events.push((end, EventPlan::ClockSkew(node, 0))),
                K::ClockDrift => events.push((end, EventPlan::ClockDrift(node, 0))),
                _ => {}
            }
        }
        Ok(())
    }

    /// A fault between two sides.
    fn between(
        &self,
        nodes: &[NodeIndex],
        at: VirtualMs,
        end: Option<VirtualMs>,
        name: String,
        random: &mut Random,
        events: &mut Events,
    ) {
        let others = match &self.fault.towards {
            Some(towards) => {
                let chosen = self.crowd.select(towards, random);
                chosen.into_iter().filter(|node| nodes.binary_search(node).is_err()).collect()
            }
            None => self.crowd.others(nodes),
        };
        match self.fault.kind {
            FaultKind::Partition => {
                let cut = |name: &str, from: &[NodeIndex], to: &[NodeIndex]| EventPlan::Cut {
                    name: name.to_owned(),
                    from: from.to_vec(),
                    to: to.to_vec(),
                };
                let back = format!("{name}-back");
                events.push((at, cut(&name, nodes, &others)));
                if !self.fault.one_way {
                    events.push((at, cut(&back, &others, nodes)));
                }
                if let Some(end) = end {
                    events.push((end, EventPlan::Heal { name }));
                    if !self.fault.one_way {
                        events.push((end, EventPlan::Heal { name: back }));
                    }
                }
            }
            FaultKind::Throttle => {
                let bytes_per_second = self.fault.kib_per_second.unwrap_or(0).saturating_mul(1024);
                events.push((
                    at,
                    EventPlan::Throttle { name: name.clone(), from: nodes.to_vec(), to: others, bytes_per_second },
                ));
                events.extend(end.map(|end| (end, EventPlan::Heal { name })));
            }
            _ => {
                for (a, b) in nodes.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))).take(EVENTS_MAX) {
                    events.push((at, EventPlan::Reset(a, b)));
                }
            }
        }
    }
}

/// The name of a kind, as the file has it.
fn kind_name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Crash => "crash",
        FaultKind::Stop => "stop",
        FaultKind::Die => "die",
        FaultKind::LoseStore => "lose-store",
        FaultKind::DiskFull => "disk-full",
        FaultKind::ClockSkew => "clock-skew",
        FaultKind::ClockDrift => "clock-drift",
        FaultKind::Partition => "partition",
        FaultKind::Throttle => "throttle",
        FaultKind::Reset => "reset",
        FaultKind::Rolling => "rolling",
        FaultKind::Churn => "churn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        Crowd {
            regions: vec![0, 0, 0, 1, 1, 1],
            region_names: vec!["a".into(), "b".into()],
            people: vec![1; 6],
            honest: vec![true; 6],
        }
    }

    fn events(text: &str) -> Events {
        #[derive(serde::Deserialize)]
        struct File {
            faults: Vec<FaultSection>,
        }
        let file: File = toml::from_str(&format!("[[faults]]\n{text}")).unwrap();
        let mut events = schedule(&file.faults, &crowd(), Clock::new(1, 0), 3_600_000, 1).unwrap();
        events.sort_by_key(|(at, _)| *at);
        events
    }

    #[test]
    fn a_partition_by_region_cuts_both_ways_and_heals() {
        let events = events("kind = 'partition'\nat = '1m'\nlasts = '2m'\nnodes = { regions = ['a'] }");
        let shape: Vec<_> = events.iter().map(|(at, _)| at.0).collect();
        assert_eq!(shape, [60_000, 60_000, 180_000, 180_000]);
        let EventPlan::Cut { from, to, .. } = &events[0].1 else { panic!() };
        assert_eq!((from.len(), to.len()), (3, 3));
        let EventPlan::Cut { from, name, .. } = &events[1].1 else { panic!() };
        assert_eq!(from[0], NodeIndex(3));
        assert!(events[2..].iter().any(|(_, event)| *event == EventPlan::Heal { name: name.clone() }));
    }

    #[test]
    fn a_one_way_partition_cuts_one_way() {
        let events = events(
            "kind = 'partition'\nat = '1m'\none_way = true\nnodes = { list = [2] }\ntowards = { list = [2, 4] }",
        );
        let [(_, EventPlan::Cut { from, to, .. })] = &events[..] else { panic!("{events:?}") };
        assert_eq!((from, to), (&vec![NodeIndex(2)], &vec![NodeIndex(4)]));
    }

    #[test]
    fn faults_at_random_have_the_rate_and_end() {
        let events = events("kind = 'crash'\nevery = '1m'\nlasts = '10s'\nnodes = { count = 1 }");
        let crashes: Vec<_> = events.iter().filter(|(_, e)| matches!(e, EventPlan::Crash(_))).collect();
        assert!((40..80).contains(&crashes.len()), "{}", crashes.len());
        let starts = events.iter().filter(|(_, e)| matches!(e, EventPlan::Start(_))).count();
        assert!(starts + 1 >= crashes.len());
    }

    #[test]
    fn rolling_takes_one_after_the_other() {
        let events = events("kind = 'rolling'\nat = '1m'\nlasts = '30s'\ngap = '10s'");
        let times: Vec<u64> = events.iter().map(|(at, _)| at.0 / 1000).collect();
        assert_eq!(times, [60, 90, 100, 130, 140, 170, 180, 210, 220, 250, 260, 290]);
    }

    #[test]
    fn churn_alternates_and_ends_with_everybody_back() {
        let text = "kind = 'churn'\nuntil = '50m'\nsession = { law = 'weibull', k = 0.6, scale = '5m' }\n\
                    pause = { law = 'exponential', mean = '2m' }";
        let events = events(text);
        for node in 0..6 {
            let own: Vec<bool> = events
                .iter()
                .filter_map(|(_, event)| match event {
                    EventPlan::Stop(n) if n.0 == node => Some(false),
                    EventPlan::Start(n) if n.0 == node => Some(true),
                    _ => None,
                })
                .collect();
            assert!(own.windows(2).all(|pair| pair[0] != pair[1]), "node {node}: {own:?}");
            assert!(own.first().is_none_or(|first| !first) && own.last().is_none_or(|last| *last));
        }
        assert!(events.len() > 20);
    }

    #[test]
    fn a_lost_store_is_lost_while_the_node_is_down() {
        let events = events("kind = 'lose-store'\nat = '1m'\nlasts = '1m'\nnodes = { list = [1] }");
        let node = NodeIndex(1);
        let kinds: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
        assert_eq!(kinds, [EventPlan::Crash(node), EventPlan::LoseStore(node), EventPlan::Start(node)]);
    }
}
