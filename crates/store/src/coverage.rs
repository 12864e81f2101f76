//! Edge coverage: what became of every access-log record, sampled or not, kept beside the spans.
//!
//! Observations (`wire::cloudfront::observation`) take the way that spans take: one frame of the journal, one sync that they
//! share with all that waits, and only then the answer. So what a sender was told is counted is on disk, and a kill loses
//! nothing of it. `gather` sums them up in the tail, by hour and minute; a seal writes one file an hour (`file`) in the
//! transaction in which it writes blocks, and retention removes it with the blocks of that hour. Sums are additive, so no
//! file is ever changed, and a record that comes late goes to the minute of its request.
//!
//! A record that is delivered again is recognised by the hash of its request id among the records of the same hour (`seen`):
//! also after a restart and in a second import, for the hashes lie in the hours' files.
//!
//! Whether a back end has seen what the edge sent it is not counted but looked up, when somebody asks (`backends`): a span
//! that arrives late corrects the number.

pub(crate) mod backends;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod gather;
pub(crate) mod open;
pub(crate) mod read;
pub(crate) mod seen;

use std::collections::BTreeMap;
use std::time::Duration;

use rootspan_analytics::coverage::{Counts, Key};
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_wire::cloudfront::observation::Observations;

use crate::limits::Guard;
use crate::store::{Done, QueryError, QueryLimits, Store};
use crate::writer::Content;

/// How records came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// As the log was delivered: their delay says how late it is.
    Delivered,
    /// From a file that somebody imported: their delay says nothing.
    Imported,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct CoverageRequest {
    /// Minutes that touch this range are counted, from here …
    pub start: UnixNanos,
    /// … to before here.
    pub end: UnixNanos,
    /// Minutes of one step; at least 1.
    pub step_minutes: u32,
    /// Only this distribution.
    pub distribution: Option<String>,
    /// Only this behaviour.
    pub behaviour: Option<String>,
    /// A back end's span is expected this long after the record arrived.
    pub patience: Duration,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct CoverageAnswer {
    /// By distribution and behaviour.
    pub keys: BTreeMap<Key, KeyCoverage>,
    /// One sentence if something is missing in here.
    pub partial: Option<String>,
}

/// One behaviour.
#[derive(Clone, Debug, Default)]
pub struct KeyCoverage {
    /// By the minute (since 1970) in which the step begins.
    pub steps: BTreeMap<u32, StepCoverage>,
    /// Some of the traces that have no back end, the latest first.
    pub without_backend: Vec<TraceId>,
}

/// One step of one behaviour.
#[derive(Clone, Debug, Default)]
pub struct StepCoverage {
    /// Sums of records.
    pub counts: Counts,
    /// Sampled requests that a back end must have seen, and had time to tell.
    pub expected: u64,
    /// Of these, those of which no back end's span has come.
    pub without_backend: u64,
}

impl StepCoverage {
    /// Adds another step's.
    pub fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.expected += other.expected;
        self.without_backend += other.without_backend;
    }
}

impl Store {
    /// Hands observations to the writer; see [`Store::ingest`] for `done`. What was counted before is recognised, so a
    /// delivery that is refused in part may come again.
    pub fn observe(&self, observations: Observations, arrival: Arrival, done: Done) {
        if observations.is_empty() {
            return done(Ok(()));
        }
        self.hand_over(Content::Observations { observations, arrival }, done);
    }

    /// Coverage of the edge.
    ///
    /// # Errors
    /// If the disk failed or the caller cancelled. A limit that was reached makes the answer partial.
    pub fn coverage(&self, request: &CoverageRequest, limits: &QueryLimits) -> Result<CoverageAnswer, QueryError> {
        let guard = Guard::new(self.clock(), limits);
        read::coverage(&self.reading(&guard), self.shared(), request)
    }
}

#[cfg(test)]
mod tests;
