//! Ids of a request at the CDN, derived from the id that the CDN itself gave it (DESIGN.md section 2, rule 2).
//!
//! The edge function, the emulator and the log receiver must come to the same ids without talking to each other, and a
//! log line that is delivered twice must give the same span. So: `h = sha256(request id)`, trace id `h[0..32]`, span id
//! of the viewer's SERVER span `h[32..48]`, in hexadecimal digits. It is the rule of AWS's published sample.

use sha2::{Digest, Sha256};

use crate::ids::{SpanId, TraceId};

/// The ids of a request at the CDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdgeIds {
    /// The trace, unless an incoming context is continued.
    pub trace_id: TraceId,
    /// The viewer's SERVER span, always: it is the parent that the origin hears of.
    pub viewer_span_id: SpanId,
}

impl EdgeIds {
    /// The ids of the request with this id (`x-edge-request-id`, `event.context.requestId`).
    #[must_use]
    pub fn of_request(request_id: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(request_id.as_bytes()).into();
        let trace_id = TraceId::from_slice(&digest[..16]).expect("16 bytes are a trace id");
        let viewer_span_id = SpanId::from_slice(&digest[16..24]).expect("8 bytes are a span id");
        Self { trace_id, viewer_span_id }
    }
}

#[cfg(test)]
mod tests;
