//! Where a home is: `unix:PATH`, `http://HOST[:PORT]` or `https://HOST[:PORT]`.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

/// The longest URL that is looked at: a Unix path of 107 bytes or a DNS name of 253 fit three times.
const URL_BYTES_MAX: usize = 1024;

/// What the kernel takes as the path of a Unix socket.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// How a home is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HomeUrl {
    /// A node on this machine, by its socket.
    Unix(PathBuf),
    /// Without encryption: this machine, or a network that the user calls safe.
    Http {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// With TLS.
    Https {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
}

/// Why a text is no home's URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("{0:?} is not a home's address: use unix:PATH, http://HOST:PORT or https://HOST:PORT")]
    Scheme(String),
    /// Longer than any.
    #[error("this address is longer than any home's")]
    TooLong,
    /// `unix:` without a path, or with one that no socket can have.
    #[error("a socket's path has 1 to 107 bytes: unix:<data-dir>/api.sock")]
    UnixPath,
    /// No host, or characters that no host has.
    #[error("{0:?} is no host name or address")]
    Host(String),
    /// The port is no number from 1 to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// Something follows host and port.
    #[error("give scheme, host and port only, without user, path or query: https://node.example.org:7700")]
    Extra,
    /// Plain HTTP to another machine.
    #[error(
        "plain http:// to {0:?} would show everybody on the way which mailboxes are yours, and your token: \
         use https://, or --insecure-http if you know that the way is safe"
    )]
    Plain(String),
}

impl HomeUrl {
    /// Refuses plain HTTP to another machine unless the user allowed it.
    ///
    /// # Errors
    /// [`UrlError::Plain`].
    pub fn check_plain(&self, insecure_http: bool) -> Result<(), UrlError> {
        match self {
            Self::Http { host, .. } if !insecure_http && !is_loopback(host) => Err(UrlError::Plain(host.clone())),
            _ => Ok(()),
        }
    }

    /// What goes into the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Http { host, port } => authority(host, *port, 80),
            Self::Https { host, port } => authority(host, *port, 443),
        }
    }
}

/// Whether a host can only be this machine. A name other than `localhost` could be anybody.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn authority(host: &str, port: u16, default: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == default { host } else { format!("{host}:{port}") }
}

impl FromStr for HomeUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x.sock` is common elsewhere and means the same.
            let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
            let usable = (1..=UNIX_PATH_BYTES_MAX).contains(&path.len()) && !path.contains('\0');
            return if usable { Ok(Self::Unix(PathBuf::from(path))) } else { Err(UrlError::UnixPath) };
        }
        if let Some(rest) = strip_scheme(text, "http://") {
            let (host, port) = host_and_port(rest, 80)?;
            return Ok(Self::Http { host, port });
        }
        if let Some(rest) = strip_scheme(text, "https://") {
            let (host, port) = host_and_port(rest, 443)?;
            return Ok(Self::Https { host, port });
        }
        Err(UrlError::Scheme(text.to_owned()))
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (lead, rest) = text.split_at_checked(scheme.len())?;
    lead.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn host_and_port(rest: &str, default: u16) -> Result<(String, u16), UrlError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(UrlError::Extra);
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or_else(|| UrlError::Host(rest.to_owned()))?;
            let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(UrlError::Extra)?) };
            (is_v6.then_some(host).ok_or_else(|| UrlError::Host(host.to_owned()))?, port)
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return Err(UrlError::Host(host.to_owned()));
    }
    let port = match port {
        None => default,
        Some(text) => text.parse().ok().filter(|p| *p != 0).ok_or_else(|| UrlError::Port(text.to_owned()))?,
    };
    Ok((host.to_ascii_lowercase(), port))
}

impl fmt::Display for HomeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http { .. } => write!(f, "http://{}", self.authority()),
            Self::Https { .. } => write!(f, "https://{}", self.authority()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HomeUrl, UrlError> {
        text.parse()
    }

    #[test]
    fn reads_every_form_and_shows_it_again() {
        for (text, shown) in [
            ("unix:/run/griot/api.sock", "unix:/run/griot/api.sock"),
            ("unix:///run/griot/api.sock", "unix:/run/griot/api.sock"),
            ("unix:relative.sock", "unix:relative.sock"),
            ("http://127.0.0.1:7700", "http://127.0.0.1:7700"),
            ("http://localhost:7700/", "http://localhost:7700"),
            ("HTTPS://Node.Example.org", "https://node.example.org"),
            ("https://[2001:db8::1]:7700", "https://[2001:db8::1]:7700"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown, "{text}");
            assert_eq!(parse(shown).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_home() {
        for text in ["", "node.example.org", "ftp://x", "tcp:1", "griot:abc"] {
            assert!(matches!(parse(text), Err(UrlError::Scheme(_))), "{text}");
        }
        for text in ["https://u@x", "https://x/y", "https://x?y", "https://x#y", "https://[::1]x"] {
            assert_eq!(parse(text), Err(UrlError::Extra), "{text}");
        }
        for text in ["https://", "https://:70", "https://a b", "https://[zz]", "https://[::1", "https://é"] {
            assert!(matches!(parse(text), Err(UrlError::Host(_))), "{text}");
        }
        for text in ["https://x:", "https://x:0", "https://x:65536", "https://x:y"] {
            assert!(matches!(parse(text), Err(UrlError::Port(_))), "{text}");
        }
        assert_eq!(parse("unix:"), Err(UrlError::UnixPath));
        assert_eq!(parse(&format!("unix:/{}", "x".repeat(107))), Err(UrlError::UnixPath));
        assert_eq!(parse(&"x".repeat(2000)), Err(UrlError::TooLong));
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (text, fine) in [
            ("http://127.0.0.1:7700", true),
            ("http://127.9.9.9:7700", true),
            ("http://[::1]:7700", true),
            ("http://localhost:7700", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1:7700", false),
            ("https://10.0.0.1:7700", true),
            ("unix:/x", true),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.check_plain(false).is_ok(), fine, "{text}");
            assert_eq!(url.check_plain(true), Ok(()), "{text}");
        }
    }
}
