//! What is not OTLP is refused with a reason; what is merely odd is taken as it is; the process is well afterwards.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message as _;
use serde_json::Value;
use tonic::Code;

use crate::api;
use crate::http::{get, post, send};
use crate::otlp::{
    self, RpcStatus, any, attribute, check_takes_more, export_grpc, export_http, export_json, hex, now, request, span,
    trace_id,
};
use crate::process::{Process, Setup, Site};

#[test]
fn malformed_requests_are_refused_with_the_reason() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let (http, grpc) = (process.otlp_http(), process.otlp_grpc());

    let good = request("odd", vec![span(&trace_id("cut", 1), 1, now())]).encode_to_vec();
    let cut = &good[..good.len() - 3];
    for body in [cut, b"\xff\xff\xff\xff", b"plain text, no protobuf"] {
        let answer = post(http, "/v1/traces", "application/x-protobuf", body);
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/x-protobuf"));
        let status = RpcStatus::decode(answer.body.as_slice()).expect("the answer to protobuf is protobuf");
        assert_eq!(status.code, Code::InvalidArgument as i32);
        assert!(status.message.contains("at byte "), "{}", status.message);

        let status = otlp::export_raw(grpc, None, body.to_vec()).expect_err("it is not a request");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("at byte "), "{}", status.message());
    }

    for body in ["", "{", "[]", r#"{"resourceSpans":7}"#, r#"{"resourceSpans":[{"scopeSpans":{}}]}"#] {
        let answer = export_json(http, body.as_bytes());
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/json"), "{body}");
        let answer = answer.json();
        assert_eq!(answer["code"], Code::InvalidArgument as i32, "{body}");
        assert!(!api::text(&answer["message"]).is_empty(), "{body}");
    }

    // Compressed as it does not say.
    for encoding in ["gzip", "zstd"] {
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", encoding)];
        let answer = send(http, "POST", "/v1/traces", &headers, &good);
        let status = RpcStatus::decode(answer.body.as_slice()).expect("the answer to protobuf is protobuf");
        let said = format!("the body cannot be decompressed: it is not {encoding}");
        assert_eq!((answer.status, status.message), (400, said));
    }
    check_takes_more(&process);
    process.stop();
}

#[test]
fn what_is_not_a_request_for_traces_is_refused() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let http = process.otlp_http();
    let body = request("odd", vec![span(&trace_id("media", 1), 1, now())]).encode_to_vec();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(post(http, "/v1/traces", content_type, &body).status, 415, "{content_type:?}");
    }
    assert_eq!(send(http, "POST", "/v1/traces", &[], &body).status, 415, "no content type");
    let brotli = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "br")];
    assert_eq!(send(http, "POST", "/v1/traces", &brotli, &body).status, 415, "an unknown encoding");
    assert_eq!(send(http, "GET", "/v1/traces", &[], &[]).status, 405);
    assert_eq!(post(http, "/v1/metrics", "application/x-protobuf", &body).status, 404);
    let parameters = "application/x-protobuf; charset=utf-8";
    assert_eq!(post(http, "/v1/traces", parameters, &body).status, 200, "parameters change nothing");
    check_takes_more(&process);
    process.stop();
}

#[test]
fn a_bad_span_is_left_out_and_the_rest_kept() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let (http, grpc) = (process.otlp_http(), process.otlp_grpc());
    for (number, transport) in ["grpc", "protobuf", "json"].into_iter().enumerate() {
        let id = trace_id("partial", number as u64);
        let good = span(&id, 1, now());
        let no_trace = Span { trace_id: vec![0; 16], ..span(&id, 2, now()) };
        let short_id = Span { span_id: vec![1, 2, 3], ..span(&id, 3, now()) };
        let sent = request("partial", vec![no_trace, good.clone(), short_id]);
        let (rejected, reason) = match transport {
            "grpc" => partial(&export_grpc(grpc, sent).expect("partial success")),
            "protobuf" => {
                let answer = export_http(http, &sent);
                assert_eq!(answer.status, 200);
                partial(&ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("protobuf"))
            }
            _ => {
                let answer = export_json(http, otlp::json_of(&sent).to_string().as_bytes());
                assert_eq!(answer.status, 200);
                let partial = &answer.json()["partialSuccess"];
                // A 64-bit integer is a decimal string in JSON.
                let count = api::text(&partial["rejectedSpans"]).parse().expect("a number");
                (count, api::text(&partial["errorMessage"]).to_owned())
            }
        };
        assert_eq!(rejected, 2, "{transport}");
        assert!(
            reason.contains("trace_id") || reason.contains("trace id") || reason.contains("traceId"),
            "{transport}: {reason}"
        );
        let expected = api::expected(&[request("partial", vec![good])], &id);
        assert_eq!(api::trace(process.ui(), &hex(&id)).expect("the good one is kept"), expected, "{transport}");
    }
    process.stop();
}

fn partial(answer: &ExportTraceServiceResponse) -> (i64, String) {
    let partial = answer.partial_success.as_ref().expect("it says what was left out");
    (partial.rejected_spans, partial.error_message.clone())
}

/// Each of these is legal, or so common that refusing it would help nobody.
fn odd_spans(now: u64) -> Vec<(&'static str, Span)> {
    let id = |number| trace_id("odd", number);
    let link = |trace_id: Vec<u8>, span_id: Vec<u8>| Link { trace_id, span_id, ..Link::default() };
    vec![
        ("no name", Span { name: String::new(), ..span(&id(1), 1, now) }),
        ("a parent of zeroes is none", Span { parent_span_id: vec![0; 8], ..span(&id(2), 1, now) }),
        ("ends before it starts", Span { end_time_unix_nano: now - 5_000, ..span(&id(3), 1, now) }),
        ("no times", Span { start_time_unix_nano: 0, end_time_unix_nano: 0, ..span(&id(4), 1, now) }),
        (
            "times beyond i64",
            Span { start_time_unix_nano: u64::MAX - 1, end_time_unix_nano: u64::MAX, ..span(&id(5), 1, now) },
        ),
        (
            "start beyond i64, end 1",
            Span { start_time_unix_nano: 1 << 63, end_time_unix_nano: 1, ..span(&id(6), 1, now) },
        ),
        ("bytes", Span { attributes: vec![any("bytes", Any::BytesValue(vec![0, 1, 255]))], ..span(&id(7), 1, now) }),
        (
            "duplicate keys",
            Span {
                attributes: vec![
                    attribute("k", "a"),
                    attribute("k", "b"),
                    any("k", Any::IntValue(3)),
                    attribute("k", "a"),
                ],
                ..span(&id(8), 1, now)
            },
        ),
        ("a value of 1 MB", Span { attributes: vec![attribute("body", &"v".repeat(1 << 20))], ..span(&id(9), 1, now) }),
        (
            "odd ids in links",
            Span {
                links: vec![
                    link(vec![], vec![]),
                    link(vec![0; 16], vec![0; 8]),
                    link(vec![1, 2], vec![3]),
                    link(vec![9; 40], vec![8; 16]),
                ],
                ..span(&id(10), 1, now)
            },
        ),
        ("unknown kind, wild flags", Span { kind: 77, flags: u32::MAX, ..span(&id(11), 1, now) }),
        (
            "an event before the span",
            Span {
                events: vec![
                    Event { time_unix_nano: 1, ..Event::default() },
                    Event { time_unix_nano: u64::MAX, ..Event::default() },
                ],
                ..span(&id(12), 1, now)
            },
        ),
        ("its own parent", Span { parent_span_id: 1u64.to_be_bytes().to_vec(), ..span(&id(13), 1, now) }),
        (
            "no key, no value",
            Span {
                attributes: vec![
                    attribute("", "x"),
                    any("nan", Any::DoubleValue(-0.0)),
                    attribute("text", "\u{0}\u{1}\u{ffff}\"\\"),
                ],
                ..span(&id(14), 1, now)
            },
        ),
    ]
}

#[test]
fn odd_spans_are_taken_as_they_are() {
    let site = Site::new(Setup { store: ", seal_spans: 5, seal_after: 100ms", ..Setup::default() });
    let process = site.start();
    let start = now();
    for (what, odd) in odd_spans(start) {
        let sent = request("odd", vec![odd]);
        let answer = export_grpc(process.otlp_grpc(), sent).unwrap_or_else(|status| panic!("{what}: {status}"));
        assert_eq!(answer.partial_success, None, "{what}");
    }
    check_odd(&process, start);
    let roots = api::search(process.ui(), "{}", "&limit=1000");
    assert_eq!(roots.len(), odd_spans(start).len(), "all are found by search");
    let of = |number| {
        let id = hex(&trace_id("odd", number));
        roots.iter().find(|trace| trace["traceId"] == id.as_str()).expect("it is listed")
    };
    assert_eq!(of(2)["rootMissing"], Value::Bool(false), "zeroes are no parent");
    assert_eq!(of(3)["durationNanos"], 0, "no negative duration");
    process.stop();
    // In blocks now, not in the journal.
    let process = site.start();
    check_odd(&process, start);
    process.stop();
}

fn check_odd(process: &Process, start: u64) {
    for (what, odd) in odd_spans(start) {
        let id = odd.trace_id.clone();
        let found = api::trace(process.ui(), &hex(&id)).unwrap_or_else(|| panic!("{what}: not found"));
        let mut expected = api::expected(&[request("odd", vec![odd])], &id);
        if let Some(span) = expected[0]["span"].as_object_mut() {
            // The W3C's and OTLP's "no parent"; it is written as protobuf's absent field.
            span.retain(|key, value| key != "parentSpanId" || *value != "0000000000000000");
        }
        assert_eq!(found, expected, "{what}");
        let view = get(process.ui(), &format!("/api/v1/traces/{}/view", hex(&id)));
        assert_eq!(view.status, 200, "{what}: it can be shown");
    }
}

#[test]
fn longer_than_the_limit_is_refused() {
    let site = Site::new(Setup {
        grpc: ", max_recv_msg_size_mib: 1",
        http: ", max_request_body_size: 1MiB",
        ..Setup::default()
    });
    let process = site.start();
    let long =
        Span { attributes: vec![attribute("body", &"v".repeat(3 << 20))], ..span(&trace_id("long", 1), 1, now()) };
    let sent = request("long", vec![long]);
    let answer = export_http(process.otlp_http(), &sent);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let status = RpcStatus::decode(answer.body.as_slice()).expect("protobuf");
    assert!(status.message.contains("max_request_body_size"), "{}", status.message);
    let answer = export_json(process.otlp_http(), otlp::json_of(&sent).to_string().as_bytes());
    assert_eq!(answer.status, 413, "{}", answer.text());
    let status = export_grpc(process.otlp_grpc(), sent).expect_err("it is too long");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("max_recv_msg_size_mib"), "{status}");
    check_takes_more(&process);
    process.stop();
}
