//! Borrowed views over validated protobuf bytes. Reading never fails and never allocates.
//!
//! `Span::decode` reads the scalar fields in one pass and remembers the span's bytes; repeated fields are iterated
//! from the bytes on demand. Last scalar wins; unknown fields stay in `bytes`. On bytes that were never validated the
//! views read as far as they can and then see nothing more; they do not panic.

mod request;
mod value;

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;

use super::field;
use super::protobuf::{FieldValue, Fields, Reader, delimited_tag, low_32_bits, repeated, text};

pub use request::{EntityRef, Request, Resource, ResourceSpans, Scope, ScopeSpans};
pub(super) use value::find as find_attribute;
pub use value::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// `Span`, scalars decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// Never all zero after validation.
    pub trace_id: TraceId,
    /// Never all zero after validation.
    pub span_id: SpanId,
    /// All zero or absent: a root.
    pub parent_span_id: SpanId,
    /// W3C `tracestate` as sent.
    pub trace_state: &'a str,
    /// May be empty.
    pub name: &'a str,
    /// The raw number of the enumeration; see [`Self::kind`].
    pub kind_number: i32,
    /// Start.
    pub start: UnixNanos,
    /// End; may precede the start.
    pub end: UnixNanos,
    /// W3C trace flags and OTLP's remote bits.
    pub flags: u32,
    /// `status.code`, raw; see [`Self::status`].
    pub status_number: i32,
    /// `status.message`.
    pub status_message: &'a str,
    /// `dropped_attributes_count`.
    pub dropped_attributes_count: u32,
    /// `dropped_events_count`.
    pub dropped_events_count: u32,
    /// `dropped_links_count`.
    pub dropped_links_count: u32,
}

impl<'a> Span<'a> {
    /// Reads the scalar fields of the `Span` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut span = Self { bytes, ..Self::default() };
        let mut reader = Reader::new(bytes);
        loop {
            // Most of a span are attributes.
            while reader.delimited_with_tag(delimited_tag(field::span::ATTRIBUTES)).is_some() {}
            let Ok(Some(field)) = reader.field() else { return span };
            match (field.number, field.value) {
                (field::span::TRACE_ID, FieldValue::Bytes(id)) => {
                    span.trace_id = TraceId::from_slice(id).unwrap_or_default();
                }
                (field::span::SPAN_ID, FieldValue::Bytes(id)) => {
                    span.span_id = SpanId::from_slice(id).unwrap_or_default();
                }
                (field::span::PARENT_SPAN_ID, FieldValue::Bytes(id)) => {
                    span.parent_span_id = SpanId::from_slice(id).unwrap_or_default();
                }
                (field::span::TRACE_STATE, FieldValue::Bytes(state)) => span.trace_state = text(state),
                (field::span::NAME, FieldValue::Bytes(name)) => span.name = text(name),
                (field::span::KIND, FieldValue::Varint(kind)) => span.kind_number = enumeration(kind),
                (field::span::START_TIME_UNIX_NANO, FieldValue::Fixed64(time)) => span.start = UnixNanos(time),
                (field::span::END_TIME_UNIX_NANO, FieldValue::Fixed64(time)) => span.end = UnixNanos(time),
                (field::span::FLAGS, FieldValue::Fixed32(flags)) => span.flags = flags,
                (field::span::STATUS, FieldValue::Bytes(status)) => span.decode_status(status),
                (field::span::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(count)) => {
                    span.dropped_attributes_count = low_32_bits(count);
                }
                (field::span::DROPPED_EVENTS_COUNT, FieldValue::Varint(count)) => {
                    span.dropped_events_count = low_32_bits(count);
                }
                (field::span::DROPPED_LINKS_COUNT, FieldValue::Varint(count)) => {
                    span.dropped_links_count = low_32_bits(count);
                }
                _ => {}
            }
        }
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_otlp(self.kind_number)
    }

    /// `status.code`.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_otlp(self.status_number)
    }

    /// End minus start; zero if the end precedes the start.
    #[must_use]
    pub fn duration_nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// Whether the span has no parent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        !self.parent_span_id.is_valid()
    }

    /// `attributes`.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::span::ATTRIBUTES).map(KeyValue::decode)
    }

    /// The value of the first attribute called `key`.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<AnyValue<'a>> {
        value::find(self.bytes, field::span::ATTRIBUTES, key)
    }

    /// `events`.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::span::EVENTS).map(Event::decode)
    }

    /// `links`.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::span::LINKS).map(Link::decode)
    }

    fn decode_status(&mut self, status: &'a [u8]) {
        for field in Fields::new(status) {
            match (field.number, field.value) {
                (field::status::MESSAGE, FieldValue::Bytes(message)) => self.status_message = text(message),
                (field::status::CODE, FieldValue::Varint(code)) => self.status_number = enumeration(code),
                _ => {}
            }
        }
    }
}

/// `Span.Event`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
    /// `time_unix_nano`.
    pub time: UnixNanos,
    /// `name`.
    pub name: &'a str,
    /// `dropped_attributes_count`.
    pub dropped_attributes_count: u32,
}

impl<'a> Event<'a> {
    /// Reads the scalar fields of the `Event` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut event = Self { bytes, ..Self::default() };
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::event::TIME_UNIX_NANO, FieldValue::Fixed64(time)) => event.time = UnixNanos(time),
                (field::event::NAME, FieldValue::Bytes(name)) => event.name = text(name),
                (field::event::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(count)) => {
                    event.dropped_attributes_count = low_32_bits(count);
                }
                _ => {}
            }
        }
        event
    }

    /// `attributes`.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::event::ATTRIBUTES).map(KeyValue::decode)
    }

    /// The value of the first attribute called `key`.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<AnyValue<'a>> {
        value::find(self.bytes, field::event::ATTRIBUTES, key)
    }
}

/// `Span.Link`. Ids are raw because empty ones are accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
    /// `trace_id`, 16 bytes or odd.
    pub trace_id: &'a [u8],
    /// `span_id`, 8 bytes or odd.
    pub span_id: &'a [u8],
    /// `trace_state`.
    pub trace_state: &'a str,
    /// `flags`.
    pub flags: u32,
    /// `dropped_attributes_count`.
    pub dropped_attributes_count: u32,
}

impl<'a> Link<'a> {
    /// Reads the scalar fields of the `Link` message in `bytes`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Self {
        let mut link = Self { bytes, ..Self::default() };
        for field in Fields::new(bytes) {
            match (field.number, field.value) {
                (field::link::TRACE_ID, FieldValue::Bytes(id)) => link.trace_id = id,
                (field::link::SPAN_ID, FieldValue::Bytes(id)) => link.span_id = id,
                (field::link::TRACE_STATE, FieldValue::Bytes(state)) => link.trace_state = text(state),
                (field::link::FLAGS, FieldValue::Fixed32(flags)) => link.flags = flags,
                (field::link::DROPPED_ATTRIBUTES_COUNT, FieldValue::Varint(count)) => {
                    link.dropped_attributes_count = low_32_bits(count);
                }
                _ => {}
            }
        }
        link
    }

    /// `attributes`.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + Clone + use<'a> {
        repeated(self.bytes, field::link::ATTRIBUTES).map(KeyValue::decode)
    }
}

/// An enumeration's number: sent as a sign-extended 64-bit varint.
const fn enumeration(varint: u64) -> i32 {
    low_32_bits(varint).cast_signed()
}
