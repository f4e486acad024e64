//! Messages: send, sent, inbox.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::{Context, DONE, Failure, Outcome};
use crate::{
    agent::{Ending, Printer, now},
    cli::{
        args::{InboxArgs, SendArgs, WaitFor},
        text,
    },
    core::{ClientError, Event, InboxMessage, SendState, SentMessage},
};

/// How often a message is looked at while `send` waits, when no event tells of news.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// "The message is queued: only waiting is left."
#[derive(Serialize, Deserialize)]
struct Waiting {
    id: String,
    /// Milliseconds since the epoch: another process may go on waiting.
    until_ms: u64,
}

impl Context {
    pub(super) async fn send(&self, args: SendArgs) -> Outcome {
        let waiting = match &self.mark {
            Some(mark) => serde_json::from_value(mark.clone()).map_err(|e| Failure::Other(e.to_string()))?,
            None => {
                // Fetching comes first: the acceptance that makes this contact one may be waiting.
                let until_ms = now_ms().saturating_add(args.timeout.saturating_mul(1000));
                self.sync().await?;
                let content = json!({ "type": "text", "text": args.text });
                let sent = self.engine.with(|account| account.send(now(), &args.who, content))?;
                let waiting = Waiting { id: sent.id, until_ms };
                let mark = serde_json::to_value(&waiting).map_err(|e| Failure::Other(e.to_string()))?;
                self.printer.mark(mark).await?;
                self.push().await?;
                waiting
            }
        };
        match self.until_sent(&waiting, args.wait).await? {
            Some(message) => self.report_sent(&message, &args).await,
            None => Ok(Ending::Moved),
        }
    }

    /// Waits until the message has come as far as wanted, cannot come further, or time is up; `None`: to be taken up
    /// elsewhere.
    async fn until_sent(&self, waiting: &Waiting, wanted: WaitFor) -> Result<Option<SentMessage>, Failure> {
        let mut events = self.engine.events();
        let mut is_first = true;
        loop {
            let message = self.engine.with(|account| account.sent_one(&waiting.id))?;
            let is_over = matches!(message.state, SendState::Expired | SendState::Refused);
            if is_over || message.state >= wanted.state() || now_ms() >= waiting.until_ms {
                return Ok(Some(message));
            }
            if is_first {
                // From here on it is others who must act: have the homes tell.
                self.engine.go_live();
                is_first = false;
            }
            let left = Duration::from_millis(waiting.until_ms.saturating_sub(now_ms())).min(LOOK_EVERY);
            tokio::select! {
                () = self.stop.asked() => return Ok(None),
                () = sent_event(&mut events) => {}
                () = tokio::time::sleep(left) => {
                    // Goes on by itself when it takes longer; what it warns of was said before.
                    let _took_longer = tokio::time::timeout(left, self.engine.sync()).await;
                }
            }
        }
    }

    async fn report_sent(&self, message: &SentMessage, args: &SendArgs) -> Outcome {
        if args.json {
            self.json(message).await?;
        }
        let reason = message.reason.as_deref().map(|r| format!(": {}", text::safe_line(r))).unwrap_or_default();
        match message.state {
            SendState::Refused => return Err(Failure::Other(format!("the message was refused{reason}"))),
            SendState::Expired => return Err(Failure::Other(format!("the message expired{reason}"))),
            state if state < args.wait.state() => {
                return Err(Failure::TimedOut(format!(
                    "{} after {} s, not {} yet{reason}. The message stays queued; `griot sent` shows how far it is",
                    state_words(message),
                    args.timeout,
                    args.wait.word(),
                )));
            }
            _ => {}
        }
        if !args.json {
            let id = &message.id;
            self.printer.out(format!("{} to {} ({id})", state_words(message), text::safe_line(&message.name))).await?;
        }
        DONE
    }

    pub(super) async fn sent(&self, who: Option<&str>, json: bool) -> Outcome {
        self.sync().await?;
        let sent = self.engine.with(|account| account.sent(who))?;
        let row = |message: &SentMessage| {
            vec![
                text::time(message.at),
                message.name.clone(),
                state_words(message),
                content_words(&message.content),
                message.reason.clone().unwrap_or_default(),
            ]
        };
        let head = ["SENT (UTC)", "TO", "STATE", "MESSAGE", "WHY"];
        self.list(json, &sent, &head, row, "Nothing sent yet.").await?;
        DONE
    }

    pub(super) async fn inbox(&self, args: InboxArgs) -> Outcome {
        // Before the first look, so that what comes in between is not missed.
        let mut events = self.engine.events();
        if args.follow {
            self.engine.go_live();
        }
        self.sync().await?;
        let resumed = self.mark.as_ref().and_then(Value::as_str).map(str::to_owned);
        let mut last = resumed.or(args.after.clone());
        let shown = self.show_new(&args, &mut last).await?;
        if !args.follow {
            if shown == 0 && !args.json {
                self.printer.err("No messages.").await?;
            }
            self.mention_requests(args.json).await?;
            return DONE;
        }
        loop {
            tokio::select! {
                () = self.stop.asked() => return Ok(Ending::Moved),
                () = self.printer.gone() => return DONE,
                event = events.recv() => match event {
                    Ok(Event::Message(_)) | Err(RecvError::Lagged(_)) => {
                        self.show_new(&args, &mut last).await?;
                    }
                    Ok(Event::Request(request)) => {
                        let name = text::safe_line(&request.name);
                        self.printer.err(format!("{name} asks for contact: griot accept {}", request.id)).await?;
                    }
                    Ok(Event::Contact(contact)) => tell_contact(&self.printer, &contact).await?,
                    Ok(Event::Warning(warning)) => {
                        self.printer.err(format!("warning: {}", text::safe(&warning))).await?;
                    }
                    Ok(Event::Sent(_)) => {}
                    Err(RecvError::Closed) => return DONE,
                },
            }
        }
    }

    /// Shows what came after `last`, and moves it on. Returns how many were shown.
    async fn show_new(&self, args: &InboxArgs, last: &mut Option<String>) -> Result<usize, Failure> {
        let messages = self.engine.with(|account| account.inbox(args.from.as_deref(), last.as_deref()))?;
        for message in &messages {
            if args.json {
                self.json(message).await?;
            } else {
                self.printer.out(message_words(message)).await?;
            }
            *last = Some(message.id.clone());
            if args.follow {
                self.printer.mark(json!(message.id)).await?;
            }
        }
        Ok(messages.len())
    }

    async fn mention_requests(&self, json: bool) -> Result<(), Failure> {
        let asking = self.engine.with(|account| account.requests())?.len();
        if asking > 0 && !json {
            let who = if asking == 1 { "1 person asks".to_owned() } else { format!("{asking} people ask") };
            self.printer.err(format!("{who} for contact: griot requests")).await?;
        }
        Ok(())
    }
}

async fn tell_contact(printer: &Printer, contact: &crate::core::ContactInfo) -> Result<(), Failure> {
    if contact.state == crate::core::ContactState::Connected {
        let name = text::safe_line(&contact.name);
        printer.err(format!("You and {name} can write to each other now.")).await?;
    }
    Ok(())
}

/// Waits for news of a sent message.
async fn sent_event(events: &mut tokio::sync::broadcast::Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(Event::Sent(_)) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // The engine ends; so does whoever waits.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl WaitFor {
    const fn state(self) -> SendState {
        match self {
            Self::Accepted => SendState::Accepted,
            Self::Stored => SendState::Stored,
            Self::Delivered => SendState::Delivered,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stored => "stored",
            Self::Delivered => "delivered",
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn state_words(message: &SentMessage) -> String {
    match message.state {
        SendState::Queued => "queued".to_owned(),
        SendState::Accepted => "accepted".to_owned(),
        SendState::Stored => format!("stored on {}", text::count(message.stored_on.len(), "home")),
        SendState::Delivered => "delivered".to_owned(),
        SendState::Expired => "expired".to_owned(),
        SendState::Refused => "refused".to_owned(),
    }
}

fn message_words(message: &InboxMessage) -> String {
    let words = content_words(&message.content);
    // Further lines are set in, so that nobody can write a line that looks like another's message.
    let words = text::safe(&words).replace('\n', "\n    ");
    format!("{}  {}: {words}", text::time(message.at), text::safe_line(&message.from))
}

fn content_words(content: &Value) -> String {
    let kind = content.get("type").and_then(Value::as_str);
    match (kind, content.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => text.to_owned(),
        (Some(kind), _) => format!("[{kind}: this version of griot cannot show it]"),
        (None, _) => "[a message without a type]".to_owned(),
    }
}

/// What `griot send` takes from standard input, in bytes: more does not fit a message, and the core says so exactly.
pub(in crate::cli) const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Text that cannot be a message.
pub(in crate::cli) fn check_text(text: &str) -> Result<(), ClientError> {
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(ClientError::TooLarge { bytes: text.len(), max: TEXT_BYTES_MAX as usize });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use griot_protocol::Timestamp;

    use super::*;

    #[test]
    fn a_message_cannot_pretend_to_be_another() {
        let message = InboxMessage {
            id: "1".to_owned(),
            from: "Eve\n2026".to_owned(),
            contact: "c".to_owned(),
            at: Timestamp(0),
            content: json!({ "type": "text", "text": "a\n1970-01-01 00:00  Kofi: b" }),
        };
        assert_eq!(message_words(&message), "1970-01-01 00:00  Eve 2026: a\n    1970-01-01 00:00  Kofi: b");
    }

    #[test]
    fn unknown_content_is_shown_as_such() {
        assert!(content_words(&json!({ "type": "photo", "text": 7 })).starts_with("[photo:"));
        assert!(content_words(&json!({ "type": "text", "text": 7 })).starts_with("[text:"));
        assert_eq!(content_words(&json!(7)), "[a message without a type]");
    }

    #[test]
    fn states_are_ordered_as_waiting_needs_it() {
        assert!(SendState::Delivered >= WaitFor::Stored.state());
        assert!(SendState::Accepted < WaitFor::Stored.state());
        assert!(SendState::Queued < WaitFor::Accepted.state());
    }
}
