//! Two nginx with a load balancer between them.

use rootspan_model::span::SpanKind;

use crate::collector::Collector;
use crate::server::{Nginx, Setup};
use crate::upstream::Upstream;

/// An Application Load Balancer puts `Self=` in front of `X-Amzn-Trace-Id` and leaves the rest, and `traceparent`, as they came.
#[test]
fn a_load_balancer_that_rewrites_its_header_does_not_break_the_trace() {
    for propagators in ["xray", "tracecontext xray"] {
        let (collector, upstream) = (Collector::start(), Upstream::start());
        let sockets = tempfile::tempdir().expect("a temporary folder");
        let socket = sockets.path().join("balancer.sock");
        let traced = format!(
            "otel_trace on; otel_trace_context propagate; otel_propagators {propagators}; otel_client_span on;"
        );
        let second_socket = sockets.path().join("second.sock");
        let http = format!(
            "server {{ listen unix:{}; location / {{ proxy_pass http://unix:{}:/;\n\
             proxy_set_header X-Amzn-Trace-Id \"Self=1-67891234-12456789abcdef012345678a;$http_x_amzn_trace_id\"; }} }}\n\
             server {{ listen unix:{}; {traced} location / {{ proxy_pass http://127.0.0.1:{}; }} }}",
            socket.display(),
            second_socket.display(),
            second_socket.display(),
            upstream.port
        );
        let second = Nginx::start(&collector, Setup { http: &http, ..Setup::default() });
        let server = format!("{traced} location / {{ proxy_pass http://unix:{}:/; }}", socket.display());
        let first = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
        first.get("/", &[]);
        let spans = collector.wait(4);
        let of = |kind: SpanKind, parent: &str| {
            let found: Vec<_> = spans.iter().filter(|span| span.kind == kind && span.parent_id == parent).collect();
            assert_eq!(found.len(), 1, "{propagators}: {spans:#?}");
            found[0]
        };
        let root = of(SpanKind::Server, "");
        let to_balancer = of(SpanKind::Client, &root.span_id);
        let behind = of(SpanKind::Server, &to_balancer.span_id);
        let to_upstream = of(SpanKind::Client, &behind.span_id);
        assert!(spans.iter().all(|span| span.trace_id == root.trace_id), "{propagators}: {spans:#?}");
        let (epoch, rest) = root.trace_id.split_at(8);
        let got = upstream.only().header("x-amzn-trace-id").to_owned();
        let own = format!("Root=1-{epoch}-{rest};Parent={};Sampled=1", to_upstream.span_id);
        assert!(got.contains(&own), "{propagators}: {got}");
        first.stop();
        second.stop();
    }
}
