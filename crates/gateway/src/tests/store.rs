//! The embedded store behind the gateway: acknowledged is on disk, a full disk refuses and recovers.

use std::sync::atomic::AtomicBool;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::memory::MemoryDirectory;
use rootspan_model::ids::TraceId;
use rootspan_store::store::{Options, QueryLimits, Store};
use tonic::Code;

use super::*;
use crate::ledger::RefusalReason;

const YAML: &str = "
receivers: {otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 16}}}}
exporters:
  store: {directory: here}
  store/again: {directory: here}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 0, without_type_suffix: true, without_units: true}}}}]}}
  pipelines:
    traces: {receivers: [otlp], exporters: [store]}
";

fn open(directory: Arc<dyn Directory>) -> Store {
    let options = Options {
        retention: Duration::from_secs(1 << 40),
        max_bytes: None,
        min_free_percent: 5.0,
        seal_spans: 50_000,
        seal_after: Duration::from_secs(120),
        clock: clock::system(),
    };
    Store::open(directory, options).expect("the store opens").0
}

async fn start(store: &Store) -> Running {
    let config = load_with(&[Source::Text { name: "t".into(), text: YAML.into() }], &|_| None).expect("is sound");
    assert_eq!(config.stores().len(), 1);
    let stores = HashMap::from([("here".to_owned(), store.clone())]);
    let environment = Environment { stores, clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    Gateway::start(&config, environment).await.unwrap_or_else(|error| panic!("{error}"))
}

fn span_names(store: &Store) -> Vec<String> {
    let limits =
        QueryLimits { deadline: Duration::from_secs(20), bytes: 1 << 30, cancel: Arc::new(AtomicBool::new(false)) };
    let trace = store.trace(&TraceId::new([7; 16]), &limits).expect("the store reads");
    let names = trace.iter().flat_map(|trace| trace.batch.spans().map(|item| item.span.name.to_owned()));
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

async fn client(running: &Running) -> TraceServiceClient<tonic::transport::Channel> {
    let address = running.address("otlp", "grpc").expect("it listens");
    TraceServiceClient::connect(format!("http://{address}")).await.expect("the gateway listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_can_be_read_and_survives() {
    let disk = Arc::new(MemoryDirectory::new());
    let store = open(Arc::clone(&disk) as Arc<dyn Directory>);
    let running = start(&store).await;
    client(&running).await.export(request(&["first", "second"])).await.expect("is accepted");
    assert_eq!(span_names(&store), ["first", "second"]);
    let metrics =
        http(running.address("metrics", "http").expect("it listens"), "GET", "/metrics", &[], b"").await.text();
    assert!(metrics.contains("rootspan_store_ingested_spans_total{directory=\"here\"} 2\n"), "{metrics}");
    let report = running.shutdown(Duration::from_secs(20)).await;
    assert!(report.complete);
    assert_eq!((report.ledger.exporters[0].delivered, report.ledger.imbalances()), (2, Vec::new()));
    store.close().expect("the store closes");
    drop(store);
    assert_eq!(span_names(&open(disk)), ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_with_a_delay_and_recovers() {
    let disk = Arc::new(MemoryDirectory::new());
    let store = open(Arc::clone(&disk) as Arc<dyn Directory>);
    let running = start(&store).await;
    let mut client = client(&running).await;
    client.export(request(&["before"])).await.expect("is accepted");
    disk.set_capacity(1);
    let refused = loop {
        // The store looks at the disk from time to time; until then it may take a little more.
        if let Err(refused) = client.export(request(&[&"x".repeat(1 << 20)])).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(!refused.details().is_empty(), "says when to try again");
    assert!(running.ledger().exporters[0].refused.of(RefusalReason::DiskFull) > 0, "{:?}", running.ledger());
    disk.set_capacity(1 << 40);
    let recovered = async {
        while client.export(request(&["after"])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recovered).await.expect("spans are taken again");
    let names = span_names(&store);
    assert!(names.contains(&"before".to_owned()) && names.contains(&"after".to_owned()), "{names:?}");
    let report = running.shutdown(Duration::from_secs(20)).await;
    assert!(report.complete);
    assert_eq!(report.ledger.imbalances(), Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_was_not_opened_is_said() {
    let config = load_with(&[Source::Text { name: "t".into(), text: YAML.into() }], &|_| None).expect("is sound");
    let environment =
        Environment { stores: HashMap::new(), clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    let error = Gateway::start(&config, environment).await.expect_err("there is no store");
    assert_eq!(error.to_string(), "the store in here is not open");
}

/// The tail keeps the bytes of what is stored; if they stayed reserved, a small limit would refuse everything until
/// the tail is sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_bytes_do_not_stay_in_the_payload_budget() {
    let store = open(Arc::new(MemoryDirectory::new()));
    let running = start(&store).await;
    let mut client = client(&running).await;
    for _ in 0..3 {
        client.export(request(&[&"x".repeat(1 << 20)])).await.expect("is accepted");
    }
    let released = async {
        while running.budget().used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), released).await.expect("the bytes are the tail's now");
    assert!(running.shutdown(Duration::from_secs(20)).await.complete);
}
