//! The commands themselves. They run in the store's owner, for its own terminal or for another process: all they know
//! of either is where lines go ([`Printer`]).

mod homes;
mod messages;
mod people;

pub(super) use messages::{TEXT_BYTES_MAX, check_text};

use std::sync::Arc;

use serde::Serialize;

use super::args::Command;
use crate::{
    agent::{Ending, Engine, Gone, Printer, Request, Round, Stop},
    core::ClientError,
    store::StoreError,
};

/// Exit codes of the design.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// It failed, and trying the same again will probably fail too.
    pub const FAILED: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// The time to wait ran out; what was queued stays queued.
    pub const TIMED_OUT: u8 = 3;
}

/// Why a command ends early.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    /// The core refused.
    #[error(transparent)]
    Core(#[from] ClientError),
    /// Something else, in words that say what to do.
    #[error("{0}")]
    Other(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Waited long enough.
    #[error("{0}")]
    TimedOut(String),
    /// Nobody reads the output: no failure at all.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// How a command ended, or why it failed.
pub(super) type Outcome = Result<Ending, Failure>;

/// [`Ending::Exit`] with code 0.
pub(super) const DONE: Outcome = Ok(Ending::Exit(exit::DONE));

/// What a command has at hand.
pub(super) struct Context {
    pub engine: Arc<Engine>,
    pub printer: Printer,
    pub stop: Stop,
    pub mark: Option<serde_json::Value>,
}

/// Runs one command to its end.
pub async fn run(engine: Arc<Engine>, request: Request, printer: Printer, stop: Stop) -> Ending {
    let context = Context { engine, printer, stop, mark: request.mark };
    let outcome = match serde_json::from_value(request.command) {
        Ok(command) => context.dispatch(command).await,
        Err(error) => Err(Failure::Other(format!("the running griot does not know this command: {error}"))),
    };
    let (code, words) = match outcome {
        Ok(ending) => return ending,
        Err(Failure::Gone(_)) => return Ending::Exit(exit::DONE),
        Err(failure) => (failure.exit_code(), words(&failure)),
    };
    // Where nobody hears it, the code still tells.
    let _unheard = context.printer.err(format!("error: {words}")).await;
    Ending::Exit(code)
}

impl Failure {
    pub(in crate::cli) const fn exit_code(&self) -> u8 {
        match self {
            Self::Core(_) | Self::Other(_) => exit::FAILED,
            Self::Usage(_) => exit::USAGE,
            Self::TimedOut(_) => exit::TIMED_OUT,
            Self::Gone(_) => exit::DONE,
        }
    }
}

/// What went wrong, and where the core cannot know it, the command that helps.
pub(in crate::cli) fn words(failure: &Failure) -> String {
    let text = super::text::safe(&failure.to_string());
    let Failure::Core(error) = failure else { return text };
    let help = match error {
        ClientError::AccountExists => "use it, or choose another place with --home DIR",
        ClientError::Store(StoreError::WrongKey) => {
            "check GRIOT_PASSPHRASE, or the file `key` beside the account; nothing else opens it"
        }
        ClientError::NoSuchContact(_) => "`griot contacts` lists them",
        ClientError::NoSuchRequest => "`griot requests` lists who asks",
        ClientError::NoSuchInvite => "`griot invite list` lists them",
        ClientError::NoSuchHome => "`griot home list` lists them",
        ClientError::HomeExists => "`griot home remove URL` first, where you want to change how it is reached",
        ClientError::TooManyHomes => "`griot home remove URL` makes room",
        ClientError::TooManyInvites => "`griot invite list` shows them, `griot invite revoke ID` ends one",
        ClientError::NoSuchMessage => "`griot inbox --json` and `griot sent --json` show ids",
        ClientError::Pending(_) => "`griot contacts` shows when they have",
        ClientError::Blocked(_) => "`griot unblock WHO` does that",
        ClientError::OtherNetwork { .. } => "ask for one made on yours, or make an account on theirs with --home DIR",
        ClientError::TooLarge { .. } => "send it in parts",
        ClientError::Record(_) => "is the clock of this machine right?",
        ClientError::Damaged(_) => "restore a copy of the account's folder; nothing was changed",
        _ => return text,
    };
    format!("{text}: {help}")
}

impl Context {
    async fn dispatch(&self, command: Command) -> Outcome {
        match command {
            Command::Init(_) => Err(ClientError::AccountExists.into()),
            Command::Demo => Err(Failure::Other("the demo runs by itself".to_owned())),
            Command::Invite(args) => self.invite(args).await,
            Command::Connect { link, message } => self.connect(&link, message.as_deref()).await,
            Command::Requests { json } => self.requests(json).await,
            Command::Accept { id } => self.accept(&id).await,
            Command::Decline { id } => self.decline(&id).await,
            Command::Contacts { json } => self.contacts(json).await,
            Command::Block { who } => self.block(&who).await,
            Command::Unblock { who } => self.unblock(&who).await,
            Command::Safety { who } => self.safety(&who).await,
            Command::Send(args) => self.send(args).await,
            Command::Sent { who, json } => self.sent(who.as_deref(), json).await,
            Command::Inbox(args) => self.inbox(args).await,
            Command::Home { action } => self.home(action).await,
            Command::Status { json } => self.status(json).await,
        }
    }

    /// Fetches and sends, and tells of homes that do not answer.
    pub(super) async fn sync(&self) -> Result<Round, Failure> {
        let round = self.engine.sync().await;
        self.tell(&round).await?;
        self.warn_of_no_home().await?;
        Ok(round)
    }

    /// The same, and greets every home.
    pub(super) async fn greet(&self) -> Result<Round, Failure> {
        let round = self.engine.greet().await;
        self.tell(&round).await?;
        self.warn_of_no_home().await?;
        Ok(round)
    }

    /// Without a home nothing comes and nothing goes, and no home is there to say so.
    pub(super) async fn warn_of_no_home(&self) -> Result<(), Failure> {
        if self.engine.with(|account| account.homes())?.is_empty() {
            let line = "warning: this account has no home: nothing comes or goes. `griot home add URL` adds one";
            self.printer.err(line).await?;
        }
        Ok(())
    }

    /// Sends what a command has queued.
    pub(super) async fn push(&self) -> Result<Round, Failure> {
        let round = self.engine.push().await;
        self.tell(&round).await?;
        Ok(round)
    }

    pub(super) async fn tell(&self, round: &Round) -> Result<(), Failure> {
        if let Some(why) = &round.broken {
            return Err(Failure::Other(why.clone()));
        }
        for (home, why) in &round.failed {
            let line = format!("warning: home {home}: {why}");
            self.printer.err(super::text::safe(&line)).await?;
        }
        // The core's word on a home that is silent would be said twice.
        let about_homes = |text: &&String| !round.failed.keys().any(|home| text.contains(home.as_str()));
        for warning in round.warnings.iter().filter(about_homes) {
            self.printer.err(format!("warning: {}", super::text::safe(warning))).await?;
        }
        Ok(())
    }

    /// Prints an object on one line.
    pub(super) async fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(|e| Failure::Other(e.to_string()))?;
        Ok(self.printer.out(line).await?)
    }

    /// Prints objects, one a line, or a table; for people, `none` where there are no rows.
    pub(super) async fn list<T: Serialize>(
        &self,
        json: bool,
        items: &[T],
        head: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        none: &str,
    ) -> Result<(), Failure> {
        if json {
            for item in items {
                self.json(item).await?;
            }
        } else if items.is_empty() {
            self.printer.err(none).await?;
        } else {
            let rows: Vec<Vec<String>> = items.iter().map(row).collect();
            self.printer.out(super::text::table(head, &rows).join("\n")).await?;
        }
        Ok(())
    }
}
