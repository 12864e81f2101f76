use rootspan_model::span::{SpanKind, StatusCode};

use super::*;
use crate::otlp::view::{AnyValue, Span};

const REQUEST_ID: &str = "0102030405060708a1a2a3a4a5a6a7a8";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const CLIENT: &str = "a1a2a3a4a5a6a7a8";

fn settings() -> Settings {
    Settings { service_name: "proxy".to_owned(), host_name: Some("web-1".to_owned()) }
}

/// A line with these keys beside or instead of the usual ones.
fn line(changes: &[(&str, &str)]) -> String {
    let traceparent = format!("00-{TRACE}-{CLIENT}-01");
    let context = format!("00-{TRACE}-{PARENT}-01");
    let mut object = serde_json::Map::new();
    for (key, value) in [
        ("request_id", REQUEST_ID),
        ("context", context.as_str()),
        ("traceparent", traceparent.as_str()),
        ("tracestate", "vendor=1"),
        ("msec", "1789380930.482"),
        ("request_time", "0.030"),
        ("request_method", "GET"),
        ("request_uri", "/api/items?id=7&sig=secret"),
        ("scheme", "https"),
        ("status", "200"),
        ("host", "shop.example"),
        ("server_port", "443"),
        ("remote_addr", "192.0.2.1"),
        ("server_protocol", "HTTP/2.0"),
        ("http_user_agent", "test/1"),
        ("proxy_host", "backend"),
        ("upstream_addr", ""),
    ]
    .into_iter()
    .chain(changes.iter().copied())
    {
        object.insert(key.to_owned(), value.into());
    }
    serde_json::Value::Object(object).to_string()
}

fn read(text: &str) -> (Outcome, TraceBatch) {
    let settings = settings();
    let mut encoder = Encoder::new(&settings);
    let outcome = encoder.push(text.as_bytes());
    (outcome, encoder.finish())
}

fn check(changes: &[(&str, &str)], test: impl FnOnce(&[Span<'_>])) {
    let (outcome, batch) = read(&line(changes));
    let spans: Vec<Span<'_>> = batch.spans().map(|item| item.span).collect();
    assert_eq!(outcome, Outcome::Spans(spans.len()));
    test(&spans);
}

fn text(span: &Span<'_>, key: &str) -> String {
    match span.attribute(key) {
        Some(AnyValue::String(text)) => text.to_owned(),
        Some(AnyValue::Int(number)) => number.to_string(),
        Some(AnyValue::Double(number)) => number.to_string(),
        None => String::new(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_nginx_answered_itself_is_one_server_span() {
    check(&[("enduser.id", "7"), ("http.route", "/api/"), ("more", "x")], |spans| {
        let [span] = spans else { panic!("one span") };
        assert_eq!((span.name, span.kind(), span.status()), ("GET /api/", SpanKind::Server, StatusCode::Unset));
        assert_eq!(
            (span.trace_id.to_string().as_str(), span.span_id.to_string().as_str()),
            (TRACE, "0102030405060708")
        );
        assert_eq!(span.parent_span_id.to_string(), PARENT);
        assert_eq!((span.trace_state, span.flags), ("vendor=1", 0x301));
        assert_eq!((span.start.0, span.end.0), (1_789_380_930_452_000_000, 1_789_380_930_482_000_000));
        for (key, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/api/items"),
            ("url.query", "id=7&sig=REDACTED"),
            ("url.scheme", "https"),
            ("http.response.status_code", "200"),
            ("http.route", "/api/"),
            ("server.address", "shop.example"),
            ("server.port", "443"),
            ("client.address", "192.0.2.1"),
            ("network.protocol.version", "2"),
            ("user_agent.original", "test/1"),
            ("enduser.id", "7"),
            ("more", ""),
        ] {
            assert_eq!(text(span, key), value, "{key}");
        }
    });
}

#[test]
fn resource_and_scope_are_the_modules() {
    let (_, batch) = read(&line(&[]));
    let item = batch.span(0);
    assert_eq!(item.scope.name, "rootspan/nginx");
    assert_eq!(item.resource.attribute("service.name"), Some(AnyValue::String("proxy")));
    assert_eq!(item.resource.attribute("host.name"), Some(AnyValue::String("web-1")));
}

#[test]
fn a_line_gives_the_same_bytes_again() {
    let text = line(&[("upstream_addr", "10.0.0.1:80, 10.0.0.2:80")]);
    assert_eq!(read(&text).1.bytes(), read(&text).1.bytes());
}

#[test]
fn an_upstream_is_a_client_span_with_the_id_that_went_on() {
    let changes = [
        ("upstream_addr", "unix:/run/app.sock"),
        ("upstream_status", "404"),
        ("upstream_connect_time", "0.001"),
        ("upstream_header_time", "0.009"),
        ("upstream_response_time", "0.010"),
        ("upstream_bytes_received", "300"),
        ("upstream_bytes_sent", "120"),
        ("proxy_host", "app.internal:8080"),
    ];
    check(&changes, |spans| {
        let [server, client] = spans else { panic!("two spans") };
        assert_eq!((client.kind(), client.status(), client.name), (SpanKind::Client, StatusCode::Error, "GET"));
        assert_eq!((client.parent_span_id, client.span_id.to_string().as_str()), (server.span_id, CLIENT));
        assert_eq!((client.start, client.end), (server.start, later(server.start, 10)));
        for (key, value) in [
            ("network.peer.address", "unix:/run/app.sock"),
            ("server.address", "app.internal"),
            ("http.response.status_code", "404"),
            ("error.type", "404"),
            ("nginx.upstream.connect_time", "0.001"),
            ("nginx.upstream.header_time", "0.009"),
            ("nginx.upstream.response_time", "0.01"),
            ("http.response.size", "300"),
            ("http.request.resend_count", ""),
        ] {
            assert_eq!(text(client, key), value, "{key}");
        }
    });
}

#[test]
fn tries_are_split_at_commas_and_colons() {
    let changes = [
        ("upstream_addr", "10.0.0.1:80, 10.0.0.2:80 : [2001:db8::1]:81"),
        ("upstream_status", "502, 504 : 200"),
        ("upstream_connect_time", "-, 0.000 : 0.001"),
        ("upstream_header_time", "-, - : 0.002"),
        ("upstream_response_time", "0.004, 0.010 : 0.003"),
        ("upstream_bytes_received", "0, 0 : 155"),
        ("upstream_bytes_sent", "0, 90 : 90"),
    ];
    check(&changes, |spans| {
        let seen: Vec<_> = spans[1..]
            .iter()
            .map(|span| {
                let offset = |time: UnixNanos| time.0.saturating_sub(spans[0].start.0) / 1_000_000;
                let peer = format!("{} {}", text(span, "network.peer.address"), text(span, "network.peer.port"));
                let error = text(span, "error.type");
                (peer, error, text(span, "http.request.resend_count"), offset(span.start), offset(span.end))
            })
            .collect();
        let row = |peer: &str, error: &str, resend: &str, start, end| {
            (peer.to_owned(), error.to_owned(), resend.to_owned(), start, end)
        };
        assert_eq!(
            seen,
            [
                row("10.0.0.1 80", "connect_failed", "", 0, 4),
                row("10.0.0.2 80", "timeout", "1", 4, 14),
                row("2001:db8::1 81", "", "2", 14, 17),
            ]
        );
        let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span.span_id.to_string()).collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(spans[3].span_id.to_string(), CLIENT);
    });
}

#[test]
fn a_trace_that_nginx_opened_has_no_parent() {
    for context in ["", "-", "00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01"] {
        let own = format!("00-{REQUEST_ID}-{CLIENT}-03");
        check(&[("context", context), ("traceparent", &own), ("tracestate", "")], |spans| {
            assert!(!spans[0].parent_span_id.is_valid(), "{context}");
            assert_eq!((spans[0].trace_id.to_string().as_str(), spans[0].flags), (REQUEST_ID, 0x103));
        });
    }
}

#[test]
fn what_is_not_sampled_gives_no_span() {
    let unsampled = format!("00-{TRACE}-{CLIENT}-00");
    let (outcome, batch) = read(&line(&[("traceparent", &unsampled)]));
    assert_eq!(outcome, Outcome::SampledOut);
    assert!(batch.is_empty());
}

#[test]
fn numbers_need_no_quotes_and_text_need_not_be_utf8() {
    let traceparent = format!("00-{TRACE}-{CLIENT}-01");
    let mut bytes = format!(
        "{{\"request_id\":\"{REQUEST_ID}\",\"traceparent\":\"{traceparent}\",\"msec\":1789380930.482,\"request_time\":0.03,\
         \"status\":200,\"x\":[1,{{}}],\"request_method\":\"GET\",\"request_uri\":\"/"
    )
    .into_bytes();
    bytes.extend_from_slice(b"\xff\"}");
    let settings = settings();
    let mut encoder = Encoder::new(&settings);
    assert_eq!(encoder.push(&bytes), Outcome::Spans(1));
    let batch = encoder.finish();
    let span = batch.span(0).span;
    assert_eq!(text(&span, "url.path"), "/\u{fffd}");
    assert_eq!(span.end.0 - span.start.0, 30_000_000);
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    for (changes, said) in [
        (&[("request_id", "")][..], "the line has no request_id"),
        (&[("request_id", "abc")], "request_id is not of 32 hexadecimal digits"),
        (&[("request_id", "0000000000000000a1a2a3a4a5a6a7a8")], "request_id is not of 32 hexadecimal digits"),
        (&[("traceparent", "-")], "the line has no traceparent"),
        (&[("traceparent", "00-x")], "traceparent is none: traceparent must have 55 characters"),
        (&[("msec", "yesterday")], "msec is not a number: \"yesterday\""),
        (&[("msec", "99999999999999999999")], "msec is not a number: \"99999999999999999999\""),
        (&[("request_time", "-1")], "request_time is not a number: \"-1\""),
        (&[("status", "OK")], "status is not a number: \"OK\""),
        (&[("upstream_addr", "a:1"), ("upstream_response_time", "x")], "upstream_response_time is not a number: \"x\""),
    ] {
        let (outcome, batch) = read(&line(changes));
        let Outcome::Invalid(invalid) = outcome else { panic!("{changes:?}: {outcome:?}") };
        assert_eq!(invalid.to_string(), said);
        assert!(batch.is_empty());
    }
    for text in ["", "[]", "{\"msec\":", "127.0.0.1 - - [25/Nov/2026]", "\"text\"", "{}"] {
        assert!(matches!(read(text).0, Outcome::Invalid(_)), "{text}");
    }
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    assert_eq!(read(&long).0, Outcome::Invalid(InvalidLine::TooLong));
}

#[test]
fn times_are_read_to_the_millisecond() {
    for (text, expected) in [
        ("0.005", Some(5)),
        ("12", Some(12_000)),
        ("1.2", Some(1_200)),
        ("1.23456", Some(1_234)),
        ("", None),
        ("-", None),
        ("1.-2", None),
        (".5", None),
        ("18446744073709551615", None),
    ] {
        assert_eq!(millis(text), expected, "{text}");
    }
}
