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

/// A CloudFront receiver before the embedded store.
const EDGE: &str = "
receivers: {cloudfront: {endpoint: '127.0.0.1:0', access_key: open sesame, rates: {Hit: 0}}}
exporters: {store: {directory: here}}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 0, without_type_suffix: true, without_units: true}}}}]}}
  pipelines:
    traces: {receivers: [cloudfront], exporters: [store]}
";

async fn start_edge(yaml: &str, stores: HashMap<String, Store>) -> Running {
    let config = load_with(&[Source::Text { name: "t".into(), text: yaml.into() }], &|_| None).expect("is sound");
    let environment = Environment { stores, clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    Gateway::start(&config, environment).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Delivers records of these request ids and result types as Firehose does; the status of the answer.
async fn deliver(running: &Running, records: &[(&str, &str)]) -> u16 {
    use base64::Engine as _;
    let data = |(id, result): &(&str, &str)| {
        let record = serde_json::json!({
            "timestamp(ms)": "1789380930482", "x-edge-request-id": id, "cs-method": "GET", "sc-status": "200",
            "cs(Host)": "d1.cloudfront.net", "cache-behavior-path-pattern": "/api/*", "time-taken": "0.187",
            "x-edge-result-type": result, "x-edge-response-result-type": result,
        });
        serde_json::json!({"data": base64::engine::general_purpose::STANDARD.encode(record.to_string())})
    };
    let records: Vec<_> = records.iter().map(data).collect();
    let body = serde_json::json!({"requestId": "r", "timestamp": 1, "records": records}).to_string();
    let headers = [("X-Amz-Firehose-Access-Key", "open sesame"), ("X-Amz-Firehose-Request-Id", "r")];
    let address = running.address("cloudfront", "http").expect("it listens");
    http(address, "POST", "/", &headers, body.as_bytes()).await.status
}

/// Records, those that came again, sampled and thinned.
fn coverage(store: &Store) -> (u64, u64, u64, u64) {
    let request = rootspan_store::coverage::CoverageRequest {
        start: rootspan_model::time::UnixNanos(1_789_380_000_000_000_000),
        end: rootspan_model::time::UnixNanos(1_789_390_000_000_000_000),
        step_minutes: 1,
        distribution: Some("d1.cloudfront.net".to_owned()),
        behaviour: Some("/api/*".to_owned()),
        patience: Duration::ZERO,
    };
    let limits = QueryLimits { deadline: Duration::from_secs(20), bytes: 1 << 30, cancel: Arc::default() };
    let answer = store.coverage(&request, &limits).expect("the store reads");
    let mut sum = rootspan_store::coverage::StepCoverage::default();
    answer.keys.values().flat_map(|key| key.steps.values()).for_each(|step| sum.merge(step));
    (sum.counts.records(), sum.counts.redelivered, sum.counts.sampled, sum.counts.thinned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_of_an_accepted_delivery_is_counted_once() {
    let disk = Arc::new(MemoryDirectory::new());
    let store = open(Arc::clone(&disk) as Arc<dyn Directory>);
    let mut running = start_edge(EDGE, HashMap::from([("here".to_owned(), store.clone())])).await;
    assert_eq!(deliver(&running, &[("a", "Miss"), ("b", "Hit")]).await, 200);
    assert_eq!(coverage(&store), (2, 0, 1, 1), "counted when it is accepted");
    assert_eq!(deliver(&running, &[("a", "Miss"), ("c", "Miss")]).await, 200);
    assert_eq!(coverage(&store), (3, 1, 2, 1));
    let metrics =
        http(running.address("metrics", "http").expect("it listens"), "GET", "/metrics", &[], b"").await.text();
    let series = |result: &str| {
        let receiver = "rootspan_edge_records_total{receiver=\"cloudfront\",distribution=\"d1.cloudfront.net\"";
        format!("{receiver},result_type=\"{result}\",status_class=\"2xx\"}}")
    };
    let below =
        "rootspan_edge_duration_milliseconds_bucket{receiver=\"cloudfront\",distribution=\"d1.cloudfront.net\",le=";
    let (short, long) = (format!("{below}\"100\"}} 0\n"), format!("{below}\"250\"}} 4\n"));
    for line in [format!("{} 3\n", series("Miss")), format!("{} 1\n", series("Hit")), short, long] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    // A reload leads a receiver that stays to another store.
    let other = open(Arc::new(MemoryDirectory::new()));
    let yaml = EDGE.replace("directory: here", "directory: there");
    let config = load_with(&[Source::Text { name: "t".into(), text: yaml }], &|_| None).expect("is sound");
    let stores = HashMap::from([("here".to_owned(), store.clone()), ("there".to_owned(), other.clone())]);
    let environment = Environment { stores, clock: clock::system(), store_tail_bytes: 0, debug_output: None };
    running.reload(&config, environment, Duration::from_secs(5)).await.expect("is applied");
    assert_eq!(deliver(&running, &[("d", "Hit")]).await, 200);
    assert_eq!((coverage(&store), coverage(&other)), ((3, 1, 2, 1), (1, 0, 0, 1)));
    // What cannot be counted is refused, and comes again.
    other.close().expect("the store closes");
    assert_eq!(deliver(&running, &[("e", "Hit")]).await, 503);
    assert_eq!(coverage(&other).0, 1);
    running.shutdown(Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_go_to_the_stores_behind_the_receivers_pipelines() {
    let (one, other) = (open(Arc::new(MemoryDirectory::new())), open(Arc::new(MemoryDirectory::new())));
    let yaml = "
receivers:
  otlp: {protocols: {grpc: {endpoint: '127.0.0.1:0'}}}
  cloudfront: {endpoint: '127.0.0.1:0', access_key: open sesame}
exporters: {store/one: {directory: one}, store/other: {directory: other}}
connectors: {forward: }
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces/in: {receivers: [cloudfront], exporters: [forward]}
    traces/one: {receivers: [forward], exporters: [store/one]}
    traces/other: {receivers: [otlp], exporters: [store/other]}
";
    let stores = HashMap::from([("one".to_owned(), one.clone()), ("other".to_owned(), other.clone())]);
    let running = start_edge(yaml, stores).await;
    assert_eq!(deliver(&running, &[("a", "Miss")]).await, 200);
    assert_eq!((coverage(&one).0, coverage(&other).0), (1, 0));
    running.shutdown(Duration::from_secs(20)).await;
}
