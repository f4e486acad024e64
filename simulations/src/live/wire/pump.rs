//! The rim: one thread that reads every device, asks the switch, and writes what is due.
//!
//! One thread waits for all devices and for the next packet's time at once (`ppoll`, which counts in nanoseconds; an
//! async runtime's timers count in milliseconds). It asks the kernel for as little timer slack as there is and for a
//! better place in the queue for a core than the nodes have, because a relay that waits for one adds to every latency.

use std::{
    io,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    device::{Device, PACKET_BYTES_MAX},
    end::End,
    precision::{Lateness, Precision},
    switch::{Delivery, Input, Switch},
};

/// Packets read from one device before others have their turn.
const BURST: usize = 32;

/// How much better than others' the relay's place in the queue for a core is (`nice`). Takes root; without, it does
/// without.
const NICE: i32 = -15;

/// What the pump and its owner share.
#[derive(Debug)]
pub(super) struct Shared {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    switch: Switch,
    lateness: Lateness,
    /// Packets that a device did not take, or errors when reading from one.
    device_errors: u64,
}

impl Shared {
    pub(super) fn new(switch: Switch) -> Self {
        let state = State { switch, lateness: Lateness::default(), device_errors: 0 };
        Self { begun: Instant::now(), state: Mutex::new(state) }
    }

    /// Does something with the switch at the time it is.
    pub(super) fn with<T>(&self, work: impl FnOnce(Duration, &mut Switch) -> T) -> T {
        let mut state = self.lock();
        work(self.begun.elapsed(), &mut state.switch)
    }

    pub(super) fn precision(&self) -> Precision {
        self.lock().lateness.precision()
    }

    pub(super) fn forget_lateness(&self) {
        self.lock().lateness = Lateness::default();
    }

    pub(super) fn device_errors(&self) -> u64 {
        self.lock().device_errors
    }

    /// A thread that panicked while it held the lock left the switch as it was between two packets.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries packets until the other end of `stop` is closed.
pub(super) fn run(shared: &Arc<Shared>, devices: &[Device], stop: &io::PipeReader) -> io::Result<()> {
    hurry();
    let mut buffer = [0; PACKET_BYTES_MAX];
    loop {
        let next_due = shared.lock().switch.next_due();
        let wait = next_due.map(|due| due.saturating_sub(shared.begun.elapsed()));
        let timeout = wait.map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        });
        let mut ready: Vec<PollFd<'_>> = Vec::with_capacity(devices.len() + 1);
        ready.push(PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN));
        ready.extend(devices.iter().map(|device| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN)));
        match poll(&mut ready, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[0].revents().is_empty() {
            return Ok(());
        }
        // What is due goes first: it has waited already.
        carry(shared, devices, Input::Tick);
        for (number, device) in (0u16..).zip(devices) {
            if !ready[usize::from(number) + 1].revents().is_empty() {
                read(shared, devices, End::new(number), device, &mut buffer);
            }
        }
    }
}

/// Reads what waits in a device, up to a burst.
fn read(shared: &Shared, devices: &[Device], from: End, device: &Device, buffer: &mut [u8]) {
    for _ in 0..BURST {
        match device.read(buffer) {
            Ok(length) => carry(shared, devices, Input::Packet { from, bytes: buffer[..length].to_vec() }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => {
                shared.lock().device_errors += 1;
                return;
            }
        }
    }
}

/// Gives the switch its input, and writes what it lets through.
fn carry(shared: &Shared, devices: &[Device], input: Input) {
    let deliveries = shared.with(|now, switch| {
        let link_holds = |delivery: &Delivery, switch: &Switch| {
            let link = switch.link(delivery.from, delivery.to);
            link.latency_us > 0 || link.jitter_us_max > 0 || link.bytes_per_second.is_some()
        };
        let deliveries = switch.handle(now, input);
        deliveries.into_iter().map(|delivery| (link_holds(&delivery, switch), delivery)).collect::<Vec<_>>()
    });
    for (held, delivery) in deliveries {
        let written = devices.get(delivery.to.place()).map(|device| device.write(&delivery.bytes));
        let late = shared.begun.elapsed().saturating_sub(delivery.due);
        let mut state = shared.lock();
        if held {
            state.lateness.record(late);
        }
        if !matches!(written, Some(Ok(_))) {
            state.device_errors += 1;
        }
    }
}

/// Asks the kernel to wake this thread as exactly as it can. What it refuses only makes packets later, which is measured.
fn hurry() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        // For the kernel a thread is a process here: only this one is hurried.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}
