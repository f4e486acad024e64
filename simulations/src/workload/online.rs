//! When people are on line.

use super::rate::DAY_HOURS_MS;
use crate::{
    plan::{EventPlan, PersonIndex, VirtualMs},
    random::{Random, whole_ms},
    scenario::{OnlineSection, clock::Clock, limits::EVENTS_MAX},
};

/// When people are on line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presence {
    /// Whether each is when the run begins.
    pub at_start: Vec<bool>,
    /// Comings and goings.
    pub events: Vec<(VirtualMs, EventPlan)>,
}

/// Draws the presence of so many people; `None` where that takes more than [`EVENTS_MAX`] events.
#[must_use]
pub fn presence(
    section: &OnlineSection,
    people: usize,
    clock: Clock,
    duration_ms: u64,
    random: &mut Random,
) -> Option<Presence> {
    let mut presence = Presence::default();
    for person in 0..people {
        let person = PersonIndex(person as u32);
        let (at_start, changes) = match section {
            OnlineSection::Always => (true, Vec::new()),
            OnlineSection::Sessions { online, offline, share } => {
                if random.chance(*share) {
                    let means = (clock.ms(*online) as f64, clock.ms(*offline) as f64);
                    sessions(means, duration_ms, EVENTS_MAX - presence.events.len().min(EVENTS_MAX), random)
                } else {
                    (true, Vec::new())
                }
            }
            OnlineSection::Daily { from, until, spread } => {
                let late = random.normal() * spread.ms() as f64;
                let shift = |hour: u64| (hour as f64 + late).clamp(0.0, DAY_HOURS_MS as f64) as u64;
                daily(shift(from.ms()), shift(until.ms()), clock, duration_ms)
            }
        };
        presence.at_start.push(at_start);
        let mut online = at_start;
        for at in changes {
            online = !online;
            let event = if online { EventPlan::Online(person) } else { EventPlan::Offline(person) };
            presence.events.push((VirtualMs(at), event));
        }
        if presence.events.len() >= EVENTS_MAX {
            return None;
        }
    }
    Some(presence)
}

/// Alternating sessions and pauses: the state at the start, and when it changes.
fn sessions(means: (f64, f64), duration_ms: u64, most: usize, random: &mut Random) -> (bool, Vec<u64>) {
    let (on, off) = means;
    let at_start = random.chance(on / (on + off));
    let mut online = at_start;
    let mut at = 0_u64;
    let mut changes = Vec::new();
    while changes.len() < most {
        at = at.saturating_add(whole_ms(random.exponential(if online { on } else { off })).max(1));
        if at >= duration_ms {
            break;
        }
        changes.push(at);
        online = !online;
    }
    (at_start, changes)
}

/// On line between two times of each day (milliseconds since midnight of the scenario's days).
fn daily(from: u64, until: u64, clock: Clock, duration_ms: u64) -> (bool, Vec<u64>) {
    let start = clock.ms_of_day(0);
    let at_start = (from..until).contains(&start);
    let compress = DAY_HOURS_MS / clock.day_ms().max(1);
    let mut changes = Vec::new();
    for day in 0.. {
        // Scenario milliseconds since the scenario began, at this day's midnight (the first one may lie before).
        let midnight = (day * DAY_HOURS_MS) as i64 - start as i64;
        if midnight >= (duration_ms * compress) as i64 {
            break;
        }
        let mut times: Vec<u64> = [from, until]
            .iter()
            .filter_map(|time| u64::try_from(midnight + *time as i64).ok())
            .map(|ms| ms / compress)
            .filter(|at| *at > 0 && *at < duration_ms)
            .collect();
        if from == until {
            times.clear();
        }
        changes.extend(times);
    }
    (at_start, changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Span;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn daily_people_sleep_at_night() {
        let section = OnlineSection::Daily { from: Span(7 * HOUR), until: Span(22 * HOUR), spread: Span(0) };
        // From noon, two days.
        let presence = presence(&section, 1, Clock::new(1, 12 * 3600), 48 * HOUR, &mut Random::new(1, "t")).unwrap();
        assert_eq!(presence.at_start, [true]);
        let hours: Vec<u64> = presence.events.iter().map(|(at, _)| at.0 / HOUR).collect();
        assert_eq!(hours, [10, 19, 34, 43]);
        assert_eq!(presence.events[0].1, EventPlan::Offline(PersonIndex(0)));
        // Compressed 24 times the same happens in two hours.
        let presence =
            super::presence(&section, 1, Clock::new(24, 12 * 3600), 2 * HOUR, &mut Random::new(1, "t")).unwrap();
        let minutes: Vec<u64> = presence.events.iter().map(|(at, _)| at.0 / 60_000).collect();
        assert_eq!(minutes, [25, 47, 85, 107]);
    }

    #[test]
    fn sessions_are_on_line_as_often_as_they_say() {
        let section = OnlineSection::Sessions { online: Span(HOUR), offline: Span(3 * HOUR), share: 1.0 };
        let presence = presence(&section, 400, Clock::new(1, 0), 100 * HOUR, &mut Random::new(1, "t")).unwrap();
        let at_start = presence.at_start.iter().filter(|on| **on).count();
        assert!((70..130).contains(&at_start), "{at_start}");
        // 100 hours of 4-hour cycles, two events each, for 400 people.
        assert!((18_000..22_000).contains(&presence.events.len()), "{}", presence.events.len());
    }
}
