//! Metrics and logs beside traces: tonic in front and behind.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use prost::Message as _;
use rootspan_wire::otlp::payload::Signal;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Response, Status};

use super::forward::until;
use super::{Started, http, request, start, start_with};

/// An independent server for metrics and logs.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    pub(super) logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    rejects_points: i64,
}

#[tonic::async_trait]
impl MetricsService for Server {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().expect("sound").push(request.into_inner());
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points: self.rejects_points,
            error_message: "too many series".to_owned(),
        };
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success: (self.rejects_points > 0).then_some(partial),
        }))
    }
}

#[tonic::async_trait]
impl LogsService for Server {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().expect("sound").push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Server {
    pub(super) async fn start(&self) -> (String, crate::tasks::Task) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serve = tonic::transport::Server::builder()
            .add_service(MetricsServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip))
            .add_service(LogsServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip))
            .serve_with_incoming(incoming);
        (address, crate::tasks::start("tonic", async move { drop(serve.await) }))
    }
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

/// A gauge of `points` points, and a histogram of one.
fn metrics(points: usize) -> ExportMetricsServiceRequest {
    let point = |number: usize| NumberDataPoint {
        attributes: vec![pair("point", &number.to_string())],
        time_unix_nano: 7,
        ..Default::default()
    };
    let gauge = Data::Gauge(Gauge { data_points: (0..points).map(point).collect() });
    let histogram = Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint { bucket_counts: vec![1, 2], ..Default::default() }],
        aggregation_temporality: 2,
    });
    let metric = |name: &str, data| Metric { name: name.to_owned(), data: Some(data), ..Default::default() };
    let metrics = vec![metric("load", gauge), metric("duration", histogram)];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] }
}

fn logs(records: usize) -> ExportLogsServiceRequest {
    let record = |number: usize| LogRecord {
        severity_text: "INFO".to_owned(),
        attributes: vec![pair("record", &number.to_string())],
        ..Default::default()
    };
    let log_records = (0..records).map(record).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }
}

async fn send_metrics(
    gateway: &Started,
    request: ExportMetricsServiceRequest,
) -> Result<ExportMetricsServiceResponse, Status> {
    let address = format!("http://{}", gateway.address("otlp", "grpc"));
    let mut client = MetricsServiceClient::connect(address).await.expect("the gateway listens");
    client.export(request).await.map(Response::into_inner)
}

async fn send_logs(gateway: &Started, request: ExportLogsServiceRequest) -> Result<ExportLogsServiceResponse, Status> {
    let address = format!("http://{}", gateway.address("otlp", "grpc"));
    let mut client = LogsServiceClient::connect(address).await.expect("the gateway listens");
    client.export(request).await.map(Response::into_inner)
}

/// One receiver for everything, one exporter for metrics and logs.
fn config(exporter: &str) -> String {
    format!(
        "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}, http: {{endpoint: '127.0.0.1:0'}}}}}}
processors:
  memory_limiter: {{limit_mib: 100, check_interval: 1s}}
  batch: {{timeout: 10ms}}
  resource: {{attributes: [{{key: region, action: insert, value: eu}}]}}
  attributes: {{include: {{match_type: strict, attributes: [{{key: record}}]}}, actions: [{{key: seen, action: insert, value: 'yes'}}]}}
  attributes/points: {{actions: [{{key: point, action: hash}}, {{key: seen, action: insert, value: 'yes'}}]}}
exporters:
  debug:
  {exporter}
service:
  telemetry: {{metrics: {{address: '127.0.0.1:0'}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug]}}
    metrics: {{receivers: [otlp], processors: [memory_limiter, resource, attributes/points, batch], exporters: [back]}}
    logs: {{receivers: [otlp], processors: [memory_limiter, resource, attributes, batch], exporters: [back]}}
",
    )
    .replace("[back]", &format!("[{}]", exporter.split(':').next().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_goes_through_one_receiver_and_is_counted_by_itself() {
    let server = Server { rejects_points: 1, ..Server::default() };
    let (address, _task) = server.start().await;
    let gateway = start_with(&config(&format!("otlp: {{endpoint: '{address}', tls: {{insecure: true}}}}"))).await;
    super::forward::send(&gateway, request(&["a", "b"])).await.expect("it is accepted");
    assert_eq!(send_metrics(&gateway, metrics(3)).await.expect("accepted").partial_success, None);
    assert_eq!(send_logs(&gateway, logs(5)).await.expect("accepted").partial_success, None);
    until(&gateway, |ledger| ledger.in_flight() == 0).await;
    let address = gateway.address("metrics", "http");
    let own = http(address, "GET", "/metrics", &[], b"").await.text();
    let report = gateway.finish().await;
    let received: Vec<_> = report.ledger.receivers.iter().map(|r| (r.signal, r.accepted)).collect();
    assert_eq!(received, [(Signal::Traces, 2), (Signal::Metrics, 4), (Signal::Logs, 5)]);
    let delivered: Vec<_> =
        report.ledger.exporters.iter().map(|e| (e.id.as_str(), e.signal, e.delivered, e.dropped.total())).collect();
    let expected = [("debug", Signal::Traces, 2, 0), ("otlp", Signal::Metrics, 3, 1), ("otlp", Signal::Logs, 5, 0)];
    assert_eq!(delivered, expected);
    for line in [
        "otelcol_receiver_accepted_spans{receiver=\"otlp\"} 2",
        "otelcol_receiver_accepted_metric_points{receiver=\"otlp\"} 4",
        "otelcol_receiver_accepted_log_records{receiver=\"otlp\"} 5",
        "otelcol_exporter_sent_metric_points{exporter=\"otlp\"} 3",
        "otelcol_exporter_sent_log_records{exporter=\"otlp\"} 5",
    ] {
        assert!(own.contains(line), "{line} is not in\n{own}");
    }

    let mut expected = metrics(3);
    expected.resource_metrics[0].resource.get_or_insert_default().attributes.push(pair("region", "eu"));
    let mut arrived = server.metrics.lock().expect("sound").remove(0);
    let all = |request: &mut ExportMetricsServiceRequest| {
        let data = request.resource_metrics[0].scope_metrics[0].metrics[0].data.take();
        let Some(Data::Gauge(gauge)) = data else { panic!("it is a gauge: {data:?}") };
        let keys = |pairs: &[KeyValue]| pairs.iter().map(|pair| pair.key.clone()).collect::<Vec<_>>();
        gauge.data_points.iter().map(|point| keys(&point.attributes)).collect::<Vec<_>>()
    };
    assert_eq!(all(&mut arrived), vec![vec!["point".to_owned(), "seen".to_owned()]; 3]);
    drop(all(&mut expected));
    let Some(Data::Histogram(histogram)) = &mut expected.resource_metrics[0].scope_metrics[0].metrics[1].data else {
        panic!("it is a histogram")
    };
    histogram.data_points[0].attributes.push(pair("seen", "yes"));
    assert_eq!(arrived, expected);

    let mut expected = logs(5);
    expected.resource_logs[0].resource.get_or_insert_default().attributes.push(pair("region", "eu"));
    for record in &mut expected.resource_logs[0].scope_logs[0].log_records {
        record.attributes.push(pair("seen", "yes"));
    }
    assert_eq!(*server.logs.lock().expect("sound"), [expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_logs_pass_from_gateway_to_gateway_in_every_form() {
    let server = Server::default();
    let (address, _task) = server.start().await;
    let plain = "resource: {attributes: [{key: region, action: insert, value: eu}]}";
    let back = start_with(
        &config(&format!("otlp: {{endpoint: '{address}', tls: {{insecure: true}}}}"))
            .replace(plain, "resource: {attributes: [{key: absent, action: delete}]}"),
    )
    .await;
    let target = back.address("otlp", "http");
    for (compression, encoding) in [("none", "proto"), ("gzip", "json"), ("zstd", "json")] {
        let front = start_with(&config(&format!(
            "otlphttp: {{endpoint: 'http://{target}', compression: {compression}, encoding: {encoding}}}"
        )))
        .await;
        send_metrics(&front, metrics(2)).await.expect("they are accepted");
        send_logs(&front, logs(2)).await.expect("they are accepted");
        front.finish().await;
    }
    back.finish().await;
    let points = |request: &ExportMetricsServiceRequest| {
        let metrics = &request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
        metrics.clone().filter(|metric| matches!(metric.data, Some(Data::Histogram(_)))).count()
    };
    assert_eq!(server.metrics.lock().expect("sound").iter().map(points).sum::<usize>(), 3);
    let records = |request: &ExportLogsServiceRequest| {
        request.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum::<usize>()
    };
    assert_eq!(server.logs.lock().expect("sound").iter().map(records).sum::<usize>(), 6);
}

#[tokio::test]
async fn bad_items_are_left_out_and_the_sender_is_told() {
    let gateway = start_with(&config("debug/other:")).await;
    let mut request = logs(3);
    request.resource_logs[0].scope_logs[0].log_records[1].trace_id = vec![1; 5];
    let partial = send_logs(&gateway, request.clone()).await.expect("is accepted").partial_success;
    let partial = partial.expect("one was rejected");
    assert_eq!(partial.rejected_log_records, 1);
    assert_eq!(partial.error_message, "log record 1: trace_id has 5 bytes instead of 16");
    let address = gateway.address("otlp", "http");
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asInt":"x"},{"asInt":"1"}]}}]}]}]}"#;
    let answer = http(address, "POST", "/v1/metrics", &[("Content-Type", "application/json")], json).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"partialSuccess":{"rejectedDataPoints":"1","errorMessage":"data point 0: asInt: not an integer"}}"#)
    );
    let protobuf = [("Content-Type", "application/x-protobuf")];
    let answer = http(address, "POST", "/v1/logs", &protobuf, &request.encode_to_vec()).await;
    assert_eq!(answer.status, 200);
    let answer = http(address, "POST", "/v1/logs", &protobuf, b"\x0a\xff").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("not a valid OTLP request"), "{}", answer.text());
    let ledger = gateway.finish().await.ledger;
    let rejected: Vec<_> = ledger.receivers.iter().map(|account| (account.accepted, account.rejected)).collect();
    assert_eq!(rejected, [(0, 0), (1, 1), (4, 2)]);
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_not_served() {
    let gateway = start().await;
    let status = send_metrics(&gateway, metrics(1)).await.expect_err("there is no pipeline");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.message(), "no pipeline takes metrics from this receiver");
    let address = gateway.address("otlp", "http");
    let answer = http(address, "POST", "/v1/logs", &[("Content-Type", "application/json")], b"{}").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text().trim_end(), "/v1/logs is not served here: pipelines take traces at /v1/traces");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_fan_in_and_out_and_the_sender_hears_the_worst() {
    let server = Server::default();
    let (address, _task) = server.start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
    let nobody = closed.local_addr().expect("it is bound");
    drop(closed);
    let gateway = start_with(&format!(
        "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}
processors:
  resource: {{attributes: [{{key: way, action: insert, value: right}}]}}
  batch: {{timeout: 10ms}}
connectors: {{forward: , forward/dead: }}
exporters:
  otlp: {{endpoint: '{address}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}
  otlp/dead: {{endpoint: '{nobody}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}, retry_on_failure: {{enabled: false}}}}
  debug:
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [forward, debug]}}
    traces/behind: {{receivers: [forward], exporters: [debug]}}
    logs/one: {{receivers: [otlp], exporters: [forward]}}
    logs/two: {{receivers: [otlp], processors: [resource], exporters: [forward]}}
    logs/behind: {{receivers: [forward], exporters: [otlp]}}
    metrics: {{receivers: [otlp], exporters: [debug, forward/dead]}}
    metrics/dead: {{receivers: [forward/dead], exporters: [otlp/dead]}}
"
    ))
    .await;
    super::forward::send(&gateway, request(&["a"])).await.expect("both copies are printed");
    send_logs(&gateway, logs(2)).await.expect("both copies arrive");
    let status = send_metrics(&gateway, metrics(1)).await.expect_err("one copy does not arrive");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let ledger = gateway.finish().await.ledger;
    let pipelines: Vec<_> = ledger.pipelines.iter().map(|p| (p.id.as_str(), p.entered, p.out)).collect();
    assert_eq!(
        pipelines,
        [
            ("traces", 1, 1),
            ("traces/behind", 1, 1),
            ("logs/one", 2, 2),
            ("logs/two", 2, 2),
            ("logs/behind", 4, 4),
            ("metrics", 2, 2),
            ("metrics/dead", 2, 2)
        ]
    );
    let delivered: Vec<_> = ledger.exporters.iter().map(|e| (e.id.as_str(), e.signal, e.delivered)).collect();
    assert_eq!(
        delivered,
        [
            ("debug", Signal::Traces, 2),
            ("otlp", Signal::Logs, 4),
            ("debug", Signal::Metrics, 2),
            ("otlp/dead", Signal::Metrics, 0)
        ]
    );
    let arrived = server.logs.lock().expect("sound");
    let ways: usize = arrived.iter().flat_map(|r| &r.resource_logs).filter(|r| r.resource.is_some()).count();
    assert_eq!((arrived.len(), ways), (2, 1), "one copy went through the processor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_all_signals_is_written_by_one_and_read_by_another() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("all.json");
    let front = start_with(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters: {{file: {{path: '{}'}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [file]}}
    metrics: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp], exporters: [file]}}
",
        path.display()
    ))
    .await;
    super::forward::send(&front, request(&["a", "b"])).await.expect("it is written");
    send_metrics(&front, metrics(3)).await.expect("they are written");
    send_logs(&front, logs(2)).await.expect("they are written");
    front.finish().await;

    let server = Server::default();
    let (address, _task) = server.start().await;
    let back = start_with(&format!(
        "
receivers: {{otlpjsonfile: {{include: ['{}/*'], start_at: beginning, poll_interval: 5ms}}}}
exporters:
  debug:
  otlp: {{endpoint: '{address}', tls: {{insecure: true}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlpjsonfile], exporters: [debug]}}
    metrics: {{receivers: [otlpjsonfile], exporters: [otlp]}}
    logs: {{receivers: [otlpjsonfile], exporters: [otlp]}}
",
        folder.path().display()
    ))
    .await;
    until(&back, |ledger| ledger.receivers.iter().all(|account| account.accepted > 0)).await;
    let ledger = back.finish().await.ledger;
    let delivered: Vec<_> = ledger.exporters.iter().map(|account| (account.signal, account.delivered)).collect();
    assert_eq!(delivered, [(Signal::Traces, 2), (Signal::Metrics, 4), (Signal::Logs, 2)]);
    assert_eq!(*server.metrics.lock().expect("sound"), [metrics(3)]);
    assert_eq!(*server.logs.lock().expect("sound"), [logs(2)]);
}
