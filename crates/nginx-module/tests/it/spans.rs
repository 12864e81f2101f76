//! SERVER spans: their place in the trace and what they say.

use rootspan_model::span::{SpanKind, StatusCode};

use crate::collector::Collector;
use crate::server::{Nginx, Setup};
use crate::upstream::Upstream;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[test]
fn a_request_without_context_is_a_root_that_the_upstream_continues() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace on; otel_trace_context propagate; location /api/ {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let answer = nginx.get("/api/items?id=7&sig=secret", &["User-Agent: test/1"]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let [span] = &collector.wait(1)[..] else { panic!("one span") };
    assert_eq!((span.name.as_str(), span.kind, span.status), ("GET /api/", SpanKind::Server, StatusCode::Unset));
    assert_eq!(span.parent_id, "");
    assert_eq!(span.flags, 0x103);
    assert_eq!(upstream.only().header("traceparent"), format!("00-{}-{}-03", span.trace_id, span.span_id));
    assert_eq!(upstream.only().header("tracestate"), "");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/api/items"),
        ("url.query", "id=7&sig=REDACTED"),
        ("url.scheme", "http"),
        ("http.response.status_code", "200"),
        ("http.route", "/api/"),
        ("server.address", "shop.example"),
        ("server.port", &nginx.port.to_string()),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "test/1"),
        ("error.type", ""),
    ] {
        assert_eq!(span.attribute(key), value, "{key}");
    }
    assert_eq!(span.resource["service.name"], "proxy");
    assert_eq!(span.scope, "rootspan/nginx");
    assert!(span.start < span.end && span.end - span.start < 10_000_000_000);
    nginx.stop();
}

#[test]
fn a_context_is_continued_and_its_state_goes_on() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace on; otel_trace_context propagate; location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let traceparent = format!("Traceparent: 00-{TRACE}-{PARENT}-01");
    nginx.get("/", &[&traceparent, "tracestate: vendor=1", "tracestate: ot=th:8"]);
    let [span] = &collector.wait(1)[..] else { panic!("one span") };
    assert_eq!((span.trace_id.as_str(), span.parent_id.as_str(), span.flags), (TRACE, PARENT, 0x301));
    assert_eq!(span.trace_state, "ot=th:8,vendor=1");
    assert_eq!(upstream.only().header("traceparent"), format!("00-{TRACE}-{}-01", span.span_id));
    assert_eq!(upstream.only().header("tracestate"), "ot=th:8,vendor=1");
    nginx.stop();
}
