//! The spans that are sent: generated before anything is measured, with the truth about them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rootspan_model::time::UnixNanos;
use rootspan_testkit::generate::{Options, Truth, generate};

/// Starts are spread over the hour before now.
const WINDOW: Duration = Duration::from_secs(3600);

/// Encoded requests and what is in them.
#[derive(Debug)]
pub(crate) struct Workload {
    /// One request each.
    pub(crate) payloads: Arc<Vec<Bytes>>,
    /// Spans of each request.
    pub(crate) spans: Vec<u64>,
    /// What a search must find.
    pub(crate) truth: Truth,
}

impl Workload {
    /// `spans` spans in requests of a thousand; the CDN's spans come `root_delay` after their traces.
    #[expect(clippy::disallowed_methods, reason = "the window ends now")]
    pub(crate) fn generate(spans: u64, seed: u64, root_delay: Duration) -> anyhow::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let start = now.saturating_sub(WINDOW);
        let mut generator = generate(Options {
            seed,
            spans,
            start: UnixNanos(u64::try_from(start.as_nanos())?),
            window: WINDOW,
            spans_per_request: 1000,
            root_delay,
        });
        let (mut payloads, mut counts) = (Vec::new(), Vec::new());
        for batch in &mut generator {
            counts.push(batch.span_count() as u64);
            payloads.push(batch.bytes().clone());
        }
        Ok(Self { payloads: Arc::new(payloads), spans: counts, truth: generator.truth().clone() })
    }

    /// Bytes of OTLP in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.payloads.iter().map(|payload| payload.len() as u64).sum()
    }
}
