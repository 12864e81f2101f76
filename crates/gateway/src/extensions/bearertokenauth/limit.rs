//! `rate_limit`: how much may come with one token. A bucket of spans is filled steadily up to `burst`. A request is taken as long as
//! something is in the bucket, and its spans are taken out then, below zero if they are more: so a long request is possible, the
//! average holds exactly, and the next one waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::config::problems::{Position, Problems};

/// How many times `spans_per_second` fit into the bucket if `burst` is absent.
const DEFAULT_BURST_SECONDS: u64 = 10;

/// Nobody is told to come back later than this: the limit may be another one by then.
const MAX_RETRY: Duration = Duration::from_secs(60);

config! {
    /// How much may come with each token, so that one that was stolen cannot fill a store. What is beyond is refused with 429
    /// or `RESOURCE_EXHAUSTED` and the time after which to try again, and counted as `rate_limit`.
    pub struct RateLimitConfig {
        /// Spans, data points and log records that each token may send in a second on average.
        spans_per_second: u64 [spans],
        /// How many it may send at once after a while of silence; absent: ten times as many. A single request may have more
        /// and is then waited for.
        burst: Option<u64> [spans],
    }
}

impl RateLimitConfig {
    /// Checks that something may come.
    pub(super) fn check(&self, position: &Position, problems: &mut Problems) {
        if self.spans_per_second == 0 || self.burst == Some(0) {
            problems.error(position, "`rate_limit` lets nobody in: `spans_per_second` and `burst` must be above 0");
        }
    }
}

/// The bucket of one token.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: f64,
    burst: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Spans in the bucket; below zero after a long request.
    level: f64,
    at: Instant,
}

impl RateLimit {
    /// For the client.
    pub(crate) const MESSAGE: &'static str =
        "more has come with this token than its rate_limit allows; try again later";

    /// A full bucket.
    pub(super) fn new(config: &RateLimitConfig, now: Instant) -> Self {
        let burst = config.burst.unwrap_or(config.spans_per_second.saturating_mul(DEFAULT_BURST_SECONDS));
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let (per_second, burst) = (config.spans_per_second as f64, burst as f64);
        Self { per_second, burst, state: Mutex::new(State { level: burst, at: now }) }
    }

    /// Takes spans out of the bucket (none: only looks). An error is when something will be in it again.
    pub(crate) fn take(&self, spans: u64, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.at).as_secs_f64();
        state.level = (state.level + passed * self.per_second).min(self.burst);
        state.at = state.at.max(now);
        if state.level < 1.0 {
            let wait = (1.0 - state.level) / self.per_second;
            return Err(Duration::try_from_secs_f64(wait).map_or(MAX_RETRY, |wait| wait.min(MAX_RETRY)));
        }
        #[expect(clippy::cast_precision_loss, reason = "a request has far fewer than 2^52 spans")]
        let spans = spans as f64;
        state.level -= spans;
        Ok(())
    }

    /// Puts spans back that the gateway did not take.
    pub(crate) fn give_back(&self, spans: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "a request has far fewer than 2^52 spans")]
        let spans = spans as f64;
        state.level = (state.level + spans).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(spans_per_second: u64, burst: Option<u64>, now: Instant) -> RateLimit {
        RateLimit::new(&RateLimitConfig { spans_per_second, burst }, now)
    }

    #[test]
    fn the_average_holds_whatever_the_requests_are() {
        let start = Instant::now();
        let limit = limit(10, None, start);
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!(limit.take(60, at(0.0)), Ok(()));
        assert_eq!(limit.take(90, at(0.0)), Ok(()), "longer than what is left, and taken");
        assert_eq!(limit.take(1, at(0.0)), Err(Duration::from_secs_f64(5.1)));
        assert_eq!(limit.take(0, at(5.0)), Err(Duration::from_secs_f64(0.1)));
        assert_eq!(limit.take(1, at(5.1)), Ok(()));
        // After a long silence no more than the burst.
        for _ in 0..10 {
            assert_eq!(limit.take(10, at(1000.0)), Ok(()));
        }
        assert!(limit.take(1, at(1000.0)).is_err());
        limit.give_back(10);
        assert_eq!(limit.take(1, at(1000.0)), Ok(()));
        let mut taken = 0;
        for step in 0..100_000 {
            taken += u32::from(limit.take(1, at(1001.0 + f64::from(step) / 1000.0)).is_ok());
        }
        assert!((1000..=1020).contains(&taken), "{taken} in 100 s");
    }

    #[test]
    fn nobody_is_sent_away_for_long() {
        let start = Instant::now();
        let limit = limit(1, Some(1), start);
        assert_eq!(limit.take(100_000, start), Ok(()));
        assert_eq!(limit.take(1, start), Err(MAX_RETRY));
    }
}
