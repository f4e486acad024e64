//! What is written: direct messages, groups, channels, questions to businesses and their answers.

use std::collections::BTreeMap;

use super::{contacts::contacts, rate::Rate};
use crate::{
    plan::{MailboxIndex, MailboxPlan, MessagePlan, PersonIndex, VirtualMs},
    random::{Random, whole_ms},
    scenario::{
        WorkloadSection,
        clock::Clock,
        limits::{DELIVERIES_MAX, MESSAGES_MAX},
    },
};

/// Every message and the mailboxes they go to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The mailboxes, in the order in which they are first used.
    pub mailboxes: Vec<MailboxPlan>,
    /// The messages, in order of time.
    pub messages: Vec<MessagePlan>,
}

/// Why the workload cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Too many messages.
    #[error("about {0} messages, but at most {MESSAGES_MAX} are possible: lower the rates, the people or the duration")]
    Messages(u64),
    /// Too many pairs of a message and a reader.
    #[error(
        "{0} pairs of a message and a reader, but at most {DELIVERIES_MAX} are possible: make groups and channels smaller"
    )]
    Deliveries(u64),
}

/// Where a message goes, before mailboxes are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Direct { from: u32, to: u32 },
    Group(u32),
    Channel(u32),
}

struct Draft {
    at: u64,
    author: u32,
    target: Target,
    bytes: u32,
}

/// Writes everything.
///
/// # Errors
/// [`WorkloadError`], before much is drawn.
pub fn write(
    workload: &WorkloadSection,
    people_regions: &[u16],
    clock: Clock,
    duration_ms: u64,
    seed: u64,
) -> Result<Written, WorkloadError> {
    let people = people_regions.len();
    let writer = Writer::new(workload, people, clock, duration_ms);
    writer.check_size(people)?;
    let stream = |purpose: &str| Random::new(seed, &format!("workload {purpose}"));
    let known = contacts(people_regions, workload.contacts, workload.contacts_in_region, &mut stream("contacts"));
    let groups = gather(people, workload.groups.per_hundred_people, workload.groups.size, &mut stream("groups"));
    let channels =
        gather(people, workload.channels.per_hundred_people, workload.channels.readers + 1, &mut stream("channels"));
    let mut drafts = Vec::new();
    writer.talk(&known, &groups, stream("talk"), &mut drafts)?;
    writer.post(&channels, stream("posts"), &mut drafts)?;
    writer.ask(people, stream("asks"), &mut drafts)?;
    drafts.sort_by_key(|draft| (draft.at, draft.author, draft.target));
    number(drafts, &groups, &channels, clock.life_seconds(workload.life))
}

struct Writer<'a> {
    workload: &'a WorkloadSection,
    rate: Rate,
    from: u64,
    until: u64,
    day: f64,
    clock: Clock,
    sizes: Vec<f64>,
    people: usize,
}

impl<'a> Writer<'a> {
    fn new(workload: &'a WorkloadSection, people: usize, clock: Clock, duration_ms: u64) -> Self {
        // The beginning is for nodes, which keep their own pace: it is not compressed.
        let from = workload.from.ms().min(duration_ms);
        let until = workload.until.map_or(duration_ms, |until| clock.ms(until)).clamp(from, duration_ms);
        Self {
            workload,
            rate: Rate::new(workload, clock),
            from,
            until,
            day: clock.day_ms() as f64,
            clock,
            sizes: workload.sizes.iter().map(|size| size.weight).collect(),
            people,
        }
    }

    /// Expected messages, before any is drawn.
    fn check_size(&self, people: usize) -> Result<(), WorkloadError> {
        let days =
            (self.until - self.from) as f64 / self.day * self.rate.mean(self.from, self.until.max(self.from + 1));
        let workload = self.workload;
        let channels = workload.channels.per_hundred_people / 100.0 * workload.channels.per_day;
        let asks =
            if workload.bots.per_hundred_people > 0.0 { 2.0 * workload.bots.asks_per_person_per_day } else { 0.0 };
        let expected = people as f64 * days * (workload.per_person_per_day + channels + asks);
        if expected > MESSAGES_MAX as f64 { Err(WorkloadError::Messages(expected as u64)) } else { Ok(()) }
    }

    fn size(&self, random: &mut Random) -> u32 {
        random.weighted(&self.sizes).and_then(|place| self.workload.sizes.get(place)).map_or(1, |size| size.bytes)
    }

    /// The moments of a Poisson process of so many a day that follows the rate (by thinning: drawn at the highest rate, and
    /// kept with the proportion of the moment's).
    fn moments(&self, per_day: f64, random: &mut Random) -> Vec<u64> {
        let mut moments = Vec::new();
        let highest = self.rate.max();
        if per_day <= 0.0 || highest <= 0.0 {
            return moments;
        }
        let gap = self.day / (per_day * highest);
        let mut at = self.from as f64;
        loop {
            at += random.exponential(gap);
            let moment = whole_ms(at);
            if moment >= self.until || moments.len() as u64 > MESSAGES_MAX {
                return moments;
            }
            if random.chance(self.rate.at(moment) / highest) {
                moments.push(moment);
            }
        }
    }

    /// What people write to contacts and groups.
    fn talk(
        &self,
        known: &[Vec<u32>],
        groups: &[Vec<u32>],
        mut random: Random,
        drafts: &mut Vec<Draft>,
    ) -> Result<(), WorkloadError> {
        let mut member_of: Vec<Vec<u32>> = vec![Vec::new(); known.len()];
        for (group, members) in groups.iter().enumerate() {
            for member in members {
                member_of[*member as usize].push(group as u32);
            }
        }
        for (person, friends) in known.iter().enumerate() {
            for at in self.moments(self.workload.per_person_per_day, &mut random) {
                let to_group = random.chance(self.workload.groups.share) && !member_of[person].is_empty();
                let target = if to_group {
                    random.pick(&member_of[person]).map(|group| Target::Group(*group))
                } else {
                    random.pick(friends).map(|to| Target::Direct { from: person as u32, to: *to })
                };
                let bytes = self.size(&mut random);
                drafts.extend(target.map(|target| Draft { at, author: person as u32, target, bytes }));
            }
            bound(drafts)?;
        }
        Ok(())
    }

    /// What channels post.
    fn post(&self, channels: &[Vec<u32>], mut random: Random, drafts: &mut Vec<Draft>) -> Result<(), WorkloadError> {
        for (channel, members) in channels.iter().enumerate() {
            let Some(&owner) = random.pick(members) else { continue };
            for at in self.moments(self.workload.channels.per_day, &mut random) {
                let bytes = self.size(&mut random);
                drafts.push(Draft { at, author: owner, target: Target::Channel(channel as u32), bytes });
            }
            bound(drafts)?;
        }
        Ok(())
    }

    /// Questions to businesses, and their answers.
    fn ask(&self, people: usize, mut random: Random, drafts: &mut Vec<Draft>) -> Result<(), WorkloadError> {
        let section = &self.workload.bots;
        let everybody: Vec<u32> = (0..people as u32).collect();
        let bots = random.choose(&everybody, libm::round(section.per_hundred_people * people as f64 / 100.0) as usize);
        if bots.is_empty() {
            return Ok(());
        }
        let think = (self.clock.ms(section.answer_after_min), self.clock.ms(section.answer_after_max));
        for person in everybody {
            for at in self.moments(section.asks_per_person_per_day, &mut random) {
                let Some(&bot) = random.pick(&bots) else { continue };
                let answer = at + think.0 + random.below(think.1 - think.0 + 1);
                let (asked, answered) = (self.size(&mut random), self.size(&mut random));
                if bot == person {
                    continue;
                }
                drafts.push(Draft {
                    at,
                    author: person,
                    target: Target::Direct { from: person, to: bot },
                    bytes: asked,
                });
                if answer < self.until {
                    let target = Target::Direct { from: bot, to: person };
                    drafts.push(Draft { at: answer, author: bot, target, bytes: answered });
                }
            }
            bound(drafts)?;
        }
        debug_assert!(people == self.people);
        Ok(())
    }
}

fn bound(drafts: &[Draft]) -> Result<(), WorkloadError> {
    if drafts.len() as u64 > MESSAGES_MAX { Err(WorkloadError::Messages(drafts.len() as u64)) } else { Ok(()) }
}

/// Puts people into groups of a size: so many groups for each hundred people.
fn gather(people: usize, per_hundred: f64, size: u32, random: &mut Random) -> Vec<Vec<u32>> {
    let count = libm::round(per_hundred * people as f64 / 100.0) as usize;
    let count = if per_hundred > 0.0 && people >= 2 { count.max(1) } else { 0 };
    (0..count)
        .map(|_| {
            random.distinct_below(people as u64, u64::from(size)).into_iter().map(|member| member as u32).collect()
        })
        .filter(|members: &Vec<u32>| members.len() > 1)
        .collect()
}

/// Numbers the mailboxes in the order of their first use.
fn number(
    drafts: Vec<Draft>,
    groups: &[Vec<u32>],
    channels: &[Vec<u32>],
    life_seconds: u64,
) -> Result<Written, WorkloadError> {
    let mut written = Written::default();
    let mut numbers: BTreeMap<Target, MailboxIndex> = BTreeMap::new();
    let mut deliveries = 0_u64;
    for draft in drafts {
        let mailbox = *numbers.entry(draft.target).or_insert_with(|| {
            let (shared, readers) = match draft.target {
                Target::Direct { to, .. } => (false, vec![to]),
                Target::Group(group) => (true, groups[group as usize].clone()),
                // The owner posts and does not follow.
                Target::Channel(channel) => (
                    true,
                    channels[channel as usize].iter().copied().filter(|reader| *reader != draft.author).collect(),
                ),
            };
            written.mailboxes.push(MailboxPlan { shared, readers: readers.into_iter().map(PersonIndex).collect() });
            MailboxIndex(written.mailboxes.len() as u32 - 1)
        });
        deliveries += written.mailboxes[mailbox.0 as usize].readers.len() as u64;
        written.messages.push(MessagePlan {
            at: VirtualMs(draft.at),
            author: PersonIndex(draft.author),
            mailbox,
            bytes: draft.bytes,
            life_seconds,
        });
    }
    if deliveries > DELIVERIES_MAX { Err(WorkloadError::Deliveries(deliveries)) } else { Ok(written) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{BotsSection, ChannelsSection, GroupsSection, Span};

    const DAY: u64 = 86_400_000;

    fn written(workload: &WorkloadSection, people: usize) -> Written {
        write(workload, &vec![0; people], Clock::new(1, 0), DAY, 1).unwrap()
    }

    #[test]
    fn people_write_as_much_as_they_are_said_to() {
        let workload = WorkloadSection { per_person_per_day: 30.0, from: Span(0), ..WorkloadSection::default() };
        let count = written(&workload, 100).messages.len();
        assert!((2800..3200).contains(&count), "{count}");
        // Compressed, as many in less time.
        let count = write(&workload, &[0; 100], Clock::new(24, 0), DAY / 24, 1).unwrap().messages.len();
        assert!((2800..3200).contains(&count), "{count}");
    }

    #[test]
    fn messages_are_in_order_and_go_where_they_may() {
        let workload = WorkloadSection {
            groups: GroupsSection { per_hundred_people: 10.0, size: 6, share: 0.5 },
            channels: ChannelsSection { per_hundred_people: 2.0, readers: 20, per_day: 10.0 },
            bots: BotsSection {
                per_hundred_people: 3.0,
                asks_per_person_per_day: 2.0,
                answer_after_min: Span(1000),
                answer_after_max: Span(5000),
            },
            ..WorkloadSection::default()
        };
        let written = written(&workload, 100);
        assert!(written.messages.windows(2).all(|pair| pair[0].at <= pair[1].at));
        for message in &written.messages {
            let mailbox = &written.mailboxes[message.mailbox.0 as usize];
            if mailbox.shared {
                assert!(mailbox.readers.len() >= 5);
            } else {
                assert_eq!(mailbox.readers.len(), 1);
                assert_ne!(mailbox.readers[0], message.author);
            }
        }
        let used: std::collections::BTreeSet<_> = written.messages.iter().map(|message| message.mailbox).collect();
        assert_eq!(used.len(), written.mailboxes.len(), "no mailbox is unused");
        assert!(written.mailboxes.iter().any(|mailbox| mailbox.readers.len() == 20), "channels have followers");
    }

    #[test]
    fn too_much_is_refused_before_it_is_drawn() {
        let workload = WorkloadSection { per_person_per_day: 1e6, ..WorkloadSection::default() };
        assert!(matches!(write(&workload, &[0; 1000], Clock::new(1, 0), DAY, 1), Err(WorkloadError::Messages(_))));
        let workload = WorkloadSection {
            channels: ChannelsSection { per_hundred_people: 10.0, readers: 10_000, per_day: 100.0 },
            per_person_per_day: 0.1,
            ..WorkloadSection::default()
        };
        assert!(matches!(write(&workload, &[0; 10_001], Clock::new(1, 0), DAY, 1), Err(WorkloadError::Deliveries(_))));
    }
}
