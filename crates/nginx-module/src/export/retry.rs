//! Delivering one batch: tries, pauses between them, and when to give up (OTLP specification, "Failures").

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Answer, Client, Shared};

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// After this long a batch is given up, so that what comes to the collector when it is back is recent.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// How long one try may take.
const TRY_WITHIN: Duration = Duration::from_secs(10);

/// How long the last try may take that begins after the worker stopped.
const MIN_TRY: Duration = Duration::from_millis(50);

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The collector has it, except for those that it named.
    Delivered {
        /// Spans of the partial success.
        rejected: u64,
    },
    /// The collector will never take it.
    Refused,
    /// It could not be delivered in time.
    Unreachable,
}

/// Tries until there is an outcome.
pub(super) fn deliver(client: &mut Client, request: [&[u8]; 2], shared: &Shared) -> Outcome {
    let give_up = Instant::now() + GIVE_UP_AFTER;
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Instant::now();
        let end = shared.lock().stop_by.unwrap_or(give_up).min(give_up);
        let within = end.saturating_duration_since(now).min(TRY_WITHIN);
        if within < MIN_TRY {
            return Outcome::Unreachable;
        }
        let wait = match client.post(request, now + within) {
            Ok(Answer::Accepted { rejected }) => return Outcome::Delivered { rejected },
            Ok(Answer::Refused) => return Outcome::Refused,
            Ok(Answer::Later { after }) => after.unwrap_or(pause).min(MAX_PAUSE),
            Err(_) => pause,
        };
        pause = (pause * 2).min(MAX_PAUSE);
        if !sleep(shared, wait, give_up) {
            return Outcome::Unreachable;
        }
    }
}

/// Waits; ends early when the worker stops, so that it can try once more. False if there is no time for another try.
fn sleep(shared: &Shared, wait: Duration, give_up: Instant) -> bool {
    let until = Instant::now() + wait;
    let mut queue = shared.lock();
    let stopped_before = queue.stop_by.is_some();
    loop {
        let now = Instant::now();
        let end = queue.stop_by.unwrap_or(give_up).min(give_up);
        if end.saturating_duration_since(now) < MIN_TRY {
            return false;
        }
        if now >= until || queue.stop_by.is_some() != stopped_before {
            return true;
        }
        let waited = shared.changed.wait_timeout(queue, until - now);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}
