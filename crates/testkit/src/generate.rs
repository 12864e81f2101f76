//! Realistic OTLP requests without randomness but a seed.
//!
//! A shop behind CloudFront and nginx: 26 services, about 9 spans a trace, 15 attributes a span, 12 a resource, 690 bytes
//! of OTLP a span; 2.8 % of spans failed. Spans leave their service when they end, in requests of 1,000 that are grouped
//! by resource, so a trace's spans lie in several requests. What was generated is counted, so that a test can check
//! answers.

mod spans;
mod vocabulary;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::write::{put_attribute, put_resource, put_resource_spans, put_scope, put_scope_spans};

use crate::random::Random;
use spans::{GeneratedSpan, Origin, TraceMaker};

/// One span in this many has the attribute [`MARKER`].
pub const MARKER_EVERY: u64 = 10_000;

/// The rare attribute: a needle in the haystack.
pub const MARKER: &str = "app.debug.marker";

/// What to generate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Same seed, same bytes.
    pub seed: u64,
    /// Spans in all, exactly.
    pub spans: u64,
    /// Start of the first trace.
    pub start: UnixNanos,
    /// Starts of traces are spread over this.
    pub window: Duration,
    /// Most spans of a request.
    pub spans_per_request: usize,
    /// CloudFront's spans are delivered this much later than they end, as spans made from logs are.
    pub root_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            spans: 10_000,
            // 2026-09-14T08:00:00Z, on an hour.
            start: UnixNanos(1_789_372_800_000_000_000),
            window: Duration::from_secs(3600),
            spans_per_request: 1000,
            root_delay: Duration::ZERO,
        }
    }
}

/// Counts of what was generated so far, whether or not it was handed out yet.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Spans.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
    /// Spans with status error.
    pub errors: u64,
    /// Traces with such a span.
    pub error_traces: u64,
    /// Spans of each service.
    pub service_spans: BTreeMap<&'static str, u64>,
    /// Spans with [`MARKER`].
    pub markers: Vec<Marker>,
    /// Every hundredth trace, to be looked up.
    pub samples: Vec<Sample>,
}

/// A span with [`MARKER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The attribute's value; no other span has it.
    pub value: String,
}

/// What a trace must look like when it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub trace_id: TraceId,
    /// Number of spans.
    pub spans: u64,
    /// Of them with status error.
    pub errors: u64,
    /// Start of the root, which is the earliest.
    pub start: UnixNanos,
    /// Duration of the root.
    pub duration_nanos: u64,
    /// Name of the root.
    pub root_name: String,
}

/// Iterator of requests; see [`generate`].
#[derive(Debug)]
pub struct Generator {
    options: Options,
    maker: TraceMaker,
    truth: Truth,
    /// Ended spans that were not sent yet, earliest first; the number keeps the order defined.
    pending: BinaryHeap<Reverse<(u64, u64, GeneratedSpan)>>,
    sequence: u64,
}

/// The requests in the order of their sending.
#[must_use]
pub fn generate(options: Options) -> Generator {
    assert!(options.spans_per_request > 0, "a request has at least one span");
    let maker = TraceMaker::new(Random::new(options.seed));
    Generator { options, maker, truth: Truth::default(), pending: BinaryHeap::new(), sequence: 0 }
}

impl Generator {
    /// Counts so far; after the last request, of everything.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Makes traces until the earliest pending span cannot be preceded any more. False at the end.
    fn fill(&mut self) {
        while self.truth.spans < self.options.spans {
            let start = self.next_start();
            if self.pending.peek().is_some_and(|Reverse((sent, ..))| *sent <= start) {
                return;
            }
            let most = self.options.spans - self.truth.spans;
            let trace = self.maker.make(UnixNanos(start), most, &mut self.truth);
            for span in trace {
                let delay = if span.origin.is_edge() { self.options.root_delay } else { Duration::ZERO };
                let sent = span.end.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
                self.sequence += 1;
                self.pending.push(Reverse((sent, self.sequence, span)));
            }
        }
    }

    /// Traces are spread evenly: as far into the window as the share of spans that exist.
    fn next_start(&self) -> u64 {
        let window = self.options.window.as_nanos();
        let offset = window * u128::from(self.truth.spans) / u128::from(self.options.spans);
        self.options.start.0.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }
}

impl Iterator for Generator {
    type Item = TraceBatch;

    fn next(&mut self) -> Option<TraceBatch> {
        let mut groups: BTreeMap<Origin, Vec<u8>> = BTreeMap::new();
        for _ in 0..self.options.spans_per_request {
            self.fill();
            let Some(Reverse((_, _, span))) = self.pending.pop() else { break };
            groups.entry(span.origin).or_default().extend_from_slice(&span.bytes);
        }
        if groups.is_empty() {
            return None;
        }
        let mut request = Vec::with_capacity(groups.values().map(Vec::len).sum::<usize>() * 11 / 10);
        for (origin, spans) in &groups {
            put_group(&mut request, *origin, spans);
        }
        Some(TraceBatch::from_trusted(request.into()).expect("the request was just written"))
    }
}

fn put_group(out: &mut Vec<u8>, origin: Origin, spans: &[u8]) {
    put_resource_spans(out, "https://opentelemetry.io/schemas/1.37.0", |out| {
        put_resource(out, |out| {
            for (key, value) in origin.resource_attributes() {
                put_attribute(out, field::resource::ATTRIBUTES, key, &value);
            }
        });
        put_scope_spans(out, "", |out| {
            let (name, version) = origin.scope();
            put_scope(out, name, version, |_| {});
            out.extend_from_slice(spans);
        });
    });
}

#[cfg(test)]
mod tests;
