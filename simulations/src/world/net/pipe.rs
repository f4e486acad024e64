//! One direction of a substream: bytes under way, each with the millisecond of its arrival.
//!
//! The writer puts chunks in at the end, the reader takes those from the front that have arrived. A writer that is too
//! far ahead of its reader waits, as with a real window.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use super::{
    calendar::Due,
    connection::{Connection, Side},
};
use crate::plan::VirtualMs;

/// Bytes that may be under way or unread in one direction of a substream: Yamux' window.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;

/// Stuck behind a partition: it arrives when that is healed, if its connection lives so long.
const STUCK: VirtualMs = VirtualMs(u64::MAX);

#[derive(Debug)]
struct Chunk {
    arrives: VirtualMs,
    data: Vec<u8>,
}

/// How the writer left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// After its last byte, which arrives then.
    Closed(VirtualMs),
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Chunk>,
    /// Of the first chunk, what was read.
    read: usize,
    bytes: usize,
    end: End,
    reader_gone: bool,
    /// Whether the network knows that something is stuck here.
    listed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One direction of a substream.
#[derive(Debug)]
pub(crate) struct Pipe {
    connection: Arc<Connection>,
    /// Who writes.
    from: Side,
    state: Mutex<State>,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// The writer has closed.
    Nothing,
    /// Not yet.
    Wait,
}

impl Pipe {
    pub(crate) fn new(connection: Arc<Connection>, from: Side) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            read: 0,
            bytes: 0,
            end: End::Open,
            reader_gone: false,
            listed: false,
            reader: None,
            writer: None,
        };
        Self { connection, from, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the reader is gone: what is written now is of no use.
    pub(crate) fn is_deaf(&self) -> bool {
        self.state().reader_gone
    }

    /// Writes as much as the window takes; `None` where it takes nothing, and `waker` is called when it does.
    pub(crate) fn write(self: &Arc<Self>, now: VirtualMs, buffer: &[u8], waker: &Waker) -> Option<usize> {
        let room = {
            let mut state = self.state();
            let room = WINDOW_BYTES.saturating_sub(state.bytes);
            if room == 0 {
                remember(&mut state.writer, waker);
                return None;
            }
            room
        };
        let data = &buffer[..buffer.len().min(room)];
        let arrives = self.connection.transmit(self.from, data.len(), now);
        let at = arrives.unwrap_or(STUCK);
        {
            let mut state = self.state();
            state.bytes += data.len();
            match state.chunks.back_mut() {
                // The second half of a write arrives with the first: one chunk, and nobody to wake twice.
                Some(last) if last.arrives == at && at != STUCK => {
                    last.data.extend_from_slice(data);
                    return Some(data.len());
                }
                _ => state.chunks.push_back(Chunk { arrives: at, data: data.to_vec() }),
            }
        }
        self.announce(arrives);
        Some(data.len())
    }

    /// Says that nothing more is written.
    pub(crate) fn close(self: &Arc<Self>, now: VirtualMs) {
        if self.state().end != End::Open {
            return;
        }
        let arrives = self.connection.transmit(self.from, 0, now);
        self.state().end = End::Closed(arrives.unwrap_or(STUCK));
        self.announce(arrives);
    }

    fn announce(self: &Arc<Self>, arrives: Option<VirtualMs>) {
        match arrives {
            Some(at) => self.connection.net().calendar().enter(at, Arc::clone(self) as Arc<dyn Due>),
            None if !std::mem::replace(&mut self.state().listed, true) => {
                self.connection.net().stuck(Arc::clone(self));
            }
            None => {}
        }
    }

    /// Takes what has arrived; where nothing has, `waker` is called when it does.
    pub(crate) fn read(&self, now: VirtualMs, buffer: &mut [u8], waker: &Waker) -> Read {
        let mut state = self.state();
        let mut done = 0;
        while done < buffer.len() {
            let read = state.read;
            let Some(chunk) = state.chunks.front().filter(|chunk| chunk.arrives <= now) else { break };
            let rest = &chunk.data[read..];
            let count = rest.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
            if count == rest.len() {
                state.chunks.pop_front();
                state.read = 0;
            } else {
                state.read += count;
            }
        }
        if done > 0 || buffer.is_empty() {
            state.bytes -= done;
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Read::Bytes(done);
        }
        match state.end {
            End::Closed(at) if at <= now && state.chunks.is_empty() => Read::Nothing,
            _ => {
                remember(&mut state.reader, waker);
                Read::Wait
            }
        }
    }

    /// Whether anything of it has arrived: only then does the other side know of the substream.
    pub(crate) fn has_arrived(&self, now: VirtualMs) -> bool {
        let state = self.state();
        state.chunks.front().is_some_and(|chunk| chunk.arrives <= now)
            || matches!(state.end, End::Closed(at) if at <= now)
    }

    /// The reader is gone.
    pub(crate) fn deafen(&self) {
        let mut state = self.state();
        state.reader_gone = true;
        state.chunks.clear();
        state.bytes = 0;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }

    /// Sends on its way what is stuck, if the path is open again; says whether it still is stuck.
    pub(crate) fn is_still_stuck(self: &Arc<Self>, now: VirtualMs) -> bool {
        let Some(at) = self.connection.retransmit(self.from, now) else { return !self.connection.is_over() };
        {
            let mut state = self.state();
            state.listed = false;
            for chunk in state.chunks.iter_mut().filter(|chunk| chunk.arrives == STUCK) {
                chunk.arrives = at;
            }
            if state.end == End::Closed(STUCK) {
                state.end = End::Closed(at);
            }
        }
        self.announce(Some(at));
        false
    }
}

/// Cloning a waker costs more than asking whether it is the same: idle substreams are polled all the time.
pub(super) fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    if slot.as_ref().is_none_or(|old| !old.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

impl Due for Pipe {
    fn due(&self, _now: VirtualMs) {
        let reader = self.state().reader.take();
        match reader {
            Some(reader) => reader.wake(),
            // Nobody reads it yet: it is news to the connection.
            None => self.connection.wake(self.from.other()),
        }
    }
}
