//! The plots of one run.

use super::{
    Chart, Marker, Plot, Series, Stroke,
    axis::{Axis, time_unit},
    data::{Network, PairRow, RunData},
    topology,
};

/// Points along the time axis: two for each millimetre of a printed plot.
const MOMENTS: u64 = 300;

/// Stretches into which what was written is sorted.
const STRETCHES: u64 = 48;

/// How soon a message must be read to count as read promptly, milliseconds.
const PROMPT_MS: u64 = 60_000;

/// All plots of a run.
#[must_use]
pub fn all(data: &RunData) -> Vec<Plot> {
    let mut plots =
        vec![delivered(data), prompt(data), latency(data), backlog(data), bytes_over_time(data), bytes_per_node(data)];
    plots.extend(topology::picture(data));
    plots
}

/// The two networks, with how their lines look.
fn both(data: &RunData) -> Vec<(&'static str, &Network, usize, Stroke, Marker)> {
    let mut networks = vec![("Griot", &data.griot, 0, Stroke::Solid, Marker::Circle)];
    if let Some(central) = &data.central {
        networks.push(("one central provider", central, 1, Stroke::Dashed, Marker::Square));
    }
    networks
}

struct Time {
    label: String,
    unit_ms: f64,
    end_ms: u64,
}

impl Time {
    fn of(data: &RunData) -> Self {
        let end_ms = data.summary.virtual_ms.max(1);
        let (unit, unit_ms) = time_unit(end_ms as f64);
        let compress = data.manifest.compress;
        let note = if compress > 1 {
            format!(" ({unit}; 1 stands for {compress} in the scenario)")
        } else {
            format!(" ({unit})")
        };
        Self { label: format!("Time since the run began{note}"), unit_ms, end_ms }
    }

    fn axis(&self) -> Axis {
        Axis::exact(self.label.clone(), 0.0, self.end_ms as f64 / self.unit_ms)
    }

    fn at(&self, ms: u64) -> f64 {
        ms as f64 / self.unit_ms
    }
}

fn shade(data: &RunData, time: &Time) -> Option<(f64, f64, String)> {
    data.outage().map(|(from, until)| (time.at(from), time.at(until.min(time.end_ms)), "outage".to_owned()))
}

/// Delivered so far, of what was written so far.
fn delivered(data: &RunData) -> Plot {
    let time = Time::of(data);
    let mut series = Vec::new();
    for (name, network, colour, stroke, marker) in both(data) {
        let (written, read) = sorted(network);
        let points = (1..=MOMENTS).filter_map(|moment| {
            let at = time.end_ms * moment / MOMENTS;
            let so_far = written.partition_point(|ms| *ms <= at);
            let arrived = read.partition_point(|ms| *ms <= at);
            (so_far > 0).then(|| (time.at(at), 100.0 * arrived as f64 / so_far as f64))
        });
        series.push(Series::new(name, colour, stroke, marker, points.collect()));
    }
    let chart = Chart {
        title: "Delivered so far".into(),
        x: time.axis(),
        y: Axis::exact("Read, of all written so far (%)", 0.0, 100.0),
        shaded: shade(data, &time),
        series,
        x_names: Vec::new(),
    };
    Plot {
        name: "delivered".into(),
        caption:
            "Of all pairs of a message and a reader written until each moment, the share that had been read by then."
                .into(),
        svg: chart.to_svg(),
    }
}

/// How much of what was written in each stretch was read within a minute.
fn prompt(data: &RunData) -> Plot {
    let time = Time::of(data);
    let mut series = Vec::new();
    for (name, network, colour, stroke, marker) in both(data) {
        let mut counts = vec![(0_u64, 0_u64); STRETCHES as usize];
        for PairRow { written, read } in &network.pairs {
            let stretch = (written * STRETCHES / time.end_ms).min(STRETCHES - 1) as usize;
            counts[stretch].0 += 1;
            counts[stretch].1 += u64::from(read.is_some_and(|read| read.saturating_sub(*written) <= PROMPT_MS));
        }
        let points = counts.iter().enumerate().filter(|(_, (all, _))| *all > 0).map(|(stretch, (all, soon))| {
            let middle = time.end_ms as f64 * (stretch as f64 + 0.5) / STRETCHES as f64 / time.unit_ms;
            (middle, 100.0 * *soon as f64 / *all as f64)
        });
        series.push(Series::new(name, colour, stroke, marker, points.collect()));
    }
    let chart = Chart {
        title: "Read within a minute, by when it was written".into(),
        x: time.axis(),
        y: Axis::exact("Read within one minute (%)", 0.0, 100.0),
        shaded: shade(data, &time),
        series,
        x_names: Vec::new(),
    };
    let caption = "The share of what was written at each time that its reader had within a minute of run time. Readers who \
                   are off line cannot have it so soon in either network.";
    Plot { name: "prompt".into(), caption: caption.into(), svg: chart.to_svg() }
}

/// The distribution of latencies, of all that was offered: what never arrived keeps the line below 100 %.
fn latency(data: &RunData) -> Plot {
    let mut series = Vec::new();
    let (mut shortest, mut longest) = (u64::MAX, 10_u64);
    for (name, network, colour, stroke, marker) in both(data) {
        let cases = [
            (name.to_owned(), stroke, marker, None),
            (
                format!("{name}, written in the outage"),
                if stroke == Stroke::Solid { Stroke::Dotted } else { Stroke::DashDot },
                if marker == Marker::Circle { Marker::Triangle } else { Marker::Diamond },
                data.outage(),
            ),
        ];
        for (place, (name, stroke, marker, only)) in cases.into_iter().enumerate() {
            if place == 1 && only.is_none() {
                continue;
            }
            let of = |pair: &&PairRow| only.is_none_or(|(from, until)| (from..until).contains(&pair.written));
            let offered = network.pairs.iter().filter(of).count();
            let mut took: Vec<u64> = network
                .pairs
                .iter()
                .filter(of)
                .filter_map(|pair| pair.read.map(|read| read.saturating_sub(pair.written).max(1)))
                .collect();
            took.sort_unstable();
            longest = longest.max(took.last().copied().unwrap_or(0));
            shortest = shortest.min(took.first().copied().unwrap_or(u64::MAX));
            series.push(Series::new(name, colour, stroke, marker, distribution(&took, offered)));
        }
    }
    let chart = Chart {
        title: "Latency".into(),
        x: Axis::log("From writing to reading (ms, logarithmic)", shortest.min(longest) as f64, longest as f64),
        y: Axis::exact("Read by then, of all written (%)", 0.0, 100.0),
        series,
        shaded: None,
        x_names: Vec::new(),
    };
    let caption = "The cumulative distribution of the time from writing to reading. Where a line ends below 100 %, the rest had \
                   not been read at the end of the run.";
    Plot { name: "latency".into(), caption: caption.into(), svg: chart.to_svg() }
}

/// The cumulative distribution of sorted samples, in at most [`MOMENTS`] steps.
fn distribution(sorted: &[u64], offered: usize) -> Vec<(f64, f64)> {
    let steps = (MOMENTS as usize).min(sorted.len());
    (1..=steps)
        .map(|step| sorted.len() * step / steps)
        .filter_map(|count| sorted.get(count - 1).map(|ms| (*ms as f64, 100.0 * count as f64 / offered.max(1) as f64)))
        .collect()
}

/// What waits: written and not yet read.
fn backlog(data: &RunData) -> Plot {
    let time = Time::of(data);
    let mut highest = 0.0_f64;
    let mut series = Vec::new();
    for (name, network, colour, stroke, marker) in both(data) {
        let (written, read) = sorted(network);
        let points: Vec<(f64, f64)> = (0..=MOMENTS)
            .map(|moment| {
                let at = time.end_ms * moment / MOMENTS;
                let waits = written.partition_point(|ms| *ms <= at) - read.partition_point(|ms| *ms <= at);
                (time.at(at), waits as f64)
            })
            .collect();
        highest = points.iter().map(|(_, y)| *y).fold(highest, f64::max);
        series.push(Series::new(name, colour, stroke, marker, points));
    }
    let chart = Chart {
        title: "Backlog".into(),
        x: time.axis(),
        y: Axis::linear("Written and not yet read (pairs)", 0.0, highest),
        shaded: shade(data, &time),
        series,
        x_names: Vec::new(),
    };
    let caption = "Pairs of a message and a reader that had been written and not yet read, whether a node had accepted the \
                   message or its author still had it.";
    Plot { name: "backlog".into(), caption: caption.into(), svg: chart.to_svg() }
}

/// When everything was written, and when it was read, each in order.
pub(super) fn sorted(network: &Network) -> (Vec<u64>, Vec<u64>) {
    let mut written: Vec<u64> = network.pairs.iter().map(|pair| pair.written).collect();
    let mut read: Vec<u64> = network.pairs.iter().filter_map(|pair| pair.read).collect();
    written.sort_unstable();
    read.sort_unstable();
    (written, read)
}

/// Traffic between nodes.
fn bytes_over_time(data: &RunData) -> Plot {
    let time = Time::of(data);
    let nodes = data.griot.nodes.len().max(1) as f64;
    // Minutes are put together where there are more than can be told apart: syncs come every half minute, and single minutes
    // would draw a hedge.
    let together = data.griot.timeline.len().div_ceil(STRETCHES as usize * 2).max(1);
    let points: Vec<(f64, f64)> = data
        .griot
        .timeline
        .chunks(together)
        .filter_map(|minutes| {
            let sent: u64 = minutes.iter().map(|minute| minute.bytes).sum();
            let end = ((minutes.last()?.minute + 1) * 60_000).min(time.end_ms);
            Some((time.at(end), sent as f64 / (60.0 * minutes.len() as f64) / 1024.0 / nodes))
        })
        .collect();
    let highest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    let chart = Chart {
        title: "Traffic between nodes".into(),
        x: time.axis(),
        y: Axis::linear("Sent by a node, on average (KiB/s)", 0.0, highest),
        shaded: shade(data, &time),
        series: vec![Series::new("Griot", 0, Stroke::Solid, Marker::None, points)],
        x_names: Vec::new(),
    };
    let caption = "What nodes send to each other, for each node and second. The central provider has nobody to send to; what \
                   people's own lines carry is in neither.";
    Plot { name: "traffic".into(), caption: caption.into(), svg: chart.to_svg() }
}

/// What each node sent in all.
fn bytes_per_node(data: &RunData) -> Plot {
    const MIB: f64 = 1024.0 * 1024.0;
    let mut nodes: Vec<(u64, bool)> =
        data.griot.nodes.iter().map(|node| (node.sent_bytes, node.conduct == "honest")).collect();
    nodes.sort_unstable();
    let of = |honest: bool| -> Vec<(f64, f64)> {
        let ranked = nodes.iter().enumerate().filter(|(_, node)| node.1 == honest);
        ranked.map(|(rank, node)| (rank as f64 + 1.0, node.0 as f64 / MIB)).collect()
    };
    let highest = nodes.last().map_or(0.0, |node| node.0 as f64 / MIB);
    let (honest, hostile) = (of(true), of(false));
    let mut series = vec![Series::new(
        if hostile.is_empty() { "" } else { "honest nodes" },
        0,
        Stroke::None,
        Marker::Circle,
        honest,
    )];
    if !hostile.is_empty() {
        series.push(Series::new("nodes that mean harm", 1, Stroke::None, Marker::Triangle, hostile));
    }
    let chart = Chart {
        title: "What each node sent".into(),
        x: Axis::exact("Nodes, by what they sent (rank)", 0.0, nodes.len() as f64 + 1.0),
        y: Axis::linear("Sent in the whole run (MiB)", 0.0, highest),
        series,
        shaded: None,
        x_names: Vec::new(),
    };
    let caption = "Bytes that each node sent to other nodes in the whole run, from the node that sent least to the one that \
                   sent most.";
    Plot { name: "bytes-per-node".into(), caption: caption.into(), svg: chart.to_svg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_ends_at_what_arrived() {
        let points = distribution(&[10, 20, 30], 4);
        assert_eq!(points, [(10.0, 25.0), (20.0, 50.0), (30.0, 75.0)]);
        let many: Vec<u64> = (1..=10_000).collect();
        let points = distribution(&many, 10_000);
        assert_eq!((points.len(), points[299]), (300, (10_000.0, 100.0)));
        assert_eq!(distribution(&[], 0), Vec::new());
    }
}
