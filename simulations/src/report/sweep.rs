//! The report of a sweep: means over seeds with 95 % confidence intervals, for each combination of settings.

use std::{fmt::Write as _, path::Path};

use super::{
    Chart, Marker, Plot, Series, Stroke,
    axis::{Axis, Scale},
    html,
    svg::escape,
};
use crate::{
    outcome::OutcomeError,
    sweep::{METRICS, Sweep, gather, write},
};

/// Makes the tables again from the folders that are there, and the report from them.
pub fn report(folder: &Path) -> Result<(String, Vec<Plot>), OutcomeError> {
    let runs = gather(folder)?;
    if runs.is_empty() {
        return Err(OutcomeError::NoRun(folder.to_path_buf()));
    }
    let sweep = write(folder, &runs)?;
    let plots = plots(&sweep);
    Ok((page(&sweep, &plots), plots))
}

/// What is plotted: file name, title, the label of the y axis, a factor, the scale, and the metrics.
struct Shown {
    name: &'static str,
    title: &'static str,
    label: &'static str,
    factor: f64,
    scale: Scale,
    metric: &'static str,
}

const SHOWN: [Shown; 6] = [
    Shown {
        name: "delivered",
        title: "Delivered",
        label: "Delivered, of all offered (%)",
        factor: 100.0,
        scale: Scale::Linear,
        metric: "delivered_fraction",
    },
    Shown {
        name: "delivered-in-outage",
        title: "Written in the outage and read in it",
        label: "Read before the outage ended (%)",
        factor: 100.0,
        scale: Scale::Linear,
        metric: "delivered_during_outage_fraction",
    },
    Shown {
        name: "latency-median",
        title: "Median latency",
        label: "From writing to reading (ms, logarithmic)",
        factor: 1.0,
        scale: Scale::Log,
        metric: "latency_p50_ms",
    },
    Shown {
        name: "latency-99",
        title: "Latency of the slowest hundredth",
        label: "99th percentile (ms, logarithmic)",
        factor: 1.0,
        scale: Scale::Log,
        metric: "latency_p99_ms",
    },
    Shown {
        name: "bytes-per-delivery",
        title: "Cost of a delivery",
        label: "Sent between nodes for each delivery (KiB)",
        factor: 1.0 / 1024.0,
        scale: Scale::Linear,
        metric: "bytes_per_delivery",
    },
    Shown {
        name: "time-to-heal",
        title: "Time to heal",
        label: "Until the last of the backlog was read (s)",
        factor: 0.001,
        scale: Scale::Linear,
        metric: "time_to_heal_ms",
    },
];

fn plots(sweep: &Sweep) -> Vec<Plot> {
    SHOWN.iter().filter_map(|shown| plot(sweep, shown)).collect()
}

/// A group's name below the axis: only the values, in the order of the settings; a long one is cut.
fn short(settings: &str) -> String {
    let words: Vec<&str> = settings.split(' ').filter(|word| !word.starts_with("--")).collect();
    let text = words.iter().map(|word| word.rsplit('.').next().unwrap_or(word)).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "as it is".to_owned() } else { text.chars().take(24).collect() }
}

fn plot(sweep: &Sweep, shown: &Shown) -> Option<Plot> {
    let mut series = Vec::new();
    let mut seen: Vec<f64> = Vec::new();
    for (prefix, name, colour, marker, shift) in
        [("", "Griot", 0, Marker::Circle, -0.06), ("central_", "one central provider", 1, Marker::Square, 0.06)]
    {
        let mut one = Series::new(name, colour, Stroke::None, marker, Vec::new());
        for (place, group) in sweep.groups.iter().enumerate() {
            if let Some(of) = group.metrics.get(&format!("{prefix}{}", shown.metric)) {
                one.points.push((place as f64 + shift, of.mean * shown.factor));
                one.errors.push(of.ci95 * shown.factor);
                seen.extend([(of.mean + of.ci95) * shown.factor, (of.mean - of.ci95) * shown.factor]);
            }
        }
        if !one.points.is_empty() {
            series.push(one);
        }
    }
    let highest = seen.iter().copied().fold(f64::MIN, f64::max);
    let lowest = seen.iter().copied().filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
    if series.is_empty() {
        return None;
    }
    let y = match shown.scale {
        Scale::Log => Axis::log(shown.label, lowest.min(highest.max(1.0)), highest.max(1.0)),
        Scale::Linear if shown.factor == 100.0 => Axis::exact(shown.label, 0.0, 100.0),
        Scale::Linear => Axis::linear(shown.label, 0.0, highest),
    };
    let runs: usize = sweep.groups.iter().map(|group| group.seeds.len()).sum();
    let chart = Chart {
        title: shown.title.into(),
        x: Axis::exact("Settings", -0.5, sweep.groups.len() as f64 - 0.5),
        y,
        series,
        shaded: None,
        x_names: sweep.groups.iter().enumerate().map(|(place, group)| (place as f64, short(&group.settings))).collect(),
    };
    let caption =
        format!("{}: means over seeds with 95 % confidence intervals (Student's t), {runs} runs.", shown.title);
    Some(Plot { name: shown.name, caption, svg: chart.to_svg() })
}

fn page(sweep: &Sweep, plots: &[Plot]) -> String {
    let names: Vec<&str> = sweep.groups.iter().map(|group| group.scenario.as_str()).collect();
    let title = format!("Sweep of {}", names.first().copied().unwrap_or("nothing"));
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    let broken: u64 = sweep.groups.iter().map(|group| group.broken).sum();
    if broken > 0 {
        let _ = writeln!(body, "<p class=\"broken\">In {broken} runs an invariant did not hold.</p>");
    }
    body += "<h2>Plots</h2>\n";
    body += &html::figures(plots);
    for group in &sweep.groups {
        let settings = if group.settings.is_empty() { "as it is" } else { &group.settings };
        let _ = writeln!(
            body,
            "<h2>{}: {}</h2>\n<p>{} seeds</p>",
            escape(&group.scenario),
            escape(settings),
            group.seeds.len()
        );
        body += "<table><tr><th>figure</th><th class=\"n\">Griot: mean ± 95 %</th><th class=\"n\">central: mean ± 95 %</th></tr>\n";
        for metric in &METRICS {
            let cell = |prefix: &str| {
                let of = group.metrics.get(&format!("{prefix}{}", metric.name));
                of.map_or_else(|| "–".to_owned(), |of| format!("{:.4} ± {:.4}", of.mean, of.ci95))
            };
            let unit = if metric.unit == "1" { String::new() } else { format!(" ({})", metric.unit) };
            let (griot, central) = (cell(""), cell("central_"));
            let _ = writeln!(
                body,
                "<tr><td>{}{unit}</td><td class=\"n\">{griot}</td><td class=\"n\">{central}</td></tr>",
                escape(metric.title)
            );
        }
        body += "</table>\n";
    }
    html::page(&title, &body)
}
