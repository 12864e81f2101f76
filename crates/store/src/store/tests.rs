//! The store as a whole, over the in-memory and the fault-injecting directory.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rootspan_journal::directory::Directory;
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_model::time::UnixNanos;
use rootspan_traceql::parser::parse;
use rootspan_wire::otlp::batch::TraceBatch;

use super::{IngestError, OpenReport, Options, QueryLimits, SearchPage, SearchRequest, Store, StoredTrace};
use crate::testing::{NOW, TestSpan, Value, batch, content, trace_id};

mod faults;
mod model;

pub(crate) fn options() -> Options {
    Options {
        retention: Duration::from_hours(72),
        max_bytes: None,
        min_free_percent: 5.0,
        seal_spans: 50_000,
        seal_after: Duration::from_mins(2),
        clock: Arc::new(|| UnixNanos(NOW)),
    }
}

pub(crate) fn limits() -> QueryLimits {
    QueryLimits { deadline: Duration::from_secs(10), bytes: u64::MAX, cancel: Arc::default() }
}

pub(crate) fn open(directory: &Arc<dyn Directory>) -> (Store, OpenReport) {
    Store::open(Arc::clone(directory), options()).expect("the store opens")
}

pub(crate) fn ingest(store: &Store, batch: TraceBatch) -> Result<(), IngestError> {
    let (sender, receiver) = channel();
    store.ingest(batch, Box::new(move |result| sender.send(result).expect("the test waits")));
    let result = receiver.recv().expect("done is called");
    assert!(receiver.recv().is_err(), "done is called once");
    result
}

pub(crate) fn search(store: &Store, query: &str) -> SearchPage {
    let request =
        SearchRequest { query: parse(query).expect("a valid query"), start: None, end: None, limit: 20, after: None };
    store.search(&request, &limits()).expect("the search works")
}

pub(crate) fn trace(store: &Store, number: u8) -> Option<StoredTrace> {
    store.trace(&trace_id(number), &limits()).expect("the lookup works")
}

fn checkout() -> Vec<TestSpan> {
    let span = TestSpan::default();
    vec![
        TestSpan { span: 1, service: "cdn".to_owned(), cdn: true, end: NOW + 900, ..span.clone() },
        TestSpan { span: 2, parent: 1, start: NOW + 100, end: NOW + 800, ..span.clone() },
        TestSpan {
            span: 3,
            parent: 2,
            start: NOW + 200,
            end: NOW + 300,
            error: true,
            service: "db".to_owned(),
            name: "SELECT".to_owned(),
            attributes: vec![("db.rows".to_owned(), Value::Int(7)), ("user".to_owned(), Value::Text("ann".to_owned()))],
            ..span
        },
    ]
}

fn check_checkout(store: &Store, place: &str) {
    let found = search(store, r#"{ resource.service.name = "db" && status = error }"#);
    let [summary] = found.traces.as_slice() else { panic!("{place}: {found:?}") };
    assert_eq!((summary.root_service.as_str(), summary.root_name.as_str()), ("cdn", "GET /cart"), "{place}");
    assert_eq!((summary.span_count, summary.error_count, summary.root_missing), (3, 1, false), "{place}");
    assert_eq!((summary.duration_nanos, summary.edge_nanos), (900, Some(200)), "{place}");
    assert_eq!(summary.error_extent, Some((200, 300)), "{place}");
    assert_eq!(summary.latest_matching_start, UnixNanos(NOW + 200), "{place}");
    for (query, expected) in [
        ("{}", 1),
        ("{ span.db.rows = 7 }", 1),
        ("{ span.db.rows > 7 }", 0),
        (r#"{ .user = "ann" }"#, 1),
        (r#"{ span.user = "bob" }"#, 0),
        (r#"{ name =~ "SEL.*" && kind = server }"#, 1),
        ("{ duration > 600ns && traceDuration < 1us }", 1),
        (r#"{ rootServiceName = "cdn" && name = "SELECT" }"#, 1),
        (r#"{ name = "SELECT" || duration > 10s }"#, 1),
        (r#"{ .zone = "eu-1" }"#, 1),
    ] {
        assert_eq!(search(store, query).traces.len(), expected, "{place}: {query}");
    }
    let stored = trace(store, 1).expect("the trace is there");
    assert_eq!(content(&stored.batch), content(&batch(&checkout())), "{place}");
    assert!(stored.conflicting.is_empty());
    assert!(trace(store, 2).is_none());
    assert_eq!(store.services(), ["cdn", "db", "shop"], "{place}");
    assert_eq!(store.operations("db"), ["SELECT"], "{place}");
}

#[test]
fn a_trace_is_found_in_the_tail_in_a_block_and_after_reopening() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    check_checkout(&store, "tail");
    store.seal().expect("the tail is sealed");
    check_checkout(&store, "block");
    let status = store.status();
    assert_eq!((status.tail_spans, status.block_spans, status.blocks), (0, 3, 1));
    store.close().expect("the store closes");
    assert!(matches!(ingest(&store, batch(&checkout())), Err(IngestError::Closed)));
    drop(store);
    let (store, report) = open(&disk);
    assert_eq!((report.replayed_spans, report.repairs.len()), (0, 0));
    check_checkout(&store, "reopened");
}

#[test]
fn parts_of_a_trace_in_tail_and_several_blocks_are_one() {
    for reversed in [false, true] {
        let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
        let (store, _) = open(&disk);
        let mut spans = checkout();
        if reversed {
            spans.reverse();
        }
        for (position, span) in spans.iter().enumerate() {
            ingest(&store, batch(std::slice::from_ref(span))).expect("the batch is taken");
            if position < 2 {
                store.seal().expect("the tail is sealed");
            }
        }
        check_checkout(&store, "parts");
        // Delivered again, it is still one trace with three spans.
        ingest(&store, batch(&spans)).expect("the batch is taken");
        check_checkout(&store, "again");
    }
}

#[test]
fn spans_with_the_same_id_and_other_content_are_kept_and_marked() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    store.seal().expect("the tail is sealed");
    let other = TestSpan { span: 2, name: "other".to_owned(), ..TestSpan::default() };
    ingest(&store, batch(&[other])).expect("the batch is taken");
    let stored = trace(&store, 1).expect("the trace is there");
    assert_eq!((stored.batch.span_count(), stored.conflicting.len()), (4, 2));
    for index in stored.conflicting {
        assert_eq!(stored.batch.span(index).span.span_id, crate::testing::span_id(2));
    }
    assert_eq!(search(&store, "{}").traces[0].span_count, 4);
}

#[test]
fn a_late_span_goes_to_its_hour_and_is_found() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    let hour = 3_600_000_000_000;
    let late = TestSpan { span: 4, parent: 1, start: NOW - 2 * hour, end: NOW - 2 * hour + 5, ..TestSpan::default() };
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    ingest(&store, batch(&[late])).expect("the batch is taken");
    store.seal().expect("the tail is sealed");
    assert_eq!(store.status().blocks, 2);
    let request = SearchRequest {
        query: parse("{}").expect("a query"),
        start: Some(UnixNanos(NOW - 3 * hour)),
        end: Some(UnixNanos(NOW - hour)),
        limit: 5,
        after: None,
    };
    let page = store.search(&request, &limits()).expect("the search works");
    assert_eq!(page.traces.len(), 1);
    assert_eq!((page.traces[0].span_count, page.traces[0].latest_matching_start), (4, UnixNanos(NOW - 2 * hour)));
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    let after: Arc<dyn Directory> = Arc::new(disk.after_power_loss(Survival::Nothing));
    let (reopened, report) = open(&after);
    assert_eq!(report.replayed_spans, 3);
    check_checkout(&reopened, "replayed");
    drop(store);
}
