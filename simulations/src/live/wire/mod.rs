//! A wire between network namespaces whose latency, loss and bandwidth are ours.
//!
//! Real nodes have to be tested on real paths: long, lossy, narrow, cut. Kernels can do that to packets (`netem`), but
//! many are built without it. So each node gets a network namespace (a machine of its own, as far as it can tell) whose
//! only way out is a TUN device, and behind all these devices sits one relay in this process:
//!
//! ```text
//!  namespace 0                      this process                       namespace 1
//!  ┌─────────────────┐      ┌─────────────────────────────┐      ┌─────────────────┐
//!  │ griotd          │      │ pump ─▶ switch ─▶ pump      │      │          griotd │
//!  │ 10.78.0.1 ─ TUN │◀────▶│ reads    decides   writes   │◀────▶│ TUN ─ 10.78.0.2 │
//!  └─────────────────┘      └─────────────────────────────┘      └─────────────────┘
//! ```
//!
//! - [`Switch`] is the relay's core: sans IO, told the time, tested in virtual time. It knows a [`Link`] for each pair of
//!   ends and direction.
//! - The pump is the rim: a thread that reads devices, asks the switch, and writes what is due.
//! - [`Wire`] owns both, and the namespaces. Links can be changed while packets flow.
//!
//! Which packets are lost and how much jitter each has follows from the seed and the packet's number on its link. The
//! *programs* are real, so how many packets they send, and when, differs from run to run: a seed repeats the network,
//! not the run.
//!
//! It takes Linux, root and `ip` (package iproute2). Nothing leaves the machine: no namespace has another way out.

mod counts;
mod device;
pub mod draw;
mod end;
pub mod law;
mod link;
mod packet;
mod places;
mod precision;
mod pump;
mod switch;

use std::{
    io::{self, PipeWriter},
    net::Ipv4Addr,
    sync::Arc,
    thread::JoinHandle,
};

pub use counts::Counts;
pub use end::{ENDS_MAX, End};
pub use law::LatencyLaw;
pub use link::{LATENCY_US_MAX, LOSS_PPM_ALL, Link, QUEUE_BYTES};
pub use places::sweep;
pub use precision::Precision;
pub use switch::{Delivery, IN_FLIGHT_BYTES_MAX, Input, Switch};

use self::{device::Device, places::Places, pump::Shared};
use super::{LiveError, namespace};

/// Where a node on a wire listens for others, unless something else is said.
pub const NODE_PORT: u16 = 7701;

/// A running wire. Dropping it ends the relay and removes devices and namespaces; end what runs in them first.
#[derive(Debug)]
pub struct Wire {
    ends: u16,
    shared: Arc<Shared>,
    /// Closing it stops the pump.
    stop: Option<PipeWriter>,
    pump: Option<JoinHandle<io::Result<()>>>,
    // After the pump, which holds the devices that live in these.
    places: Places,
}

impl Wire {
    /// Lays a wire with so many ends, all links perfect. First it removes what killed runs have left behind.
    ///
    /// # Errors
    /// The system refused: not root, no `ip`, no namespaces, no TUN devices. The reason is in the message.
    pub fn lay(ends: u16, seed: u64) -> Result<Self, LiveError> {
        if ends > ENDS_MAX {
            return Err(LiveError::Failed(format!("a wire has at most {ENDS_MAX} ends")));
        }
        let places = Places::make(ends)?;
        let mut devices = Vec::with_capacity(ends.into());
        for end in (0..ends).map(End::new) {
            let name = places.name(end).unwrap_or_default();
            devices.push(namespace::inside(name, "opening a TUN device", || Device::open(places::DEVICE))?);
            places.plug_in(end)?;
        }
        let shared = Arc::new(Shared::new(Switch::new(seed, ends)));
        let (stopped, stop) = io::pipe().map_err(LiveError::io("making a pipe"))?;
        let carrying = Arc::clone(&shared);
        let pump = std::thread::Builder::new()
            .name("wire".to_owned())
            .spawn(move || pump::run(&carrying, &devices, &stopped))
            .map_err(LiveError::io("starting the relay"))?;
        Ok(Self { ends, shared, stop: Some(stop), pump: Some(pump), places })
    }

    /// Gives every link the latency of a matrix (row from, column to, milliseconds), and makes it perfect otherwise.
    pub fn set_latencies(&self, one_way_ms: &[Vec<u32>]) {
        for from in self.ends() {
            for to in self.ends() {
                if let Some(ms) = one_way_ms.get(from.place()).and_then(|row| row.get(to.place())) {
                    self.set(from, to, Link::with_latency_ms(*ms));
                }
            }
        }
    }

    /// All ends.
    pub fn ends(&self) -> impl Iterator<Item = End> + use<> {
        (0..self.ends).map(End::new)
    }

    /// The network namespace of an end: run a program there with [`namespace::command`], or a function with
    /// [`namespace::inside`]. Empty where there is no such end.
    #[must_use]
    pub fn namespace(&self, end: End) -> &str {
        self.places.name(end).unwrap_or_default()
    }

    /// The address of an end.
    #[must_use]
    pub fn address(&self, end: End) -> Ipv4Addr {
        end.address()
    }

    /// The multiaddr on which a node at that end is to listen.
    #[must_use]
    pub fn listen(&self, end: End) -> String {
        format!("/ip4/{}/tcp/{NODE_PORT}", end.address())
    }

    /// How the link from one end to another is.
    #[must_use]
    pub fn link(&self, from: End, to: End) -> Link {
        self.shared.with(|_, switch| switch.link(from, to))
    }

    /// Changes one direction from now on.
    pub fn set(&self, from: End, to: End, link: Link) {
        self.shared.with(|now, switch| switch.set(now, from, to, link));
    }

    /// Changes all links from any of `from` to any of `to` at one moment.
    pub fn change(&self, from: &[End], to: &[End], change: impl Fn(&mut Link)) {
        self.shared.with(|now, switch| {
            for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
                let mut link = switch.link(from, to);
                change(&mut link);
                switch.set(now, from, to, link);
            }
        });
    }

    /// Cuts everything from `from` to `to`, one way: call it twice for both. What is in flight is lost.
    pub fn cut(&self, from: &[End], to: &[End]) {
        self.change(from, to, |link| link.cut = true);
    }

    /// Heals what [`cut`](Self::cut) cut.
    pub fn heal(&self, from: &[End], to: &[End]) {
        self.change(from, to, |link| link.cut = false);
    }

    /// What one direction has carried.
    #[must_use]
    pub fn counts(&self, from: End, to: End) -> Counts {
        self.shared.with(|_, switch| switch.counts(from, to))
    }

    /// What all directions have carried: row from, column to, all of one moment.
    #[must_use]
    pub fn all_counts(&self) -> Vec<Vec<Counts>> {
        let row = |switch: &Switch, from| self.ends().map(|to| switch.counts(from, to)).collect();
        self.shared.with(|_, switch| self.ends().map(|from| row(switch, from)).collect())
    }

    /// How late packets have been so far, or since [`forget_precision`](Self::forget_precision).
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.shared.precision()
    }

    /// Starts measuring [`precision`](Self::precision) anew.
    pub fn forget_precision(&self) {
        self.shared.forget_lateness();
    }

    /// Whether the relay still carries packets, and how often a device refused one.
    ///
    /// # Errors
    /// The relay has ended.
    pub fn device_errors(&self) -> Result<u64, LiveError> {
        if self.pump.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(LiveError::Failed("the relay has ended".to_owned()));
        }
        Ok(self.shared.device_errors())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(pump) = self.pump.take() {
            // How it ended matters to nobody any more.
            let _ = pump.join();
        }
    }
}
