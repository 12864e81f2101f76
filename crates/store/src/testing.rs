//! Small spans for tests: ids and names from small sets, so that traces meet, duplicate and conflict.

use std::collections::BTreeMap;

use bytes::Bytes;
use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::StatusCode;
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::write::{self, SpanParts};
use rootspan_wire::otlp::{field, validate};

use crate::identity::normalise;

/// 2026-01-01T00:00:00Z, a full hour.
pub(crate) const NOW: u64 = 1_767_225_600_000_000_000;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
}

/// A span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestSpan {
    pub(crate) trace: u8,
    pub(crate) span: u8,
    /// 0: none.
    pub(crate) parent: u8,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) error: bool,
    pub(crate) cdn: bool,
    pub(crate) kind: i32,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) events: Vec<String>,
    pub(crate) trace_state: String,
    pub(crate) flags: u32,
}

impl Default for TestSpan {
    fn default() -> Self {
        Self {
            trace: 1,
            span: 1,
            parent: 0,
            start: NOW,
            end: NOW + 1_000_000,
            service: "shop".to_owned(),
            name: "GET /cart".to_owned(),
            error: false,
            cdn: false,
            kind: 2,
            attributes: Vec::new(),
            events: Vec::new(),
            trace_state: String::new(),
            flags: 0,
        }
    }
}

impl TestSpan {
    pub(crate) fn trace_id(&self) -> TraceId {
        trace_id(self.trace)
    }

    fn put(&self, out: &mut Vec<u8>) {
        let parts = SpanParts {
            trace_id: self.trace_id(),
            span_id: span_id(self.span),
            parent_span_id: span_id(self.parent),
            name: &self.name,
            start: UnixNanos(self.start),
            end: UnixNanos(self.end),
            trace_state: &self.trace_state,
            flags: self.flags,
            kind: rootspan_model::span::SpanKind::from_otlp(self.kind),
            status: if self.error { StatusCode::Error } else { StatusCode::Unset },
            status_message: if self.error { "failed" } else { "" },
        };
        write::put_span(out, &parts, |out| {
            for (key, value) in &self.attributes {
                put_attribute(out, key, value);
            }
            for name in &self.events {
                write::put_event(out, UnixNanos(self.start), name, |out| {
                    write::put_attribute(out, field::event::ATTRIBUTES, "exception.type", "Timeout");
                });
            }
        });
    }
}

fn put_attribute(out: &mut Vec<u8>, key: &str, value: &Value) {
    const FIELD: u32 = field::span::ATTRIBUTES;
    match value {
        Value::Text(text) => write::put_attribute(out, FIELD, key, text.as_str()),
        Value::Int(number) => write::put_attribute(out, FIELD, key, *number),
        Value::Double(number) => write::put_attribute(out, FIELD, key, *number),
        Value::Bool(value) => write::put_attribute(out, FIELD, key, *value),
        Value::Bytes(bytes) => write::put_attribute(out, FIELD, key, write::Value::Bytes(bytes)),
        Value::Texts(texts) => {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            write::put_attribute(out, FIELD, key, write::Value::Strings(&texts));
        }
    }
}

pub(crate) fn trace_id(number: u8) -> TraceId {
    TraceId::new([number; 16])
}

pub(crate) fn span_id(number: u8) -> SpanId {
    SpanId::new([number; 8])
}

/// One request, each span with resource and scope of its own.
pub(crate) fn batch(spans: &[TestSpan]) -> TraceBatch {
    let mut request = Vec::new();
    for span in spans {
        write::put_resource_spans(&mut request, "https://example.org/schema", |out| {
            write::put_resource(out, |out| {
                write::put_attribute(out, field::resource::ATTRIBUTES, "service.name", span.service.as_str());
                write::put_attribute(out, field::resource::ATTRIBUTES, "zone", "eu-1");
            });
            write::put_scope_spans(out, "", |out| {
                let scope = if span.cdn { "rootspan/cloudfront" } else { "test" };
                write::put_scope(out, scope, "1", |_| {});
                span.put(out);
            });
        });
    }
    parsed(request)
}

pub(crate) fn parsed(request: Vec<u8>) -> TraceBatch {
    let validated = validate::validate(Bytes::from(request), &validate::Limits::default()).expect("a valid request");
    assert_eq!(validated.rejected.items, 0, "{}", validated.rejected.first_reason);
    validated.batch
}

/// Every span of a batch in one fixed form, with resource and scope, sorted; with how often it occurs.
pub(crate) fn content(batch: &TraceBatch) -> BTreeMap<Vec<u8>, usize> {
    let mut content = BTreeMap::new();
    for span in batch.spans() {
        let mut key = span.resource.bytes.to_vec();
        key.extend_from_slice(span.resource.schema_url.as_bytes());
        key.push(0);
        key.extend_from_slice(span.scope.bytes);
        key.extend_from_slice(span.scope.schema_url.as_bytes());
        key.push(0);
        key.extend_from_slice(&normalise(span.span.bytes));
        *content.entry(key).or_insert(0) += 1;
    }
    content
}
