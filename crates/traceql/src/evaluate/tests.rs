use rootspan_testkit::fixture;
use rootspan_wire::otlp::batch::TraceBatch;
use rootspan_wire::otlp::field;
use rootspan_wire::otlp::write::{self, SpanParts, Value as Written};

use super::*;
use crate::compile::compile;
use crate::parser::parse;

/// Names of the spans that match.
fn matching(batch: &TraceBatch, query: &str) -> String {
    let compiled = compile(&parse(query).expect(query)).expect(query);
    let facts =
        TraceFacts { root_name: Some("GET /"), root_service_name: Some("cdn"), duration_nanos: Some(100_000_000) };
    let matching = batch.spans().filter(|span| compiled.matches(span, &facts));
    matching.map(|span| span.span.name).collect::<Vec<_>>().join(" ")
}

const TRACE: &str = "
    cdn a 0ms 100ms server id=a status=200
      api b 10ms 80ms server status=500 error=\"no stock\" ratio=0.5 host=h1
        api c 20ms 30ms client db=sqlite flag=true id=00000000000000c0 event=retry@25ms link=a
        api d 60ms 0ms internal text=500
";

#[test]
fn intrinsics() {
    let batch = fixture::batch(TRACE);
    for (query, expected) in [
        ("{}", "a b c d"),
        ("{ duration > 30ms }", "a b"),
        ("{ duration >= 0.03s && kind != server }", "c"),
        ("{ 30ms = duration }", "c"),
        ("{ status = error }", "b"),
        ("{ status != error && kind = internal }", "d"),
        ("{ statusMessage =~ `no .*` }", "b"),
        ("{ name > `b` }", "c d"),
        ("{ span:id = `00000000000000c0` }", "c"),
        ("{ span:parentID = nil }", "a"),
        ("{ trace:id = `66697874757265207472616365206964` && name = `a` }", "a"),
        ("{ event:name = `retry` }", "c"),
        ("{ event:timeSinceStart = 5ms }", "c"),
        ("{ link:spanID != nil }", "c"),
        ("{ instrumentation:name = `fixture` && instrumentation:version = nil }", "a b c d"),
        ("{ rootName = `GET /` && rootServiceName = `cdn` && traceDuration = 100ms && name = `d` }", "d"),
        ("{ traceDuration > 100ms }", ""),
    ] {
        assert_eq!(matching(&batch, query), expected, "{query}");
    }
}

#[test]
fn attributes_compare_within_their_type() {
    let batch = fixture::batch(TRACE);
    for (query, expected) in [
        ("{ span.status >= 500 }", "b"),
        ("{ .status = 500.0 }", "b"),
        ("{ .status = `500` }", ""),
        ("{ .status != `500` }", ""),
        ("{ .text = 500 }", "d"),
        ("{ .ratio < 1 }", "b"),
        ("{ .flag }", "c"),
        ("{ .flag = true }", "c"),
        ("{ !.flag }", "a b d"),
        ("{ resource.host.id = `h1` }", "b"),
        ("{ .host.id = `h1` }", "b"),
        ("{ span.host.id = `h1` }", ""),
        ("{ resource.service.name =~ `a` }", ""),
        ("{ resource.service.name =~ `a.*` }", "b c d"),
        ("{ resource.service.name !~ `a.*` }", "a"),
        ("{ .absent != 1 }", ""),
        ("{ .absent !~ `x` }", ""),
        ("{ !(.absent = 1) && name = `a` }", "a"),
        ("{ .absent = nil && .status = nil }", "c d"),
        ("{ nil != .ratio }", "b"),
        ("{ .status / 100 = 5 }", "b"),
        ("{ .status % 100 + 1 = 1 && -.status < -2 ^ 2 }", "a b"),
        ("{ .status / 0 = nil && name = `a` }", "a"),
        ("{ .status * 9223372036854775807 > 9223372036854775807 && .status = 200 }", "a"),
        ("{ (.status = 200) = true }", "a"),
        ("{ name = name && .ratio != nil || .flag }", "b c"),
    ] {
        assert_eq!(matching(&batch, query), expected, "{query}");
    }
}

#[test]
fn arrays_and_repeated_values() {
    let mut out = Vec::new();
    write::put_resource_spans(&mut out, "", |out| {
        write::put_scope_spans(out, "", |out| {
            let id = fixture::span_id("x");
            let parts = SpanParts { trace_id: fixture::TRACE_ID, span_id: id, name: "x", ..SpanParts::default() };
            write::put_span(out, &parts, |out| {
                let attributes = field::span::ATTRIBUTES;
                write::put_attribute(out, attributes, "tags", Written::Strings(&["red", "green"]));
                write::put_attribute(
                    out,
                    attributes,
                    "sizes",
                    Written::Array(&[Written::Int(1), Written::Double(2.5)]),
                );
                write::put_attribute(out, attributes, "raw", Written::Bytes(b"red"));
                write::put_attribute(out, attributes, "nan", f64::NAN);
                write::put_attribute(out, attributes, "twice", 1_i64);
                write::put_attribute(out, attributes, "twice", 2_i64);
                write::put_attribute(out, attributes, "empty", Written::Any(AnyValue::Empty));
                for tries in 1_i64..3 {
                    write::put_event(out, parts.start, "try", |out| {
                        write::put_attribute(out, field::event::ATTRIBUTES, "tries", tries);
                    });
                }
            });
        });
    });
    let batch = TraceBatch::from_trusted(out.into()).expect("valid");
    for (query, expected) in [
        ("{ .tags = `red` }", "x"),
        ("{ .tags = `blue` }", ""),
        ("{ .tags != `blue` }", "x"),
        ("{ .tags != `red` }", ""),
        ("{ .tags =~ `gr.*` }", "x"),
        ("{ .tags !~ `gr.*` }", ""),
        ("{ .sizes > 2 }", "x"),
        ("{ 2 > .sizes }", "x"),
        ("{ .raw = `red` }", ""),
        ("{ .raw != nil }", "x"),
        ("{ .nan = .nan }", ""),
        ("{ .nan != .nan }", "x"),
        ("{ .twice = 1 }", "x"),
        ("{ .twice = 2 }", ""),
        ("{ .empty = nil }", "x"),
        ("{ event.tries = 2 }", "x"),
        ("{ event.tries = 1 && event.tries != 1 }", "x"),
        ("{ event.tries = 3 }", ""),
        ("{ link.tries = nil }", "x"),
    ] {
        assert_eq!(matching(&batch, query), expected, "{query}");
    }
}

/// The deepest queries that the parser accepts, on the stack that [`crate::parser::MAX_DEPTH`] promises.
#[test]
fn the_deepest_queries_fit_the_stack() {
    let depth = crate::parser::MAX_DEPTH - 8;
    let parentheses = format!("{{ {}.a = 1{} }}", "(".repeat(depth), " )".repeat(depth));
    let alternating = format!("{{ {}.a{} }}", "!(true = ".repeat(depth / 3), " )".repeat(depth / 3));
    let comparisons = format!("{{ {}.a{} }}", "true = (".repeat(depth / 2), " )".repeat(depth / 2));
    let sum = format!("{{ 1{} = 1 }}", " + (1 - 1)".repeat(depth / 2));
    let chain = format!("{{ {} }}", vec!["name = `d`"; depth].join(" || "));
    let run = move || {
        let batch = fixture::batch(TRACE);
        for query in [&parentheses, &alternating, &comparisons, &sum, &chain] {
            matching(&batch, query);
        }
        assert_eq!(matching(&batch, &chain), "d");
        assert_eq!(matching(&batch, &sum), "a b c d");
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    thread.join().expect("no query failed");
}
