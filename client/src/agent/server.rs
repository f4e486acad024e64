//! The owner's side of `agent.sock`: other processes' commands, carried out here.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    printer::Printer,
    wire::{AGENT_VERSION, Hello, Reply, Request, SOCKET_NAME, SocketPath, read_line, write_line},
};

/// Commands of other processes at the same time; more wait at the door.
const GUESTS_MAX: usize = 64;

/// How long a guest may take to say what it wants, and a line to it may take.
const GUEST_PATIENCE: Duration = Duration::from_secs(10);

/// How long an owner that must go waits for the commands of others.
const FAREWELL: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Exit(u8),
    /// Not yet: the owner must go, and somebody else takes it up from the last mark.
    Moved,
}

/// Tells a command that waits for something that its owner must go.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A stop, and what sets it off.
    #[must_use]
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns when the owner must go.
    pub async fn asked(&self) {
        let mut receiver = self.0.clone();
        // Where the sender is gone, so is the owner.
        let _gone = receiver.wait_for(|stop| *stop).await;
    }
}

/// Carries out a command.
pub type Handler = Arc<dyn Fn(Request, Printer, Stop) -> BoxFuture<'static, Ending> + Send + Sync>;

/// The socket, while its owner has the store open.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    /// Removed when the server ends.
    path: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the store is closed (its owner drops this first), so this is never the next owner's socket.
        let _already_gone = std::fs::remove_file(&self.path);
    }
}

impl Server {
    /// Opens `<home>/agent.sock`. The caller has the store open, so whatever socket lies there is a dead process's.
    ///
    /// # Errors
    /// The file system refused.
    pub fn bind(home: &Path) -> io::Result<Self> {
        let path = home.join(SOCKET_NAME);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let short = SocketPath::of(home)?;
        let listener = UnixListener::bind(&short.path)?;
        // Until here the mode was the umask's; who comes in is checked at the door as well.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Serves until `stop`, then lets what has begun end and returns.
    pub async fn serve(self, handler: Handler, stop: Stop) {
        let mut guests = JoinSet::new();
        loop {
            while guests.len() >= GUESTS_MAX {
                guests.join_next().await;
            }
            tokio::select! {
                () = stop.asked() => break,
                Some(_) = guests.join_next(), if !guests.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if is_own_user(&stream) {
                            guests.spawn(attend(stream, handler.clone(), stop.clone()));
                        }
                    }
                    // Out of file descriptors, perhaps: do not spin.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
        drop(self);
        let _patience_ended = timeout(FAREWELL, async { while guests.join_next().await.is_some() {} }).await;
    }
}

fn is_own_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// One guest. Errors end it: a guest that hears no end knows that there was none.
async fn attend(stream: UnixStream, handler: Handler, stop: Stop) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let request = timeout(GUEST_PATIENCE, async {
        write_line(&mut writer, &Hello { griot_agent: AGENT_VERSION }).await?;
        read_line::<Request, _>(&mut reader).await
    });
    if let Ok(Ok(Some(request))) = request.await {
        carry_out(request, reader, writer, handler, stop).await;
    }
}

async fn carry_out(
    request: Request,
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    handler: Handler,
    stop: Stop,
) {
    let (printer, lines) = Printer::channel();
    let run = handler(request, printer, stop);
    let print = async {
        // Owned here: when printing fails, the command's next line fails too, instead of waiting for a reader.
        let mut lines = lines;
        while let Some(line) = lines.recv().await {
            timeout(GUEST_PATIENCE, write_line(&mut writer, &Reply::Line(line))).await??;
        }
        io::Result::Ok(())
    };
    // A guest says nothing more: whatever can be read is its end.
    let left = async {
        let mut byte = [0];
        let _end = reader.read(&mut byte).await;
    };
    let ending = tokio::select! {
        (ending, printed) = async { tokio::join!(run, print) } => if printed.is_ok() { Some(ending) } else { None },
        () = left => None,
    };
    let reply = match ending {
        Some(Ending::Exit(code)) => Reply::Exit(code),
        Some(Ending::Moved) => Reply::Moved,
        None => return,
    };
    let _left = timeout(GUEST_PATIENCE, write_line(&mut writer, &reply)).await;
}
