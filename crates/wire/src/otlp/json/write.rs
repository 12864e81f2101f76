//! From a batch to JSON, span by span: memory does not grow with the trace.

mod message;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::otlp::batch::TraceBatch;
use crate::otlp::payload::Payload;
use crate::otlp::schema::Message;
use crate::otlp::view::{AnyValue, Event, KeyValue, Link, Resource, Scope, Span};
use message::write_message;

/// Writes a request as JSON, in the form of its signal.
///
/// # Errors
/// Those of `out`.
pub fn write_request(payload: &Payload, out: &mut impl Write) -> io::Result<()> {
    match payload {
        Payload::Traces(traces) => write_traces(traces, out),
        Payload::Metrics(metrics) => write_message(Message::MetricsRequest, metrics.bytes(), out),
        Payload::Logs(logs) => write_message(Message::LogsRequest, logs.bytes(), out),
    }
}

/// Writes the batch as the JSON form of `TracesData` (the same as `ExportTraceServiceRequest`).
///
/// # Errors
/// Those of `out`.
pub fn write_traces(batch: &TraceBatch, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{\"resourceSpans\":[")?;
    let mut buffer = Vec::new();
    for (index, resource_spans) in batch.request().resource_spans().enumerate() {
        if index > 0 {
            buffer.push(b',');
        }
        put_object(&mut buffer, |object| put_resource(object, resource_spans.resource));
        reopen(&mut buffer, "scopeSpans");
        for (index, scope_spans) in resource_spans.scope_spans().enumerate() {
            if index > 0 {
                buffer.push(b',');
            }
            put_object(&mut buffer, |object| put_scope(object, scope_spans.scope));
            reopen(&mut buffer, "spans");
            for (index, span) in scope_spans.spans().enumerate() {
                if index > 0 {
                    buffer.push(b',');
                }
                put_object(&mut buffer, |object| put_span(object, &span));
                out.write_all(&buffer)?;
                buffer.clear();
            }
            buffer.extend_from_slice(b"]}");
        }
        buffer.extend_from_slice(b"]}");
    }
    buffer.extend_from_slice(b"]}");
    out.write_all(&buffer)
}

/// Appends `text` as a JSON string.
pub fn put_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..index]);
        written = index + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => put_fmt(out, format_args!("\\u{byte:04x}")),
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// Appends a double as protobuf's JSON mapping wants it: what JSON has no number for is a string.
pub fn put_json_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        // Debug is the shortest text that reads back as the same number, and always legal JSON.
        put_fmt(out, format_args!("{value:?}"));
    }
}

// === messages ===

fn put_resource(object: &mut Object<'_>, resource: Resource<'_>) {
    object.object("resource", |object| {
        object.attributes(resource.attributes());
        object.count("droppedAttributesCount", resource.dropped_attributes_count());
        object.array("entityRefs", resource.entity_refs(), |out, entity| {
            put_object(out, |object| {
                object.text("schemaUrl", entity.schema_url);
                object.text("type", entity.entity_type);
                object.array("idKeys", entity.id_keys(), put_json_string);
                object.array("descriptionKeys", entity.description_keys(), put_json_string);
            });
        });
    });
    object.text("schemaUrl", resource.schema_url);
}

fn put_scope(object: &mut Object<'_>, scope: Scope<'_>) {
    object.object("scope", |object| {
        object.text("name", scope.name);
        object.text("version", scope.version);
        object.attributes(scope.attributes());
        object.count("droppedAttributesCount", scope.dropped_attributes_count());
    });
    object.text("schemaUrl", scope.schema_url);
}

fn put_span(object: &mut Object<'_>, span: &Span<'_>) {
    object.hex("traceId", span.trace_id.as_bytes());
    object.hex("spanId", span.span_id.as_bytes());
    object.text("traceState", span.trace_state);
    if !span.is_root() {
        object.hex("parentSpanId", span.parent_span_id.as_bytes());
    }
    object.count("flags", span.flags);
    object.text("name", span.name);
    object.enumeration("kind", span.kind_number);
    object.time("startTimeUnixNano", span.start.0);
    object.time("endTimeUnixNano", span.end.0);
    object.attributes(span.attributes());
    object.count("droppedAttributesCount", span.dropped_attributes_count);
    object.array("events", span.events(), |out, event| put_object(out, |object| put_event(object, &event)));
    object.count("droppedEventsCount", span.dropped_events_count);
    object.array("links", span.links(), |out, link| put_object(out, |object| put_link(object, &link)));
    object.count("droppedLinksCount", span.dropped_links_count);
    if span.status_number != 0 || !span.status_message.is_empty() {
        object.object("status", |object| {
            object.text("message", span.status_message);
            object.enumeration("code", span.status_number);
        });
    }
}

fn put_event(object: &mut Object<'_>, event: &Event<'_>) {
    object.time("timeUnixNano", event.time.0);
    object.text("name", event.name);
    object.attributes(event.attributes());
    object.count("droppedAttributesCount", event.dropped_attributes_count);
}

fn put_link(object: &mut Object<'_>, link: &Link<'_>) {
    object.hex("traceId", link.trace_id);
    object.hex("spanId", link.span_id);
    object.text("traceState", link.trace_state);
    object.attributes(link.attributes());
    object.count("droppedAttributesCount", link.dropped_attributes_count);
    object.count("flags", link.flags);
}

fn put_key_value(out: &mut Vec<u8>, pair: KeyValue<'_>) {
    put_object(out, |object| {
        object.key("key");
        put_json_string(object.out, pair.key);
        object.key("value");
        put_any_value(object.out, pair.value);
    });
}

fn put_any_value(out: &mut Vec<u8>, value: AnyValue<'_>) {
    put_object(out, |object| match value {
        AnyValue::Empty => {}
        AnyValue::String(text) => {
            object.key("stringValue");
            put_json_string(object.out, text);
        }
        AnyValue::Bool(value) => {
            object.key("boolValue");
            put_fmt(object.out, format_args!("{value}"));
        }
        AnyValue::Int(value) => {
            object.key("intValue");
            put_fmt(object.out, format_args!("\"{value}\""));
        }
        AnyValue::Double(value) => {
            object.key("doubleValue");
            put_json_double(object.out, value);
        }
        AnyValue::Bytes(bytes) => {
            object.key("bytesValue");
            put_fmt(object.out, format_args!("\"{}\"", STANDARD.encode(bytes)));
        }
        AnyValue::Array(array) => {
            object.object("arrayValue", |object| object.array("values", array.values(), put_any_value));
        }
        AnyValue::KeyValueList(list) => {
            object.object("kvlistValue", |object| object.array("values", list.values(), put_key_value));
        }
    });
}

// === JSON ===

fn put_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.push(b'"');
}

fn put_object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    members(&mut Object { out, is_empty: true });
    out.push(b'}');
}

/// Opens the object that was just put once more, for a last member that is an array, which stays open.
fn reopen(out: &mut Vec<u8>, key: &str) {
    let closed = out.pop();
    debug_assert_eq!(closed, Some(b'}'), "an object was put before");
    Object { is_empty: out.last() == Some(&b'{'), out }.key(key);
    out.push(b'[');
}

struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn object(&mut self, key: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        put_object(self.out, members);
    }

    /// Left out if empty.
    fn array<T>(&mut self, key: &str, items: impl Iterator<Item = T>, mut put: impl FnMut(&mut Vec<u8>, T)) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.key(key);
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            put(self.out, item);
        }
        self.out.push(b']');
    }

    fn attributes<'a>(&mut self, attributes: impl Iterator<Item = KeyValue<'a>>) {
        self.array("attributes", attributes, put_key_value);
    }

    /// Left out if empty.
    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            put_json_string(self.out, text);
        }
    }

    /// Left out if empty.
    fn hex(&mut self, key: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.key(key);
        put_hex(self.out, bytes);
    }

    /// Left out if zero.
    fn count(&mut self, key: &str, count: u32) {
        if count != 0 {
            self.key(key);
            put_fmt(self.out, format_args!("{count}"));
        }
    }

    /// Left out if zero.
    fn enumeration(&mut self, key: &str, number: i32) {
        if number != 0 {
            self.key(key);
            put_fmt(self.out, format_args!("{number}"));
        }
    }

    fn time(&mut self, key: &str, nanos: u64) {
        self.key(key);
        put_fmt(self.out, format_args!("\"{nanos}\""));
    }
}
