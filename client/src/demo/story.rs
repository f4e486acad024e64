//! What happens in the demo, and what is said of it.

use std::{path::PathBuf, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    nodes::{Node, TempDir, find_griotd},
    search::search,
};
use crate::{
    agent::{Engine, Gone, Printer, now, rng},
    core::{Client, ClientError, InviteOptions, NewHome, SendState, SentMessage},
    home::{HomeError, Patience},
    store::{SledStore, StoreError, StoreKey},
};

/// How long any step may take before the demo says that it failed.
const STEP_MAX: Duration = Duration::from_secs(30);

/// How often a step is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The message.
const TEXT: &str = "The well is open again. Come at six, and bring the others.";

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error(
        "the demo needs griotd, and it is neither beside griot nor on PATH. Build both with\n  \
         cargo build --release -p griot-node -p griot-client\nand run target/release/griot demo"
    )]
    NoGriotd,
    #[error("node {name} {what}\n{log}")]
    Node { name: &'static str, what: String, log: String },
    #[error(transparent)]
    Core(#[from] ClientError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the store failed: {0}")]
    Broken(String),
    #[error("{0} did not happen within {max} s", max = STEP_MAX.as_secs())]
    TooSlow(&'static str),
    #[error("the message was not stored on the recipient's node, but on {0:?}")]
    StoredElsewhere(Vec<String>),
    #[error("the words of the message are readable in {0}, where nobody but Kofi should read them")]
    Readable(PathBuf),
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<StoreError> for DemoError {
    fn from(error: StoreError) -> Self {
        Self::Core(error.into())
    }
}

/// Somebody with an account.
struct Person {
    dir: PathBuf,
    engine: Engine,
}

impl Person {
    async fn new(dir: PathBuf, name: &str, home: &Node) -> Result<Self, DemoError> {
        let store = SledStore::create(&dir, &StoreKey::KeyFile)?;
        let home = NewHome { url: home.url.clone(), ..NewHome::default() };
        let account = Client::create_with_homes(store, Box::new(rng()?), now(), name, &[home])?;
        let engine = Engine::start(account, Patience::COMMAND);
        engine.sync().await;
        Ok(Self { dir, engine })
    }

    /// Closes everything; what is left is on the disk.
    async fn leave(self) -> PathBuf {
        self.engine.close().await;
        self.dir
    }

    async fn come_back(dir: PathBuf) -> Result<Self, DemoError> {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            match SledStore::open(&dir, &StoreKey::KeyFile) {
                Ok(store) => {
                    let account = Client::open(store, Box::new(rng()?), now())?;
                    return Ok(Self { dir, engine: Engine::start(account, Patience::COMMAND) });
                }
                // The last task of the engine before is just ending.
                Err(StoreError::Locked(_)) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fetches and sends until `look` finds what it looks for.
    async fn until<T>(
        &self,
        what: &'static str,
        mut look: impl FnMut(&Engine) -> Result<Option<T>, DemoError>,
    ) -> Result<T, DemoError> {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            if let Some(broken) = self.engine.sync().await.broken {
                return Err(DemoError::Broken(broken));
            }
            if let Some(found) = look(&self.engine)? {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                return Err(DemoError::TooSlow(what));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Tells the story while it happens.
pub(super) async fn tell(printer: &Printer) -> Result<(), DemoError> {
    let began = Instant::now();
    let griotd = find_griotd()?;
    // Declared first, so removed last: after the nodes that write into it.
    let dir = TempDir::new()?;

    printer.out("Three nodes in a row. A knows only B, C knows only B; A and C never meet.\n").await?;
    let mut a = Node::start(&griotd, &dir, "A", &[]).await?;
    let b = Node::start(&griotd, &dir, "B", &[&a]).await?;
    let c = Node::start(&griotd, &dir, "C", &[&b]).await?;
    a.until_connected(1).await?;
    b.until_connected(2).await?;
    c.until_connected(1).await?;
    printer.out("      Awa                                   Kofi").await?;
    printer.out("       |                                      |").await?;
    printer.out("    node A ────────── node B ────────── node C").await?;
    let pids = format!("    pid {:<14} pid {:<15} pid {}\n", a.pid(), b.pid(), c.pid());
    printer.out(pids).await?;

    let (awa, kofi, kofi_id) = meet(printer, &dir, &a, &c).await?;

    step(printer, 3, "Kofi goes away. His program is closed: nothing of his runs any more.").await?;
    let kofi_dir = kofi.leave().await;

    step(printer, 4, &format!("Awa writes to Kofi: \"{TEXT}\"")).await?;
    let message = write(printer, &awa, &kofi_id).await?;
    let c_id = c.info.node_id.to_string();
    if !message.stored_on.contains(&c_id) {
        return Err(DemoError::StoredElsewhere(message.stored_on));
    }
    say(printer, "stored    node C, which Kofi chose, signed a receipt: it is on its disk, too.").await?;

    step(printer, 5, &format!("Node A is killed (SIGKILL to {}): no farewell, no last words.", a.pid())).await?;
    a.kill();
    awa.leave().await;
    say(printer, "Awa's node is dead and her program closed. Only B and C are left.").await?;

    step(printer, 6, "Kofi comes back, and asks his node C.").await?;
    let kofi = Person::come_back(kofi_dir).await?;
    let read = kofi
        .until("reading the message", |engine| {
            let inbox = engine.with(|account| account.inbox(None, None))?;
            Ok(inbox.into_iter().find(|m| m.id == message.id && m.content["text"] == TEXT))
        })
        .await?;
    say(printer, &format!("{} wrote: \"{TEXT}\"", crate::cli::safe_line(&read.from))).await?;
    kofi.leave().await;

    step(printer, 7, "And the nodes? All their files are searched for the words of the message.").await?;
    show_blindness(printer, [&a, &b, &c].map(|node| dir.join(node.name))).await?;

    explain(printer, began.elapsed()).await
}

/// Awa and Kofi get accounts and become contacts. Returns Kofi's id among Awa's contacts.
async fn meet(printer: &Printer, dir: &TempDir, a: &Node, c: &Node) -> Result<(Person, Person, String), DemoError> {
    step(printer, 1, "Kofi makes an invite link and gives it to Awa, say on paper.").await?;
    let awa = Person::new(dir.join("awa"), "Awa", a).await?;
    let kofi = Person::new(dir.join("kofi"), "Kofi", c).await?;
    let invite = kofi.engine.with(|account| account.create_invite(now(), InviteOptions::default()))?;
    kofi.engine.push().await;
    let shown: String = invite.link.chars().take(48).collect();
    say(printer, &format!("{shown}…")).await?;

    step(printer, 2, "Awa asks for contact with it; Kofi accepts. Until he did, nobody could write to him.").await?;
    let (contact, _) = awa.engine.with(|account| account.connect(now(), &invite.link, Some("It is Awa")))?;
    awa.engine.push().await;
    let request =
        kofi.until("Awa's request", |engine| Ok(engine.with(|account| account.requests())?.into_iter().next())).await?;
    kofi.engine.with(|account| account.accept(now(), &request.id))?;
    kofi.engine.push().await;
    awa.until("Kofi's acceptance", |engine| {
        let contacts = engine.with(|account| account.contacts())?;
        let connected = |c: &&crate::core::ContactInfo| c.state == crate::core::ContactState::Connected;
        Ok(contacts.iter().find(connected).map(|_| ()))
    })
    .await?;
    let ours = awa.engine.with(|account| account.safety(&contact.id))?;
    let theirs_id = kofi.engine.with(|account| account.contacts())?.into_iter().next().map(|c| c.id);
    let theirs = kofi.engine.with(|account| account.safety(&theirs_id.unwrap_or_default()))?;
    if ours == theirs {
        say(printer, "Both see the same safety number: nobody stands in between.").await?;
    }
    Ok((awa, kofi, contact.id))
}

/// Awa writes; returns once the message is proven to be stored.
async fn write(printer: &Printer, awa: &Person, to: &str) -> Result<SentMessage, DemoError> {
    let content = json!({ "type": "text", "text": TEXT });
    let sent = awa.engine.with(|account| account.send(now(), to, content))?;
    awa.engine.push().await;
    let reached = |state: SendState| {
        let id = sent.id.clone();
        move |engine: &Engine| -> Result<Option<SentMessage>, DemoError> {
            let message = engine.with(|account| account.sent_one(&id))?;
            Ok((message.state >= state).then_some(message))
        }
    };
    awa.until("the message's acceptance", reached(SendState::Accepted)).await?;
    say(printer, "accepted  node A has it on its disk (synced, not in a buffer).").await?;
    awa.until("the message's storing", reached(SendState::Stored)).await
}

/// Searches the nodes' files.
async fn show_blindness(printer: &Printer, dirs: [PathBuf; 3]) -> Result<(), DemoError> {
    let searching = tokio::task::spawn_blocking(move || dirs.map(|dir| search(&dir, TEXT.as_bytes())));
    let all = searching.await.map_err(std::io::Error::other)?;
    let (mut files, mut bytes) = (0, 0);
    for one in all {
        let one = one?;
        if let Some(path) = one.found {
            return Err(DemoError::Readable(path));
        }
        files += one.files;
        bytes += one.bytes;
    }
    let megabytes = bytes / 1_000_000;
    say(printer, &format!("{files} files of A, B and C, {megabytes} MB: the words are in none of them.")).await
}

async fn explain(printer: &Printer, took: Duration) -> Result<(), DemoError> {
    let lines = format!(
        "\nIt worked, in {:.1} s, because\n  \
         · A handed the message to B, and B to C, before it died: no node is special, any path will do;\n  \
         · \"stored\" was no hope but a signature by the node that Kofi chose;\n  \
         · Awa's program sealed it, and only Kofi's opens it: the nodes carried noise, and were never told a name.\n\n\
         All of it is stopped and removed again. To have your own: `griotd` starts a node and says what to do next.",
        took.as_secs_f32()
    );
    Ok(printer.out(lines).await?)
}

async fn step(printer: &Printer, number: u8, text: &str) -> Result<(), DemoError> {
    Ok(printer.out(format!("{number}. {text}")).await?)
}

async fn say(printer: &Printer, text: &str) -> Result<(), DemoError> {
    Ok(printer.out(format!("     {text}")).await?)
}
