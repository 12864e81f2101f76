//! What edge functions write to CloudWatch Logs, a line at a time.
//!
//! CloudFront Functions: `<request id> <text>`, with ` START DistributionID: <id>` and ` END` around it. The text is our
//! payload (`ids_via: console`), or `<start> <end> <b3>` in nanoseconds, which AWS's published sample logs. Lambda@Edge:
//! `<time>\t<invocation id>\tINFO\t<text>`; the text is spans in OTLP JSON, out of our functions in log mode.

use std::borrow::Cow;

use rootspan_model::b3::{B3, B3Sampling};
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::log_payload::LogPayload;
use rootspan_model::trace_context::{TraceFlags, TraceParent};

use super::record::{Field, Log, Record};

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How OTLP in JSON begins, as our functions write it.
const OTLP: &str = "{\"resourceSpans\":";

/// One line of a function's log.
#[derive(Clone, Debug)]
pub(super) enum Line<'a> {
    /// Our function's data of a request.
    Payload { request_id: &'a str, payload: LogPayload },
    /// A whole span of AWS's sample.
    Sample(Box<Record<'a>>),
    /// Spans in OTLP JSON.
    Otlp(&'a str),
    /// What the runtimes write around it.
    Frame,
}

/// Recognises a line; `None` if it is something else.
pub(super) fn read(line: &str) -> Option<Line<'_>> {
    let otlp = memchr::memmem::find(line.as_bytes(), OTLP.as_bytes()).and_then(|at| line.get(at..));
    if let Some(otlp) = otlp {
        return Some(Line::Otlp(otlp.trim_end()));
    }
    let is_lambda_frame = |name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    if ["START", "END", "REPORT", "INIT_START"].into_iter().any(is_lambda_frame) {
        return Some(Line::Frame);
    }
    let (request_id, text) = line.trim_end().split_once(' ')?;
    if text == "END" || text.starts_with("START DistributionID:") {
        return Some(Line::Frame);
    }
    if let Some(payload) = LogPayload::find(text) {
        // Lambda writes its own columns before the text.
        let request_id = request_id.rsplit('\t').next().unwrap_or_default();
        return Some(Line::Payload { request_id, payload });
    }
    let mut parts = text.split(' ');
    let (start, end, b3) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    sample(Some(Cow::Borrowed(request_id)), start, end, b3).map(|record| Line::Sample(Box::new(record)))
}

/// The record of AWS's sample: two times in nanoseconds (milliseconds in fact, gone through a double) and a B3 header.
pub(super) fn sample<'a>(request_id: Option<Cow<'a, str>>, start: &str, end: &str, b3: &str) -> Option<Record<'a>> {
    let (start, end) = (nanos(start)?, nanos(end)?);
    let b3 = B3::parse_single(b3).ok()?;
    let (trace_id, span_id): (TraceId, SpanId) = b3.context?;
    let flags = if b3.sampling == B3Sampling::Deny { TraceFlags(0) } else { TraceFlags::SAMPLED };
    let payload = LogPayload {
        traceparent: TraceParent { trace_id, span_id, flags },
        incoming_parent: None,
        start_unix_millis: start / NANOS_PER_MILLI,
        threshold: None,
        random_value: None,
        link: None,
    };
    let mut record = Record::new(Log::Function);
    if let Some(request_id) = request_id {
        record.put(Field::RequestId, request_id, false);
    }
    let taken = end.saturating_sub(start);
    let seconds = format!("{}.{:09}", taken / NANOS_PER_SECOND, taken % NANOS_PER_SECOND);
    record.put(Field::TimeTaken, seconds.into(), false);
    record.put(Field::TimestampMillis, (end / NANOS_PER_MILLI).to_string().into(), false);
    record.put(Field::RequestLogData, payload.to_string().into(), false);
    Some(record)
}

/// Whole milliseconds, as nanoseconds.
fn nanos(text: &str) -> Option<u64> {
    let is_number = (16..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = is_number.then(|| text.parse().ok())??;
    Some(value.checked_add(NANOS_PER_MILLI / 2)? / NANOS_PER_MILLI * NANOS_PER_MILLI)
}
