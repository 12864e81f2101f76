//! Official OTLP clients: what the Java agent sent, recorded, and OpenTelemetry's SDK for Rust over tonic.

use std::path::Path;

use opentelemetry::KeyValue;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message as _;
use rootspan_wire::otlp::payload::Signal;

use super::forward::{Server, send};
use super::{Started, http, signals, start_with};

/// Every signal goes on to an independent server as it came.
async fn gateway(traces: &str, others: &str) -> Started {
    let direct = "tls: {insecure: true}, compression: none, sending_queue: {enabled: false}";
    start_with(&format!(
        "
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0'}}
      http: {{endpoint: '127.0.0.1:0'}}
processors: {{memory_limiter: {{limit_mib: 200, check_interval: 1s}}}}
exporters:
  otlp: {{endpoint: '{traces}', {direct}}}
  otlp/others: {{endpoint: '{others}', {direct}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter], exporters: [otlp]}}
    metrics: {{receivers: [otlp], exporters: [otlp/others]}}
    logs: {{receivers: [otlp], exporters: [otlp/others]}}
"
    ))
    .await
}

/// The recorded bodies of a folder, in order.
fn recorded(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/java-agent").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("it can be read")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_java_agents_traffic_passes_unchanged() {
    let server = Server::default();
    let (address, _task) = server.start().await;
    let gateway = gateway(&address, &address).await;
    let mut spans = 0;
    for (folder, expected_spans) in [("direct", 305), ("through-nginx", 105), ("kafka-receive-telemetry", 733)] {
        let bodies = recorded(folder);
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice()).expect("the agent's OTLP");
        let decoded: Vec<_> = bodies.iter().map(decode).collect();
        let all = decoded.iter().flat_map(|request| &request.resource_spans).flat_map(|r| &r.scope_spans);
        assert_eq!(all.map(|scope| scope.spans.len()).sum::<usize>(), expected_spans, "{folder}");
        // As the agent sent it, and by another way.
        let agent = [
            ("Content-Type", "application/x-protobuf"),
            ("User-Agent", "OTel-OTLP-Exporter-Java/1.67.0"),
            ("Connection", "close"),
        ];
        for body in &bodies {
            let answer = http(gateway.address("otlp", "http"), "POST", "/v1/traces", &agent, body).await;
            assert_eq!((answer.status, answer.body), (200, Vec::new()), "{folder}");
        }
        assert_eq!(std::mem::take(&mut *server.taken.lock().expect("sound")), decoded, "{folder} over HTTP");
        for request in &decoded {
            send(&gateway, request.clone()).await.expect("it is accepted");
        }
        assert_eq!(std::mem::take(&mut *server.taken.lock().expect("sound")), decoded, "{folder} over gRPC");
        spans += 2 * expected_spans as u64;
    }
    let ledger = gateway.finish().await.ledger;
    assert_eq!((ledger.receivers[0].accepted, ledger.receivers[0].rejected), (spans, 0));
    assert_eq!(ledger.exporters[0].delivered, spans);
}

/// What the SDK reports is measured once, when it shuts down.
fn report(endpoint: &str) {
    let resource = Resource::builder_empty().with_service_name("shop").build();
    let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().expect("a sound endpoint");
    let tracers = SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(spans).build();
    tracers.tracer("test").in_span("checkout", |_| {});

    let metrics = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build().expect("a sound endpoint");
    let meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(metrics).build();
    let meter = meters.meter("test");
    meter.u64_counter("orders").build().add(3, &[KeyValue::new("kind", "book")]);
    meter.f64_histogram("duration").build().record(0.25, &[]);

    let logs = LogExporter::builder().with_tonic().with_endpoint(endpoint).build().expect("a sound endpoint");
    let loggers = SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(logs).build();
    let logger = loggers.logger("test");
    let mut record = logger.create_log_record();
    record.set_severity_number(Severity::Warn);
    record.set_body(AnyValue::from("sold out"));
    record.add_attribute("sku", 7);
    logger.emit(record);

    tracers.shutdown().expect("the gateway answers");
    meters.shutdown().expect("the gateway answers");
    loggers.shutdown().expect("the gateway answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_rust_sdk_over_tonic_is_understood_for_every_signal() {
    let (traces, others) = (Server::default(), signals::Server::default());
    let (trace_address, _trace_task) = traces.start().await;
    let (other_address, _other_task) = others.start().await;
    let gateway = gateway(&trace_address, &other_address).await;
    let endpoint = format!("http://{}", gateway.address("otlp", "grpc"));
    tokio::task::spawn_blocking(move || report(&endpoint)).await.expect("the SDK reports");
    let ledger = gateway.finish().await.ledger;
    let accepted: Vec<_> = ledger.receivers.iter().map(|account| (account.signal, account.accepted)).collect();
    assert_eq!(accepted, [(Signal::Traces, 1), (Signal::Metrics, 2), (Signal::Logs, 1)]);

    let traces = traces.taken.lock().expect("sound");
    assert_eq!(traces[0].resource_spans[0].scope_spans[0].spans[0].name, "checkout");
    let metrics: Vec<ExportMetricsServiceRequest> = others.metrics.lock().expect("sound").clone();
    let found = &metrics[0].resource_metrics[0].scope_metrics[0].metrics;
    let data = |name: &str| found.iter().find(|metric| metric.name == name).and_then(|metric| metric.data.clone());
    let Some(Data::Sum(orders)) = data("orders") else { panic!("{found:?}") };
    assert!(orders.is_monotonic && orders.data_points[0].attributes[0].key == "kind");
    let Some(Data::Histogram(duration)) = data("duration") else { panic!("{found:?}") };
    assert_eq!((duration.data_points[0].count, duration.data_points[0].sum), (1, Some(0.25)));
    let logs: Vec<ExportLogsServiceRequest> = others.logs.lock().expect("sound").clone();
    let record = &logs[0].resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.severity_number, record.attributes[0].key.as_str()), (13, "sku"));
}
