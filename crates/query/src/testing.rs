//! What tests share: requests, a store in memory, a server over it, and a plain HTTP client.

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::write::{
    SpanParts, put_attribute, put_resource, put_resource_spans, put_scope_spans, put_span,
};

/// When the spans of tests start.
pub(crate) const START: UnixNanos = UnixNanos(1_764_061_200_000_000_000);

/// A request of service `shop` with one span for each name, the first being the others' parent; ids count from 1.
pub(crate) fn request(trace_id: TraceId, names: &[&str]) -> Vec<u8> {
    let mut request = Vec::new();
    put_resource_spans(&mut request, "", |out| {
        put_resource(out, |out| put_attribute(out, field::resource::ATTRIBUTES, "service.name", "shop"));
        put_scope_spans(out, "", |out| {
            for (name, number) in names.iter().zip(1..) {
                let parent = if number == 1 { SpanId::default() } else { span_id(1) };
                let parts = SpanParts {
                    trace_id,
                    span_id: span_id(number),
                    parent_span_id: parent,
                    name,
                    start: UnixNanos(START.0 + number * 1_000_000),
                    end: UnixNanos(START.0 + number * 2_000_000),
                    ..SpanParts::default()
                };
                put_span(out, &parts, |_| {});
            }
        });
    });
    request
}

/// The id with this number.
pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::new(number.to_be_bytes())
}
