use super::*;
use crate::otlp::protobuf::{FieldValue, Reader};
use crate::otlp::view::{AnyValue, Span};

const MADE: UnixNanos = UnixNanos(1_000_000_000_000_000_000);

const PLACE: Place<'_> = Place {
    trace_id: TraceId::new([7; 16]),
    span_id: SpanId::new([1; 8]),
    parent_span_id: SpanId::new([0; 8]),
    client_span_id: Some(SpanId::new([2; 8])),
    flags: TraceFlags::SAMPLED,
    trace_state: "",
    started: MADE,
};

fn served() -> Served<'static> {
    Served {
        method: b"GET",
        path: b"/a",
        query: b"",
        scheme: "https",
        status: 200,
        route: b"/",
        host: b"example.org",
        port: 443,
        client_address: b"192.0.2.1",
        protocol: "2",
        user_agent: None,
        ended: UnixNanos(MADE.0 + 30_000_000),
    }
}

const TRY: Try<'_> = Try {
    peer: b"127.0.0.1:8080",
    status: 200,
    connect_millis: Some(1),
    header_millis: Some(9),
    response_millis: Some(10),
    received_bytes: 300,
    sent_bytes: 120,
};

/// Times in milliseconds after the beginning.
fn upstream(tries: Vec<Try<'static>>, last_start: u64, last_end: u64) -> Upstream<'static> {
    let (last_start, last_end) = (later(MADE, last_start), later(MADE, last_end));
    Upstream { tries, name: b"backend", scheme: b"http://", uri: b"/a", earliest: MADE, last_start, last_end }
}

/// Decodes what was written: the field `spans`, once for each span.
fn decode(bytes: &[u8]) -> Vec<Span<'_>> {
    let mut reader = Reader::new(bytes);
    let mut spans = Vec::new();
    while let Some(entry) = reader.field().expect("well-formed") {
        assert_eq!(entry.number, field::scope_spans::SPANS);
        let FieldValue::Bytes(span) = entry.value else { panic!("a message") };
        spans.push(Span::decode(span));
    }
    spans
}

fn server_attribute(served: &Served<'_>, key: &str) -> Option<String> {
    let mut out = Vec::new();
    put_server(&mut out, &PLACE, served, None, |_| {});
    match decode(&out)[0].attribute(key)? {
        AnyValue::String(text) => Some(text.to_owned()),
        AnyValue::Int(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn texts_are_encoded_as_wire_does_it() {
    for length in [0, 1, 100, 110, 111, 112, 113, 114, 200, 20_000] {
        for character in ["x", "\u{20ac}"] {
            let value = character.repeat(length.min(MAX_VALUE_BYTES / 3));
            let (mut own, mut expected) = (Vec::new(), Vec::new());
            put_text!(&mut own, http::URL_PATH, value.as_bytes());
            put_attribute(&mut expected, field::span::ATTRIBUTES, http::URL_PATH, value.as_str());
            assert_eq!(own, expected, "{length}");
        }
    }
}

#[test]
fn numbers_are_encoded_as_wire_does_it() {
    for number in [0, 1, 0x7f, 0x80, 200, 0x3fff, 0x4000, 65_535, (1 << 21) - 1, 1 << 21, u32::MAX] {
        let (mut own, mut expected) = (Vec::new(), Vec::new());
        put_number!(&mut own, http::SERVER_PORT, number);
        put_attribute(&mut expected, field::span::ATTRIBUTES, http::SERVER_PORT, number);
        assert_eq!(own, expected, "{number}");
    }
}

#[test]
fn a_name_is_method_and_route_however_long() {
    for route in ["/", "/\u{20ac}", &format!("/{}", "x".repeat(200))] {
        let mut buffer = [0; USUAL_NAME_BYTES];
        assert_eq!(default_name(&mut buffer, "GET", route.as_bytes()), format!("GET {route}"));
    }
    let mut buffer = [0; USUAL_NAME_BYTES];
    assert_eq!(default_name(&mut buffer, "GET", b"/\xff"), "GET /\u{fffd}");
}

#[test]
fn unknown_methods_are_other() {
    let served = Served { method: b"PURGE", ..served() };
    assert_eq!(server_attribute(&served, http::REQUEST_METHOD).as_deref(), Some("_OTHER"));
    assert_eq!(server_attribute(&served, http::REQUEST_METHOD_ORIGINAL).as_deref(), Some("PURGE"));
    let mut out = Vec::new();
    put_server(&mut out, &PLACE, &served, None, |_| {});
    assert_eq!(decode(&out)[0].name, "HTTP /");
}

#[test]
fn only_what_the_server_did_wrong_is_an_error() {
    for (status, is_error, kind) in [
        (200, false, None),
        (404, false, None),
        (499, false, Some("client_closed_request")),
        (500, true, Some("500")),
        (507, true, Some("507")),
    ] {
        let served = Served { status, ..served() };
        assert_eq!(server_attribute(&served, error::TYPE).as_deref(), kind, "{status}");
        let mut out = Vec::new();
        put_server(&mut out, &PLACE, &served, None, |_| {});
        assert_eq!(decode(&out)[0].status() == StatusCode::Error, is_error, "{status}");
    }
    assert_eq!(server_attribute(&Served { status: 0, ..served() }, http::RESPONSE_STATUS_CODE), None);
}

#[test]
fn values_are_utf8_and_have_a_limit() {
    let path = [b"/".as_slice(), &[0xff, 0xfe], b"x"].concat();
    assert_eq!(
        server_attribute(&Served { path: &path, ..served() }, http::URL_PATH).as_deref(),
        Some("/\u{fffd}\u{fffd}x")
    );
    // The cut would divide a character of three bytes.
    let long = "\u{20ac}".repeat(3_000);
    let cut = server_attribute(&Served { path: long.as_bytes(), ..served() }, http::URL_PATH).expect("a path");
    assert_eq!(cut, "\u{20ac}".repeat(MAX_VALUE_BYTES / 3));
}

#[test]
fn signatures_are_not_exported() {
    let redacted = |query: &str| String::from_utf8(redact(query.as_bytes()).into_owned()).expect("text");
    assert_eq!(redacted("a=1&sig=abc&b=2"), "a=1&sig=REDACTED&b=2");
    assert_eq!(
        redacted("Signature=&AWSAccessKeyId=AK&X-Goog-Signature=x=y"),
        "Signature=REDACTED&AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED"
    );
    assert_eq!(redacted("design=1&sig"), "design=1&sig");
}

#[test]
fn tries_follow_each_other_and_the_last_has_the_id_that_went_on() {
    let refused =
        Try { status: 502, header_millis: None, response_millis: Some(4), received_bytes: 0, sent_bytes: 0, ..TRY };
    let new_id = |index: usize| SpanId::new([index as u8 + 8; 8]);
    let mut out = Vec::new();
    put_clients(&mut out, &PLACE, &served(), &upstream(vec![refused, TRY], 6, 26), new_id);
    let spans = decode(&out);
    let [first, second] = spans[..] else { panic!("two spans") };
    assert_eq!((first.start.0 - MADE.0, first.end.0 - MADE.0), (2_000_000, 6_000_000));
    assert_eq!((second.start.0 - MADE.0, second.end.0 - MADE.0), (6_000_000, 26_000_000));
    assert_eq!((first.span_id, Some(second.span_id)), (new_id(0), PLACE.client_span_id));
    for span in [first, second] {
        assert_eq!((span.parent_span_id, span.kind(), span.name), (PLACE.span_id, SpanKind::Client, "GET"));
        assert_eq!(span.trace_id, PLACE.trace_id);
        assert_eq!(span.attribute(http::NETWORK_PEER_PORT), Some(AnyValue::Int(8080)));
        assert_eq!(span.attribute(http::SERVER_ADDRESS), Some(AnyValue::String("backend")));
        assert_eq!(span.attribute(http::URL_FULL), Some(AnyValue::String("http://backend/a")));
    }
    assert_eq!(first.attribute(error::TYPE), Some(AnyValue::String("connect_failed")));
    assert_eq!((first.status(), second.status()), (StatusCode::Error, StatusCode::Unset));
    assert_eq!(first.attribute(http::RESPONSE_STATUS_CODE), None);
    assert_eq!(second.attribute(http::RESPONSE_STATUS_CODE), Some(AnyValue::Int(200)));
    assert_eq!(
        (first.attribute(http::REQUEST_RESEND_COUNT), second.attribute(http::REQUEST_RESEND_COUNT)),
        (None, Some(AnyValue::Int(1)))
    );
    assert_eq!(second.attribute(nginx::UPSTREAM_HEADER_TIME), Some(AnyValue::Double(0.009)));
}

#[test]
fn earlier_tries_do_not_lead_out_of_the_request() {
    let mut out = Vec::new();
    // Their times add up to more than there was before the last one, as rounded ones may.
    put_clients(&mut out, &PLACE, &served(), &upstream(vec![TRY, TRY, TRY], 11, 11), |_| SpanId::new([9; 8]));
    for span in decode(&out) {
        assert!(MADE <= span.start && span.start <= span.end && span.end <= served().ended, "{span:?}");
    }
}

#[test]
fn each_way_a_try_fails_has_its_type() {
    let kind = |tried: Try<'_>| outcome(&tried).error.map(std::borrow::Cow::into_owned);
    let none = Try { header_millis: None, ..TRY };
    assert_eq!(kind(Try { status: 504, ..none }).as_deref(), Some("timeout"));
    assert_eq!(kind(Try { status: 502, ..none }).as_deref(), Some("invalid_response"));
    assert_eq!(kind(Try { status: 502, received_bytes: 0, ..none }).as_deref(), Some("connection_closed"));
    assert_eq!(kind(Try { status: 502, received_bytes: 0, sent_bytes: 0, ..none }).as_deref(), Some("connect_failed"));
    assert_eq!(kind(Try { status: 499, ..none }).as_deref(), Some("client_closed_request"));
    assert_eq!(kind(Try { status: 0, ..none }).as_deref(), Some("aborted"));
    assert_eq!(kind(Try { status: 404, ..TRY }).as_deref(), Some("404"));
    assert_eq!(kind(TRY), None);
}
