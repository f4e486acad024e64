//! Homes and the account at a glance.

use griot_protocol::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{Context, DONE, Failure, Outcome};
use crate::{
    cli::{access, args::HomeCommand, text},
    core::{ClientError, Home, HomeStatus},
};

/// A home as `griot home list --json` shows it. Its token is shown nowhere.
#[derive(Serialize)]
struct HomeLine {
    url: String,
    answers: bool,
    error: Option<String>,
    node_id: Option<griot_protocol::NodeId>,
    network: Option<String>,
    registered: u64,
    mailboxes: u64,
    answered_at: Option<Timestamp>,
    fingerprint: Option<String>,
}

impl HomeLine {
    fn of(home: Home, status: HomeStatus) -> Self {
        Self {
            url: home.url,
            answers: status.error.is_none() && status.answered_at.is_some(),
            error: status.error,
            node_id: status.node_id,
            network: status.network,
            registered: status.registered,
            mailboxes: status.mailboxes,
            answered_at: status.answered_at,
            fingerprint: home.fingerprint,
        }
    }

    fn state(&self) -> String {
        match &self.error {
            Some(error) if self.answered_at.is_some() => format!("refuses: {error}"),
            Some(error) => format!("does not answer: {error}"),
            None if self.answers => "answers".to_owned(),
            None => "not asked yet".to_owned(),
        }
    }

    fn row(&self) -> Vec<String> {
        let mailboxes = format!("{} of {}", self.registered, self.mailboxes);
        vec![self.url.clone(), mailboxes, self.network.clone().unwrap_or_default(), self.state()]
    }
}

const HEAD: [&str; 4] = ["HOME", "MAILBOXES", "NETWORK", "STATE"];

impl Context {
    pub(super) async fn home(&self, action: HomeCommand) -> Outcome {
        match action {
            HomeCommand::Add { url, access } => {
                let homes = access::pair(&[url], &access).map_err(Failure::Usage)?;
                for home in &homes {
                    self.engine.with(|account| account.add_home(home))?;
                }
                let round = self.greet().await?;
                let silent = homes.iter().any(|home| round.failed.contains_key(&home.url));
                let line = if silent {
                    "The home is added. It is not ready yet, and the warning says why; every command will try it. Where \
                     token or fingerprint are wrong, remove it and add it again with the right ones."
                } else {
                    "The home is added: it keeps your mail from now on."
                };
                self.printer.err(line).await?;
                DONE
            }
            HomeCommand::Remove { url } => {
                let homes = self.engine.with(|account| account.homes())?;
                let normal = access::normal_url(&url).unwrap_or_else(|_| url.clone());
                let found = homes.into_iter().find(|(home, _)| home.url == url || home.url == normal);
                let (home, _) = found.ok_or(ClientError::NoSuchHome)?;
                self.engine.with(|account| account.remove_home(home.id))?;
                self.push().await?;
                self.warn_of_no_home().await?;
                self.printer.err("The home is removed.").await?;
                DONE
            }
            HomeCommand::List { json } => {
                self.greet().await?;
                let homes = self.homes()?;
                self.list(json, &homes, &HEAD, HomeLine::row, "No homes.").await?;
                DONE
            }
        }
    }

    fn homes(&self) -> Result<Vec<HomeLine>, Failure> {
        let homes = self.engine.with(|account| account.homes())?;
        Ok(homes.into_iter().map(|(home, status)| HomeLine::of(home, status)).collect())
    }

    pub(super) async fn status(&self, json: bool) -> Outcome {
        self.greet().await?;
        let status = self.engine.with(|account| account.status())?;
        let homes = self.homes()?;
        if json {
            let mut object = serde_json::to_value(&status).map_err(|e| Failure::Other(e.to_string()))?;
            if let Some(object) = object.as_object_mut() {
                object.insert("homes".to_owned(), json!(homes));
            }
            self.json(&object).await?;
            return DONE;
        }
        let network = status.network.clone().unwrap_or_else(|| "not known: no home has answered yet".to_owned());
        let mut lines = vec![
            format!("You are        {}", text::safe_line(&status.name)),
            format!("Network        {}", text::safe_line(&network)),
            format!("Contacts       {}", status.contacts),
            format!("Asking you     {}", status.requests),
            format!("Queued         {}", status.queued),
            format!("Under way      {}", status.undelivered),
        ];
        if status.unreadable > 0 {
            lines.push(format!("Unreadable     {} (their senders were asked to send them again)", status.unreadable));
        }
        if !homes.is_empty() {
            lines.push(String::new());
            let rows: Vec<Vec<String>> = homes.iter().map(HomeLine::row).collect();
            lines.extend(text::table(&HEAD, &rows));
        }
        self.printer.out(lines.join("\n")).await?;
        DONE
    }
}
