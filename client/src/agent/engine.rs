//! The engine: drives one account's core against its homes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use griot_protocol::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};

use super::{live, pump};
use crate::{
    core::{Client, ClientError, Event, Home, HomeId, Outcome, Work},
    home::{HomeCalls, HomeError, OverHttp, Patience, Reach},
    store::Store,
};

/// The account's core, over whichever store it is kept in.
pub type Account = Client<Box<dyn Store>>;

/// Events that a slow listener may be behind before it is told to look for itself.
const EVENTS_MAX: usize = 1024;

/// Requests to the pump that wait.
const REQUESTS_MAX: usize = 64;

/// How long a command waits for everything to be fetched and sent: silent homes are given up far earlier, so this ends
/// only the wait for one that talks without end. What is left goes on with the next command.
const SYNC_MAX: Duration = Duration::from_secs(20);

/// What came of a round of fetching and sending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Homes that did not answer, or refused, by address, and why.
    pub failed: BTreeMap<String, String>,
    /// What the core warns of.
    pub warnings: Vec<String>,
    /// The store failed, and why.
    pub broken: Option<String>,
}

/// An account at work. Ends its tasks when it is dropped.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    requests: mpsc::Sender<pump::Request>,
    pump: JoinHandle<()>,
    live: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.pump.abort();
        if let Some(live) = lock(&self.live).take() {
            live.abort();
        }
    }
}

/// A home as it was when the way there was made, and that way.
type Known = (Home, Arc<dyn HomeCalls>);

/// What the engine's tasks share.
pub(super) struct Shared {
    account: Mutex<Account>,
    reach: Arc<dyn Reach>,
    clients: Mutex<BTreeMap<HomeId, Known>>,
    events: broadcast::Sender<Event>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(…)")
    }
}

/// The time as the core wants it.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// A random source for the core, seeded by the operating system.
///
/// # Errors
/// The system gives no random bytes.
pub fn rng() -> Result<StdRng, std::io::Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(StdRng::from_seed(*seed))
}

impl Engine {
    /// Sets an account to work, with homes over HTTP. Must be called within a tokio runtime.
    #[must_use]
    pub fn start<S: Store + 'static>(account: Client<S>, patience: Patience) -> Self {
        Self::start_with(account, Arc::new(OverHttp(patience)))
    }

    /// Sets an account to work, with homes that are reached in this way. Must be called within a tokio runtime.
    #[must_use]
    pub fn start_with<S: Store + 'static>(account: Client<S>, reach: Arc<dyn Reach>) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let account = Mutex::new(account.boxed());
        let shared = Arc::new(Shared { account, reach, clients: Mutex::default(), events });
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let pump = tokio::spawn(pump::run(shared.clone(), inbox));
        Self { shared, requests, pump, live: Mutex::new(None) }
    }

    /// Ends the tasks and closes the store.
    pub async fn close(mut self) {
        self.pump.abort();
        let _aborted = (&mut self.pump).await;
        let live = lock(&self.live).take();
        if let Some(live) = live {
            live.abort();
            let _aborted = live.await;
        }
    }

    /// Asks or changes the account, for a moment.
    pub fn with<T>(&self, f: impl FnOnce(&mut Account) -> T) -> T {
        f(&mut self.shared.account())
    }

    /// What the account's events are from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Fetches what waits at all homes, submits what is queued, and asks after what is under way. Homes that were
    /// silent a moment ago are tried again.
    pub async fn sync(&self) -> Round {
        self.round(pump::Scope::Again).await
    }

    /// As [`Engine::sync`], and greets every home first, so that the account knows which of them answer.
    pub async fn greet(&self) -> Round {
        self.round(pump::Scope::Greet).await
    }

    /// Sends what is queued. Homes that were silent a moment ago are left alone.
    pub async fn push(&self) -> Round {
        self.round(pump::Scope::New).await
    }

    async fn round(&self, scope: pump::Scope) -> Round {
        let (reply, answer) = oneshot::channel();
        let closed = || Round { broken: Some("the engine has stopped".to_owned()), ..Round::default() };
        if self.requests.send(pump::Request::Round { scope, reply }).await.is_err() {
            return closed();
        }
        match tokio::time::timeout(SYNC_MAX, answer).await {
            Ok(Ok(round)) => round,
            Ok(Err(_)) => closed(),
            Err(_) => Round {
                warnings: vec!["the homes have more to say than fits one command: run it again".to_owned()],
                ..Round::default()
            },
        }
    }

    /// From now on, has homes tell at once what is new, and polls those that cannot.
    pub fn go_live(&self) {
        let mut live = lock(&self.live);
        if live.is_none() {
            *live = Some(tokio::spawn(live::run(self.shared.clone(), self.requests.clone())));
        }
    }
}

impl Shared {
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    /// Tells whoever listens.
    pub(super) fn tell(&self, events: Vec<Event>) {
        for event in events {
            // Nobody listens while a command runs that shows no events.
            let _nobody = self.events.send(event);
        }
    }

    /// The account's homes.
    pub(super) fn homes(&self) -> Result<Vec<Home>, ClientError> {
        Ok(self.account().homes()?.into_iter().map(|(home, _)| home).collect())
    }

    /// The client of a home, made when it is first asked for and again when the home's settings changed.
    pub(super) fn client(&self, id: HomeId) -> Result<Arc<dyn HomeCalls>, HomeError> {
        let unknown = || HomeError::Unreachable("it is no home of this account any more".to_owned());
        let homes = self.homes().map_err(|e| HomeError::Unreachable(e.to_string()))?;
        let home = homes.into_iter().find(|home| home.id == id).ok_or_else(unknown)?;
        let mut clients = lock(&self.clients);
        if let Some((known, client)) = clients.get(&id)
            && *known == home
        {
            return Ok(client.clone());
        }
        let client = self.reach.home(&home)?;
        clients.insert(id, (home, client.clone()));
        Ok(client)
    }

    /// Does one piece of work.
    pub(super) async fn perform(&self, work: &Work) -> Outcome {
        match self.try_perform(work).await {
            Ok(outcome) => outcome,
            Err(error) => error.into_outcome(),
        }
    }

    async fn try_perform(&self, work: &Work) -> Result<Outcome, HomeError> {
        let client = self.client(work.home())?;
        Ok(match work {
            Work::Greet { .. } => Outcome::Greeted(client.greet().await?),
            Work::Register { home, address } => {
                let (node, nonce) = client.nonce().await?;
                let body = self.account().registration(now(), *home, *address, node, nonce).map_err(own_fault)?;
                let result = client.register(address, &body).await;
                if result.is_err() {
                    client.forget_nonces();
                }
                Outcome::Registered(result?.cursor)
            }
            Work::Unregister { home, address } => {
                let (node, nonce) = client.nonce().await?;
                let body = self.account().unregistration(*home, *address, node, nonce).map_err(own_fault)?;
                let result = client.unregister(address, &body).await;
                if result.is_err() {
                    client.forget_nonces();
                }
                result?;
                Outcome::Unregistered
            }
            Work::Submit { id, frame, .. } => {
                let accepted = client.submit(frame.clone()).await?;
                if accepted.id != *id {
                    return Err(HomeError::NotANode(
                        "it confirmed another record than the one it was given".to_owned(),
                    ));
                }
                Outcome::Accepted(accepted)
            }
            Work::Fetch { address, after, .. } => {
                let page = client.fetch(address, *after).await?;
                Outcome::Page { entries: page.entries, more: page.more }
            }
            Work::Ask { id, .. } => Outcome::Status(client.status(id).await?),
        })
    }
}

/// The core will not sign what this home asks for: it is another node than before, or the mailbox has just gone.
fn own_fault(error: ClientError) -> HomeError {
    HomeError::Unreachable(error.to_string())
}

/// Locks; the core's transactions are whole or not at all, so a panic elsewhere leaves nothing half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
