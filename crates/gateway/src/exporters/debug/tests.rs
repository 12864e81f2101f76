use std::sync::Mutex;

use expect_test::{Expect, expect};
use rootspan_testkit::fixture;

use super::*;
use crate::budget::Budget;

/// A trace with everything that is printed.
const TRACE: &str = "
shop GET 0ms 20ms server id=00000000000000aa http.route=/a retries=3 event=cached@5ms resource.host.name=h1
  shop SELECT 5ms 10ms client id=00000000000000bb error=gone link=00000000000000aa
";

#[track_caller]
fn check(verbosity: Verbosity, expected: &Expect) {
    expected.assert_eq(&print_traces("debug", verbosity, &fixture::batch(TRACE)));
}

#[test]
fn basic_is_a_line_per_batch() {
    check(
        Verbosity::Basic,
        &expect![[r#"
            debug: traces, resource spans: 2, spans: 2
        "#]],
    );
}

#[test]
fn normal_is_a_line_per_span() {
    check(
        Verbosity::Normal,
        &expect![[r#"
        debug: traces, resource spans: 2, spans: 2
        shop GET 66697874757265207472616365206964 00000000000000aa server unset 20ms http.route=/a retries=3
        shop SELECT 66697874757265207472616365206964 00000000000000bb client error 10ms
    "#]],
    );
}

#[test]
fn detailed_is_everything() {
    check(
        Verbosity::Detailed,
        &expect![[r#"
        debug: traces, resource spans: 2, spans: 2
        ResourceSpans #0
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
            -> host.name: Str(h1)
        ScopeSpans #0
        InstrumentationScope fixture
        Span #0
            Trace ID       : 66697874757265207472616365206964
            Parent ID      :
            ID             : 00000000000000aa
            Name           : GET
            Kind           : server
            Start time     : 1700000000000000000
            End time       : 1700000000020000000
            Status code    : unset
            Status message :
        Attributes:
            -> http.route: Str(/a)
            -> retries: Int(3)
        SpanEvent #0
            -> Name: cached
            -> Timestamp: 1700000000005000000
        ResourceSpans #1
        Resource SchemaURL:
        Resource attributes:
            -> service.name: Str(shop)
        ScopeSpans #1
        InstrumentationScope fixture
        Span #1
            Trace ID       : 66697874757265207472616365206964
            Parent ID      : 00000000000000aa
            ID             : 00000000000000bb
            Name           : SELECT
            Kind           : client
            Start time     : 1700000000005000000
            End time       : 1700000000015000000
            Status code    : error
            Status message : gone
        SpanLink #0
            -> Trace ID: 66697874757265207472616365206964
            -> ID: 00000000000000aa
    "#]],
    );
}

#[test]
fn the_older_level_stands_for_a_verbosity() {
    let config = |verbosity, loglevel| DebugConfig { verbosity, loglevel };
    assert_eq!(config(None, None).verbosity(), Verbosity::Basic);
    assert_eq!(config(None, Some(LegacyLevel(Verbosity::Detailed))).verbosity(), Verbosity::Detailed);
    assert_eq!(config(Some(Verbosity::Normal), Some(LegacyLevel(Verbosity::Detailed))).verbosity(), Verbosity::Normal);
}

#[tokio::test]
async fn a_batch_is_acknowledged_when_it_is_printed() {
    let printed = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&printed);
    let output: Output = Arc::new(move |text: &str| sink.lock().expect("nobody panics").push_str(text));
    let exporter = DebugExporter::new("debug".to_owned(), &DebugConfig { verbosity: None, loglevel: None }, output);
    let traces = fixture::batch(TRACE);
    let budget = Budget::new(1 << 20);
    let reservation = budget.try_reserve(traces.bytes().len() as u64).expect("fits");
    assert_eq!(exporter.export(Batch::new(traces, reservation)).await, Exported::DELIVERED);
    assert_eq!(*printed.lock().expect("nobody panics"), "debug: traces, resource spans: 2, spans: 2\n");
    assert_eq!(budget.used(), 0);
}
