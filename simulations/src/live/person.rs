//! One person: a `--home` of the `griot` command line.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use griot_client::core::{ContactInfo, InboxMessage, RequestInfo, SendState, SentMessage};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{LiveError, binaries};

/// A person with a home folder of their own.
#[derive(Debug)]
pub struct Person {
    dir: TempDir,
}

impl Person {
    /// `griot init`.
    ///
    /// # Errors
    /// It failed.
    pub fn init(name: &str, nodes: &[String]) -> Result<Self, LiveError> {
        let person = Self::uninitialised()?;
        let mut args = vec!["init", "--name", name];
        for node in nodes {
            args.extend(["--node", node]);
        }
        person.run(&args)?;
        Ok(person)
    }

    /// A person who has not run `griot init` yet.
    ///
    /// # Errors
    /// There is no room for a home.
    pub fn uninitialised() -> Result<Self, LiveError> {
        let dir = TempDir::with_prefix("griot-home-").map_err(LiveError::io("making a home"))?;
        Ok(Self { dir })
    }

    /// The `--home`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A command, ready to be started.
    ///
    /// # Errors
    /// `griot` is not built.
    pub fn command(&self, args: &[&str]) -> Result<Command, LiveError> {
        let mut command = Command::new(binaries::find("griot")?);
        command.arg("--home").arg(self.home()).args(args).stdin(Stdio::null()).env_remove("GRIOT_PASSPHRASE");
        Ok(command)
    }

    /// Runs `griot --home … ARGS` to its end, whatever that is.
    ///
    /// # Errors
    /// It could not be started.
    pub fn output(&self, args: &[&str]) -> Result<Output, LiveError> {
        self.command(args)?.output().map_err(LiveError::io("running griot"))
    }

    /// Runs `griot --home … ARGS` and gives its standard output.
    ///
    /// # Errors
    /// It ended with an error, which is in the message.
    pub fn run(&self, args: &[&str]) -> Result<String, LiveError> {
        let output = self.output(args)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(LiveError::Failed(format!("griot {args:?} ended with {}: {}", output.status, text(&output.stderr))))
        }
    }

    /// Runs a command with `--json` and reads its objects.
    ///
    /// # Errors
    /// It failed, or printed something else.
    pub fn json<T: DeserializeOwned>(&self, args: &[&str]) -> Result<Vec<T>, LiveError> {
        let mut args = args.to_vec();
        args.push("--json");
        let output = self.run(&args)?;
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|error| LiveError::Failed(format!("{args:?}: {error}: {line}")))
        };
        output.lines().map(parse).collect()
    }

    /// Makes contact with `other`: invite, connect, accept.
    ///
    /// # Errors
    /// A step failed.
    pub fn befriend(&self, other: &Self) -> Result<(), LiveError> {
        let link = self.run(&["invite"])?;
        other.run(&["connect", link.trim(), "--message", "hello"])?;
        let request: RequestInfo = super::wait_for("the request", || {
            self.json::<RequestInfo>(&["requests"]).ok().and_then(|requests| requests.into_iter().next())
        })?;
        self.run(&["accept", &request.id])?;
        super::wait_for("the acceptance", || {
            let contacts = other.json::<ContactInfo>(&["contacts"]).ok()?;
            contacts.iter().any(|c| c.state == griot_client::core::ContactState::Connected).then_some(())
        })
    }

    /// `griot send`: returns the message's id once it is `wait`ed for.
    ///
    /// # Errors
    /// It failed or timed out.
    pub fn send(&self, to: &str, text: &str, wait: &str) -> Result<String, LiveError> {
        let sent: Vec<serde_json::Value> = self.json(&["send", to, text, "--wait", wait, "--timeout", "60"])?;
        let id = sent.first().and_then(|sent| sent["id"].as_str()).map(str::to_owned);
        id.ok_or_else(|| LiveError::Failed("send printed no id".to_owned()))
    }

    /// All messages received so far.
    ///
    /// # Errors
    /// It failed.
    pub fn inbox(&self) -> Result<Vec<InboxMessage>, LiveError> {
        self.json(&["inbox"])
    }

    /// Texts received so far, in order.
    ///
    /// # Errors
    /// It failed.
    pub fn texts(&self) -> Result<Vec<String>, LiveError> {
        let text = |message: &InboxMessage| message.content["text"].as_str().unwrap_or_default().to_owned();
        Ok(self.inbox()?.iter().map(text).collect())
    }

    /// The state of a sent message.
    ///
    /// # Errors
    /// It failed.
    pub fn state_of(&self, id: &str) -> Result<Option<SendState>, LiveError> {
        let sent: Vec<SentMessage> = self.json(&["sent"])?;
        Ok(sent.into_iter().find(|message| message.id == id).map(|message| message.state))
    }

    /// Starts a command in the background with its output piped.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(&self, args: &[&str]) -> Result<Child, LiveError> {
        self.command(args)?
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(LiveError::io("starting griot"))
    }

    /// Runs a command with `input` on its standard input.
    ///
    /// # Errors
    /// It could not be started or written to.
    pub fn with_input(&self, args: &[&str], input: &[u8]) -> Result<Output, LiveError> {
        let mut child = self
            .command(args)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(LiveError::io("starting griot"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that refuses early closes its input: its exit status says so, not this write.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output().map_err(LiveError::io("waiting for griot"))
    }
}
