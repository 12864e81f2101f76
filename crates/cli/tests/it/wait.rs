//! Waiting for a condition. Nothing here waits for a time to pass; a condition that does not come fails the test.

use std::time::{Duration, Instant};

/// Longest wait for anything: generous, since the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition that nobody announces.
const PAUSE: Duration = Duration::from_millis(2);

/// Polls until there is a value.
#[expect(clippy::disallowed_methods, reason = "another process changes, or a file does; nothing could wake this one")]
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < give_up, "waited {PATIENCE:?} for this in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}
