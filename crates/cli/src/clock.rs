//! The one clock of the program.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rootspan_model::time::UnixNanos;
use rootspan_store::store::Clock;

/// The time now; a clock before 1970 reads as zero.
pub(crate) fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The same, for those who take a clock as an argument.
pub(crate) fn clock() -> Clock {
    Arc::new(now)
}
