//! The other side of `agent.sock`: a process that found the store open elsewhere hands its command over.

use std::{path::Path, time::Duration};

use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::{
    printer::{Line, Printer},
    wire::{AGENT_VERSION, Hello, Reply, Request, SocketPath, read_line, write_line},
};

/// How long the owner may take to open its door.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The command ended with this exit code.
    Ended(u8),
    /// The owner went. What has a mark goes on from there; without one, nothing that matters was done for sure.
    OwnerLeft,
    /// The owner went before it heard what was asked.
    NotBegun,
    /// The owner is of another version that speaks otherwise.
    OtherVersion(u32),
}

/// An owner that is ready to be asked.
#[derive(Debug)]
pub struct Guest {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    version: u32,
}

impl Guest {
    /// Knocks at the owner of `home`; `None` where nobody opens.
    pub async fn knock(home: &Path) -> Option<Self> {
        let path = SocketPath::of(home).ok()?;
        let stream = UnixStream::connect(&path.path).await.ok()?;
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let hello = timeout(HELLO_PATIENCE, read_line::<Hello, _>(&mut reader)).await.ok()?.ok()??;
        Some(Self { reader, writer, version: hello.griot_agent })
    }

    /// Hands over a request and prints what comes back. The request's mark moves along with the owner's.
    pub async fn visit(mut self, request: &mut Request, printer: &Printer) -> Visit {
        if self.version != AGENT_VERSION {
            return Visit::OtherVersion(self.version);
        }
        if write_line(&mut self.writer, request).await.is_err() {
            return Visit::NotBegun;
        }
        loop {
            let reply = tokio::select! {
                reply = read_line::<Reply, _>(&mut self.reader) => reply,
                () = printer.gone() => return Visit::Ended(0),
            };
            match reply {
                Ok(Some(Reply::Line(Line::Mark(mark)))) => request.mark = Some(mark),
                Ok(Some(Reply::Line(line))) => {
                    if printer.line(line).await.is_err() {
                        return Visit::Ended(0);
                    }
                }
                Ok(Some(Reply::Exit(code))) => return Visit::Ended(code),
                Ok(Some(Reply::Moved) | None) | Err(_) => return Visit::OwnerLeft,
            }
        }
    }
}
