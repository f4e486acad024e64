//! The pump: takes the core's work, has all homes do it in parallel, and reports what came of it.
//!
//! Each home has a lane: what waits for it, and a few calls under way. A home that does not answer has its lane emptied
//! at once, so that the silence of one costs nobody else anything.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Round, Shared, now};
use crate::core::{ClientError, Event, HomeId, Outcome, Work};

/// Calls under way at one home: enough to hide the way there, few enough to be a polite guest.
const LANE_CALLS_MAX: usize = 4;

/// How often the core is asked for work while nothing happens (retries, renewals, polling).
const IDLE_TICK: Duration = Duration::from_millis(500);

/// Warnings that one round reports.
const WARNINGS_MAX: usize = 20;

/// What the pump is asked.
#[derive(Debug)]
pub(super) enum Request {
    /// Work until nothing is left to do now, then reply.
    Round {
        /// What there is to do.
        scope: Scope,
        /// Where the reply goes.
        reply: oneshot::Sender<Round>,
    },
    /// There may be something to do.
    Nudge,
    /// Do this, although the core has not asked for it.
    Do(Work),
}

/// What a round is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What the core asks for by itself.
    New,
    /// Also what was asked a moment ago.
    Again,
    /// Also a greeting to every home.
    Greet,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Work>,
    under_way: usize,
    submits: bool,
}

impl Lane {
    /// What may begin now. Records are handed over one at a time: a recipient then sees them in the order in which
    /// they were made, and has no gaps to wait for.
    fn next(&mut self) -> Option<Work> {
        if self.under_way >= LANE_CALLS_MAX {
            return None;
        }
        let is_free = |work: &Work| !(self.submits && matches!(work, Work::Submit { .. }));
        let work = self.waiting.iter().position(is_free).and_then(|at| self.waiting.remove(at))?;
        self.under_way += 1;
        self.submits |= matches!(work, Work::Submit { .. });
        Some(work)
    }

    /// A call has ended.
    fn ended(&mut self, work: &Work) {
        self.under_way = self.under_way.saturating_sub(1);
        if matches!(work, Work::Submit { .. }) {
            self.submits = false;
        }
    }
}

struct Pump {
    shared: Arc<Shared>,
    lanes: BTreeMap<HomeId, Lane>,
    calls: FuturesUnordered<BoxFuture<'static, (Work, Outcome)>>,
    waiters: Vec<oneshot::Sender<Round>>,
    round: Round,
}

/// Runs until the engine ends.
pub(super) async fn run(shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let mut pump = Pump {
        shared,
        lanes: BTreeMap::new(),
        calls: FuturesUnordered::new(),
        waiters: Vec::new(),
        round: Round::default(),
    };
    // Nothing is done unasked: a command that only shows what is stored leaves the homes alone.
    let mut awake = false;
    loop {
        if awake && let Err(error) = pump.gather() {
            pump.round.broken = Some(error.to_string());
        }
        if pump.is_idle() {
            pump.reply();
        }
        tokio::select! {
            biased;
            request = requests.recv() => match request {
                Some(request) => {
                    awake = true;
                    pump.take(request);
                }
                None => return,
            },
            Some((work, outcome)) = pump.calls.next(), if !pump.calls.is_empty() => pump.finish(work, outcome),
            () = tokio::time::sleep(IDLE_TICK), if awake => {}
        }
    }
}

impl Pump {
    fn take(&mut self, request: Request) {
        match request {
            Request::Round { scope, reply } => {
                if self.waiters.is_empty() {
                    self.round = Round::default();
                }
                if scope != Scope::New {
                    self.shared.account().refresh();
                }
                if scope == Scope::Greet {
                    for home in self.shared.homes().unwrap_or_default() {
                        self.lanes.entry(home.id).or_default().waiting.push_back(Work::Greet { home: home.id });
                    }
                }
                self.waiters.push(reply);
            }
            Request::Nudge => {}
            Request::Do(work) => self.lanes.entry(work.home()).or_default().waiting.push_back(work),
        }
    }

    /// Takes work from the core and begins what fits.
    fn gather(&mut self) -> Result<(), ClientError> {
        let (events, work) = {
            let mut account = self.shared.account();
            let events = account.tick(now())?;
            (events, account.work(now())?)
        };
        self.hear(events);
        for item in work {
            self.lanes.entry(item.home()).or_default().waiting.push_back(item);
        }
        for lane in self.lanes.values_mut() {
            while let Some(work) = lane.next() {
                let shared = self.shared.clone();
                self.calls.push(Box::pin(async move {
                    let outcome = shared.perform(&work).await;
                    (work, outcome)
                }));
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    fn reply(&mut self) {
        for waiter in self.waiters.drain(..) {
            // A command that was given up does not hear it.
            let _given_up = waiter.send(self.round.clone());
        }
    }

    fn finish(&mut self, work: Work, outcome: Outcome) {
        let home = work.home();
        let mut also_failed = VecDeque::new();
        if let Some(lane) = self.lanes.get_mut(&home) {
            lane.ended(&work);
            if matches!(outcome, Outcome::Unreachable(_)) {
                also_failed = std::mem::take(&mut lane.waiting);
            }
        }
        self.note_failure(home, &work, &outcome);
        for failed in also_failed {
            self.report(failed, outcome.clone());
        }
        self.report(work, outcome);
    }

    fn report(&mut self, work: Work, outcome: Outcome) {
        let result = self.shared.account().done(now(), work, outcome);
        match result {
            Ok(events) => self.hear(events),
            // The home answered something else than it was asked, or the mailbox went meanwhile: nothing was changed.
            Err(ClientError::Store(error)) => self.round.broken = Some(error.to_string()),
            Err(error) => tracing::debug!(%error, "an outcome was not taken"),
        }
    }

    fn note_failure(&mut self, home: HomeId, work: &Work, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Unreachable(why) => why.clone(),
            // A refused record is told with the record itself; a home that refuses to know us, here.
            Outcome::Refused(problem) if !matches!(work, Work::Submit { .. } | Work::Ask { .. }) => {
                if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() }
            }
            _ => return,
        };
        let homes = self.shared.homes().unwrap_or_default();
        if let Some(home) = homes.into_iter().find(|known| known.id == home) {
            self.round.failed.insert(home.url, why);
        }
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in &events {
            if let Event::Warning(text) = event
                && self.round.warnings.len() < WARNINGS_MAX
                && !self.round.warnings.contains(text)
            {
                self.round.warnings.push(text.clone());
            }
        }
        self.shared.tell(events);
    }
}
