//! `GET /api/v1/edge/coverage?start&end&distribution&behaviour&wait`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of all access-log records of a time, sampled or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeCoverageAnswer {
    /// Begin of the first step, decimal: the asked time, moved to whole steps.
    pub start_time_unix_nano: String,
    /// End of the last one, decimal.
    pub end_time_unix_nano: String,
    /// How long a step is: a minute, or more so that there are at most 240.
    pub step_nanos: u64,
    /// Everything.
    pub totals: EdgeCounts,
    /// Most records first.
    pub distributions: Vec<EdgeDistribution>,
    /// Most urgent first; empty when all is well.
    pub findings: Vec<EdgeFinding>,
    /// What is missing in this answer, if something is.
    pub partial: Option<String>,
}

/// One distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeDistribution {
    /// Its domain, or its id where the log has no domain; empty where it has neither. `(other)`: of those that are too many.
    pub distribution: String,
    /// All of it.
    pub totals: EdgeCounts,
    /// Most records first.
    pub behaviours: Vec<EdgeBehaviour>,
}

/// One cache behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeBehaviour {
    /// Its path pattern (`cache-behavior-path-pattern`); empty where the log has none.
    pub behaviour: String,
    /// All of it.
    pub totals: EdgeCounts,
    /// Those with records, oldest first.
    pub steps: Vec<EdgeStep>,
}

/// The requests that ended in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeStep {
    /// When it begins, decimal.
    pub start_time_unix_nano: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: EdgeCounts,
}

/// Counts of records. A record is in exactly one of `sampled`, `sampledOut`, `kept`, `thinned`, `unplaced` and `secondary`,
/// which add up to `records`; `spans` is `sampled` and `kept` together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeCounts {
    /// Access-log records that were received, before any sampling, each once.
    pub records: u64,
    /// Records that came again; in none of the other counts.
    pub redelivered: u64,
    /// By `x-edge-response-result-type`, as the log names it. Not of secondary records, and not where the log has no such field.
    pub result_types: BTreeMap<String, u64>,
    /// By class of the status; `000`: the viewer went away before there was one. Adds up to `records` less `secondary`.
    pub status_classes: BTreeMap<String, u64>,
    /// A span of a sampled trace was made.
    pub sampled: u64,
    /// The edge did not sample it.
    pub sampled_out: u64,
    /// Its trace is not sampled, and a `keep` rule made a span all the same.
    pub kept: u64,
    /// Its trace is sampled, and the `rates` of its result type left it out.
    pub thinned: u64,
    /// Of `sampled`: the ids follow from the request id, because the log has no data of the edge function.
    pub derived: u64,
    /// Left out, because the record does not tell where its span belongs: a path that continues the viewer's traces without
    /// data of the function, no request id, or no time.
    pub unplaced: u64,
    /// Spans that were made.
    pub spans: u64,
    /// Left out, because another log is authoritative.
    pub secondary: u64,
    /// Median of the time from a request's end to its record's arrival; `None` where nothing was delivered (imports).
    pub delay_p50_nanos: Option<u64>,
    /// The same: 99 of 100 were faster.
    pub delay_p99_nanos: Option<u64>,
    /// Median of `time-taken`, of all records.
    pub duration_p50_nanos: Option<u64>,
    /// The same: 99 of 100 were faster.
    pub duration_p99_nanos: Option<u64>,
    /// Bytes that viewers were sent (`sc-bytes`).
    pub bytes: u64,
    /// Sampled requests that CloudFront sent to the origin, so that a back end must have seen them, and whose records arrived
    /// at least ten minutes (or `wait` seconds) ago. Of each minute and behaviour some hundred are looked up.
    pub misses_expected: u64,
    /// Of these, those below whose span there is none of a back end.
    pub misses_without_backend: u64,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeFinding {
    /// What it is.
    pub kind: EdgeFindingKind,
    /// Where; empty for everything.
    pub distribution: String,
    /// Where; empty for everything.
    pub behaviour: String,
    /// So many records are concerned …
    pub count: u64,
    /// … of so many.
    pub of: u64,
    /// What to check first, in a sentence or two.
    pub check: String,
    /// Some of the traces, 32 hexadecimal digits each.
    pub traces: Vec<String>,
}

/// What there is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeFindingKind {
    /// Everything that came is of a log that is not authoritative: there are no spans at all.
    AllSecondary,
    /// No span of a back end belongs to requests that went to one.
    MissesWithoutBackend,
    /// Records that nobody can place.
    Unplaced,
    /// The function is not attached, or its data is not in the log.
    DerivedIds,
    /// Records arrive later than logs usually do.
    Late,
}
