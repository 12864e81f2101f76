//! The only place here that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures from one moment on; never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn unix_millis() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// The clock of the edge, which may be behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) behind: Duration,
}

impl Clock {
    pub(crate) fn unix_millis(self) -> u64 {
        unix_millis().saturating_sub(u64::try_from(self.behind.as_millis()).unwrap_or(u64::MAX))
    }
}
