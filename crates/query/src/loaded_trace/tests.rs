//! Versions, the view, and shifted clocks.

use rootspan_model::ids::TraceId;
use rootspan_store::store::StoredTrace;
use rootspan_testkit::fixture;
use rootspan_wire::otlp::batch::TraceBatch;

use super::LoadedTrace;
use crate::testing::{request, span_id};

fn loaded(batch: TraceBatch) -> LoadedTrace {
    LoadedTrace::new(StoredTrace { batch, conflicting: Vec::new(), omitted_spans: 0 })
}

#[test]
fn versions_of_a_span_are_found_by_id() {
    let trace_id = TraceId::new([9; 16]);
    let mut bytes = request(trace_id, &["a", "b", "c"]);
    bytes.extend(request(trace_id, &["a2", "b2"]));
    let trace = loaded(TraceBatch::from_trusted(bytes.into()).expect("just written"));
    let names = |number| -> Vec<&str> {
        trace.versions(span_id(number)).iter().map(|(_, index)| trace.stored.batch.span(*index).span.name).collect()
    };
    assert_eq!(names(1), ["a", "a2"]);
    assert_eq!(names(2), ["b", "b2"]);
    assert_eq!(names(3), ["c"]);
    assert_eq!(names(4), [""; 0]);
    assert_eq!(names(0), [""; 0]);
}

#[test]
fn a_span_is_shifted_by_what_the_view_says() {
    let trace = loaded(fixture::batch(
        "
        client GET / 0ms 100ms client host=a id=client
          server GET / 10ms 80ms server host=b clock=-500ms id=server
        ",
    ));
    let view = trace.view();
    assert_eq!(&view[..4], b"RSV1");
    assert_eq!(trace.shift_nanos(fixture::span_id("client")), 0);
    assert!(trace.shift_nanos(fixture::span_id("server")) >= 490_000_000);
    // Made once.
    assert_eq!(view.as_ptr(), trace.view().as_ptr());
}
