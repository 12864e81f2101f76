//! Misses of which no back end tells.

use super::*;

/// A sampled miss of the trace with this number, whose viewer's span is span 1.
fn miss(trace: u8) -> Observation<'static> {
    let ids = Some((trace_id(trace), span_id(1)));
    Observation { sent_to_origin: ids, ..record(u64::from(trace), Fate::Sampled) }
}

fn viewer(trace: u8) -> TestSpan {
    let service = "cloudfront".to_owned();
    TestSpan {
        trace,
        span: 1,
        service,
        cdn: true,
        start: NOW - 20_000_000_200,
        end: NOW - 20_000_000_000,
        ..TestSpan::default()
    }
}

/// A span of a back end, below span `parent`.
fn backend(trace: u8, span: u8, parent: u8) -> TestSpan {
    TestSpan { trace, span, parent, start: NOW - 20_000_000_100, end: NOW - 20_000_000_050, ..TestSpan::default() }
}

/// Expected, without back end, and the examples.
fn misses(store: &Store) -> (u64, u64, Vec<TraceId>) {
    // The clock stands still, and so everything has arrived just now.
    let request = CoverageRequest { patience: Duration::ZERO, ..request() };
    let answer = store.coverage(&request, &limits()).expect("an answer");
    let total = total(&answer);
    let examples = answer.keys.into_values().flat_map(|key| key.without_backend).collect();
    (total.expected, total.without_backend, examples)
}

#[test]
fn only_a_span_of_a_back_end_below_the_viewers_counts() {
    let lambda =
        |trace, span, parent| TestSpan { service: "cloudfront".to_owned(), cdn: true, ..backend(trace, span, parent) };
    let browser = |trace| TestSpan { service: "browser".to_owned(), ..backend(trace, 9, 0) };
    let continued = |trace| TestSpan { parent: 9, ..viewer(trace) };
    let traces: [(u8, bool, Vec<TestSpan>); 7] = [
        (1, false, vec![viewer(1)]),
        (2, true, vec![viewer(2), backend(2, 2, 1)]),
        // Lambda@Edge's spans are the CDN's, whatever is below them.
        (3, false, vec![viewer(3), lambda(3, 2, 1)]),
        (4, true, vec![viewer(4), lambda(4, 2, 1), backend(4, 3, 2)]),
        // A trace that the browser began.
        (5, false, vec![browser(5), continued(5)]),
        (6, true, vec![browser(6), continued(6), backend(6, 2, 1)]),
        // A span of a back end beside the viewer's: of another request of the browser.
        (7, false, vec![browser(7), continued(7), backend(7, 2, 9)]),
    ];
    for is_sealed in [false, true] {
        let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
        let (store, _) = open(&disk);
        let mut expected = BTreeSet::new();
        for (trace, has_backend, spans) in &traces {
            ingest(&store, batch(spans)).expect("taken");
            deliver(&store, &[miss(*trace)]);
            if !has_backend {
                expected.insert(trace_id(*trace));
            }
        }
        if is_sealed {
            store.seal().expect("the tail is sealed");
        }
        for _ in 0..2 {
            let (all, without, examples) = misses(&store);
            assert_eq!((all, without), (7, 4), "sealed: {is_sealed}");
            assert_eq!(examples.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}

#[test]
fn a_late_back_end_corrects_the_number() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    deliver(&store, &[miss(1)]);
    assert_eq!(misses(&store).0, 0, "without the viewer's span nothing is known");
    ingest(&store, batch(&[viewer(1)])).expect("taken");
    store.seal().expect("the tail is sealed");
    assert_eq!(misses(&store).1, 1);
    ingest(&store, batch(&[backend(1, 2, 1)])).expect("taken");
    assert_eq!((misses(&store).0, misses(&store).1), (1, 0), "in the tail");
    store.seal().expect("the tail is sealed");
    assert_eq!((misses(&store).0, misses(&store).1), (1, 0), "in another block");
}

#[test]
fn a_back_end_has_ten_minutes() {
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let options = Options { clock: Arc::new(move || UnixNanos(clock.load(Ordering::Relaxed))), ..options() };
    let (store, _) = Store::open(disk, options).expect("the store opens");
    ingest(&store, batch(&[viewer(1), viewer(2)])).expect("taken");
    deliver(&store, &[miss(1)]);
    let imported = Observation { end: Some(UnixNanos(NOW - 11 * MINUTE)), ..miss(2) };
    observe(&store, &[imported], Arrival::Imported).expect("taken");
    let expected = |store: &Store| {
        let total = total(&ask(store));
        (total.expected, total.without_backend)
    };
    assert_eq!(expected(&store), (1, 1), "an imported one waits from its end");
    now.store(NOW + 10 * MINUTE - 1, Ordering::Relaxed);
    assert_eq!(expected(&store), (1, 1));
    now.store(NOW + 10 * MINUTE, Ordering::Relaxed);
    assert_eq!(expected(&store), (2, 2));
}

#[test]
fn of_many_misses_some_are_looked_up() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    ingest(&store, batch(&[viewer(1)])).expect("taken");
    let many: Vec<Observation<'_>> =
        (0..150).map(|request| Observation { request: Some(request), ..miss(1) }).collect();
    deliver(&store, &many);
    assert_eq!(misses(&store).0, 100);
    assert_eq!(total(&ask(&store)).counts.sampled, 150);
}

#[test]
fn a_question_looks_up_a_bounded_number() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    ingest(&store, batch(&[viewer(1)])).expect("taken");
    // A hundred of each of 21 minutes and 100 behaviours.
    let behaviours: Vec<String> = (0..100).map(|number| format!("/{number}/*")).collect();
    for minute in 0..21 {
        let end = Some(UnixNanos(NOW - minute * MINUTE));
        let mut all = Vec::with_capacity(10_000);
        for (number, behaviour) in (0..).zip(&behaviours) {
            for request in 0..100 {
                let request = Some(minute * 10_000 + number * 100 + request);
                all.push(Observation { request, behaviour, end, ..miss(1) });
            }
        }
        deliver(&store, &all);
    }
    let request = CoverageRequest { patience: Duration::ZERO, ..request() };
    let answer = store.coverage(&request, &limits()).expect("an answer");
    assert_eq!((total(&answer).counts.sampled, total(&answer).expected), (210_000, 200_000));
    assert!(answer.partial.is_some_and(|partial| partial.contains("of the latest 200000 requests only")));
}
