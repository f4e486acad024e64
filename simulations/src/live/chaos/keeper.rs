//! Who looks after one node: carries out what is done to it, and starts it again when it should run and does not.
//!
//! Each node has a thread, because starting and killing processes blocks, and what is done to one node must not wait for
//! another. Orders are carried out one after the other.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    clock,
    disk::SmallDisk,
    history::{History, What},
};
use crate::live::{LiveError, node::NodeProcess};

/// How often it is looked whether a node still runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a panic shows in a log.
const PANIC: &str = "panicked at";

/// Something to do to a node.
#[derive(Debug)]
pub(super) enum Order {
    /// kill -9, and leave it so.
    Kill,
    /// Start it again.
    Launch,
    /// kill -9, and start it with a clock that is off by so much.
    Clock(i64),
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Fill its file system.
    Fill,
    /// Free its file system.
    Free,
    /// Undo everything, kill -9, start, and say when that is done.
    Renew(Sender<()>),
}

/// The thread that looks after a node. Dropping it ends thread and node.
#[derive(Debug)]
pub(super) struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Looks after a running node. Its log is kept in `log`, where there is such a place.
    pub(super) fn start(
        number: usize,
        process: NodeProcess,
        disk: Option<SmallDisk>,
        history: Arc<History>,
        log: Option<PathBuf>,
    ) -> Result<Self, LiveError> {
        let (orders, receiver) = channel();
        let charge = Charge { number, process, disk, is_full: false, should_run: true, was_noted: false, history };
        let thread = std::thread::Builder::new()
            .name(format!("keeper-{number}"))
            .spawn(move || charge.look_after(&receiver, log.as_deref()))
            .map_err(LiveError::io("starting a thread"))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Gives an order.
    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread ends only when this is dropped.
            let _ = orders.send(order);
        }
    }

    /// Ends the node, and the thread.
    pub(super) fn end(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// A node and its disk. Fields are dropped in order: first what uses the disk.
struct Charge {
    number: usize,
    process: NodeProcess,
    disk: Option<SmallDisk>,
    is_full: bool,
    should_run: bool,
    /// Whether it was noted that it does not start.
    was_noted: bool,
    history: Arc<History>,
}

impl Charge {
    fn look_after(mut self, orders: &Receiver<Order>, log: Option<&Path>) {
        loop {
            match orders.recv_timeout(LOOK_EVERY) {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look();
        }
        self.look_for_end();
        self.process.kill();
        self.look_for_panics();
        if let Some(log) = log {
            // Without its log a run is as good; it only explains less.
            let _ = std::fs::copy(self.process.log_path(), log);
        }
    }

    fn carry_out(&mut self, order: Order) {
        // What happened before is not to be taken for what is done now.
        self.look_for_end();
        match order {
            Order::Kill => self.kill(),
            Order::Launch => self.should_run = true,
            Order::Clock(offset_seconds) => {
                self.kill();
                if let Ok(library) = clock::library() {
                    self.process.set_env(clock::env(&library, offset_seconds));
                }
                self.launch();
                self.note_clock();
            }
            Order::Pause => self.process.pause(),
            Order::Resume => self.process.resume(),
            Order::Fill => self.fill(),
            Order::Free => self.free(),
            Order::Renew(done) => {
                self.free();
                self.kill();
                self.process.set_env(Vec::new());
                self.launch();
                // Whoever waits may have given up.
                let _ = done.send(());
            }
        }
    }

    fn kill(&mut self) {
        self.should_run = false;
        self.process.kill();
    }

    fn look(&mut self) {
        self.look_for_end();
        if self.should_run && !self.process.is_running() {
            self.launch();
        }
    }

    fn look_for_end(&mut self) {
        if let Some(how) = self.process.ended() {
            self.ended(format!("{how}\n{}", self.process.log_tail()));
        }
    }

    fn ended(&self, how: String) {
        self.history.note(What::NodeEnded { node: self.number, how });
    }

    fn launch(&mut self) {
        self.should_run = true;
        let Err(error) = self.process.launch() else {
            self.was_noted = false;
            return;
        };
        // One that does not answer is ended and tried again; it is said once.
        self.process.kill();
        if std::mem::replace(&mut self.was_noted, true) {
            return;
        }
        let text = format!("node {} did not start: {error}", self.number);
        // On a full disk it may give up at its start, as long as it comes back later.
        if self.is_full { self.note(text) } else { self.ended(text) }
    }

    fn note_clock(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Ok(info) = self.process.info() {
            let ahead = info.time.0.cast_signed() - now.cast_signed();
            self.note(format!("node {} says that it is {ahead:+} s later", self.number));
        }
    }

    fn fill(&mut self) {
        let Some(disk) = &self.disk else { return };
        self.is_full = true;
        if let Err(error) = disk.fill() {
            self.note(format!("the disk of node {} could not be filled: {error}", self.number));
        }
    }

    fn free(&mut self) {
        let Some(disk) = &self.disk else { return };
        self.is_full = false;
        if let Err(error) = disk.free() {
            self.note(format!("the disk of node {} could not be freed: {error}", self.number));
        }
    }

    fn look_for_panics(&self) {
        let log = std::fs::read(self.process.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        for line in log.lines().filter(|line| line.contains(PANIC)) {
            self.ended(line.to_owned());
        }
    }

    fn note(&self, text: String) {
        self.history.note(What::Fault { text });
    }
}
