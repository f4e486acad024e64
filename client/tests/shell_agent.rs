//! The agent's socket: other processes' commands go through whoever has the store open.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")] // A test that cannot go on has failed.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use griot_client::agent::{Ending, Guest, Handler, Line, Printer, Request, Server, Stop, Visit};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{Barrier, mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// What no step of these tests needs even on a busy machine.
const LONG: Duration = Duration::from_secs(20);

struct Owner {
    go: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

fn serve(home: &Path, handler: Handler) -> Owner {
    let (go, stop) = Stop::channel();
    let server = Server::bind(home).unwrap();
    Owner { go, serving: tokio::spawn(server.serve(handler, stop)) }
}

impl Owner {
    async fn leave(self) {
        self.go.send(true).unwrap();
        timeout(LONG, self.serving).await.unwrap().unwrap();
    }
}

fn request(command: Value) -> Request {
    Request { command, mark: None }
}

/// Prints its command three times and exits with 7.
fn echo() -> Handler {
    Arc::new(|request: Request, printer: Printer, _stop| {
        Box::pin(async move {
            for _ in 0..3 {
                printer.out(request.command.to_string()).await.unwrap();
            }
            printer.err("done").await.unwrap();
            Ending::Exit(7)
        })
    })
}

async fn collect(mut lines: mpsc::Receiver<Line>) -> Vec<Line> {
    let mut all = Vec::new();
    while let Some(line) = lines.recv().await {
        all.push(line);
    }
    all
}

#[tokio::test]
async fn a_guest_gets_lines_and_exit_code_and_nobody_else_may_enter() {
    let dir = tempfile::tempdir().unwrap();
    let owner = serve(dir.path(), echo());
    let mode = std::fs::metadata(dir.path().join("agent.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (printer, lines) = Printer::channel();
    let guest = Guest::knock(dir.path()).await.unwrap();
    let text = "x".repeat(70_000);
    let visit = guest.visit(&mut request(json!(text)), &printer).await;
    assert_eq!(visit, Visit::Ended(7));
    drop(printer);
    let lines = collect(lines).await;
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], Line::Out(format!("\"{text}\"")));
    assert_eq!(lines[3], Line::Err("done".to_owned()));
    owner.leave().await;
    assert!(!dir.path().join("agent.sock").exists());
    assert!(Guest::knock(dir.path()).await.is_none());
}

#[tokio::test]
async fn two_commands_run_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    // Neither ends before both have begun.
    let both = Arc::new(Barrier::new(2));
    let handler: Handler = Arc::new(move |_, _, _| {
        let both = both.clone();
        Box::pin(async move {
            both.wait().await;
            Ending::Exit(0)
        })
    });
    let owner = serve(dir.path(), handler);
    let visit = || async {
        let (printer, _lines) = Printer::channel();
        Guest::knock(dir.path()).await.unwrap().visit(&mut request(json!(1)), &printer).await
    };
    let visits = timeout(LONG, async { tokio::join!(visit(), visit()) }).await.unwrap();
    assert_eq!(visits, (Visit::Ended(0), Visit::Ended(0)));
    owner.leave().await;
}

#[tokio::test]
async fn an_owner_that_must_go_moves_its_waiting_guests_on_from_their_mark() {
    let dir = tempfile::tempdir().unwrap();
    let handler: Handler = Arc::new(|request: Request, printer: Printer, stop: Stop| {
        Box::pin(async move {
            if request.mark.is_some() {
                return Ending::Exit(0);
            }
            printer.mark(json!({ "after": "m1" })).await.unwrap();
            printer.out("waiting").await.unwrap();
            stop.asked().await;
            Ending::Moved
        })
    });
    let owner = serve(dir.path(), handler.clone());
    let (printer, mut lines) = Printer::channel();
    let mut asked = request(json!("wait"));
    let guest = Guest::knock(dir.path()).await.unwrap();
    let visiting = async { guest.visit(&mut asked, &printer).await };
    let leaving = async {
        assert_eq!(lines.recv().await.unwrap(), Line::Out("waiting".to_owned()));
        owner.leave().await;
    };
    let (visit, ()) = timeout(LONG, async { tokio::join!(visiting, leaving) }).await.unwrap();
    assert_eq!(visit, Visit::OwnerLeft);
    assert_eq!(asked.mark, Some(json!({ "after": "m1" })));
    // The next owner takes it up.
    let owner = serve(dir.path(), handler);
    let visit = Guest::knock(dir.path()).await.unwrap().visit(&mut asked, &printer).await;
    assert_eq!(visit, Visit::Ended(0));
    owner.leave().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_dead_one_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(Guest::knock(dir.path()).await.is_none());
    let owner = serve(dir.path(), echo());
    assert!(Guest::knock(dir.path()).await.is_some());
    owner.leave().await;
}

#[tokio::test]
async fn a_directory_with_a_long_path_works() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("x".repeat(120));
    std::fs::create_dir(&home).unwrap();
    let owner = serve(&home, echo());
    let (printer, _lines) = Printer::channel();
    let visit = Guest::knock(&home).await.unwrap().visit(&mut request(json!(1)), &printer).await;
    assert_eq!(visit, Visit::Ended(7));
    owner.leave().await;
}

#[tokio::test]
async fn a_guest_that_leaves_ends_its_command_and_garbage_ends_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (ended, mut is_ended) = mpsc::channel::<()>(1);
    let handler: Handler = Arc::new(move |_, printer: Printer, _| {
        let ended = ended.clone();
        Box::pin(async move {
            let _held_until_dropped = ended;
            printer.out("begun").await.unwrap();
            std::future::pending().await
        })
    });
    let owner = serve(dir.path(), handler);
    for garbage in [&b"{\n"[..], b"\xff\xff\xff\n", b"[1,2]\n", &[b'x'; 100_000]] {
        let mut stream = UnixStream::connect(dir.path().join("agent.sock")).await.unwrap();
        // The owner may hang up before all of it is written.
        let _cut = stream.write_all(garbage).await;
    }
    let guest = Guest::knock(dir.path()).await.unwrap();
    let (printer, mut lines) = Printer::channel();
    let visiting = tokio::spawn(async move { guest.visit(&mut request(json!(1)), &printer).await });
    assert_eq!(timeout(LONG, lines.recv()).await.unwrap(), Some(Line::Out("begun".to_owned())));
    // Killed: the owner's command must be dropped, or leaving would wait for it.
    visiting.abort();
    let began = std::time::Instant::now();
    owner.leave().await;
    assert!(began.elapsed() < Duration::from_secs(10));
    // All handlers are gone, so nobody holds a sender any more.
    assert_eq!(timeout(LONG, is_ended.recv()).await.unwrap(), None);
}
