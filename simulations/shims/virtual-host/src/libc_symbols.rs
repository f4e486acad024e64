//! The C library's functions that are answered here instead.
//!
//! Each asks whether its thread lives in virtual time, and otherwise makes the system call that the C library would
//! have made. None calls another function of the C library, but for `syscall`, which does nothing else.

use std::time::Duration;

use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, time_t, timespec, timeval};

use crate::{VIRTUAL, draw};

/// What a virtual clock shows; nothing for real threads and for clocks that count CPU time.
fn shown(clock: clockid_t) -> Option<Duration> {
    let now = VIRTUAL.get()?;
    match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => Some(now.wall()),
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME => {
            Some(now.monotonic())
        }
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seconds since 1970 fit wherever the C library says they do")]
fn as_timespec(time: Duration) -> timespec {
    // SAFETY: all-zero bytes are a valid timespec, which is plain numbers and padding.
    let mut spec: timespec = unsafe { std::mem::zeroed() };
    spec.tv_sec = time.as_secs() as time_t;
    spec.tv_nsec = time.subsec_nanos() as _;
    spec
}

/// POSIX `clock_gettime`.
///
/// # Safety
/// `spec` must be null or point to writable memory for a `timespec`, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, spec: *mut timespec) -> c_int {
    match shown(clock) {
        Some(time) if !spec.is_null() => {
            // SAFETY: it is not null, and the caller vouches that it can be written.
            unsafe { spec.write(as_timespec(time)) };
            0
        }
        // SAFETY: the kernel checks both arguments itself, and answers EFAULT to a pointer that is not good.
        _ => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, spec) as c_int },
    }
}

/// BSD `gettimeofday`. The time zone, obsolete for decades, is never written in virtual time.
///
/// # Safety
/// `tv` must be null or point to writable memory for a `timeval`, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(tv: *mut timeval, zone: *mut c_void) -> c_int {
    match shown(libc::CLOCK_REALTIME) {
        Some(time) => {
            if !tv.is_null() {
                let spec = as_timespec(time);
                let value = timeval { tv_sec: spec.tv_sec, tv_usec: spec.tv_nsec / 1000 };
                // SAFETY: it is not null, and the caller vouches that it can be written.
                unsafe { tv.write(value) };
            }
            0
        }
        // SAFETY: the kernel checks both arguments itself.
        None => unsafe { libc::syscall(libc::SYS_gettimeofday, tv, zone) as c_int },
    }
}

/// C `time`.
///
/// # Safety
/// `out` must be null or point to writable memory for a `time_t`, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(out: *mut time_t) -> time_t {
    let mut spec = as_timespec(Duration::ZERO);
    // SAFETY: `spec` is ours and can be written.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &raw mut spec) };
    if !out.is_null() {
        // SAFETY: it is not null, and the caller vouches that it can be written.
        unsafe { out.write(spec.tv_sec) };
    }
    spec.tv_sec
}

/// Linux `getrandom`.
///
/// # Safety
/// `buffer` must point to `len` writable bytes, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    // SAFETY: the caller vouches for `buffer` and `len`.
    if unsafe { fill(buffer, len) } {
        return len as ssize_t;
    }
    // SAFETY: the kernel checks all arguments itself.
    unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as ssize_t }
}

/// BSD `getentropy`.
///
/// # Safety
/// `buffer` must point to `len` writable bytes, as for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buffer: *mut c_void, len: size_t) -> c_int {
    const LEN_MAX: size_t = 256;
    // SAFETY: the caller vouches for `buffer` and `len`.
    if len <= LEN_MAX && unsafe { fill(buffer, len) } {
        return 0;
    }
    if len > LEN_MAX {
        // As the C library refuses it.
        // SAFETY: errno's place is valid for as long as its thread lives.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; it is this thread's own.
        unsafe { errno.write(libc::EIO) };
        return -1;
    }
    // Up to 256 bytes come whole, or not at all.
    // SAFETY: the kernel checks all arguments itself.
    let drawn = unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, 0) };
    if usize::try_from(drawn) == Ok(len) { 0 } else { -1 }
}

/// Fills the buffer where the thread's entropy is virtual, and says whether.
///
/// # Safety
/// `buffer` must point to `len` writable bytes.
unsafe fn fill(buffer: *mut c_void, len: size_t) -> bool {
    // Some ask for nothing, once in a process, only to see whether anybody answers: that must not move the stream.
    if len == 0 {
        return crate::is_virtual();
    }
    let mut done = 0;
    while let Some(bytes) = draw() {
        let count = bytes.len().min(len - done);
        // SAFETY: `done` ≤ `len`, so this stays in (or one past) what the caller vouches for.
        let to = unsafe { buffer.cast::<u8>().add(done) };
        // SAFETY: `done + count` ≤ `len`, and nobody else knows `bytes`.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), count) };
        done += count;
        if done == len {
            return true;
        }
    }
    false
}

/// The kernel's monotonic clock.
pub(crate) fn kernel_monotonic() -> Duration {
    let mut spec = as_timespec(Duration::ZERO);
    // SAFETY: `spec` is ours and can be written.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &raw mut spec) };
    Duration::new(u64::try_from(spec.tv_sec).unwrap_or_default(), u32::try_from(spec.tv_nsec).unwrap_or_default())
}
