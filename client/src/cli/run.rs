//! From a command line to an exit code: what is read here and now (standard input, environment, working directory), and
//! then the owner of the store: this process, or the one that has it open.

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{
    access,
    args::{AccessArgs, Cli, Command, HomeCommand, InitArgs},
    commands::{self, Failure, TEXT_BYTES_MAX, check_text, exit},
};
use crate::{
    agent::{Ending, Engine, Guest, Handler, Printer, Request, Server, Stop, Terminal, Visit, now, rng},
    core::{Client, ClientError, NewHome, check_name},
    demo,
    home::Patience,
    store::{SledStore, StoreError, StoreKey},
};

/// How long to look for the owner of a store that is locked: an owner that starts or stops is found within a second.
const OWNER_WAIT: Duration = Duration::from_secs(30);

/// Pauses between two looks.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(10);
/// See [`LOOK_PAUSE_MIN`].
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no error; clap knows.
            let _unheard = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (runtime, (terminal, printer)) = match (runtime, Terminal::start()) {
        (Ok(runtime), Ok(terminal)) => (runtime, terminal),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime.block_on(run(cli, printer));
    // What still runs (a stream, a call that nobody waits for) holds nothing that must be finished.
    runtime.shutdown_background();
    terminal.finish();
    ExitCode::from(code)
}

/// Logs to stderr what `GRIOT_LOG` asks for, and nothing where it is not set.
fn start_log() {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("GRIOT_LOG") else { return };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _set_before = log.try_init();
}

async fn run(cli: Cli, printer: Printer) -> u8 {
    let outcome = async {
        if cli.command == Command::Demo {
            return Ok(demo::run(&printer).await);
        }
        let home = match cli.home {
            Some(home) => home,
            None => default_home()?,
        };
        let command = prepare(cli.command)?;
        match command {
            Command::Init(args) => init(&home, args, &printer).await,
            command => find_owner(&home, command, &printer).await,
        }
    };
    match outcome.await {
        Ok(code) => code,
        Err(failure) => {
            let _unheard = printer.err(format!("error: {}", commands::words(&failure))).await;
            failure.exit_code()
        }
    }
}

fn default_home() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("GRIOT_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share/griot-client")))
        .ok_or_else(|| Failure::Usage("neither GRIOT_HOME nor HOME is set: say where with --home DIR".to_owned()))
}

/// Reads what belongs to this process and not to the owner: standard input, environment, working directory.
fn prepare(command: Command) -> Result<Command, Failure> {
    Ok(match command {
        Command::Init(mut args) => {
            check_name(&args.name).map_err(|e| Failure::Usage(e.to_string()))?;
            with_env_token(&args.nodes, &mut args.access);
            access::pair(&args.nodes, &args.access).map_err(Failure::Usage)?;
            Command::Init(args)
        }
        Command::Home { action: HomeCommand::Add { url, mut access } } => {
            with_env_token(std::slice::from_ref(&url), &mut access);
            let homes = access::pair(&[url], &access).map_err(Failure::Usage)?;
            let url = homes.into_iter().map(|home| home.url).next().unwrap_or_default();
            Command::Home { action: HomeCommand::Add { url, access } }
        }
        Command::Home { action: HomeCommand::Remove { url } } => {
            let url = access::normal_url(&url).unwrap_or(url);
            Command::Home { action: HomeCommand::Remove { url } }
        }
        Command::Send(mut args) => {
            if args.text == "-" {
                args.text = read_stdin()?;
            }
            check_text(&args.text)?;
            if args.text.is_empty() {
                return Err(Failure::Usage("there is nothing to send: the text is empty".to_owned()));
            }
            Command::Send(args)
        }
        other => other,
    })
}

/// `GRIOT_TOKEN` stands for `--token` where a home can have one.
fn with_env_token(urls: &[String], access: &mut AccessArgs) {
    let wants_one = urls.iter().any(|url| !url.trim_start().starts_with("unix:"));
    let token = std::env::var("GRIOT_TOKEN").ok().filter(|token| !token.is_empty());
    if let Some(token) = token
        && access.tokens.is_empty()
        && wants_one
    {
        access.tokens.push(token);
    }
}

fn read_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::Other(format!("cannot read standard input: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Other("standard input is not UTF-8 text".to_owned()))?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

/// What opens the store: found out once, at the first try to open it.
fn key(home: &Path) -> Result<StoreKey, Failure> {
    match SledStore::wants_passphrase(home).map_err(ClientError::from)? {
        None => Err(Failure::Other(format!(
            "there is no account in {}: make one with `griot init --name NAME --node URL`, or say where it is with --home",
            home.display()
        ))),
        Some(false) => Ok(StoreKey::KeyFile),
        Some(true) => match env_passphrase()? {
            Some(passphrase) => Ok(StoreKey::Passphrase(passphrase)),
            None if std::io::stdin().is_terminal() => Ok(StoreKey::Passphrase(ask_passphrase("Passphrase: ")?)),
            None => Err(Failure::Other("this account is locked with a passphrase: set GRIOT_PASSPHRASE".to_owned())),
        },
    }
}

/// What a new store will be opened with.
fn new_key() -> Result<StoreKey, Failure> {
    if let Some(passphrase) = env_passphrase()? {
        return Ok(StoreKey::Passphrase(passphrase));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(StoreKey::KeyFile);
    }
    let first = ask_passphrase("A passphrase for this account (empty: a key file beside it): ")?;
    if first.is_empty() {
        return Ok(StoreKey::KeyFile);
    }
    if *ask_passphrase("The same again: ")? != *first {
        return Err(Failure::Other("the two passphrases differ: nothing was made; try again".to_owned()));
    }
    Ok(StoreKey::Passphrase(first))
}

/// `GRIOT_PASSPHRASE`, where it is set and not empty. One that cannot be read is never taken for none: the account would
/// be made without the lock that its owner asked for.
fn env_passphrase() -> Result<Option<Zeroizing<String>>, Failure> {
    match std::env::var("GRIOT_PASSPHRASE") {
        Ok(text) => Ok(Some(Zeroizing::new(text)).filter(|text| !text.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::Usage("GRIOT_PASSPHRASE is not UTF-8 text: choose another passphrase".to_owned()))
        }
    }
}

fn ask_passphrase(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let read = rpassword::prompt_password(prompt);
    read.map(Zeroizing::new).map_err(|e| Failure::Other(format!("cannot read the passphrase: {e}")))
}

/// Makes an account. Account and homes are one commit: killed at any moment, there is all of it or nothing.
async fn init(home: &Path, args: InitArgs, printer: &Printer) -> Result<u8, Failure> {
    let homes = access::pair(&args.nodes, &args.access).map_err(Failure::Usage)?;
    let account = create(home, &args.name, &homes)?;
    let engine = Engine::start(account, Patience::COMMAND);
    let round = engine.greet().await;
    for (home, why) in &round.failed {
        printer.err(format!("warning: home {home}: {why}")).await?;
    }
    if let Some(why) = round.broken {
        return Err(Failure::Other(why));
    }
    let name = super::text::safe_line(&args.name);
    printer.err(format!("{name}'s account is in {}.", home.display())).await?;
    let next = if round.failed.len() < homes.len() {
        "Next: `griot invite` prints a link to give to somebody; `griot connect LINK` uses one."
    } else {
        "No home is ready yet; the warning says why. Once the node runs, `griot status` tells; where token or fingerprint \
         are wrong, `griot home remove URL` and add it again with the right ones."
    };
    printer.err(next).await?;
    Ok(exit::DONE)
}

/// A new account, in a new store or in the empty one that an `init` killed half-way left.
fn create(home: &Path, name: &str, homes: &[NewHome]) -> Result<Client<SledStore>, Failure> {
    let store = if SledStore::wants_passphrase(home).map_err(ClientError::from)?.is_none() {
        SledStore::create(home, &new_key()?)
    } else {
        SledStore::open(home, &key(home)?)
    };
    let store = match store {
        // Somebody works with the account, so there is one.
        Err(StoreError::Locked(_)) => return Err(ClientError::AccountExists.into()),
        other => other.map_err(ClientError::from)?,
    };
    let rng = rng().map_err(|e| Failure::Other(e.to_string()))?;
    Ok(Client::create_with_homes(store, Box::new(rng), now(), name, homes)?)
}

/// Hands the command to whoever has the store open, or opens it.
async fn find_owner(home: &Path, command: Command, printer: &Printer) -> Result<u8, Failure> {
    let command = serde_json::to_value(&command).map_err(|e| Failure::Other(e.to_string()))?;
    let mut request = Request { command, mark: None };
    let mut key_once = None;
    let mut deadline = Instant::now() + OWNER_WAIT;
    let mut pause = LOOK_PAUSE_MIN;
    loop {
        if let Some(guest) = Guest::knock(home).await {
            match guest.visit(&mut request, printer).await {
                Visit::Ended(code) => return Ok(code),
                Visit::OwnerLeft if request.mark.is_none() && !is_repeatable(&request)? => {
                    return Err(Failure::Other(
                        "the griot that had this account open was killed while it worked on this: \
                         look whether it was done (griot sent, griot contacts) before you try again"
                            .to_owned(),
                    ));
                }
                Visit::OtherVersion(version) => {
                    return Err(Failure::Other(format!(
                        "a griot of another version ({version}) has this account open: end it, then try again"
                    )));
                }
                // An owner was there, so there is hope again.
                Visit::OwnerLeft => deadline = Instant::now() + OWNER_WAIT,
                Visit::NotBegun => {}
            }
        }
        let key = match &key_once {
            Some(key) => key,
            None => key_once.insert(key(home)?),
        };
        match SledStore::open(home, key) {
            Ok(store) => {
                let random = rng().map_err(|e| Failure::Other(e.to_string()))?;
                let account = Client::open(store, Box::new(random), now())?;
                return Ok(own(home, account, request, printer.clone()).await);
            }
            Err(StoreError::Locked(_)) if Instant::now() < deadline => {}
            Err(StoreError::Locked(_)) => {
                return Err(Failure::Other(format!(
                    "another process has {} open and does not answer: end it, then try again",
                    home.display()
                )));
            }
            Err(error) => return Err(ClientError::from(error).into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_PAUSE_MAX);
    }
}

/// Whether a command that may have been done can simply be done again: it only shows.
fn is_repeatable(request: &Request) -> Result<bool, Failure> {
    let command = serde_json::from_value(request.command.clone()).map_err(|e| Failure::Other(e.to_string()))?;
    Ok(match command {
        Command::Requests { .. }
        | Command::Contacts { .. }
        | Command::Safety { .. }
        | Command::Sent { .. }
        | Command::Inbox(_)
        | Command::Status { .. }
        | Command::Home { action: HomeCommand::List { .. } } => true,
        Command::Invite(args) => matches!(args.action, Some(super::args::InviteCommand::List { .. })),
        _ => false,
    })
}

/// Runs the command with the store open, and other processes' commands beside it.
async fn own(home: &Path, account: Client<SledStore>, request: Request, printer: Printer) -> u8 {
    let engine = Arc::new(Engine::start(account, Patience::COMMAND));
    let (go, stop) = Stop::channel();
    let shared = engine.clone();
    let handler: Handler =
        Arc::new(move |request, printer, stop| Box::pin(commands::run(shared.clone(), request, printer, stop)));
    let serving = match Server::bind(home) {
        Ok(server) => Some(tokio::spawn(server.serve(handler, stop))),
        Err(error) => {
            // Not every file system has sockets. This command works all the same; others wait until it has ended.
            tracing::debug!(%error, "no agent socket");
            None
        }
    };
    // Nobody tells the owner's own command to move.
    let (_never, own_stop) = Stop::channel();
    let code = tokio::select! {
        ending = commands::run(engine, request, printer, own_stop) => match ending {
            Ending::Exit(code) => code,
            Ending::Moved => exit::FAILED,
        },
        code = interrupted() => code,
    };
    let _no_receiver = go.send(true);
    if let Some(serving) = serving {
        let _panicked = serving.await;
    }
    code
}

/// Returns when the process is asked to end: 128 and the signal's number, as shells say it.
async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};

    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => 130,
        () = wait(SignalKind::terminate()) => 143,
        () = wait(SignalKind::hangup()) => 129,
    }
}
