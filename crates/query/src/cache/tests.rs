//! Age and size.

use std::sync::Arc;
use std::time::Duration;

use rootspan_model::ids::TraceId;
use rootspan_store::store::StoredTrace;
use rootspan_wire::otlp::batch::TraceBatch;
use tokio::time::Instant;

use super::{Entry, Freshness, TraceCache};
use crate::loaded_trace::LoadedTrace;
use crate::testing::request;

const FIRST: TraceId = TraceId::new([1; 16]);
const SECOND: TraceId = TraceId::new([2; 16]);

fn entry(id: TraceId, ingested_spans: u64, read_at: Instant) -> Entry {
    let batch = TraceBatch::from_trusted(request(id, &["name"]).into()).expect("just written");
    let trace = LoadedTrace::new(StoredTrace { batch, conflicting: Vec::new(), omitted_spans: 0 });
    Entry { id, trace: Arc::new(trace), ingested_spans, read_at }
}

#[test]
fn a_second_later_only_a_store_that_stood_still_counts_as_current() {
    let (cache, start) = (TraceCache::new(usize::MAX), Instant::now());
    cache.put(entry(FIRST, 10, start));
    let has = |freshness, ingested, millis| {
        cache.get(&FIRST, freshness, ingested, start + Duration::from_millis(millis)).is_some()
    };
    assert!(has(Freshness::Current, 11, 999));
    assert!(!has(Freshness::Current, 11, 1000));
    assert!(has(Freshness::Current, 10, 59_000));
    assert!(!has(Freshness::Current, 10, 60_000));
    assert!(has(Freshness::Latest, 10, 59_000));
    assert!(!has(Freshness::Latest, 11, 0));
    assert!(has(Freshness::AsShown, 99, 59_000));
    assert!(!has(Freshness::AsShown, 10, 60_000));
    assert!(cache.get(&SECOND, Freshness::AsShown, 10, start).is_none());
}

#[test]
fn the_least_recently_used_goes_first() {
    let now = Instant::now();
    let size = entry(FIRST, 0, now).trace.bytes();
    let cache = TraceCache::new(2 * size);
    let has = |id: TraceId| cache.get(&id, Freshness::Current, 0, now).is_some();
    cache.put(entry(FIRST, 0, now));
    cache.put(entry(SECOND, 0, now));
    assert!(has(FIRST));
    cache.put(entry(TraceId::new([3; 16]), 0, now));
    assert!(has(FIRST) && !has(SECOND));
    // The same trace again replaces itself.
    cache.put(entry(FIRST, 5, now));
    assert!(has(TraceId::new([3; 16])));
    // What is larger than all of it is not kept, and nothing is lost but the room.
    let small = TraceCache::new(size - 1);
    small.put(entry(FIRST, 0, now));
    assert!(small.get(&FIRST, Freshness::AsShown, 0, now).is_none());
}
