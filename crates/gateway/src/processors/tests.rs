//! Whole chains from their configuration, against prost's types as an independent reader and writer.

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_wire::otlp::payload::Signal;
use rootspan_wire::otlp::validate::{Limits, validate};

use super::Processor;
use super::fused::{Fused, Stage};
use crate::ack;
use crate::batch::Batch;
use crate::budget::Budget;
use crate::config::{Source, load_with};
use crate::ledger::{Ledger, PipelineIndex, ReceiverIndex, Snapshot};
use crate::plan::plan;
use crate::runtime::pipeline::{Chain, Item};

/// What the processors of a configuration make of a request, and the accounts while it is on its way.
fn run(processors: &str, request: &ExportTraceServiceRequest) -> (Option<ExportTraceServiceRequest>, Snapshot) {
    let ids: Vec<&str> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(':'))
        .map(|(id, _)| id)
        .filter(|id| !id.starts_with(' '))
        .collect();
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\nexporters: {{debug: }}\nprocessors:\n{processors}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], processors: [{}], exporters: [debug]}}}}}}",
        ids.join(", ")
    );
    let config = load_with(&[Source::Text { name: "t".to_owned(), text }], &|_| None).unwrap_or_else(|p| panic!("{p}"));
    let plan = plan(&config);
    let budget = Budget::new(1 << 20);
    let fused = |pass: &Vec<_>| -> Box<dyn Processor> {
        let stages = pass.iter().filter_map(|(_, config)| Stage::new(config)).collect();
        Box::new(Fused::new(stages, Arc::clone(&budget)))
    };
    let mut chain = Chain::new(plan.pipelines[0].passes.iter().map(fused).collect());
    let ledger =
        Arc::new(Ledger::new(&[("otlp".to_owned(), Signal::Traces)], &[("traces".to_owned(), Signal::Traces)], &[]));
    let batch = validate(request.encode_to_vec().into(), &Limits::default()).expect("sound").batch;
    let reservation = budget.try_reserve(batch.bytes().len() as u64).expect("there is room");
    let spans = batch.span_count() as u64;
    let (mut acks, mut answer) = ack::begin(&ledger, ReceiverIndex(0), &[PipelineIndex(0)], spans);
    let item = Item { batch: Batch::new(batch, reservation), ack: acks.remove(0) };
    let out = chain.process(item, UnixNanos(0));
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.imbalances(), Vec::<String>::new());
    assert!(out.len() <= 1, "a pass makes no more batches");
    let decoded = out.first().map(|item| {
        let bytes = item.batch.bytes();
        assert_eq!(snapshot.pipelines[0].held, item.batch.items());
        ExportTraceServiceRequest::decode(bytes.as_ref()).expect("the result is protobuf")
    });
    if decoded.is_none() {
        assert_eq!(answer.try_recv(), Ok(ack::Outcome::Delivered), "what is removed on purpose is accepted");
    }
    drop(out);
    assert_eq!(budget.used(), 0, "every byte is given back");
    (decoded, snapshot)
}

fn pair(key: &str, value: impl Into<Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value.into()) }), ..Default::default() }
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn span(number: u8, name: &str, attributes: Vec<KeyValue>) -> Span {
    let (trace_id, span_id) = (vec![number; 16], vec![number; 8]);
    Span { trace_id, span_id, name: name.to_owned(), kind: 2, attributes, ..Default::default() }
}

/// Two services with two spans each.
fn request() -> ExportTraceServiceRequest {
    let service = |name: &str, spans: Vec<Span>| ResourceSpans {
        resource: Some(Resource { attributes: vec![pair("service.name", text(name))], ..Default::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "http".to_owned(),
                version: "1.2".to_owned(),
                ..Default::default()
            }),
            spans,
            ..Default::default()
        }],
        ..Default::default()
    };
    let first = vec![
        span(1, "GET /a", vec![pair("http.status", Value::IntValue(200)), pair("user", text("ann"))]),
        span(2, "GET /b", vec![pair("http.status", text("503")), pair("path", text("/acme/cart/7"))]),
    ];
    let second = vec![
        span(3, "SELECT", vec![pair("rows", Value::DoubleValue(2.5)), pair("secret.a", text("x"))]),
        span(4, "COMMIT", vec![pair("ok", Value::BoolValue(true)), pair("secret.b", text("y"))]),
    ];
    ExportTraceServiceRequest { resource_spans: vec![service("shop", first), service("db", second)] }
}

fn show(request: &ExportTraceServiceRequest) -> String {
    let pairs = |pairs: &[KeyValue]| {
        let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => format!("{}={text:?}", pair.key),
            Some(Value::IntValue(number)) => format!("{}={number}", pair.key),
            Some(Value::DoubleValue(number)) => format!("{}={number:?}", pair.key),
            Some(Value::BoolValue(value)) => format!("{}={value}", pair.key),
            Some(Value::ArrayValue(array)) => format!("{}=array of {}", pair.key, array.values.len()),
            Some(Value::KvlistValue(list)) => format!("{}=map of {}", pair.key, list.values.len()),
            other => format!("{}={other:?}", pair.key),
        };
        pairs.iter().map(value).collect::<Vec<_>>().join(" ")
    };
    let mut shown = String::new();
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.clone().unwrap_or_default();
        writeln!(shown, "{}", pairs(&resource.attributes)).expect("a string");
        for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let state = if span.trace_state.is_empty() { String::new() } else { format!(" [{}]", span.trace_state) };
            writeln!(shown, "  {}: {}{state}", span.name, pairs(&span.attributes)).expect("a string");
        }
    }
    shown
}

#[track_caller]
fn check(processors: &str, expected: &Expect) {
    let (result, _) = run(processors, &request());
    expected.assert_eq(&result.map(|result| show(&result)).unwrap_or_default());
}

#[test]
fn every_action() {
    check(
        "  attributes:
    actions:
      - {key: user, action: insert, value: bob}
      - {key: tags, action: insert, value: [1, {a: b}]}
      - {key: quoted, action: upsert, value: '7'}
      - {key: user, action: update, value: 7.5}
      - {key: absent, action: UPDATE, value: 1}
      - {key: status.copy, action: upsert, from_attribute: http.status}
      - {key: none, action: upsert, from_attribute: absent}
      - {pattern: '^secret\\.', action: delete}
      - {key: path, pattern: '^/(?P<tenant>[^/]+)/(?P<rest>.*)$', action: extract}
      - {key: http.status, action: convert, converted_type: int}
      - {key: rows, action: convert, converted_type: string}
      - {key: ok, action: hash}",
        &expect![[r#"
            service.name="shop"
              GET /a: http.status=200 user=7.5 tags=array of 2 quoted="7" status.copy=200
              GET /b: http.status=503 path="/acme/cart/7" user=7.5 tags=array of 2 quoted="7" status.copy="503" tenant="acme" rest="cart/7"
            service.name="db"
              SELECT: rows="2.5" user=7.5 tags=array of 2 quoted="7"
              COMMIT: ok="4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a" user=7.5 tags=array of 2 quoted="7"
        "#]],
    );
}

#[test]
fn a_default_is_written_where_the_source_has_nothing() {
    let (result, _) = run(
        "  attributes:
    actions:
      - {pattern: '.', action: delete}
      - {key: from, action: insert, value: here}
      - {key: a, action: upsert, from_attribute: absent, default_value: fallback}
      - {key: b, action: upsert, from_attribute: from, default_value: unused}
      - {key: c, action: upsert, from_context: client.address, default_value: 7}
      - {key: d, action: update, from_attribute: absent, default_value: nothing}",
        &request(),
    );
    let shown = show(&result.expect("spans"));
    let expected = r#"GET /a: from="here" a="fallback" b="here" c=7"#;
    assert!(shown.contains(expected) && !shown.contains(" d="), "{shown}");
}

#[test]
fn hashes_are_the_collectors() {
    // SHA-256 of the text, of one byte, of eight bytes little-endian: what the collector's hash action writes.
    check(
        "  attributes:
    actions:
      - {key: user, action: hash}
      - {pattern: '^(http.status|rows)$', action: hash}
      - {pattern: '^(secret|path|ok)', action: delete}",
        &expect![[r#"
            service.name="shop"
              GET /a: http.status="ca8923d6c4447d6fa6d0540cafff01f647f2bbfe8f19939686ce6fa7b0daee28" user="49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1"
              GET /b: http.status="7182dd431b5c8833ed3c8a02c8615780df8dca7d83ed4166962b207f45a656b5"
            service.name="db"
              SELECT: rows="5caaabe50da77f59f448b3edf650d68fbca7b858390664c251c52b3f458a881c"
              COMMIT: 
        "#]],
    );
}

#[test]
fn include_and_exclude() {
    check(
        "  attributes/service:
    include: {match_type: strict, services: [shop]}
    exclude: {match_type: regexp, span_names: ['/b$']}
    actions: [{key: shop, action: insert, value: true}]
  attributes/attribute:
    include: {match_type: regexp, attributes: [{key: http.status, value: '^[25]0.$'}, {key: path}]}
    actions: [{key: matched, action: insert, value: 1}]
  attributes/strict:
    include: {match_type: strict, attributes: [{key: http.status, value: 200}], span_kinds: [SPAN_KIND_SERVER]}
    actions: [{key: strict, action: insert, value: 1}]
  attributes/library:
    include: {match_type: strict, libraries: [{name: http, version: '1.2'}], resources: [{key: service.name, value: db}]}
    actions: [{key: library, action: insert, value: 1}]",
        &expect![[r#"
            service.name="shop"
              GET /a: http.status=200 user="ann" shop=true strict=1
              GET /b: http.status="503" path="/acme/cart/7" matched=1
            service.name="db"
              SELECT: rows=2.5 secret.a="x" library=1
              COMMIT: ok=true secret.b="y" library=1
        "#]],
    );
}

#[test]
fn a_resource_is_edited_before_those_behind_it_read_it_and_not_before_those_in_front() {
    check(
        "  attributes/before:
    include: {match_type: strict, services: [shop]}
    actions: [{key: before, action: insert, value: 1}]
  resource:
    attributes: [{key: service.name, action: update, value: store}, {key: env, action: insert, value: test}]
  attributes/behind:
    include: {match_type: strict, services: [store]}
    actions: [{key: behind, action: insert, value: 1}, {pattern: '^(http|user|path|rows|secret|ok)', action: delete}]",
        &expect![[r#"
            service.name="store" env="test"
              GET /a: before=1 behind=1
              GET /b: before=1 behind=1
            service.name="store" env="test"
              SELECT: behind=1
              COMMIT: behind=1
        "#]],
    );
}

#[test]
fn what_is_detected_is_added_to_every_resource() {
    let processors = "  resourcedetection: {detectors: [system], override: false, timeout: 2s}";
    let (result, _) = run(processors, &request());
    for resource_spans in result.expect("changed").resource_spans {
        let attributes = resource_spans.resource.expect("it has one").attributes;
        assert_eq!(attributes.last(), Some(&pair("os.type", text(std::env::consts::OS))));
    }
}

#[test]
fn what_changes_nothing_keeps_the_bytes() {
    let request = request();
    let (result, _) = run("  attributes: {actions: [{key: absent, action: delete}]}", &request);
    assert_eq!(result, Some(request));
}

#[test]
fn the_sampler_notes_its_threshold_and_hears_the_application() {
    let mut request = request();
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].attributes = vec![pair("sampling.priority", Value::IntValue(0))];
    spans[1].attributes = vec![pair("sampling.priority", text("1"))];
    spans[1].trace_state = "vendor=x".to_owned();
    let (result, ledger) = run("  probabilistic_sampler: {sampling_percentage: 50, mode: equalizing}", &request);
    // The randomness of trace 3 is 03030303030303 and of trace 4 04…: both below one half.
    expect![[r#"
        service.name="shop"
          GET /b: sampling.priority="1" [ot=th:0,vendor=x]
    "#]]
    .assert_eq(&show(&result.expect("one is kept")));
    assert_eq!(ledger.pipelines[0].sampled_out, 3);
    let (result, ledger) = run("  probabilistic_sampler: {sampling_percentage: 0}", &self::request());
    assert_eq!(result, None);
    assert_eq!(ledger.pipelines[0].sampled_out, 4);
}

#[test]
fn proportional_multiplies_and_equalizing_never_lowers_a_threshold() {
    let mut request = request();
    request.resource_spans.truncate(1);
    for span in &mut request.resource_spans[0].scope_spans[0].spans {
        span.trace_id = vec![0xff; 16];
        span.trace_state = "ot=th:8".to_owned();
        span.attributes.clear();
    }
    let states = |processors: &str| {
        let (result, _) = run(processors, &request);
        result.expect("kept").resource_spans[0].scope_spans[0].spans[0].trace_state.clone()
    };
    assert_eq!(states("  probabilistic_sampler: {sampling_percentage: 50, mode: proportional}"), "ot=th:c");
    assert_eq!(states("  probabilistic_sampler: {sampling_percentage: 25, mode: equalizing}"), "ot=th:c");
    assert_eq!(states("  probabilistic_sampler: {sampling_percentage: 75, mode: equalizing}"), "ot=th:8");
    // Sampling that is specified and the older one do not mix: by default such spans are left out.
    let (result, _) = run("  probabilistic_sampler: {sampling_percentage: 100, hash_seed: 22}", &request);
    assert_eq!(result, None);
    let open = "  probabilistic_sampler: {sampling_percentage: 100, hash_seed: 22, fail_closed: false}";
    assert_eq!(states(open), "ot=th:8");
}

#[test]
fn hash_seed_keeps_what_the_collector_keeps() {
    // The collector's rule, written down again: FNV-1a over the seed and the id, the low 14 bits below the rate.
    let fnv = |seed: u32, id: &[u8]| {
        let bytes = seed.to_le_bytes();
        let all = bytes.iter().chain(id);
        all.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    };
    let mut request = request();
    request.resource_spans.truncate(1);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans.clear();
    for number in 1..=200_u128 {
        let id = TraceId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        spans.push(Span { trace_id: id.as_bytes().to_vec(), ..span(1, "s", Vec::new()) });
    }
    let expected: Vec<Vec<u8>> =
        spans.iter().map(|span| span.trace_id.clone()).filter(|id| fnv(22, id) & 0x3fff < 2457).collect();
    let (result, ledger) = run("  probabilistic_sampler: {sampling_percentage: 15, hash_seed: 22}", &request);
    let result = result.expect("some are kept");
    let kept = &result.resource_spans[0].scope_spans[0].spans;
    assert_eq!(kept.iter().map(|span| span.trace_id.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(ledger.pipelines[0].sampled_out as usize, 200 - expected.len());
    assert!(kept[0].trace_state.contains("rv:") && kept[0].trace_state.contains("th:d99c"), "{}", kept[0].trace_state);
}

#[test]
fn mistakes_in_actions_are_told_all_at_once() {
    let text = "
receivers: {otlp: {protocols: {grpc: }}}
exporters: {debug: }
processors:
  attributes:
    include: {match_type: regexp, services: ['(']}
    actions:
      - {key: a, action: insert}
      - {action: delete}
      - {key: a, action: extract, pattern: '(x)'}
      - {key: a, action: convert}
      - {key: a, action: upsert, from_context: metadata.x}
      - {key: a, action: delete, value: 1}
      - {key: a, action: hush}
  probabilistic_sampler: {sampling_percentage: -1, sampling_precision: 20}
service: {pipelines: {traces: {receivers: [otlp], processors: [attributes, probabilistic_sampler], exporters: [debug]}}}";
    let source = Source::Text { name: "t".to_owned(), text: text.to_owned() };
    let problems = load_with(&[source], &|_| None).expect_err("it is full of mistakes");
    expect![[r#"
        t:14:26: expected one of insert, update, upsert, delete, hash, extract, convert, found `hush`; did you mean `hash`?
        t:15:3: `sampling_percentage` must not be negative
        t:15:3: `sampling_precision` is between 1 and 14"#]].assert_eq(&problems.to_string());
    let only_sense = text
        .replace("      - {key: a, action: upsert, from_context: metadata.x}\n", "")
        .replace("      - {key: a, action: hush}\n", "");
    let source = Source::Text { name: "t".to_owned(), text: only_sense };
    let problems = load_with(&[source], &|_| None).expect_err("it is full of mistakes");
    expect![[r#"
        t:5:3: `(` is not a regular expression
        t:5:3: action 1: it needs `value`, `from_attribute` or `from_context`
        t:5:3: action 2: the key `key` is missing
        t:5:3: action 3: every group of its `pattern` needs a name, and there must be one: (?P<name>…)
        t:5:3: action 4: `convert`, and only it, has a `converted_type`
        t:5:3: action 5: it has no `value`, no `from_attribute` and no `from_context`
        t:13:3: `sampling_percentage` must not be negative
        t:13:3: `sampling_precision` is between 1 and 14"#]]
    .assert_eq(&problems.to_string());
}
