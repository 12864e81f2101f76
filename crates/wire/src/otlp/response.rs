//! What a receiver of OTLP answers: `Export…ServiceResponse` and `google.rpc.Status`, in protobuf and in JSON.

use std::time::Duration;

use super::json::put_json_string;
use super::payload::Signal;
use super::validate::Rejected;
use super::write::{put_int, put_message, put_string, put_varint};

/// `Export…ServiceResponse` in protobuf, the same for every signal. Empty if nothing was rejected.
#[must_use]
pub fn export_response_protobuf(rejected: &Rejected) -> Vec<u8> {
    let mut out = Vec::new();
    if rejected.items > 0 {
        // partial_success: rejected_spans (rejected_data_points, rejected_log_records), error_message
        put_message(&mut out, 1, |out| {
            put_varint(out, 1, rejected.items);
            put_string(out, 2, &rejected.first_reason);
        });
    }
    out
}

/// `Export…ServiceResponse` in JSON: `{}` or `{"partialSuccess":{"rejectedSpans":"3","errorMessage":"…"}}`.
#[must_use]
pub fn export_response_json(signal: Signal, rejected: &Rejected) -> Vec<u8> {
    if rejected.items == 0 {
        return b"{}".to_vec();
    }
    let (key, number) = (signal.rejected_key(), rejected.items);
    let mut out = format!("{{\"partialSuccess\":{{\"{key}\":\"{number}\",\"errorMessage\":").into_bytes();
    put_json_string(&mut out, &rejected.first_reason);
    out.extend_from_slice(b"}}");
    out
}

/// The codes of `google.rpc.Code` that receivers answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is malformed: do not retry.
    InvalidArgument = 3,
    /// A time limit passed: retry.
    DeadlineExceeded = 4,
    /// Credentials are valid but not sufficient: do not retry.
    PermissionDenied = 7,
    /// Out of memory, queue or disk: retry if [`Status::retry_after`] is set.
    ResourceExhausted = 8,
    /// No such method or encoding: do not retry.
    Unimplemented = 12,
    /// A bug: do not retry.
    Internal = 13,
    /// Shutting down or the back end is away: retry.
    Unavailable = 14,
    /// No or wrong credentials: do not retry.
    Unauthenticated = 16,
}

/// `google.rpc.Status`: the body of an OTLP/HTTP error, and `grpc-status-details-bin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Code.
    pub code: Code,
    /// For people.
    pub message: String,
    /// Adds `google.rpc.RetryInfo`: when to try again.
    pub retry_after: Option<Duration>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    /// The message in protobuf.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_int(&mut out, 1, self.code as i64);
        put_string(&mut out, 2, &self.message);
        if let Some(delay) = self.retry_after {
            // details: google.protobuf.Any { type_url, value: RetryInfo { retry_delay: Duration { seconds, nanos } } }
            put_message(&mut out, 3, |out| {
                put_string(out, 1, RETRY_INFO);
                put_message(out, 2, |out| {
                    put_message(out, 1, |out| {
                        put_varint(out, 1, delay.as_secs());
                        put_varint(out, 2, delay.subsec_nanos().into());
                    });
                });
            });
        }
        out
    }

    /// The message in protobuf's JSON mapping.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = format!("{{\"code\":{},\"message\":", self.code as i32).into_bytes();
        put_json_string(&mut out, &self.message);
        if let Some(delay) = self.retry_after {
            let (seconds, nanos) = (delay.as_secs(), delay.subsec_nanos());
            let details =
                format!(",\"details\":[{{\"@type\":\"{RETRY_INFO}\",\"retryDelay\":\"{seconds}.{nanos:09}s\"}}]");
            out.extend_from_slice(details.as_bytes());
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests;
