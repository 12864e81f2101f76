use expect_test::{Expect, expect};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::otlp::batch::TraceBatch;
use crate::otlp::testing::{normalised, request, seen};
use crate::otlp::validate::{Limits, Validated, validate};

fn written(batch: &TraceBatch) -> String {
    let mut out = Vec::new();
    write_traces(batch, &mut out).expect("memory");
    String::from_utf8(out).expect("JSON is text")
}

fn read(json: &str) -> Validated {
    read_request(json.as_bytes(), &Limits::default()).expect("readable")
}

/// A request whose only span has these members besides its ids.
fn with_span(members: &str) -> String {
    let ids = r#""traceId":"01010101010101010101010101010101","spanId":"0202020202020202""#;
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids}{members}}}]}}]}}]}}"#)
}

proptest! {
    #[test]
    fn json_round_trip(request in request()) {
        let batch = validate(request.encode_to_vec().into(), &Limits::default()).expect("valid").batch;
        let json = written(&batch);
        serde_json::from_str::<serde_json::Value>(&json).expect("independent parser agrees that it is JSON");
        let Validated { batch, rejected } = read(&json);
        prop_assert_eq!(rejected.items, 0);
        prop_assert_eq!(seen(batch.request()), normalised(request));
    }

    #[test]
    fn any_text_never_panics(text in "[\\[\\]{}:,\"a-z0-9.\\\\-]{0,60}") {
        _ = read_request(text.as_bytes(), &Limits::default());
    }

    #[test]
    fn cut_and_changed_json_never_panics(request in request(), position in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
        let mut json = written(&validate(request.encode_to_vec().into(), &Limits::default()).expect("valid").batch).into_bytes();
        let position = position.index(json.len());
        if cut {
            json.truncate(position);
        } else {
            json[position] = byte;
        }
        _ = read_request(&json, &Limits::default());
    }
}

fn check_output(input: &str, expected: &Expect) {
    expected.assert_eq(&written(&read(input).batch));
}

#[test]
fn output_is_as_the_specification_says() {
    check_output(
        &with_span(
            r#","kind":"SPAN_KIND_SERVER","startTimeUnixNano":18446744073709551615,"endTimeUnixNano":"5",
            "attributes":[
                {"key":"s","value":{"stringValue":"\u00e9\u0001\"\\"}},{"key":"i","value":{"intValue":"-9223372036854775808"}},
                {"key":"n","value":{"doubleValue":"NaN"}},{"key":"p","value":{"doubleValue":"-Infinity"}},{"key":"d","value":{"doubleValue":1}},
                {"key":"y","value":{"bytesValue":"-_8"}},{"key":"b","value":{"boolValue":false}},{"key":"e","value":{}},
                {"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}]}}}],
            "status":{"code":2,"message":"m"}"#,
        ),
        &expect![[
            r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","kind":2,"startTimeUnixNano":"18446744073709551615","endTimeUnixNano":"5","attributes":[{"key":"s","value":{"stringValue":"é\u0001\"\\"}},{"key":"i","value":{"intValue":"-9223372036854775808"}},{"key":"n","value":{"doubleValue":"NaN"}},{"key":"p","value":{"doubleValue":"-Infinity"}},{"key":"d","value":{"doubleValue":1.0}},{"key":"y","value":{"bytesValue":"+/8="}},{"key":"b","value":{"boolValue":false}},{"key":"e","value":{}},{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}]}}}],"status":{"message":"m","code":2}}]}]}]}"#
        ]],
    );
    check_output("{}", &expect![[r#"{"resourceSpans":[]}"#]]);
    check_output(
        r#"{"resourceSpans":[{"resource":{"entityRefs":[{"type":"service","idKeys":["a","b"]}],"droppedAttributesCount":2},"schemaUrl":"u"},{"scopeSpans":[{},{"scope":{"name":"n"}}]}]}"#,
        &expect![[
            r#"{"resourceSpans":[{"resource":{"droppedAttributesCount":2,"entityRefs":[{"type":"service","idKeys":["a","b"]}]},"schemaUrl":"u","scopeSpans":[]},{"resource":{},"scopeSpans":[{"scope":{},"spans":[]},{"scope":{"name":"n"},"spans":[]}]}]}"#
        ]],
    );
}

/// The shape of what AWS's CloudFront sample sends (reference, weaknesses 6 to 11): snake_case, `scope_library` which
/// is no field, times as numbers beyond 2^53, kind INTERNAL.
#[test]
fn the_payload_of_the_published_cloudfront_sample_is_read() {
    let payload = r#"{"resource_spans":[{"resource":{"attributes":[
        {"key":"service.name","value":{"string_value":"cloudfront"}},
        {"key":"telemetry.sdk.language","value":{"string_value":"nodejs"}}]},
      "scope_spans":[{"scope_library":{"name":"cf-tracing","version":"1"},"spans":[{
        "trace_id":"09D64AE8D7628A6968E3F996796F3F63","span_id":"2184743dd888b4f1","parent_span_id":"",
        "name":"d111111abcdef8.cloudfront.net","kind":1,
        "start_time_unix_nano":1663160000123000000,"end_time_unix_nano":1663160000151000064,
        "attributes":[{"key":"requestId","value":{"string_value":"Gx7T0nVb2qk8Zc1yLwPjHs5uRd9eMfA4oXi3tKQ6bN_hYvC-JzWpUg=="}}]}]}]}]}"#;
    let Validated { batch, rejected } = read(payload);
    assert_eq!(rejected.items, 0);
    let found = batch.span(0);
    assert_eq!(found.resource.service_name(), "cloudfront");
    assert_eq!(found.span.trace_id.to_string(), "09d64ae8d7628a6968e3f996796f3f63");
    assert!(found.span.is_root());
    assert_eq!((found.span.start.0, found.span.end.0), (1_663_160_000_123_000_000, 1_663_160_000_151_000_064));
    assert_eq!(found.span.kind_number, 1);
    assert_eq!(found.span.attributes().count(), 1);
}

#[test]
fn input_is_lenient_where_the_collector_is() {
    let Validated { batch, rejected } = read(&with_span(
        r#","unknown":{"deep":[1,{"a":null}]},"name":null,"attributes":null,"events":[null,{"name":"e","timeUnixNano":7}],
        "flags":257,"droppedLinksCount":"3","status":{"code":"STATUS_CODE_ERROR"},"startTimeUnixNano":1.5e18,"kind":99,
        "links":[{"traceId":"","spanId":"00","flags":1}]"#,
    ));
    assert_eq!(rejected.items, 0, "{}", rejected.first_reason);
    let span = batch.span(0).span;
    assert_eq!(
        (span.name, span.flags, span.dropped_links_count, span.status_number, span.kind_number),
        ("", 257, 3, 2, 99)
    );
    assert_eq!(span.start.0, 1_500_000_000_000_000_000);
    assert_eq!(
        span.events().map(|event| (event.name.to_owned(), event.time.0)).collect::<Vec<_>>(),
        [("e".to_owned(), 7)]
    );
    assert_eq!(span.links().map(|link| link.span_id.to_vec()).collect::<Vec<_>>(), [vec![0]]);
}

#[test]
fn a_bad_span_is_rejected_with_its_reason() {
    let cases = [
        (r#","name":5"#, "span 0: name: not a string"),
        (r#","kind":"SERVER""#, "span 0: kind: not a name of the enumeration"),
        (r#","traceId":"xyz""#, "span 0: traceId: not hexadecimal"),
        (r#","traceId":"0101""#, "span 0: trace_id has 2 bytes instead of 16"),
        (r#","spanId":"0000000000000000""#, "span 0: span_id is all zeroes"),
        (r#","startTimeUnixNano":-1"#, "span 0: startTimeUnixNano: not an unsigned 64-bit integer"),
        (r#","startTimeUnixNano":"1.5""#, "span 0: startTimeUnixNano: not an integer"),
        (
            r#","attributes":[{"key":"k","value":{"intValue":"9223372036854775808"}}]"#,
            "span 0: intValue: does not fit 64 bits",
        ),
        (r#","attributes":[{"key":"k","value":{"bytesValue":"*"}}]"#, "span 0: bytesValue: not base64"),
        (r#","attributes":[{"key":"k","value":"v"}]"#, "span 0: AnyValue is a string instead of an object"),
        (r#","attributes":{"k":"v"}"#, "span 0: attributes is an object instead of an array"),
        (r#","status":2"#, "span 0: Status is a number instead of an object"),
    ];
    for (members, reason) in cases {
        let Validated { batch, rejected } = read(&with_span(members));
        assert_eq!((rejected.items, rejected.first_reason.as_str()), (1, reason), "{members}");
        assert!(batch.is_empty());
    }
    let both = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":{"boolValue":"yes"}}]},"scopeSpans":[{"spans":[{},{}]}]},
        {"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","name":"kept"}]}]}]}"#;
    let Validated { batch, rejected } = read(both);
    assert_eq!((rejected.items, rejected.first_reason.as_str()), (2, "boolValue: not a truth value"));
    assert_eq!(batch.span(0).span.name, "kept");
}

#[test]
fn what_is_no_request_is_refused() {
    let cases = [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "Request is an array instead of an object"),
        (r#"{"resourceSpans":{}}"#, "resourceSpans is an object instead of an array"),
        (r#"{"resourceSpans":[7]}"#, "ResourceSpans is a number instead of an object"),
        (r#"{"resourceSpans":[]"#, "EOF while parsing an object at line 1 column 19"),
        (r#"{"resourceSpans":[]} x"#, "trailing characters at line 1 column 22"),
    ];
    for (json, reason) in cases {
        let error = read_request(json.as_bytes(), &Limits::default()).expect_err(json);
        assert_eq!(error.0, reason);
    }
    assert_eq!(read_request(b"{\"\xff\"}", &Limits::default()).expect_err("bytes").0, "the body is not UTF-8");
}

/// `depth` arrays, or lists, in each other.
fn nested(depth: usize, open: &str, close: &str) -> String {
    let value = format!(r#"{}"boolValue":true{}"#, open.repeat(depth), close.repeat(depth));
    with_span(&format!(r#","attributes":[{{"key":"k","value":{{{value}}}}}]"#))
}

#[test]
fn depth_is_bounded_as_in_protobuf() {
    for (open, close) in
        [(r#""arrayValue":{"values":[{"#, "}]}"), (r#""kvlistValue":{"values":[{"key":"","value":{"#, "}}]}")]
    {
        let Validated { batch, rejected } = read(&nested(64, open, close));
        assert_eq!((batch.span_count(), rejected.items), (1, 0));
        for depth in [65, 2_000] {
            let Validated { rejected, .. } = read(&nested(depth, open, close));
            assert_eq!(rejected.first_reason, "span 0: attribute value is nested more than 64 levels deep");
        }
    }
    // Unknown members may be as deep as they like.
    let unknown = format!(r#","unknown":{}{}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(read(&with_span(&unknown)).batch.span_count(), 1);
}
