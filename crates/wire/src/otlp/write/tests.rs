use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::otlp::batch::TraceBatch;
use crate::otlp::protobuf::{Field, FieldValue, Fields};

proptest! {
    #[test]
    fn lengths_are_patched_whatever_was_guessed(length in prop_oneof![0..300_usize, 16_300..16_500_usize, Just(3 << 20)], guess in 1..5_usize) {
        let body = vec![7; length];
        let mut out = vec![1, 2, 3];
        put_message_of_length(&mut out, 5, guess, |out| out.extend_from_slice(&body));
        let mut expected = vec![1, 2, 3];
        put_bytes(&mut expected, 5, &body);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn scalars_are_read_back(number in any::<u64>(), field in 1..1_u32 << 29) {
        let mut out = Vec::new();
        put_varint(&mut out, field, number);
        put_fixed64(&mut out, field, number);
        put_fixed32(&mut out, field, number as u32);
        let read: Vec<Field<'_>> = Fields::new(&out).collect();
        let values = [FieldValue::Varint(number), FieldValue::Fixed64(number), FieldValue::Fixed32(number as u32)];
        prop_assert_eq!(read, values.map(|value| Field { number: field, value }));
    }
}

#[test]
fn prost_reads_what_we_write() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let mut out = Vec::new();
    let parts = SpanParts {
        trace_id: TraceId::new([1; 16]),
        span_id: SpanId::new([2; 8]),
        parent_span_id: SpanId::new([3; 8]),
        trace_state: "ot=th:8",
        flags: 0x101,
        name: "GET /",
        kind: SpanKind::Server,
        start: UnixNanos(5),
        end: UnixNanos(9),
        status: StatusCode::Error,
        status_message: "broken",
    };
    put_resource_spans(&mut out, "resource-schema", |out| {
        put_resource(out, |out| put_attribute(out, field::resource::ATTRIBUTES, "service.name", "cart"));
        put_scope_spans(out, "scope-schema", |out| {
            put_scope(out, "scope", "1.0", |out| put_attribute(out, field::scope::ATTRIBUTES, "a", true));
            put_span(out, &parts, |out| {
                let list = [("k", Value::Int(-1)), ("l", Value::Array(&[Value::Double(0.5), Value::Bytes(b"\x00")]))];
                put_attribute(out, field::span::ATTRIBUTES, "list", Value::KeyValueList(&list));
                put_attribute(out, field::span::ATTRIBUTES, "texts", &["a", "b"][..]);
                put_event(out, UnixNanos(7), "event", |out| put_attribute(out, field::event::ATTRIBUTES, "e", 1.5));
                put_link(out, TraceId::new([4; 16]), SpanId::new([5; 8]), "s=1", |_| {});
            });
        });
    });
    let batch = TraceBatch::from_trusted(out.clone().into()).expect("well-formed");
    let request = ExportTraceServiceRequest::decode(&out[..]).expect("prost agrees");
    assert_eq!(crate::otlp::testing::seen(batch.request()), request);
    assert_eq!(request.encode_to_vec().len(), out.len(), "lengths are minimal");
    let span = batch.span(0).span;
    assert_eq!(span.attribute("list").expect("set").to_string(), r#"{"k":-1,"l":[0.5,"AA=="]}"#);
    assert_eq!(span.attribute("texts").expect("set").to_string(), r#"["a","b"]"#);
    assert_eq!(span.attribute("absent"), None);
    assert_eq!(
        (span.name, span.kind(), span.status(), span.duration_nanos()),
        ("GET /", SpanKind::Server, StatusCode::Error, 4)
    );

    // A value that was read can be written again.
    let mut copy = Vec::new();
    for pair in span.attributes() {
        put_attribute(&mut copy, field::span::ATTRIBUTES, pair.key, pair.value);
    }
    let original: Vec<u8> = span.attributes().fold(Vec::new(), |mut out, pair| {
        put_bytes(&mut out, field::span::ATTRIBUTES, pair.bytes);
        out
    });
    assert_eq!(copy, original);
}

#[test]
fn defaults_are_left_out() {
    let mut out = Vec::new();
    let parts = SpanParts { trace_id: TraceId::new([1; 16]), span_id: SpanId::new([2; 8]), ..SpanParts::default() };
    put_span(&mut out, &parts, |_| {});
    // Ids and the two times, which are never left out.
    assert_eq!(out.len(), 2 + 18 + 10 + 9 + 9);
    assert!(TraceBatch::from_trusted(Bytes::new()).expect("empty is legal").is_empty());
}

proptest::proptest! {
    /// The quick ways to write an attribute give the bytes of the general one, whatever their lengths take.
    #[test]
    fn attributes_are_the_same_in_every_way(
        key_length in proptest::sample::select(&[0, 1, 20, 118, 122, 127, 128, 300][..]),
        text_length in proptest::sample::select(&[0, 1, 90, 118, 121, 122, 127, 128, 16_380, 16_384][..]),
        field in proptest::sample::select(&[1, 9, 15, 16, 2_047][..]),
        number: i64,
        double: f64,
    ) {
        let (key, text) = ("k".repeat(key_length), "t".repeat(text_length));
        let list = [text.as_str()];
        for value in [Value::String(&text), Value::Int(number), Value::Int(number >> 56), Value::Double(double), Value::Strings(&list)] {
            let (mut quick, mut general) = (Vec::new(), Vec::new());
            put_attribute(&mut quick, field, &key, value);
            put_key_value(&mut general, field, &key, value);
            assert_eq!(quick, general, "{value:?}");
        }
    }
}
