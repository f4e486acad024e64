//! The home client against nodes that answer well, badly, slowly, or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")] // A test that cannot go on has failed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use griot_client::home::{
    Connection, Fingerprint, HomeClient, HomeError, HomeStream, HomeUrl, Patience, StreamItem, Target,
};
use griot_protocol::{
    Address, Cursor, NodeId, Nonce, RecordId,
    api::{StreamEvent, StreamRequest},
    feed,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};

/// Short, so that tests of silence are quick; long enough for a busy machine to answer at once.
const PATIENCE: Patience = Patience { silence: Duration::from_millis(1500), call: Duration::from_secs(4) };

/// Ends with the test.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads one request; `None` at the end of the connection. Returns head and body.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let head_end = loop {
        if let Some(at) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok()?;
        if n == 0 {
            return None;
        }
        seen.extend_from_slice(&chunk[..n]);
    };
    let head = String::from_utf8_lossy(&seen[..head_end]).into_owned();
    let length = head.to_ascii_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
    let mut body = seen[head_end..].to_vec();
    while body.len() < length.unwrap_or(0) {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok()?;
        body.extend_from_slice(&chunk[..n]);
    }
    Some((head, body))
}

fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn ok(json: &str) -> Vec<u8> {
    answer("200 OK", "application/json", json.as_bytes())
}

/// Answers every request with what `reply` makes of it, on any number of connections.
async fn scripted<F>(reply: F) -> (Serving, HomeUrl)
where
    F: Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let reply = Arc::new(reply);
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(stream, reply.clone()));
        }
    });
    (Serving(serving), url)
}

async fn converse<S, F>(mut stream: S, reply: Arc<F>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(&str, &[u8]) -> Vec<u8>,
{
    while let Some((head, body)) = read_request(&mut stream).await {
        if stream.write_all(&reply(&head, &body)).await.is_err() {
            return;
        }
    }
}

fn target(url: HomeUrl) -> Target {
    Target::new(url, None, None, false, PATIENCE).unwrap()
}

async fn greet(url: HomeUrl) -> HomeError {
    HomeClient::new(target(url)).greet().await.unwrap_err()
}

fn accepted(body: &[u8]) -> Vec<u8> {
    let id = RecordId(*blake3::hash(body).as_bytes());
    answer("202 Accepted", "application/json", format!(r#"{{"id":"{id}","duplicate":false,"new":1}}"#).as_bytes())
}

#[tokio::test]
async fn submits_over_one_kept_connection_with_token_and_host() {
    let (heads_in, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let (_serving, url) = scripted(move |head, body| {
        heads_in.send(head.to_owned()).unwrap();
        accepted(body)
    })
    .await;
    let host = url.authority();
    let target = Target::new(url, Some("s3cret"), None, false, PATIENCE).unwrap();
    let mut connection = Connection::new(Arc::new(target));
    for frame in ["one", "two"] {
        let got = connection.submit(Bytes::from(frame)).await.unwrap();
        assert_eq!(got.id, RecordId(*blake3::hash(frame.as_bytes()).as_bytes()));
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("POST /v1/records HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        assert!(head.contains("authorization: Bearer s3cret\r\n"), "{head}");
        assert!(head.contains("content-type: application/octet-stream\r\n"), "{head}");
    }
}

#[tokio::test]
async fn goes_on_after_the_home_closed_an_idle_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    // One answer a connection, without saying that it will close.
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Some((_, body)) = read_request(&mut stream).await {
                stream.write_all(&accepted(&body)).await.unwrap();
            }
        }
    });
    let _serving = Serving(serving);
    let mut connection = Connection::new(Arc::new(target(url)));
    for i in 0..20u8 {
        connection.submit(Bytes::from(vec![i])).await.unwrap();
    }
}

#[tokio::test]
async fn reads_pages_and_knows_where_they_end() {
    let cursor = Cursor { epoch: 1, position: 2 };
    let (_serving, url) = scripted(move |head, _| {
        let mut page = Vec::new();
        if head.starts_with("GET /v1/mailboxes/") && !head.contains("?after=") {
            feed::push_to_page(&mut page, cursor, b"frame");
        }
        answer("200 OK", "application/octet-stream", &page)
    })
    .await;
    let home = HomeClient::new(target(url));
    let page = home.fetch(&Address([1; 32]), None).await.unwrap();
    assert_eq!(page.entries, vec![(cursor, Bytes::from_static(b"frame"))]);
    assert!(page.more);
    let page = home.fetch(&Address([1; 32]), Some(cursor)).await.unwrap();
    assert!(page.entries.is_empty() && !page.more);
}

#[tokio::test]
async fn an_error_is_a_problem_and_an_unknown_record_is_none() {
    let (_serving, url) = scripted(|head, _| {
        let status = if head.starts_with("GET /v1/records") { "404 Not Found" } else { "422 Unprocessable" };
        let body = br#"{"type":"urn:griot:problem:postage","title":"Refused","status":422,"detail":"too low"}"#;
        answer(status, "application/problem+json", body)
    })
    .await;
    let home = HomeClient::new(target(url));
    assert_eq!(home.status(&RecordId([0; 32])).await.unwrap(), None);
    let HomeError::Refused(problem) = home.submit(Bytes::new()).await.unwrap_err() else { panic!("no problem") };
    assert_eq!(problem.reason(), Some("postage"));
}

#[tokio::test]
async fn oversized_answers_are_not_read() {
    let (_serving, url) = scripted(|_, _| b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec()).await;
    assert!(matches!(greet(url).await, HomeError::TooLarge { .. }));
    let (_serving, url) = scripted(|_, _| {
        let mut reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..40 {
            reply.extend_from_slice(b"4000\r\n");
            reply.extend_from_slice(&[b' '; 0x4000]);
            reply.extend_from_slice(b"\r\n");
        }
        reply
    })
    .await;
    assert!(matches!(greet(url).await, HomeError::TooLarge { .. }));
    // An endless head.
    let (_serving, url) = scripted(|_, _| [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 4 << 20]].concat()).await;
    let error = greet(url).await;
    assert!(matches!(error, HomeError::NotANode(_)), "{error:?}");
}

#[tokio::test]
async fn garbage_is_no_node() {
    for reply in [
        &b"\x00\x01\x02\x03 not http\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfe\xfd",
    ] {
        let (_serving, url) = scripted(|_, _| reply.to_vec()).await;
        let error = greet(url).await;
        assert!(matches!(error, HomeError::NotANode(_)), "{reply:?}: {error:?}");
    }
    // A page whose entry is longer than the page, and one that announces four gigabytes.
    for lie in [10u32, u32::MAX] {
        let (_serving, url) = scripted(move |_, _| {
            answer("200 OK", "application/octet-stream", &[&[0; 16][..], &lie.to_le_bytes()].concat())
        })
        .await;
        let error = HomeClient::new(target(url)).fetch(&Address([0; 32]), None).await.unwrap_err();
        assert!(matches!(error, HomeError::NotANode(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_cut_connection_is_an_unreachable_home() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HomeUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await.unwrap();
        }
    });
    let error = greet(url.clone()).await;
    assert!(matches!(error, HomeError::Unreachable(_)), "{error:?}");
    serving.abort();
    let _ended = serving.await;
    let error = greet(url).await;
    assert!(error.to_string().contains("is the node running"), "{error}");
    let error = greet("unix:/nonexistent/api.sock".parse().unwrap()).await;
    assert!(error.to_string().contains("is the node running"), "{error}");
}

#[tokio::test]
async fn silence_and_dribbling_end_in_time() {
    let patience = Patience { silence: Duration::from_millis(200), call: Duration::from_millis(600) };
    // Accepts, and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HomeUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let silent = HomeClient::new(Target::new(url, None, None, false, patience).unwrap());
    assert_eq!(silent.greet().await.unwrap_err(), HomeError::Silent(patience.silence));
    let error = silent.stream().await.unwrap_err();
    assert_eq!(error, HomeError::Silent(patience.silence));

    // A byte at a time, for ever.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HomeUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let _serving = Serving(serving);
    let dribbling = HomeClient::new(Target::new(url, None, None, false, patience).unwrap());
    assert_eq!(dribbling.greet().await.unwrap_err(), HomeError::Silent(patience.call));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (_other, elsewhere) = scripted(|_, _| panic!("followed")).await;
    let elsewhere = elsewhere.to_string();
    let location = elsewhere.clone();
    let (_serving, url) = scripted(move |_, _| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}/v1/node\r\ncontent-length: 0\r\n\r\n").into()
    })
    .await;
    let HomeError::Redirect(to) = greet(url).await else { panic!("no redirect") };
    assert!(to.starts_with(&elsewhere));
}

#[tokio::test]
async fn plain_http_off_this_machine_is_refused_before_a_byte_is_sent() {
    let url: HomeUrl = "http://192.0.2.1:7700".parse().unwrap();
    let error = Target::new(url.clone(), Some("t"), None, false, PATIENCE).unwrap_err();
    assert!(matches!(error, HomeError::Url(_)), "{error:?}");
    assert!(Target::new(url.clone(), Some("t"), None, true, PATIENCE).is_ok());
    let error = Target::new(url, Some("a\nb"), None, true, PATIENCE).unwrap_err();
    assert_eq!(error, HomeError::Token);
}

#[tokio::test]
async fn a_unix_socket_works_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, Arc::new(|_: &str, body: &[u8]| accepted(body))).await;
    });
    let _serving = Serving(serving);
    let home = HomeClient::new(target(format!("unix:{}", path.display()).parse().unwrap()));
    assert!(!home.submit(Bytes::from_static(b"x")).await.unwrap().duplicate);
}

/// A TLS server with a fresh certificate; returns its fingerprint.
async fn tls_server() -> (Serving, HomeUrl, Fingerprint) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let fingerprint = Fingerprint::of(&certificate).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    converse(stream, Arc::new(|_: &str, body: &[u8]| accepted(body))).await;
                }
            });
        }
    });
    (Serving(serving), url, fingerprint)
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_and_no_other() {
    let (_serving, url, pin) = tls_server().await;
    let (_other, _, wrong_pin) = tls_server().await;
    let with = |pin| HomeClient::new(Target::new(url.clone(), None, Some(pin), false, PATIENCE).unwrap());
    assert!(with(pin).submit(Bytes::from_static(b"x")).await.is_ok());
    let error = with(wrong_pin).submit(Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(&error, HomeError::Certificate(why) if why.contains("not the pinned one")), "{error:?}");
    // Without a pin, nobody vouches for it. Where the system has no roots, that is said instead.
    match Target::new(url.clone(), None, None, false, PATIENCE) {
        Ok(target) => {
            let error = HomeClient::new(target).submit(Bytes::from_static(b"x")).await.unwrap_err();
            assert!(matches!(&error, HomeError::Certificate(why) if why.contains("--fingerprint")), "{error:?}");
        }
        Err(error) => assert!(matches!(error, HomeError::Certificate(_)), "{error:?}"),
    }
}

#[tokio::test]
async fn a_tls_home_that_speaks_no_tls_is_unreachable() {
    let (_serving, url) = scripted(|_, _| ok("{}")).await;
    let HomeUrl::Http { port, .. } = url else { panic!("no port") };
    let pin = Fingerprint::of(b"x").unwrap();
    let url = format!("https://localhost:{port}").parse().unwrap();
    let target = Target::new(url, None, Some(pin), false, PATIENCE).unwrap();
    let error = HomeClient::new(target).greet().await.unwrap_err();
    assert!(matches!(error, HomeError::Unreachable(_) | HomeError::Silent(_)), "{error:?}");
}

/// Accepts one WebSocket and hands it to `play`.
async fn websocket<F, R>(play: F) -> (Serving, Target)
where
    F: FnOnce(tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    (Serving(serving), target(url))
}

fn hello() -> tokio_tungstenite::tungstenite::Message {
    let hello = StreamEvent::Hello { node_id: NodeId([7; 32]), nonce: Nonce([9; 32]) };
    serde_json::to_string(&hello).unwrap().into()
}

#[tokio::test]
async fn a_stream_brings_envelopes_and_passes_over_what_it_does_not_know() {
    use futures::{SinkExt, StreamExt};
    let address = Address([1; 32]);
    let cursor = Cursor { epoch: 3, position: 4 };
    let (_serving, target) = websocket(move |mut socket| async move {
        socket.send(r#"{"type":"weather","sun":true}"#.into()).await.unwrap();
        socket.send(hello()).await.unwrap();
        let asked = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(matches!(serde_json::from_str(&asked).unwrap(), StreamRequest::Unsubscribe { .. }));
        socket.send(feed::stream_message(&address, cursor, b"frame").into()).await.unwrap();
        socket.close(None).await.unwrap();
    })
    .await;
    let mut stream = HomeStream::open(&target).await.unwrap();
    assert_eq!((stream.node(), stream.nonce()), (NodeId([7; 32]), Nonce([9; 32])));
    stream.send(&StreamRequest::Unsubscribe { address }).await.unwrap();
    let frame = Bytes::from_static(b"frame");
    assert_eq!(stream.next().await.unwrap(), StreamItem::Envelope { address, cursor, frame });
    assert!(matches!(stream.next().await, Err(HomeError::Unreachable(_))));
}

#[tokio::test]
async fn a_stream_of_garbage_or_of_giants_ends() {
    use futures::SinkExt;
    for bad in [vec![0; 10], vec![0; 48 + 69 * 1024], vec![0; 1 << 20]] {
        let (_serving, target) = websocket(move |mut socket| async move {
            socket.send(hello()).await.unwrap();
            // The reader may be gone before all of it is written.
            let _unread = socket.send(bad.into()).await;
        })
        .await;
        let mut stream = HomeStream::open(&target).await.unwrap();
        let error = stream.next().await.unwrap_err();
        assert!(matches!(error, HomeError::NotANode(_) | HomeError::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_stream_says_why() {
    let (_serving, url) = scripted(|_, _| {
        let body = br#"{"type":"urn:griot:problem:token","title":"No","status":401,"detail":"ask the operator"}"#;
        answer("401 Unauthorized", "application/problem+json", body)
    })
    .await;
    let HomeError::Refused(problem) = HomeStream::open(&target(url)).await.unwrap_err() else { panic!("no problem") };
    assert_eq!((problem.status, problem.reason()), (401, Some("token")));
}
