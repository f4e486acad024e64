//! The end of a run: everything is healed, and everything that was accepted has to arrive, be acked, and be gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use griot_protocol::{RecordId, api::RecordState};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    history::{Event, History, Id, What},
    people::Town,
};

/// How often nodes are asked.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How long it is waited, after all is gone, for anything to come back: every node has then compared what it holds with a
/// neighbour's at least once more (sync is every 30 s, give or take).
pub(super) const AFTERMATH: Duration = Duration::from_secs(40);

/// What a history says of its messages so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Messages made.
    pub sent: BTreeMap<Id, u64>,
    /// Accepted by at least one node.
    pub accepted: BTreeSet<Id>,
    /// Delivered.
    pub delivered: BTreeSet<Id>,
    /// Acked at one node at least.
    pub acked: BTreeSet<Id>,
}

impl Standing {
    /// Goes through a history.
    pub(super) fn of(events: &[Event]) -> Self {
        let mut standing = Self::default();
        for event in events {
            match &event.what {
                What::Sent { id, expires_ms, .. } => {
                    standing.sent.insert(id.clone(), *expires_ms);
                }
                What::Accepted { id, .. } => {
                    standing.accepted.insert(id.clone());
                }
                What::Delivered { id, .. } => {
                    standing.delivered.insert(id.clone());
                }
                What::AckAccepted { ids, .. } => standing.acked.extend(ids.iter().cloned()),
                _ => {}
            }
        }
        standing
    }

    /// Accepted, still alive, and not delivered.
    pub(super) fn undelivered(&self, now_ms: u64) -> usize {
        let alive = |id: &&Id| self.sent.get(*id).is_some_and(|expires_ms| *expires_ms > now_ms);
        self.accepted.difference(&self.delivered).filter(alive).count()
    }
}

/// Waits until all that was accepted is delivered and acked; says whether it was, before the deadline.
pub(super) async fn all_arrived(history: &History, deadline: Instant, mut say: impl FnMut(&str)) -> bool {
    loop {
        let standing = history.with(Standing::of);
        let missing = standing.undelivered(history.now_ms());
        // A full client acks by itself, and does not say when.
        let unacked =
            standing.delivered.difference(&standing.acked).filter(|id| id.parse::<RecordId>().is_ok()).count();
        if missing == 0 && unacked == 0 {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        say(&format!("waiting for {missing} messages and {unacked} acks"));
        sleep(ASK_EVERY).await;
    }
}

/// Asks every node about every message that was accepted, until each says what it has to say in the end: that it was acked,
/// has expired, or is not known here (the ack came first, or the body did and is gone). Says how many answers were not so at
/// the deadline.
pub(super) async fn all_gone(
    town: &Arc<Town>,
    history: &Arc<History>,
    nodes: usize,
    deadline: Instant,
    mut say: impl FnMut(&str),
) -> usize {
    let standing = history.with(Standing::of);
    let ids: Vec<RecordId> = standing.accepted.iter().filter_map(|id| id.parse().ok()).collect();
    let mut pending: Vec<BTreeSet<RecordId>> = vec![ids.iter().copied().collect(); nodes];
    let mut last: Vec<BTreeMap<RecordId, Option<RecordState>>> = vec![BTreeMap::new(); nodes];
    loop {
        let mut tasks = tokio::task::JoinSet::new();
        for node in 0..nodes {
            let (ids, known) = (std::mem::take(&mut pending[node]), std::mem::take(&mut last[node]));
            let (town, history) = (Arc::clone(town), Arc::clone(history));
            tasks.spawn(async move { ask(&town, &history, node, ids, known).await });
        }
        while let Some(Ok((node, ids, known))) = tasks.join_next().await {
            (pending[node], last[node]) = (ids, known);
        }
        let now_ms = history.now_ms();
        let has_expired =
            |id: &RecordId| standing.sent.get(&id.to_string()).is_none_or(|expires_ms| *expires_ms <= now_ms);
        for (ids, known) in pending.iter_mut().zip(&last) {
            // What has expired is asked for once, and may be in any state but back again.
            ids.retain(|id| !(known.contains_key(id) && has_expired(id)));
        }
        let left: usize = pending.iter().map(BTreeSet::len).sum();
        if left == 0 || Instant::now() > deadline {
            return left;
        }
        say(&format!("waiting for nodes to know of the acks: {left} answers are missing"));
        sleep(ASK_EVERY).await;
    }
}

type Known = BTreeMap<RecordId, Option<RecordState>>;

/// Asks one node about messages; gives back those that are not at their end.
async fn ask(
    town: &Town,
    history: &History,
    node: usize,
    ids: BTreeSet<RecordId>,
    mut known: Known,
) -> (usize, BTreeSet<RecordId>, Known) {
    let mut left = BTreeSet::new();
    for id in ids {
        let asked_ms = history.now_ms();
        let Some(home) = town.node(node) else { break };
        // A node that does not answer is asked again in the next round.
        let Ok(status) = home.status(&id).await else {
            left.insert(id);
            continue;
        };
        let state = status.map(|status| status.state);
        if known.insert(id, state) != Some(state) {
            history.note(What::Status { node, id: id.to_string(), state, asked_ms });
        }
        if matches!(state, Some(RecordState::Held | RecordState::Evicted)) {
            left.insert(id);
        }
    }
    (node, left, known)
}

/// Waits for the writers to be done, until the deadline.
pub(super) async fn all_written(writers: &mut tokio::task::JoinSet<()>, deadline: Instant) -> bool {
    let all = async { while writers.join_next().await.is_some() {} };
    timeout_at(deadline, all).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_tells_what_is_missing() {
        let sent = |id: &str, expires_ms| What::Sent { id: id.into(), writer: 0, reader: 1, expires_ms };
        let accepted = |id: &str| What::Accepted { id: id.into(), node: 0, asked_ms: 0 };
        let history = [
            sent("a", 100),
            sent("b", 100),
            sent("c", 10),
            sent("d", 100),
            accepted("a"),
            accepted("b"),
            accepted("c"),
            What::Delivered { id: "a".into(), reader: 1 },
        ];
        let events: Vec<Event> = history.into_iter().map(|what| Event { at_ms: 0, what }).collect();
        let standing = Standing::of(&events);
        assert_eq!((standing.sent.len(), standing.accepted.len(), standing.delivered.len()), (4, 3, 1));
        assert_eq!(standing.undelivered(5), 2);
        // What has expired is not waited for, and neither is what nobody accepted.
        assert_eq!(standing.undelivered(50), 1);
    }
}
