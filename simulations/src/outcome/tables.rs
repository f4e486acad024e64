//! The tables of a run, as CSV: plain numbers and words without commas, so nothing has to be quoted.

use std::io::{self, BufRead, Write};

use super::deliveries::pairs;
use crate::plan::{Conduct, Plan, Recording};

/// The columns of `messages.csv`. One line for each message and reader.
pub const MESSAGES: [&str; 22] = [
    "message",
    "record",
    "author",
    "mailbox",
    "shared",
    "bytes",
    "written_ms",
    "accepted_ms",
    "accepted_node",
    "stored_ms",
    "stored_on",
    "acked_ms",
    "expires_ms",
    "reader",
    "state",
    "read_ms",
    "latency_ms",
    "home",
    "hops",
    "copies",
    "holders",
    "duplicates",
];

/// The columns of `nodes.csv`. One line for each node.
pub const NODES: [&str; 13] = [
    "node",
    "region",
    "conduct",
    "behind_nat",
    "people",
    "sent_bytes",
    "received_bytes",
    "records",
    "records_max",
    "stored_bytes_max",
    "up_ms",
    "crashes",
    "peers",
];

/// The columns of `timeline.csv`. One line for each minute of the run.
pub const TIMELINE: [&str; 6] = ["minute", "offered", "delivered", "in_custody", "bytes", "nodes_up"];

fn header(columns: &[&str], to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "{}", columns.join(","))
}

/// A number, or nothing.
struct Maybe<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// Writes `messages.csv`.
///
/// # Errors
/// What the writer says.
pub fn write_messages(plan: &Plan, recording: &Recording, to: &mut impl Write) -> io::Result<()> {
    header(&MESSAGES, to)?;
    for pair in pairs(plan, recording) {
        let (message, fate) = (pair.message, pair.fate);
        write!(
            to,
            "{},{},{},{},{},{},{},{},{},{},",
            pair.number,
            fate.record,
            message.author.0,
            message.mailbox.0,
            u8::from(pair.mailbox.shared),
            message.bytes,
            message.at.0,
            Maybe(fate.accepted.map(|(at, _)| at.0)),
            Maybe(fate.accepted.map(|(_, node)| node.0)),
            Maybe(fate.stored.map(|at| at.0)),
        )?;
        write!(
            to,
            "{},{},{},{},{},{},{},{},{},",
            fate.stored_on,
            Maybe(fate.acked.map(|at| at.0)),
            Maybe(fate.expires.map(|at| at.0)),
            pair.reader.0,
            pair.state(recording.virtual_ms).name(),
            Maybe(pair.delivery.map(|(at, ..)| at)),
            Maybe(pair.latency_ms()),
            Maybe(pair.delivery.map(|(_, home, _)| home.0)),
            Maybe(pair.delivery.and_then(|(_, _, hops)| hops)),
        )?;
        writeln!(to, "{},{},{}", fate.copies, fate.holders, fate.duplicates)?;
    }
    Ok(())
}

/// Writes `nodes.csv`.
///
/// # Errors
/// What the writer says.
pub fn write_nodes(plan: &Plan, recording: &Recording, to: &mut impl Write) -> io::Result<()> {
    header(&NODES, to)?;
    let mut people = vec![0_u32; plan.nodes.len()];
    for home in plan.people.iter().filter_map(|person| person.homes.first()) {
        if let Some(count) = people.get_mut(home.0 as usize) {
            *count += 1;
        }
    }
    for (number, (node, fate)) in plan.nodes.iter().zip(&recording.nodes).enumerate() {
        writeln!(
            to,
            "{number},{},{},{},{},{},{},{},{},{},{},{},{}",
            node.region,
            conduct_name(&node.conduct),
            u8::from(node.behind_nat),
            people[number],
            fate.sent_bytes,
            fate.received_bytes,
            fate.records,
            fate.records_max,
            fate.stored_bytes_max,
            fate.up_ms,
            fate.crashes,
            fate.peers,
        )?;
    }
    Ok(())
}

/// A conduct's name in tables and plots.
#[must_use]
pub const fn conduct_name(conduct: &Conduct) -> &'static str {
    match conduct {
        Conduct::Honest => "honest",
        Conduct::Withholding => "withholding",
        Conduct::Flooding { .. } => "flooding",
        Conduct::Replaying { .. } => "replaying",
        Conduct::LyingInSync => "lying-in-sync",
    }
}

/// Writes `timeline.csv`.
///
/// # Errors
/// What the writer says.
pub fn write_timeline(recording: &Recording, to: &mut impl Write) -> io::Result<()> {
    header(&TIMELINE, to)?;
    for minute in &recording.timeline {
        writeln!(
            to,
            "{},{},{},{},{},{}",
            minute.minute, minute.offered, minute.delivered, minute.in_custody, minute.bytes, minute.nodes_up
        )?;
    }
    Ok(())
}

/// One line of a table that is read back.
#[derive(Debug)]
pub struct Row<'a> {
    header: &'a [String],
    fields: Vec<&'a str>,
}

impl Row<'_> {
    /// A field by its column; `None` where there is no such column or it is empty.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        let place = self.header.iter().position(|name| name == column)?;
        self.fields.get(place).copied().filter(|field| !field.is_empty())
    }

    /// A whole number by its column.
    #[must_use]
    pub fn number(&self, column: &str) -> Option<u64> {
        self.get(column)?.parse().ok()
    }
}

/// Reads a table line by line.
///
/// # Errors
/// What the reader says, and [`io::ErrorKind::InvalidData`] where a column is missing.
pub fn read(from: impl BufRead, columns: &[&str], mut each: impl FnMut(&Row<'_>)) -> io::Result<()> {
    let mut lines = from.lines();
    let header: Vec<String> = lines.next().transpose()?.unwrap_or_default().split(',').map(str::to_owned).collect();
    if let Some(missing) = columns.iter().find(|column| !header.iter().any(|name| name == *column)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the column `{missing}` is missing")));
    }
    for line in lines {
        let line = line?;
        each(&Row { header: &header, fields: line.split(',').collect() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outcome::figures::tests::{plan, recording},
        plan::Minute,
    };

    fn text(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_pair_has_a_line_that_is_read_back() {
        let table = text(|to| write_messages(&plan(), &recording(), to));
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 1 + 5);
        assert!(lines.iter().all(|line| line.split(',').count() == MESSAGES.len()), "{table}");
        let mut states = Vec::new();
        read(table.as_bytes(), &MESSAGES, |row| {
            states.push((
                row.number("message").unwrap(),
                row.get("state").unwrap().to_owned(),
                row.number("latency_ms"),
            ));
        })
        .unwrap();
        assert_eq!(
            states,
            [
                (0, "delivered".to_owned(), Some(200)),
                (1, "delivered".to_owned(), Some(25_000)),
                (2, "waiting".to_owned(), None),
                (2, "delivered".to_owned(), Some(50)),
                (3, "not-accepted".to_owned(), None),
            ]
        );
    }

    #[test]
    fn nodes_and_minutes_have_their_columns() {
        let table = text(|to| write_nodes(&plan(), &recording(), to));
        assert_eq!(table.lines().nth(2), Some("1,0,honest,0,2,1000,0,0,2,90,50000,1,0"));
        assert!(table.lines().all(|line| line.split(',').count() == NODES.len()));
        let mut with_time = recording();
        with_time.timeline = vec![Minute { minute: 0, offered: 5, delivered: 3, in_custody: 2, bytes: 9, nodes_up: 2 }];
        assert_eq!(text(|to| write_timeline(&with_time, to)).lines().nth(1), Some("0,5,3,2,9,2"));
    }

    #[test]
    fn a_missing_column_is_said() {
        let error = read(&b"a,b\n1,2\n"[..], &["a", "c"], |_| ()).unwrap_err();
        assert!(error.to_string().contains("`c`"));
    }
}
