//! Many senders at once, good and bad: the accounts balance at every moment and agree with what the senders heard.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;

use super::*;

const SENDERS: u64 = 8;
const REQUESTS: u64 = 40;
const JSON_OR_PROTOBUF: [&str; 2] = ["application/json", "application/x-protobuf"];

/// What senders heard, in spans.
#[derive(Default)]
struct Heard {
    accepted: AtomicU64,
    rejected: AtomicU64,
    malformed_requests: AtomicU64,
}

/// One sender: gRPC and HTTP in turn, every fourth request with a bad span, every tenth no OTLP at all.
async fn send(grpc: SocketAddr, http_address: SocketAddr, sender: u64, heard: Arc<Heard>) {
    let mut client = TraceServiceClient::connect(format!("http://{grpc}")).await.expect("the gateway listens");
    for number in 0..REQUESTS {
        let name = format!("sender {sender} request {number}");
        let mut request = request(&[&name, "second"]);
        let spans = &mut request.resource_spans[0].scope_spans[0].spans;
        let bad = u64::from(number % 4 == 3);
        if bad == 1 {
            spans[1].trace_id = vec![1, 2, 3];
        }
        if number % 10 == 9 {
            let headers = [("Content-Type", JSON_OR_PROTOBUF[(sender % 2) as usize])];
            let answer = http(http_address, "POST", "/v1/traces", &headers, b"\xff no request").await;
            assert_eq!(answer.status, 400);
            heard.malformed_requests.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if number % 2 == 0 {
            client.export(request).await.expect("is accepted");
        } else {
            let headers = [("Content-Type", JSON_OR_PROTOBUF[1])];
            let answer = http(http_address, "POST", "/v1/traces", &headers, &request.encode_to_vec()).await;
            assert_eq!(answer.status, 200);
        }
        heard.accepted.fetch_add(2 - bad, Ordering::Relaxed);
        heard.rejected.fetch_add(bad, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_balance_at_every_moment() {
    let started = start().await;
    let (grpc, http_address) = (started.address("otlp", "grpc"), started.address("otlp", "http"));
    let heard = Arc::new(Heard::default());
    let senders: Vec<_> =
        (0..SENDERS).map(|sender| tokio::spawn(send(grpc, http_address, sender, Arc::clone(&heard)))).collect();
    let done = Arc::new(AtomicBool::new(false));
    let (ledger, watching) = (started.running.ledger_handle(), Arc::clone(&done));
    let watcher = std::thread::spawn(move || {
        let mut looks = 0_u64;
        while !watching.load(Ordering::Acquire) {
            assert_eq!(ledger.snapshot().imbalances(), Vec::<String>::new());
            looks += 1;
        }
        looks
    });
    for sender in senders {
        sender.await.expect("no sender failed");
    }
    done.store(true, Ordering::Release);
    assert!(watcher.join().expect("the accounts balanced") > 0);

    let receiver = started.ledger().receivers[0].clone();
    assert_eq!(receiver.accepted, heard.accepted.load(Ordering::Relaxed));
    assert_eq!(receiver.rejected, heard.rejected.load(Ordering::Relaxed));
    assert_eq!(receiver.refused_requests.total(), heard.malformed_requests.load(Ordering::Relaxed));
    let printed = started.printed();
    let names: BTreeSet<&str> = printed.lines().filter_map(|line| line.strip_prefix("shop sender")).collect();
    assert_eq!(names.len() as u64, SENDERS * REQUESTS / 10 * 9, "each accepted request came through");
    started.finish().await;
}
