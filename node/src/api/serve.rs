//! Listeners and connections: bind, accept, serve, and stop without cutting anybody off in the middle of a word.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use griot_protocol::api::ListeningReport;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Api, Phase,
    gate::{Door, Gate, Names},
    health::MetricsDoor,
    metrics_router, router,
    stall::Stall,
    tls,
};
use crate::{config::Config, metrics::Exposition, runtime::Handle};

/// How long a client may take for a request's head, and how long a connection may idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers in a request: browsers send about 20.
const HEADERS_MAX: usize = 64;

/// What is buffered of a connection: a whole frame with its head, so that a record arrives in few pieces.
const BUFFER_BYTES_MAX: usize = 96 * 1024;

/// Connections over the Unix socket at once. Apart from TCP's, so that the operator always gets through.
const SOCKET_CONNECTIONS_MAX: usize = 512;

/// Connections to the metrics listener at once.
const METRICS_CONNECTIONS_MAX: usize = 16;

/// How long requests under way may take once the node shuts down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after accepting failed, which is mostly for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Why the API cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address or socket cannot be had.
    #[error("{what}: {source}")]
    Bind {
        /// Which, and what to do.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Certificate or key are unusable.
    #[error("{0}")]
    Tls(String),
    /// Anything else.
    #[error("the API cannot start: {0}")]
    Start(String),
}

/// The running API.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    tcp: SocketAddr,
    metrics: Option<SocketAddr>,
    fingerprint: Option<String>,
    phase: watch::Sender<Phase>,
    /// All permits back means: no connection left.
    connections: Vec<(Arc<Semaphore>, usize)>,
    api: std::sync::Weak<Api>,
}

impl Server {
    /// Binds everything and begins to serve.
    ///
    /// # Errors
    /// [`ServeError`], with what to do.
    pub async fn start(config: &Config, handle: Handle, exposition: Exposition) -> Result<Self, ServeError> {
        let (phase, phases) = watch::channel(Phase::Serving);
        let tls = config.api.tls.as_ref().map(tls::load).transpose()?;
        let (acceptor, fingerprint) = match tls {
            Some((server, fingerprint)) => (Some(TlsAcceptor::from(server)), Some(fingerprint)),
            None => (None, None),
        };
        let tcp = bind_tcp("--api", config.api.listen).await?;
        let metrics = match config.metrics {
            Some(address) => Some(bind_tcp("metrics", address).await?),
            None => None,
        };
        let socket = config.socket();
        // Last, so that nobody finds a socket of a node that then did not start.
        let unix = bind_unix(&socket).await?;
        let (tcp_address, metrics_address) = (local(&tcp)?, metrics.as_ref().map(local).transpose()?);
        let mut api = Api::new(handle, exposition, config.members, phases.clone())?;
        api.listening = ListeningReport {
            peers: config.listen.iter().map(ToString::to_string).collect(),
            api: tcp_address.to_string(),
            api_tls: acceptor.is_some(),
            metrics: metrics_address.map(|address| address.to_string()),
        };
        let api = Arc::new(api);
        let mut server = Self {
            socket,
            tcp: tcp_address,
            metrics: metrics_address,
            fingerprint,
            phase,
            connections: Vec::new(),
            api: Arc::downgrade(&api),
        };
        let routes = router(Arc::clone(&api));
        let names = Arc::new(Names::new(&config.api));
        let on_socket = server.host(&api, &routes, Door::Socket, SOCKET_CONNECTIONS_MAX);
        tokio::spawn(on_socket.run(Listener::Unix(unix)));
        let on_tcp = server.host(&api, &routes, Door::Tcp(names), config.api.connections_max);
        tokio::spawn(on_tcp.run(Listener::Tcp(tcp, acceptor)));
        if let Some(listener) = metrics {
            let routes = metrics_router(Arc::clone(&api)).layer(axum::Extension(MetricsDoor));
            let on_metrics = server.host(&api, &routes, Door::Metrics, METRICS_CONNECTIONS_MAX);
            tokio::spawn(on_metrics.run(Listener::Tcp(listener, None)));
        }
        if let Some(fingerprint) = &server.fingerprint {
            tracing::info!(%fingerprint, "the API speaks TLS; clients may pin this SHA-256 of its certificate");
        }
        Ok(server)
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The TCP address, with the port that was taken where 0 was asked.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// The metrics listener's address.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// SHA-256 of the certificate in lowercase hex, where the API speaks TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// Takes no new requests, answers those under way (for at most 5 s), and ends.
    pub async fn shutdown(self) {
        self.phase.send_replace(Phase::Draining);
        // The socket goes first: from now on the node counts as not running.
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!(%error, "the socket was gone already");
        }
        let drained = async {
            for (semaphore, max) in &self.connections {
                let all = u32::try_from(*max).unwrap_or(u32::MAX);
                drop(semaphore.acquire_many(all).await);
            }
            while self.api.upgrade().is_some_and(|api| api.open_streams() > 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::info!("some clients did not finish in time and were cut off");
        }
        self.phase.send_replace(Phase::Over);
    }

    fn host(&mut self, api: &Arc<Api>, routes: &Router, door: Door, max: usize) -> Host {
        let room = Arc::new(Semaphore::new(max));
        self.connections.push((Arc::clone(&room), max));
        Host { gate: Gate::new(Arc::clone(api), routes.clone(), door), room, phase: self.phase.subscribe() }
    }
}

/// What a listener needs to serve its connections.
struct Host {
    gate: Gate,
    room: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
}

/// A bound listener.
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener, Option<TlsAcceptor>),
}

/// A connection that nobody has spoken on yet.
enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, Option<TlsAcceptor>),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
            Self::Tcp(listener, tls) => Ok(Accepted::Tcp(listener.accept().await?.0, tls.clone())),
        }
    }
}

impl Host {
    /// Accepts until the node shuts down. Connections beyond the room wait in the kernel's queue.
    async fn run(mut self, listener: Listener) {
        loop {
            let room = Arc::clone(&self.room);
            let accepted = async {
                let permit = room.acquire_owned().await.map_err(io::Error::other)?;
                Ok::<_, io::Error>((listener.accept().await?, permit))
            };
            let accepted = tokio::select! {
                accepted = accepted => accepted,
                () = Phase::Draining.reached(&mut self.phase) => return,
            };
            match accepted {
                Ok((connection, permit)) => self.serve(connection, permit),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn serve(&self, connection: Accepted, permit: OwnedSemaphorePermit) {
        let (gate, phase) = (self.gate.clone(), self.phase.clone());
        tokio::spawn(async move {
            match connection {
                Accepted::Unix(stream) => converse(stream, gate, phase).await,
                Accepted::Tcp(stream, tls) => greet(stream, tls, gate, phase).await,
            }
            drop(permit);
        });
    }
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, gate: Gate, phase: watch::Receiver<Phase>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let stream = Stall::new(stream);
    let Some(tls) = tls else { return converse(stream, gate, phase).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, gate, phase).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Serves one connection to its end.
async fn converse<IO>(io: IO, gate: Gate, mut phase: watch::Receiver<Phase>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| gate.clone().answer(request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .pipeline_flush(true);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(io), service).with_upgrades());
    let mut draining = false;
    loop {
        let next = if draining { Phase::Over } else { Phase::Draining };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended in an error");
                }
                return;
            }
            () = next.reached(&mut phase) => {
                if draining {
                    return;
                }
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn bind_tcp(option: &str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind {
        what: format!("cannot listen on {address} (is it in use? choose another with {option})"),
        source,
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ServeError> {
    listener
        .local_addr()
        .map_err(|source| ServeError::Bind { what: "cannot tell the API's address".to_owned(), source })
}

/// Binds the socket with mode 0600, in place of one that a killed node left.
async fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let fail = |what: String| move |source| ServeError::Bind { what, source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let what = format!("{} exists and is no socket: move it away", path.display());
            return Err(fail(what)(io::ErrorKind::AlreadyExists.into()));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            let what = format!("a running node answers on {}: stop it, or choose another --data-dir", path.display());
            return Err(fail(what)(io::ErrorKind::AddrInUse.into()));
        }
        _ => {}
    }
    // Bound under another name, closed to others, and only then put in its place: at no moment can anybody else open
    // what is called api.sock, and a left-over one is replaced in the same step.
    let fresh = path.with_extension("new");
    if let Err(error) = std::fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(fail(format!("cannot replace {}", fresh.display()))(error));
    }
    let listener = UnixListener::bind(&fresh).map_err(fail(format!("cannot make the socket {}", fresh.display())))?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&fresh, path))
        .map_err(fail(format!("cannot make the socket {}", path.display())))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_replaces_a_left_over_one_but_never_a_live_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let first = bind_unix(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_unix(&path).await.unwrap_err().to_string();
        assert!(error.contains("a running node answers"), "{error}");
        drop(first);
        assert!(path.exists(), "as kill -9 leaves it");
        let _second = bind_unix(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_in_the_sockets_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = bind_unix(&path).await.unwrap_err().to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
