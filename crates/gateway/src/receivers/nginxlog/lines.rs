//! From lines to batches on their way, what became of the lines, and telling of bad ones.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rootspan_wire::nginx::log::{InvalidLine, Outcome, Settings};
use rootspan_wire::otlp::batch::TraceBatch;

use crate::net::stop::Stop;
use crate::runtime::ingress::Ingress;

/// Bad lines that are told of one by one in each [`WARNING_PERIOD`]; more are only counted there. A `log_format` that does not fit makes
/// every line a bad one.
const MAX_WARNINGS: u32 = 10;
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// The longest pause between two tries to hand a batch over.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What all readers of one receiver share.
pub(super) struct Shared {
    ingress: Ingress,
    pub(super) settings: Settings,
    counters: Arc<Counters>,
    warnings: Mutex<Warnings>,
}

/// What became of lines.
#[derive(Debug, Default)]
pub(super) struct Counters {
    spans: AtomicU64,
    sampled_out: AtomicU64,
    bad: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

/// What became of the lines of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines with spans.
    pub(super) lines: u64,
    pub(super) sampled_out: u64,
    pub(super) bad: Vec<BadLine>,
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// File or socket.
    pub(super) place: String,
    /// From 1; absent for a datagram.
    pub(super) number: Option<u64>,
    pub(super) reason: InvalidLine,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}:{number}: {}", self.place, self.reason),
            None => write!(f, "{}: {}", self.place, self.reason),
        }
    }
}

#[derive(Debug, Default)]
struct Warnings {
    since: Option<tokio::time::Instant>,
    told: u32,
    untold: u64,
}

impl Tally {
    /// Takes note of a line.
    pub(super) fn add(&mut self, outcome: Outcome, place: impl FnOnce() -> (String, Option<u64>)) {
        match outcome {
            Outcome::Spans(_) => self.lines += 1,
            Outcome::SampledOut => self.sampled_out += 1,
            Outcome::Invalid(reason) => {
                let (place, number) = place();
                self.bad.push(BadLine { place, number, reason });
            }
        }
    }
}

impl Shared {
    pub(super) fn new(ingress: Ingress, settings: Settings) -> Self {
        Self { ingress, settings, counters: Arc::default(), warnings: Mutex::default() }
    }

    /// The counters; they outlive the receiver and do not hold it.
    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Hands a batch over and waits until it is settled; tries again until it is, or until `stop`. False if it stopped first: then
    /// nothing is counted. Spans that are refused for good are counted.
    pub(super) async fn deliver(&self, batch: &TraceBatch, tally: Tally, stop: &mut Stop) -> bool {
        while !batch.is_empty() {
            let sent = match self.ingress.pay(batch.clone()) {
                Ok(paid) => self.ingress.send(paid).await,
                Err(refusal) => Err(refusal),
            };
            let Err(refusal) = sent else { break };
            let Some(pause) = refusal.retry_after else {
                tracing::error!(lines = tally.lines, reason = refusal.message, "lines of nginx's log were refused");
                self.counters.refused.fetch_add(tally.lines, Ordering::Relaxed);
                self.count(&Tally { lines: 0, ..tally });
                return true;
            };
            // Both branches are cancel-safe.
            tokio::select! {
                () = stop.stopped() => return false,
                () = tokio::time::sleep(pause.min(MAX_PAUSE)) => {}
            }
        }
        self.count(&tally);
        true
    }

    /// Lines that had to be given up because too many waited.
    pub(super) fn dropped(&self, lines: u64) {
        self.counters.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn count(&self, tally: &Tally) {
        for (counter, lines) in [
            (&self.counters.spans, tally.lines),
            (&self.counters.sampled_out, tally.sampled_out),
            (&self.counters.bad, tally.bad.len() as u64),
        ] {
            counter.fetch_add(lines, Ordering::Relaxed);
        }
        if !tally.bad.is_empty() {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).tell(&tally.bad, tokio::time::Instant::now());
        }
    }
}

impl Warnings {
    fn tell(&mut self, bad: &[BadLine], now: tokio::time::Instant) {
        if self.since.is_none_or(|since| now.duration_since(since) >= WARNING_PERIOD) {
            if self.untold > 0 {
                tracing::warn!(lines = self.untold, "more lines of nginx's log were no requests");
            }
            *self = Self { since: Some(now), ..Self::default() };
        }
        for line in bad {
            if self.told < MAX_WARNINGS {
                self.told += 1;
                tracing::warn!(%line, "a line of nginx's log is no request");
            } else {
                self.untold += 1;
            }
        }
    }
}

impl Counters {
    /// What became of lines, by outcome.
    pub(super) fn by_outcome(&self) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("span", read(&self.spans)),
            ("sampled_out", read(&self.sampled_out)),
            ("bad", read(&self.bad)),
            ("refused", read(&self.refused)),
            ("dropped", read(&self.dropped)),
        ]
    }
}
