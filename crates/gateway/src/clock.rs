//! The one place that reads the system's clock. Everything else is given a [`Clock`].

use std::sync::Arc;
use std::time::SystemTime;

use rootspan_model::time::UnixNanos;

/// Tells the time.
pub type Clock = rootspan_store::store::Clock;

/// The system's clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn system() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    })
}
