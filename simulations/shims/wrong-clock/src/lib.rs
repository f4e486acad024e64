//! A clock that is wrong, for one process.
//!
//! Loaded into a program before the C library (`LD_PRELOAD`), it answers `clock_gettime` in its place: the time of day is
//! ahead by as many seconds as `GRIOT_WRONG_CLOCK_SECONDS` says (behind, where they are negative). What only measures how
//! long things take (the monotonic clocks, and those of CPU time) is the kernel's, as on a machine whose clock somebody sets.
//! Without the variable, or where it holds no number, the time is right.
//!
//! `libfaketime` does the same and more, but it looks up symbols when it is first asked, which allocates, and an allocator
//! that asks for the time while it sets itself up (mimalloc in the place of `malloc`, as in a `griotd` that is built together with the simulator) then runs into
//! itself. So nothing is looked up or allocated here: asking is one system call and one addition.
//!
//! Only live runs of `griot-sim` load it, into the nodes whose clocks are to be wrong. No program links it.

#![cfg(target_os = "linux")]

use std::{
    ffi::CStr,
    sync::atomic::{AtomicI64, Ordering},
};

use libc::{c_int, clockid_t, timespec};

/// The variable that says how wrong the clock is.
const VARIABLE: &CStr = c"GRIOT_WRONG_CLOCK_SECONDS";

/// The variable has not been read yet. As an offset it would be nonsense.
const UNREAD: i64 = i64::MIN;

/// How wrong the clock is, seconds.
static OFFSET: AtomicI64 = AtomicI64::new(UNREAD);

fn offset() -> i64 {
    let known = OFFSET.load(Ordering::Relaxed);
    if known != UNREAD {
        return known;
    }
    let read = read_offset().unwrap_or_default();
    OFFSET.store(read, Ordering::Relaxed);
    read
}

fn read_offset() -> Option<i64> {
    // SAFETY: the name ends with a zero byte. Nobody changes the environment this early: the first question for the time
    // comes from the program's own start.
    let value = unsafe { libc::getenv(VARIABLE.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the C library's values end with a zero byte.
    let value = unsafe { CStr::from_ptr(value) };
    let seconds: i64 = value.to_str().ok()?.parse().ok()?;
    (seconds != UNREAD).then_some(seconds)
}

/// POSIX `clock_gettime`.
///
/// # Safety
/// `spec` must be null or point to writable memory for a `timespec`, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, spec: *mut timespec) -> c_int {
    // SAFETY: the kernel checks both arguments itself, and answers EFAULT to a pointer that is not good.
    let code = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, spec) } as c_int;
    let is_time_of_day = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI);
    if code == 0 && is_time_of_day && !spec.is_null() {
        // SAFETY: it is not null, and the kernel has just written to it.
        let spec = unsafe { &mut *spec };
        spec.tv_sec = spec.tv_sec.saturating_add(offset());
    }
    code
}
