//! Access logs by Firehose's HTTP delivery.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::ledger::RefusalReason;

const KEY: (&str, &str) = ("X-Amz-Firehose-Access-Key", "open sesame");
const ID: (&str, &str) = ("X-Amz-Firehose-Request-Id", "ed4acda5-034f-9f42-bba1-f29aea6d7d8f");

/// A record of standard logging v2; ids in the function's payload unless `payload` is `-`.
fn record(request_id: &str, payload: &str) -> String {
    json!({
        "timestamp(ms)": "1789380930482", "x-edge-request-id": request_id, "cs-method": "GET", "cs-protocol": "https",
        "x-host-header": "shop.example.com", "cs-uri-stem": "/api/items/7", "sc-status": "200", "time-taken": "0.187",
        "x-edge-result-type": "Miss", "viewer-request-log-data": payload,
    })
    .to_string()
}

/// A delivery of these records' data.
fn delivery(records: &[&str]) -> Vec<u8> {
    let records: Vec<Value> = records.iter().map(|data| json!({"data": STANDARD.encode(data)})).collect();
    json!({"requestId": ID.1, "timestamp": 1_789_380_991_599_u64, "records": records}).to_string().into_bytes()
}

/// The answer's fields; every answer is JSON with the request's id.
#[track_caller]
fn fields(answer: &HttpAnswer) -> Value {
    let fields: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
    assert_eq!(fields["requestId"], ID.1, "{answer:?}");
    assert!(fields["timestamp"].is_u64(), "{answer:?}");
    assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    assert!(answer.head.contains("content-length:"), "{answer:?}");
    assert!(!answer.head.contains("content-encoding"), "{answer:?}");
    assert_eq!(answer.status == 200, fields["errorMessage"].is_null(), "{answer:?}");
    fields
}

#[tokio::test]
async fn records_become_spans_and_bad_ones_are_skipped() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let sampled = "rs1;00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;-;1789380930295;-;-;-";
    let unsampled = sampled.replace("b7-01;", "b7-00;");
    let glued = [record("one", sampled), record("two", "-")].concat();
    let skipped = record("three", &unsampled);
    let body = delivery(&["", &glued, "no json", &skipped, "{\"sc-status\":\"200\"}"]);
    let mut with_bad_record: Value = serde_json::from_slice(&body).expect("is JSON");
    with_bad_record["records"].as_array_mut().expect("is a list").push(json!({"data": "%%% no base64"}));
    let body = gzip(with_bad_record.to_string().as_bytes());

    let answer = http(address, "POST", "/", &[KEY, ID, ("Content-Encoding", "gzip")], &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    fields(&answer);
    let printed = started.printed();
    assert!(
        printed.contains("cloudfront GET /api/items/{id} 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 server"),
        "{printed}"
    );
    assert_eq!(printed.matches("cloudfront GET /api/items/{id}").count(), 2, "{printed}");
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    for (outcome, count) in [("span", 1), ("span_derived_ids", 1), ("sampled_out", 1), ("bad", 2), ("no_request_id", 1)]
    {
        let line =
            format!("rootspan_cloudfront_records_total{{receiver=\"cloudfront\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    assert_eq!(started.ledger().receivers[1].accepted, 2);
    started.finish().await;
}

#[tokio::test]
async fn real_time_lines_and_packed_envelopes_come_in_by_the_same_door() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let lines: Vec<&str> = include_str!("../../../../testdata/cloudfront/real-time.tsv").lines().collect();
    let answer = http(address, "POST", "/", &[KEY, ID], &delivery(&lines)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let envelopes = include_bytes!("../../../../testdata/cloudfront/firehose-cloudwatch.json");
    let answer = http(address, "POST", "/", &[KEY, ID], envelopes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(started.ledger().receivers[1].accepted, lines.len() as u64);
    let printed = started.printed();
    assert!(printed.contains("09d64ae8d7628a6968e3f996796f3f63"), "{printed}");
    // The envelope has what our function logged of the first request, which is joined with nothing.
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    for (outcome, count) in [("span_derived_ids", 3), ("function_log", 1), ("bad", 0)] {
        let line =
            format!("rootspan_cloudfront_records_total{{receiver=\"cloudfront\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    started.finish().await;
}

#[tokio::test]
async fn a_packed_record_is_unpacked_within_the_limit_and_once() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let bomb = gzip(&vec![b' '; 4 << 20]);
    let nested = gzip(&gzip(record("one", "-").as_bytes()));
    let good = gzip(record("two", "-").as_bytes());
    let records: Vec<Value> =
        [&bomb, &nested, &good].iter().map(|data| json!({"data": STANDARD.encode(data)})).collect();
    let body = json!({"requestId": ID.1, "timestamp": 1_789_380_991_599_u64, "records": records}).to_string();
    let answer = http(address, "POST", "/", &[KEY, ID], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(started.ledger().receivers[1].accepted, 1);
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    assert!(
        metrics.contains("rootspan_cloudfront_records_total{receiver=\"cloudfront\",outcome=\"bad\"} 2\n"),
        "{metrics}"
    );
    started.finish().await;
}

#[tokio::test]
async fn a_delivery_comes_in_only_with_the_key() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let body = delivery(&[&record("one", "-")]);
    for headers in [vec![ID], vec![ID, (KEY.0, "")], vec![ID, (KEY.0, "open sesam")], vec![ID, (KEY.0, "Open sesame")]]
    {
        let answer = http(address, "POST", "/any/path", &headers, &body).await;
        assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
        assert_eq!(fields(&answer)["errorMessage"], "the access key is missing or wrong");
    }
    assert_eq!(started.ledger().receivers[1].refused_requests.of(RefusalReason::Unauthenticated), 4);
    assert_eq!(http(address, "POST", "/any/path", &[ID, KEY], &body).await.status, 200);
    started.finish().await;
}

#[tokio::test]
async fn what_is_no_delivery_is_never_answered_with_413() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let cases: &[(Headers<'_>, &[u8], u16)] = &[
        (&[], b"{", 400),
        (&[], b"{\"requestId\":\"x\"}", 400),
        (&[("Content-Encoding", "gzip")], b"not gzip, though long", 400),
        (&[("Content-Encoding", "gzip")], &bomb, 400),
        (&[("Content-Encoding", "br")], b"{}", 400),
        (&[("Content-Length", "99999999")], b"{", 400),
    ];
    for (headers, body, status) in cases {
        let headers = [&[KEY, ID], *headers].concat();
        let answer = http(address, "POST", "/", &headers, body).await;
        assert_eq!(answer.status, *status, "{headers:?}: {answer:?}");
        fields(&answer);
    }
    assert_eq!(http(address, "GET", "/", &[KEY, ID], b"").await.status, 405);
    started.finish().await;
}

/// What a subscription delivers of a function's log.
fn function_log(messages: &[String]) -> String {
    let events: Vec<Value> =
        messages.iter().map(|message| json!({"id": "1", "timestamp": 1, "message": message})).collect();
    json!({"messageType": "DATA_MESSAGE", "logEvents": events}).to_string()
}

#[tokio::test]
async fn the_functions_own_log_beats_derived_ids_in_either_order() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let data =
        |trace: char| format!("rs1;00-{}-00f067aa0ba902b7-01;-;1789380930295;-;-;-", trace.to_string().repeat(32));
    let lines = |id: &str, trace| function_log(&[format!("{id} {}", data(trace))]);
    for body in [
        // Data first, then its record, twice.
        delivery(&[&lines("first", 'a')]),
        delivery(&[&record("first", "-"), &record("first", "-")]),
        // A record, then its data: a span with derived ids, then the right one.
        delivery(&[&record("second", "-")]),
        delivery(&[&lines("second", 'b')]),
    ] {
        let answer = http(address, "POST", "/", &[KEY, ID], &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let printed = started.printed();
    let of = |trace: char| printed.matches(&trace.to_string().repeat(32)).count();
    assert_eq!((of('a'), of('b')), (2, 1), "{printed}");
    assert_eq!(printed.matches("cloudfront GET /api/items/{id}").count(), 4, "{printed}");
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    for (outcome, count) in [("span", 3), ("span_derived_ids", 1), ("function_log", 2)] {
        let line = format!("outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    started.finish().await;
}

#[tokio::test]
async fn one_log_is_authoritative() {
    let started = start().await;
    let address = started.address("cloudfront", "http");
    let b3 = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1";
    let sample = format!("id 1789380930295000000 1789380930482000000 {b3}");
    let body = delivery(&[&function_log(&[sample]), &record("other", "-")]);
    let answer = http(address, "POST", "/", &[KEY, ID], &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let printed = started.printed();
    assert_eq!(printed.matches("cloudfront GET").count(), 1, "{printed}");
    assert!(!printed.contains("80f198ee56343ba8"), "{printed}");
    let metrics = http(started.address("metrics", "http"), "GET", "/metrics", &[], b"").await.text();
    assert!(metrics.contains("outcome=\"secondary\"} 1\n"), "{metrics}");
    started.finish().await;
}

/// The problems of a configuration with this section, or none.
fn problems_of(section: &str) -> Result<(), String> {
    use crate::config::{Source, load_with};
    let text = format!(
        "receivers: {{cloudfront: {section}}}\nexporters: {{debug: }}\n\
         service: {{pipelines: {{traces: {{receivers: [cloudfront], exporters: [debug]}}}}}}"
    );
    let loaded = load_with(&[Source::Text { name: "t".to_owned(), text }], &|_| None);
    loaded.map(drop).map_err(|problems| problems.to_string())
}

#[test]
fn standard_input_has_one_reader() {
    let two = "{files: {stdin: true}}, cloudfront/two: {files: {stdin: true}}";
    let problems = problems_of(two).expect_err("refused");
    assert!(problems.contains("both `cloudfront` and `cloudfront/two` read standard input"), "{problems}");
}

#[test]
fn there_is_a_way_in_and_it_has_a_key() {
    for section in
        ["{access_key: k}", "{access_key: k, endpoint: ':0'}", "{files: {include: [/a]}}", "{files: {stdin: true}}"]
    {
        assert_eq!(problems_of(section), Ok(()), "{section}");
    }
    for (section, expected) in [
        ("", "nothing leads into it"),
        ("{routes: [/a]}", "nothing leads into it"),
        ("{access_key: k, routes: [noslash]}", "`noslash`: no path can match, for it does not begin with a slash"),
        (
            "{access_key: k, routes: [/a, '/a/{']}",
            "`/a/{`: no path can match, for this brace is not closed (character 4)",
        ),
        ("{endpoint: ':4433'}", "the key `access_key` is missing"),
        ("{endpoint: ':4433', files: {stdin: true}}", "the key `access_key` is missing"),
        ("{files: }", "`files` needs `include` (paths), or `stdin: true`"),
        ("{files: {include: ['a[']}}", "a bracket is not closed"),
        ("{files: {include: [a], storage: nowhere}}", "the extension `nowhere` is not defined"),
        ("{endpoint: ':4433', access_key: ''}", "a secret must not be empty"),
        ("{tls: {cert_file: a, key_file: b}}", "the key `access_key` is missing"),
    ] {
        let problems = problems_of(section).expect_err(section);
        assert!(problems.contains(expected), "{section}: {problems}");
    }
}

#[test]
#[cfg(feature = "aws")]
fn buckets_need_a_way_to_learn_of_objects() {
    let problems_of = |s3: &str| problems_of(&format!("{{s3: {s3}}}"));
    for s3 in [
        "{sqs: {queue_url: 'https://sqs.eu-central-1.amazonaws.com/1/q'}}",
        "{bucket: b, sqs: {queue_url: 'http://127.0.0.1:5000/1/q', wait_time: 1s, visibility_timeout: 10s}}",
    ] {
        assert_eq!(problems_of(s3), Ok(()), "{s3}");
    }
    for (s3, expected) in [
        ("{}", "needs `bucket`, to be listed, or `sqs`"),
        ("{bucket: b}", "needs `storage: file_storage`"),
        ("{bucket: b, storage: file_storage}", "the extension `file_storage` is not defined"),
        ("{bucket: 's3://b', storage: file_storage}", "the bucket's name alone"),
        ("{bucket: b, storage: file_storage, prefix: /cf}", "must not begin with a slash"),
        ("{bucket: b, storage: file_storage, endpoint: 'localhost:9000'}", "must begin with http://"),
        ("{bucket: b, storage: file_storage, poll_interval: 10ms}", "at least 1s"),
        ("{bucket: b, storage: file_storage, concurrency: 0}", "must be 1 to 64"),
        ("{sqs: {}}", "the key `queue_url` is missing"),
        ("{sqs: {queue_url: q}}", "the queue's whole URL"),
        ("{sqs: {queue_url: 'https://q', wait_time: 1m}}", "20s at most"),
        ("{sqs: {queue_url: 'https://q', visibility_timeout: 1s}}", "10s to 12h"),
        ("{sqs: {queue_url: 'https://q', max_receives: 0}}", "at least 1"),
        ("{buckets: b}", "unknown key `buckets`"),
    ] {
        let problems = problems_of(s3).expect_err(s3);
        assert!(problems.contains(expected), "{s3}: {problems}");
    }
}

#[test]
#[cfg(not(feature = "aws"))]
fn a_build_without_buckets_knows_the_keys_and_says_so() {
    let problems = problems_of("{s3: {bucket: b, storage: file_storage}}").expect_err("not built");
    assert!(problems.contains("this build has no S3 support (feature `aws`)"), "{problems}");
}

#[test]
fn the_functions_own_settings_are_read_and_checked() {
    let load = |edge: &str| problems_of(&format!("{{access_key: k, {edge}}}"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/edge.yaml");
    assert_eq!(load(&format!("edge: '${{file:{}}}'", example.display())), Ok(()));
    for (edge, expected) in [
        ("edge: {probability: 5}", "expected a share from 0 to 1, found 5"),
        ("edge: {paths: [{pattern: /a, probability: -1}]}", "expected a share from 0 to 1, found -1"),
        ("rates: {Hit: 2}", "expected a share from 0 to 1, found 2"),
        ("rates: {Hitt: 1}", "`Hitt` is no result type of CloudFront's; did you mean `Hit`?"),
    ] {
        let problems = load(edge).expect_err("refused");
        assert!(problems.contains(expected), "{problems}");
    }
}
