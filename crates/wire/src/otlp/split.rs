//! One request as several: for back ends that take no longer ones. A part has its spans in copies of their resources and
//! scopes; fields of the wrappers around those that OpenTelemetry does not know are left out.

use std::ops::Range;

use super::batch::{SpanInBatch, TraceBatch};
use super::field;
use super::write::{put_bytes, put_resource_spans, put_scope_spans};

/// Bytes that tags and lengths of a span, a scope and a resource take at most.
const TAGS: usize = 6 + 2 * 6 + 2 * 6;

/// The longest part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Longest {
    /// So many spans.
    Spans(usize),
    /// So many bytes; a single span may be longer.
    Bytes(usize),
}

/// The batch's spans in order, divided so that no part is longer than `longest`. One part is the whole.
#[must_use]
pub fn split(batch: &TraceBatch, longest: Longest) -> Vec<Range<usize>> {
    match longest {
        Longest::Spans(spans) => {
            let count = batch.span_count();
            (0..count).step_by(spans.max(1)).map(|first| first..count.min(first + spans.max(1))).collect()
        }
        Longest::Bytes(bytes) => split_by_bytes(batch, bytes),
    }
}

fn split_by_bytes(batch: &TraceBatch, longest: usize) -> Vec<Range<usize>> {
    if batch.bytes().len() <= longest {
        return std::iter::once(0..batch.span_count()).collect();
    }
    let mut parts = Vec::new();
    let (mut first, mut length) = (0, 0);
    let mut last: Option<SpanInBatch<'_>> = None;
    for span in batch.spans() {
        let mut more = added(&span, last.as_ref());
        if length > 0 && length + more > longest {
            parts.push(first..span.index);
            (first, length) = (span.index, 0);
            more = added(&span, None);
        }
        length += more;
        last = Some(span);
    }
    parts.push(first..batch.span_count());
    parts
}

/// Bytes that a span adds to a part behind `last`, with its scope and resource if they are others.
fn added(span: &SpanInBatch<'_>, last: Option<&SpanInBatch<'_>>) -> usize {
    let mut bytes = span.span.bytes.len() + TAGS;
    if last.is_none_or(|last| last.scope_index != span.scope_index) {
        bytes += span.scope.bytes.len() + span.scope.schema_url.len();
    }
    if last.is_none_or(|last| last.resource_index != span.resource_index) {
        bytes += span.resource.bytes.len() + span.resource.schema_url.len();
    }
    bytes
}

/// At least as many bytes as [`part`] will have.
#[must_use]
pub fn length(batch: &TraceBatch, spans: Range<usize>) -> usize {
    let mut length = 0;
    let mut last: Option<SpanInBatch<'_>> = None;
    for index in spans {
        let span = batch.span(index);
        length += added(&span, last.as_ref());
        last = Some(span);
    }
    length
}

/// The spans of a range, which a request of its own holds.
///
/// # Panics
/// If there are not that many.
#[must_use]
pub fn part(batch: &TraceBatch, spans: Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = spans.start;
    while next < spans.end {
        let SpanInBatch { resource, resource_index, .. } = batch.span(next);
        put_resource_spans(&mut out, resource.schema_url, |out| {
            if !resource.bytes.is_empty() {
                put_bytes(out, field::resource_spans::RESOURCE, resource.bytes);
            }
            while next < spans.end && batch.span(next).resource_index == resource_index {
                put_scope(out, batch, &mut next, spans.end);
            }
        });
    }
    out
}

/// The spans from `next` on that have the same scope.
fn put_scope(out: &mut Vec<u8>, batch: &TraceBatch, next: &mut usize, end: usize) {
    let SpanInBatch { scope, scope_index, .. } = batch.span(*next);
    put_scope_spans(out, scope.schema_url, |out| {
        if !scope.bytes.is_empty() {
            put_bytes(out, field::scope_spans::SCOPE, scope.bytes);
        }
        while *next < end {
            let span = batch.span(*next);
            if span.scope_index != scope_index {
                break;
            }
            put_bytes(out, field::scope_spans::SPANS, span.span.bytes);
            *next += 1;
        }
    });
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;

    use super::*;

    /// Two resources, three scopes, nine spans.
    fn request() -> ExportTraceServiceRequest {
        let span = |number: u8| Span {
            trace_id: vec![number; 16],
            span_id: vec![number; 8],
            name: "x".repeat(usize::from(number) * 10),
            ..Span::default()
        };
        let scope = |name: &str, spans: std::ops::RangeInclusive<u8>| ScopeSpans {
            scope: Some(InstrumentationScope { name: name.to_owned(), ..Default::default() }),
            spans: spans.map(span).collect(),
            schema_url: format!("https://{name}"),
        };
        let resource = |dropped_attributes_count, scope_spans| ResourceSpans {
            resource: Some(Resource { dropped_attributes_count, ..Resource::default() }),
            scope_spans,
            schema_url: String::new(),
        };
        let first = resource(1, vec![scope("a", 1..=3), scope("b", 4..=5)]);
        ExportTraceServiceRequest { resource_spans: vec![first, resource(2, vec![scope("c", 6..=9)])] }
    }

    /// Every span with what surrounds it.
    fn spans(
        request: &ExportTraceServiceRequest,
    ) -> Vec<(Option<Resource>, Option<InstrumentationScope>, String, Span)> {
        let mut found = Vec::new();
        for resource in &request.resource_spans {
            for scope in &resource.scope_spans {
                for span in &scope.spans {
                    let (resource, schema) = (resource.resource.clone(), scope.schema_url.clone());
                    found.push((resource, scope.scope.clone(), schema, span.clone()));
                }
            }
        }
        found
    }

    #[test]
    fn parts_together_are_the_whole() {
        let request = request();
        let batch = TraceBatch::from_trusted(request.encode_to_vec().into()).expect("sound");
        for longest in (1..=10).map(Longest::Spans).chain((1..=20).map(|parts| Longest::Bytes(parts * 70))) {
            let mut found = Vec::new();
            for range in split(&batch, longest) {
                let bytes = part(&batch, range.clone());
                let is_short = match longest {
                    Longest::Spans(spans) => range.len() <= spans,
                    Longest::Bytes(longest) => bytes.len() <= longest || range.len() == 1,
                };
                assert!(bytes.len() <= length(&batch, range.clone()));
                assert!(is_short && !range.is_empty(), "{longest:?}: {range:?} has {} bytes", bytes.len());
                found.extend(spans(&ExportTraceServiceRequest::decode(bytes.as_slice()).expect("it is a request")));
            }
            assert_eq!(found, spans(&request), "{longest:?}");
        }
    }
}
