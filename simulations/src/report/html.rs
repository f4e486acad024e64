//! The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere.

use std::fmt::Write as _;

use super::{Plot, RunData, svg::escape};
use crate::outcome::{Figures, figures::Percentiles};

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:16px/1.5 Helvetica,Arial,'DejaVu Sans',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}\
table{border-collapse:collapse;margin:.8rem 0;font-size:.92rem}\
th,td{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
figure{margin:1.2rem 0;break-inside:avoid}figure svg{max-width:100%;height:auto}\
figcaption{font-size:.88rem;color:#444;max-width:44rem}code{font-size:.88rem;background:#f4f4f4;padding:.05rem .25rem}\
pre{background:#f4f4f4;padding:.6rem;overflow-x:auto;font-size:.85rem}\
.broken{font-weight:bold;border-left:6px solid #D55E00;padding-left:.6rem}\
@media print{body{margin:0;max-width:none}}";

/// A page.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}</body></html>\n",
        escape(title)
    )
}

/// Plots with their captions.
#[must_use]
pub fn figures(plots: &[Plot]) -> String {
    let mut html = String::new();
    for plot in plots {
        // Several drawings in one page must not share the name of their pattern.
        let svg = plot.svg.replace("\"hatch\"", &format!("\"hatch-{}\"", plot.name));
        let svg = svg.replace("url(#hatch)", &format!("url(#hatch-{})", plot.name));
        let _ = writeln!(html, "<figure>\n{svg}<figcaption>{}</figcaption></figure>", escape(&plot.caption));
    }
    html
}

/// The report of a run.
#[must_use]
pub fn run(data: &RunData, plots: &[Plot]) -> String {
    let (manifest, summary) = (&data.manifest, &data.summary);
    let mut body = format!(
        "<h1>{}, seed {}</h1>\n<p>{} nodes, {} people, {} of run time{}. Made by griot-sim {} in {:.0} s ({:.0} virtual seconds \
         a second).</p>\n",
        escape(&manifest.scenario),
        manifest.seed,
        summary.nodes,
        summary.people,
        duration(summary.virtual_ms),
        if manifest.compress > 1 { format!(", times divided by {}", manifest.compress) } else { String::new() },
        escape(&manifest.version),
        manifest.wall_seconds,
        manifest.speed,
    );
    if summary.interrupted {
        body += "<p class=\"broken\">The run was interrupted: what follows is about the time until then.</p>\n";
    }
    if summary.broken_invariants > 0 {
        let _ =
            writeln!(body, "<p class=\"broken\">{} invariants did not hold: see below.</p>", summary.broken_invariants);
    }
    body += "<h2>Figures</h2>\n";
    body += &figures_table(&summary.figures, summary.central.as_ref());
    body += "<h2>Plots</h2>\n";
    body += &figures(plots);
    body += "<h2>Invariants</h2>\n<table><tr><th>invariant</th><th class=\"n\">checks</th><th class=\"n\">broken</th></tr>\n";
    for invariant in &summary.invariants {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&invariant.name),
            invariant.checks,
            invariant.broken
        );
        for example in &invariant.examples {
            let _ = writeln!(body, "<tr><td colspan=\"3\">{}</td></tr>", escape(example));
        }
    }
    body += "</table>\n";
    if !summary.counters.is_empty() {
        body += "<h2>Counters</h2>\n<table><tr><th>counter</th><th class=\"n\">sum over all nodes</th></tr>\n";
        for (name, value) in &summary.counters {
            let _ = writeln!(body, "<tr><td>{}</td><td class=\"n\">{value}</td></tr>", escape(name));
        }
        body += "</table>\n";
    }
    let _ = writeln!(
        body,
        "<h2>To run it again</h2>\n<pre>{}</pre>\n<p>Trace <code>{}</code><br>plan <code>{}</code><br>scenario <code>{}</code></p>",
        escape(&manifest.replay),
        escape(&summary.trace_hash),
        escape(&manifest.plan_hash),
        escape(&manifest.scenario_hash)
    );
    if !manifest.scenario_text.is_empty() {
        let _ = writeln!(body, "<h2>Scenario</h2>\n<pre>{}</pre>", escape(&manifest.scenario_text));
    }
    page(&format!("{}, seed {}", manifest.scenario, manifest.seed), &body)
}

/// How a figure is shown.
type Shown = Box<dyn Fn(&Figures) -> String>;

fn figures_table(griot: &Figures, central: Option<&Figures>) -> String {
    let percent = |part: u64, whole: u64| {
        if whole == 0 { "none".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
    };
    let rows: Vec<(&str, Shown)> = vec![
        ("Messages", Box::new(|f| f.messages.to_string())),
        ("… times their readers (offered)", Box::new(|f| f.offered.to_string())),
        ("Delivered", Box::new(move |f| format!("{} ({})", f.delivered, percent(f.delivered, f.offered)))),
        ("Delivered exactly once", Box::new(|f| f.delivered_exactly_once.to_string())),
        ("Lost (accepted, expired unread)", Box::new(|f| f.lost.to_string())),
        ("Still waiting at the end", Box::new(|f| f.waiting.to_string())),
        ("Never accepted by any node", Box::new(|f| f.not_accepted.to_string())),
        ("Duplicates dropped by clients", Box::new(|f| f.duplicates.to_string())),
        (
            "Written in the outage and read in it",
            Box::new(move |f| {
                f.outage.as_ref().map_or_else(String::new, |o| {
                    format!(
                        "{} of {} ({})",
                        o.delivered_during_outage,
                        o.offered,
                        percent(o.delivered_during_outage, o.offered)
                    )
                })
            }),
        ),
        ("Time to heal (last of the backlog)", Box::new(|f| f.time_to_heal_ms.map_or_else(|| "–".into(), duration))),
        ("Latency", Box::new(|f| percentiles(&f.latency_ms))),
        (
            "Latency, written in the outage",
            Box::new(|f| f.outage.as_ref().map_or_else(String::new, |outage| percentiles(&outage.latency_ms))),
        ),
        ("Time to a custody receipt", Box::new(|f| percentiles(&f.stored_ms))),
        ("Hops", Box::new(|f| format!("{:.2} on average, {} at most", f.hops.mean, f.hops.max))),
        ("Frames sent for each message", Box::new(|f| format!("{:.1}", f.copies_per_message))),
        ("… for each node that came to hold it", Box::new(|f| format!("{:.2}", f.redundancy))),
        (
            "Sent by a node",
            Box::new(|f| {
                format!(
                    "{} on average, {} at most",
                    bytes(f.sent_bytes_per_node.mean),
                    bytes(f.sent_bytes_per_node.max as f64)
                )
            }),
        ),
        ("Sent for each delivery", Box::new(|f| bytes(f.bytes_per_delivery))),
        (
            "Most held by a node",
            Box::new(|f| format!("{} in {} records", bytes(f.stored_bytes_max as f64), f.records_max)),
        ),
        ("Nodes up", Box::new(|f| format!("{:.2} % of the time, {} crashes", 100.0 * f.up_fraction, f.crashes))),
    ];
    let mut html = String::from("<table><tr><th></th><th class=\"n\">Griot</th>");
    html += if central.is_some() { "<th class=\"n\">one central provider</th></tr>\n" } else { "</tr>\n" };
    for (name, value) in rows {
        let _ = write!(html, "<tr><td>{}</td><td class=\"n\">{}</td>", escape(name), escape(&value(griot)));
        if let Some(central) = central {
            let _ = write!(html, "<td class=\"n\">{}</td>", escape(&value(central)));
        }
        html += "</tr>\n";
    }
    html + "</table>\n"
}

fn percentiles(of: &Percentiles) -> String {
    if of.samples == 0 {
        return "–".into();
    }
    format!("p50 {}, p95 {}, p99 {}, max {}", duration(of.p50), duration(of.p95), duration(of.p99), duration(of.max))
}

/// A duration for people: two units at most.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..120_000 => format!("{:.1} s", ms as f64 / 1000.0),
        120_000..7_200_000 => format!("{:.1} min", ms as f64 / 60_000.0),
        7_200_000..172_800_000 => format!("{:.1} h", ms as f64 / 3_600_000.0),
        _ => format!("{:.1} d", ms as f64 / 86_400_000.0),
    }
}

/// Bytes for people.
#[must_use]
pub fn bytes(count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
