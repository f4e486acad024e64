//! `griotd`'s command line: run a node, or speak to the one that runs.
//!
//! Commands that inspect or act reach the running node through `<data-dir>/api.sock`. With `--json`, stdout holds only
//! objects, one a line. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod args;
mod banner;
mod client;
mod doctor;
mod inspect;
mod offline;
mod status;
mod transfer;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, ConfigError, Layer, LogConfig, LogFormat},
    runtime,
};
pub use args::{Args, Bundle, Command, Flags, Member};

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// It was told something impossible.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    pub(crate) fn failed(what: impl std::fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap knows which of its answers are errors (2, stderr) and which are help (0, stdout).
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("griotd: {error}");
            match error {
                CliError::Failed(_) => ExitCode::FAILURE,
                CliError::Usage(_) => ExitCode::from(2),
            }
        }
    }
}

fn execute(args: Args) -> Result<(), CliError> {
    let command = args.command.unwrap_or(Command::Run);
    let config = Config::load(Layer::from(args.flags), |name| std::env::var(name).ok())?;
    let runtime = match command {
        Command::Run => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime =
        runtime.map_err(|error| CliError::failed(format!("the system refused to start a runtime: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Run => run(config).await,
            Command::Id => inspect::id(&config),
            Command::Status { json } => status::status(&config, json).await,
            Command::Peers { json } => inspect::peers(&config, json).await,
            Command::Member(Member::Add { label }) => inspect::add_member(&config, label).await,
            Command::Member(Member::List { json }) => inspect::members(&config, json).await,
            Command::Member(Member::Revoke { id }) => inspect::revoke_member(&config, &id).await,
            Command::Bundle(Bundle::Export { file }) => transfer::export(&config, &file).await,
            Command::Bundle(Bundle::Import { file }) => transfer::import(&config, &file).await,
            Command::Backup { file } => transfer::backup(&config, &file).await,
            Command::Restore { file } => transfer::restore(&config, &file).await,
            Command::Verify => transfer::verify(&config).await,
            Command::Doctor { json } => doctor::examine(&config, json).await,
        }
    })
}

async fn run(config: Config) -> Result<(), CliError> {
    start_logging(&config.log)?;
    let shown = config.clone();
    runtime::serve(config, move |service| banner::show(&shown, service)).await.map_err(CliError::failed)
}

fn start_logging(log: &LogConfig) -> Result<(), CliError> {
    // kad warns whenever it knows nobody yet, which is how every network begins; a directive of the operator's wins.
    let filter = EnvFilter::try_new(format!("libp2p_kad=error,{}", log.level))
        .map_err(|error| CliError::Usage(format!("log.level: `{}`: {error}", log.level)))?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(CliError::failed)
}
