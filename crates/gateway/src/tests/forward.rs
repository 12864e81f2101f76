//! From one gateway to another, and to an independent server: tonic's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status};

use super::{Started, line_of, request, start, start_with};
use crate::ledger::{DropReason, Snapshot};

/// What a server answers, in order; then it takes everything.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) answers: Arc<Mutex<VecDeque<Result<i64, Status>>>>,
    pub(super) taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metadata: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Server {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.metadata.lock().expect("sound").push(tenant.to_owned());
        let answer = self.answers.lock().expect("sound").pop_front().unwrap_or(Ok(0));
        let rejected_spans = answer?;
        self.taken.lock().expect("sound").push(request.into_inner());
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: "too old".to_owned() };
        Ok(Response::new(ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) }))
    }
}

impl Server {
    /// Serves; the address, and the task that ends with its handle.
    pub(super) async fn start(&self) -> (String, crate::tasks::Task) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let service = TraceServiceServer::new(self.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serve = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        (address, crate::tasks::start("tonic", async move { drop(serve.await) }))
    }
}

/// A gateway that forwards with these settings.
pub(super) async fn forwarding(exporter: &str) -> Started {
    forwarding_with(exporter, None).await
}

/// … and with an extension: its id and its section.
pub(super) async fn forwarding_with(exporter: &str, extension: Option<(&str, &str)>) -> Started {
    let (id, definition) = extension.unwrap_or(("health_check", "{endpoint: '127.0.0.1:0'}"));
    start_with(&format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters:
  {exporter}
extensions: {{{id}: {definition}}}
service:
  extensions: [{id}]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [{}]}}}}
",
        exporter.split(':').next().unwrap_or_default()
    ))
    .await
}

pub(super) async fn send(gateway: &Started, request: ExportTraceServiceRequest) -> Result<(), Status> {
    let address = gateway.address("otlp", "grpc");
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens");
    client.export(request).await.map(|_| ())
}

/// What the printer wrote, without the line that begins each batch.
fn spans_of(gateway: &Started) -> String {
    gateway.printed().lines().filter(|line| line.starts_with("shop ")).map(|line| format!("{line}\n")).collect()
}

pub(super) async fn until(gateway: &Started, condition: impl Fn(&Snapshot) -> bool) {
    let reached = async {
        while !condition(&gateway.ledger()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the accounts get there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_gateway_to_gateway_in_every_form() {
    let back = start().await;
    let (grpc, http) = (back.address("otlp", "grpc"), back.address("otlp", "http"));
    let mut expected = String::new();
    let long = "x".repeat(200 << 10);
    for (number, exporter) in [
        format!("otlp: {{endpoint: '{grpc}', tls: {{insecure: true}}, compression: none}}"),
        format!("otlp: {{endpoint: 'http://{grpc}', tls: {{insecure: true}}}}"),
        format!("otlp_grpc: {{endpoint: '{grpc}', tls: {{insecure: true}}, compression: zstd, sending_queue: {{enabled: false}}}}"),
        format!("otlp: {{endpoint: '{grpc}', tls: {{insecure: true}}, compression: snappy}}"),
        format!("otlphttp: {{endpoint: 'http://{http}', compression: none}}"),
        format!("otlphttp: {{endpoint: 'http://{http}', compression: snappy}}"),
        format!("otlphttp: {{endpoint: 'http://{http}', compression: zstd, compression_params: {{level: 9}}}}"),
        format!("otlphttp: {{endpoint: 'http://{http}', compression: lz4}}"),
        format!("otlphttp/x: {{endpoint: 'http://{http}/', sending_queue: {{wait_for_result: true}}}}"),
        format!("otlp_http: {{traces_endpoint: 'http://{http}/v1/traces', compression: zstd, encoding: json}}"),
    ]
    .iter()
    .enumerate()
    {
        let front = forwarding(exporter).await;
        let names = [format!("short {number}"), format!("long {number} {long}")];
        send(&front, request(&[&names[0], &names[1]])).await.expect("it is accepted");
        let report = front.finish().await;
        assert_eq!(report.ledger.exporters[0].delivered, 2, "{exporter}");
        expected += &(line_of(1, &names[0]) + &line_of(2, &names[1]));
    }
    assert!(spans_of(&back) == expected, "all arrived, once, in order");
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_server_gets_everything_in_spite_of_failures() {
    let server = Server::default();
    let info = tonic_retry_info();
    let full = Status::with_details(Code::ResourceExhausted, "full", info.into());
    server.answers.lock().expect("sound").extend([Err(Status::unavailable("away")), Err(full), Ok(1)]);
    let (address, _task) = server.start().await;
    let front = forwarding(&format!(
        "otlp: {{endpoint: '{address}', compression: none, tls: {{insecure: true}}, headers: {{X-Tenant: acme}}, \
         retry_on_failure: {{initial_interval: 1ms}}}}"
    ))
    .await;
    send(&front, request(&["a", "b", "c"])).await.expect("it is queued");
    until(&front, |ledger| ledger.exporters[0].queued == 0).await;
    let account = front.finish().await.ledger.exporters.remove(0);
    assert_eq!((account.delivered, account.dropped.of(DropReason::RejectedByBackend)), (2, 1));
    assert_eq!(*server.taken.lock().expect("sound"), [request(&["a", "b", "c"])], "the very request");
    assert_eq!(*server.metadata.lock().expect("sound"), ["acme"; 3]);
}

/// `google.rpc.Status` with a `RetryInfo` of 20 ms.
fn tonic_retry_info() -> Vec<u8> {
    use rootspan_wire::otlp::response::{Code, Status};
    let after = Some(Duration::from_millis(20));
    Status { code: Code::ResourceExhausted, message: "full".to_owned(), retry_after: after }.to_protobuf()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_the_sender_hears_of_a_refusal_for_good() {
    let server = Server::default();
    server.answers.lock().expect("sound").push_back(Err(Status::invalid_argument("no")));
    let (address, _task) = server.start().await;
    let front = forwarding(&format!(
        "otlp: {{endpoint: '{address}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}"
    ))
    .await;
    let refused = send(&front, request(&["a"])).await.expect_err("the back end refused it");
    assert!(refused.message().contains("status 3"), "{refused:?}");
    send(&front, request(&["b"])).await.expect("the next one is fine");
    front.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_end_that_is_away_comes_back_and_nothing_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let front = forwarding(&format!(
        "otlp: {{endpoint: '{address}', tls: {{insecure: true}}, retry_on_failure: {{initial_interval: 5ms, max_interval: 5ms}}, \
         sending_queue: {{batch: {{flush_timeout: 1ms}}}}}}"
    ))
    .await;
    for name in ["a", "b", "c"] {
        send(&front, request(&[name])).await.expect("it is queued");
    }
    assert_eq!(front.ledger().exporters[0].queued, 3);
    let back = start_with(&super::CONFIG.replacen("127.0.0.1:0", &address.to_string(), 1)).await;
    until(&front, |ledger| ledger.exporters[0].delivered == 3).await;
    front.finish().await;
    assert_eq!(spans_of(&back).lines().count(), 3);
    back.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_exporter_beside_a_healthy_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
    let dead = listener.local_addr().expect("it is bound");
    drop(listener);
    let yaml = |on_full: &str| {
        format!(
            "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0'}}}}}}}}
processors:
  attributes: {{actions: [{{key: k, action: update, value: changed}}]}}
  batch: {{timeout: 1ms}}
exporters:
  debug: {{verbosity: normal}}
  otlp: {{endpoint: '{dead}', tls: {{insecure: true}}, sending_queue: {{queue_size: 2, on_full: {on_full}}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [attributes, batch], exporters: [debug, otlp]}}}}
"
        )
    };
    for on_full in ["drop", "refuse"] {
        let gateway = start_with(&yaml(on_full)).await;
        for number in 0..4 {
            let sent = send(&gateway, request(&[&format!("span {number}")])).await;
            // A queue that refuses makes the sender come again; the healthy exporter has its copy in both cases.
            assert_eq!(sent.is_ok(), on_full == "drop" || number < 2, "{on_full} {number}: {sent:?}");
        }
        // A sender hears that its request is accepted before what becomes of it is counted.
        until(&gateway, |ledger| ledger.exporters[0].queued == 0 && ledger.exporters[1].queued == 2).await;
        let printed = spans_of(&gateway);
        assert_eq!(printed.lines().count(), 4);
        assert!(printed.lines().all(|line| line.ends_with("k=changed")), "{printed}");
        let account = gateway.ledger().exporters.remove(1);
        let (dropped, refused) = (account.dropped.of(DropReason::QueueFull), account.refused.total());
        assert_eq!((account.queued, dropped, refused), if on_full == "drop" { (2, 2, 0) } else { (2, 0, 2) });
        // The back end stays away: what was taken over is counted at the end.
        let report = gateway.running.shutdown(Duration::from_millis(50)).await;
        assert_eq!(report.ledger.imbalances(), Vec::<String>::new());
        assert_eq!(report.ledger.exporters[1].dropped.of(DropReason::DrainDeadline), 2);
        assert_eq!(report.ledger.in_flight(), 0);
    }
}
