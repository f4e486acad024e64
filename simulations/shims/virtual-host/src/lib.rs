//! Clock and entropy of a machine that does not exist, for the thread that asks for them.
//!
//! libp2p, the standard library and the crates for randomness ask the C library for the time (`clock_gettime`) and for
//! entropy (`getrandom`). In virtual time both must follow the simulation: time stands still between two events, and
//! every "random" byte comes from the seed, or no run could be repeated. A program that links this crate has its own
//! `clock_gettime`, `gettimeofday`, `time`, `getrandom` and `getentropy`; the linker prefers them to the C library's.
//!
//! # Who gets what
//!
//! A thread that holds a [`Guard`] lives in virtual time. **All others get the kernel's answer**, by a direct system call:
//! the time is real, and keys are as unpredictable as ever. The switch is per thread, is off unless
//! [`enter`] was called on that very thread, and goes off with the guard, so that a program that simulates may also do
//! real work. Only the simulator's binary and its tests link this crate; `griotd` and `griot` do not.
//!
//! Asking for the time must not take locks, allocate, or call back into the runtime, because allocators and runtimes
//! ask for it in the middle of their own work. So nothing is computed here: the simulation *tells* the time
//! ([`set_elapsed`]) whenever it moves, and asking reads a number.
//!
//! CPU-time clocks are always the kernel's: they tell what a simulation costs. So does [`real_elapsed`].
//!
//! # What follows the seed
//!
//! The crate `getrandom` from version 0.3 on, `rand`'s thread generator if it is first used inside, and the keys of
//! `std::collections::HashMap`: the standard library draws those once per thread. So **simulate on a fresh thread**, and
//! enter before anything else happens there. What makes the system call itself is not seen: `getrandom` 0.2, which in
//! this workspace only `ring` asks, for TLS and QUIC, neither of which runs in a simulation.

#![cfg(target_os = "linux")]

use std::{cell::Cell, marker::PhantomData, time::Duration};

mod libc_symbols;

/// What the monotonic clock shows when virtual time begins: nobody may subtract more than this from it.
const MONOTONIC_START: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Copy)]
struct Virtual {
    /// Nanoseconds since virtual time began.
    elapsed_ns: u64,
    /// The wall clock when it began.
    epoch_ns: u64,
    /// Where the stream of bytes stands.
    entropy: u64,
}

thread_local! {
    /// Constant and without a destructor: reading it neither allocates nor registers anything, at any time in a thread's
    /// life.
    static VIRTUAL: Cell<Option<Virtual>> = const { Cell::new(None) };
}

/// The thread lives in virtual time already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyVirtual;

impl std::fmt::Display for AlreadyVirtual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this thread lives in virtual time already")
    }
}

impl std::error::Error for AlreadyVirtual {}

/// While it lives, its thread's clock and entropy are virtual.
#[derive(Debug)]
pub struct Guard {
    /// It belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        VIRTUAL.set(None);
    }
}

/// Begins virtual time on this thread: the wall clock shows `epoch` (since 1970) and entropy is drawn from `seed`.
///
/// # Errors
/// [`AlreadyVirtual`].
pub fn enter(seed: u64, epoch: Duration) -> Result<Guard, AlreadyVirtual> {
    if is_virtual() {
        return Err(AlreadyVirtual);
    }
    let epoch_ns = u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX / 2);
    VIRTUAL.set(Some(Virtual { elapsed_ns: 0, epoch_ns, entropy: mix(seed) }));
    Ok(Guard { not_send: PhantomData })
}

/// Whether this thread lives in virtual time.
#[must_use]
pub fn is_virtual() -> bool {
    VIRTUAL.get().is_some()
}

/// Sets how much virtual time has passed since it began. Nothing happens where the thread's time is real, or where
/// that would move it back.
pub fn set_elapsed(elapsed: Duration) {
    if let Some(mut now) = VIRTUAL.get() {
        now.elapsed_ns = now.elapsed_ns.max(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX / 2));
        VIRTUAL.set(Some(now));
    }
}

/// How many milliseconds of virtual time have passed since it began; nothing where the thread's time is real. As cheap
/// as reading a number.
#[must_use]
pub fn elapsed_ms() -> Option<u64> {
    VIRTUAL.get().map(|now| now.elapsed_ns / 1_000_000)
}

/// The kernel's monotonic clock, also in virtual time: for progress and speed, never for what a run does.
#[must_use]
pub fn real_elapsed() -> Duration {
    libc_symbols::kernel_monotonic()
}

impl Virtual {
    fn monotonic(&self) -> Duration {
        MONOTONIC_START + Duration::from_nanos(self.elapsed_ns)
    }

    fn wall(&self) -> Duration {
        Duration::from_nanos(self.epoch_ns.saturating_add(self.elapsed_ns))
    }
}

/// The next eight bytes for this thread; nothing where its entropy is real.
fn draw() -> Option<[u8; 8]> {
    let mut now = VIRTUAL.get()?;
    now.entropy = now.entropy.wrapping_add(0x9E37_79B9_7F4A_7C15);
    VIRTUAL.set(Some(now));
    Some(mix(now.entropy).to_le_bytes())
}

/// The output function of `SplitMix64`.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
