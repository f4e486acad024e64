//! What is said over `agent.sock`: JSON lines.
//!
//! ```text
//! agent ─▶ {"griot_agent":1}                     "ask": before this, nothing has begun, and trying again is harmless
//! guest ─▶ {"command":…,"mark":…}                one request
//! agent ─▶ {"line":{"out":"…"}} …                what to print, and marks
//! agent ─▶ {"exit":0}  or  {"moved":null}        the end, or "I must go: take it up elsewhere from the last mark"
//! ```

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::printer::Line;

/// The socket's name in the account's directory.
pub(super) const SOCKET_NAME: &str = "agent.sock";

/// The version of this exchange. Owner and guest may be different builds for the minutes of an update.
pub(super) const AGENT_VERSION: u32 = 1;

/// Bytes of one line: the largest message, escaped as JSON at its worst.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// The agent's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`AGENT_VERSION`].
    pub griot_agent: u32,
}

/// A command to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The command.
    pub command: Value,
    /// Where to go on, where a part of it was done before.
    #[serde(default)]
    pub mark: Option<Value>,
}

/// What the agent answers, many times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reply {
    Line(Line),
    Exit(u8),
    Moved,
}

pub(super) async fn write_line<W: AsyncWrite + Unpin>(to: &mut W, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Reads a line; `None` at the end.
pub(super) async fn read_line<T: DeserializeOwned, R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let read = from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// A path to the account's socket that the kernel takes, and what keeps it valid.
///
/// A socket's path may have 107 bytes; directories may have more. `/proc/self/fd` makes a short path of a long one.
pub(super) struct SocketPath {
    pub path: PathBuf,
    _directory: Option<std::fs::File>,
}

impl SocketPath {
    pub(super) fn of(home: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        const SOCKET_PATH_BYTES_MAX: usize = 107;
        let path = home.join(SOCKET_NAME);
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Self { path, _directory: None });
        }
        let directory = std::fs::File::open(home)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd()));
        Ok(Self { path, _directory: Some(directory) })
    }
}
