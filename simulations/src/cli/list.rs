//! `griot-sim list`.

use std::process::ExitCode;

use clap::Args;

use crate::scenario::{Overrides, builtin, load, parse};

/// What to show.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print the whole text of one scenario instead.
    #[arg(long, value_name = "SCENARIO")]
    show: Option<String>,
    /// Print one JSON object a line.
    #[arg(long, conflicts_with = "show")]
    json: bool,
}

/// Shows the built-in scenarios.
pub fn list(args: &ListArgs) -> ExitCode {
    if let Some(name) = &args.show {
        return super::done(load(name).map(|source| source.text));
    }
    for (name, _) in builtin::ALL {
        let scenario = match load(name).and_then(|source| parse(&source, &Overrides::default())) {
            Ok(scenario) => scenario,
            Err(error) => return super::fail(&error),
        };
        if args.json {
            let line = serde_json::json!({
                "name": name,
                "about": scenario.about,
                "duration": scenario.duration.to_string(),
                "compress": scenario.compress,
                "nodes": scenario.network.nodes,
                "sources": scenario.sources,
            });
            println!("{line}");
        } else {
            let times = if scenario.compress > 1 { format!(" ÷ {}", scenario.compress) } else { String::new() };
            println!(
                "{name:<30} {:>3} nodes, {:<12} {}",
                scenario.network.nodes,
                format!("{}{times}", scenario.duration),
                scenario.about
            );
        }
    }
    ExitCode::SUCCESS
}
