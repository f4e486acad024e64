//! What a node that has just started tells whoever started it: where it is, and what to do next.

use std::{fmt::Write, time::Duration};

use griot_protocol::api::NodeInfo;

use crate::{
    api::Server,
    config::{Config, LogFormat},
    runtime::Service,
};

/// How long to wait for the first listening address before saying that there is none.
const LISTEN_WAIT: Duration = Duration::from_secs(3);

/// How often to look for one.
const LISTEN_STEP: Duration = Duration::from_millis(20);

/// Prints the banner to stderr as soon as the node knows its addresses.
pub(super) fn show(config: &Config, service: &Service) {
    // Programs read the log; the banner is for people.
    if config.log.format == LogFormat::Json {
        return;
    }
    let handle = service.handle();
    let doors = doors(config, service.server());
    tokio::spawn(async move {
        let mut waited = Duration::ZERO;
        while let Ok(info) = handle.info().await {
            if info.listen.is_empty() && waited < LISTEN_WAIT {
                tokio::time::sleep(LISTEN_STEP).await;
                waited += LISTEN_STEP;
                continue;
            }
            eprintln!("{}", text(&info, &doors));
            return;
        }
    });
}

/// The API's addresses, and the client's next command.
struct Doors {
    lines: String,
    next: String,
}

fn doors(config: &Config, server: &Server) -> Doors {
    let scheme = if server.fingerprint().is_some() { "https" } else { "http" };
    let mut lines = format!("  API       unix:{}\n            {scheme}://{}", server.socket().display(), server.tcp());
    if let Some(fingerprint) = server.fingerprint() {
        let _ = write!(lines, "\n            certificate SHA-256 {fingerprint}");
    }
    if let Some(metrics) = server.metrics() {
        let _ = write!(lines, "\n  metrics   http://{metrics}/metrics");
    }
    let next = format!("griot init --name YOU --node unix:{}", server.socket().display());
    Doors { lines: format!("  data      {}\n{lines}", config.data_dir.display()), next }
}

fn text(info: &NodeInfo, doors: &Doors) -> String {
    let mut listen = info.listen.join("\n            ");
    if listen.is_empty() {
        "nowhere: see the log".clone_into(&mut listen);
    }
    // An address that others can use, where there is one.
    let reachable = info.listen.iter().find(|address| !address.contains("/127.0.0.1/") && !address.contains("/::1/"));
    let join = reachable.or(info.listen.first()).map_or("MULTIADDR", String::as_str);
    format!(
        "griotd {version} is running on network {network}\n  peer id   {peer}\n  listens   {listen}\n{doors}\n\nNext:\n  \
         {next}\n  griotd --peer {join}   (on another machine, to join this node)\n",
        version = info.version,
        network = info.network,
        peer = info.peer_id,
        doors = doors.lines,
        next = doors.next,
    )
}
