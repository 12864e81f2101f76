use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::otlp::testing::signals::{logs_request, metrics_request};
use crate::otlp::write::{put_bytes, put_message, put_varint};

fn check(signal: Signal, bytes: Vec<u8>) -> (Payload, Rejected) {
    validate_payload(signal, bytes.into(), &Limits::default()).expect("protobuf")
}

fn points(request: &ExportMetricsServiceRequest) -> usize {
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    let points = metrics.filter_map(|metric| metric.data.as_ref()).map(|data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    });
    points.sum()
}

fn records(request: &ExportLogsServiceRequest) -> usize {
    request.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum()
}

proptest! {
    #[test]
    fn valid_requests_keep_their_bytes(metrics in metrics_request(), logs in logs_request()) {
        for (signal, bytes, items) in [
            (Signal::Metrics, metrics.encode_to_vec(), points(&metrics)),
            (Signal::Logs, logs.encode_to_vec(), records(&logs)),
        ] {
            let (payload, rejected) = check(signal, bytes.clone());
            prop_assert_eq!(rejected, Rejected::default());
            prop_assert_eq!(payload.bytes(), &bytes);
            prop_assert_eq!((payload.signal(), payload.items()), (signal, items));
            let trusted = Payload::from_trusted(signal, bytes.into()).expect("accepted before");
            prop_assert_eq!(trusted.items(), items);
        }
    }

    /// What prost takes we take, but for what we reject; what we take prost takes, and counts the same.
    #[test]
    fn changed_bytes_are_judged_as_prost_judges(
        metrics in metrics_request(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut: bool,
    ) {
        let mut bytes = metrics.encode_to_vec();
        if !bytes.is_empty() {
            let position = position.index(bytes.len());
            if cut { bytes.truncate(position) } else { bytes[position] = byte }
        }
        if let Ok((payload, _)) = validate_payload(Signal::Metrics, bytes.into(), &Limits::default()) {
            let decoded = ExportMetricsServiceRequest::decode(payload.bytes().as_ref()).expect("we are no laxer");
            prop_assert_eq!(payload.items(), points(&decoded));
            let (again, rejected) = check(Signal::Metrics, payload.bytes().to_vec());
            prop_assert_eq!((again.bytes(), rejected), (payload.bytes(), Rejected::default()));
        }
    }
}

fn logs_of(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }.encode_to_vec()
}

fn metrics_of(metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn nested(depth: usize) -> AnyValue {
    (0..depth).fold(AnyValue::default(), |inner, _| AnyValue {
        value: Some(any_value::Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
            values: vec![inner],
        })),
    })
}

#[test]
fn a_bad_log_record_is_left_out_and_said() {
    let good = LogRecord { severity_text: "good".into(), ..Default::default() };
    for (bad, reason) in [
        (LogRecord { trace_id: vec![1; 15], ..good.clone() }, "log record 1: trace_id has 15 bytes instead of 16"),
        (LogRecord { span_id: vec![1; 9], ..good.clone() }, "log record 1: span_id has 9 bytes instead of 8"),
        (
            LogRecord { body: Some(nested(65)), ..good.clone() },
            "log record 1: attribute value is nested more than 64 levels deep",
        ),
        (
            LogRecord { attributes: vec![KeyValue::default(); 4097], ..good.clone() },
            "log record 1: more than 4096 attributes",
        ),
    ] {
        let (payload, rejected) = check(Signal::Logs, logs_of(vec![good.clone(), bad, good.clone()]));
        assert_eq!(rejected, Rejected { items: 1, first_reason: reason.into() });
        assert_eq!(payload.items(), 2);
        assert_eq!(payload.bytes(), &logs_of(vec![good.clone(), good.clone()]));
    }
}

#[test]
fn a_bad_data_point_goes_alone_and_a_bad_metric_with_its_points() {
    let point = |flags| NumberDataPoint { flags, ..Default::default() };
    let gauge = |name: &str, data_points| Metric {
        name: name.into(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Default::default()
    };
    let exemplar = Exemplar { span_id: vec![1; 3], ..Default::default() };
    let bad_point = NumberDataPoint { exemplars: vec![exemplar], ..point(2) };
    let (payload, rejected) = check(Signal::Metrics, metrics_of(vec![gauge("a", vec![point(1), bad_point, point(3)])]));
    let reason = "data point 1: span_id has 3 bytes instead of 8";
    assert_eq!(rejected, Rejected { items: 1, first_reason: reason.into() });
    assert_eq!(payload.bytes(), &metrics_of(vec![gauge("a", vec![point(1), point(3)])]));

    let mut request = metrics_of(vec![gauge("a", vec![point(1)]), gauge("bad!", vec![point(2), point(3)])]);
    let position = request.windows(4).position(|window| window == b"bad!").expect("it is there");
    request[position + 3] = 0xff;
    let (payload, rejected) = check(Signal::Metrics, request);
    assert_eq!(rejected, Rejected { items: 2, first_reason: "Metric: name is not valid UTF-8".into() });
    assert_eq!(payload.bytes(), &metrics_of(vec![gauge("a", vec![point(1)])]));
}

#[test]
fn parts_of_one_message_are_merged_and_the_last_of_a_union_counts() {
    let point = |flags| NumberDataPoint { flags, ..Default::default() };
    let sum = Sum { data_points: vec![point(1)], is_monotonic: true, ..Default::default() };
    let mut metric = Vec::new();
    put_bytes(&mut metric, 5, &Gauge { data_points: vec![point(7); 3] }.encode_to_vec());
    put_bytes(&mut metric, 7, &sum.encode_to_vec());
    put_bytes(&mut metric, 7, &Sum { data_points: vec![point(2)], ..Default::default() }.encode_to_vec());
    let mut request = Vec::new();
    put_message(&mut request, 1, |out| put_message(out, 2, |out| put_bytes(out, 2, &metric)));
    let (payload, rejected) = check(Signal::Metrics, request);
    assert_eq!((payload.items(), rejected.items), (2, 0));
    let merged =
        Metric { data: Some(Data::Sum(Sum { data_points: vec![point(1), point(2)], ..sum })), ..Default::default() };
    let decode = |bytes: &[u8]| ExportMetricsServiceRequest::decode(bytes).expect("protobuf");
    assert_eq!(decode(payload.bytes()), decode(&metrics_of(vec![merged])));
}

#[test]
fn what_is_no_request_is_refused() {
    let refused = |signal, bytes: &[u8]| {
        let error = validate_payload(signal, Bytes::copy_from_slice(bytes), &Limits::default());
        error.expect_err("no request").to_string()
    };
    assert_eq!(refused(Signal::Logs, &[0x0a]), "not a valid OTLP request: message ends within a field at byte 1");
    let mut packed = Vec::new();
    // bucket_counts of a histogram's data point: seven bytes are no fixed64.
    put_message(&mut packed, 1, |out| {
        put_message(out, 2, |out| {
            put_message(out, 2, |out| put_message(out, 9, |out| put_message(out, 1, |out| put_bytes(out, 6, &[0; 7]))));
        });
    });
    assert_eq!(
        refused(Signal::Metrics, &packed),
        format!("not a valid OTLP request: field has another wire type than its schema at byte {}", packed.len())
    );
    let mut wrong = Vec::new();
    put_varint(&mut wrong, 1, 7);
    assert!(refused(Signal::Logs, &wrong).contains("another wire type"));
}

#[test]
fn there_are_not_more_items_than_the_limit() {
    let limits = Limits { spans: 2, ..Limits::default() };
    let request = logs_of(vec![LogRecord::default(); 5]);
    let (payload, rejected) = validate_payload(Signal::Logs, request.into(), &limits).expect("protobuf");
    assert_eq!((payload.items(), rejected.items), (2, 3));
    assert_eq!(rejected.first_reason, "log record 2: more than 2 items in one request");
}
