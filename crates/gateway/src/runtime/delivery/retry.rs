//! When to try again: intervals that grow and scatter, never earlier than the back end asked for.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::exporters::sending::RetryConfig;

/// Longer intervals than a day mean never, and must not overflow.
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// When to give up if nothing is configured, as in the collector.
const DEFAULT_ELAPSED_TIME: Duration = Duration::from_secs(300);

/// Where around the interval each delay falls. Clones draw from the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Scatter(Arc<AtomicU64>);

impl Scatter {
    /// Numbers that nobody foresees.
    pub(crate) fn random() -> Self {
        // A hasher of the standard library begins with random keys.
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// Numbers that `seed` decides.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// From 0 to 1 (SplitMix64).
    fn share(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }
}

/// The attempts on one batch.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    config: RetryConfig,
    scatter: Scatter,
    begun: Instant,
    interval: Duration,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    For(Duration),
    GiveUp,
}

impl Retry {
    pub(super) fn new(config: &RetryConfig, scatter: &Scatter, now: Instant) -> Self {
        Self { interval: config.initial_interval, config: config.clone(), scatter: scatter.clone(), begun: now }
    }

    /// The time before the next attempt; `hint` is the least that the back end asked for.
    pub(super) fn next(&mut self, hint: Duration, now: Instant) -> Wait {
        let share = self.scatter.share();
        self.next_with(share, hint, now)
    }

    /// `share`, from 0 to 1, says where around the interval.
    fn next_with(&mut self, share: f64, hint: Duration, now: Instant) -> Wait {
        let factor = 1.0 + self.config.randomization_factor.clamp(0.0, 1.0) * (2.0 * share - 1.0);
        let delay = self.interval.min(LONGEST_INTERVAL).mul_f64(factor).max(hint);
        let grown = self.interval.as_secs_f64() * self.config.multiplier.max(1.0);
        self.interval = Duration::try_from_secs_f64(grown).unwrap_or(Duration::MAX).min(self.config.max_interval);
        let limit = self.config.max_elapsed_time.unwrap_or(DEFAULT_ELAPSED_TIME);
        let elapsed = now.saturating_duration_since(self.begun);
        if limit > Duration::ZERO && elapsed.saturating_add(delay) > limit { Wait::GiveUp } else { Wait::For(delay) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_to_their_limit_and_obey_the_back_end() {
        let config = RetryConfig {
            enabled: true,
            initial_interval: Duration::from_secs(1),
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: Duration::from_secs(3),
            max_elapsed_time: Some(Duration::from_secs(60)),
        };
        let begun = Instant::now();
        let mut retry = Retry::new(&config, &Scatter::seeded(1), begun);
        let mut delays = Vec::new();
        for share in [0.5, 0.5, 0.5, 0.0, 1.0] {
            delays.push(retry.next_with(share, Duration::ZERO, begun));
        }
        let seconds = |seconds: f64| Wait::For(Duration::from_secs_f64(seconds));
        assert_eq!(delays, [seconds(1.0), seconds(2.0), seconds(3.0), seconds(1.5), seconds(4.5)]);
        assert_eq!(retry.next_with(0.5, Duration::from_secs(20), begun), seconds(20.0), "the back end asked for more");
        let late = begun + Duration::from_secs(58);
        assert_eq!(retry.next_with(0.5, Duration::ZERO, late), Wait::GiveUp);
        let for_ever = RetryConfig { max_elapsed_time: Some(Duration::ZERO), ..config };
        assert_ne!(
            Retry::new(&for_ever, &Scatter::seeded(1), begun)
                .next(Duration::ZERO, begun + Duration::from_secs(1 << 30)),
            Wait::GiveUp
        );
    }
}
