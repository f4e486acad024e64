//! A substream as libp2p sees it, and the multiplexer that hands them out.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::{
    connection::{Connection, Side},
    pipe::{Pipe, Read},
    tap::Tap,
};
use crate::{plan::VirtualMs, world::time::now};

/// One end of a substream.
#[derive(Debug)]
pub(crate) struct SimStream {
    connection: Arc<Connection>,
    side: Side,
    input: Arc<Pipe>,
    output: Arc<Pipe>,
    tap: Tap,
}

impl SimStream {
    pub(crate) fn new(connection: Arc<Connection>, side: Side, input: Arc<Pipe>, output: Arc<Pipe>) -> Self {
        Self { connection, side, input, output, tap: Tap::default() }
    }

    pub(crate) fn has_arrived(&self, now: VirtualMs) -> bool {
        self.input.has_arrived(now)
    }

    fn check(&self, now: VirtualMs) -> io::Result<()> {
        if self.connection.is_over_for(self.side, now) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let now = now();
        match self.input.read(now, buffer, context.waker()) {
            Read::Bytes(count) => Poll::Ready(Ok(count)),
            Read::Nothing => Poll::Ready(Ok(0)),
            Read::Wait => match self.check(now) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let now = now();
        self.check(now)?;
        if self.output.is_deaf() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match self.output.write(now, buffer, context.waker()) {
            Some(count) => {
                let this = &mut *self;
                let net = this.connection.net();
                net.count_written(this.tap.speech(), count);
                this.tap.look(net, &buffer[..count]);
                Poll::Ready(Ok(count))
            }
            None => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check(now()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.close(now());
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if !self.connection.has_vanished(self.side) {
            self.output.close(now());
            self.input.deafen();
        }
    }
}

/// One side of a connection as libp2p sees it.
#[derive(Debug)]
pub(crate) struct SimMuxer {
    connection: Arc<Connection>,
    side: Side,
}

impl SimMuxer {
    pub(crate) fn new(connection: Arc<Connection>, side: Side) -> Self {
        Self { connection, side }
    }

    fn check(&self) -> io::Result<()> {
        if self.connection.is_over_for(self.side, now()) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl StreamMuxer for SimMuxer {
    type Substream = SimStream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<SimStream>> {
        self.connection.watch(self.side, context.waker());
        if let Some(stream) = self.connection.accept(self.side, now()) {
            return Poll::Ready(Ok(stream));
        }
        match self.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<SimStream>> {
        self.check()?;
        Poll::Ready(Ok(self.connection.open(self.side)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.leave(self.side, now());
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.connection.watch(self.side, context.waker());
        match self.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for SimMuxer {
    fn drop(&mut self) {
        self.connection.leave(self.side, now());
    }
}
