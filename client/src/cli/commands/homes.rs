//! Homes and the account at a glance.

use griot_protocol::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{Context, DONE, Failure, Outcome};
use crate::{
    cli::{access, args::HomeCommand, text},
    core::{ClientError, Home, HomeStatus, limits::HOMES_ADVISED},
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

/// What would keep the mail on more homes, each with the command that does it. Nothing where all is well.
fn advice(homes: &[HomeLine]) -> Vec<String> {
    let living = homes.iter().filter(|home| home.answers).count();
    let mut advice = Vec::new();
    for home in homes.iter().filter(|home| !home.answers) {
        let url = text::safe_line(&home.url);
        advice.push(format!(
            "{url} does not answer: new mail for you lies on {living} of {} homes until it does. If it is gone for good, \
             add another with `griot home add URL`, then `griot home remove {url}`.",
            homes.len()
        ));
    }
    for home in homes.iter().filter(|home| home.answers && home.registered < home.mailboxes) {
        advice.push(format!(
            "{} knows {} of your {} mailboxes: any command that fetches mail, such as `griot inbox`, registers the rest.",
            text::safe_line(&home.url),
            home.registered,
            home.mailboxes
        ));
    }
    if homes.len() < HOMES_ADVISED {
        let has =
            if homes.is_empty() { "You have no home" } else { "You have one home, and mail for you lies nowhere else" };
        advice.push(format!("{has}: {HOMES_ADVISED} or more are advised. `griot home add URL` adds one."));
    }
    advice
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
        let (living, advice) = (homes.iter().filter(|home| home.answers).count(), advice(&homes));
        if json {
            let mut object = serde_json::to_value(&status).map_err(|e| Failure::Other(e.to_string()))?;
            if let Some(object) = object.as_object_mut() {
                object.insert("homes".to_owned(), json!(homes));
                object.insert("homes_living".to_owned(), json!(living));
                object.insert("homes_advised".to_owned(), json!(HOMES_ADVISED));
                object.insert("advice".to_owned(), json!(advice));
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
            format!("Homes          {living} of {} answer", homes.len()),
        ];
        if status.unreadable > 0 {
            lines.push(format!("Unreadable     {} (their senders were asked to send them again)", status.unreadable));
        }
        if !homes.is_empty() {
            lines.push(String::new());
            let rows: Vec<Vec<String>> = homes.iter().map(HomeLine::row).collect();
            lines.extend(text::table(&HEAD, &rows));
        }
        if !advice.is_empty() {
            lines.push(String::new());
            lines.extend(advice);
        }
        self.printer.out(lines.join("\n")).await?;
        DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::HomeId;

    fn home(url: &str, answers: bool, registered: u64) -> HomeLine {
        let home = Home { id: HomeId(1), url: url.to_owned(), token: None, fingerprint: None, insecure_http: false };
        let status = HomeStatus {
            answered_at: answers.then_some(Timestamp(1)),
            error: (!answers).then(|| "it is silent".to_owned()),
            registered,
            mailboxes: 3,
            ..HomeStatus::default()
        };
        HomeLine::of(home, status)
    }

    #[test]
    fn two_homes_that_answer_and_know_all_need_no_advice() {
        assert_eq!(advice(&[home("unix:/a", true, 3), home("unix:/b", true, 3)]), Vec::<String>::new());
    }

    #[test]
    fn fewer_homes_than_wished_are_told_with_the_command_that_helps() {
        let [dead] = &advice(&[home("unix:/a", true, 3), home("unix:/b", false, 3)])[..] else { panic!("one advice") };
        assert!(dead.starts_with("unix:/b does not answer") && dead.contains("1 of 2 homes"), "{dead}");
        assert!(dead.contains("griot home add URL") && dead.contains("griot home remove unix:/b"), "{dead}");
        let [behind] = &advice(&[home("unix:/a", true, 1), home("unix:/b", true, 3)])[..] else { panic!("one advice") };
        assert!(behind.contains("1 of your 3 mailboxes"), "{behind}");
        let [alone] = &advice(&[home("unix:/a", true, 3)])[..] else { panic!("one advice") };
        assert!(alone.contains("one home") && alone.contains("griot home add URL"), "{alone}");
        let [none] = &advice(&[])[..] else { panic!("one advice") };
        assert!(none.contains("no home"), "{none}");
    }
}
