//! Invites, requests, contacts.

use std::time::Duration;

use griot_protocol::RecordId;
use tokio::time::Instant;

use super::{Context, DONE, Failure, Outcome};
use crate::{
    cli::{
        args::{InviteArgs, InviteCommand},
        text,
    },
    core::{ClientError, ContactInfo, ContactState, InviteOptions},
};

/// How long `connect` and `accept` try to hand their record to a home.
const ACCEPTED_WAIT: Duration = Duration::from_secs(30);

/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl Context {
    pub(super) async fn invite(&self, args: InviteArgs) -> Outcome {
        match args.action {
            None => self.make_invite(args.once, args.expires).await,
            Some(InviteCommand::List { json }) => self.list_invites(json).await,
            Some(InviteCommand::Revoke { id }) => {
                // Who asked before the link ended has asked.
                self.sync().await?;
                self.engine.with(|account| account.revoke_invite(crate::agent::now(), &id))?;
                self.push().await?;
                self.printer.err("The invite is revoked: requests that come by it no longer reach you.").await?;
                DONE
            }
        }
    }

    async fn make_invite(&self, once: bool, expires: Option<u64>) -> Outcome {
        // Learns the network where no home has answered yet.
        self.sync().await?;
        let expires_days = expires.map(u32::try_from).transpose().map_err(|e| Failure::Usage(e.to_string()))?;
        let options = InviteOptions { once, expires_days };
        let invite = self.engine.with(|account| account.create_invite(crate::agent::now(), options))?;
        self.push().await?;
        self.printer.out(invite.link).await?;
        let whom = if once { "one person" } else { "people" };
        let until = text::time(invite.info.expires_at);
        self.printer
            .err(format!(
                "Give this link to {whom} you want to hear from. It works until {until} UTC; \
                 `griot invite revoke {}` ends it before.",
                invite.info.id
            ))
            .await?;
        DONE
    }

    async fn list_invites(&self, json: bool) -> Outcome {
        self.sync().await?;
        let invites = self.engine.with(|account| account.invites(crate::agent::now()))?;
        let head = ["ID", "STATE", "REQUESTS", "KIND", "UNTIL (UTC)"];
        let row = |invite: &crate::core::InviteInfo| {
            vec![
                invite.id.clone(),
                if invite.active { "active" } else { "ended" }.to_owned(),
                invite.requests.to_string(),
                if invite.once { "once" } else { "many" }.to_owned(),
                text::time(invite.expires_at),
            ]
        };
        self.list(json, &invites, &head, row, "No invites. `griot invite` makes one.").await?;
        DONE
    }

    pub(super) async fn connect(&self, link: &str, message: Option<&str>) -> Outcome {
        let record = match &self.mark {
            Some(mark) => marked(mark)?,
            None => {
                self.sync().await?;
                let (contact, record) =
                    self.engine.with(|account| account.connect(crate::agent::now(), link, message))?;
                self.printer.mark(mark(record, &contact)).await?;
                (record, contact.name)
            }
        };
        self.until_accepted(record.0).await?;
        let (name, who) = (text::safe_line(&record.1), text::shell_word(&record.1));
        self.printer
            .err(format!(
                "Asked {name} for contact. You can write once they accept; `griot safety {who}` then shows \
                 the number to compare with them."
            ))
            .await?;
        DONE
    }

    pub(super) async fn requests(&self, json: bool) -> Outcome {
        self.sync().await?;
        let requests = self.engine.with(|account| account.requests())?;
        let row = |request: &crate::core::RequestInfo| {
            let message = request.message.clone().unwrap_or_default();
            vec![request.id.clone(), request.name.clone(), text::time(request.at), message]
        };
        self.list(json, &requests, &["ID", "NAME", "ASKED (UTC)", "MESSAGE"], row, "Nobody asks for contact.").await?;
        if !json && !requests.is_empty() {
            self.printer.err("`griot accept ID` lets them write to you; `griot decline ID` does not.").await?;
        }
        DONE
    }

    pub(super) async fn accept(&self, id: &str) -> Outcome {
        let record = match &self.mark {
            Some(mark) => marked(mark)?,
            None => {
                self.sync().await?;
                let (contact, record) = match self.engine.with(|account| account.accept(crate::agent::now(), id)) {
                    Err(ClientError::NoSuchRequest) => return self.accepted_before(id).await,
                    other => other?,
                };
                self.printer.mark(mark(record, &contact)).await?;
                (record, contact.name)
            }
        };
        self.until_accepted(record.0).await?;
        self.tell_connected(&record.1).await
    }

    /// A request keeps its id as a contact: an `accept` that was killed may be given again.
    async fn accepted_before(&self, id: &str) -> Outcome {
        let contacts = self.engine.with(|account| account.contacts())?;
        let connected = |contact: &ContactInfo| contact.id == id && contact.state == ContactState::Connected;
        let contact = contacts.into_iter().find(connected).ok_or(ClientError::NoSuchRequest)?;
        self.push().await?;
        self.tell_connected(&contact.name).await
    }

    async fn tell_connected(&self, name: &str) -> Outcome {
        let (name, who) = (text::safe_line(name), text::shell_word(name));
        self.printer.err(format!("You and {name} can write to each other now: griot send {who} 'Hello'")).await?;
        DONE
    }

    pub(super) async fn decline(&self, id: &str) -> Outcome {
        self.sync().await?;
        self.engine.with(|account| account.decline(crate::agent::now(), id))?;
        self.push().await?;
        self.printer.err("Declined. They are not told.").await?;
        DONE
    }

    pub(super) async fn contacts(&self, json: bool) -> Outcome {
        self.sync().await?;
        let contacts = self.engine.with(|account| account.contacts())?;
        let row = |contact: &ContactInfo| {
            vec![contact.id.clone(), state_word(contact.state).to_owned(), contact.name.clone()]
        };
        let none = "No contacts yet. `griot invite` makes a link to give away; `griot connect LINK` uses one.";
        self.list(json, &contacts, &["ID", "STATE", "NAME"], row, none).await?;
        DONE
    }

    pub(super) async fn block(&self, who: &str) -> Outcome {
        self.sync().await?;
        let contact = self.engine.with(|account| account.block(crate::agent::now(), who))?;
        self.push().await?;
        let name = text::safe_line(&contact.name);
        self.printer.err(format!("{name} is blocked: their way to write to you is withdrawn.")).await?;
        DONE
    }

    pub(super) async fn unblock(&self, who: &str) -> Outcome {
        self.sync().await?;
        let contact = self.engine.with(|account| account.unblock(crate::agent::now(), who))?;
        self.push().await?;
        self.printer.err(format!("{} is no longer blocked.", text::safe_line(&contact.name))).await?;
        DONE
    }

    pub(super) async fn safety(&self, who: &str) -> Outcome {
        self.sync().await?;
        let number = self.engine.with(|account| account.safety(who))?;
        let lines: Vec<String> = number.groups.chunks(4).map(|groups| groups.join(" ")).collect();
        self.printer.out(lines.join("\n")).await?;
        self.printer
            .err("Compare these digits with your contact, by voice or face to face. Equal: nobody stands in between.")
            .await?;
        DONE
    }

    /// Returns once a home accepted the record.
    async fn until_accepted(&self, record: RecordId) -> Result<(), Failure> {
        let deadline = Instant::now() + ACCEPTED_WAIT;
        let mut round = self.push().await?;
        loop {
            match self.engine.with(|account| account.is_accepted(record))? {
                Some(true) | None => return Ok(()),
                Some(false) if Instant::now() >= deadline => break,
                Some(false) => {}
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            round = self.engine.sync().await;
        }
        self.tell(&round).await?;
        Err(Failure::TimedOut(
            "no home has taken it yet. It is kept, and goes out with the next command that reaches a home".to_owned(),
        ))
    }
}

const fn state_word(state: ContactState) -> &'static str {
    match state {
        ContactState::Pending => "pending",
        ContactState::Connected => "connected",
        ContactState::Blocked => "blocked",
    }
}

/// "The record is queued: only waiting is left."
fn mark(record: RecordId, contact: &ContactInfo) -> serde_json::Value {
    serde_json::json!({ "record": record, "name": contact.name })
}

fn marked(mark: &serde_json::Value) -> Result<(RecordId, String), ClientError> {
    #[derive(serde::Deserialize)]
    struct Mark {
        record: RecordId,
        name: String,
    }
    let mark = serde_json::from_value::<Mark>(mark.clone()).map_err(|e| ClientError::Damaged(e.to_string()))?;
    Ok((mark.record, mark.name))
}
