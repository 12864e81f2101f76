//! Random operations against a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_model::ids::TraceId;
use rootspan_model::time::UnixNanos;
use rootspan_traceql::compile::{TraceFacts, compile};
use rootspan_traceql::parser::parse;

use super::{ingest, limits, open};
use crate::store::{SearchRequest, Store, TraceSummary};
use crate::testing::{NOW, TestSpan, Value, batch, content, trace_id};

const MINUTE: u64 = 60_000_000_000;

/// Together they use every kind of condition and the general evaluator.
const QUERIES: [&str; 14] = [
    "{}",
    r#"{ resource.service.name = "a" }"#,
    r#"{ resource.service.name != "a" && duration > 20ns }"#,
    "{ status = error }",
    r#"{ name = "x" && kind = server }"#,
    "{ span.k = 1 }",
    "{ .k = 1.0 }",
    r#"{ span.l = "v" || span.k > 1 }"#,
    "{ span.k = nil }",
    "{ span.k != 1 }",
    "{ traceDuration > 2m }",
    r#"{ rootServiceName = "b" && status = error }"#,
    r#"{ rootName = "x" || span.l =~ "v.*" }"#,
    r#"{ event.exception.type = "Timeout" }"#,
];

#[derive(Clone, Debug)]
enum Operation {
    Ingest(Vec<TestSpan>),
    /// Sends a batch from before again, whole.
    Repeat(prop::sample::Index),
    Seal,
    /// The process is killed (false) or the power fails.
    Crash(bool),
    Reopen,
    Check {
        query: usize,
        limit: usize,
        window: Option<(u64, u64)>,
    },
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (0_i64..3).prop_map(Value::Int),
        1 => (0_u8..3).prop_map(|number| Value::Double(f64::from(number))),
        2 => "v{0,2}".prop_map(Value::Text),
        1 => prop::collection::vec("v{0,2}", 0..3).prop_map(Value::Texts),
    ]
}

fn span() -> impl Strategy<Value = TestSpan> {
    let ids = (1_u8..6, 1_u8..6, 0_u8..6);
    let times = (0_u64..150, 0_u64..4, 0_u64..50);
    let texts = ("[a-b]", "[x-y]", prop::bool::weighted(0.2), prop::bool::weighted(0.3), 0..6_i32);
    let lists = (prop::collection::vec(("[kl]", value()), 0..3), prop::bool::weighted(0.1));
    let marks = (prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let all = (ids, times, texts, lists, marks);
    all.prop_map(|(ids, times, (service, name, error, cdn, kind), (mut attributes, has_event), (derived, kept))| {
        let marks = [(derived, "aws.cloudfront.context", "derived"), (kept, "rootspan.kept_by", "error")];
        for (is_so, key, value) in marks {
            if is_so {
                attributes.push((key.to_owned(), Value::Text(value.to_owned())));
            }
        }
        let start = NOW - times.0 * MINUTE + times.1;
        TestSpan {
            trace: ids.0,
            span: ids.1,
            parent: ids.2,
            start,
            end: start + times.2,
            service,
            name,
            error,
            cdn,
            kind,
            attributes,
            events: if has_event { vec!["exception".to_owned()] } else { Vec::new() },
            ..TestSpan::default()
        }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => prop::collection::vec(span(), 1..6).prop_map(Operation::Ingest),
        1 => any::<prop::sample::Index>().prop_map(Operation::Repeat),
        2 => Just(Operation::Seal),
        1 => any::<bool>().prop_map(Operation::Crash),
        1 => Just(Operation::Reopen),
        6 => (0..QUERIES.len(), 1_usize..6, prop::option::of((0_u64..160, 0_u64..160)))
            .prop_map(|(query, limit, window)| Operation::Check { query, limit, window }),
    ]
}

/// What was acknowledged: each distinct span once.
#[derive(Default)]
struct Model {
    spans: Vec<(Vec<u8>, TestSpan)>,
    sent: Vec<Vec<TestSpan>>,
}

impl Model {
    fn add(&mut self, spans: &[TestSpan]) {
        for span in spans {
            let key = content(&batch(std::slice::from_ref(span))).into_keys().next().expect("one span");
            if !self.spans.iter().any(|(known, _)| *known == key) {
                self.spans.push((key, span.clone()));
            }
        }
        self.sent.push(spans.to_vec());
    }

    fn trace(&self, number: u8) -> Vec<TestSpan> {
        self.spans.iter().map(|(_, span)| span).filter(|span| span.trace == number).cloned().collect()
    }

    fn search(&self, query: &str, window: Option<(u64, u64)>) -> Vec<Expected> {
        let compiled = compile(&parse(query).expect("a query")).expect("it compiles");
        let mut found = Vec::new();
        for number in 1..6 {
            let spans = self.trace(number);
            if spans.is_empty() {
                continue;
            }
            let mut expected = summary(number, &spans);
            let facts = TraceFacts {
                root_name: Some(&expected.root_name),
                root_service_name: Some(&expected.root_service),
                duration_nanos: Some(expected.duration),
            };
            let all = batch(&spans);
            let latest = all
                .spans()
                .filter(|span| window.is_none_or(|(start, end)| (start..end).contains(&span.span.start.0)))
                .filter(|span| compiled.matches(span, &facts))
                .map(|span| span.span.start.0)
                .max();
            if let Some(latest) = latest {
                expected.latest = latest;
                found.push(expected);
            }
        }
        found.sort_by_key(|expected| (std::cmp::Reverse(expected.latest), expected.trace_id));
        found
    }
}

/// A summary as the model computes it.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    trace_id: TraceId,
    latest: u64,
    root_service: String,
    root_name: String,
    root_missing: bool,
    start: u64,
    duration: u64,
    errors: u64,
    services: Vec<(String, u64, u64)>,
    edge: Option<u64>,
    derived_ids: bool,
    backend_not_recorded: bool,
    error_extent: Option<(u64, u64)>,
}

impl Expected {
    fn of(summary: &TraceSummary) -> Self {
        Self {
            trace_id: summary.trace_id,
            latest: summary.latest_matching_start.0,
            root_service: summary.root_service.clone(),
            root_name: summary.root_name.clone(),
            root_missing: summary.root_missing,
            start: summary.start.0,
            duration: summary.duration_nanos,
            errors: summary.error_count,
            services: summary.services.iter().map(|count| (count.name.clone(), count.spans, count.errors)).collect(),
            edge: summary.edge_nanos,
            derived_ids: summary.derived_ids,
            backend_not_recorded: summary.backend_not_recorded,
            error_extent: summary.error_extent,
        }
    }
}

fn summary(number: u8, spans: &[TestSpan]) -> Expected {
    let ids: BTreeSet<u8> = spans.iter().map(|span| span.span).collect();
    let rank = |span: &&TestSpan| {
        let class = if span.parent == 0 { 0 } else { 1 + u8::from(ids.contains(&span.parent)) };
        (class, span.start, span.span)
    };
    let top = spans.iter().min_by_key(rank).expect("a span");
    let start = spans.iter().map(|span| span.start).min().expect("a span");
    let end = spans.iter().map(|span| span.end).max().expect("a span");
    let children = spans.iter().filter(|span| span.parent == top.span);
    let longest = children.map(|span| span.end - span.start).max().unwrap_or(0);
    let mut services: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for span in spans {
        let counts = services.entry(span.service.clone()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(span.error);
    }
    let errors: Vec<&TestSpan> = spans.iter().filter(|span| span.error).collect();
    let first = errors.iter().map(|span| span.start).min();
    let last = errors.iter().map(|span| span.end).max();
    let says = |key: &str| top.cdn && top.attributes.iter().any(|(known, _)| known == key);
    let is_alone = services.len() == 1;
    Expected {
        trace_id: trace_id(number),
        latest: 0,
        root_service: top.service.clone(),
        root_name: top.name.clone(),
        root_missing: top.parent != 0,
        start,
        duration: end - start,
        errors: errors.len() as u64,
        services: services.into_iter().map(|(name, counts)| (name, counts.0, counts.1)).collect(),
        edge: (top.parent == 0 && top.cdn).then(|| (top.end - top.start).saturating_sub(longest)),
        derived_ids: says("aws.cloudfront.context"),
        backend_not_recorded: says("rootspan.kept_by") && is_alone,
        error_extent: first.zip(last).map(|(first, last)| (first - start, last - start)),
    }
}

/// Whether two different spans of a trace share id and start: which of them stands for the trace is then left open.
fn is_ambiguous(spans: &[TestSpan]) -> bool {
    let mut seen = BTreeSet::new();
    spans.iter().any(|span| !seen.insert((span.trace, span.span, span.start)))
}

/// All pages of a search.
fn pages(store: &Store, query: &str, limit: usize, window: Option<(u64, u64)>) -> Vec<Expected> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = SearchRequest {
            query: parse(query).expect("a query"),
            start: window.map(|(start, _)| UnixNanos(start)),
            end: window.map(|(_, end)| UnixNanos(end)),
            limit,
            after,
        };
        let page = store.search(&request, &limits()).expect("the search works");
        assert_eq!(page.partial, None);
        assert!(page.traces.len() <= limit);
        found.extend(page.traces.iter().map(Expected::of));
        assert!(found.len() < 50, "paging ends");
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn check(store: &Store, model: &Model, query: usize, limit: usize, window: Option<(u64, u64)>) {
    let window = window.map(|(from, minutes)| (NOW - from * MINUTE, NOW - from * MINUTE + minutes * MINUTE));
    let found = pages(store, QUERIES[query], limit, window);
    assert_eq!(found, model.search(QUERIES[query], window), "{} {window:?}", QUERIES[query]);
    for number in 1..6 {
        let expected = model.trace(number);
        let stored = store.trace(&trace_id(number), &limits()).expect("the lookup works");
        match stored {
            None => assert!(expected.is_empty()),
            Some(stored) => assert_eq!(content(&stored.batch), content(&batch(&expected))),
        }
    }
}

fn run(operations: Vec<Operation>) {
    let mut disk = MemoryDirectory::new();
    let mut directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (mut store, _) = open(&directory);
    let mut model = Model::default();
    for operation in operations {
        match operation {
            Operation::Ingest(spans) => {
                let known = model.spans.iter().map(|(_, span)| span.clone());
                let all: Vec<TestSpan> = known.chain(spans.iter().cloned()).collect();
                if is_ambiguous(&all) {
                    continue;
                }
                ingest(&store, batch(&spans)).expect("the batch is taken");
                model.add(&spans);
            }
            Operation::Repeat(index) => {
                if !model.sent.is_empty() {
                    ingest(&store, batch(index.get::<Vec<TestSpan>>(&model.sent))).expect("the batch is taken");
                }
            }
            Operation::Seal => store.seal().expect("the tail is sealed"),
            Operation::Crash(power) => {
                disk = disk.after_power_loss(if power { Survival::Nothing } else { Survival::Everything });
                directory = Arc::new(disk.clone());
                (store, _) = open(&directory);
            }
            Operation::Reopen => {
                store.close().expect("the store closes");
                drop(store);
                (store, _) = open(&directory);
            }
            Operation::Check { query, limit, window } => check(&store, &model, query, limit, window),
        }
    }
    for query in 0..QUERIES.len() {
        check(&store, &model, query, 2, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_store_answers_like_the_model(operations in prop::collection::vec(operation(), 1..24)) {
        run(operations);
    }
}
