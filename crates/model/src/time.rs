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

/// A point in time on the calendar, in UTC (proleptic Gregorian, no leap seconds).
///
/// Prints as RFC 3339 with milliseconds: `2026-09-14T10:15:30.295Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// Year, 1970 to 2554.
    pub year: u32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59.
    pub second: u32,
    /// Nanoseconds within the second.
    pub nanosecond: u32,
}

impl UnixNanos {
    /// The time on the calendar.
    ///
    /// The date is counted in eras of 400 years (146,097 days) that begin on 1 March, so that the leap day is the last
    /// day of a year and the lengths of months repeat every five.
    #[must_use]
    pub const fn utc(self) -> Utc {
        const NANOS: u64 = 1_000_000_000;
        /// Days from 0000-03-01 to 1970-01-01.
        const EPOCH_DAY: u64 = 719_468;
        let (seconds, nanosecond) = (self.0 / NANOS, (self.0 % NANOS) as u32);
        let second_of_day = (seconds % 86_400) as u32;
        let day = seconds / 86_400 + EPOCH_DAY;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
        Utc {
            year: year as u32,
            month: month as u32,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: second_of_day / 3_600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            nanosecond,
        }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, nanosecond } = self;
        let milliseconds = nanosecond / 1_000_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }
}

impl fmt::Debug for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixNanos({})", self.0)
    }
}

#[cfg(test)]
mod tests;
