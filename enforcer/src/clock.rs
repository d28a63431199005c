//! The two clocks: the kernel's events carry time since boot, records carry wall time.

#![forbid(unsafe_code)]

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME` in nanoseconds, as `bpf_ktime_get_boot_ns` gives it.
#[must_use]
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
        .try_into()
        .unwrap_or_default()
}

/// Nanoseconds to add to `CLOCK_BOOTTIME` to get time since 1970.
#[must_use]
pub fn boot_to_wall_ns() -> i64 {
    nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime)
}

/// Now, as RFC 3339 in UTC.
#[must_use]
pub fn now_text() -> String {
    jiff::Timestamp::now().to_string()
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
