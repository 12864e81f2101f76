//! The messages of OTLP as tables: numbers, names in both spellings, and what each field holds (opentelemetry-proto v1).
//!
//! Whatever does not need to be as quick as the way of a span is driven by them: JSON in both directions, the validation
//! of metrics and logs, and the rebuilding of requests.

/// The messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// `ExportTraceServiceRequest`; called by what an error message should call it.
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
    Status,
    MetricsRequest,
    ResourceMetrics,
    ScopeMetrics,
    Metric,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
    NumberDataPoint,
    HistogramDataPoint,
    ExponentialHistogramDataPoint,
    Buckets,
    SummaryDataPoint,
    ValueAtQuantile,
    Exemplar,
    LogsRequest,
    ResourceLogs,
    ScopeLogs,
    LogRecord,
    Resource,
    EntityRef,
    Scope,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
}

/// What a field holds: how it is encoded, and what its JSON looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Text,
    /// Bytes of any length, hexadecimal in JSON.
    Hex,
    /// As `Hex`, absent or of this length.
    Id(usize),
    Base64,
    Bool,
    Int64,
    Sint32,
    Double,
    Uint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Enumeration(&'static [&'static str]),
    Message(Message),
    Messages(Message),
    Texts,
    Doubles,
    Fixed64s,
    Uint64s,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSchema {
    pub(super) number: u32,
    /// In JSON.
    pub(super) name: &'static str,
    /// In the schema; readers of JSON take it too.
    pub(super) snake: &'static str,
    pub(super) content: Content,
}

const fn field(number: u32, name: &'static str, snake: &'static str, content: Content) -> FieldSchema {
    FieldSchema { number, name, snake, content }
}

impl Message {
    /// The fields, by their numbers.
    pub(super) const fn fields(self) -> &'static [FieldSchema] {
        match self {
            Self::Request => REQUEST,
            Self::ResourceSpans => RESOURCE_SPANS,
            Self::ScopeSpans => SCOPE_SPANS,
            Self::Span => SPAN,
            Self::Event => EVENT,
            Self::Link => LINK,
            Self::Status => STATUS,
            Self::MetricsRequest => METRICS_REQUEST,
            Self::ResourceMetrics => RESOURCE_METRICS,
            Self::ScopeMetrics => SCOPE_METRICS,
            Self::Metric => METRIC,
            Self::Gauge => GAUGE,
            Self::Sum => SUM,
            Self::Histogram => HISTOGRAM,
            Self::ExponentialHistogram => EXPONENTIAL_HISTOGRAM,
            Self::Summary => SUMMARY,
            Self::NumberDataPoint => NUMBER_DATA_POINT,
            Self::HistogramDataPoint => HISTOGRAM_DATA_POINT,
            Self::ExponentialHistogramDataPoint => EXPONENTIAL_HISTOGRAM_DATA_POINT,
            Self::Buckets => BUCKETS,
            Self::SummaryDataPoint => SUMMARY_DATA_POINT,
            Self::ValueAtQuantile => VALUE_AT_QUANTILE,
            Self::Exemplar => EXEMPLAR,
            Self::LogsRequest => LOGS_REQUEST,
            Self::ResourceLogs => RESOURCE_LOGS,
            Self::ScopeLogs => SCOPE_LOGS,
            Self::LogRecord => LOG_RECORD,
            Self::Resource => RESOURCE,
            Self::EntityRef => ENTITY_REF,
            Self::Scope => SCOPE,
            Self::KeyValue => KEY_VALUE,
            Self::AnyValue => ANY_VALUE,
            Self::ArrayValue => ARRAY_VALUE,
            Self::KeyValueList => KEY_VALUE_LIST,
        }
    }

    /// The field with this number, or `None` if it is unknown.
    pub(super) fn field(self, number: u32) -> Option<&'static FieldSchema> {
        self.fields().iter().find(|field| field.number == number)
    }

    /// The field that JSON calls `key`, or `None` if it is unknown.
    pub(super) fn named(self, key: &str) -> Option<&'static FieldSchema> {
        self.fields().iter().find(|field| field.name == key || field.snake == key)
    }

    /// Whether a field is a member of the message's union: of those, the last one counts.
    pub(super) const fn is_in_union(self, number: u32) -> bool {
        match self {
            Self::AnyValue => matches!(number, 1..=7),
            Self::Metric => matches!(number, 5 | 7 | 9..=11),
            Self::NumberDataPoint => matches!(number, 4 | 6),
            Self::Exemplar => matches!(number, 3 | 6),
            _ => false,
        }
    }

    /// What is counted: what one of them is called, if it is one.
    pub(super) const fn item(self) -> Option<&'static str> {
        match self {
            Self::Span => Some("span"),
            Self::NumberDataPoint
            | Self::HistogramDataPoint
            | Self::ExponentialHistogramDataPoint
            | Self::SummaryDataPoint => Some("data point"),
            Self::LogRecord => Some("log record"),
            _ => None,
        }
    }

    /// What is left out as a whole if something in it cannot be taken.
    pub(super) const fn is_unit(self) -> bool {
        self.item().is_some()
            || matches!(
                self,
                Self::ResourceSpans
                    | Self::ScopeSpans
                    | Self::ResourceMetrics
                    | Self::ScopeMetrics
                    | Self::Metric
                    | Self::ResourceLogs
                    | Self::ScopeLogs
            )
    }

    /// Whether there are units in it.
    pub(super) const fn has_units(self) -> bool {
        matches!(
            self,
            Self::Request
                | Self::ResourceSpans
                | Self::ScopeSpans
                | Self::MetricsRequest
                | Self::ResourceMetrics
                | Self::ScopeMetrics
                | Self::Metric
                | Self::Gauge
                | Self::Sum
                | Self::Histogram
                | Self::ExponentialHistogram
                | Self::Summary
                | Self::LogsRequest
                | Self::ResourceLogs
                | Self::ScopeLogs
        )
    }
}

// === traces ===

const REQUEST: &[FieldSchema] =
    &[field(1, "resourceSpans", "resource_spans", Content::Messages(Message::ResourceSpans))];

const RESOURCE_SPANS: &[FieldSchema] = &[
    field(1, "resource", "resource", Content::Message(Message::Resource)),
    field(2, "scopeSpans", "scope_spans", Content::Messages(Message::ScopeSpans)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

const SCOPE_SPANS: &[FieldSchema] = &[
    field(1, "scope", "scope", Content::Message(Message::Scope)),
    field(2, "spans", "spans", Content::Messages(Message::Span)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

const SPAN: &[FieldSchema] = &[
    field(1, "traceId", "trace_id", Content::Hex),
    field(2, "spanId", "span_id", Content::Hex),
    field(3, "traceState", "trace_state", Content::Text),
    field(4, "parentSpanId", "parent_span_id", Content::Hex),
    field(5, "name", "name", Content::Text),
    field(6, "kind", "kind", Content::Enumeration(SPAN_KINDS)),
    field(7, "startTimeUnixNano", "start_time_unix_nano", Content::Fixed64),
    field(8, "endTimeUnixNano", "end_time_unix_nano", Content::Fixed64),
    field(9, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(10, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
    field(11, "events", "events", Content::Messages(Message::Event)),
    field(12, "droppedEventsCount", "dropped_events_count", Content::Uint32),
    field(13, "links", "links", Content::Messages(Message::Link)),
    field(14, "droppedLinksCount", "dropped_links_count", Content::Uint32),
    field(15, "status", "status", Content::Message(Message::Status)),
    field(16, "flags", "flags", Content::Fixed32),
];

const EVENT: &[FieldSchema] = &[
    field(1, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(2, "name", "name", Content::Text),
    field(3, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(4, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
];

const LINK: &[FieldSchema] = &[
    field(1, "traceId", "trace_id", Content::Hex),
    field(2, "spanId", "span_id", Content::Hex),
    field(3, "traceState", "trace_state", Content::Text),
    field(4, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(5, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
    field(6, "flags", "flags", Content::Fixed32),
];

const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/// Number 1 is reserved: it was `deprecated_code`.
const STATUS: &[FieldSchema] =
    &[field(2, "message", "message", Content::Text), field(3, "code", "code", Content::Enumeration(STATUS_CODES))];

// === metrics ===

const METRICS_REQUEST: &[FieldSchema] =
    &[field(1, "resourceMetrics", "resource_metrics", Content::Messages(Message::ResourceMetrics))];

const RESOURCE_METRICS: &[FieldSchema] = &[
    field(1, "resource", "resource", Content::Message(Message::Resource)),
    field(2, "scopeMetrics", "scope_metrics", Content::Messages(Message::ScopeMetrics)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

const SCOPE_METRICS: &[FieldSchema] = &[
    field(1, "scope", "scope", Content::Message(Message::Scope)),
    field(2, "metrics", "metrics", Content::Messages(Message::Metric)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

const METRIC: &[FieldSchema] = &[
    field(1, "name", "name", Content::Text),
    field(2, "description", "description", Content::Text),
    field(3, "unit", "unit", Content::Text),
    field(5, "gauge", "gauge", Content::Message(Message::Gauge)),
    field(7, "sum", "sum", Content::Message(Message::Sum)),
    field(9, "histogram", "histogram", Content::Message(Message::Histogram)),
    field(10, "exponentialHistogram", "exponential_histogram", Content::Message(Message::ExponentialHistogram)),
    field(11, "summary", "summary", Content::Message(Message::Summary)),
    field(12, "metadata", "metadata", Content::Messages(Message::KeyValue)),
];

const TEMPORALITIES: &[&str] =
    &["AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"];

const AGGREGATION_TEMPORALITY: FieldSchema =
    field(2, "aggregationTemporality", "aggregation_temporality", Content::Enumeration(TEMPORALITIES));

const GAUGE: &[FieldSchema] = &[field(1, "dataPoints", "data_points", Content::Messages(Message::NumberDataPoint))];

const SUM: &[FieldSchema] = &[
    field(1, "dataPoints", "data_points", Content::Messages(Message::NumberDataPoint)),
    AGGREGATION_TEMPORALITY,
    field(3, "isMonotonic", "is_monotonic", Content::Bool),
];

const HISTOGRAM: &[FieldSchema] =
    &[field(1, "dataPoints", "data_points", Content::Messages(Message::HistogramDataPoint)), AGGREGATION_TEMPORALITY];

const EXPONENTIAL_HISTOGRAM: &[FieldSchema] = &[
    field(1, "dataPoints", "data_points", Content::Messages(Message::ExponentialHistogramDataPoint)),
    AGGREGATION_TEMPORALITY,
];

const SUMMARY: &[FieldSchema] = &[field(1, "dataPoints", "data_points", Content::Messages(Message::SummaryDataPoint))];

const NUMBER_DATA_POINT: &[FieldSchema] = &[
    field(2, "startTimeUnixNano", "start_time_unix_nano", Content::Fixed64),
    field(3, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(4, "asDouble", "as_double", Content::Double),
    field(5, "exemplars", "exemplars", Content::Messages(Message::Exemplar)),
    field(6, "asInt", "as_int", Content::Sfixed64),
    field(7, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(8, "flags", "flags", Content::Uint32),
];

const HISTOGRAM_DATA_POINT: &[FieldSchema] = &[
    field(2, "startTimeUnixNano", "start_time_unix_nano", Content::Fixed64),
    field(3, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(4, "count", "count", Content::Fixed64),
    field(5, "sum", "sum", Content::Double),
    field(6, "bucketCounts", "bucket_counts", Content::Fixed64s),
    field(7, "explicitBounds", "explicit_bounds", Content::Doubles),
    field(8, "exemplars", "exemplars", Content::Messages(Message::Exemplar)),
    field(9, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(10, "flags", "flags", Content::Uint32),
    field(11, "min", "min", Content::Double),
    field(12, "max", "max", Content::Double),
];

const EXPONENTIAL_HISTOGRAM_DATA_POINT: &[FieldSchema] = &[
    field(1, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(2, "startTimeUnixNano", "start_time_unix_nano", Content::Fixed64),
    field(3, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(4, "count", "count", Content::Fixed64),
    field(5, "sum", "sum", Content::Double),
    field(6, "scale", "scale", Content::Sint32),
    field(7, "zeroCount", "zero_count", Content::Fixed64),
    field(8, "positive", "positive", Content::Message(Message::Buckets)),
    field(9, "negative", "negative", Content::Message(Message::Buckets)),
    field(10, "flags", "flags", Content::Uint32),
    field(11, "exemplars", "exemplars", Content::Messages(Message::Exemplar)),
    field(12, "min", "min", Content::Double),
    field(13, "max", "max", Content::Double),
    field(14, "zeroThreshold", "zero_threshold", Content::Double),
];

const BUCKETS: &[FieldSchema] =
    &[field(1, "offset", "offset", Content::Sint32), field(2, "bucketCounts", "bucket_counts", Content::Uint64s)];

const SUMMARY_DATA_POINT: &[FieldSchema] = &[
    field(2, "startTimeUnixNano", "start_time_unix_nano", Content::Fixed64),
    field(3, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(4, "count", "count", Content::Fixed64),
    field(5, "sum", "sum", Content::Double),
    field(6, "quantileValues", "quantile_values", Content::Messages(Message::ValueAtQuantile)),
    field(7, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(8, "flags", "flags", Content::Uint32),
];

const VALUE_AT_QUANTILE: &[FieldSchema] =
    &[field(1, "quantile", "quantile", Content::Double), field(2, "value", "value", Content::Double)];

const EXEMPLAR: &[FieldSchema] = &[
    field(2, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(3, "asDouble", "as_double", Content::Double),
    field(4, "spanId", "span_id", Content::Id(8)),
    field(5, "traceId", "trace_id", Content::Id(16)),
    field(6, "asInt", "as_int", Content::Sfixed64),
    field(7, "filteredAttributes", "filtered_attributes", Content::Messages(Message::KeyValue)),
];

// === logs ===

const LOGS_REQUEST: &[FieldSchema] =
    &[field(1, "resourceLogs", "resource_logs", Content::Messages(Message::ResourceLogs))];

const RESOURCE_LOGS: &[FieldSchema] = &[
    field(1, "resource", "resource", Content::Message(Message::Resource)),
    field(2, "scopeLogs", "scope_logs", Content::Messages(Message::ScopeLogs)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

const SCOPE_LOGS: &[FieldSchema] = &[
    field(1, "scope", "scope", Content::Message(Message::Scope)),
    field(2, "logRecords", "log_records", Content::Messages(Message::LogRecord)),
    field(3, "schemaUrl", "schema_url", Content::Text),
];

#[rustfmt::skip]
const SEVERITIES: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE", "SEVERITY_NUMBER_TRACE2", "SEVERITY_NUMBER_TRACE3", "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG", "SEVERITY_NUMBER_DEBUG2", "SEVERITY_NUMBER_DEBUG3", "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO", "SEVERITY_NUMBER_INFO2", "SEVERITY_NUMBER_INFO3", "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN", "SEVERITY_NUMBER_WARN2", "SEVERITY_NUMBER_WARN3", "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR", "SEVERITY_NUMBER_ERROR2", "SEVERITY_NUMBER_ERROR3", "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL", "SEVERITY_NUMBER_FATAL2", "SEVERITY_NUMBER_FATAL3", "SEVERITY_NUMBER_FATAL4",
];

const LOG_RECORD: &[FieldSchema] = &[
    field(1, "timeUnixNano", "time_unix_nano", Content::Fixed64),
    field(2, "severityNumber", "severity_number", Content::Enumeration(SEVERITIES)),
    field(3, "severityText", "severity_text", Content::Text),
    field(5, "body", "body", Content::Message(Message::AnyValue)),
    field(6, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(7, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
    field(8, "flags", "flags", Content::Fixed32),
    field(9, "traceId", "trace_id", Content::Id(16)),
    field(10, "spanId", "span_id", Content::Id(8)),
    field(11, "observedTimeUnixNano", "observed_time_unix_nano", Content::Fixed64),
    field(12, "eventName", "event_name", Content::Text),
];

// === what all have ===

const RESOURCE: &[FieldSchema] = &[
    field(1, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(2, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
    field(3, "entityRefs", "entity_refs", Content::Messages(Message::EntityRef)),
];

const ENTITY_REF: &[FieldSchema] = &[
    field(1, "schemaUrl", "schema_url", Content::Text),
    field(2, "type", "type", Content::Text),
    field(3, "idKeys", "id_keys", Content::Texts),
    field(4, "descriptionKeys", "description_keys", Content::Texts),
];

const SCOPE: &[FieldSchema] = &[
    field(1, "name", "name", Content::Text),
    field(2, "version", "version", Content::Text),
    field(3, "attributes", "attributes", Content::Messages(Message::KeyValue)),
    field(4, "droppedAttributesCount", "dropped_attributes_count", Content::Uint32),
];

/// Number 3 (`key_strindex`) belongs to profiles and is kept as an unknown field.
const KEY_VALUE: &[FieldSchema] =
    &[field(1, "key", "key", Content::Text), field(2, "value", "value", Content::Message(Message::AnyValue))];

/// Number 8 (`string_value_strindex`) belongs to profiles and is kept as an unknown field.
const ANY_VALUE: &[FieldSchema] = &[
    field(1, "stringValue", "string_value", Content::Text),
    field(2, "boolValue", "bool_value", Content::Bool),
    field(3, "intValue", "int_value", Content::Int64),
    field(4, "doubleValue", "double_value", Content::Double),
    field(5, "arrayValue", "array_value", Content::Message(Message::ArrayValue)),
    field(6, "kvlistValue", "kvlist_value", Content::Message(Message::KeyValueList)),
    field(7, "bytesValue", "bytes_value", Content::Base64),
];

const ARRAY_VALUE: &[FieldSchema] = &[field(1, "values", "values", Content::Messages(Message::AnyValue))];

const KEY_VALUE_LIST: &[FieldSchema] = &[field(1, "values", "values", Content::Messages(Message::KeyValue))];
