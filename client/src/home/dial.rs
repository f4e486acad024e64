//! Opening a byte stream to a home.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::header::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    error::HomeError,
    tls::{self, Fingerprint},
    url::HomeUrl,
};
use crate::core::Home;

/// How long a home may be silent, and how long one call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence, while connecting, before an answer or within one, after which the home counts as not answering.
    pub silence: Duration,
    /// One whole call: a home that answers a byte at a time must not hold a command for ever.
    pub call: Duration,
}

impl Patience {
    /// What the command line waits for a silent home.
    pub const COMMAND: Self = Self { silence: Duration::from_secs(3), call: Duration::from_secs(30) };
}

impl Default for Patience {
    fn default() -> Self {
        Self::COMMAND
    }
}

/// One home, and all that is needed to connect to it.
#[derive(Clone)]
pub struct Target {
    pub(super) url: HomeUrl,
    pub(super) host: HeaderValue,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) patience: Patience,
    insecure_http: bool,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.url)
    }
}

impl Target {
    /// Prepares to reach `url`.
    ///
    /// # Errors
    /// Plain HTTP to another machine that was not allowed, a token that is none, or no roots to check TLS against.
    pub fn new(
        url: HomeUrl,
        token: Option<&str>,
        pin: Option<Fingerprint>,
        insecure_http: bool,
        patience: Patience,
    ) -> Result<Self, HomeError> {
        url.check_plain(insecure_http)?;
        let tls = if matches!(url, HomeUrl::Https { .. }) { Some(tls::config(pin)?) } else { None };
        let host = HeaderValue::from_str(&url.authority()).map_err(|e| HomeError::Unreachable(e.to_string()))?;
        let authorization = token.map(bearer).transpose()?;
        Ok(Self { url, host, authorization, patience, insecure_http, tls })
    }

    /// Prepares to reach an account's home.
    ///
    /// # Errors
    /// As [`Target::new`], and where the stored address or fingerprint is none.
    pub fn of(home: &Home, patience: Patience) -> Result<Self, HomeError> {
        let pin = home.fingerprint.as_deref().map(str::parse).transpose()?;
        Self::new(home.url.parse()?, home.token.as_deref(), pin, home.insecure_http, patience)
    }

    /// Its address.
    #[must_use]
    pub const fn url(&self) -> &HomeUrl {
        &self.url
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, nobody answers in time, or the certificate is not accepted.
    pub async fn dial(&self) -> Result<Socket, HomeError> {
        let silence = self.patience.silence;
        timeout(silence, self.connect()).await.map_err(|_| HomeError::Silent(silence))?
    }

    async fn connect(&self) -> Result<Socket, HomeError> {
        match &self.url {
            HomeUrl::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| unreachable_unix(&e))?;
                Ok(Socket::Unix(stream))
            }
            HomeUrl::Http { host, port } => Ok(Socket::Tcp(self.connect_tcp(host, *port).await?)),
            HomeUrl::Https { host, port } => {
                let tcp = self.connect_tcp(host, *port).await?;
                let config = self.tls.clone().ok_or_else(|| HomeError::Unreachable("no TLS settings".to_owned()))?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| HomeError::Unreachable(format!("{host:?} is no name for a certificate")))?;
                let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|e| tls_error(&e))?;
                Ok(Socket::Tls(Box::new(stream)))
            }
        }
    }

    async fn connect_tcp(&self, host: &str, port: u16) -> Result<TcpStream, HomeError> {
        let lookup = tokio::net::lookup_host((host, port)).await;
        let addresses = lookup.map_err(|e| HomeError::Unreachable(format!("cannot find {host}: {e}")))?;
        let mut last = HomeError::Unreachable(format!("{host} has no address"));
        for address in addresses {
            // What `localhost` means is for a file to say: believe the address, not the name.
            if matches!(self.url, HomeUrl::Http { .. }) && !self.insecure_http && !address.ip().is_loopback() {
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Requests are small and wait for their answers: Nagle would only add delay.
                    stream.set_nodelay(true).map_err(|e| HomeError::Unreachable(e.to_string()))?;
                    return Ok(stream);
                }
                Err(e) => last = HomeError::Unreachable(io_words(&e)),
            }
        }
        Err(last)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, HomeError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| HomeError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn unreachable_unix(e: &io::Error) -> HomeError {
    HomeError::Unreachable(match e.kind() {
        io::ErrorKind::NotFound => "there is no such socket: is the node running?".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not open the node's socket".to_owned(),
        _ => io_words(e),
    })
}

fn io_words(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there: is the node running?".to_owned(),
        _ => e.to_string(),
    }
}

fn tls_error(e: &io::Error) -> HomeError {
    let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)) => {
            HomeError::Certificate(
                "its certificate is not the pinned one: either the node has a new certificate (ask its operator, \
                 then add the home again with the new --fingerprint), or somebody stands in between"
                    .to_owned(),
            )
        }
        Some(rustls::Error::InvalidCertificate(why)) => HomeError::Certificate(format!(
            "its certificate is not accepted ({why:?}): where the node uses its own certificate, pin it with --fingerprint"
        )),
        _ => HomeError::Unreachable(format!("no TLS connection: {e}")),
    }
}

/// A byte stream to a home.
#[derive(Debug)]
pub enum Socket {
    /// On this machine.
    Unix(UnixStream),
    /// Without encryption.
    Tcp(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls the same method on whichever stream it is.
macro_rules! each {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Unix($stream) => $call,
            Socket::Tcp($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
