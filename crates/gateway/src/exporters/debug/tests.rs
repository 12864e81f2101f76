use std::sync::Mutex;

use expect_test::{Expect, expect};
use rootspan_testkit::fixture;
use rootspan_wire::otlp::json::read_payload;
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::Limits;

use super::*;
use crate::budget::Budget;

/// A trace with everything that is printed.
const TRACE: &str = "
shop GET 0ms 20ms server id=00000000000000aa http.route=/a retries=3 event=cached@5ms resource.host.name=h1
  shop SELECT 5ms 10ms client id=00000000000000bb error=gone link=00000000000000aa
";

#[track_caller]
fn check(verbosity: Verbosity, expected: &Expect) {
    expected.assert_eq(&print_traces("debug", verbosity, &fixture::batch(TRACE)));
}

#[test]
fn basic_is_a_line_per_batch() {
    check(
        Verbosity::Basic,
        &expect![[r#"
            debug: traces, resource spans: 2, spans: 2
        "#]],
    );
}

#[test]
fn normal_is_a_line_per_span() {
    check(
        Verbosity::Normal,
        &expect![[r#"
        debug: traces, resource spans: 2, spans: 2
        shop GET 66697874757265207472616365206964 00000000000000aa server unset 20ms http.route=/a retries=3
        shop SELECT 66697874757265207472616365206964 00000000000000bb client error 10ms
    "#]],
    );
}

#[test]
fn detailed_is_everything() {
    check(
        Verbosity::Detailed,
        &expect![[r#"
        debug: traces, resource spans: 2, spans: 2
        ResourceSpans #0
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
            -> host.name: Str(h1)
        ScopeSpans #0
        InstrumentationScope fixture
        Span #0
            Trace ID       : 66697874757265207472616365206964
            Parent ID      :
            ID             : 00000000000000aa
            Name           : GET
            Kind           : server
            Start time     : 1700000000000000000
            End time       : 1700000000020000000
            Status code    : unset
            Status message :
        Attributes:
            -> http.route: Str(/a)
            -> retries: Int(3)
        SpanEvent #0
            -> Name: cached
            -> Timestamp: 1700000000005000000
        ResourceSpans #1
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
        ScopeSpans #1
        InstrumentationScope fixture
        Span #1
            Trace ID       : 66697874757265207472616365206964
            Parent ID      : 00000000000000aa
            ID             : 00000000000000bb
            Name           : SELECT
            Kind           : client
            Start time     : 1700000000005000000
            End time       : 1700000000015000000
            Status code    : error
            Status message : gone
        SpanLink #0
            -> Trace ID: 66697874757265207472616365206964
            -> ID: 00000000000000aa
    "#]],
    );
}

#[test]
fn the_older_level_stands_for_a_verbosity() {
    let config = |verbosity, loglevel| DebugConfig { verbosity, loglevel };
    assert_eq!(config(None, None).verbosity(), Verbosity::Basic);
    assert_eq!(config(None, Some(LegacyLevel(Verbosity::Detailed))).verbosity(), Verbosity::Detailed);
    assert_eq!(config(Some(Verbosity::Normal), Some(LegacyLevel(Verbosity::Detailed))).verbosity(), Verbosity::Normal);
}

#[tokio::test]
async fn a_batch_is_acknowledged_when_it_is_printed() {
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&printed);
    let output: Output = Arc::new(move |text: &str| sink.lock().expect("nobody panics").push_str(text));
    let exporter = DebugExporter::new("debug".to_owned(), &DebugConfig { verbosity: None, loglevel: None }, output);
    let traces = fixture::batch(TRACE);
    let budget = Budget::new(1 << 20);
    let reservation = budget.try_reserve(traces.bytes().len() as u64).expect("fits");
    assert_eq!(exporter.export(Batch::new(traces, reservation)).await, Exported::DELIVERED);
    assert_eq!(*printed.lock().expect("nobody panics"), "debug: traces, resource spans: 2, spans: 2\n");
    assert_eq!(budget.used(), 0);
}

fn json(signal: Signal, text: &str) -> Payload {
    let (payload, rejected) = read_payload(signal, text.as_bytes(), &Limits::default()).expect("OTLP JSON");
    assert_eq!(rejected.items, 0, "{}", rejected.first_reason);
    payload
}

/// The metrics in one scope of the service `shop`.
fn metrics(metrics: &str) -> Payload {
    let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}"#;
    let scope = r#""scope":{"name":"lib","version":"1"}"#;
    let text = format!(r#"{{"resourceMetrics":[{{{resource},"scopeMetrics":[{{{scope},"metrics":[{metrics}]}}]}}]}}"#);
    json(Signal::Metrics, &text)
}

const NUMBERS: &str = r#"
    {"name":"load","unit":"1","gauge":{"dataPoints":[
      {"asDouble":0.5,"timeUnixNano":"7","attributes":[{"key":"core","value":{"intValue":"2"}}]}]}},
    {"name":"requests","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"-7"}]}},
    {"name":"duration","histogram":{"aggregationTemporality":1,"dataPoints":[
      {"count":"3","sum":2.5,"min":0.5,"max":1,"bucketCounts":["1","2"],"explicitBounds":[0.7],
       "exemplars":[{"asDouble":1,"traceId":"01010101010101010101010101010101","spanId":"0202020202020202"}]}]}}"#;

const DISTRIBUTIONS: &str = r#"
    {"name":"size","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[
      {"count":"6","scale":0,"zeroCount":"1","positive":{"offset":1,"bucketCounts":["2","3"]},
       "negative":{"bucketCounts":["4"]}}]}},
    {"name":"old","summary":{"dataPoints":[{"count":"2","sum":3,"quantileValues":[{"quantile":0.5,"value":1}]}]}}"#;

#[test]
fn normal_is_a_line_per_data_point() {
    let payload = metrics(&format!("{NUMBERS},{DISTRIBUTIONS}"));
    expect![[r#"
        debug: metrics, resource metrics: 1, metrics: 5, data points: 5
        shop load{core=2} 0.5
        shop requests -7
        shop duration count=3 sum=2.5 min=0.5 max=1
        shop size count=6
        shop old count=2 sum=3 q0.5=1
    "#]]
    .assert_eq(&print("debug", Verbosity::Normal, &payload));
}

#[test]
fn numbers_and_histograms_are_printed() {
    expect![[r#"
        debug: metrics, resource metrics: 1, metrics: 3, data points: 3
        ResourceMetrics #0
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
        ScopeMetrics #0
        ScopeMetrics SchemaURL:
        InstrumentationScope lib 1
        Metric #0
        Descriptor:
            -> Name: load
            -> Description:
            -> Unit: 1
            -> DataType: Gauge
        NumberDataPoints #0
        Data point attributes:
            -> core: Int(2)
        StartTimestamp: 0
        Timestamp: 7
        Value: 0.5
        Metric #1
        Descriptor:
            -> Name: requests
            -> Description:
            -> Unit:
            -> DataType: Sum
            -> IsMonotonic: true
            -> AggregationTemporality: Cumulative
        NumberDataPoints #0
        StartTimestamp: 0
        Timestamp: 0
        Value: -7
        Metric #2
        Descriptor:
            -> Name: duration
            -> Description:
            -> Unit:
            -> DataType: Histogram
            -> AggregationTemporality: Delta
        HistogramDataPoints #0
        StartTimestamp: 0
        Timestamp: 0
        Count: 3
        Sum: 2.5
        Min: 0.5
        Max: 1
        ExplicitBounds #0: 0.7
        Buckets #0, Count: 1
        Buckets #1, Count: 2
        Exemplars:
        Exemplar #0
            -> Trace ID: 01010101010101010101010101010101
            -> Span ID: 0202020202020202
            -> Timestamp: 0
            -> Value: 1
    "#]]
    .assert_eq(&print("debug", Verbosity::Detailed, &metrics(NUMBERS)));
}

#[test]
fn exponential_histograms_and_summaries_are_printed() {
    expect![[r#"
        debug: metrics, resource metrics: 1, metrics: 2, data points: 2
        ResourceMetrics #0
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
        ScopeMetrics #0
        ScopeMetrics SchemaURL:
        InstrumentationScope lib 1
        Metric #0
        Descriptor:
            -> Name: size
            -> Description:
            -> Unit:
            -> DataType: ExponentialHistogram
            -> AggregationTemporality: Cumulative
        ExponentialHistogramDataPoints #0
        StartTimestamp: 0
        Timestamp: 0
        Count: 6
        Bucket [-2, -1), Count: 4
        Bucket [0, 0], Count: 1
        Bucket (2, 4], Count: 2
        Bucket (4, 8], Count: 3
        Metric #1
        Descriptor:
            -> Name: old
            -> Description:
            -> Unit:
            -> DataType: Summary
        SummaryDataPoints #0
        StartTimestamp: 0
        Timestamp: 0
        Count: 2
        Sum: 3
        QuantileValue #0: Quantile 0.5, Value 1
    "#]]
    .assert_eq(&print("debug", Verbosity::Detailed, &metrics(DISTRIBUTIONS)));
}

#[test]
fn logs_are_printed() {
    let payload = json(
        Signal::Logs,
        r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeLogs":[{"logRecords":[
          {"timeUnixNano":"7","severityNumber":10,"body":{"stringValue":"it began"},"eventName":"begin",
           "traceId":"01010101010101010101010101010101","spanId":"0202020202020202","flags":1,
           "attributes":[{"key":"k","value":{"arrayValue":{"values":[{"boolValue":true}]}}}]},
          {"severityText":"WARN"}]}]}]}"#,
    );
    expect![[r#"
        debug: logs, resource logs: 1, log records: 2
    "#]]
    .assert_eq(&print("debug", Verbosity::Basic, &payload));
    expect![[r#"
        debug: logs, resource logs: 1, log records: 2
        shop Info2 it began k=[true]
        shop WARN
    "#]]
    .assert_eq(&print("debug", Verbosity::Normal, &payload));
    expect![[r#"
        debug: logs, resource logs: 1, log records: 2
        ResourceLogs #0
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
        ScopeLogs #0
        ScopeLogs SchemaURL:
        LogRecord #0
        ObservedTimestamp: 0
        Timestamp: 7
        SeverityText:
        SeverityNumber: Info2(10)
        EventName: begin
        Body: Str(it began)
        Attributes:
            -> k: Slice([true])
        Trace ID: 01010101010101010101010101010101
        Span ID: 0202020202020202
        Flags: 1
        LogRecord #1
        ObservedTimestamp: 0
        Timestamp: 0
        SeverityText: WARN
        SeverityNumber: Unspecified(0)
        Body: Empty()
        Trace ID:
        Span ID:
        Flags: 0
    "#]]
    .assert_eq(&print("debug", Verbosity::Detailed, &payload));
}
