//! Firehose's rules for an HTTP endpoint ("HTTP endpoint delivery request and response specifications"), one by one, against
//! the real receiver.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api;
use crate::edge_table::attribute;
use crate::firehose::{REQUEST_ID, SEEN, UNSEEN, payload, record};
use crate::http::{self, Answer};
use crate::otlp;
use crate::process::{ACCESS_KEY, Process, Setup, Site};

/// The protocol's limits.
const MAX_KEY_BYTES: usize = 4096;
const MAX_RECORDS: usize = 10_000;
const MAX_RECORD_BYTES: usize = 1_024_000;
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_ANSWER_BYTES: usize = 1 << 20;

const KEY: (&str, &str) = ("X-Amz-Firehose-Access-Key", ACCESS_KEY);

struct Endpoint {
    process: Process,
    address: SocketAddr,
    _site: Site,
}

impl Endpoint {
    fn start() -> Self {
        Self::of(Site::new(Setup { cloudfront: true, ..Setup::default() }))
    }

    fn of(site: Site) -> Self {
        let process = site.start();
        let address = process.address("cloudfront", "http");
        Self { process, address, _site: site }
    }

    /// As Firehose sends it, with more headers.
    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let of_firehose = [
            ("X-Amz-Firehose-Protocol-Version", "1.0"),
            ("X-Amz-Firehose-Request-Id", REQUEST_ID),
            ("X-Amz-Firehose-Source-Arn", "arn:aws:firehose:us-east-1:111122223333:deliverystream/cf-edge"),
            ("Content-Type", "application/json"),
        ];
        http::send(self.address, "POST", "/v1/edge/firehose", &[&of_firehose, headers].concat(), body)
    }

    fn spans(&self, trace_id: &str) -> Vec<Value> {
        api::trace(self.process.ui(), trace_id).unwrap_or_default()
    }

    /// How many records became this.
    fn count(&self, outcome: &str) -> u64 {
        let metrics = http::get(self.process.address("metrics", "http"), "/metrics").text();
        let sample = format!(r#"rootspan_cloudfront_records_total{{receiver="cloudfront",outcome="{outcome}"}} "#);
        metrics.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |count| count.parse().expect("a number"))
    }
}

/// A body with these records.
fn body(records: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let records: Vec<_> = records.into_iter().map(|record| json!({"data": STANDARD.encode(record)})).collect();
    json!({"requestId": REQUEST_ID, "timestamp": 1_789_380_991_599_u64, "records": records}).to_string().into_bytes()
}

/// A body with one good record.
fn one() -> Vec<u8> {
    body([record(SEEN[0], &payload()).to_string()])
}

/// What Firehose takes for an answer; everything else counts as a 500.
fn check_conforms(answer: &Answer) {
    let said = answer.json();
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-length").parse(), Ok(answer.body.len()), "it must be there");
    assert_eq!((answer.header("content-encoding"), answer.header("transfer-encoding")), ("", ""));
    assert!(answer.body.len() <= MAX_ANSWER_BYTES);
    assert_eq!(said["requestId"], REQUEST_ID);
    assert!(said["timestamp"].is_u64(), "an integer: {said}");
    assert_eq!(said["errorMessage"].is_string(), answer.status != 200, "{said}");
}

#[test]
fn rule_success_is_200_and_nothing_else() {
    let endpoint = Endpoint::start();
    let asked_to_compress = ("Accept-Encoding", "gzip, deflate, br, zstd");
    for body in [one(), body([""]), body(["no record of anybody's"]), body(["{}"])] {
        let answer = endpoint.post(&[KEY, asked_to_compress], &body);
        assert_eq!(answer.status, 200, "neither 202 nor 204: {}", answer.text());
        check_conforms(&answer);
    }
    endpoint.process.stop();
}

#[test]
fn rule_the_answer_names_the_request() {
    let endpoint = Endpoint::start();
    for (headers, body) in [(&[KEY][..], one()), (&[], one()), (&[KEY], b"{".to_vec())] {
        check_conforms(&endpoint.post(headers, &body));
    }
    // The header is best effort; the body has the id, too.
    let answer = http::send(endpoint.address, "POST", "/", &[KEY], &one());
    assert_eq!((answer.status, &answer.json()["requestId"]), (200, &REQUEST_ID.into()));
    endpoint.process.stop();
}

#[test]
fn rule_the_key_is_compared_as_it_is() {
    let key: String = (b'!'..=b'~').map(char::from).cycle().take(MAX_KEY_BYTES).collect();
    let site = Site::new(Setup { cloudfront: true, ..Setup::default() });
    let config = std::fs::read_to_string(site.config()).expect("it was written");
    // Neither the quote of YAML nor the dollar of a reference means anything in it.
    let quoted = format!("access_key: '{}'", key.replace('\'', "''").replace('$', "$$"));
    std::fs::write(site.config(), config.replace(&format!("access_key: {ACCESS_KEY}"), &quoted)).expect("written");
    let endpoint = Endpoint::of(site);
    let status = |key: &str| endpoint.post(&[("X-Amz-Firehose-Access-Key", key)], &one()).status;
    assert_eq!(status(&key), 200);
    assert_eq!(status(key.get(1..).expect("ASCII")), 401);
    assert_eq!(status(&format!("{key}!")), 401);
    assert_eq!(status(&key.to_ascii_lowercase()), 401);
    endpoint.process.stop();
}

#[test]
fn rule_without_the_key_nothing_is_taken() {
    let endpoint = Endpoint::start();
    let answer = endpoint.post(&[], &one());
    assert_eq!(answer.status, 401, "{}", answer.text());
    check_conforms(&answer);
    assert_eq!(endpoint.spans(SEEN[1]), Vec::<Value>::new());
    endpoint.process.stop();
}

#[test]
fn rule_a_body_is_gzip_or_as_it_is() {
    let endpoint = Endpoint::start();
    assert_eq!(endpoint.post(&[KEY], &one()).status, 200);
    let packed = otlp::compress("gzip", &body([record(UNSEEN[0], "-").to_string()]));
    assert_eq!(endpoint.post(&[KEY, ("Content-Encoding", "gzip")], &packed).status, 200);
    assert_eq!((endpoint.spans(SEEN[1]).len(), endpoint.spans(UNSEEN[1]).len()), (1, 1));
    endpoint.process.stop();
}

#[test]
fn rule_a_request_has_up_to_10_000_records() {
    let endpoint = Endpoint::start();
    let good = record(SEEN[0], &payload()).to_string();
    let many = || std::iter::repeat_n("", MAX_RECORDS - 1).chain([good.as_str()]);
    assert_eq!(endpoint.post(&[KEY], &body(many())).status, 200);
    assert_eq!(endpoint.spans(SEEN[1]).len(), 1, "empty ones are nothing");
    assert_eq!(endpoint.count("bad"), 0);
    let answer = endpoint.post(&[KEY], &body(many().chain([""])));
    assert_eq!(answer.status, 400, "{}", answer.text());
    check_conforms(&answer);
    endpoint.process.stop();
}

/// A record that Firehose never sends must not bring the others back for ever.
#[test]
fn rule_a_record_has_up_to_1_024_000_bytes() {
    let endpoint = Endpoint::start();
    let padded = |id: [&str; 3], length: usize| {
        let mut text = record(id[0], "-").to_string();
        text.push_str(&" ".repeat(length - text.len()));
        text
    };
    let records = [padded(SEEN, MAX_RECORD_BYTES), padded(UNSEEN, MAX_RECORD_BYTES + 1)];
    assert_eq!(endpoint.post(&[KEY], &body(&records)).status, 200);
    assert_eq!((endpoint.spans(SEEN[1]).len(), endpoint.spans(UNSEEN[1]).len()), (1, 0));
    assert_eq!(endpoint.count("bad"), 1);
    endpoint.process.stop();
}

/// Before compression; 413 would lose the batch for good, so more is answered with what is tried again.
#[test]
fn rule_a_body_has_up_to_64_mib() {
    let endpoint = Endpoint::start();
    let body = |length: usize| {
        let mut text = String::from_utf8(one()).expect("JSON");
        text.push_str(&" ".repeat(length - text.len()));
        text.into_bytes()
    };
    assert_eq!(endpoint.post(&[KEY], &body(MAX_BODY_BYTES)).status, 200);
    let gzip = ("Content-Encoding", "gzip");
    assert_eq!(endpoint.post(&[KEY, gzip], &otlp::compress("gzip", &body(MAX_BODY_BYTES))).status, 200);
    let answer = endpoint.post(&[KEY, gzip], &otlp::compress("gzip", &body(MAX_BODY_BYTES + 1)));
    assert_eq!(answer.status, 400, "{}", answer.text());
    check_conforms(&answer);
    endpoint.process.stop();
}

/// Nothing separates records but their envelope, and one may hold several logs' records or a part of none.
#[test]
fn rule_what_a_record_holds_is_nobodys_promise() {
    let endpoint = Endpoint::start();
    let glued = [record(SEEN[0], "-").to_string(), record(UNSEEN[0], "-").to_string()].concat();
    assert_eq!(endpoint.post(&[KEY], &body(["", "\n", &glued])).status, 200);
    assert_eq!((endpoint.spans(SEEN[1]).len(), endpoint.spans(UNSEEN[1]).len()), (1, 1));
    endpoint.process.stop();
}

#[test]
fn rule_what_comes_again_is_the_same() {
    let endpoint = Endpoint::start();
    let body = one();
    for _ in 0..3 {
        assert_eq!(endpoint.post(&[KEY], &body).status, 200);
    }
    assert_eq!(endpoint.spans(SEEN[1]).len(), 1);
    endpoint.process.stop();
}

#[test]
fn rule_common_attributes_hold_for_all_records() {
    let endpoint = Endpoint::start();
    let common = r#"{"commonAttributes":{"deployment.environment.name":"prod","log-kind":"standard-v2"}}"#;
    assert_eq!(endpoint.post(&[KEY, ("X-Amz-Firehose-Common-Attributes", common)], &one()).status, 200);
    let resource = &endpoint.spans(SEEN[1])[0]["resource"];
    for (name, value) in [
        ("deployment.environment.name", "prod"),
        ("log-kind", "standard-v2"),
        ("service.name", "cloudfront"),
        ("cloud.provider", "aws"),
        ("cloud.account.id", "111122223333"),
    ] {
        assert_eq!(attribute(resource, name), value, "{name}: {resource}");
    }
    // Attributes that nobody can read are no reason to refuse records.
    let unseen = body([record(UNSEEN[0], "-").to_string()]);
    assert_eq!(endpoint.post(&[KEY, ("X-Amz-Firehose-Common-Attributes", "{")], &unseen).status, 200);
    assert_eq!(endpoint.spans(UNSEEN[1]).len(), 1);
    endpoint.process.stop();
}

/// Redirects are not followed, and a path is what was configured on the other side: all are this endpoint.
#[test]
fn rule_every_path_is_the_endpoint() {
    let endpoint = Endpoint::start();
    for path in ["/", "/a/b/?c=d", "//", "/..", "/v1/traces"] {
        assert_eq!(http::send(endpoint.address, "POST", path, &[KEY], &one()).status, 200, "{path}");
    }
    assert_eq!(http::send(endpoint.address, "PUT", "/", &[KEY], &one()).status, 405);
    endpoint.process.stop();
}
