//! `GET /api/v1/status`: the status line of the user interface.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use http::Uri;
use rootspan_store::store::Store;
use tokio::time::Instant;

use super::Shared;
use super::content::{AcceptsGzip, Content};
use super::parameters::Parameters;
use crate::answers::StatusAnswer;
use crate::error::ApiError;
use crate::server::IngestFigures;

/// The rate is that of about so long.
const WINDOW: Duration = Duration::from_secs(10);

/// Samples closer together than this are not kept, however many pages ask.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Samples older than this say nothing about now.
const STALE_AFTER: Duration = Duration::from_secs(60);

pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    accepts: AcceptsGzip,
    uri: Uri,
) -> Result<Content, ApiError> {
    Parameters::of(&uri, &[])?;
    let queries = Arc::clone(&shared.queries);
    queries.glance(move |store| Content::json(&shared.status.read(store), accepts)).await
}

/// Joins what the gateway and the store know, and makes a rate from two counts.
pub(super) struct StatusReader {
    figures: IngestFigures,
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl fmt::Debug for StatusReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusReader").finish_non_exhaustive()
    }
}

impl StatusReader {
    pub(super) fn new(figures: IngestFigures) -> Self {
        Self { figures, samples: Mutex::default() }
    }

    fn read(&self, store: &Store) -> StatusAnswer {
        let figures = (self.figures)();
        let store = store.status();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let spans_per_second = rate(&mut samples, Instant::now(), figures.spans_received);
        StatusAnswer {
            spans_received: figures.spans_received,
            spans_per_second,
            newest_span_unix_nano: store.newest_span_start.map(|time| time.0.to_string()),
            last_ingest_unix_nano: store.last_ingest.map(|time| time.0.to_string()),
            store_bytes: store.bytes_on_disk,
            store_max_bytes: store.max_bytes,
            dropped_spans: figures.dropped_spans,
            refused_spans: figures.refused_spans,
            damaged_blocks: store.damaged_blocks,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Spans per second since the oldest sample that is not stale; the samples are then those of the window.
fn rate(samples: &mut VecDeque<(Instant, u64)>, now: Instant, count: u64) -> Option<f64> {
    // One sample older than the window stays, so that the rate covers all of it.
    while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        || samples.front().is_some_and(|(at, _)| now.duration_since(*at) >= STALE_AFTER)
    {
        samples.pop_front();
    }
    let oldest = samples.front().copied();
    if samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE_EVERY) {
        samples.push_back((now, count));
    }
    let (at, earlier) = oldest?;
    let seconds = now.duration_since(at).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of spans within a minute")]
    let spans = count.saturating_sub(earlier) as f64;
    // Two requests at once would divide by almost nothing.
    (seconds >= 0.5).then(|| spans / seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::rate;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (start, mut samples) = (Instant::now(), VecDeque::new());
        let mut at = |millis, count| rate(&mut samples, start + Duration::from_millis(millis), count);
        assert_eq!(at(0, 1000), None);
        assert_eq!(at(100, 1010), None);
        assert_eq!(at(2000, 3000), Some(1000.0));
        for second in 3..30 {
            at(second * 1000, 3000);
        }
        assert_eq!(at(30_000, 3000), Some(0.0));
        assert_eq!(at(200_000, 9000), None);
        assert_eq!(at(201_000, 9500), Some(500.0));
        assert_eq!(at(202_000, 0), Some(0.0));
    }
}
