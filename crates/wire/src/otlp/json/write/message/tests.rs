use expect_test::expect;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use proptest::prelude::*;
use prost::Message as _;

use crate::otlp::json::{read_payload, write_request};
use crate::otlp::payload::{Payload, Signal};
use crate::otlp::testing::signals::{logs_request, metrics_request};
use crate::otlp::validate::{Limits, Rejected, validate_payload};

fn written(payload: &Payload) -> String {
    let mut out = Vec::new();
    write_request(payload, &mut out).expect("memory");
    String::from_utf8(out).expect("JSON is text")
}

fn through_json(signal: Signal, bytes: Vec<u8>) -> Payload {
    let (payload, _) = validate_payload(signal, bytes.into(), &Limits::default()).expect("valid");
    let json = written(&payload);
    serde_json::from_str::<serde_json::Value>(&json).expect("independent parser agrees that it is JSON");
    let (payload, rejected) = read_payload(signal, json.as_bytes(), &Limits::default()).expect("our own JSON");
    assert_eq!(rejected, Rejected::default());
    payload
}

proptest! {
    #[test]
    fn json_round_trip(metrics in metrics_request(), logs in logs_request()) {
        let payload = through_json(Signal::Metrics, metrics.encode_to_vec());
        prop_assert_eq!(ExportMetricsServiceRequest::decode(payload.bytes().as_ref()).expect("protobuf"), metrics);
        let payload = through_json(Signal::Logs, logs.encode_to_vec());
        prop_assert_eq!(ExportLogsServiceRequest::decode(payload.bytes().as_ref()).expect("protobuf"), logs);
    }
}

/// The example of opentelemetry-proto for metrics, shortened, with both spellings, and numbers as text and as numbers.
#[test]
fn lenient_input_becomes_exact_output() {
    let metrics = r#"{"resource_metrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
        "scopeMetrics":[{"scope":{"name":"lib"},"metrics":[
          {"name":"a","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","isMonotonic":true,
            "dataPoints":[{"asInt":7,"timeUnixNano":"1544712660300000000"},{"as_double":0.5}]}},
          {"name":"b","histogram":{"aggregation_temporality":1,"dataPoints":[
            {"count":"2","sum":2,"bucketCounts":[1,"1"],"explicitBounds":[1],"min":0,
             "exemplars":[{"asDouble":3,"traceId":"01010101010101010101010101010101","unknown":[{}]}]}]}},
          {"name":"c","exponentialHistogram":{"dataPoints":[
            {"scale":-2,"zeroCount":3,"positive":{"offset":1,"bucketCounts":["5"]},"zeroThreshold":"Infinity"}]}},
          {"name":"d","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":1}]}]}}]}]}]}"#;
    let (payload, rejected) = read_payload(Signal::Metrics, metrics.as_bytes(), &Limits::default()).expect("readable");
    assert_eq!((payload.items(), rejected), (5, Rejected::default()));
    expect![[r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[{"name":"a","sum":{"dataPoints":[{"timeUnixNano":"1544712660300000000","asInt":"7"},{"asDouble":0.5}],"aggregationTemporality":2,"isMonotonic":true}},{"name":"b","histogram":{"dataPoints":[{"count":"2","sum":2.0,"bucketCounts":["1","1"],"explicitBounds":[1.0],"exemplars":[{"asDouble":3.0,"traceId":"01010101010101010101010101010101"}],"min":0.0}],"aggregationTemporality":1}},{"name":"c","exponentialHistogram":{"dataPoints":[{"scale":-2,"zeroCount":"3","positive":{"offset":1,"bucketCounts":["5"]},"zeroThreshold":"Infinity"}]}},{"name":"d","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5,"value":1.0}]}]}}]}]}]}"#]]
    .assert_eq(&written(&payload));
}

#[test]
fn bad_items_in_json_are_left_out() {
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
        {"body":{"stringValue":"first"},"severityNumber":"SEVERITY_NUMBER_WARN"},
        {"body":"bare"},{"timeUnixNano":-1},{"traceId":"0101"},{"eventName":"last"}]}]}]}"#;
    let (payload, rejected) = read_payload(Signal::Logs, logs.as_bytes(), &Limits::default()).expect("readable");
    assert_eq!(
        rejected,
        Rejected { items: 3, first_reason: "log record 1: AnyValue is a string instead of an object".into() }
    );
    expect![[r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":13,"body":{"stringValue":"first"}},{"eventName":"last"}]}]}]}"#]]
    .assert_eq(&written(&payload));
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"a","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"one"}]}},
        {"name":7,"gauge":{"dataPoints":[{},{}]}},
        {"name":"c","histogram":{"dataPoints":[{"bucketCounts":[-1]}]}}]}]}]}"#;
    let (payload, rejected) = read_payload(Signal::Metrics, metrics.as_bytes(), &Limits::default()).expect("readable");
    assert_eq!((payload.items(), rejected.items), (1, 4));
    assert_eq!(rejected.first_reason, "data point 1: asInt: not an integer");
    for (signal, body) in [(Signal::Logs, "[]"), (Signal::Metrics, r#"{"resourceMetrics":7}"#), (Signal::Logs, "{")] {
        assert!(read_payload(signal, body.as_bytes(), &Limits::default()).is_err(), "{body}");
    }
}
