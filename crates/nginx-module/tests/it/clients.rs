//! CLIENT spans: the upstream's parent, retries and failures.

use std::net::TcpListener;

use rootspan_model::span::{SpanKind, StatusCode};

use crate::collector::{Collector, Span};
use crate::server::{Nginx, Setup};
use crate::upstream::Upstream;

/// A port at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

fn traced(upstreams: &str, location: &str) -> (String, String) {
    let server = format!(
        "otel_trace on; otel_trace_context propagate; otel_client_span on;\n\
         location / {{ proxy_pass http://backend; {location} }}"
    );
    (format!("upstream backend {{ {upstreams} }}"), server)
}

/// The SERVER span and its CLIENT spans, in order; checks that they hang together.
#[track_caller]
fn trace(collector: &Collector, clients: usize) -> (Span, Vec<Span>) {
    let mut spans = collector.wait(1 + clients);
    assert_eq!(spans.len(), 1 + clients, "{spans:#?}");
    let server = spans.remove(0);
    assert_eq!(server.kind, SpanKind::Server);
    let mut earliest = server.start;
    for span in &spans {
        assert_eq!((span.kind, &span.trace_id, &span.parent_id), (SpanKind::Client, &server.trace_id, &server.span_id));
        assert!(earliest <= span.start && span.start <= span.end && span.end <= server.end, "{server:#?} {spans:#?}");
        earliest = span.end;
    }
    (server, spans)
}

#[test]
fn cdn_proxy_and_upstream_are_one_trace() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let (http, server) = traced(&format!("server 127.0.0.1:{};", upstream.port), "");
    let nginx = Nginx::start(&collector, Setup { http: &http, server: &server, ..Setup::default() });
    nginx.get("/items", &["traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]);
    let (server, clients) = trace(&collector, 1);
    let client = &clients[0];
    assert_eq!((server.parent_id.as_str(), server.flags), ("00f067aa0ba902b7", 0x301));
    assert_eq!((client.name.as_str(), client.status, client.flags), ("GET", StatusCode::Unset, 0x101));
    assert_eq!(upstream.only().header("traceparent"), format!("00-{}-{}-01", server.trace_id, client.span_id));
    assert_eq!(client.attribute("network.peer.port"), upstream.port.to_string());
    assert_eq!(client.attribute("server.address"), "backend");
    assert_eq!(client.attribute("url.full"), "http://backend/items");
    assert_eq!(client.attribute("http.request.resend_count"), "");
    assert_ne!(client.attribute("nginx.upstream.response_time"), "");
    nginx.stop();
}

#[test]
fn a_retry_is_a_span_of_its_own() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let servers = format!("server 127.0.0.1:{}; server 127.0.0.1:{} backup;", closed_port(), upstream.port);
    let (http, server) = traced(&servers, "");
    let nginx = Nginx::start(&collector, Setup { http: &http, server: &server, ..Setup::default() });
    assert!(nginx.get("/", &[]).starts_with("HTTP/1.1 200"));
    let (server, clients) = trace(&collector, 2);
    assert_eq!(server.status, StatusCode::Unset);
    assert_eq!((clients[0].status, clients[0].attribute("error.type")), (StatusCode::Error, "connect_failed"));
    assert_eq!(clients[0].attribute("http.response.status_code"), "");
    assert_eq!((clients[1].status, clients[1].attribute("http.request.resend_count")), (StatusCode::Unset, "1"));
    assert!(upstream.only().header("traceparent").contains(&clients[1].span_id));
    nginx.stop();
}

#[test]
fn failures_of_the_upstream_have_their_types() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let (http, server) =
        traced(&format!("server 127.0.0.1:{} max_fails=0;", upstream.port), "proxy_next_upstream off;");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_port = silent.local_addr().expect("bound").port();
    let server = format!(
        "{server} location /silent {{ proxy_pass http://127.0.0.1:{silent_port}; proxy_read_timeout 50ms; }}\n\
         location /nobody {{ proxy_pass http://127.0.0.1:{}; }}",
        closed_port()
    );
    let nginx = Nginx::start(&collector, Setup { http: &http, server: &server, ..Setup::default() });
    let mut before = 0;
    for (path, status, error, server_error) in [
        ("/status/503", "503", "503", "503"),
        ("/status/404", "404", "404", ""),
        ("/close", "502", "connection_closed", "502"),
        ("/nobody", "502", "connect_failed", "502"),
        ("/silent", "504", "timeout", "504"),
    ] {
        assert!(nginx.get(path, &[]).starts_with(&format!("HTTP/1.1 {status}")), "{path}");
        let spans = collector.wait(before + 2).split_off(before);
        before += 2;
        let [server, client] = &spans[..] else { panic!("{path}: {spans:#?}") };
        assert_eq!(client.attribute("error.type"), error, "{path}");
        assert_eq!(client.status, StatusCode::Error, "{path}");
        assert_eq!(
            (server.attribute("error.type"), server.attribute("http.response.status_code")),
            (server_error, status)
        );
        assert_eq!(server.status == StatusCode::Error, status.starts_with('5'), "{path}");
    }
    nginx.stop();
}

#[test]
fn without_an_upstream_there_is_no_client_span() {
    let collector = Collector::start();
    let server = "otel_trace on; otel_trace_context propagate; otel_client_span on; location / { return 204; }";
    let nginx = Nginx::start(&collector, Setup { server, ..Setup::default() });
    nginx.get("/", &[]);
    trace(&collector, 0);
    nginx.stop();
    assert_eq!(collector.count(), 1);
}

#[test]
fn x_accel_redirect_to_another_upstream_is_one_request() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let (http, server) =
        traced(&format!("server 127.0.0.1:{};", upstream.port), "error_page 404 = @other; proxy_intercept_errors on;");
    let server = format!("{server} location @other {{ proxy_pass http://127.0.0.1:{}; }}", upstream.port);
    let nginx = Nginx::start(&collector, Setup { http: &http, server: &server, ..Setup::default() });
    nginx.get("/status/404", &[]);
    let (server, clients) = trace(&collector, 2);
    assert_eq!(server.name, "GET /");
    assert_eq!(clients.iter().map(|span| span.attribute("error.type")).collect::<Vec<_>>(), ["404", "404"]);
    nginx.stop();
}
