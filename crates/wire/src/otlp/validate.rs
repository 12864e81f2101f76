//! From foreign bytes to a [`TraceBatch`].

use bytes::Bytes;

use super::batch::TraceBatch;

/// Caps that a request must keep. Every one has a default with its reason and can be configured.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Deepest nesting of `AnyValue` (array or key-value list in each other). Default 64.
    pub value_depth: usize,
    /// Most attributes of one span, event, link or resource that are accepted. Default 4096.
    pub attributes: usize,
    /// Most events, and most links, of one span. Default 65,536.
    pub events_and_links: usize,
    /// Most spans in one request. Default 1,000,000.
    pub spans: usize,
}

/// What validation gives: the spans that are fit to be kept, and what was left out.
#[derive(Debug)]
pub struct Validated {
    /// The request without the rejected spans; its bytes are the input's own if nothing was rejected.
    pub batch: TraceBatch,
    /// Spans left out, with the reason of the first (OTLP `ExportTracePartialSuccess`).
    pub rejected: Rejected,
}

/// Count and first reason of rejected spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub spans: u64,
    /// Why the first was; empty if none was.
    pub first_reason: String,
}

/// The request as a whole is not OTLP protobuf (answered with 400 / `INVALID_ARGUMENT`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid ExportTraceServiceRequest: {reason} at byte {offset}")]
pub struct InvalidRequest {
    /// What is wrong, in the words of the protobuf encoding.
    pub reason: &'static str,
    /// Offset in the request's bytes.
    pub offset: usize,
}

/// Checks wire format, UTF-8, id lengths, nesting and counts.
///
/// # Errors
/// [`InvalidRequest`] if the bytes are not the message at all; a bad span inside a good request is only rejected.
pub fn validate(_bytes: Bytes, _limits: &Limits) -> Result<Validated, InvalidRequest> {
    unimplemented!("wire contract")
}
