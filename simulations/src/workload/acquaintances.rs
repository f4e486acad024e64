//! Who has a full client.

use std::collections::BTreeSet;

use super::messages::Written;
use crate::random::Random;

/// Chooses so many people, circle by circle: somebody, then again and again one of those who write directly to somebody
/// chosen already, or whom these write to. Drawn from everybody alike, few would have anybody to write to.
#[must_use]
pub fn acquaintances(people: usize, count: usize, written: &Written, random: &mut Random) -> Vec<bool> {
    let mut chosen = vec![false; people];
    if count == 0 {
        return chosen;
    }
    let mut knows: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); people];
    for message in &written.messages {
        let Some(mailbox) = written.mailboxes.get(message.mailbox.0 as usize) else { continue };
        if let [reader] = mailbox.readers[..]
            && !mailbox.shared
        {
            let (author, reader) = (message.author.0 as usize, reader.0 as usize);
            knows[author].insert(reader);
            knows[reader].insert(author);
        }
    }
    let mut near: BTreeSet<usize> = BTreeSet::new();
    for _ in 0..count.min(people) {
        let among: Vec<usize> = if near.is_empty() {
            (0..people).filter(|person| !chosen[*person]).collect()
        } else {
            near.iter().copied().collect()
        };
        let Some(&person) = random.pick(&among) else { break };
        chosen[person] = true;
        near.remove(&person);
        near.extend(knows[person].iter().filter(|other| !chosen[**other]));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{MailboxIndex, MailboxPlan, MessagePlan, PersonIndex, VirtualMs};

    fn written(pairs: &[(u32, u32)]) -> Written {
        let mailbox = |(_, to): &(u32, u32)| MailboxPlan { shared: false, readers: vec![PersonIndex(*to)] };
        let message = |(place, (from, _)): (usize, &(u32, u32))| MessagePlan {
            at: VirtualMs(place as u64),
            author: PersonIndex(*from),
            mailbox: MailboxIndex(place as u32),
            bytes: 1,
            life_seconds: 1,
        };
        Written {
            mailboxes: pairs.iter().map(mailbox).collect(),
            messages: pairs.iter().enumerate().map(message).collect(),
        }
    }

    #[test]
    fn whoever_is_chosen_knows_somebody_who_is() {
        let pairs: Vec<(u32, u32)> = (0..50).map(|person| (person, (person + 7) % 50)).collect();
        let chosen = acquaintances(50, 8, &written(&pairs), &mut Random::new(1, "t"));
        assert_eq!(chosen.iter().filter(|chosen| **chosen).count(), 8);
        let known = pairs.iter().filter(|(from, to)| chosen[*from as usize] && chosen[*to as usize]).count();
        assert!(known >= 7, "{known}");
    }

    #[test]
    fn strangers_are_chosen_where_there_is_nobody_else_and_never_more_than_there_are() {
        let count = |count| {
            let chosen = acquaintances(5, count, &written(&[(0, 1)]), &mut Random::new(1, "t"));
            chosen.into_iter().filter(|chosen| *chosen).count()
        };
        assert_eq!([count(0), count(3), count(9)], [0, 3, 5]);
    }
}
