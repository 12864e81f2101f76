//! Writes OTLP protobuf: used by everything that makes spans rather than passes them on.
//!
//! The `put_…` functions append one field to a buffer, whatever its value; the OTLP helpers below them leave default
//! values out, as protobuf does. A request in a few lines:
//!
//! ```
//! use rootspan_model::ids::{SpanId, TraceId};
//! use rootspan_wire::otlp::batch::TraceBatch;
//! use rootspan_wire::otlp::write::{SpanParts, put_attribute, put_resource, put_resource_spans, put_scope_spans, put_span};
//! use rootspan_wire::otlp::field;
//!
//! let mut request = Vec::new();
//! put_resource_spans(&mut request, "", |out| {
//!     put_resource(out, |out| put_attribute(out, field::resource::ATTRIBUTES, "service.name", "cart"));
//!     put_scope_spans(out, "", |out| {
//!         let span = SpanParts { trace_id: TraceId::new([1; 16]), span_id: SpanId::new([2; 8]), name: "GET /cart", ..SpanParts::default() };
//!         put_span(out, &span, |out| put_attribute(out, field::span::ATTRIBUTES, "http.response.status_code", 200));
//!     });
//! });
//! let batch = TraceBatch::from_trusted(request.into()).expect("just written");
//! assert_eq!(batch.span(0).resource.service_name(), "cart");
//! ```

mod attribute;

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;

use super::field;
use super::view::AnyValue;
pub use attribute::put_attribute;

// === fields of any message ===

/// Appends a varint.
#[inline]
pub fn put_raw_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of wire type 0: `uint32`, `uint64`, `bool`, enumerations.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 0);
    put_raw_varint(out, value);
}

/// A field `int32` or `int64`: negative numbers are sign-extended to ten bytes.
#[inline]
pub fn put_int(out: &mut Vec<u8>, field: u32, value: i64) {
    put_varint(out, field, value.cast_unsigned());
}

/// A field `bool`.
#[inline]
pub fn put_bool(out: &mut Vec<u8>, field: u32, value: bool) {
    put_varint(out, field, u64::from(value));
}

/// A field `fixed64`.
#[inline]
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field `double`.
#[inline]
pub fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_fixed64(out, field, value.to_bits());
}

/// A field `fixed32`.
#[inline]
pub fn put_fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    put_tag(out, field, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field `bytes`, or a message that is already encoded.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_tag(out, field, 2);
    put_raw_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A field `string`.
#[inline]
pub fn put_string(out: &mut Vec<u8>, field: u32, value: &str) {
    put_bytes(out, field, value.as_bytes());
}

/// Begins a field that is a message of a length that is known: what is appended next is its body.
#[inline]
pub fn put_message_head(out: &mut Vec<u8>, field: u32, length: usize) {
    put_tag(out, field, 2);
    put_raw_varint(out, length as u64);
}

/// A field that is a message, written by `body`.
#[inline]
pub fn put_message(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_message_of_length(out, field, 1, body);
}

/// [`put_message`] for a body whose length is expected to take `length_bytes` bytes as a varint (1: below 128,
/// 2: below 16 KiB, 3: below 2 MiB). A right guess saves moving the body; a wrong one costs only that.
#[inline]
pub fn put_message_of_length(out: &mut Vec<u8>, field: u32, length_bytes: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let start = begin_message(out, field, length_bytes);
    body(out);
    end_message(out, start);
}

/// An open message; see [`begin_message`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct OpenMessage {
    /// Where the length is to be written.
    length_at: usize,
    /// Bytes reserved for it.
    length_bytes: usize,
}

/// Begins a field that is a message, for callers that cannot use a closure. What is appended until [`end_message`]
/// belongs to it.
#[inline]
pub fn begin_message(out: &mut Vec<u8>, field: u32, length_bytes: usize) -> OpenMessage {
    put_tag(out, field, 2);
    let length_at = out.len();
    out.resize(length_at + length_bytes, 0);
    OpenMessage { length_at, length_bytes }
}

/// Ends the message by writing its length before it.
#[inline]
pub fn end_message(out: &mut Vec<u8>, message: OpenMessage) {
    let OpenMessage { length_at, length_bytes } = message;
    let start = length_at + length_bytes;
    let mut length = out.len() - start;
    let needed = varint_length(length);
    if needed != length_bytes {
        move_body(out, start, length_at + needed);
    }
    let last = length_at + needed - 1;
    for byte in &mut out[length_at..last] {
        *byte = (length & 0x7f) as u8 | 0x80;
        length >>= 7;
    }
    out[last] = length as u8;
}

/// Moves everything from `from` on so that it begins at `to`.
#[cold]
fn move_body(out: &mut Vec<u8>, from: usize, to: usize) {
    let end = out.len();
    if to > from {
        out.resize(end + to - from, 0);
        out.copy_within(from..end, to);
    } else {
        out.copy_within(from..end, to);
        out.truncate(end - (from - to));
    }
}

#[inline]
const fn varint_length(value: usize) -> usize {
    // Seven bits a byte, at least one byte.
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[inline]
fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_raw_varint(out, u64::from(field << 3 | wire_type));
}

// === attributes ===

/// An attribute's value to be written. [`AnyValue`] is what is read.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `string_value`
    String(&'a str),
    /// `bool_value`
    Bool(bool),
    /// `int_value`
    Int(i64),
    /// `double_value`
    Double(f64),
    /// `bytes_value`
    Bytes(&'a [u8]),
    /// `array_value`
    Array(&'a [Self]),
    /// `array_value` of strings
    Strings(&'a [&'a str]),
    /// `kvlist_value`
    KeyValueList(&'a [(&'a str, Self)]),
    /// A value that was read elsewhere.
    Any(AnyValue<'a>),
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

value_from! {
    &'a str => String,
    bool => Bool,
    i64 => Int,
    i32 => Int,
    u32 => Int,
    u16 => Int,
    f64 => Double,
    &'a [u8] => Bytes,
    &'a [&'a str] => Strings,
    AnyValue<'a> => Any,
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::String(value)
    }
}

/// A field `AnyValue`.
pub fn put_any_value(out: &mut Vec<u8>, field: u32, value: Value<'_>) {
    put_message(out, field, |out| put_value_body(out, value));
}

fn put_key_value(out: &mut Vec<u8>, field: u32, key: &str, value: Value<'_>) {
    put_message(out, field, |out| {
        put_string(out, field::key_value::KEY, key);
        put_any_value(out, field::key_value::VALUE, value);
    });
}

pub(super) fn put_value_body(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::String(text) => put_string(out, field::any_value::STRING, text),
        Value::Bool(value) => put_bool(out, field::any_value::BOOL, value),
        Value::Int(value) => put_int(out, field::any_value::INT, value),
        Value::Double(value) => put_double(out, field::any_value::DOUBLE, value),
        Value::Bytes(bytes) => put_bytes(out, field::any_value::BYTES, bytes),
        Value::Array(values) => put_message(out, field::any_value::ARRAY, |out| {
            for value in values {
                put_any_value(out, field::values::VALUES, *value);
            }
        }),
        Value::Strings(texts) => put_message(out, field::any_value::ARRAY, |out| {
            for text in texts {
                put_any_value(out, field::values::VALUES, Value::String(text));
            }
        }),
        Value::KeyValueList(pairs) => put_message(out, field::any_value::KEY_VALUE_LIST, |out| {
            for (key, value) in pairs {
                put_key_value(out, field::values::VALUES, key, *value);
            }
        }),
        Value::Any(value) => put_read_value(out, value),
    }
}

fn put_read_value(out: &mut Vec<u8>, value: AnyValue<'_>) {
    match value {
        AnyValue::Empty => {}
        AnyValue::String(text) => put_string(out, field::any_value::STRING, text),
        AnyValue::Bool(value) => put_bool(out, field::any_value::BOOL, value),
        AnyValue::Int(value) => put_int(out, field::any_value::INT, value),
        AnyValue::Double(value) => put_double(out, field::any_value::DOUBLE, value),
        AnyValue::Bytes(bytes) => put_bytes(out, field::any_value::BYTES, bytes),
        AnyValue::Array(array) => put_bytes(out, field::any_value::ARRAY, array.bytes),
        AnyValue::KeyValueList(list) => put_bytes(out, field::any_value::KEY_VALUE_LIST, list.bytes),
    }
}

// === OTLP ===

/// Field `resource_spans` of a request; `body` puts a resource and scopes.
pub fn put_resource_spans(out: &mut Vec<u8>, schema_url: &str, body: impl FnOnce(&mut Vec<u8>)) {
    put_message_of_length(out, field::request::RESOURCE_SPANS, 3, |out| {
        body(out);
        put_text(out, field::resource_spans::SCHEMA_URL, schema_url);
    });
}

/// Field `resource` of a `ResourceSpans`; `attributes` puts [`field::resource::ATTRIBUTES`].
pub fn put_resource(out: &mut Vec<u8>, attributes: impl FnOnce(&mut Vec<u8>)) {
    put_message_of_length(out, field::resource_spans::RESOURCE, 2, attributes);
}

/// Field `scope_spans` of a `ResourceSpans`; `body` puts a scope and spans.
pub fn put_scope_spans(out: &mut Vec<u8>, schema_url: &str, body: impl FnOnce(&mut Vec<u8>)) {
    put_message_of_length(out, field::resource_spans::SCOPE_SPANS, 3, |out| {
        body(out);
        put_text(out, field::scope_spans::SCHEMA_URL, schema_url);
    });
}

/// Field `scope` of a `ScopeSpans`; `attributes` puts [`field::scope::ATTRIBUTES`].
pub fn put_scope(out: &mut Vec<u8>, name: &str, version: &str, attributes: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, field::scope_spans::SCOPE, |out| {
        put_text(out, field::scope::NAME, name);
        put_text(out, field::scope::VERSION, version);
        attributes(out);
    });
}

/// The scalar fields of a span to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanParts<'a> {
    /// Must not be all zero.
    pub trace_id: TraceId,
    /// Must not be all zero.
    pub span_id: SpanId,
    /// All zero: a root; not written.
    pub parent_span_id: SpanId,
    /// W3C `tracestate`.
    pub trace_state: &'a str,
    /// W3C trace flags and OTLP's remote bits.
    pub flags: u32,
    /// Name.
    pub name: &'a str,
    /// Kind.
    pub kind: SpanKind,
    /// Start.
    pub start: UnixNanos,
    /// End.
    pub end: UnixNanos,
    /// Outcome.
    pub status: StatusCode,
    /// What went wrong.
    pub status_message: &'a str,
}

/// Field `spans` of a `ScopeSpans`; `body` puts [`field::span::ATTRIBUTES`], events and links.
pub fn put_span(out: &mut Vec<u8>, parts: &SpanParts<'_>, body: impl FnOnce(&mut Vec<u8>)) {
    debug_assert!(parts.trace_id.is_valid() && parts.span_id.is_valid(), "a span without ids would be rejected");
    put_message_of_length(out, field::scope_spans::SPANS, 2, |out| {
        put_bytes(out, field::span::TRACE_ID, parts.trace_id.as_bytes());
        put_bytes(out, field::span::SPAN_ID, parts.span_id.as_bytes());
        put_text(out, field::span::TRACE_STATE, parts.trace_state);
        if parts.parent_span_id.is_valid() {
            put_bytes(out, field::span::PARENT_SPAN_ID, parts.parent_span_id.as_bytes());
        }
        put_text(out, field::span::NAME, parts.name);
        if parts.kind != SpanKind::Unspecified {
            put_int(out, field::span::KIND, parts.kind.to_otlp().into());
        }
        put_fixed64(out, field::span::START_TIME_UNIX_NANO, parts.start.0);
        put_fixed64(out, field::span::END_TIME_UNIX_NANO, parts.end.0);
        body(out);
        if parts.status != StatusCode::Unset || !parts.status_message.is_empty() {
            put_message(out, field::span::STATUS, |out| {
                put_text(out, field::status::MESSAGE, parts.status_message);
                if parts.status != StatusCode::Unset {
                    put_int(out, field::status::CODE, parts.status.to_otlp().into());
                }
            });
        }
        if parts.flags != 0 {
            put_fixed32(out, field::span::FLAGS, parts.flags);
        }
    });
}

/// Field `events` of a span; `attributes` puts [`field::event::ATTRIBUTES`].
pub fn put_event(out: &mut Vec<u8>, time: UnixNanos, name: &str, attributes: impl FnOnce(&mut Vec<u8>)) {
    put_message(out, field::span::EVENTS, |out| {
        put_fixed64(out, field::event::TIME_UNIX_NANO, time.0);
        put_text(out, field::event::NAME, name);
        attributes(out);
    });
}

/// Field `links` of a span; `attributes` puts [`field::link::ATTRIBUTES`].
pub fn put_link(
    out: &mut Vec<u8>,
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: &str,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    put_message(out, field::span::LINKS, |out| {
        put_bytes(out, field::link::TRACE_ID, trace_id.as_bytes());
        put_bytes(out, field::link::SPAN_ID, span_id.as_bytes());
        put_text(out, field::link::TRACE_STATE, trace_state);
        attributes(out);
    });
}

/// A string field that is left out if empty, as proto3 does.
fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_string(out, field, text);
    }
}

#[cfg(test)]
mod tests;
