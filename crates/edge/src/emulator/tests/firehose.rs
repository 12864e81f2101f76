//! Log records on their way to a real Firehose endpoint.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use rootspan_model::log_payload::LogPayload;
use rootspan_model::span::StatusCode;
use rootspan_wire::cloudfront::{ReadOptions, read_json, span};
use serde_json::Value;

use super::support::{Endpoint, Odd, Origin, Reply, get};
use crate::build::viewer_request;
use crate::emulator::delivery::DeliveryCounts;
use crate::emulator::{
    Behavior, Config, Delivery, Emulator, Functions, PROTOCOL_HEADER, Running, StartError, ViewerProtocol,
};
use crate::settings::Settings;

fn delivery(endpoint: &Endpoint) -> Delivery {
    Delivery {
        max_records: 2,
        interval: Duration::from_secs(3600),
        retry_delay: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(4),
        ..Delivery::to_endpoint(&endpoint.url(), "secret key")
    }
}

async fn start(origin: &Origin, delivery: Delivery) -> Running {
    let function = viewer_request(&Settings::default()).expect("within the limits").code;
    let config = Config {
        origin: origin.url(),
        functions: Functions::viewer_request(function),
        deliveries: vec![delivery],
        ..Config::default()
    };
    Emulator::start(config).await.expect("the emulator starts")
}

async fn visit(running: &Running, count: usize) {
    for _ in 0..count {
        let request = Request::get(format!("http://{}/api/items?limit=5", running.address)).header("user-agent", "a b");
        let (_, _, body) = get(running, request.body(Full::default()).expect("valid request")).await;
        body.expect("a whole body");
    }
}

#[tokio::test]
async fn records_arrive_in_firehoses_format() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(Vec::new()).await);
    let running = start(&origin, delivery(&endpoint)).await;
    visit(&running, 3).await;
    let full = endpoint.batch().await;
    assert_eq!(full.records.len(), 2);
    assert_eq!(full.headers["x-amz-firehose-protocol-version"], "1.0");
    assert_eq!(full.headers["x-amz-firehose-request-id"], full.request_id);
    assert_eq!(full.headers["x-amz-firehose-access-key"], "secret key");
    assert_eq!(full.headers["content-type"], "application/json");
    assert_eq!(full.headers["content-encoding"], "gzip");

    let summary = running.shutdown().await;
    let rest = endpoint.batch().await;
    assert_eq!(rest.records.len(), 1, "the rest is flushed");
    assert_ne!(rest.request_id, full.request_id);
    assert_eq!(summary.deliveries, [DeliveryCounts { posted: 3, delivered: 3, ..DeliveryCounts::default() }]);
    for (record, entry) in full.records.iter().chain(&rest.records).zip(&summary.ledger) {
        check_record(record);
        assert_eq!(record["x-edge-request-id"], entry.request_id);
        let payload = LogPayload::find(record["viewer-request-log-data"].as_str().expect("text")).expect("a payload");
        assert_eq!((payload.traceparent.trace_id, payload.traceparent.span_id), (entry.trace_id, entry.span_id));
        assert_eq!(payload.start_unix_millis, entry.start_unix_millis);
    }
}

/// The fields of a miss, and the order of its times.
fn check_record(record: &Value) {
    let text = |name: &str| record[name].as_str().unwrap_or_else(|| panic!("{name} is text"));
    for (name, expected) in [
        ("cs-method", "GET"),
        ("cs-uri-stem", "/api/items"),
        ("cs-uri-query", "limit=5"),
        ("cs(User-Agent)", "a%20b"),
        ("sc-status", "200"),
        ("x-edge-result-type", "Miss"),
        ("x-edge-response-result-type", "Miss"),
        ("x-edge-detailed-result-type", "Miss"),
        ("cs-protocol", "https"),
        ("cache-behavior-path-pattern", "*"),
        ("sc-content-type", "text/plain"),
        ("sc-content-len", "5"),
        ("viewer-response-log-data", "-"),
    ] {
        assert_eq!(text(name), expected, "{name}");
    }
    let seconds = |name: &str| text(name).parse::<f64>().unwrap_or_else(|_| panic!("{name} is a number"));
    assert!(seconds("origin-fbl") <= seconds("origin-lbl"), "{record}");
    assert!(seconds("origin-fbl") <= seconds("time-to-first-byte"), "{record}");
    assert!(seconds("origin-lbl") <= seconds("time-taken"), "{record}");
    assert!(seconds("time-to-first-byte") <= seconds("time-taken"), "{record}");
    assert!(seconds("sc-bytes") > 5.0 && seconds("cs-bytes") > 50.0, "{record}");
}

/// The receiver's own decoder finds in the log what the ledger says.
#[tokio::test]
async fn what_is_logged_becomes_the_viewers_spans() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(Vec::new()).await);
    let settings = "probability: 0\npaths:\n  - {pattern: '/kept/*', probability: 1}\n  - {pattern: '/continued', trust: continue}\n  - {pattern: '/error', probability: 1}";
    let function = viewer_request(&Settings::parse(settings).expect("valid settings")).expect("within the limits").code;
    let behavior = Behavior {
        path_pattern: "/https".to_owned(),
        viewer_protocol: ViewerProtocol::RedirectToHttps,
        ..Behavior::default()
    };
    let config = Config {
        origin: origin.url(),
        functions: Functions::viewer_request(function),
        behaviors: vec![behavior],
        deliveries: vec![Delivery { max_records: 100, ..delivery(&endpoint) }],
        ..Config::default()
    };
    let running = Emulator::start(config).await.expect("the emulator starts");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for target in ["/kept/1", "/continued", "/error", "/left-out", "/https"] {
        let request = Request::get(format!("http://{}{target}", running.address)).header("traceparent", parent);
        let request = request.header(PROTOCOL_HEADER, "http").body(Full::default()).expect("valid request");
        assert!(get(&running, request).await.2.is_ok(), "{target}");
    }
    let ledger = running.shutdown().await.ledger;

    let settings = span::Settings::default();
    let mut encoder = span::Encoder::new(&settings);
    let records = endpoint.batch().await.records;
    let outcomes = records.iter().map(|record| {
        let text = record.to_string();
        let record = read_json(text.as_bytes(), ReadOptions::default()).next().expect("a record").expect("valid");
        encoder.push(&record, None)
    });
    let (kept, out) = (span::Outcome::Span(span::Origin::Function), span::Outcome::SampledOut);
    // No function runs before the redirect to HTTPS.
    let derived = span::Outcome::Span(span::Origin::Derived);
    assert_eq!(outcomes.collect::<Vec<_>>(), [kept, kept, kept, out, derived]);
    let batch = encoder.finish();
    let spans: Vec<_> = (0..batch.span_count()).map(|index| batch.span(index).span).collect();
    let sampled = ledger.iter().filter(|entry| entry.sampled != Some(false));
    for (span, entry) in spans.iter().zip(sampled) {
        assert_eq!((span.trace_id, span.span_id), (entry.trace_id, entry.span_id), "{}", entry.path);
        assert_eq!(span.start.0 / 1_000_000, entry.start_unix_millis, "{}", entry.path);
        assert_eq!(span.parent_span_id.to_string() == "00f067aa0ba902b7", entry.path == "/continued");
        assert_eq!(
            span.links().count(),
            usize::from(entry.path == "/kept/1" || entry.path == "/error"),
            "{}",
            entry.path
        );
        assert_eq!(span.status() == StatusCode::Error, entry.path == "/error", "{}", entry.path);
    }
    assert_eq!(ledger[1].trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn a_batch_is_tried_again_with_its_id_until_it_is_named() {
    let script = vec![Reply::Status(503), Reply::Status(401), Reply::Status(202), Reply::WrongId, Reply::Good];
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(script).await);
    let running = start(&origin, delivery(&endpoint)).await;
    visit(&running, 2).await;
    let first = endpoint.batch().await;
    for expected in [401, 202, 200, 200] {
        let again = endpoint.batch().await;
        assert_eq!((again.status, &again.request_id, &again.records), (expected, &first.request_id, &first.records));
    }
    let counts = running.shutdown().await.deliveries;
    assert_eq!(counts, [DeliveryCounts { posted: 2, delivered: 2, failed_tries: 4, ..DeliveryCounts::default() }]);
    assert!(endpoint.rest().is_empty());
}

/// A 200 is success only with the answer that the specification wants.
#[tokio::test]
async fn an_answer_that_breaks_a_rule_counts_as_a_failure() {
    let odd = [Odd::ContentType, Odd::Encoded, Odd::NoLength, Odd::NoJson, Odd::Timestamp, Odd::TooLong];
    let script = odd.map(Reply::Odd).to_vec();
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(script).await);
    let running = start(&origin, delivery(&endpoint)).await;
    visit(&running, 2).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..=odd.len() {
        ids.insert(endpoint.batch().await.request_id);
    }
    assert_eq!(ids.len(), 1, "always the same batch");
    let counts = running.shutdown().await.deliveries;
    let tries = odd.len() as u64;
    assert_eq!(counts, [DeliveryCounts { posted: 2, delivered: 2, failed_tries: tries, ..DeliveryCounts::default() }]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Status(307)]).await);
    let running = start(&origin, delivery(&endpoint)).await;
    visit(&running, 2).await;
    assert_eq!((endpoint.batch().await.status, endpoint.batch().await.status), (307, 200));
    assert!(endpoint.rest().is_empty());
    assert_eq!(running.shutdown().await.deliveries[0].failed_tries, 1);
}

#[tokio::test]
async fn common_attributes_are_a_header_of_every_batch() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(Vec::new()).await);
    let common_attributes = vec![("deployment".to_owned(), "pr\u{f6}d \"1\"".to_owned())];
    let running = start(&origin, Delivery { common_attributes, ..delivery(&endpoint) }).await;
    visit(&running, 2).await;
    let header = endpoint.batch().await.headers["x-amz-firehose-common-attributes"].clone();
    assert_eq!(header, "{\"commonAttributes\":{\"deployment\":\"pr\\u00f6d \\\"1\\\"\"}}");
    assert_eq!(
        rootspan_wire::firehose::common_attributes(header.as_bytes()),
        [("deployment".to_owned(), "pr\u{f6}d \"1\"".to_owned())],
        "the receiver reads it"
    );
    running.shutdown().await;
}

#[tokio::test]
async fn what_firehose_cannot_be_configured_for_does_not_start() {
    let endpoint = Endpoint::start(Vec::new()).await;
    let long = ("name".to_owned(), "x".repeat(1025));
    let many = (0..51).map(|number| (number.to_string(), String::new())).collect();
    for common_attributes in [vec![long], many] {
        let deliveries = vec![Delivery { common_attributes, ..delivery(&endpoint) }];
        let config = Config { origin: "http://127.0.0.1:9".to_owned(), deliveries, ..Config::default() };
        assert!(matches!(Emulator::start(config).await, Err(StartError::Delivery(_))));
    }
    let deliveries = vec![Delivery::to_endpoint(&endpoint.url(), &"k".repeat(4097))];
    let config = Config { origin: "http://127.0.0.1:9".to_owned(), deliveries, ..Config::default() };
    assert!(matches!(Emulator::start(config).await, Err(StartError::Delivery(_))));
}

/// The size that a stream collects is a hint like the number of records.
#[tokio::test]
async fn a_batch_goes_out_when_it_is_large_enough() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(Vec::new()).await);
    let running = start(&origin, Delivery { max_records: 100, max_bytes: 1, ..delivery(&endpoint) }).await;
    visit(&running, 2).await;
    assert_eq!((endpoint.batch().await.records.len(), endpoint.batch().await.records.len()), (1, 1));
    running.shutdown().await;
}

#[tokio::test]
async fn a_413_is_final() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Status(413)]).await);
    let running = start(&origin, delivery(&endpoint)).await;
    visit(&running, 3).await;
    let counts = running.shutdown().await.deliveries;
    let expected = DeliveryCounts { posted: 3, delivered: 1, failed: 2, failed_tries: 1, ..DeliveryCounts::default() };
    assert_eq!(counts, [expected]);
    assert_eq!(endpoint.rest().len(), 2);
}

#[tokio::test]
async fn a_batch_is_given_up_after_the_retry_duration() {
    let (origin, endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Status(500); 1000]).await);
    let delivery = Delivery { retry_duration: Duration::from_millis(30), ..delivery(&endpoint) };
    let running = start(&origin, delivery).await;
    visit(&running, 2).await;
    let counts = running.shutdown().await.deliveries[0];
    assert_eq!((counts.delivered, counts.failed), (0, 2));
    assert!(counts.failed_tries >= 1, "{counts:?}");
}

#[tokio::test]
async fn silence_counts_as_a_failed_try() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Silence]).await);
    let delivery = Delivery { response_timeout: Duration::from_millis(50), ..delivery(&endpoint) };
    let running = start(&origin, delivery).await;
    visit(&running, 2).await;
    assert_eq!(endpoint.batch().await.request_id, endpoint.batch().await.request_id);
    let counts = running.shutdown().await.deliveries;
    assert_eq!(counts, [DeliveryCounts { posted: 2, delivered: 2, failed_tries: 1, ..DeliveryCounts::default() }]);
}

#[tokio::test]
async fn shutdown_ends_although_the_endpoint_is_gone() {
    let (origin, endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Silence; 10]).await);
    let delivery = Delivery { drain: Duration::from_millis(50), ..delivery(&endpoint) };
    let running = start(&origin, delivery).await;
    visit(&running, 3).await;
    let counts = running.shutdown().await.deliveries[0];
    assert_eq!((counts.posted, counts.delivered, counts.failed), (3, 0, 3));
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(vec![Reply::Silence; 2]).await);
    let delivery =
        Delivery { max_records: 1, max_waiting_records: 1, drain: Duration::from_millis(50), ..delivery(&endpoint) };
    let running = start(&origin, delivery).await;
    visit(&running, 1).await;
    endpoint.batch().await;
    visit(&running, 3).await;
    let counts = running.shutdown().await.deliveries[0];
    assert_eq!((counts.posted, counts.dropped, counts.failed), (4, 2, 2));
}

#[tokio::test]
async fn records_of_a_small_batch_do_not_wait_longer_than_the_interval() {
    let (origin, mut endpoint) = (Origin::start().await, Endpoint::start(Vec::new()).await);
    let delivery =
        Delivery { max_records: 100, interval: Duration::from_millis(20), gzip: false, ..delivery(&endpoint) };
    let running = start(&origin, delivery).await;
    visit(&running, 1).await;
    let batch = endpoint.batch().await;
    assert_eq!((batch.records.len(), batch.headers.get("content-encoding")), (1, None));
    running.shutdown().await;
}
