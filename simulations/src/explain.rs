//! One message's way through the network, hop by hop.
//!
//! `arrivals.bin` says where a record reached each node first and from whom. Followed backwards from the home at which a
//! reader met the message, that is the way it took.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use crate::{
    outcome::{
        OutcomeError, arrivals,
        files::{self, ARRIVALS, MESSAGES},
        tables,
    },
    plan::{Arrival, NodeIndex, Way},
    report::duration,
};

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The folder.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// No such message.
    #[error(
        "no message of this run has the id or number `{0}`; the first column of messages.csv has the numbers, the second the ids"
    )]
    Unknown(String),
    /// More than one.
    #[error("`{0}` begins the ids of several messages; write more of it")]
    Ambiguous(String),
}

/// A reader of the message, as `messages.csv` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reader {
    reader: u64,
    state: String,
    read: Option<u64>,
    home: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    number: u64,
    record: String,
    author: u64,
    shared: bool,
    bytes: u64,
    written: u64,
    accepted: Option<(u64, u64)>,
    stored: Option<(u64, u64)>,
    acked: Option<u64>,
    expires: Option<u64>,
    copies: u64,
    holders: u64,
    readers: Vec<Reader>,
}

/// Tells the way of the message with this id (or the beginning of one), or this number.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(folder: &Path, id: &str) -> Result<String, ExplainError> {
    files::read_run(folder)?;
    let message = find(folder, id)?;
    let mut by_node: BTreeMap<NodeIndex, Arrival> = BTreeMap::new();
    let path = folder.join(ARRIVALS);
    if path.exists() {
        let read =
            arrivals::read(files::open(folder, ARRIVALS)?, |arrival| u64::from(arrival.message.0) == message.number);
        for arrival in read.map_err(|source| OutcomeError::File { path, source })? {
            by_node.entry(arrival.node).or_insert(arrival);
        }
    }
    Ok(tell(&message, &by_node))
}

fn find(folder: &Path, id: &str) -> Result<Message, ExplainError> {
    let wanted = id.trim_start_matches('#').to_ascii_lowercase();
    let number: Option<u64> = wanted.parse().ok();
    let mut by_number: BTreeMap<u64, Message> = BTreeMap::new();
    let mut by_id: BTreeMap<u64, Message> = BTreeMap::new();
    let path = folder.join(MESSAGES);
    let each = |row: &tables::Row<'_>| {
        let own = row.number("message").unwrap_or(0);
        let record = row.get("record").unwrap_or_default();
        let found = if number == Some(own) {
            &mut by_number
        } else if !wanted.is_empty() && record.starts_with(&wanted) {
            &mut by_id
        } else {
            return;
        };
        let with = |at: &str, what: &str| Some((row.number(at)?, row.number(what)?));
        let message = found.entry(own).or_insert_with(|| Message {
            number: own,
            record: record.to_owned(),
            author: row.number("author").unwrap_or(0),
            shared: row.number("shared") == Some(1),
            bytes: row.number("bytes").unwrap_or(0),
            written: row.number("written_ms").unwrap_or(0),
            accepted: with("accepted_ms", "accepted_node"),
            stored: with("stored_ms", "stored_on"),
            acked: row.number("acked_ms"),
            expires: row.number("expires_ms"),
            copies: row.number("copies").unwrap_or(0),
            holders: row.number("holders").unwrap_or(0),
            readers: Vec::new(),
        });
        message.readers.push(Reader {
            reader: row.number("reader").unwrap_or(0),
            state: row.get("state").unwrap_or_default().to_owned(),
            read: row.number("read_ms"),
            home: row.number("home").and_then(|home| u32::try_from(home).ok()),
        });
    };
    tables::read(files::open(folder, MESSAGES)?, &tables::MESSAGES, each)
        .map_err(|source| OutcomeError::File { path, source })?;
    // All digits may be either; a number that there is is meant as one.
    let found = if by_number.is_empty() { by_id } else { by_number };
    if found.len() > 1 {
        return Err(ExplainError::Ambiguous(id.to_owned()));
    }
    found.into_values().next().ok_or_else(|| ExplainError::Unknown(id.to_owned()))
}

fn tell(message: &Message, by_node: &BTreeMap<NodeIndex, Arrival>) -> String {
    let mut text = String::new();
    let after = |at: u64| format!("+{}", duration(at.saturating_sub(message.written)));
    let kind = if message.shared { "group or channel" } else { "direct" };
    let _ = writeln!(text, "message {} ({kind}, {} bytes)", message.number, message.bytes);
    if !message.record.is_empty() {
        let _ = writeln!(text, "record {}", message.record);
    }
    let _ =
        writeln!(text, "{:>10}  written by person {} at {} of run time", "", message.author, duration(message.written));
    match message.accepted {
        Some((at, node)) => {
            let _ = writeln!(text, "{:>10}  accepted by node {node}", after(at));
        }
        None => text += "            no node ever accepted it\n",
    }
    if let Some((at, homes)) = message.stored {
        let _ =
            writeln!(text, "{:>10}  the author saw it stored; {homes} homes had signed for it by the end", after(at));
    }
    if let Some(at) = message.acked {
        let _ = writeln!(text, "{:>10}  the author saw that it was read", after(at));
    }
    if let Some(at) = message.expires {
        let _ = writeln!(text, "{:>10}  expires", after(at));
    }
    let _ = writeln!(
        text,
        "{} nodes came to hold it; its frame was sent {} times between nodes",
        message.holders, message.copies
    );
    for reader in &message.readers {
        match (reader.read, reader.home) {
            (Some(at), Some(home)) => {
                let _ = writeln!(text, "\nperson {} read it at node {home}, {}", reader.reader, after(at));
                text += &path_to(NodeIndex(home), message, by_node);
            }
            _ => {
                let _ = writeln!(text, "\nperson {} has not read it: {}", reader.reader, reader.state);
            }
        }
    }
    if by_node.is_empty() {
        text += "\nThe way from node to node is not known: the run kept no arrivals.\n";
    }
    text
}

/// The hops from where the message was handed in to a node.
fn path_to(node: NodeIndex, message: &Message, by_node: &BTreeMap<NodeIndex, Arrival>) -> String {
    let mut hops = Vec::new();
    let mut at = node;
    // Each node has one first arrival, so a way that is longer than that is a circle, which a sound file cannot have.
    while let Some(arrival) = by_node.get(&at).filter(|_| hops.len() <= by_node.len()) {
        hops.push(*arrival);
        if arrival.from == at {
            break;
        }
        at = arrival.from;
    }
    hops.reverse();
    let mut text = String::new();
    let mut before = message.written;
    for arrival in hops {
        let since = arrival.at.0.saturating_sub(before);
        let total = arrival.at.0.saturating_sub(message.written);
        let way = match arrival.way {
            Way::Submitted => format!("handed in at node {}", arrival.node.0),
            Way::Gossip => format!("node {} → node {} by gossip", arrival.from.0, arrival.node.0),
            Way::Sync => format!("node {} → node {} by sync", arrival.from.0, arrival.node.0),
        };
        let _ = writeln!(text, "{:>10}  {way} (took {})", format!("+{}", duration(total)), duration(since));
        before = arrival.at.0;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::{
            arrivals::ArrivalWriter,
            figures::tests::{plan, recording},
            files::tests::write,
        },
        plan::{MessageIndex, VirtualMs},
    };

    #[test]
    fn the_way_is_told_hop_by_hop() {
        let temp = tempfile::tempdir().unwrap();
        let place = temp.path().join("run");
        let mut recording = recording();
        for (number, fate) in recording.messages.iter_mut().enumerate() {
            fate.record = format!("{number:02x}").repeat(32);
        }
        write(&place, &plan(), &recording, None);
        let mut writer = ArrivalWriter::new(std::fs::File::create(place.join(ARRIVALS)).unwrap(), 2).unwrap();
        let arrival = |at, node, from, way| Arrival {
            at: VirtualMs(at),
            message: MessageIndex(1),
            node: NodeIndex(node),
            from: NodeIndex(from),
            way,
        };
        writer.push(&arrival(20_010, 0, 0, Way::Submitted)).unwrap();
        writer.push(&arrival(44_000, 1, 0, Way::Sync)).unwrap();
        writer.finish().unwrap();
        let text = explain(&place, "#1").unwrap();
        assert!(text.contains("handed in at node 0 (took 10 ms)"), "{text}");
        assert!(text.contains("node 0 → node 1 by sync (took 24.0 s)"), "{text}");
        assert!(text.contains("person 1 read it at node 1, +25.0 s"), "{text}");
        assert_eq!(explain(&place, "0101").unwrap(), text);
        assert!(explain(&place, "3").unwrap().contains("no node ever accepted it"));
        assert!(matches!(explain(&place, "ff"), Err(ExplainError::Unknown(_))));
        // Short and all digits: a number. Else the beginning of an id, which must be of one message only.
        assert!(explain(&place, "00").unwrap().contains("message 0"));
        for fate in &mut recording.messages {
            fate.record = "abc0".repeat(16);
        }
        write(&place, &plan(), &recording, None);
        assert!(matches!(explain(&place, "abc"), Err(ExplainError::Ambiguous(_))));
    }
}
