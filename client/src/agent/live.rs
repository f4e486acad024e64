//! Live: each home tells at once what is new, over its stream.
//!
//! A stream only makes things earlier. Whatever it brings is given to the core as if it had been fetched; whatever it
//! loses, the core's own polling fetches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use griot_protocol::{
    Address, RecordId,
    api::{StreamEvent, StreamRequest},
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    engine::{Shared, now},
    pump::Request,
};
use crate::{
    core::{HomeId, Outcome, Work},
    home::{HomeError, HomeNews, StreamItem},
};

/// The first pause before a lost stream is opened again, then doubled.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// How often homes, mailboxes and records are compared with what is streamed.
const COMPARE_EVERY: Duration = Duration::from_millis(500);

/// Ends its task when it is dropped.
struct Streaming(JoinHandle<()>);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps a stream to every home, until the engine ends.
pub(super) async fn run(shared: Arc<Shared>, pump: mpsc::Sender<Request>) {
    let mut streams: BTreeMap<HomeId, Streaming> = BTreeMap::new();
    loop {
        let homes: BTreeSet<HomeId> = shared.homes().unwrap_or_default().into_iter().map(|home| home.id).collect();
        streams.retain(|id, _| homes.contains(id));
        for id in homes {
            streams
                .entry(id)
                .or_insert_with(|| Streaming(tokio::spawn(keep_streaming(id, shared.clone(), pump.clone()))));
        }
        if pump.send(Request::Nudge).await.is_err() {
            return;
        }
        sleep(COMPARE_EVERY).await;
    }
}

async fn keep_streaming(home: HomeId, shared: Arc<Shared>, pump: mpsc::Sender<Request>) {
    let mut pause = PAUSE_MIN;
    loop {
        let mut session = Session::new(home, shared.clone(), pump.clone());
        let error = session.run().await;
        tracing::debug!(home = home.0, %error, "the stream ended");
        if session.was_live {
            pause = PAUSE_MIN;
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Between half and all of it, so that a node that starts again does not meet everybody at once.
fn jittered(pause: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + (pause / 2).mul_f64(f64::from(part) / f64::from(u32::MAX))
}

/// One stream's life.
struct Session {
    home: HomeId,
    shared: Arc<Shared>,
    pump: mpsc::Sender<Request>,
    subscribed: BTreeSet<Address>,
    watched: BTreeSet<RecordId>,
    live: BTreeSet<Address>,
    was_live: bool,
}

impl Session {
    const fn new(home: HomeId, shared: Arc<Shared>, pump: mpsc::Sender<Request>) -> Self {
        Self {
            home,
            shared,
            pump,
            subscribed: BTreeSet::new(),
            watched: BTreeSet::new(),
            live: BTreeSet::new(),
            was_live: false,
        }
    }

    /// Streams until it fails.
    async fn run(&mut self) -> HomeError {
        let opened = match self.shared.client(self.home) {
            Ok(client) => client.stream().await,
            Err(error) => Err(error),
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let mut compare = tokio::time::interval(COMPARE_EVERY);
        loop {
            // In this order and not by chance: a run in virtual time must be one that can be repeated. Ticks are too rare
            // to keep anything waiting.
            let result = tokio::select! {
                biased;
                _ = compare.tick() => self.compare(&mut *stream).await,
                item = stream.next() => match item {
                    Ok(item) => self.take(item).await,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                return error;
            }
        }
    }

    /// Subscribes to what is new, and leaves what is gone.
    async fn compare(&mut self, stream: &mut dyn HomeNews) -> Result<(), HomeError> {
        for request in self.requests(&*stream) {
            stream.send(&request).await?;
        }
        Ok(())
    }

    fn requests(&mut self, stream: &dyn HomeNews) -> Vec<StreamRequest> {
        let mut account = self.shared.account();
        let mut requests = Vec::new();
        let wanted: BTreeSet<Address> = account.subscriptions(self.home).unwrap_or_default().into_iter().collect();
        for address in &self.subscribed - &wanted {
            requests.push(StreamRequest::Unsubscribe { address });
        }
        for address in &wanted - &self.subscribed {
            match account.subscribe(self.home, address, stream.node(), stream.nonce()) {
                Ok(request) => requests.push(request),
                Err(error) => tracing::debug!(%error, "no subscription"),
            }
        }
        self.subscribed = wanted;
        let watched: BTreeSet<RecordId> = account.watches(self.home).unwrap_or_default().into_iter().collect();
        requests.extend((&watched - &self.watched).into_iter().map(|id| StreamRequest::Watch { id }));
        self.watched = watched;
        requests
    }

    async fn take(&mut self, item: StreamItem) -> Result<(), HomeError> {
        let home = self.home;
        match item {
            StreamItem::Envelope { address, cursor, frame } => {
                let more = !self.live.contains(&address);
                let work = Work::Fetch { home, address, after: None };
                let outcome = Outcome::Page { entries: vec![(cursor, frame)], more };
                let result = self.shared.account().done(now(), work, outcome);
                match result {
                    Ok(events) => self.shared.tell(events),
                    Err(error) => tracing::debug!(%error, "a streamed envelope was not taken"),
                }
                self.ask_pump(Request::Nudge).await
            }
            StreamItem::Event(StreamEvent::Live { address }) => {
                self.was_live = true;
                self.live.insert(address);
                Ok(())
            }
            StreamItem::Event(StreamEvent::Status { id }) => self.ask_pump(Request::Do(Work::Ask { home, id })).await,
            StreamItem::Event(StreamEvent::Refused { detail, .. }) => {
                tracing::debug!(%detail, "the home refused to stream");
                Ok(())
            }
            StreamItem::Event(_) => Ok(()),
        }
    }

    async fn ask_pump(&self, request: Request) -> Result<(), HomeError> {
        let ended = |_| HomeError::Unreachable("the engine has stopped".to_owned());
        self.pump.send(request).await.map_err(ended)
    }
}
