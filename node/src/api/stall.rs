//! A connection on which writing must get on: a reader that stops reading does not hold an answer in memory for ever.
//!
//! Reading has its own deadlines (headers: the HTTP server; bodies: the gate; streams: their pings).

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long a write may make no progress at all.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);

/// Fails writes that make no progress for [`STALL_MAX`].
pub(super) struct Stall<IO> {
    io: IO,
    limit: Duration,
    /// Made at the first write that has to wait; most connections never need it.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<IO> Stall<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self::within(io, STALL_MAX)
    }

    fn within(io: IO, limit: Duration) -> Self {
        Self { io, limit, timer: None, waiting: false }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = false;
            return poll;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader does not read")));
        }
        Poll::Pending
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Stall<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Stall<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        self.judge(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.judge(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        self.judge(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_shutdown(cx);
        self.judge(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn a_reader_that_stops_is_cut_off() {
        let (near, far) = tokio::io::duplex(16);
        let mut near = Stall::within(near, LIMIT);
        let begun = Instant::now();
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT);
        drop(far);
    }

    #[tokio::test]
    async fn a_slow_reader_is_served_for_longer_than_the_limit() {
        let (near, mut far) = tokio::io::duplex(16);
        let writer = tokio::spawn(async move { Stall::within(near, LIMIT).write_all(&[0; 128]).await });
        let begun = Instant::now();
        let mut piece = [0; 16];
        for _ in 0..8 {
            tokio::time::sleep(LIMIT / 6).await;
            far.read_exact(&mut piece).await.unwrap();
        }
        writer.await.unwrap().unwrap();
        assert!(begun.elapsed() > LIMIT);
    }
}
