//! `otel_trace`, `otel_trace_context`, `otel_propagators`, and the variables.

use rootspan_model::sampling::{Randomness, Threshold};
use rootspan_model::trace_context::TraceParent;

use crate::collector::Collector;
use crate::server::{Nginx, Setup};
use crate::upstream::Upstream;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[test]
fn each_mode_reads_and_writes_what_it_says() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let location = |mode: &str| {
        format!("location /{mode} {{ otel_trace_context {mode}; proxy_pass http://127.0.0.1:{}; }}\n", upstream.port)
    };
    let modes = ["ignore", "extract", "inject", "propagate"];
    let server = format!("otel_trace on; {}", modes.map(location).concat());
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    let received = format!("00-{TRACE}-{PARENT}-01");
    for (index, mode) in modes.into_iter().enumerate() {
        nginx.get(&format!("/{mode}"), &[&format!("traceparent: {received}"), "tracestate: a=1"]);
        let span = collector.wait(index + 1).swap_remove(index);
        let heard = upstream.heard().swap_remove(index);
        let reads = matches!(mode, "extract" | "propagate");
        assert_eq!((span.trace_id == TRACE, span.parent_id == PARENT), (reads, reads), "{mode}");
        let flags = if reads { "01" } else { "03" };
        let (traceparent, tracestate) = match mode {
            "ignore" | "extract" => (received.clone(), "a=1"),
            "inject" => (format!("00-{}-{}-{flags}", span.trace_id, span.span_id), ""),
            _ => (format!("00-{}-{}-{flags}", span.trace_id, span.span_id), "a=1"),
        };
        assert_eq!(
            (heard.header("traceparent"), heard.header("tracestate")),
            (traceparent.as_str(), tracestate),
            "{mode}"
        );
    }
    nginx.stop();
}

#[test]
fn an_unsampled_request_keeps_its_trace_and_says_so() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace $otel_parent_sampled; otel_trace_context propagate; otel_propagators tracecontext b3; otel_client_span on;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    nginx.get("/", &[&format!("traceparent: 00-{TRACE}-{PARENT}-00"), "tracestate: ot=th:8;rv:00000000000001"]);
    nginx.get("/", &[&format!("traceparent: 00-{TRACE}-{PARENT}-01")]);
    let span = collector.wait(1).swap_remove(0);
    nginx.stop();
    // One SERVER and one CLIENT span, of the second request.
    assert_eq!((collector.count(), span.parent_id.as_str()), (2, PARENT));
    let heard = upstream.heard();
    let sent = TraceParent::parse(heard[0].header("traceparent")).expect("valid");
    assert_eq!((sent.trace_id.to_string().as_str(), sent.flags.is_sampled()), (TRACE, false));
    assert_ne!(sent.span_id.to_string(), PARENT);
    assert_eq!(heard[0].header("tracestate"), "ot=rv:00000000000001");
    assert!(heard[0].header("b3").ends_with("-0") && heard[1].header("b3").ends_with("-1"));
}

#[test]
fn a_share_is_consistent_with_the_threshold_that_goes_on() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace 25%; otel_trace_context propagate; location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    for _ in 0..200 {
        nginx.get("/", &[]);
    }
    nginx.stop();
    let threshold = Threshold::from_probability(0.25).expect("a threshold");
    let mut kept = 0;
    for heard in upstream.heard() {
        let parent = TraceParent::parse(heard.header("traceparent")).expect("valid");
        assert_eq!(parent.flags.is_sampled(), threshold.keeps(Randomness::of_trace(parent.trace_id)));
        assert_eq!(heard.header("tracestate"), if parent.flags.is_sampled() { "ot=th:c" } else { "" });
        kept += usize::from(parent.flags.is_sampled());
    }
    assert_eq!(collector.count(), kept);
    // 50 are expected; nine standard deviations off is not chance.
    assert!((1..=105).contains(&kept), "{kept}");
}

#[test]
fn the_senders_decision_goes_first_with_parent() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace off parent; otel_trace_context propagate; location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    nginx.get("/root", &[]);
    nginx.get("/unsampled", &[&format!("traceparent: 00-{TRACE}-{PARENT}-00")]);
    nginx.get("/sampled", &[&format!("traceparent: 00-{TRACE}-{PARENT}-01")]);
    nginx.stop();
    let paths: Vec<_> = collector.spans().iter().map(|span| span.attribute("url.path").to_owned()).collect();
    assert_eq!(paths, ["/sampled"]);
}

#[test]
fn b3_and_load_balancers_are_continued() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!(
        "otel_trace on; otel_trace_context propagate; otel_propagators tracecontext b3 b3multi xray;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; }}",
        upstream.port
    );
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    nginx.get("/", &[&format!("b3: {TRACE}-{PARENT}-1")]);
    nginx.get("/", &["X-B3-TraceId: a3ce929d0e0e4736", &format!("X-B3-SpanId: {PARENT}"), "X-B3-ParentSpanId: 1"]);
    nginx.get("/", &["X-B3-TraceId: a3ce929d0e0e4736", &format!("X-B3-SpanId: {PARENT}"), "X-B3-Flags: 1"]);
    nginx.get(
        "/",
        &["X-Amzn-Trace-Id: Self=1-67891234-12456789abcdef012345678a;Root=1-5759e988-bd862e3fe1be46a994272793"],
    );
    let spans = collector.wait(4);
    let seen: Vec<_> = spans.iter().map(|span| (span.trace_id.as_str(), span.parent_id.as_str())).collect();
    assert_eq!(seen[0], (TRACE, PARENT));
    // The malformed parent makes the whole context malformed.
    assert_eq!(seen[1].1, "");
    assert_eq!(seen[2], ("0000000000000000a3ce929d0e0e4736", PARENT));
    assert_eq!(seen[3], ("5759e988bd862e3fe1be46a994272793", ""));
    let heard = upstream.heard();
    assert_eq!(heard[2].header("x-b3-flags"), "");
    assert_eq!(
        heard[3].header("x-amzn-trace-id"),
        format!("Root=1-5759e988-bd862e3fe1be46a994272793;Parent={};Sampled=1", spans[3].span_id)
    );
    for (heard, span) in heard.iter().zip(&spans) {
        let ids = format!("{}-{}", span.trace_id, span.span_id);
        assert!(heard.header("traceparent").contains(&ids) && heard.header("b3").starts_with(&ids), "{heard:#?}");
        assert_eq!(
            (heard.header("x-b3-traceid"), heard.header("x-b3-spanid")),
            (span.trace_id.as_str(), span.span_id.as_str())
        );
    }
    nginx.stop();
}

#[test]
fn variables_names_and_attributes() {
    let collector = Collector::start();
    let http = "otel_resource_attr deployment.environment.name test; split_clients $otel_trace_id $share { 100% on; }";
    let server = "otel_trace $share; otel_trace_context extract; otel_span_attr tenant $arg_tenant; otel_span_attr fixed yes;\n\
                  location / { return 200 \"$otel_trace_id $otel_span_id $otel_parent_id $otel_parent_sampled $otel_dropped_spans\"; }\n\
                  location /named { otel_span_name \"$request_method of $arg_tenant\"; return 204; }";
    let nginx = Nginx::start(&collector, Setup { http, server, ..Setup::default() });
    let answer = nginx.get("/?tenant=7", &[&format!("traceparent: 00-{TRACE}-{PARENT}-01")]);
    let span = collector.wait(1).swap_remove(0);
    assert!(answer.ends_with(&format!("\r\n\r\n{TRACE} {} {PARENT} 1 0", span.span_id)), "{answer}");
    assert_eq!((span.attribute("tenant"), span.attribute("fixed")), ("7", "yes"));
    assert_eq!(span.resource["deployment.environment.name"], "test");
    nginx.get("/named?tenant=8", &[]);
    assert_eq!(collector.wait(2)[1].name, "GET of 8");
    nginx.stop();
}

#[test]
fn off_is_off_and_costs_nothing() {
    let (collector, upstream) = (Collector::start(), Upstream::start());
    let server = format!("location / {{ proxy_pass http://127.0.0.1:{}; }}", upstream.port);
    let nginx = Nginx::start(&collector, Setup { server: &server, ..Setup::default() });
    nginx.get("/", &[&format!("traceparent: 00-{TRACE}-{PARENT}-01"), "b3: 0"]);
    nginx.stop();
    let heard = upstream.only();
    assert_eq!((heard.header("traceparent"), heard.header("b3")), (format!("00-{TRACE}-{PARENT}-01").as_str(), "0"));
    assert_eq!((collector.count(), collector.requests()), (0, 0));
}
