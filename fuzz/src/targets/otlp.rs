//! OTLP: validation, views, edits, JSON, of all signals.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue as ProtoAny, ArrayValue, InstrumentationScope, KeyValue as ProtoKeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    exponential_histogram_data_point, metric, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use prost::Message as _;
use rootspan_testkit::generate::{Options, generate};
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::edit::{AttributeEdits, Edit, Edited, Fate, SpanEdits, edit};
use rootspan_wire::otlp::json::{read_payload, write_request};
use rootspan_wire::otlp::payload::{Payload, Signal};
use rootspan_wire::otlp::validate::{Limits, validate_payload};
use rootspan_wire::otlp::view::{AnyValue, KeyValue, Scope};

use crate::Target;

const PROTOBUF: &[&[u8]] = &[
    b"\x0a\x00",
    b"\x12\x00",
    b"\x0a\x80\x80\x80\x80\x08",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0b",
    b"\x0c",
    b"\x2a\x02\x2a\x00",
    b"service.name",
    b"\xc3\x28",
];

const JSON_WORDS: &[&[u8]] = &[
    b"\"resourceSpans\":",
    b"\"resource_spans\":",
    b"\"spans\":[",
    b"\"traceId\":\"",
    b"\"intValue\":\"",
    b"\"kvlistValue\":{\"values\":[",
    b"\"arrayValue\":{\"values\":[",
    b"null",
    b"true",
    b"1e400",
    b"-0",
    b"\\u0000",
    b"\\ud800",
    b"NaN",
    b"[[[[[[[[",
    b"{\"a\":",
];

pub(super) const TRACES: Target = Target {
    name: "otlp_traces",
    about: "OTLP protobuf of spans: validation, views, edits, JSON",
    corpus: || traces().map(|batch| batch.bytes().to_vec()).collect(),
    dictionary: PROTOBUF,
    usual_inputs: 4_500,
    body: |input| protobuf(Signal::Traces, input),
};

pub(super) const METRICS: Target = Target {
    name: "otlp_metrics",
    about: "OTLP protobuf of data points: validation, JSON",
    corpus: || vec![metrics().encode_to_vec()],
    dictionary: PROTOBUF,
    usual_inputs: 9_000,
    body: |input| protobuf(Signal::Metrics, input),
};

pub(super) const LOGS: Target = Target {
    name: "otlp_logs",
    about: "OTLP protobuf of log records: validation, JSON",
    corpus: || vec![logs().encode_to_vec()],
    dictionary: PROTOBUF,
    usual_inputs: 9_000,
    body: |input| protobuf(Signal::Logs, input),
};

pub(super) const JSON: Target = Target {
    name: "otlp_json",
    about: "OTLP JSON of all signals",
    corpus: json_corpus,
    dictionary: JSON_WORDS,
    usual_inputs: 4_500,
    body: |input| {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            if let Ok((payload, _)) = read_payload(signal, input, &Limits::default()) {
                examine(&payload);
            }
        }
    },
};

fn traces() -> impl Iterator<Item = TraceBatch> {
    generate(Options { spans: 60, spans_per_request: 4, ..Options::default() })
}

fn json_corpus() -> Vec<Vec<u8>> {
    let json = |payload: Payload| {
        let mut json = Vec::new();
        write_request(&payload, &mut json).expect("memory");
        json
    };
    let of = |signal, bytes: Vec<u8>| {
        let (payload, _) = validate_payload(signal, bytes.into(), &Limits::default()).expect("the corpus is sound");
        json(payload)
    };
    let mut corpus: Vec<_> = traces().map(|batch| json(Payload::Traces(batch))).collect();
    corpus.push(of(Signal::Metrics, metrics().encode_to_vec()));
    corpus.push(of(Signal::Logs, logs().encode_to_vec()));
    corpus
}

fn protobuf(signal: Signal, input: &[u8]) {
    let limits = Limits::default();
    if let Ok((payload, rejected)) = validate_payload(signal, Bytes::copy_from_slice(input), &limits) {
        assert!(rejected.items > 0 || !rejected.first_reason.is_empty() || rejected == Default::default());
        examine(&payload);
    }
}

/// What was accepted is accepted again as it is, can be read in every way, and survives every round trip.
fn examine(payload: &Payload) {
    let (signal, bytes, items) = (payload.signal(), payload.bytes(), payload.items());
    let (again, rejected) = validate_payload(signal, bytes.clone(), &Limits::default()).expect("accepted before");
    assert_eq!((rejected.items, again.items(), again.bytes()), (0, items, bytes), "validation is idempotent");

    let trusted = Payload::from_trusted(signal, bytes.clone()).expect("accepted before");
    assert_eq!(trusted.items(), items);
    let twice = Payload::concatenate(&[payload, payload]).expect("short");
    assert_eq!(twice.items(), 2 * items);

    let mut json = Vec::new();
    write_request(payload, &mut json).expect("memory");
    let (from_json, rejected) = read_payload(signal, &json, &Limits::default()).expect("our own JSON");
    assert_eq!((rejected.items, from_json.items()), (0, items), "{}", rejected.first_reason);
    let mut json_again = Vec::new();
    write_request(&from_json, &mut json_again).expect("memory");
    assert!(json == json_again, "JSON of JSON is the same:\n{}\n{}", text(&json), text(&json_again));

    if let Payload::Traces(batch) = payload {
        views(batch);
        edits(batch);
    }
}

fn text(json: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(json)
}

fn views(batch: &TraceBatch) {
    assert_eq!(batch.spans().count(), batch.span_count());
    for (index, found) in batch.spans().enumerate() {
        let span = &found.span;
        assert!(span.trace_id.is_valid() && span.span_id.is_valid());
        assert_eq!(batch.span(index).span.span_id, span.span_id, "the index and the iterator agree");
        attributes(found.resource.attributes());
        attributes(found.scope.attributes());
        attributes(span.attributes());
        span.events().for_each(|event| attributes(event.attributes()));
        span.links().for_each(|link| attributes(link.attributes()));
        let _ = (span.kind(), span.status(), span.duration_nanos(), span.is_root(), found.resource.service_name());
    }
    let from_tree: usize =
        batch.request().resource_spans().flat_map(|resource| resource.scope_spans()).map(|s| s.spans().count()).sum();
    assert_eq!(from_tree, batch.span_count(), "the tree has the same spans");
}

fn attributes<'a>(attributes: impl Iterator<Item = KeyValue<'a>>) {
    attributes.for_each(|attribute| value(attribute.value));
}

fn value(any: AnyValue<'_>) {
    match any {
        AnyValue::Array(array) => array.values().for_each(value),
        AnyValue::KeyValueList(list) => attributes(list.values()),
        _ => {}
    }
}

/// Edits that change nothing, and one that removes everything.
struct Nothing(Fate);

impl<'a> Edit<'a> for Nothing {
    fn resource(&mut self, _: &mut AttributeEdits<'a>) {}

    fn span(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, _: &mut SpanEdits<'a>) -> Fate {
        self.0
    }

    fn edits_items(&self) -> bool {
        true
    }

    fn item(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, _: &mut AttributeEdits<'a>) {}
}

/// A mark on every resource and span.
struct Mark;

impl<'a> Edit<'a> for Mark {
    fn resource(&mut self, resource: &mut AttributeEdits<'a>) {
        resource.set("fuzz.mark", "resource".into());
    }

    fn span(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, span: &mut SpanEdits<'a>) -> Fate {
        span.attributes.set("fuzz.mark", "span".into());
        Fate::Keep
    }

    fn edits_items(&self) -> bool {
        true
    }

    fn item(&mut self, _: &AttributeEdits<'a>, _: &Scope<'a>, item: &mut AttributeEdits<'a>) {
        item.set("fuzz.mark", "item".into());
    }
}

fn edits(batch: &TraceBatch) {
    let payload = Payload::from(batch.clone());
    assert_eq!(edit(&payload, Vec::new(), &mut Nothing(Fate::Keep)), Edited::default(), "nothing is written anew");
    let spans = batch.span_count() as u64;
    let gone = edit(&payload, Vec::new(), &mut Nothing(Fate::Filtered));
    assert_eq!(gone.filtered, spans);
    if spans == 0 {
        return;
    }
    let marked = edit(&payload, Vec::new(), &mut Mark).request.expect("it is changed");
    let limits = Limits { attributes: 5_000, ..Limits::default() };
    let (marked, rejected) = validate_payload(Signal::Traces, marked.into(), &limits).expect("an edit keeps it sound");
    assert_eq!((rejected.items, marked.items()), (0, batch.span_count()));
    let Payload::Traces(marked) = marked else { unreachable!("it is of traces") };
    for found in marked.spans() {
        let mark = |any: Option<AnyValue<'_>>| matches!(any, Some(AnyValue::String(_)));
        assert!(mark(found.span.attribute("fuzz.mark")) && mark(found.resource.attribute("fuzz.mark")));
    }
}

fn any(value: any_value::Value) -> Option<ProtoAny> {
    Some(ProtoAny { value: Some(value) })
}

fn key_value(key: &str, value: any_value::Value) -> ProtoKeyValue {
    ProtoKeyValue { key: key.to_owned(), value: any(value), ..ProtoKeyValue::default() }
}

fn mixed_attributes() -> Vec<ProtoKeyValue> {
    use any_value::Value;
    let nested =
        key_value("nested", Value::KvlistValue(KeyValueList { values: vec![key_value("n", Value::IntValue(-1))] }));
    let array = Value::ArrayValue(ArrayValue { values: any(Value::BoolValue(true)).into_iter().collect() });
    vec![
        key_value("text", Value::StringValue("ä\u{0}\"\\".to_owned())),
        key_value("double", Value::DoubleValue(-0.0)),
        key_value("bytes", Value::BytesValue(vec![0, 255])),
        key_value("array", array),
        nested,
    ]
}

fn resource() -> Option<ProtoResource> {
    Some(ProtoResource { attributes: mixed_attributes(), ..ProtoResource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "fuzz".to_owned(),
        attributes: mixed_attributes(),
        ..InstrumentationScope::default()
    })
}

fn logs() -> ExportLogsServiceRequest {
    let record = |number: u64| LogRecord {
        time_unix_nano: number,
        observed_time_unix_nano: u64::MAX,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: any(any_value::Value::StringValue("it is so".to_owned())),
        attributes: mixed_attributes(),
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        event_name: "event".to_owned(),
        ..LogRecord::default()
    };
    let log_records = (0..4).map(record).collect();
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, schema_url: "https://schema".to_owned() }];
    let resource_logs = vec![ResourceLogs { resource: resource(), scope_logs, schema_url: String::new() }];
    ExportLogsServiceRequest { resource_logs }
}

fn metrics() -> ExportMetricsServiceRequest {
    let metric = |name: &str, data| Metric {
        name: name.to_owned(),
        unit: "By".to_owned(),
        description: "bytes".to_owned(),
        metadata: mixed_attributes(),
        data: Some(data),
    };
    let number = |value| NumberDataPoint {
        attributes: mixed_attributes(),
        time_unix_nano: 5,
        value,
        ..NumberDataPoint::default()
    };
    let as_int = number(Some(number_data_point::Value::AsInt(-3)));
    let as_double = number(Some(number_data_point::Value::AsDouble(f64::MIN_POSITIVE)));
    let exemplar = Exemplar {
        filtered_attributes: mixed_attributes(),
        trace_id: vec![1; 16],
        value: Some(exemplar::Value::AsDouble(3.0)),
        ..Exemplar::default()
    };
    let histogram = HistogramDataPoint {
        count: 3,
        sum: Some(1.5),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5],
        min: Some(0.1),
        exemplars: vec![exemplar],
        ..HistogramDataPoint::default()
    };
    let buckets = exponential_histogram_data_point::Buckets { offset: -2, bucket_counts: vec![1, 0, 300] };
    let exponential = ExponentialHistogramDataPoint {
        count: 301,
        scale: -1,
        zero_count: 1,
        positive: Some(buckets.clone()),
        negative: Some(buckets),
        ..ExponentialHistogramDataPoint::default()
    };
    let quantile = summary_data_point::ValueAtQuantile { quantile: 0.99, value: 7.0 };
    let summary =
        SummaryDataPoint { count: 9, sum: 3.0, quantile_values: vec![quantile], ..SummaryDataPoint::default() };
    let metrics = vec![
        metric("gauge", metric::Data::Gauge(Gauge { data_points: vec![as_int.clone(), as_double] })),
        metric(
            "sum",
            metric::Data::Sum(Sum { data_points: vec![as_int], aggregation_temporality: 2, is_monotonic: true }),
        ),
        metric(
            "histogram",
            metric::Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 }),
        ),
        metric(
            "exponential",
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: 1,
            }),
        ),
        metric("summary", metric::Data::Summary(Summary { data_points: vec![summary] })),
    ];
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, schema_url: String::new() }];
    let resource_metrics = vec![ResourceMetrics { resource: resource(), scope_metrics, schema_url: "u".to_owned() }];
    ExportMetricsServiceRequest { resource_metrics }
}
