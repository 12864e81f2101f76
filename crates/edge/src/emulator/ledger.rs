//! What the emulator knows of each request: the truth that traces are compared with.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use rootspan_model::edge_id::EdgeIds;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::log_payload::LogPayload;
use tokio::sync::watch;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// `x-edge-request-id`; the viewer got it as `X-Amz-Cf-Id`.
    pub request_id: String,
    /// What the viewer sent in [`super::CLASS_HEADER`].
    pub class: Option<String>,
    /// The method.
    pub method: String,
    /// The path as the viewer sent it, without the query.
    pub path: String,
    /// The status; 0 if the viewer left before there was one.
    pub status: u16,
    /// `x-edge-result-type`.
    pub result_type: ResultType,
    /// `x-edge-detailed-result-type`.
    pub detailed_result_type: &'static str,
    /// Whether the request was sent to the origin (or a connection was tried).
    pub asked_origin: bool,
    /// The sampling decision of the function; `None` if no function ran, or it logged nothing of ours.
    pub sampled: Option<bool>,
    /// Whether there is a log record: CloudFront writes none of what is over its limits.
    pub is_logged: bool,
    /// The trace: logged by the function, or derived from the request id.
    pub trace_id: TraceId,
    /// The viewer's span.
    pub span_id: SpanId,
    /// When the request came: milliseconds since 1970.
    pub start_unix_millis: u64,
}

/// `x-edge-result-type`, as far as it is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// Served from the cache.
    Hit,
    /// Served from the cache, after the origin was asked whether it is still right, or failed to say.
    RefreshHit,
    /// Served by the origin.
    Miss,
    /// An error status, or the viewer left.
    Error,
    /// Sent to HTTPS.
    Redirect,
    /// Answered by the function.
    FunctionGeneratedResponse,
    /// The function failed.
    FunctionExecutionError,
    /// The function broke a rule.
    FunctionValidationError,
    /// Answered by a Lambda@Edge function.
    LambdaGeneratedResponse,
    /// A Lambda@Edge function failed.
    LambdaExecutionError,
    /// A Lambda@Edge function broke a rule.
    LambdaValidationError,
}

impl ResultType {
    /// The name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::Error => "Error",
            Self::Redirect => "Redirect",
            Self::FunctionGeneratedResponse => "FunctionGeneratedResponse",
            Self::FunctionExecutionError => "FunctionExecutionError",
            Self::FunctionValidationError => "FunctionValidationError",
            Self::LambdaGeneratedResponse => "LambdaGeneratedResponse",
            Self::LambdaExecutionError => "LambdaExecutionError",
            Self::LambdaValidationError => "LambdaValidationError",
        }
    }
}

/// The newest requests, up to a limit.
#[derive(Debug)]
pub(crate) struct Ledger {
    max_entries: usize,
    state: Mutex<State>,
    /// How many entries were added.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<LedgerEntry>,
    forgotten: u64,
}

impl Ledger {
    pub(crate) fn new(max_entries: usize) -> Self {
        Self { max_entries, state: Mutex::default(), ended: watch::Sender::new(0) }
    }

    pub(crate) fn add(&self, entry: LedgerEntry) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.entries.len() >= self.max_entries && state.entries.pop_front().is_some() {
            state.forgotten += 1;
        }
        state.entries.push_back(entry);
        drop(state);
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits until so many requests have ended since the start.
    pub(crate) async fn wait_for(&self, count: u64) {
        let waited = self.ended.subscribe().wait_for(|ended| *ended >= count).await.map(drop);
        debug_assert!(waited.is_ok(), "the sender lives as long as the ledger");
    }

    /// The entries in the order in which requests ended, and how many older ones were forgotten.
    pub(crate) fn snapshot(&self) -> (Vec<LedgerEntry>, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.entries.iter().cloned().collect(), state.forgotten)
    }
}

/// Trace, viewer span and decision of a request, in the way the log receiver finds them.
pub(crate) fn context_of(request_id: &str, log_data: Option<&str>) -> (TraceId, SpanId, Option<bool>) {
    match log_data.and_then(LogPayload::find) {
        Some(LogPayload { traceparent, .. }) => {
            (traceparent.trace_id, traceparent.span_id, Some(traceparent.flags.is_sampled()))
        }
        None => {
            let ids = EdgeIds::of_request(request_id);
            (ids.trace_id, ids.viewer_span_id, None)
        }
    }
}
