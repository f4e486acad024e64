//! The engine with homes that do not behave: each fails alone, and none holds a command for longer than its patience.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")] // A test that cannot go on has failed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use griot_client::{
    agent::{Engine, now, rng},
    core::{Client, ClientError, InviteOptions, NewHome},
    home::Patience,
    store::{SledStore, StoreKey},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

const PATIENCE: Patience = Patience { silence: Duration::from_millis(1000), call: Duration::from_secs(3) };

/// A home that answers every request with `reply`, or with silence.
async fn home(reply: Option<&'static [u8]>) -> (JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            match reply {
                None => silent.push(stream),
                Some(reply) => {
                    let mut request = [0; 4096];
                    let _read = stream.read(&mut request).await;
                    let _cut = stream.write_all(reply).await;
                }
            }
        }
    });
    (task, url)
}

fn engine(dir: &Path, homes: &[&str]) -> Engine {
    let store = SledStore::create(dir, &StoreKey::KeyFile).unwrap();
    let mut account = Client::create(store, Box::new(rng().unwrap()), now(), "Awa").unwrap();
    for url in homes {
        account.add_home(&NewHome { url: url.to_string(), ..NewHome::default() }).unwrap();
    }
    Engine::start(account, PATIENCE)
}

#[tokio::test]
async fn silent_homes_cost_their_patience_once_and_together() {
    let dir = tempfile::tempdir().unwrap();
    let ((_a, a), (_b, b), (_c, c)) = (home(None).await, home(None).await, home(None).await);
    let engine = engine(dir.path(), &[&a, &b, &c]);
    let began = Instant::now();
    let round = engine.greet().await;
    assert!(began.elapsed() < PATIENCE.silence * 5 / 2, "{:?}", began.elapsed());
    assert_eq!(round.failed.keys().collect::<Vec<_>>().len(), 3);
    assert!(round.failed.values().all(|why| why.contains("no answer")), "{round:?}");
    assert_eq!(round.broken, None);
    // Sending does not wait for them again.
    let began = Instant::now();
    engine.push().await;
    assert!(began.elapsed() < PATIENCE.silence / 2, "{:?}", began.elapsed());
    engine.close().await;
}

#[tokio::test]
async fn liars_and_refusers_break_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let replies: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xff\xff\xff",
        b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        b"",
    ];
    let mut homes = Vec::new();
    for reply in replies {
        homes.push(home(Some(reply)).await);
    }
    let urls: Vec<&str> = homes.iter().map(|(_, url)| url.as_str()).collect();
    let engine = engine(dir.path(), &urls);
    engine.go_live();
    for _ in 0..3 {
        let round = engine.greet().await;
        assert_eq!(round.failed.len(), replies.len(), "{round:?}");
        assert_eq!(round.broken, None);
    }
    let invite = engine.with(|account| account.create_invite(now(), InviteOptions::default()));
    assert!(matches!(invite, Err(ClientError::NoNetwork)), "{invite:?}");
    engine.close().await;
}
