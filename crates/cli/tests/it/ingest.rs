//! What is sent is what is found: every transport and compression, from independent clients.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;

use crate::api;
use crate::http;
use crate::otlp::{self, any, attribute, export_json, hex, now, request, span, trace_id};
use crate::process::{Process, Setup, Site};

/// A trace of two services that uses every field of a span.
fn full_trace(id: &[u8], start: u64) -> ExportTraceServiceRequest {
    let root = Span {
        name: "GET /checkout".into(),
        trace_state: "ot=th:8,vendor=x".into(),
        flags: 0x101,
        ..span(id, 1, start)
    };
    let array = ArrayValue { values: vec![AnyValue { value: Some(Any::IntValue(-1)) }, AnyValue { value: None }] };
    let list = KeyValueList { values: vec![attribute("inner", "value"), any("deep", Any::ArrayValue(array.clone()))] };
    let child = Span {
        name: "SELECT items".into(),
        kind: SpanKind::Client.into(),
        parent_span_id: 1u64.to_be_bytes().to_vec(),
        flags: 0x301,
        end_time_unix_nano: start + 5_000_000,
        attributes: vec![
            attribute("db.system.name", "postgresql"),
            any("rows", Any::IntValue(i64::MIN)),
            any("ratio", Any::DoubleValue(0.1)),
            any("cached", Any::BoolValue(false)),
            any("plan", Any::BytesValue(vec![0, 255, 10])),
            any("tags", Any::ArrayValue(array)),
            any("context", Any::KvlistValue(list)),
            attribute("empty", ""),
        ],
        dropped_attributes_count: 3,
        events: vec![Event {
            time_unix_nano: start + 1,
            name: "exception".into(),
            attributes: vec![attribute("exception.message", "deadlock „detected“")],
            dropped_attributes_count: 1,
        }],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: vec![7; 16],
            span_id: vec![9; 8],
            trace_state: "a=b".into(),
            attributes: vec![attribute("why", "retry")],
            dropped_attributes_count: 2,
            flags: 0x100,
        }],
        dropped_links_count: 5,
        status: Some(Status { code: 2, message: "deadlock".into() }),
        ..span(id, 2, start + 1_000_000)
    };
    let mut sent = request("shop", vec![root]);
    sent.resource_spans.extend(request("inventory", vec![child]).resource_spans);
    sent
}

/// The trace is there by its id, field by field, and is found by what its spans are.
fn check_found(process: &Process, sent: &ExportTraceServiceRequest, id: &[u8]) {
    let ui = process.ui();
    assert_eq!(api::trace(ui, &hex(id)).expect("it was acknowledged"), api::expected(std::slice::from_ref(sent), id));
    let query =
        r#"{ resource.service.name = "inventory" && name = "SELECT items" && status = error && duration < 1s }"#;
    let found = api::search(ui, query, "&limit=1000");
    let found: Vec<_> = found.iter().filter(|trace| trace["traceId"] == hex(id).as_str()).collect();
    assert_eq!(found.len(), 1);
    let start = sent.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano;
    let expected = json!({
        "traceId": hex(id),
        "rootService": "shop",
        "rootName": "GET /checkout",
        "rootMissing": false,
        "startTimeUnixNano": start.to_string(),
        "durationNanos": 10_000_000,
        "spanCount": 2,
        "errorCount": 1,
        "services": [{"name": "inventory", "spans": 1, "errors": 1}, {"name": "shop", "spans": 1, "errors": 0}],
        "edgeNanos": null,
        "derivedIds": false,
        "backendNotRecorded": false,
        "errorExtent": [1_000_000, 5_000_000],
    });
    assert_eq!(found[0], &expected);
}

#[test]
fn grpc_identity_gzip_and_zstd() {
    let process = Site::new(Setup::default());
    let process = process.start();
    for (number, encoding) in
        [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)].into_iter().enumerate()
    {
        let id = trace_id("grpc", number as u64);
        let sent = full_trace(&id, now());
        let answer = otlp::runtime().block_on(async {
            otlp::client(process.otlp_grpc(), encoding).await.export(sent.clone()).await.expect("accepted").into_inner()
        });
        assert_eq!(answer.partial_success, None, "full success sets nothing (OTLP specification, \"Full Success\")");
        check_found(&process, &sent, &id);
    }
    process.stop();
}

#[test]
fn http_protobuf_and_json_plain_and_compressed() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let address = process.otlp_http();
    let mut number = 0;
    for content_type in ["application/x-protobuf", "application/json"] {
        for encoding in ["identity", "gzip", "zstd"] {
            number += 1;
            let id = trace_id("http", number);
            let sent = full_trace(&id, now());
            let body = match content_type {
                "application/json" => otlp::json_of(&sent).to_string().into_bytes(),
                _ => sent.encode_to_vec(),
            };
            let body = otlp::compress(encoding, &body);
            let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
            let headers = if encoding == "identity" { &headers[..1] } else { &headers[..] };
            let answer = http::send(address, "POST", "/v1/traces", headers, &body);
            assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{encoding}");
            match content_type {
                "application/json" => assert_eq!(answer.json(), json!({}), "the answer to JSON is JSON"),
                _ => assert!(answer.body.is_empty(), "the empty message"),
            }
            check_found(&process, &sent, &id);
        }
    }
    process.stop();
}

/// `examples/trace.json` of opentelemetry-proto, with a start that retention lets live.
#[test]
fn example_of_the_otlp_specification() {
    let site = Site::new(Setup::default());
    let process = site.start();
    let (start, end) = (now(), now() + 1_000_000_000);
    let payload = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
        "scopeSpans": [{
            "scope": {
                "name": "my.library",
                "version": "1.0.0",
                "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]
            },
            "spans": [{
                "traceId": "5B8EFFF798038103D269B633813FC60C",
                "spanId": "EEE19B7EC3C1B174",
                "parentSpanId": "EEE19B7EC3C1B173",
                "name": "I'm a server span",
                "startTimeUnixNano": start.to_string(),
                "endTimeUnixNano": end.to_string(),
                "kind": 2,
                "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}]
            }]
        }]
    }]});
    let answer = export_json(process.otlp_http(), payload.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let found = api::trace(process.ui(), "5b8efff798038103d269b633813fc60c").expect("it was acknowledged");
    let mut expected = payload;
    let span = &mut expected["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    for key in ["traceId", "spanId", "parentSpanId"] {
        span[key] = Value::from(api::text(&span[key]).to_lowercase());
    }
    assert_eq!(found, api::flatten(&expected));
    let rows = api::search(process.ui(), r#"{ span.my.span.attr = "some value" }"#, "");
    assert_eq!(rows[0]["rootMissing"], true, "its parent was never sent");
    process.stop();
}

/// The shape of what AWS's published CloudFront sample sends: snake_case keys, `scope_library`, which is no field of
/// OTLP, and times as JSON numbers.
#[test]
fn payload_of_the_published_cloudfront_sample() {
    let site = Site::new(Setup::default());
    let process = site.start();
    // The sample multiplies milliseconds, so its numbers end in zeros as far as a double goes.
    let start = now() / 1_000_000 * 1_000_000;
    let payload = format!(
        r#"{{"resource_spans":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"string_value":"cloudfront"}}}},
            {{"key":"telemetry.sdk.language","value":{{"string_value":"nodejs"}}}}]}},
          "scope_spans":[{{"scope_library":{{"name":"cf-tracing","version":"1"}},"spans":[{{
            "trace_id":"09D64AE8D7628A6968E3F996796F3F63","span_id":"2184743dd888b4f1","parent_span_id":"",
            "name":"d111111abcdef8.cloudfront.net","kind":1,
            "start_time_unix_nano":{start},"end_time_unix_nano":{end},
            "attributes":[{{"key":"requestId","value":{{"string_value":"Gx7T0nVb2qk8=="}}}}]}}]}}]}}]}}"#,
        end = start + 28_000_000,
    );
    let answer = export_json(process.otlp_http(), payload.as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let rows = api::search(
        process.ui(),
        r#"{ resource.service.name = "cloudfront" && span.requestId = "Gx7T0nVb2qk8==" }"#,
        "",
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["traceId"], "09d64ae8d7628a6968e3f996796f3f63");
    assert_eq!(rows[0]["rootMissing"], false);
    assert_eq!(rows[0]["startTimeUnixNano"], start.to_string().as_str());
    assert_eq!(rows[0]["durationNanos"], 28_000_000);
    process.stop();
}
