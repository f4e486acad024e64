//! What a delivered message costs as the network grows, with one shard, with 16 and with 256:
//! `cargo build --profile fast -p griot-simulations --examples && target/fast/examples/scaling scaling.svg`.
//!
//! Runs `measure_world`, which must lie beside it, twice for each size and number of shards: with messages and without.
//! The difference is what the messages cost. Prints a table in Markdown and draws it, with lines on to a million nodes.
//! Given a file with such a table as well, it draws that and measures nothing. `docs/scaling.md` says what follows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers may end with a panic")]

use std::{fs, process::Command};

use griot_simulations::report::{Axis, Chart, Marker, Series, Stroke};

const NODES: [u64; 4] = [100, 300, 1000, 3000];
const BITS: [u32; 3] = [0, 4, 8];
const MESSAGES: u64 = 60;
/// The first and the last of them are free of messages.
const MINUTES: u64 = 3;

/// How far the lines are drawn.
const NODES_MAX: f64 = 1e6;

/// What one run printed.
struct Run {
    seconds: f64,
    sent: f64,
    read: f64,
    holders: f64,
}

/// What messages cost, each.
struct Cost {
    bits: u32,
    nodes: u64,
    /// Nodes that keep a message.
    holders: f64,
    bytes: f64,
    milliseconds: f64,
}

fn run(nodes: u64, messages: u64, bits: u32) -> Run {
    let beside = std::env::current_exe().unwrap().with_file_name("measure_world");
    let arguments = [nodes, messages, MINUTES, u64::from(bits)].map(|number| number.to_string());
    let output = Command::new(beside).args(arguments).output().expect("measure_world lies beside this program");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains(" times real time")).expect("measure_world ran");
    let before = |unit: &str| -> f64 {
        let end = line.find(unit).unwrap();
        line[..end].rsplit([' ', ';', ',', ':']).find(|word| !word.is_empty()).unwrap().parse().unwrap()
    };
    Run { seconds: before(" s, "), sent: before(" MB sent") * 1e6, read: before(" read"), holders: before(" holders") }
}

fn cost(nodes: u64, bits: u32) -> Cost {
    let (quiet, loaded) = (run(nodes, 0, bits), run(nodes, MESSAGES, bits));
    Cost {
        bits,
        nodes,
        holders: loaded.holders / MESSAGES as f64,
        bytes: (loaded.sent - quiet.sent) / loaded.read,
        milliseconds: (loaded.seconds - quiet.seconds) * 1000.0 / loaded.read,
    }
}

/// What was measured, as markers, and a line through the last of it along which cost grows as the nodes of a shard do.
fn series(costs: &[Cost], colour: usize, bits: u32) -> [Series; 2] {
    let (stroke, marker) = match colour {
        0 => (Stroke::Solid, Marker::Circle),
        1 => (Stroke::Dashed, Marker::Square),
        _ => (Stroke::Dotted, Marker::Triangle),
    };
    let points: Vec<_> =
        costs.iter().filter(|cost| cost.bits == bits).map(|cost| (cost.nodes as f64, cost.bytes)).collect();
    let (nodes, bytes) = *points.last().expect("something was measured");
    let line = vec![(nodes, bytes), (NODES_MAX, bytes * NODES_MAX / nodes)];
    let name = if bits == 0 { "1 shard".to_owned() } else { format!("{} shards", 1_u64 << bits) };
    [
        Series::new(format!("{name}, measured"), colour, Stroke::None, marker, points),
        Series::new("extrapolated", colour, stroke, Marker::None, line),
    ]
}

fn measure() -> Vec<Cost> {
    println!("| shards | nodes | nodes that keep a message | bytes sent for it | … for each of them | CPU, ms |");
    println!("|---|---|---|---|---|---|");
    let mut costs = Vec::new();
    for bits in BITS {
        for nodes in NODES {
            let cost = cost(nodes, bits);
            println!(
                "| {} | {nodes} | {:.1} | {:.0} | {:.0} | {:.1} |",
                1_u64 << bits,
                cost.holders,
                cost.bytes,
                cost.bytes / cost.holders,
                cost.milliseconds
            );
            costs.push(cost);
        }
    }
    costs
}

/// Reads a table that was printed before.
fn read(table: &str) -> Vec<Cost> {
    let numbers = |line: &str| -> Option<Vec<f64>> {
        line.trim_matches(['|', ' ']).split('|').map(|cell| cell.trim().replace(',', "").parse().ok()).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with('|')).filter_map(numbers);
    rows.filter(|row| row.len() == 6)
        .map(|row| Cost {
            bits: (row[0] as u64).ilog2(),
            nodes: row[1] as u64,
            holders: row[2],
            bytes: row[3],
            milliseconds: row[5],
        })
        .collect()
}

fn main() {
    let [picture, table] = [1, 2].map(|n| std::env::args_os().nth(n));
    let costs = table.map_or_else(measure, |file| read(&fs::read_to_string(file).expect("the table can be read")));
    let bytes = || costs.iter().map(|cost| cost.bytes);
    let chart = Chart {
        title: "What a delivered message costs the whole network".to_owned(),
        x: Axis::log("nodes", NODES[0] as f64, NODES_MAX),
        y: Axis::log(
            "bytes sent, ack included",
            bytes().fold(f64::MAX, f64::min),
            bytes().fold(1.0, f64::max) * NODES_MAX / NODES[NODES.len() - 1] as f64,
        ),
        series: BITS.iter().enumerate().flat_map(|(colour, bits)| series(&costs, colour, *bits)).collect(),
        shaded: None,
        x_names: Vec::new(),
    };
    if let Some(file) = picture {
        fs::write(file, chart.to_svg()).unwrap();
    }
}
