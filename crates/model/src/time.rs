//! Points in time. Durations are plain `u64` nanoseconds with the unit in the name.

use std::fmt;

/// Nanoseconds since 1970-01-01T00:00:00Z, as OTLP's `fixed64 …_time_unix_nano`. The whole range is legal input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// Nanoseconds from `earlier` to `self`; zero if `earlier` is later (clocks disagree, ends precede starts).
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixNanos({})", self.0)
    }
}
