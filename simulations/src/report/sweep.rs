//! The report of a sweep: means over seeds with 95 % confidence intervals, for each combination of settings.

use std::{fmt::Write as _, path::Path};

use super::{
    Chart, Marker, Plot, Series, Stroke,
    axis::{Axis, Scale, time_unit},
    data::network,
    html,
    plots::sorted,
    svg::escape,
};
use crate::{
    outcome::{OutcomeError, files},
    sweep::{Estimate, Group, METRICS, Run, Sweep, gather, write},
};

/// Makes the tables again from the folders that are there, and the report from them.
pub fn report(folder: &Path) -> Result<(String, Vec<Plot>), OutcomeError> {
    let runs = gather(folder)?;
    if runs.is_empty() {
        return Err(OutcomeError::NoRun(folder.to_path_buf()));
    }
    let sweep = write(folder, &runs)?;
    let mut plots = plots(&sweep);
    for (number, group) in sweep.groups.iter().enumerate() {
        let own: Vec<&Run> = runs.iter().filter(|run| belongs(run, group)).collect();
        plots.insert(number, over_time(&own, group, number)?);
    }
    Ok((page(&sweep, &plots), plots))
}

fn belongs(run: &Run, group: &Group) -> bool {
    run.manifest.scenario == group.scenario && run.manifest.parameters.join(" ") == group.settings
}

/// Moments at which the runs of a group are compared: each has an error bar, and more would run into each other.
const MOMENTS: u64 = 24;

/// Delivered so far, of what was written so far: the mean over seeds at each moment, with its confidence interval.
fn over_time(runs: &[&Run], group: &Group, number: usize) -> Result<Plot, OutcomeError> {
    let end_ms = runs.iter().map(|run| run.summary.virtual_ms).max().unwrap_or(1).max(1);
    let (unit, unit_ms) = time_unit(end_ms as f64);
    let mut series = Vec::new();
    for (below, name, colour, stroke, marker) in [
        (None, "Griot", 0, Stroke::Solid, Marker::Circle),
        (Some(files::CENTRAL), "one central provider", 1, Stroke::Dashed, Marker::Square),
    ] {
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); MOMENTS as usize];
        for run in runs {
            let folder = below.map_or_else(|| run.folder.clone(), |below| run.folder.join(below));
            if !folder.exists() {
                continue;
            }
            let (written, read) = sorted(&network(&folder)?);
            for (moment, list) in (1..).zip(&mut samples) {
                let at = end_ms * moment / MOMENTS;
                let so_far = written.partition_point(|ms| *ms <= at);
                let arrived = read.partition_point(|ms| *ms <= at);
                if so_far > 0 {
                    list.push(100.0 * arrived as f64 / so_far as f64);
                }
            }
        }
        let mut one = Series::new(name, colour, stroke, marker, Vec::new());
        for (moment, list) in (1_u32..).zip(&samples) {
            if let Some(of) = Estimate::of(list) {
                let x = end_ms as f64 * f64::from(moment) / MOMENTS as f64 / unit_ms;
                one.points.push((x, of.mean));
                one.errors.push(of.ci95);
            }
        }
        if !one.points.is_empty() {
            series.push(one);
        }
    }
    let outage = runs.first().and_then(|run| run.summary.figures.outage.as_ref());
    let settings = if group.settings.is_empty() { String::new() } else { format!(", {}", group.settings) };
    let chart = Chart {
        title: format!("Delivered so far{settings}"),
        x: Axis::exact(format!("Time since the run began ({unit})"), 0.0, end_ms as f64 / unit_ms),
        y: Axis::exact("Read, of all written so far (%)", 0.0, 100.0),
        shaded: outage
            .map(|outage| (outage.from_ms as f64 / unit_ms, outage.until_ms as f64 / unit_ms, "outage".to_owned())),
        series,
        x_names: Vec::new(),
    };
    let caption = format!(
        "Of all pairs of a message and a reader written until each moment, the share that had been read by then: means over {} \
         seeds with 95 % confidence intervals (Student's t).",
        runs.len()
    );
    Ok(Plot { name: format!("delivered-over-time-{}", number + 1), caption, svg: chart.to_svg() })
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
    Some(Plot { name: shown.name.to_owned(), caption, svg: chart.to_svg() })
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
