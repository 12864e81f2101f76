use std::collections::{BTreeSet, HashMap};

use super::*;

fn options(spans: u64) -> Options {
    Options { spans, ..Options::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes =
        |seed| generate(Options { seed, ..options(3000) }).map(|batch| batch.bytes().clone()).collect::<Vec<_>>();
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn counts_are_exact() {
    let mut generator = generate(options(20_001));
    let batches: Vec<TraceBatch> = generator.by_ref().collect();
    let truth = generator.truth();
    assert_eq!(batches.len(), 21);
    assert!(batches[..20].iter().all(|batch| batch.span_count() == 1000));
    let mut services: BTreeMap<&str, u64> = BTreeMap::new();
    let mut traces: HashMap<TraceId, (u64, u64)> = HashMap::new();
    let mut markers = BTreeSet::new();
    for found in batches.iter().flat_map(TraceBatch::spans) {
        *services.entry(found.resource.service_name()).or_default() += 1;
        let trace = traces.entry(found.span.trace_id).or_default();
        trace.0 += 1;
        trace.1 += u64::from(found.span.status() == rootspan_model::span::StatusCode::Error);
        if let Some(value) = found.span.attribute(MARKER) {
            markers.insert((found.span.span_id, value.to_string()));
        }
    }
    assert_eq!((truth.spans, truth.traces), (20_001, traces.len() as u64));
    assert_eq!(truth.service_spans, services);
    assert_eq!(services.len(), 26);
    assert_eq!(truth.errors, traces.values().map(|trace| trace.1).sum::<u64>());
    assert_eq!(truth.error_traces, traces.values().filter(|trace| trace.1 > 0).count() as u64);
    assert_eq!(
        truth.markers.iter().map(|marker| (marker.span_id, marker.value.clone())).collect::<BTreeSet<_>>(),
        markers
    );
    assert_eq!(markers.len(), 2);
    assert!(truth.samples.len() > 20);
    for sample in &truth.samples {
        assert_eq!(traces[&sample.trace_id], (sample.spans, sample.errors));
    }
}

#[test]
fn spans_are_of_the_promised_kind() {
    let batches: Vec<TraceBatch> = generate(options(20_000)).collect();
    let spans = 20_000.0;
    let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
    let per_span = bytes as f64 / spans;
    assert!((660.0..720.0).contains(&per_span), "{per_span} bytes a span");
    let all = || batches.iter().flat_map(TraceBatch::spans);
    let attributes = all().map(|found| found.span.attributes().count()).sum::<usize>() as f64 / spans;
    assert!((14.0..17.0).contains(&attributes), "{attributes} attributes a span");
    let errors = all().filter(|found| found.span.status_number == 2).count() as f64 / spans;
    assert!((0.024..0.032).contains(&errors), "{errors} errors");
    let traces = all().map(|found| found.span.trace_id).collect::<BTreeSet<_>>().len() as f64;
    assert!((8.5..9.5).contains(&(spans / traces)), "{} spans a trace", spans / traces);
}

#[test]
fn children_lie_within_their_parents_and_starts_in_the_window() {
    let batches: Vec<TraceBatch> = generate(options(5000)).collect();
    let spans: HashMap<SpanId, _> =
        batches.iter().flat_map(TraceBatch::spans).map(|found| (found.span.span_id, found)).collect();
    let end = Options::default().start.0 + 3600 * 1_000_000_000;
    for found in spans.values() {
        if found.span.is_root() {
            assert_eq!(found.resource.service_name(), "cloudfront");
            assert!((Options::default().start.0..end).contains(&found.span.start.0));
        } else {
            let parent = &spans[&found.span.parent_span_id].span;
            assert!(parent.start <= found.span.start && found.span.end <= parent.end, "{}", found.span.name);
        }
    }
}

#[test]
fn delayed_roots_come_last() {
    let delayed = Options { root_delay: Duration::from_secs(7200), ..options(5000) };
    let mut generator = generate(delayed);
    let order: Vec<bool> = generator
        .by_ref()
        .flat_map(|batch| batch.spans().map(|found| found.span.is_root()).collect::<Vec<_>>())
        .collect();
    let roots = order.iter().filter(|is_root| **is_root).count();
    assert_eq!(roots as u64, generator.truth().traces);
    // All but those of the request in which backend spans end and roots begin.
    assert!(order[..4000 - roots / 2].iter().filter(|is_root| **is_root).count() <= 1000);
    assert!(!order[..3000].contains(&true), "no root is among the first");
}
