//! Waiting for something to become true, without guessing how long it takes.

use std::time::{Duration, Instant};

/// Far more than anything takes; a test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks `condition` until it gives a value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < LIMIT, "waited in vain for {what}");
        // Gives way to the processes that are waited for.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
