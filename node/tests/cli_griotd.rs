//! `griotd` as scripts use it: exit codes, stdout, files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn griotd(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_griotd"));
    command.env_clear().env("HOME", dir).arg("--data-dir").arg(dir.join("data"));
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    griotd(dir).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

struct Node(Child);

impl Node {
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    fn start_with(dir: &Path, env: &[(&str, &str)]) -> Self {
        let args = ["--listen", "/ip4/127.0.0.1/tcp/0", "--no-discovery", "--api", "127.0.0.1:0"];
        let child = griotd(dir).args(args).envs(env.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let mut node = Self(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !run(dir, &["status"]).status.success() {
            assert!(node.0.try_wait().unwrap().is_none(), "griotd ended: {}", node.stderr());
            assert!(Instant::now() < deadline, "griotd does not serve");
            std::thread::sleep(Duration::from_millis(50));
        }
        node
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// SIGTERM, and the exit code.
    fn stop(self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM)
    }

    fn signal(mut self, signal: rustix::process::Signal) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_node_status_fails_at_once_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["status", "--json"][..], &["peers"], &["member", "list"], &["bundle", "export", "/dev/null/x"]] {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains("no node is running"), "{}", text(&output.stderr));
    }
    assert_eq!(run(dir.path(), &["id"]).status.code(), Some(1));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2_and_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |args: &[&str], with: &str| {
        let output = run(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(with), "{args:?}: {}", text(&output.stderr));
    };
    fails(&["--netwrok", "x"], "--network");
    fails(&["--network", "No!"], "a-z");
    fails(&["--api", "0.0.0.0:7700"], "--api-tls");
    fails(&["--bits", "17"], "0 to 16");
    std::fs::write(dir.path().join("bad.toml"), "[limits]\nmember_byts = 1\n").unwrap();
    fails(&["--config", dir.path().join("bad.toml").to_str().unwrap()], "did you mean `limits.member_bytes`?");
    fails(&["--config", "/no/such/file"], "cannot read");
    let long = dir.path().join("d".repeat(100));
    let output = Command::new(env!("CARGO_BIN_EXE_griotd")).arg("--data-dir").arg(&long).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("shorter --data-dir"));
    assert!(!long.exists());
    let help = run(dir.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["status", "peers", "member", "bundle", "backup", "restore", "verify", "doctor"] {
        assert!(text(&help.stdout).contains(command), "{command}");
    }
}

#[test]
fn a_running_node_is_inspected_changed_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let output = run(dir.path(), &["status", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<_> = output.stdout.lines().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 1);
    let status: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let peer_id = status["peer_id"].as_str().unwrap();
    assert!(status["listen"][0].as_str().unwrap().ends_with(&format!("/p2p/{peer_id}")), "{status}");
    assert_eq!((status["peers"].as_u64(), status["network"].as_str()), (Some(0), Some("griot")));
    assert!(status["records"].is_u64());
    let id = run(dir.path(), &["id"]);
    assert_eq!(text(&id.stdout).trim(), status["node_id"].as_str().unwrap());

    let added = run(dir.path(), &["member", "add", "Awa"]);
    assert!(text(&added.stdout).trim().starts_with("grt_") && text(&added.stdout).lines().count() == 1);
    let list = run(dir.path(), &["member", "list", "--json"]);
    let member: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(member["label"], "Awa");
    assert_eq!(run(dir.path(), &["member", "revoke", member["id"].as_str().unwrap()]).status.code(), Some(0));
    assert!(run(dir.path(), &["member", "list", "--json"]).stdout.is_empty());
    assert_eq!(run(dir.path(), &["member", "revoke", "0"]).status.code(), Some(1));

    let file = dir.path().join("stick.griot");
    let file = file.to_str().unwrap();
    assert_eq!(run(dir.path(), &["bundle", "export", file]).status.code(), Some(0));
    assert_eq!(run(dir.path(), &["bundle", "import", file]).status.code(), Some(0));
    let backup = dir.path().join("node.bak");
    let made = run(dir.path(), &["backup", backup.to_str().unwrap()]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&backup).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(dir.path(), &["verify"]).status.code(), Some(0));
    let doctor = run(dir.path(), &["doctor"]);
    assert!(text(&doctor.stdout).contains("a node runs"), "{}", text(&doctor.stdout));
    assert_eq!(status["report"]["outbox"]["envelopes"], 0, "{status}");
    assert_eq!(status["report"]["disk"]["trend"], "unknown", "{status}");
    assert_eq!((&status["syncs"]["peers"], &status["syncs"]["newest_seconds"]), (&0.into(), &serde_json::Value::Null));
    let plain = text(&run(dir.path(), &["status"]).stdout);
    assert!(plain.contains("how long it lasts is not known yet"), "{plain}");

    // A second node on the same data directory says why it does not start, and leaves the first alone.
    let second = run(dir.path(), &["--listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0", "run"]);
    assert_eq!(second.status.code(), Some(1));
    let why = text(&second.stderr);
    assert!(why.contains("another process") && why.contains(&dir.path().join("data").display().to_string()), "{why}");
    assert_eq!(run(dir.path(), &["status"]).status.code(), Some(0));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(run(dir.path(), &["status"]).status.code(), Some(1));
}

#[test]
fn json_logs_are_one_object_a_line_and_interrupting_ends_the_node_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start_with(dir.path(), &[("GRIOT_LOG_FORMAT", "json"), ("GRIOT_LOG", "debug,sled=warn")]);
    let mut log = node.0.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(node.signal(rustix::process::Signal::INT), Some(0));
    let log = reader.join().unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let says = |message: &str| lines.iter().find(|line| line["message"] == message);
    let listening = says("listening").unwrap();
    assert!(listening["address"].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"), "{listening}");
    assert!(listening["timestamp"].is_string() && listening["level"] == "INFO" && listening["target"].is_string());
    assert!(says("interrupted: stopping").is_some() && says("stopped").is_some(), "{log}");
}

#[test]
fn peers_lists_a_configured_one_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let peer = format!("/ip4/127.0.0.1/tcp/{port}");
    let node = Node::start_with(dir.path(), &[("GRIOT_PEER", &peer)]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let listed = loop {
        let output = run(dir.path(), &["peers", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if listed["failures"].as_u64() > Some(0) && listed["state"] == "waiting" {
            break listed;
        }
        assert!(Instant::now() < deadline, "{listed}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(
        (&listed["connected"], &listed["configured"], &listed["peer_id"]),
        (&false.into(), &true.into(), &"".into())
    );
    assert_eq!(listed["addresses"][0], peer);
    assert!(
        listed["next_try_seconds"].is_u64() && listed["last_error"].as_str().unwrap().contains("refused"),
        "{listed}"
    );
    let line = text(&run(dir.path(), &["peers"]).stdout);
    assert!(line.starts_with("(not reached yet) ") && line.contains(&peer) && line.contains("refused"), "{line}");
    let doctor = run(dir.path(), &["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains(&format!("PROBLEM  the configured peer {peer}")), "{}", text(&doctor.stdout));
    assert_eq!(node.stop(), Some(0));
}

/// What `doctor --json` finds: its exit code, and each finding's check, level, and whole object.
fn examined(dir: &Path) -> (Option<i32>, Vec<(String, String, serde_json::Value)>) {
    let output = run(dir, &["doctor", "--json"]);
    let findings = output.stdout.lines().map(|line| {
        let finding: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let word = |key: &str| finding[key].as_str().unwrap().to_owned();
        assert_eq!(finding["level"] == "ok", finding["do"].is_null(), "each but the good says what to do: {finding}");
        (word("check"), word("level"), finding)
    });
    (output.status.code(), findings.collect())
}

#[test]
fn doctor_examines_a_healthy_node_and_names_what_is_wrong_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let (code, before) = examined(dir.path());
    assert!(before.iter().any(|(check, level, _)| check == "node" && level == "note"), "no node yet: {before:?}");
    assert!(!dir.path().join("data").exists(), "looking creates nothing");
    let taken = before.iter().any(|(_, level, _)| level == "problem");
    assert_eq!(code == Some(0), !taken, "default ports may be taken on this machine: {before:?}");

    let node = Node::start(dir.path());
    let (code, healthy) = examined(dir.path());
    // How fast this machine's disk is, under whatever else runs here, is nobody's fault.
    let timed = |(check, _, finding): &(String, String, serde_json::Value)| {
        check == "disk" && finding["text"].as_str().unwrap().contains("one fdatasync takes")
    };
    assert!(healthy.iter().any(timed), "{healthy:?}");
    let problems = |found: &[(String, String, serde_json::Value)]| -> Vec<(String, serde_json::Value)> {
        let wrong = found.iter().filter(|row| row.1 == "problem" && !timed(row));
        wrong.map(|(check, _, finding)| (check.clone(), finding.clone())).collect()
    };
    assert_eq!(problems(&healthy), [], "{healthy:?}");
    assert_eq!(code == Some(0), healthy.iter().all(|(_, level, _)| level != "problem"), "{healthy:?}");
    let has = |check: &str, level: &str, words: &str| {
        healthy
            .iter()
            .any(|(c, l, finding)| c == check && l == level && finding["text"].as_str().unwrap().contains(words))
    };
    assert!(has("version", "ok", "griotd"), "{healthy:?}");
    assert!(has("clock", "ok", "plausible") && has("clock", "note", "no neighbour"), "{healthy:?}");
    assert!(has("permissions", "ok", "mode 700") && has("permissions", "ok", "api.sock (mode 600)"), "{healthy:?}");
    assert!(has("disk", "ok", "are free") && has("disk", "ok", "not known yet"), "{healthy:?}");
    assert!(
        has("ports", "ok", "listens on /ip4/127.0.0.1/tcp/") && has("ports", "ok", "the API answers"),
        "{healthy:?}"
    );
    assert!(has("peers", "note", "connected to nobody") && has("outbox", "ok", "0 envelope(s)"), "{healthy:?}");

    // Somebody let others at the socket.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(dir.path().join("data/api.sock"), open).unwrap();
    let (code, exposed) = examined(dir.path());
    assert_eq!(code, Some(1));
    let [(check, finding)] = &problems(&exposed)[..] else { panic!("{exposed:?}") };
    assert_eq!(check, "permissions");
    assert!(finding["do"].as_str().unwrap().contains("chmod 600"), "{finding}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_configured_peer_that_is_there_is_synced_with_and_proves_reachability() {
    let (host_dir, guest_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let host = Node::start(host_dir.path());
    let status: serde_json::Value =
        serde_json::from_slice(&run(host_dir.path(), &["status", "--json"]).stdout).unwrap();
    let address = status["listen"][0].as_str().unwrap().to_owned();
    let guest = Node::start_with(guest_dir.path(), &[("GRIOT_PEER", &address)]);
    // Whichever has the smaller id begins; the other is told by the next comparison, half a minute later.
    let deadline = Instant::now() + Duration::from_secs(60);
    let synced =
        |dir: &Path| -> serde_json::Value { serde_json::from_slice(&run(dir, &["status", "--json"]).stdout).unwrap() };
    let dir = loop {
        let dirs = [host_dir.path(), guest_dir.path()];
        if let Some(dir) = dirs.into_iter().find(|dir| synced(dir)["syncs"]["newest_seconds"].is_u64()) {
            break dir;
        }
        assert!(Instant::now() < deadline, "nobody has synced");
        std::thread::sleep(Duration::from_millis(50));
    };
    let line = text(&run(dir, &["peers"]).stdout);
    assert!(line.contains("synced ") && line.contains(" came, "), "{line}");
    let status = text(&run(dir, &["status"]).stdout);
    assert!(status.lines().any(|line| line.starts_with("synced    ") && line.ends_with(" ago")), "{status}");
    assert!(status.lines().any(|line| line.starts_with("clock     as one neighbour")), "{status}");
    let (_, found) = examined(host_dir.path());
    let dialled = |(check, level, finding): &(String, String, serde_json::Value)| {
        check == "reachability" && level == "ok" && finding["text"].as_str().unwrap().contains("1 of 1 connected peers")
    };
    assert!(found.iter().any(dialled), "{found:?}");
    assert_eq!(guest.stop(), Some(0));
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_socket_left_by_kill_9_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path());
    node.0.kill().unwrap();
    node.0.wait().unwrap();
    assert!(dir.path().join("data/api.sock").exists());
    assert_eq!(run(dir.path(), &["status"]).status.code(), Some(1));
    let node = Node::start(dir.path());
    assert_eq!(node.stop(), Some(0));
}
