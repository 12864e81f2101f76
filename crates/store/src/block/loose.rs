//! Spans on their own, from blocks or from the tail, and one request made of them: a trace comes out the same wherever
//! its spans lie.

use std::collections::HashMap;

use bytes::Bytes;
use rootspan_model::ids::SpanId;
use rootspan_wire::otlp::batch::{SpanInBatch, TraceBatch};
use rootspan_wire::otlp::{field, write};

use super::index::Surrounding;

/// A span on its own.
#[derive(Clone, Debug)]
pub(crate) struct LooseSpan {
    pub(crate) start: u64,
    pub(crate) span_id: SpanId,
    pub(crate) resource: Surrounding,
    pub(crate) scope: Surrounding,
    /// The `Span` message.
    pub(crate) bytes: Bytes,
}

impl LooseSpan {
    /// A copy of a span of the tail.
    pub(crate) fn of(view: &SpanInBatch<'_>, batch: &TraceBatch) -> Self {
        let surrounding = |bytes: &[u8], schema_url: &str| Surrounding {
            bytes: slice(batch, bytes),
            schema_url: Box::from(schema_url),
        };
        Self {
            start: view.span.start.0,
            span_id: view.span.span_id,
            resource: surrounding(view.resource.bytes, view.resource.schema_url),
            scope: surrounding(view.scope.bytes, view.scope.schema_url),
            bytes: slice(batch, view.span.bytes),
        }
    }
}

/// The same bytes, sharing the batch's buffer.
fn slice(batch: &TraceBatch, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { batch.bytes().slice_ref(part) }
}

/// One request with these spans, grouped by resource and scope in the order of their first spans; `order[i]` is the
/// position in `spans` of the request's span `i`.
pub(crate) fn assemble(spans: &[LooseSpan]) -> (Bytes, Vec<usize>) {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut by_surrounding: HashMap<(&Surrounding, &Surrounding), usize, foldhash::fast::RandomState> =
        HashMap::default();
    for (position, span) in spans.iter().enumerate() {
        let next = groups.len();
        let group = *by_surrounding.entry((&span.resource, &span.scope)).or_insert(next);
        if group == next {
            groups.push((position, Vec::new()));
        }
        groups[group].1.push(position);
    }
    // Scopes of one resource stay together.
    let mut resource_order: HashMap<&Surrounding, usize, foldhash::fast::RandomState> = HashMap::default();
    for (position, span) in spans.iter().enumerate() {
        resource_order.entry(&span.resource).or_insert(position);
    }
    groups.sort_by_key(|(first, _)| (resource_order.get(&spans[*first].resource).copied(), *first));

    let length: usize = spans.iter().map(|span| span.bytes.len() + 8).sum();
    let mut request = Vec::with_capacity(length + length / 4 + 256);
    let mut order = Vec::with_capacity(spans.len());
    for resource_groups in groups.chunk_by(|left, right| spans[left.0].resource == spans[right.0].resource) {
        let resource = &spans[resource_groups[0].0].resource;
        write::put_message_of_length(&mut request, field::request::RESOURCE_SPANS, 3, |out| {
            write::put_bytes(out, field::resource_spans::RESOURCE, &resource.bytes);
            for (first, positions) in resource_groups {
                put_scope_spans(out, &spans[*first].scope, positions, spans);
                order.extend_from_slice(positions);
            }
            if !resource.schema_url.is_empty() {
                write::put_string(out, field::resource_spans::SCHEMA_URL, &resource.schema_url);
            }
        });
    }
    (request.into(), order)
}

fn put_scope_spans(out: &mut Vec<u8>, scope: &Surrounding, positions: &[usize], spans: &[LooseSpan]) {
    write::put_message_of_length(out, field::resource_spans::SCOPE_SPANS, 3, |out| {
        write::put_bytes(out, field::scope_spans::SCOPE, &scope.bytes);
        for position in positions {
            write::put_bytes(out, field::scope_spans::SPANS, &spans[*position].bytes);
        }
        if !scope.schema_url.is_empty() {
            write::put_string(out, field::scope_spans::SCHEMA_URL, &scope.schema_url);
        }
    });
}
