//! The JSON of the API, as both ends see it. Field names are the API's contract.
//!
//! Points in time are decimal strings because nanoseconds since 1970 do not fit into a JavaScript number; durations
//! are numbers because they do, up to 104 days exactly.

pub mod edge;

use serde::{Deserialize, Serialize};

/// `GET /api/v1/search`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchAnswer {
    /// Newest first.
    pub traces: Vec<TraceRow>,
    /// Give it back as `cursor` for the next page; `None` at the end.
    pub next_cursor: Option<String>,
    /// Why the answer is incomplete, if it is.
    pub partial: Option<String>,
}

/// One trace in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceRow {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Service of the root span, or of what stands in for it.
    pub root_service: String,
    /// Name of that span.
    pub root_name: String,
    /// The root span has not arrived (yet).
    pub root_missing: bool,
    /// Earliest start, decimal.
    pub start_time_unix_nano: String,
    /// Latest end minus earliest start.
    pub duration_nanos: u64,
    /// Spans.
    pub span_count: u64,
    /// Spans with status error.
    pub error_count: u64,
    /// Sorted by name.
    pub services: Vec<ServiceShare>,
    /// The CDN's own part, if the root is the CDN's span.
    pub edge_nanos: Option<u64>,
    /// The ids of the root, the CDN's span, are derived from the request id: the edge function logged none.
    #[serde(default)]
    pub derived_ids: bool,
    /// The CDN kept its span although the trace was not sampled: the services behind it recorded nothing.
    #[serde(default)]
    pub backend_not_recorded: bool,
    /// Offsets from the start between which the error spans lie.
    pub error_extent: Option<(u64, u64)>,
}

/// A service's part in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceShare {
    /// `service.name`.
    pub name: String,
    /// Spans.
    pub spans: u64,
    /// Spans with status error.
    pub errors: u64,
}

/// `GET /api/v1/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicesAnswer {
    /// Sorted.
    pub services: Vec<String>,
}

/// `GET /api/v1/operations?service=`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationsAnswer {
    /// Span names, sorted.
    pub operations: Vec<String>,
}

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAnswer {
    /// Spans that arrived since the start of the program.
    pub spans_received: u64,
    /// Over the last seconds; `None` until there is something to compare with.
    pub spans_per_second: Option<f64>,
    /// Start of the newest span, decimal.
    pub newest_span_unix_nano: Option<String>,
    /// When a batch was last taken, decimal.
    pub last_ingest_unix_nano: Option<String>,
    /// Bytes on disk.
    pub store_bytes: u64,
    /// Most bytes on disk.
    pub store_max_bytes: Option<u64>,
    /// Spans lost after they had been accepted.
    pub dropped_spans: u64,
    /// Spans that were not accepted.
    pub refused_spans: u64,
    /// Blocks set aside as damaged.
    pub damaged_blocks: u64,
    /// The program's version.
    pub version: String,
}

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// The one field.
    pub error: ErrorBody,
}

/// What went wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the query text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<ErrorPosition>,
}

/// A place in the query text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorPosition {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// Counted from 1.
    pub line: usize,
    /// Characters from the start of the line, counted from 1.
    pub column: usize,
}
