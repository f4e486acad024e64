//! Nodes that mean harm: real nodes with a hostile rim.
//!
//! An adversary is no change to the node. It has the production swarm, relay and driver, and between swarm and driver a
//! *rim* that sees every command and every event, and drops, answers, or adds to them:
//!
//! ```text
//!   driver ─ Command ─▶ ┌─ rim ─┐ ─ Command ─▶ swarm ─▶ honest neighbours
//!          ◀─ Event ─── │ drops │ ◀─ Event ───
//!                       │ lies  │
//!                       └─ adds ┘ ◀─ its own clock
//! ```
//!
//! So it speaks the protocols without a fault, is subscribed and identified like everybody else, and nothing but its
//! conduct tells it from an honest node. What it decides is a plain state machine ([`Adversary`]); the channels are in
//! `rim`. Everything it draws comes from the seed.
//!
//! | conduct | what its rim does |
//! |---|---|
//! | withholding | publishes nothing, forwards no gossip, pushes nothing, says in sync that both are the same |
//! | flooding | adds valid envelopes to mailboxes that nobody reads; otherwise honest, and so no neighbour parts from it |
//! | replaying | adds frames that it has seen, by gossip and by push |
//! | lying in sync | answers from a false set of ids: half of what it has is missing, and some of it never was |

mod flooding;
mod lying;
mod pace;
mod replaying;
mod rim;
mod withholding;

use std::fmt;

use griot_node::network::{Command, Event};
use griot_protocol::{RecordId, Timestamp};

use self::{flooding::Flooder, lying::Liar, replaying::Replayer, withholding::Withholder};
use crate::plan::{Conduct, VirtualMs};

pub(crate) use self::{lying::View, rim::Rim};

/// Now, by both of a node's clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub at: VirtualMs,
    pub wall: Timestamp,
}

/// Something that was done, for the counters and the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deed {
    /// What, in the past tense.
    pub name: &'static str,
    /// To which record, where it is one.
    pub record: Option<RecordId>,
}

/// What an adversary wants done.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub to_network: Vec<Command>,
    pub to_driver: Vec<Event>,
    pub deeds: Vec<Deed>,
}

impl Outputs {
    pub(crate) fn did(&mut self, name: &'static str, record: Option<RecordId>) {
        self.deeds.push(Deed { name, record });
    }
}

/// What a hostile rim decides. Whatever it does not do otherwise, it passes on.
pub(crate) trait Adversary: fmt::Debug + Send {
    /// The node wants its swarm to do something.
    fn command(&mut self, _now: Moment, command: Command, out: &mut Outputs) {
        out.to_network.push(command);
    }

    /// The swarm tells the node something.
    fn event(&mut self, _now: Moment, event: Event, out: &mut Outputs) {
        out.to_driver.push(event);
    }

    /// When it wants to act by itself.
    fn next(&self) -> Option<VirtualMs> {
        None
    }

    /// It is that time.
    fn act(&mut self, _now: Moment, _out: &mut Outputs) {}
}

/// Makes the adversary that a conduct asks for; nothing for an honest node. `seed` is this start's own.
pub(crate) fn for_conduct(conduct: &Conduct, seed: u64, view: View, now: VirtualMs) -> Option<Box<dyn Adversary>> {
    match *conduct {
        Conduct::Honest => None,
        Conduct::Withholding => Some(Box::new(Withholder::new(view))),
        Conduct::Flooding { per_second } => Some(Box::new(Flooder::new(view, per_second, seed, now))),
        Conduct::Replaying { per_second } => Some(Box::new(Replayer::new(per_second, seed, now))),
        Conduct::LyingInSync => Some(Box::new(Liar::new(view, seed))),
    }
}
