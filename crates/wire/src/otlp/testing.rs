//! The independent implementation that ours is compared with: prost's generated types of opentelemetry-proto, random
//! values of them, and what our views see as such a value.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;

use super::view;

pub(super) mod signals;

// === random requests ===

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z.]{0,12}", 1 => "\\PC{0,8}", 1 => "[é😀\u{0}\"\\\\\n]{0,6}", 1 => "x{100,200}"]
}

fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(-0.0)]
            .prop_filter("NaN is not equal to itself", |value| !value.is_nan())
            .prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec((text(), inner), 0..4).prop_map(|pairs| Value::KvlistValue(KeyValueList {
                values: pairs.into_iter().map(|(key, value)| key_value(key, value)).collect()
            })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((text(), value()).prop_map(|(key, value)| key_value(key, value)), 0..5)
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(1..=u8::MAX, length)
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (prop_oneof![id(16), id(0)], prop_oneof![id(8), id(3)], text(), attributes(), any::<(u32, u32)>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, (dropped_attributes_count, flags))| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), prop_oneof![id(8), id(0)]);
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let status =
        prop_oneof![Just(None), (text(), any::<i32>()).prop_map(|(message, code)| Some(Status { message, code }))];
    (ids, any::<(i32, u64, u64)>(), any::<[u32; 4]>(), text(), text(), lists, status).prop_map(
        |(ids, (kind, start, end), [flags, attributes, events, links], trace_state, name, lists, status)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            trace_state,
            flags,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: lists.0,
            dropped_attributes_count: attributes,
            events: lists.1,
            dropped_events_count: events,
            links: lists.2,
            dropped_links_count: links,
            status,
        },
    )
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), any::<u32>()).prop_map(|(name, version, attributes, dropped_attributes_count)| {
        InstrumentationScope { name, version, attributes, dropped_attributes_count }
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| Resource {
        attributes,
        dropped_attributes_count,
        ..Resource::default()
    })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    (scope(), vec(span(), 0..3), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope: Some(scope),
        spans,
        schema_url,
    })
}

/// Any valid request.
pub(super) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let resource_spans =
        (resource(), vec(scope_spans(), 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
            resource: Some(resource),
            scope_spans,
            schema_url,
        });
    vec(resource_spans, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// A span with ids and a name.
pub(super) fn plain_span(number: u8) -> Span {
    Span { trace_id: vec![number; 16], span_id: vec![number; 8], name: format!("span {number}"), ..Span::default() }
}

/// A request with these spans in one scope of the service `cart`.
pub(super) fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let service = key_value("service.name".into(), AnyValue { value: Some(Value::StringValue("cart".into())) });
    let scope = InstrumentationScope { name: "tests".into(), ..InstrumentationScope::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

// === what the views see ===

/// The request as the views read it.
pub(super) fn seen(request: view::Request<'_>) -> ExportTraceServiceRequest {
    let resource_spans = request.resource_spans().map(|resource_spans| ResourceSpans {
        resource: Some(Resource {
            attributes: seen_pairs(resource_spans.resource.attributes()),
            dropped_attributes_count: resource_spans.resource.dropped_attributes_count(),
            entity_refs: Vec::new(),
        }),
        scope_spans: resource_spans.scope_spans().map(seen_scope_spans).collect(),
        schema_url: resource_spans.resource.schema_url.into(),
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

fn seen_scope_spans(scope_spans: view::ScopeSpans<'_>) -> ScopeSpans {
    let scope = scope_spans.scope;
    ScopeSpans {
        scope: Some(InstrumentationScope {
            name: scope.name.into(),
            version: scope.version.into(),
            attributes: seen_pairs(scope.attributes()),
            dropped_attributes_count: scope.dropped_attributes_count(),
        }),
        spans: scope_spans.spans().map(|span| seen_span(&span)).collect(),
        schema_url: scope.schema_url.into(),
    }
}

/// The span as its view reads it. An empty status is none.
pub(super) fn seen_span(span: &view::Span<'_>) -> Span {
    let status = Status { message: span.status_message.into(), code: span.status_number };
    Span {
        trace_id: span.trace_id.as_bytes().to_vec(),
        span_id: span.span_id.as_bytes().to_vec(),
        parent_span_id: if span.is_root() { Vec::new() } else { span.parent_span_id.as_bytes().to_vec() },
        trace_state: span.trace_state.into(),
        flags: span.flags,
        name: span.name.into(),
        kind: span.kind_number,
        start_time_unix_nano: span.start.0,
        end_time_unix_nano: span.end.0,
        attributes: seen_pairs(span.attributes()),
        dropped_attributes_count: span.dropped_attributes_count,
        events: span.events().map(|event| seen_event(&event)).collect(),
        dropped_events_count: span.dropped_events_count,
        links: span.links().map(|link| seen_link(&link)).collect(),
        dropped_links_count: span.dropped_links_count,
        status: (status != Status::default()).then_some(status),
    }
}

fn seen_event(event: &view::Event<'_>) -> Event {
    Event {
        time_unix_nano: event.time.0,
        name: event.name.into(),
        attributes: seen_pairs(event.attributes()),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn seen_link(link: &view::Link<'_>) -> Link {
    Link {
        trace_id: link.trace_id.into(),
        span_id: link.span_id.into(),
        trace_state: link.trace_state.into(),
        attributes: seen_pairs(link.attributes()),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: link.flags,
    }
}

fn seen_pairs<'a>(pairs: impl Iterator<Item = view::KeyValue<'a>>) -> Vec<KeyValue> {
    pairs.map(|pair| key_value(pair.key.into(), seen_value(pair.value))).collect()
}

fn seen_value(value: view::AnyValue<'_>) -> AnyValue {
    let value = match value {
        view::AnyValue::Empty => None,
        view::AnyValue::String(text) => Some(Value::StringValue(text.into())),
        view::AnyValue::Bool(value) => Some(Value::BoolValue(value)),
        view::AnyValue::Int(value) => Some(Value::IntValue(value)),
        view::AnyValue::Double(value) => Some(Value::DoubleValue(value)),
        view::AnyValue::Bytes(bytes) => Some(Value::BytesValue(bytes.into())),
        view::AnyValue::Array(array) => {
            Some(Value::ArrayValue(ArrayValue { values: array.values().map(seen_value).collect() }))
        }
        view::AnyValue::KeyValueList(list) => {
            Some(Value::KvlistValue(KeyValueList { values: seen_pairs(list.values()) }))
        }
    };
    AnyValue { value }
}

/// An empty status and an absent one mean the same; the views see the latter.
pub(super) fn normalised(mut request: ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    for resource_spans in &mut request.resource_spans {
        for scope_spans in &mut resource_spans.scope_spans {
            for span in &mut scope_spans.spans {
                span.status = span.status.take().filter(|status| *status != Status::default());
            }
        }
    }
    request
}
