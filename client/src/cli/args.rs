//! What can be typed: design section 8, stable because scripts rely on it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::examples::{
    CONNECT_EXAMPLES, DEMO_HELP, EXAMPLES, HOME_EXAMPLES, INBOX_EXAMPLES, INVITE_EXAMPLES, REQUESTS_EXAMPLES,
    SENT_EXAMPLES, STATUS_EXAMPLES, WHO_EXAMPLES,
};
use crate::core::limits::INVITE_DAYS_MAX;

/// The longest `--timeout`: beyond a record's life there is nothing to wait for.
const TIMEOUT_SECONDS_MAX: u64 = griot_protocol::limits::LIFE_SECONDS_MAX;

const ABOUT: &str = "End-to-end encrypted messages over Griot nodes: no phone number, no central provider";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "griot", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// The account's directory [default: $GRIOT_HOME, else ~/.local/share/griot-client]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
pub enum Command {
    /// Make an account: a name to be known by, and the nodes that keep its mail
    #[command(after_help = "Examples:\n  griot init --name Awa --node unix:/var/lib/griot/api.sock\n  \
        griot init --name Awa --node https://griot.example.org \\\n    --token TOKEN --fingerprint SHA256\n\n\
        Two or three homes are better than one: mail arrives while any of them lives.")]
    Init(InitArgs),
    /// Make an invite link, or list and revoke those you made
    #[command(args_conflicts_with_subcommands = true, after_help = INVITE_EXAMPLES)]
    Invite(InviteArgs),
    /// Ask whoever made this link for contact
    #[command(after_help = CONNECT_EXAMPLES)]
    Connect {
        /// The link, as `griot invite` printed it
        link: String,
        /// A word to be recognised by
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Who asks for contact
    #[command(after_help = REQUESTS_EXAMPLES)]
    Requests {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Let somebody who asked write to you
    #[command(after_help = REQUESTS_EXAMPLES)]
    Accept {
        /// As `griot requests` shows it
        id: String,
    },
    /// Turn somebody who asked away; they are not told
    #[command(after_help = REQUESTS_EXAMPLES)]
    Decline {
        /// As `griot requests` shows it
        id: String,
    },
    /// Whom you can write to
    #[command(after_help = WHO_EXAMPLES)]
    Contacts {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Take back somebody's way to write to you
    #[command(after_help = WHO_EXAMPLES)]
    Block {
        /// Name or id
        who: String,
    },
    /// Let somebody whom you blocked write again
    #[command(after_help = WHO_EXAMPLES)]
    Unblock {
        /// Name or id
        who: String,
    },
    /// The number to compare with a contact, so that you know nobody stands in between
    #[command(after_help = WHO_EXAMPLES)]
    Safety {
        /// Name or id
        who: String,
    },
    /// Send a message
    #[command(after_help = "Examples:\n  griot send Kofi 'On my way'\n  \
        griot send Kofi 'On my way' --wait delivered --timeout 120\n  date | griot send Kofi -\n\n\
        What a message has proven:\n  accepted   on the disk of one of your homes\n  \
        stored     on the disk of nodes that the recipient chose (signed by them)\n  \
        delivered  collected by the recipient (signed by them)")]
    Send(SendArgs),
    /// What you sent, and how far it has come
    #[command(after_help = SENT_EXAMPLES)]
    Sent {
        /// Name or id; everybody where there is none
        who: Option<String>,
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// The messages received so far, in order
    #[command(after_help = INBOX_EXAMPLES)]
    Inbox(InboxArgs),
    /// The nodes that keep your mail
    #[command(after_help = HOME_EXAMPLES)]
    Home {
        /// What to do with them.
        #[command(subcommand)]
        action: HomeCommand,
    },
    /// The account, its homes, and what waits
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// One object
        #[arg(long)]
        json: bool,
    },
    /// Watch a message survive a dead node, on this machine, in a few seconds
    #[command(after_help = DEMO_HELP)]
    Demo,
}

/// `griot init`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct InitArgs {
    /// What your contacts see
    #[arg(long)]
    pub name: String,
    /// A home: unix:DATA-DIR/api.sock, https://HOST:PORT, or http:// on this machine (may be given several times)
    #[arg(long = "node", value_name = "URL", required = true)]
    pub nodes: Vec<String>,
    /// How to reach the homes.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// How homes are reached: one token for each http(s) home and one fingerprint for each https home, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct AccessArgs {
    /// The token that the node's operator gave you [env: GRIOT_TOKEN] (once for each http(s) home, in order)
    #[arg(long = "token", value_name = "TOKEN")]
    pub tokens: Vec<String>,
    /// SHA-256 of the node's certificate, where no authority vouches for it (once for each https home, in order)
    #[arg(long = "fingerprint", value_name = "SHA256")]
    pub fingerprints: Vec<String>,
    /// Allow http:// to another machine: everybody on the way sees which mailboxes are yours, and your token
    #[arg(long)]
    pub insecure_http: bool,
}

/// `griot invite`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct InviteArgs {
    /// Take one request only
    #[arg(long)]
    pub once: bool,
    /// Days until the link ends [default: 7]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=INVITE_DAYS_MAX as u64))]
    pub expires: Option<u64>,
    /// Instead of making one.
    #[command(subcommand)]
    pub action: Option<InviteCommand>,
}

/// `griot invite list|revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
pub enum InviteCommand {
    /// The links you made
    List {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// End a link: requests that come by it no longer reach you
    Revoke {
        /// As `griot invite list` shows it
        id: String,
    },
}

/// How far a message must have come before `griot send` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum WaitFor {
    /// On the disk of one of your homes
    #[default]
    Accepted,
    /// On the disk of a node that the recipient chose
    Stored,
    /// Collected by the recipient
    Delivered,
}

/// `griot send`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct SendArgs {
    /// Name or id
    pub who: String,
    /// The message; - reads it from standard input
    pub text: String,
    /// How far it must have come before this returns
    #[arg(long, value_enum, default_value_t)]
    pub wait: WaitFor,
    /// How long to wait for that; then exit with 3 (the message stays queued)
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=TIMEOUT_SECONDS_MAX))]
    pub timeout: u64,
    /// One object
    #[arg(long)]
    pub json: bool,
}

/// `griot inbox`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct InboxArgs {
    /// One object a line
    #[arg(long)]
    pub json: bool,
    /// Stay, and show messages as they come
    #[arg(long)]
    pub follow: bool,
    /// Name or id: only what they sent
    #[arg(long, value_name = "WHO")]
    pub from: Option<String>,
    /// Only what came after this message
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

/// `griot home`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
pub enum HomeCommand {
    /// Have your mail kept by this node, too
    #[command(after_help = HOME_EXAMPLES)]
    Add {
        /// unix:DATA-DIR/api.sock, https://HOST:PORT, or http:// on this machine
        url: String,
        /// How to reach it.
        #[command(flatten)]
        access: AccessArgs,
    },
    /// Leave a node; it need not be alive
    Remove {
        /// As `griot home list` shows it
        url: String,
    },
    /// Your homes
    List {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(["griot"].into_iter().chain(line.split_whitespace())).map(|cli| cli.command)
    }

    #[test]
    fn every_command_line_of_the_design_parses() {
        for line in [
            "init --name Awa --node unix:/x",
            "init --name Awa --node unix:/x --node https://y --token t --fingerprint f --insecure-http",
            "invite",
            "invite --once --expires 7",
            "invite list",
            "invite list --json",
            "invite revoke abc",
            "connect griot:abc",
            "connect griot:abc --message hello",
            "requests --json",
            "accept abc",
            "decline abc",
            "contacts --json",
            "block Kofi",
            "unblock Kofi",
            "safety Kofi",
            "send Kofi hello",
            "send Kofi -",
            "send Kofi hello --wait accepted",
            "send Kofi hello --wait stored --timeout 5 --json",
            "send Kofi hello --wait delivered",
            "send --json --wait stored Kofi hello",
            "sent",
            "sent Kofi --json",
            "inbox",
            "inbox --json --follow --from Kofi --after abc",
            "home add unix:/x",
            "home add https://x --token t --fingerprint f",
            "home remove unix:/x",
            "home list --json",
            "status --json",
            "--home /tmp/x status",
            "status --home /tmp/x",
            "demo",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_is_no_command_line_is_refused() {
        for line in [
            "",
            "nonsense",
            "init",
            "init --name Awa",
            "init --node unix:/x",
            "invite --expires 0",
            "invite --expires x",
            "invite --once list",
            "invite revoke",
            "connect",
            "accept",
            "send Kofi",
            "send Kofi a b",
            "send Kofi a --wait read",
            "send Kofi a --timeout -1",
            "send Kofi a --timeout 99999999",
            "inbox --from",
            "home",
            "home add",
            "status --josn",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.exit_code() == 2, "{line}: {error}");
        }
    }

    #[test]
    fn waiting_is_for_accepted_and_30_seconds() {
        let Ok(Command::Send(send)) = parse("send Kofi hello") else { panic!("no send") };
        assert_eq!((send.wait, send.timeout, send.json), (WaitFor::Accepted, 30, false));
    }

    #[test]
    fn a_command_survives_the_way_to_the_agent() {
        for line in ["send Kofi - --wait stored", "invite list --json", "inbox --follow", "home add unix:/x --token t"]
        {
            let command = parse(line).unwrap();
            let json = serde_json::to_string(&command).unwrap();
            assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command, "{json}");
        }
    }
}
