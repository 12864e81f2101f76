//! Limits that more than one crate must agree on, each with the reason for its number.

/// Members of a `tracestate` (W3C Trace Context level 2, section 3.3.1.1).
pub const TRACESTATE_MAX_MEMBERS: usize = 32;

/// Characters of a `tracestate` that we send on: what every participant is asked to propagate at least (section 3.3.1.5).
pub const TRACESTATE_MAX_CHARS: usize = 512;

/// Members longer than this are the first to go when a `tracestate` is too long (section 3.3.1.5).
pub const TRACESTATE_LARGE_MEMBER_CHARS: usize = 128;

/// Characters of the value of `ot` in `tracestate` (OpenTelemetry, "TraceState handling").
pub const OT_VALUE_MAX_CHARS: usize = 256;

/// Bytes of our payload in an access-log record. The longest has 170; the rest of CloudFront's 800 stays the customer's.
pub const LOG_PAYLOAD_MAX_BYTES: usize = 200;

/// Bytes that CloudFront keeps of a function's custom log data.
pub const LOG_CUSTOM_DATA_MAX_BYTES: usize = 800;

/// Bytes of code of a CloudFront function. AWS says 10 KB; the smaller reading of that is safe in both.
pub const EDGE_FUNCTION_MAX_BYTES: usize = 10_000;
