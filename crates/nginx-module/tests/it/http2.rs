//! HTTP/2 in front, gRPC behind.

use std::sync::Mutex;

use rootspan_model::span::SpanKind;

use crate::collector::Collector;
use crate::h2c;
use crate::server::{Nginx, Setup};
use crate::upstream::Upstream;

#[test]
fn a_request_over_http2_is_the_same_span() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace on; otel_trace_context propagate; location /a {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, http2: true, ..Setup::default() });
    let request = http::Request::get("http://shop.example/a?q=1")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "a=1")
        .header("tracestate", "b=2")
        .header("user-agent", "h2/1")
        .body(())
        .expect("valid");
    let (status, body, _) = h2c::request(nginx.port, request, b"");
    assert_eq!((status, body.as_str()), (200, "ok"));
    let span = collector.wait(1).swap_remove(0);
    assert_eq!((span.name.as_str(), span.parent_id.as_str()), ("GET /a", "00f067aa0ba902b7"));
    for (key, value) in [
        ("network.protocol.version", "2"),
        ("url.path", "/a"),
        ("url.query", "q=1"),
        ("server.address", "shop.example"),
        ("user_agent.original", "h2/1"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(span.attribute(key), value, "{key}");
    }
    assert_eq!(upstream.only().header("tracestate"), "a=1,b=2");
    assert!(upstream.only().header("traceparent").contains(&span.span_id));
    nginx.stop();
}

#[test]
fn grpc_passes_with_its_trailers() {
    let collector = Collector::start();
    static HEARD: Mutex<Option<(String, Vec<u8>)>> = Mutex::new(None);
    let port = h2c::serve(None, |head, body| {
        let traceparent = head.headers["traceparent"].to_str().expect("text").to_owned();
        *HEARD.lock().expect("no panic") = Some((traceparent, body));
        h2c::Reply { body: b"\0\0\0\0\x02hi".to_vec(), trailers: vec![("grpc-status", "7".to_owned())] }
    });
    let server = format!(
        "otel_trace on; otel_trace_context propagate; otel_client_span on; location / {{ grpc_pass grpc://127.0.0.1:{port}; }}"
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, http2: true, ..Setup::default() });
    let request = http::Request::post("http://shop.example/shop.Cart/Add")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("valid");
    let (status, body, trailers) = h2c::request(nginx.port, request, b"\0\0\0\0\x01x");
    assert_eq!((status, body.as_str()), (200, "\0\0\0\0\x02hi"));
    assert_eq!(trailers["grpc-status"], "7");
    let spans = collector.wait(2);
    assert_eq!(spans.iter().map(|span| span.kind).collect::<Vec<_>>(), [SpanKind::Server, SpanKind::Client]);
    let heard = HEARD.lock().expect("no panic").clone().expect("the upstream was asked");
    assert_eq!(heard, (format!("00-{}-{}-03", spans[0].trace_id, spans[1].span_id), b"\0\0\0\0\x01x".to_vec()));
    nginx.stop();
}
