use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::otlp::testing::{normalised, plain_span, request, request_of, seen, seen_span};
use crate::otlp::view::AnyValue;
use crate::otlp::write::{
    Value, put_any_value, put_attribute, put_bytes, put_fixed64, put_message, put_string, put_varint,
};

fn check(request: &ExportTraceServiceRequest) -> Validated {
    validate(request.encode_to_vec().into(), &Limits::default()).expect("prost's bytes are well-formed")
}

fn names(batch: &TraceBatch) -> Vec<&str> {
    batch.spans().map(|span| span.span.name).collect()
}

proptest! {
    #[test]
    fn views_see_what_prost_wrote(request in request()) {
        let bytes = request.encode_to_vec();
        let Validated { batch, rejected } = check(&request);
        prop_assert_eq!(rejected, Rejected::default());
        prop_assert_eq!(batch.bytes(), &bytes, "nothing was rejected, so nothing is copied");
        let expected = normalised(request);
        prop_assert_eq!(&seen(batch.request()), &expected);
        // The index leads to the same spans, resources and scopes as the tree.
        let all = expected.resource_spans.iter().flat_map(|resource_spans| {
            resource_spans.scope_spans.iter().flat_map(move |scope_spans| {
                scope_spans.spans.iter().map(move |span| (resource_spans, scope_spans, span))
            })
        });
        let all: Vec<_> = all.collect();
        prop_assert_eq!(batch.span_count(), all.len());
        for (found, (resource_spans, scope_spans, span)) in batch.spans().zip(all) {
            prop_assert_eq!(&seen_span(&found.span), span);
            prop_assert_eq!(found.resource.schema_url, &resource_spans.schema_url);
            prop_assert_eq!(found.resource.attributes().count(), resource_spans.resource.as_ref().expect("set").attributes.len());
            prop_assert_eq!(found.scope.name, &scope_spans.scope.as_ref().expect("set").name);
            prop_assert_eq!(found.scope.schema_url, &scope_spans.schema_url);
            prop_assert_eq!(&seen_span(&batch.span(found.index).span), span);
        }
    }

    #[test]
    fn what_is_left_is_the_request_without_the_bad_spans(request in request(), bad in proptest::collection::vec(any::<bool>(), 12)) {
        let mut sent = request.clone();
        let mut expected = request;
        let mut rejected = 0;
        let mut is_bad = bad.into_iter().cycle();
        for (sent, expected) in sent.resource_spans.iter_mut().zip(&mut expected.resource_spans) {
            for (sent, expected) in sent.scope_spans.iter_mut().zip(&mut expected.scope_spans) {
                expected.spans.clear();
                for span in &mut sent.spans {
                    if is_bad.next() == Some(true) {
                        span.trace_id.clear();
                        rejected += 1;
                    } else {
                        expected.spans.push(span.clone());
                    }
                }
            }
        }
        let validated = check(&sent);
        prop_assert_eq!(validated.rejected.items, rejected);
        prop_assert_eq!(seen(validated.batch.request()), normalised(expected));
        TraceBatch::from_trusted(validated.batch.bytes().clone()).expect("what was kept is valid");
    }

    #[test]
    fn batches_concatenate(left in request(), right in request()) {
        let both = TraceBatch::concatenate(&[check(&left).batch, check(&right).batch]).expect("short");
        let mut expected = left;
        expected.resource_spans.extend(right.resource_spans);
        let whole = check(&expected).batch;
        prop_assert_eq!(both.bytes(), whole.bytes());
        let ids = |batch: &TraceBatch| -> Vec<_> {
            batch.spans().map(|span| (span.span.bytes.to_vec(), span.resource_index, span.scope_index, span.scope.name.to_owned())).collect()
        };
        prop_assert_eq!(ids(&both), ids(&whole));
        let trusted = TraceBatch::from_trusted(whole.bytes().clone()).expect("valid");
        prop_assert_eq!(ids(&trusted), ids(&whole));
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Validated { batch, .. }) = validate(bytes.into(), &Limits::default()) {
            prop_assert_eq!(seen(batch.request()), ExportTraceServiceRequest::decode(batch.bytes().clone()).map(normalised).expect("we are no laxer than prost"));
        }
    }

    #[test]
    fn changed_bytes_never_panic(request in request(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = request.encode_to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        for (index, byte) in changes {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok(Validated { batch, .. }) = validate(bytes.into(), &Limits::default()) {
            let again = validate(batch.bytes().clone(), &Limits::default()).expect("validated");
            prop_assert_eq!(again.rejected.items, 0);
            prop_assert_eq!(again.batch.bytes(), batch.bytes());
            prop_assert_eq!(again.batch.span_count(), seen(batch.request()).resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum::<usize>());
        }
    }
}

#[test]
fn a_bad_span_is_left_out_and_the_rest_kept() {
    let cases: [(Span, &str); 8] = [
        (Span { trace_id: vec![], ..plain_span(9) }, "span 1: trace_id is missing"),
        (Span { trace_id: vec![1; 15], ..plain_span(9) }, "span 1: trace_id has 15 bytes instead of 16"),
        (Span { trace_id: vec![0; 16], ..plain_span(9) }, "span 1: trace_id is all zeroes"),
        (Span { span_id: vec![], ..plain_span(9) }, "span 1: span_id is missing"),
        (Span { span_id: vec![1; 16], ..plain_span(9) }, "span 1: span_id has 16 bytes instead of 8"),
        (Span { span_id: vec![0; 8], ..plain_span(9) }, "span 1: span_id is all zeroes"),
        (Span { parent_span_id: vec![1; 7], ..plain_span(9) }, "span 1: parent_span_id has 7 bytes instead of 8"),
        (Span { parent_span_id: vec![1; 9], ..plain_span(9) }, "span 1: parent_span_id has 9 bytes instead of 8"),
    ];
    for (bad, reason) in cases {
        let Validated { batch, rejected } = check(&request_of(vec![plain_span(1), bad, plain_span(2)]));
        assert_eq!(rejected, Rejected { items: 1, first_reason: reason.into() });
        assert_eq!(names(&batch), ["span 1", "span 2"]);
        assert_eq!(batch.span(1).resource.service_name(), "cart");
    }
}

#[test]
fn odd_spans_are_taken_as_they_are() {
    let odd = Span {
        parent_span_id: vec![0; 8],
        name: String::new(),
        kind: 77,
        start_time_unix_nano: u64::MAX,
        end_time_unix_nano: 1,
        links: vec![opentelemetry_proto::tonic::trace::v1::span::Link::default()],
        ..plain_span(1)
    };
    let Validated { batch, rejected } = check(&request_of(vec![odd]));
    assert_eq!(rejected.items, 0);
    let span = batch.span(0).span;
    assert!(span.is_root());
    assert_eq!((span.kind_number, span.duration_nanos()), (77, 0));
    assert_eq!(span.links().count(), 1);
}

#[test]
fn large_values_and_repeated_keys_are_kept() {
    let long = "é".repeat(500_000);
    let content = made(|out| {
        put_attribute(out, field::span::ATTRIBUTES, "key", &long);
        put_attribute(out, field::span::ATTRIBUTES, "key", &[0, 0xff][..]);
    });
    let bytes = with_span_content(&content);
    let Validated { batch, rejected } = validate(bytes.clone(), &Limits::default()).expect("legal");
    assert_eq!((rejected.items, batch.bytes()), (0, &bytes));
    let span = batch.span(0).span;
    let values: Vec<AnyValue<'_>> = span.attributes().map(|pair| pair.value).collect();
    assert_eq!(values, [AnyValue::String(&long), AnyValue::Bytes(&[0, 0xff])]);
    assert_eq!(span.attribute("key"), Some(AnyValue::String(&long)), "the first is meant");
}

/// A request whose only span has `content` appended.
fn with_span_content(content: &[u8]) -> Bytes {
    wrapped(|out| {
        let mut span = plain_span(1).encode_to_vec();
        span.extend_from_slice(content);
        put_bytes(out, field::scope_spans::SPANS, &span);
    })
}

/// A request with one scope with this content.
fn wrapped(scope: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    put_message(&mut out, field::request::RESOURCE_SPANS, |out| {
        put_message(out, field::resource_spans::SCOPE_SPANS, scope)
    });
    out.into()
}

fn made(make: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    make(&mut out);
    out
}

#[test]
fn malformed_encodings_condemn_the_request() {
    let cases: [(&str, Vec<u8>, &str); 12] = [
        ("field cut short", vec![0x2a, 5, b'a'], "message ends within a field"),
        ("fixed64 cut short", vec![0x39, 1, 2], "message ends within a field"),
        ("varint without end", vec![0x30, 0x80], "message ends within a field"),
        ("length beyond the end", vec![0x2a, 0xff, 0xff, 0xff, 0xff, 0x0f], "message ends within a field"),
        ("varint of eleven bytes", [&[0x30][..], &[0xff; 10], &[1]].concat(), "varint has more than 64 bits"),
        ("field number 0", vec![0x02, 0], "illegal field number"),
        ("field number 2^29", vec![0x80, 0x80, 0x80, 0x80, 0x10, 0], "illegal field number"),
        ("wire type 7", vec![0x37], "illegal wire type"),
        ("name as a number", vec![0x28, 1], "field has another wire type than its schema"),
        ("kind as text", vec![0x32, 1, b'a'], "field has another wire type than its schema"),
        ("end of a group that never began", vec![0x9c, 0x06], "group start and end do not match"),
        ("group that never ends", vec![0x9b, 0x06, 0x28, 1], "group start and end do not match"),
    ];
    for (what, content, reason) in cases {
        let error = validate(with_span_content(&content), &Limits::default()).expect_err(what);
        assert_eq!(error.reason, reason, "{what}");
        assert!(error.offset > 40, "{what}: offset {} is within the span", error.offset);
    }
    let deep = [0x9b, 0x06].repeat(40);
    let error = validate(with_span_content(&deep), &Limits::default()).expect_err("groups");
    assert_eq!(error.reason, "groups are nested too deeply");
    assert_eq!(
        validate(Bytes::from_static(b"\x0a\x7f"), &Limits::default()).expect_err("cut").to_string(),
        "not a valid OTLP request: message ends within a field at byte 2"
    );
}

#[test]
fn unknown_fields_and_groups_are_kept() {
    let content = made(|out| {
        put_string(out, 100, "unknown");
        put_varint(out, 101, u64::MAX);
        // A group with a field inside: wire types 3 and 4.
        out.extend_from_slice(&[0x9b, 0x06, 0x28, 1, 0x9c, 0x06]);
    });
    let bytes = with_span_content(&content);
    let Validated { batch, rejected } = validate(bytes.clone(), &Limits::default()).expect("legal");
    assert_eq!(rejected.items, 0);
    assert_eq!(batch.bytes(), &bytes);
    assert!(batch.span(0).span.bytes.ends_with(&content));
}

#[test]
fn text_that_is_not_utf8_rejects_its_span_only() {
    let attribute = |key: &[u8], value: &[u8]| {
        made(|out| {
            put_message(out, field::span::ATTRIBUTES, |out| {
                put_bytes(out, field::key_value::KEY, key);
                put_message(out, field::key_value::VALUE, |out| put_bytes(out, field::any_value::STRING, value));
            });
        })
    };
    let cases = [
        (made(|out| put_bytes(out, field::span::NAME, b"\xff")), "span 0: name is not valid UTF-8"),
        (made(|out| put_bytes(out, field::span::TRACE_STATE, b"\xc3")), "span 0: trace_state is not valid UTF-8"),
        (attribute(b"\xed\xa0\x80", b"surrogate"), "span 0: attribute key is not valid UTF-8"),
        (attribute(b"key", b"\xc0\xaf"), "span 0: attribute value is not valid UTF-8"),
        (
            made(|out| put_message(out, field::span::EVENTS, |out| put_bytes(out, field::event::NAME, b"\xfe"))),
            "span 0: event name is not valid UTF-8",
        ),
        (
            made(|out| put_message(out, field::span::STATUS, |out| put_bytes(out, field::status::MESSAGE, b"\xfe"))),
            "span 0: status message is not valid UTF-8",
        ),
    ];
    for (content, reason) in cases {
        let Validated { batch, rejected } = validate(with_span_content(&content), &Limits::default()).expect("legal");
        assert_eq!(rejected, Rejected { items: 1, first_reason: reason.into() });
        assert!(batch.is_empty());
    }
}

#[test]
fn a_bad_scope_or_resource_rejects_its_spans() {
    let spans = |out: &mut Vec<u8>| {
        put_bytes(out, field::scope_spans::SPANS, &plain_span(1).encode_to_vec());
        put_bytes(out, field::scope_spans::SPANS, &plain_span(2).encode_to_vec());
    };
    let mut bytes = wrapped(|out| {
        spans(out);
        put_message(out, field::scope_spans::SCOPE, |out| put_bytes(out, field::scope::NAME, b"\xff"));
    })
    .to_vec();
    put_message(&mut bytes, field::request::RESOURCE_SPANS, |out| {
        put_message(out, field::resource_spans::SCOPE_SPANS, spans);
        put_bytes(out, field::resource_spans::SCHEMA_URL, b"\xff");
    });
    bytes.extend_from_slice(&request_of(vec![plain_span(3)]).encode_to_vec());
    let Validated { batch, rejected } = validate(bytes.into(), &Limits::default()).expect("legal");
    assert_eq!(rejected.items, 4);
    assert_eq!(rejected.first_reason, "scope: scope name or version is not valid UTF-8");
    assert_eq!(names(&batch), ["span 3"]);
    assert_eq!(batch.span(0).resource.service_name(), "cart");
}

/// An attribute with `depth` arrays in each other.
fn nested(depth: usize) -> Vec<u8> {
    let mut value = made(|out| put_varint(out, field::any_value::BOOL, 1));
    for _ in 0..depth {
        let inner = value;
        value =
            made(|out| put_message(out, field::any_value::ARRAY, |out| put_bytes(out, field::values::VALUES, &inner)));
    }
    made(|out| put_message(out, field::span::ATTRIBUTES, |out| put_bytes(out, field::key_value::VALUE, &value)))
}

#[test]
fn depth_and_counts_are_bounded() {
    let reason = |content: &[u8], limits: &Limits| {
        validate(with_span_content(content), limits).expect("legal").rejected.first_reason
    };
    let limits = Limits::default();
    assert_eq!(reason(&nested(64), &limits), "");
    assert_eq!(reason(&nested(65), &limits), "span 0: attribute value is nested more than 64 levels deep");
    assert_eq!(reason(&nested(2_000), &limits), "span 0: attribute value is nested more than 64 levels deep");

    let attribute = made(|out| put_message(out, field::span::ATTRIBUTES, |_| {}));
    let limits = Limits { attributes: 3, events_and_links: 2, ..Limits::default() };
    assert_eq!(reason(&attribute.repeat(3), &limits), "");
    assert_eq!(reason(&attribute.repeat(4), &limits), "span 0: more than 3 attributes");
    let event = made(|out| put_message(out, field::span::EVENTS, |_| {}));
    assert_eq!(reason(&event.repeat(3), &limits), "span 0: more than 2 events");

    let limits = Limits { spans: 2, ..Limits::default() };
    let request = request_of((1..=5).map(plain_span).collect());
    let Validated { batch, rejected } = validate(request.encode_to_vec().into(), &limits).expect("legal");
    assert_eq!((names(&batch), rejected.items), (vec!["span 1", "span 2"], 3));
    assert_eq!(rejected.first_reason, "span 2: more than 2 spans in one request");
}

#[test]
fn empty_wrappers_and_spans_cost_no_index() {
    let bytes: Bytes = [0x0a, 0].repeat(10_000).into();
    let batch = validate(bytes.clone(), &Limits::default()).expect("legal").batch;
    assert_eq!(batch.memory_bytes(), bytes.len());
    let batch = validate(wrapped(|out| out.extend([0x12, 0].repeat(10_000))), &Limits::default()).expect("legal");
    assert_eq!(batch.rejected.items, 10_000);
}

#[test]
fn single_sub_messages_in_parts_are_merged() {
    let text =
        |value: &'static str| move |out: &mut Vec<u8>| put_any_value(out, field::values::VALUES, Value::String(value));
    let mut bytes = Vec::new();
    put_message(&mut bytes, field::request::RESOURCE_SPANS, |out| {
        for service in ["first", "second"] {
            put_message(out, field::resource_spans::RESOURCE, |out| {
                put_attribute(out, field::resource::ATTRIBUTES, service, 1);
            });
        }
        put_message(out, field::resource_spans::SCOPE_SPANS, |out| {
            put_message(out, field::scope_spans::SCOPE, |out| put_string(out, field::scope::NAME, "name"));
            put_message(out, field::scope_spans::SPANS, |out| {
                out.extend_from_slice(&plain_span(1).encode_to_vec());
                put_message(out, field::span::STATUS, |out| put_varint(out, field::status::CODE, 2));
                put_message(out, field::span::ATTRIBUTES, |out| {
                    put_message(out, field::key_value::VALUE, |out| {
                        put_message(out, field::any_value::ARRAY, text("a"))
                    });
                    put_string(out, field::key_value::KEY, "key");
                    put_message(out, field::key_value::VALUE, |out| {
                        put_message(out, field::any_value::ARRAY, text("b"))
                    });
                });
                put_message(out, field::span::STATUS, |out| put_string(out, field::status::MESSAGE, "why"));
                put_fixed64(out, field::span::END_TIME_UNIX_NANO, 7);
            });
            put_message(out, field::scope_spans::SCOPE, |out| put_string(out, field::scope::VERSION, "version"));
        });
    });
    let expected = ExportTraceServiceRequest::decode(&bytes[..]).expect("prost merges too");
    let Validated { batch, rejected } = validate(bytes.into(), &Limits::default()).expect("legal");
    assert_eq!(rejected.items, 0);
    assert_eq!(seen(batch.request()), expected);
    let found = batch.span(0);
    assert_eq!((found.scope.name, found.scope.version), ("name", "version"));
    assert_eq!((found.span.status_number, found.span.status_message), (2, "why"));
    assert_eq!(found.resource.attributes().count(), 2);
    assert_eq!(found.span.attribute("key").expect("kept").to_string(), r#"["a","b"]"#);
}

#[test]
fn the_last_member_of_a_union_wins() {
    let list =
        |number, text: &str| made(|out| put_message(out, number, |out| put_any_value(out, 1, Value::String(text))));
    let string = made(|out| put_string(out, field::any_value::STRING, "s"));
    let cases = [
        ([list(5, "a"), string.clone(), list(5, "b")].concat(), r#"["b"]"#),
        ([list(5, "a"), list(5, "b"), string.clone()].concat(), "s"),
        ([string.clone(), list(5, "a"), list(5, "b")].concat(), r#"["a","b"]"#),
        ([list(5, "a"), list(5, "b"), string, vec![]].concat(), "s"),
    ];
    for (value, expected) in cases {
        let content = made(|out| {
            put_message(out, field::span::ATTRIBUTES, |out| put_bytes(out, field::key_value::VALUE, &value))
        });
        let Validated { batch, .. } = validate(with_span_content(&content), &Limits::default()).expect("legal");
        assert_eq!(batch.span(0).span.attribute("").expect("kept").to_string(), expected);
    }
}
