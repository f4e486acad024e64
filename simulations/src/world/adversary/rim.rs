//! The channels of a hostile rim, and the loop that serves them.
//!
//! Neither side ever waits for the other: the swarm task drops what does not fit, and the driver only tries to send. So
//! the rim may wait for both, and nothing waits in a circle.

use std::{future::Future, sync::Arc};

use griot_node::{
    network::{COMMANDS_MAX, Command, Event},
    runtime::{Host, NetworkSide},
};
use tokio::sync::mpsc;

use super::{Adversary, Moment, Outputs};
use crate::world::{
    host::SimHost,
    time::{now, sleep_until},
    trace::Short,
};

/// Between a swarm and the driver of its node.
pub(crate) struct Rim {
    adversary: Box<dyn Adversary>,
    host: Arc<SimHost>,
    from_driver: mpsc::Receiver<Command>,
    to_network: mpsc::Sender<Command>,
    from_network: mpsc::Receiver<Event>,
    to_driver: mpsc::Sender<Event>,
}

/// The side of a rim that the driver sees.
pub(crate) struct RimSide {
    pub commands: mpsc::Sender<Command>,
    pub events: mpsc::Receiver<Event>,
}

/// What happened next.
enum Step {
    Command(Option<Command>),
    Event(Option<Event>),
    Act,
}

impl Rim {
    /// Puts an adversary before the swarm that is reached through these channels.
    pub(crate) fn new(
        adversary: Box<dyn Adversary>,
        host: Arc<SimHost>,
        to_network: mpsc::Sender<Command>,
        from_network: mpsc::Receiver<Event>,
    ) -> (Self, RimSide) {
        let (commands, from_driver) = mpsc::channel(COMMANDS_MAX);
        let (to_driver, events) = NetworkSide::events();
        (Self { adversary, host, from_driver, to_network, from_network, to_driver }, RimSide { commands, events })
    }

    /// Runs beside the swarm, in the same task, so that both end together.
    pub(crate) async fn run_beside(self, swarm: impl Future<Output = ()>) {
        tokio::join!(biased; swarm, self.run());
    }

    /// Runs until the node is shut down or either side is gone.
    async fn run(mut self) {
        loop {
            let step = self.next_step().await;
            let moment = Moment { at: now(), wall: self.host.wall_clock() };
            let mut out = Outputs::default();
            match step {
                Step::Command(None | Some(Command::Shutdown)) => {
                    let _ = self.to_network.send(Command::Shutdown).await;
                    return;
                }
                Step::Event(None) => return,
                Step::Command(Some(command)) => self.adversary.command(moment, command, &mut out),
                Step::Event(Some(event)) => self.adversary.event(moment, event, &mut out),
                Step::Act => self.adversary.act(moment, &mut out),
            }
            if !self.carry_out(out).await {
                return;
            }
        }
    }

    async fn next_step(&mut self) -> Step {
        let act_at = self.adversary.next();
        let act = async {
            match act_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = self.from_driver.recv() => Step::Command(command),
            event = self.from_network.recv() => Step::Event(event),
            () = act => Step::Act,
        }
    }

    /// Says whether both sides are still there.
    async fn carry_out(&mut self, out: Outputs) -> bool {
        let node = self.host.node;
        for deed in out.deeds {
            let mut ledger = self.host.ledger.state();
            ledger.count(("adversary", deed.name, ""), 1);
            match deed.record {
                Some(id) => ledger.trace.note(now(), format_args!("n{} {} {}", node.0, deed.name, Short(&id.0))),
                None => ledger.trace.note(now(), format_args!("n{} {}", node.0, deed.name)),
            }
        }
        for command in out.to_network {
            if self.to_network.send(command).await.is_err() {
                return false;
            }
        }
        for event in out.to_driver {
            if self.to_driver.send(event).await.is_err() {
                return false;
            }
        }
        true
    }
}
