use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use prost::Message as _;

use super::*;

fn logs(records: usize) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(); records], ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }.encode_to_vec()
}

fn metrics(points: usize) -> Vec<u8> {
    let numbers = vec![NumberDataPoint::default(); points];
    let metric = |data| Metric { data: Some(data), ..Default::default() };
    let metrics = vec![
        metric(Data::Gauge(Gauge { data_points: numbers.clone() })),
        metric(Data::Sum(Sum { data_points: numbers, ..Default::default() })),
        metric(Data::Histogram(Histogram { data_points: vec![HistogramDataPoint::default()], ..Default::default() })),
    ];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

#[test]
fn items_are_counted_and_stay_countable_when_concatenated() {
    for (signal, make, expected) in
        [(Signal::Metrics, metrics as fn(usize) -> Vec<u8>, [7, 11, 18]), (Signal::Logs, logs, [3, 5, 8])]
    {
        let payload = |n| Payload::from_trusted(signal, make(n).into()).expect("sound");
        let (first, second) = (payload(3), payload(5));
        let whole = Payload::concatenate(&[&first, &second]).expect("short");
        assert_eq!([first.items(), second.items(), whole.items()], expected);
        let read_again = Payload::from_trusted(signal, whole.bytes().clone()).expect("sound");
        assert_eq!((read_again.signal(), read_again.items()), (signal, whole.items()));
    }
}

#[test]
fn bytes_that_are_no_request_are_said_to_be() {
    let cut = Bytes::from(logs(2)).slice(..7);
    assert!(Payload::from_trusted(Signal::Logs, cut).is_err());
}

#[test]
fn names_are_the_signals_of_pipelines() {
    for signal in Signal::ALL {
        assert_eq!(Signal::from_name(signal.name()), Some(signal));
    }
    assert_eq!(Signal::from_name("profiles"), None);
}
