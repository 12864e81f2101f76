//! Overload, drain, start, and what the gateway tells of itself.

use std::sync::mpsc;

use base64::Engine as _;
use prost::Message as _;
use tonic::Code;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use super::*;
use crate::ledger::RefusalReason;

/// A gateway with the smallest budget, whose printer waits at a gate.
struct Gated {
    running: Running,
    /// Each value lets one batch be printed; dropping it lets all.
    gate: mpsc::Sender<()>,
}

async fn gated() -> Gated {
    let (gate, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let print = move |_: &str| {
        // An error means that the gate was dropped: open for all.
        let _open = wait.lock().expect("nobody panics while printing").recv();
    };
    let yaml = CONFIG
        .replace("max_recv_msg_size_mib: 1", "max_recv_msg_size_mib: 4")
        .replace("exporters:\n", "processors:\n  memory_limiter: {limit_mib: 1}\nexporters:\n")
        .replace("cloudfront], exporters", "cloudfront], processors: [memory_limiter], exporters");
    Gated { running: start_printing(&yaml, Arc::new(print)).await, gate }
}

/// Waits until the accounts say so; they change without a signal that a test could wait for.
async fn until(running: &Running, condition: impl Fn(&Snapshot) -> bool) {
    let reached = async {
        while !condition(&running.ledger()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the accounts get there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_gateway_refuses_with_a_delay_and_recovers() {
    let Gated { running, gate } = gated().await;
    assert_eq!(running.budget().limit(), 8 << 20, "the least that a gateway works with");
    let address = running.address("otlp", "grpc").expect("it listens");
    let client = TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens");
    let long = request(&[&"x".repeat(3 << 20)]);
    let export = |long: ExportTraceServiceRequest| {
        let mut client = client.clone();
        tokio::spawn(async move { client.export(long).await })
    };
    // Two are held back by the printer: 6 of 8 MiB are in use.
    let held = [export(long.clone()), export(long.clone())];
    until(&running, |ledger| ledger.exporters[0].queued == 2).await;

    let refused = export(long.clone()).await.expect("does not panic").expect_err("there is no room");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let retry = "type.googleapis.com/google.rpc.RetryInfo".as_bytes();
    assert!(refused.details().windows(retry.len()).any(|window| window == retry), "{refused:?}");

    let http_address = running.address("otlp", "http").expect("it listens");
    let small_yes = http(http_address, "POST", "/v1/traces", &[("Content-Type", "application/json")], b"{}").await;
    assert_eq!(small_yes.status, 200, "what fits is still taken");

    drop(gate);
    for held in held {
        held.await.expect("does not panic").expect("is accepted once it is printed");
    }
    export(long).await.expect("does not panic").expect("there is room again");
    let snapshot = running.ledger();
    assert_eq!(snapshot.receivers[0].refused_requests.of(RefusalReason::MemoryLimit), 1);
    assert_eq!(snapshot.receivers[0].accepted, 3);
    assert_eq!(snapshot.imbalances(), Vec::<String>::new());
    drop(client);
    let budget = Arc::clone(running.budget());
    assert!(running.shutdown(Duration::from_secs(20)).await.complete);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_over_http_hear_429_and_firehose_503_from_a_full_gateway() {
    let Gated { running, gate } = gated().await;
    let address = running.address("otlp", "grpc").expect("it listens");
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens");
    let long = request(&[&"x".repeat(15 << 18)]);
    let mut second_client = client.clone();
    let second = long.clone();
    let held = [
        tokio::spawn(async move { client.export(long).await }),
        tokio::spawn(async move { second_client.export(second).await }),
    ];
    until(&running, |ledger| ledger.exporters[0].queued == 2).await;
    let cloudfront = running.address("cloudfront", "http").expect("it listens");
    let headers = [("X-Amz-Firehose-Access-Key", "open sesame"), ("X-Amz-Firehose-Request-Id", "r")];
    let body = base64::engine::general_purpose::STANDARD.encode(vec![b' '; 700 << 10]);
    let body = format!("{{\"requestId\":\"r\",\"timestamp\":1,\"records\":[{{\"data\":\"{body}\"}}]}}");
    let answer = http(cloudfront, "POST", "/", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("\"errorMessage\""), "{answer:?}");
    let otlp = running.address("otlp", "http").expect("it listens");
    let body = request(&[&"x".repeat(900 << 10)]).encode_to_vec();
    let answer = http(otlp, "POST", "/v1/traces", &[("Content-Type", "application/x-protobuf")], &body).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    drop(gate);
    for held in held {
        held.await.expect("does not panic").expect("is accepted once it is printed");
    }
    assert!(running.shutdown(Duration::from_secs(20)).await.complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_was_begun() {
    let Gated { running, gate } = gated().await;
    let address = running.address("otlp", "http").expect("it listens");
    let body = request(&["begun"]).encode_to_vec();
    let sender = tokio::spawn(async move {
        http(address, "POST", "/v1/traces", &[("Content-Type", "application/x-protobuf")], &body).await
    });
    until(&running, |ledger| ledger.exporters[0].queued == 1).await;
    let shutdown = tokio::spawn(running.shutdown(Duration::from_secs(20)));
    // The port is closed before the drain ends.
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the gateway takes no new connection");
    drop(gate);
    let report = shutdown.await.expect("does not panic");
    assert_eq!(sender.await.expect("does not panic").status, 200);
    assert!(report.complete);
    assert_eq!(report.ledger.exporters[0].delivered, 1);
    assert_eq!(report.ledger.imbalances(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_at_its_deadline_and_says_what_was_cut_off() {
    let Gated { running, gate } = gated().await;
    let address = running.address("otlp", "http").expect("it listens");
    let body = request(&["a", "b"]).encode_to_vec();
    let sender = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("the gateway reads");
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        answer
    });
    until(&running, |ledger| ledger.exporters[0].queued == 2).await;
    let report = running.shutdown(Duration::from_millis(50)).await;
    drop(gate);
    assert_eq!((report.complete, report.cut_off_spans), (false, 2));
    assert_eq!(report.ledger.imbalances(), Vec::<String>::new());
    assert_eq!(report.ledger.exporters[0].refused.of(RefusalReason::ShuttingDown), 2);
    let answer = sender.await.expect("does not panic");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "nobody was told that the spans are accepted");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let address = taken.local_addr().expect("it is bound");
    let yaml = CONFIG.replacen("127.0.0.1:0", &address.to_string(), 1);
    let config = load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None).expect("is sound");
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    let error = Gateway::start(&config, environment).await.expect_err("the port is taken");
    assert_eq!(
        error.to_string(),
        format!(
            "the receiver otlp cannot listen on {address}: the address is in use by another program; stop it or change \
             `receivers.otlp.protocols.grpc.endpoint`"
        )
    );
}

#[tokio::test]
async fn the_gateway_tells_of_itself() {
    let started = start().await;
    let health = http(started.address("health_check", "http"), "GET", "/", &[], b"").await;
    assert_eq!(health.status, 200);
    assert!(health.text().contains("Server available"), "{health:?}");
    let body = request(&["seen", "too"]).encode_to_vec();
    let headers = [("Content-Type", "application/x-protobuf")];
    assert_eq!(http(started.address("otlp", "http"), "POST", "/v1/traces", &headers, &body).await.status, 200);
    let own = started.address("metrics", "http");
    let metrics = http(own, "GET", "/metrics", &[], b"").await.text();
    for line in [
        "# TYPE otelcol_receiver_accepted_spans counter\n",
        "otelcol_receiver_accepted_spans{receiver=\"otlp\"} 2\n",
        "otelcol_receiver_refused_spans{receiver=\"otlp\",reason=\"memory_limit\"} 0\n",
        "otelcol_exporter_sent_spans{exporter=\"debug\"} 2\n",
        "otelcol_exporter_send_failed_spans{exporter=\"debug\",reason=\"queue_full\"} 0\n",
        "# TYPE otelcol_process_memory_rss gauge\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let ledger: serde_json::Value =
        serde_json::from_slice(&http(own, "GET", "/debug/ledger", &[], b"").await.body).expect("is JSON");
    assert_eq!(ledger["exporters"][0]["delivered"], 2);
    assert_eq!(ledger["imbalances"], serde_json::json!([]));
    assert_eq!(http(own, "GET", "/", &[], b"").await.status, 404);
    started.finish().await;
}
