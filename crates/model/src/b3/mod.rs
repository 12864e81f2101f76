//! B3 propagation, as Zipkin's tracers and many meshes speak it (<https://github.com/openzipkin/b3-propagation>).
//!
//! One header, `b3: {trace id}-{span id}[-{sampling}[-{parent span id}]]` or `b3: {sampling}`, or several,
//! `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-ParentSpanId`, `X-B3-Sampled` and `X-B3-Flags`. Trace ids have 32 or 16 digits; 16 are
//! the right half of an id whose left half is zero. Sampling may be left to the receiver, which `traceparent` cannot say.
//!
//! Digits are lower-case: an id in upper case is malformed, as it is in `traceparent`. The vectors are
//! `testdata/propagation/b3.json`.

use std::fmt;

use crate::ids::{SpanId, TraceId};
use crate::trace_context::{TraceFlags, TraceParent};

/// What B3 headers say: a context, a decision about sampling, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct B3 {
    /// The trace and the sender's span; absent if the sender only decided about sampling.
    pub context: Option<(TraceId, SpanId)>,
    /// The sender's decision.
    pub sampling: B3Sampling,
}

/// The sampling state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum B3Sampling {
    /// Not said: the receiver decides.
    #[default]
    Defer,
    /// `0`
    Deny,
    /// `1`
    Accept,
    /// `d`, or `X-B3-Flags: 1`: accepted, and to be recorded whatever it costs.
    Debug,
}

impl B3Sampling {
    /// The decision as a trace flag would carry it; `None` if there is none.
    #[must_use]
    pub const fn is_sampled(self) -> Option<bool> {
        match self {
            Self::Defer => None,
            Self::Deny => Some(false),
            Self::Accept | Self::Debug => Some(true),
        }
    }
}

/// The values of the separate headers; `None` for one that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct B3Headers<'a> {
    /// `X-B3-TraceId`
    pub trace_id: Option<&'a str>,
    /// `X-B3-SpanId`
    pub span_id: Option<&'a str>,
    /// `X-B3-ParentSpanId`; only its form is checked.
    pub parent_span_id: Option<&'a str>,
    /// `X-B3-Sampled`
    pub sampled: Option<&'a str>,
    /// `X-B3-Flags`
    pub flags: Option<&'a str>,
}

impl B3 {
    /// Parses the value of the single header.
    ///
    /// # Errors
    ///
    /// Says which rule is broken. A receiver treats every error as if no header had been there.
    pub fn parse_single(header: &str) -> Result<Self, B3Error> {
        let mut parts = header.split('-');
        let first = parts.next().unwrap_or_default();
        let Some(second) = parts.next() else {
            return Ok(Self { context: None, sampling: sampling(first)? });
        };
        let context = Some((trace_id(first)?, span_id(second)?));
        let sampling = parts.next().map(sampling).transpose()?.unwrap_or_default();
        parts.next().map(span_id).transpose()?;
        if parts.next().is_some() {
            return Err(B3Error::Parts);
        }
        Ok(Self { context, sampling })
    }

    /// Parses the separate headers. `None` if none of them is there.
    ///
    /// # Errors
    ///
    /// As for [`B3::parse_single`]; also if one of the two ids is absent.
    pub fn parse_multi(headers: &B3Headers<'_>) -> Result<Option<Self>, B3Error> {
        if *headers == B3Headers::default() {
            return Ok(None);
        }
        let context = match (headers.trace_id, headers.span_id) {
            (Some(trace), Some(span)) => Some((trace_id(trace)?, span_id(span)?)),
            (None, None) => None,
            _ => return Err(B3Error::Parts),
        };
        headers.parent_span_id.map(span_id).transpose()?;
        let sampling = match (headers.flags, headers.sampled) {
            (Some("1"), _) => B3Sampling::Debug,
            // Some tracers still write the words of the first specification.
            (_, Some("true")) => B3Sampling::Accept,
            (_, Some("false")) => B3Sampling::Deny,
            (_, Some(text)) => sampling(text)?,
            (_, None) => B3Sampling::Defer,
        };
        Ok(Some(Self { context, sampling }))
    }
}

/// The value of the single header that hands `parent` on.
#[must_use]
pub fn single_header(parent: &TraceParent) -> String {
    format!("{}-{}-{}", parent.trace_id, parent.span_id, sampled_digit(parent.flags))
}

/// The separate headers that hand `parent` on, names in lower case. `X-B3-ParentSpanId` and `X-B3-Flags` are not sent: a receiver
/// that continues a span rather than opening one would need them, and none should across services.
#[must_use]
pub fn multi_headers(parent: &TraceParent) -> [(&'static str, String); 3] {
    [
        ("x-b3-traceid", parent.trace_id.to_string()),
        ("x-b3-spanid", parent.span_id.to_string()),
        ("x-b3-sampled", sampled_digit(parent.flags).to_string()),
    ]
}

/// Every separate header, in lower case: what must not be left over when a context is replaced.
pub const MULTI_HEADERS: [&str; 5] = ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"];

/// The name of the single header.
pub const SINGLE_HEADER: &str = "b3";

const fn sampled_digit(flags: TraceFlags) -> char {
    if flags.is_sampled() { '1' } else { '0' }
}

/// Why B3 headers are not a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum B3Error {
    /// Too many parts, or one id without the other.
    #[error("b3 needs a trace id and a span id, then at most a sampling state and a parent")]
    Parts,
    /// An id of another length, with other characters than lower-case hexadecimal digits, or of all zeroes.
    #[error("b3 ids are 16 or 32 lower-case hexadecimal digits, not all zeroes")]
    Id,
    /// Neither `0`, `1` nor `d`.
    #[error("b3 sampling is 0, 1 or d")]
    Sampling,
}

fn sampling(text: &str) -> Result<B3Sampling, B3Error> {
    match text {
        "0" => Ok(B3Sampling::Deny),
        "1" => Ok(B3Sampling::Accept),
        "d" => Ok(B3Sampling::Debug),
        _ => Err(B3Error::Sampling),
    }
}

fn trace_id(text: &str) -> Result<TraceId, B3Error> {
    let mut bytes = [0; TraceId::LENGTH];
    match text.len() {
        32 => return lower_case(text).and_then(TraceId::from_hex).filter(TraceId::is_valid).ok_or(B3Error::Id),
        16 => bytes[8..].copy_from_slice(span_id(text)?.as_bytes()),
        _ => return Err(B3Error::Id),
    }
    Ok(TraceId::new(bytes))
}

fn span_id(text: &str) -> Result<SpanId, B3Error> {
    lower_case(text).and_then(SpanId::from_hex).filter(SpanId::is_valid).ok_or(B3Error::Id)
}

fn lower_case(text: &str) -> Option<&str> {
    (!text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(text)
}

/// The sampling state as the single header writes it; nothing for [`B3Sampling::Defer`].
impl fmt::Display for B3Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Defer => "",
            Self::Deny => "0",
            Self::Accept => "1",
            Self::Debug => "d",
        })
    }
}

#[cfg(test)]
mod tests;
