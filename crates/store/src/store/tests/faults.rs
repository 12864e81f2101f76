//! Disks that fail, are full, or rot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::faulty::{Faults, FaultyDirectory};
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_model::time::UnixNanos;
use rootspan_traceql::parser::parse;

use super::{checkout, ingest, limits, open, options, search, trace};
use crate::store::{IngestError, OpenError, Options, QueryError, QueryLimits, SearchRequest, Store};
use crate::testing::{NOW, TestSpan, batch, content, trace_id};

const HOUR: u64 = 3_600_000_000_000;

fn one(trace: u8, start: u64) -> TestSpan {
    TestSpan { trace, start, end: start + 10, ..TestSpan::default() }
}

/// Names in the blocks' folder that end so.
fn names(directory: &dyn Directory, ending: &str) -> Vec<String> {
    let entries = directory.list("blocks").expect("the folder is listed");
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(ending)).collect()
}

#[test]
fn a_damaged_block_is_set_aside_and_the_rest_works() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    for (number, start) in [(1, NOW), (2, NOW - HOUR)] {
        ingest(&store, batch(&[one(number, start)])).expect("the batch is taken");
        store.seal().expect("the tail is sealed");
    }
    let damaged = names(&disk, ".parquet").remove(0);
    disk.flip_bit(&format!("blocks/{damaged}"), 100 * 8).expect("the bit is flipped");
    let lost = trace(&store, 2);
    assert!(lost.is_none());
    assert!(trace(&store, 1).is_some());
    assert_eq!(store.status().damaged_blocks, 1);
    assert_eq!(search(&store, "{}").traces.len(), 1);
    check_says_what_is_missing(&store);
    store.close().expect("the store closes");
    drop(store);
    assert_eq!(names(&disk, ".damaged"), [format!("{damaged}.damaged")]);
    let (store, _) = open(&directory);
    assert_eq!((store.status().damaged_blocks, store.status().blocks), (1, 1));
    assert_eq!(search(&store, "{}").traces.len(), 1);
    check_says_what_is_missing(&store);
    // When retention would have removed it, nothing is missing any more.
    store.close().expect("the store closes");
    drop(store);
    let later = Options { clock: Arc::new(|| UnixNanos(NOW + 72 * HOUR)), ..options() };
    let (store, _) = Store::open(directory, later).expect("the store opens");
    assert_eq!(store.missing(), None);
}

/// The block of the hour before [`NOW`] is set aside.
fn check_says_what_is_missing(store: &Store) {
    let said = Some("1 damaged block is set aside, and its spans are missing".to_owned());
    assert_eq!(store.missing(), said);
    let this_hour = NOW - NOW % HOUR;
    let ranges = [(None, None, true), (Some(this_hour), None, false), (Some(this_hour - 1), None, true)];
    for (start, end, is_partial) in ranges.into_iter().chain([(None, Some(this_hour - HOUR), false)]) {
        let query = parse("{}").expect("a valid query");
        let (start, end) = (start.map(UnixNanos), end.map(UnixNanos));
        let page = store.search(&SearchRequest { query, start, end, limit: 20, after: None }, &limits());
        let partial = page.expect("the search works").partial;
        assert_eq!(partial, said.clone().filter(|_| is_partial), "{start:?} {end:?}");
    }
}

#[test]
fn a_lost_manifest_is_rebuilt_from_the_blocks() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    store.seal().expect("the tail is sealed");
    ingest(&store, batch(&[one(2, NOW - HOUR)])).expect("the batch is taken");
    store.close().expect("the store closes");
    drop(store);
    for entry in disk.list("manifest").expect("the folder is listed") {
        disk.remove(&format!("manifest/{}", entry.name)).expect("the file is removed");
    }
    let (store, report) = open(&directory);
    assert_eq!(report.repairs.len(), 1, "{:?}", report.repairs);
    assert_eq!(report.replayed_spans, 0);
    assert_eq!(store.status().blocks, 2);
    assert_eq!(search(&store, "{ status = error }").traces[0].span_count, 3);
    assert_eq!(content(&trace(&store, 1).expect("it is there").batch), content(&batch(&checkout())));
    drop(store);
    // What was rebuilt is durable.
    let after: Arc<dyn Directory> = Arc::new(disk.after_power_loss(Survival::Nothing));
    let (store, report) = open(&after);
    assert!(report.repairs.is_empty());
    assert_eq!(store.status().blocks, 2);
}

/// Bit rot in the manifest must not make blocks look like leftovers.
#[test]
fn a_damaged_manifest_loses_no_block() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    for number in 1..4 {
        ingest(&store, batch(&[one(number, NOW)])).expect("the batch is taken");
        store.seal().expect("the tail is sealed");
    }
    store.close().expect("the store closes");
    drop(store);
    let segments = disk.list("manifest").expect("the folder is listed");
    let segment = segments.iter().max_by_key(|segment| segment.length).expect("a segment");
    disk.flip_bit(&format!("manifest/{}", segment.name), segment.length * 4).expect("the bit is flipped");
    let (store, report) = open(&directory);
    assert!(!report.repairs.is_empty());
    assert_eq!(search(&store, "{}").traces.len(), 3);
    for number in 1..4 {
        assert_eq!(trace(&store, number).expect("it is there").batch.span_count(), 1);
    }
}

#[test]
fn a_missing_block_is_one_sentence() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&[one(1, NOW)])).expect("the batch is taken");
    store.close().expect("the store closes");
    drop(store);
    let name = names(&disk, ".parquet").remove(0);
    disk.remove(&format!("blocks/{name}")).expect("the file is removed");
    let (store, report) = open(&directory);
    assert_eq!(report.repairs, [format!("block blocks/{name} is missing; its spans are lost")]);
    assert!(search(&store, "{}").traces.is_empty());
}

#[test]
fn missing_checksums_are_not_called_a_wrong_length() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&[one(1, NOW)])).expect("the batch is taken");
    store.close().expect("the store closes");
    drop(store);
    let path = format!("blocks/{}", names(&disk, ".parquet").remove(0));
    disk.remove(&format!("{path}.crc")).expect("the file is removed");
    let (store, report) = open(&directory);
    let reason = format!("cannot be checked: its checksums ({path}.crc) are missing");
    assert_eq!(report.repairs, [format!("block {path} {reason}; it was set aside as {path}.damaged")]);
    assert!(search(&store, "{}").partial.is_some());
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&[one(1, NOW)])).expect("the batch is taken");
    let space = disk.space().expect("there is space");
    disk.set_capacity(space.total - space.free + 10);
    assert!(matches!(ingest(&store, batch(&[one(2, NOW)])), Err(IngestError::DiskFull(_))));
    assert_eq!(search(&store, "{}").traces.len(), 1);
    disk.set_capacity(1 << 30);
    ingest(&store, batch(&[one(2, NOW)])).expect("the batch is taken");
    assert_eq!(search(&store, "{}").traces.len(), 2);
    store.close().expect("the store closes");
}

/// The tail is due and cannot become blocks for want of space: that is a full disk, not a broken one.
#[test]
fn a_seal_without_space_refuses_as_a_full_disk() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let options = Options { min_free_percent: 0.0, seal_spans: 1, ..options() };
    let (store, _) = Store::open(directory, options).expect("the store opens");
    let space = disk.space().expect("there is space");
    // Enough for frames of the journal, too little for a block.
    disk.set_capacity(space.total - space.free + 1_500);
    let refused = (1..200).find_map(|number| ingest(&store, batch(&[one(number, NOW)])).err());
    assert!(matches!(refused, Some(IngestError::DiskFull(_))), "{refused:?}");
    disk.set_capacity(1 << 30);
    store.close().expect("the store closes");
    assert!(trace(&store, 1).is_some());
}

#[test]
fn a_seal_that_fails_is_tried_again() {
    let faulty = FaultyDirectory::new(MemoryDirectory::new(), Faults::default());
    let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
    let (store, _) = open(&directory);
    ingest(&store, batch(&[one(1, NOW)])).expect("the batch is taken");
    faulty.fail_next(1);
    store.seal().expect_err("the disk fails");
    assert_eq!(search(&store, "{}").traces.len(), 1);
    // The maintenance thread comes back to it by itself.
    let begun = std::time::Instant::now();
    while store.status().blocks == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it was never sealed");
        std::thread::yield_now();
    }
    assert_eq!(search(&store, "{}").traces.len(), 1);
    store.close().expect("the store closes");
}

/// A clock that is ahead must not hide that nothing comes in any more.
#[test]
fn the_newest_span_is_never_newer_than_its_reception() {
    const DAY: u64 = 24 * HOUR;
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let options = Options { clock: Arc::new(move || UnixNanos(clock.load(Ordering::Relaxed))), ..options() };
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = Store::open(Arc::clone(&directory), options.clone()).expect("the store opens");
    ingest(&store, batch(&[one(1, NOW - 5)])).expect("the batch is taken");
    assert_eq!(store.status().newest_span_start, Some(UnixNanos(NOW - 5)));
    ingest(&store, batch(&[one(2, NOW + 400 * DAY)])).expect("the batch is taken");
    assert_eq!(store.status().newest_span_start, Some(UnixNanos(NOW)));
    now.store(NOW + HOUR / 2, Ordering::Relaxed);
    store.close().expect("the store closes");
    assert_eq!(store.status().newest_span_start, Some(UnixNanos(NOW)), "sealing changes nothing");
    drop(store);
    now.store(NOW + DAY, Ordering::Relaxed);
    let (store, _) = Store::open(directory, options).expect("the store opens");
    let newest = store.status().newest_span_start.expect("there are spans").0;
    assert!(newest <= NOW + 2 * HOUR, "its hour is what is known: {newest}");
}

#[test]
fn retention_removes_whole_hours() {
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let options = Options {
        retention: Duration::from_hours(2),
        clock: Arc::new(move || UnixNanos(clock.load(Ordering::Relaxed))),
        ..options()
    };
    let (store, _) = Store::open(Arc::clone(&directory), options).expect("the store opens");
    for (number, start) in [(1, NOW), (2, NOW - HOUR)] {
        ingest(&store, batch(&[TestSpan { name: format!("n{number}"), ..one(number, start) }])).expect("taken");
        store.seal().expect("the tail is sealed");
    }
    assert_eq!((store.status().blocks, store.operations("shop").len()), (2, 2));
    now.store(NOW + 2 * HOUR, Ordering::Relaxed);
    ingest(&store, batch(&[TestSpan { name: "n3".to_owned(), ..one(3, NOW + 2 * HOUR) }])).expect("taken");
    store.close().expect("the store closes");
    assert_eq!(store.operations("shop"), ["n1", "n3"]);
    assert_eq!(names(&disk, ".parquet").len(), 2);
    assert!(trace(&store, 2).is_none());
}

#[test]
fn the_oldest_hours_go_when_there_is_too_much() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let options = Options { max_bytes: Some(30_000), ..options() };
    let (store, _) = Store::open(Arc::clone(&disk), options).expect("the store opens");
    for number in 1..12 {
        ingest(&store, batch(&[one(number, NOW - u64::from(20 - number) * HOUR)])).expect("taken");
        store.seal().expect("the tail is sealed");
    }
    store.close().expect("the store closes");
    let status = store.status();
    // The journals grow by a frame or two after the last look.
    assert!(status.bytes_on_disk <= 32_000, "{status:?}");
    assert!(status.blocks > 1);
    assert!(trace(&store, 1).is_none());
    assert!(trace(&store, 11).is_some());
}

#[test]
fn only_one_process_has_the_store() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    assert!(matches!(Store::open(Arc::clone(&disk), options()), Err(OpenError::Locked)));
    store.close().expect("the store closes");
    drop(store);
    open(&disk);
}

#[test]
fn limits_end_a_query() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    ingest(&store, batch(&checkout())).expect("the batch is taken");
    store.seal().expect("the tail is sealed");
    let few = QueryLimits { bytes: 10, ..limits() };
    let stored = store.trace(&trace_id(1), &few).expect("a cut is no error");
    assert!(stored.is_none_or(|stored| stored.omitted_spans == 3));
    let cancelled = limits();
    cancelled.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(store.trace(&trace_id(1), &cancelled), Err(QueryError::Cancelled)));
}

/// Batches, with the operation at which the disk fails or loses power.
fn run_with_faults(failing: BTreeSet<u64>, power_fails_at: Option<u64>, seed: u64, seals: &[bool]) {
    let faults = Faults { seed, power_fails_at, failing };
    let faulty = FaultyDirectory::new(MemoryDirectory::new(), faults);
    let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
    let mut acknowledged = Vec::new();
    if let Ok((store, _)) = Store::open(Arc::clone(&directory), options()) {
        for (number, seal) in seals.iter().enumerate() {
            let number = u8::try_from(number).expect("few") + 1;
            let span = one(number, NOW - u64::from(number % 3) * HOUR);
            if ingest(&store, batch(std::slice::from_ref(&span))).is_ok() {
                acknowledged.push(span);
            }
            if *seal {
                // It may fail; what was acknowledged is in the journal.
                _ = store.seal();
            }
        }
        // Without power nothing can be read either.
        for span in acknowledged.iter().filter(|_| faulty.has_power()) {
            let found = trace(&store, span.trace).expect("what was acknowledged is found");
            assert_eq!(content(&found.batch), content(&batch(std::slice::from_ref(span))));
        }
        _ = store.close();
    }
    let disk: Arc<dyn Directory> = Arc::new(faulty.power_off(Survival::Random(seed)));
    let (store, report) = open(&disk);
    assert!(report.repairs.is_empty(), "{:?}", report.repairs);
    for span in &acknowledged {
        let found = trace(&store, span.trace).expect("what was acknowledged survives");
        assert_eq!(content(&found.batch), content(&batch(std::slice::from_ref(span))));
    }
    assert!(names(disk.as_ref(), ".unfinished").is_empty());
    store.close().expect("the store closes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_acknowledged_is_lost_with_the_power(
        at in 0_u64..120, seed in any::<u64>(), seals in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        run_with_faults(BTreeSet::new(), Some(at), seed, &seals);
    }

    #[test]
    fn nothing_acknowledged_is_lost_on_a_failing_disk(
        failing in prop::collection::btree_set(20_u64..120, 0..6),
        seed in any::<u64>(),
        seals in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        run_with_faults(failing, None, seed, &seals);
    }
}
