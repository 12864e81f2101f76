//! OTLP over HTTP.

use prost::Message as _;

use super::*;
use crate::ledger::RefusalReason;

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

/// One span in OTLP JSON, as SDKs and AWS's sample write it.
const JSON_BODY: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
"scopeSpans":[{"spans":[{"traceId":"07070707070707070707070707070707","spanId":"0101010101010101","name":"from json","kind":0,
"startTimeUnixNano":"1000000000","endTimeUnixNano":"1005000000","attributes":[{"key":"k","value":{"stringValue":"v"}}]}]}]}]}"#;

#[tokio::test]
async fn protobuf_and_json_are_accepted_compressed_or_not() {
    let started = start().await;
    let address = started.address("otlp", "http");
    let protobuf = request(&["from protobuf"]).encode_to_vec();
    let zstd = |data: &[u8]| zstd::bulk::compress(data, 1).expect("compresses");
    for (content_type, body, answer_body) in [(PROTOBUF, protobuf.as_slice(), ""), (JSON, JSON_BODY.as_bytes(), "{}")] {
        for (encoding, body) in [("identity", body.to_vec()), ("gzip", gzip(body)), ("zstd", zstd(body))] {
            let headers = [content_type, ("Content-Encoding", encoding)];
            let answer = http(address, "POST", "/v1/traces", &headers, &body).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, answer_body), "{encoding}: {answer:?}");
            let returned = content_type.1.split(';').next().unwrap_or_default();
            assert!(answer.head.contains(&format!("content-type: {returned}")), "{answer:?}");
        }
    }
    assert_eq!(started.printed().matches(&line_of(1, "from protobuf")).count(), 3);
    assert_eq!(started.printed().matches(&line_of(1, "from json")).count(), 3);
    assert_eq!(started.ledger().receivers[0].accepted, 6);
    started.finish().await;
}

#[tokio::test]
async fn every_encoding_of_the_collector_is_taken_and_only_those_that_are_configured() {
    use std::io::Write as _;
    let body = request(&["packed"]).encode_to_vec();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&body).expect("memory takes everything");
    let zlib = zlib.finish().expect("memory takes everything");
    let mut framed = snap::write::FrameEncoder::new(Vec::new());
    framed.write_all(&body).expect("memory takes everything");
    let framed = framed.into_inner().expect("memory takes everything");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&body).expect("memory takes everything");
    let encodings = [
        ("identity", body.clone()),
        ("gzip", gzip(&body)),
        ("zstd", zstd::bulk::compress(&body, 1).expect("compresses")),
        ("zlib", zlib.clone()),
        ("deflate", zlib),
        ("snappy", snap::raw::Encoder::new().compress_vec(&body).expect("compresses")),
        ("x-snappy-framed", framed),
        ("lz4", lz4.finish().expect("memory takes everything")),
    ];
    let all = start().await;
    let few =
        CONFIG.replace("'127.0.0.1:0', max_request", "'127.0.0.1:0', compression_algorithms: ['', zstd], max_request");
    let few = start_with(&few).await;
    for (encoding, body) in &encodings {
        let headers = [PROTOBUF, ("Content-Encoding", *encoding)];
        let answer = http(all.address("otlp", "http"), "POST", "/v1/traces", &headers, body).await;
        assert_eq!(answer.status, 200, "{encoding}: {answer:?}");
        let answer = http(few.address("otlp", "http"), "POST", "/v1/traces", &headers, body).await;
        let is_configured = ["identity", "zstd"].contains(encoding);
        assert_eq!(answer.status, if is_configured { 200 } else { 415 }, "{encoding}: {answer:?}");
        assert!(is_configured || answer.text().contains("supported are zstd"), "{encoding}: {answer:?}");
    }
    assert_eq!(all.printed().matches(&line_of(1, "packed")).count(), encodings.len());
    all.finish().await;
    few.finish().await;
}

/// Method, path, headers, body; status and a part of the answer.
type Case<'a> = (&'a str, &'a str, Headers<'a>, &'a [u8], u16, &'a str);

#[tokio::test]
async fn wrong_requests_get_the_right_status() {
    let started = start().await;
    let address = started.address("otlp", "http");
    let bomb = gzip(&vec![0; 32 << 20]);
    let gzipped = ("Content-Encoding", "gzip");
    let cases: &[Case<'_>] = &[
        ("GET", "/v1/traces", &[PROTOBUF], b"", 405, "only POST"),
        ("POST", "/v1/metrics", &[PROTOBUF], b"", 404, "/v1/traces"),
        ("POST", "/v1/traces", &[("Content-Type", "text/plain")], b"", 415, "content type"),
        ("POST", "/v1/traces", &[], b"", 415, "content type"),
        ("POST", "/v1/traces", &[PROTOBUF, ("Content-Encoding", "br")], b"", 415, "content encoding br"),
        ("POST", "/v1/traces", &[PROTOBUF], b"\x0a\xff", 400, "not a valid OTLP request"),
        ("POST", "/v1/traces", &[JSON], b"{\"resourceSpans\":7}", 400, "\"code\":3"),
        ("POST", "/v1/traces", &[JSON], b"{", 400, "\"message\":"),
        ("POST", "/v1/traces", &[PROTOBUF, gzipped], b"not gzip at all, no", 400, "decompressed"),
        ("POST", "/v1/traces", &[PROTOBUF, gzipped], &bomb, 413, "max_request_body_size"),
        ("POST", "/v1/traces", &[JSON, ("Content-Length", "2000000")], b"{", 413, "max_request_body_size"),
    ];
    for (method, path, headers, body, status, text) in cases {
        let answer = http(address, method, path, headers, body).await;
        assert_eq!(answer.status, *status, "{method} {path} {headers:?}: {answer:?}");
        assert!(answer.text().contains(text), "{method} {path} {headers:?}: {}", answer.text());
    }
    let ledger = started.ledger();
    assert_eq!(ledger.receivers[0].refused_requests.of(RefusalReason::TooLarge), 2);
    assert_eq!(ledger.receivers[0].received, 0);
    started.finish().await;
}

#[tokio::test]
async fn partial_success_is_told_in_json() {
    let started = start().await;
    let body = JSON_BODY.replace("0101010101010101", "0000000000000000");
    let answer = http(started.address("otlp", "http"), "POST", "/v1/traces", &[JSON], body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(r#""rejectedSpans":"1""#), "{}", answer.text());
    assert_eq!(started.ledger().receivers[0].rejected, 1);
    started.finish().await;
}

#[tokio::test]
async fn http_2_without_tls_is_served_on_the_same_port() {
    let started = start().await;
    let stream = TcpStream::connect(started.address("otlp", "http")).await.expect("the gateway listens");
    let (send, connection) = h2::client::handshake(stream).await.expect("the gateway speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let mut send = send.ready().await.expect("the connection is open");
    let head = ::http::Request::post("http://gateway/v1/traces").header(PROTOBUF.0, PROTOBUF.1);
    let (response, mut body) = send.send_request(head.body(()).expect("is a request"), false).expect("is open");
    body.send_data(request(&["h2c"]).encode_to_vec().into(), true).expect("the stream is open");
    assert_eq!(response.await.expect("the gateway answers").status(), 200);
    assert!(started.printed().contains(&line_of(1, "h2c")));
    connection.abort();
    started.finish().await;
}
