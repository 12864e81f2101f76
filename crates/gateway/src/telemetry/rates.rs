//! How fast: the accounts of the last minute, one look a second.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rootspan_model::time::UnixNanos;

use crate::ledger::Snapshot;

/// How often the accounts are looked at.
pub(crate) const STEP: Duration = Duration::from_secs(1);
/// Looks that are kept: a minute of them, and the one that it began with.
const LOOKS: usize = 61;

/// The accounts of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    looks: Mutex<VecDeque<(UnixNanos, Snapshot)>>,
}

/// Items a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    /// Over the last second.
    pub(crate) second: f64,
    /// Over the last minute, or since the start.
    pub(crate) minute: f64,
}

impl Rates {
    /// Takes a look.
    pub(crate) fn look(&self, now: UnixNanos, snapshot: Snapshot) {
        let mut looks = self.lock();
        looks.push_back((now, snapshot));
        while looks.len() > LOOKS {
            looks.pop_front();
        }
    }

    /// How fast a number of the accounts grows.
    pub(crate) fn of(&self, number: impl Fn(&Snapshot) -> Option<u64>) -> Rate {
        let looks = self.lock();
        let Some((now, last)) = looks.back() else { return Rate::default() };
        let rate_since = |then: Option<&(UnixNanos, Snapshot)>| {
            let Some((then, first)) = then else { return 0.0 };
            let seconds = now.nanos_since(*then) as f64 / 1e9;
            // An account that is newer than the look began with nothing.
            let grown = number(last).unwrap_or(0).saturating_sub(number(first).unwrap_or(0));
            if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
        };
        let before_last = looks.len().checked_sub(2).and_then(|index| looks.get(index));
        Rate { second: rate_since(before_last), minute: rate_since(looks.front()) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(UnixNanos, Snapshot)>> {
        // Looks are pushed and popped whole.
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::ReceiverAccount;
    use rootspan_wire::otlp::payload::Signal;

    fn received(spans: u64) -> Snapshot {
        let mut account = ReceiverAccount::new("otlp".to_owned(), Signal::Traces);
        account.received = spans;
        Snapshot { receivers: vec![account], ..Snapshot::default() }
    }

    #[test]
    fn a_rate_is_what_was_added_by_the_time_that_passed() {
        let rates = Rates::default();
        let of_first = || rates.of(|snapshot| snapshot.receivers.first().map(|account| account.received));
        assert_eq!(of_first(), Rate::default());
        rates.look(UnixNanos(0), Snapshot::default());
        assert_eq!(of_first(), Rate::default(), "one look says nothing");
        for second in 1..=90 {
            let spans = if second <= 60 { second * 10 } else { 600 + (second - 60) * 40 };
            rates.look(UnixNanos(second * 1_000_000_000), received(spans));
        }
        assert_eq!(of_first(), Rate { second: 40.0, minute: 25.0 }, "half a minute at 10, half at 40");
    }
}
