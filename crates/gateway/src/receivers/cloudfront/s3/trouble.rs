//! What goes wrong again and again is said once, then rarely, and its end is said, too. Between attempts it is waited longer
//! and longer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::problem::{Fault, Problem};
use crate::net::stop::Stop;

/// The first wait; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What lasts is said again after this long.
pub(super) const REPEAT: Duration = Duration::from_secs(15 * 60);

/// What is wrong with one service.
#[derive(Debug)]
pub(super) struct Trouble {
    receiver: String,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    said: Instant,
    wait: Duration,
}

impl Trouble {
    pub(super) fn new(receiver: &str) -> Self {
        Self { receiver: receiver.to_owned(), state: Mutex::new(None) }
    }

    /// Says it if it is new; gives how long to wait.
    pub(super) fn met(&self, problem: &Problem) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (is_said, before) = match &*state {
            Some(state) => (state.fault == problem.fault && now < state.said + REPEAT, state.wait),
            None => (false, FIRST_WAIT / 2),
        };
        let wait = (before * 2).min(LONGEST_WAIT);
        if is_said {
            if let Some(state) = &mut *state {
                state.wait = wait;
            }
            tracing::debug!(receiver = self.receiver, "{problem}");
        } else {
            tracing::warn!(receiver = self.receiver, "{problem}; it is tried again");
            *state = Some(State { fault: problem.fault, said: now, wait });
        }
        wait
    }

    /// It works (again).
    pub(super) fn over(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.take().is_some() {
            tracing::info!(receiver = self.receiver, "the bucket or queue is read again");
        }
    }
}

/// Waits, or until it is told to stop.
pub(super) async fn pause(time: Duration, stop: &mut Stop) {
    // Both branches are cancel-safe.
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.stopped() => {}
    }
}
