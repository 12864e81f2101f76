//! CloudFront's access logs as Firehose delivers them. Only 200 is success, and 413 would lose a delivery for good.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api;
use crate::http::{self, Answer};
use crate::otlp;
use crate::process::{ACCESS_KEY, Process, Setup, Site};

/// SHA-256 of these request ids begins with the trace id, then the span id.
pub(crate) const SEEN: [&str; 3] = [
    "Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg==",
    "09d64ae8d7628a6968e3f996796f3f63",
    "2184743dd888b4f1",
];
pub(crate) const UNSEEN: [&str; 3] = [
    "p9KdZ3hVxWc7RmTqL2nYbJ8sGf5uEoAi-4XtQv6HzNk1ByMjCwPr_A==",
    "f1e91310a93263c98f0028e17773a350",
    "94f658474614718b",
];

pub(crate) const REQUEST_ID: &str = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";

fn site() -> (Site, Process) {
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let process = site.start();
    (site, process)
}

/// A record of standard logging v2 that ended now.
pub(crate) fn record(request_id: &str, payload: &str) -> Value {
    json!({
        "timestamp(ms)": (otlp::now() / 1_000_000).to_string(),
        "DistributionId": "EDFDVBD6EXAMPLE",
        "x-edge-request-id": request_id,
        "x-edge-location": "FRA60-P4",
        "cs-method": "GET",
        "cs-protocol": "https",
        "cs-protocol-version": "HTTP/2.0",
        "x-host-header": "shop.example.com",
        "cs-uri-stem": "/api/items",
        "cs-uri-query": "limit=5&token=secret",
        "sc-status": "200",
        "sc-bytes": "1142",
        "time-taken": "0.187",
        "time-to-first-byte": "0.171",
        "origin-fbl": "0.142",
        "origin-lbl": "0.149",
        "x-edge-result-type": "Miss",
        "x-edge-response-result-type": "Miss",
        "x-edge-detailed-result-type": "Miss",
        "cache-behavior-path-pattern": "/api/*",
        "c-ip": "198.51.100.11",
        "cs(User-Agent)": "Mozilla/5.0%20(X11)",
        "viewer-request-log-data": payload,
    })
}

/// What the edge function logs for [`SEEN`].
pub(crate) fn payload() -> String {
    format!("rs1;00-{}-{}-03;-;{};0;-;-", SEEN[1], SEEN[2], otlp::now() / 1_000_000 - 187)
}

/// A delivery of records, each as its bytes.
fn delivery(records: &[&[u8]]) -> Vec<u8> {
    let records: Vec<_> = records.iter().map(|record| json!({ "data": STANDARD.encode(record) })).collect();
    json!({"requestId": REQUEST_ID, "timestamp": otlp::now() / 1_000_000, "records": records}).to_string().into_bytes()
}

fn deliver(address: SocketAddr, target: &str, key: Option<&str>, body: &[u8]) -> Answer {
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("X-Amz-Firehose-Request-Id", REQUEST_ID),
        ("X-Amz-Firehose-Protocol-Version", "1.0"),
    ];
    headers.extend(key.map(|key| ("X-Amz-Firehose-Access-Key", key)));
    http::send(address, "POST", target, &headers, body)
}

/// A delivery with `Content-Encoding: gzip`, whatever is in it.
pub(crate) fn deliver_encoded(address: SocketAddr, body: &[u8]) -> Answer {
    let headers = [
        ("Content-Encoding", "gzip"),
        ("X-Amz-Firehose-Access-Key", ACCESS_KEY),
        ("X-Amz-Firehose-Request-Id", REQUEST_ID),
    ];
    http::send(address, "POST", "/", &headers, body)
}

/// A delivery of one good record.
pub(crate) fn deliver_one(address: SocketAddr) -> Answer {
    deliver(address, "/", Some(ACCESS_KEY), &delivery(&[record(SEEN[0], &payload()).to_string().as_bytes()]))
}

/// The answer has Firehose's form, and says why if it is no success.
fn check_form(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"), "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["requestId"], REQUEST_ID);
    assert!(body["timestamp"].is_u64(), "{body}");
    assert_eq!(body.get("errorMessage").is_some_and(Value::is_string), status != 200, "{body}");
}

#[test]
fn records_become_the_root_spans_of_their_traces() {
    let (_site, process) = site();
    let address = process.address("cloudfront", "http");
    let seen = record(SEEN[0], &payload()).to_string();
    let unseen = record(UNSEEN[0], "-").to_string();
    for target in ["/", "/some/path?of=theirs"] {
        check_form(&deliver(address, target, Some(ACCESS_KEY), &delivery(&[seen.as_bytes(), unseen.as_bytes()])), 200);
    }
    let ui = process.ui();
    for (ids, context) in [(SEEN, "function"), (UNSEEN, "derived")] {
        let spans = api::trace(ui, ids[1]).expect("it was delivered");
        assert_eq!(spans.len(), 1, "delivered twice, one span");
        let span = &spans[0]["span"];
        assert_eq!((&span["spanId"], span.get("parentSpanId")), (&Value::from(ids[2]), None));
        assert_eq!(span["kind"], 2, "SERVER");
        let attributes = span["attributes"].to_string();
        assert!(
            attributes
                .contains(&format!(r#"{{"key":"aws.cloudfront.context","value":{{"stringValue":"{context}"}}}}"#))
        );
        assert!(!attributes.contains("secret"), "values of the query are not kept: {attributes}");
        let row = row_of(ui, ids[1]);
        assert_eq!((&row["rootService"], &row["rootMissing"]), (&Value::from("cloudfront"), &Value::from(false)));
    }
    process.stop();
}

fn row_of(ui: SocketAddr, id: &str) -> Value {
    let rows = api::search(ui, r#"{ resource.service.name = "cloudfront" }"#, "");
    rows.into_iter().find(|row| row["traceId"] == id).expect("it is found by its service")
}

#[test]
fn a_bad_record_is_counted_and_skipped() {
    let (_site, process) = site();
    let address = process.address("cloudfront", "http");
    let good = record(SEEN[0], &payload()).to_string();
    let mut body: Value = serde_json::from_slice(&delivery(&[b"", b"no JSON", good.as_bytes(), b"{}"])).expect("JSON");
    let records = body["records"].as_array_mut().expect("an array");
    records.push(json!({"data": "not base64!"}));
    records.push(json!({}));
    check_form(&deliver(address, "/", Some(ACCESS_KEY), body.to_string().as_bytes()), 200);
    assert_eq!(api::trace(process.ui(), SEEN[1]).expect("the good one is kept").len(), 1);
    let metrics = http::get(process.address("metrics", "http"), "/metrics").text();
    let count = |outcome: &str| {
        let sample = format!(r#"rootspan_cloudfront_records_total{{receiver="cloudfront",outcome="{outcome}"}} "#);
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).unwrap_or_default().to_owned()
    };
    assert_eq!(
        (count("span"), count("bad"), count("no_request_id")),
        ("1".into(), "3".into(), "1".into()),
        "{metrics}"
    );
    process.stop();
}

#[test]
fn cve_2024_45043_without_the_key_nothing_comes_in() {
    let (_site, process) = site();
    let address = process.address("cloudfront", "http");
    let body = delivery(&[record(SEEN[0], &payload()).to_string().as_bytes()]);
    let longer = format!("{ACCESS_KEY}x");
    for key in [None, Some(""), Some("wrong"), Some("key-of-the-tesT"), Some(longer.as_str())] {
        check_form(&deliver(address, "/", key, &body), 401);
    }
    assert_eq!(api::trace(process.ui(), SEEN[1]), None);
    check_form(&deliver(address, "/", Some(ACCESS_KEY), &body), 200);
    process.stop();
}

#[test]
fn refusals_have_firehoses_form_and_are_never_413() {
    let site =
        Site::new(Setup { cloudfront: true, cloudfront_keys: ", max_request_body_size: 1MiB", ..Setup::default() });
    let process = site.start();
    let address = process.address("cloudfront", "http");
    let long = vec![b'x'; 2 << 20];
    check_form(&deliver(address, "/", Some(ACCESS_KEY), &delivery(&[&long])), 400);
    for body in ["", "{", "[]", r#"{"records":7}"#] {
        check_form(&deliver(address, "/", Some(ACCESS_KEY), body.as_bytes()), 400);
    }
    let body = otlp::compress("gzip", &delivery(&[record(SEEN[0], &payload()).to_string().as_bytes()]));
    check_form(&deliver_encoded(address, &body), 200);
    assert!(api::trace(process.ui(), SEEN[1]).is_some());
    process.stop();
}
