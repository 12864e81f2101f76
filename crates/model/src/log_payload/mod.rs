//! What the edge function writes into the CDN's access log (DESIGN.md section 2, rule 3).
//!
//! At most 200 bytes of `[A-Za-z0-9=;:._-]`, so that CloudFront's URL encoding leaves it alone:
//!
//! ```text
//! rs1;<traceparent>;<incoming parent or ->;<start ms>;<th or ->;<rv or ->;<linked trace-span or ->
//! ```
//!
//! A customer's own function may write beside it, so it is found anywhere in the field. A later version with another
//! shape gets another prefix.

use std::fmt;

use crate::ids::{SpanId, TraceId};
use crate::sampling::{Randomness, Threshold};
use crate::trace_context::{TRACEPARENT_LENGTH, TraceParent};

/// Begins a payload; the digit is the version of the format.
const PREFIX: &str = "rs1;";

/// Digits of the start in milliseconds: enough until the year 33658, and far from overflow.
const START_MAX_DIGITS: usize = 15;

/// The ids and the sampling decision of one request, as the edge function knew them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogPayload {
    /// What was sent to the origin: its span id is the viewer's SERVER span.
    pub traceparent: TraceParent,
    /// The parent of the viewer's span, if an incoming context was continued.
    pub incoming_parent: Option<SpanId>,
    /// When the function started: milliseconds since 1970.
    pub start_unix_millis: u64,
    /// The threshold with which the trace was sampled, if it is known.
    pub threshold: Option<Threshold>,
    /// The randomness that replaces the trace id's.
    pub random_value: Option<Randomness>,
    /// The incoming context, if the trace was restarted instead of continued.
    pub link: Option<(TraceId, SpanId)>,
}

impl LogPayload {
    /// Finds the first complete payload in a log field. Percent-encoding is undone where it occurs.
    #[must_use]
    pub fn find(field: &str) -> Option<Self> {
        if field.contains('%') {
            return Self::find_plain(&percent_decode(field));
        }
        Self::find_plain(field)
    }

    fn find_plain(field: &str) -> Option<Self> {
        // Most often there is nothing else in the field.
        if let Some(payload) = field.strip_prefix(PREFIX).and_then(Self::parse_prefix) {
            return Some(payload);
        }
        field.match_indices(PREFIX).find_map(|(at, _)| Self::parse_prefix(field.get(at + PREFIX.len()..)?))
    }

    /// Parses what follows the prefix; something else may follow the payload, but not a letter or digit.
    fn parse_prefix(text: &str) -> Option<Self> {
        // All there are have one length: it need not be looked for.
        let (traceparent, mut rest) = match text.split_at_checked(TRACEPARENT_LENGTH) {
            Some((traceparent, behind)) if behind.starts_with(';') => (traceparent, behind.get(1..)?),
            Some(_) | None => text.split_once(';')?,
        };
        let traceparent = TraceParent::parse(traceparent).ok()?;
        let incoming_parent = optional(part(&mut rest)?, SpanId::from_hex)?;
        let start = part(&mut rest)?;
        if start.is_empty() || start.len() > START_MAX_DIGITS || !start.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let threshold = optional(part(&mut rest)?, Threshold::parse)?;
        let random_value = optional(part(&mut rest)?, Randomness::parse)?;
        let link = parse_link(rest)?;
        Some(Self {
            traceparent,
            incoming_parent,
            start_unix_millis: start.parse().ok()?,
            threshold,
            random_value,
            link,
        })
    }
}

/// The payload as it is logged.
impl fmt::Display for LogPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{};", self.traceparent)?;
        write_optional(f, self.incoming_parent)?;
        write!(f, ";{};", self.start_unix_millis)?;
        write_optional(f, self.threshold)?;
        f.write_str(";")?;
        write_optional(f, self.random_value)?;
        match self.link {
            Some((trace_id, span_id)) => write!(f, ";{trace_id}-{span_id}"),
            None => f.write_str(";-"),
        }
    }
}

fn write_optional(f: &mut fmt::Formatter<'_>, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{value}"),
        None => f.write_str("-"),
    }
}

/// Takes what is before the next semicolon.
fn part<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let end = rest.bytes().position(|byte| byte == b';')?;
    let (part, behind) = rest.split_at_checked(end)?;
    *rest = behind.get(1..)?;
    Some(part)
}

/// `-` is `Some(None)`; what does not parse is `None`.
fn optional<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { parse(text).map(Some) }
}

/// The last part, which has no delimiter of its own.
fn parse_link(text: &str) -> Option<Option<(TraceId, SpanId)>> {
    let ends_at = |length: usize| !text.as_bytes().get(length).is_some_and(u8::is_ascii_alphanumeric);
    if text.starts_with('-') {
        return ends_at(1).then_some(None);
    }
    let trace_id = TraceId::from_hex(text.get(..32)?)?;
    let span_id = SpanId::from_hex(text.get(33..49)?)?;
    let is_link = text.as_bytes().get(32) == Some(&b'-') && ends_at(49);
    is_link.then_some(Some((trace_id, span_id)))
}

/// Undoes `%XX`; what is not an escape stays, and bytes that are not UTF-8 become replacement characters.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) if byte == b'%' => {
                decoded.push(escaped);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests;
