//! Coverage as a whole, over the in-memory and the fault-injecting directory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use proptest::prelude::*;
use rootspan_journal::directory::Directory;
use rootspan_journal::directory::faulty::{Faults, FaultyDirectory};
use rootspan_journal::directory::memory::{MemoryDirectory, Survival};
use rootspan_wire::cloudfront::observation::{Fate, Observation, StatusClass};

use super::*;
use crate::store::tests::{ingest, limits, open, options};
use crate::store::{IngestError, Options};
use crate::testing::{NOW, TestSpan, batch, span_id, trace_id};

mod misses;

const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 60 * MINUTE;

/// A record of the minute before [`NOW`].
fn record(request: u64, fate: Fate) -> Observation<'static> {
    Observation {
        fate,
        status: StatusClass::Success,
        distribution: "d1",
        behaviour: "/api/*",
        result_type: "Miss",
        end: Some(UnixNanos(NOW - 20_000_000_000)),
        taken_nanos: Some(250_000_000),
        bytes: 100,
        request: Some(request),
        sent_to_origin: None,
    }
}

fn observe(store: &Store, records: &[Observation<'_>], arrival: Arrival) -> Result<(), IngestError> {
    let mut observations = Observations::default();
    records.iter().for_each(|record| observations.push(record));
    let (sender, receiver) = channel();
    store.observe(observations, arrival, Box::new(move |result| sender.send(result).expect("the test waits")));
    receiver.recv().expect("done is called")
}

fn deliver(store: &Store, records: &[Observation<'_>]) {
    observe(store, records, Arrival::Delivered).expect("the records are taken");
}

fn request() -> CoverageRequest {
    CoverageRequest {
        start: UnixNanos(NOW - 24 * HOUR),
        end: UnixNanos(NOW + HOUR),
        step_minutes: 1,
        distribution: None,
        behaviour: None,
        patience: Duration::from_mins(10),
    }
}

fn ask(store: &Store) -> CoverageAnswer {
    store.coverage(&request(), &limits()).expect("an answer")
}

/// All sums in one.
fn total(answer: &CoverageAnswer) -> StepCoverage {
    let mut total = StepCoverage::default();
    for step in answer.keys.values().flat_map(|key| key.steps.values()) {
        total.merge(step);
    }
    total
}

/// Records and those that came again.
fn figures(store: &Store) -> (u64, u64) {
    let counts = total(&ask(store)).counts;
    (counts.records(), counts.redelivered)
}

fn files(directory: &dyn Directory, ending: &str) -> usize {
    let entries = directory.list("coverage").expect("the folder is listed");
    entries.iter().filter(|entry| entry.name.ends_with(ending)).count()
}

#[test]
fn what_is_counted_is_there_in_the_tail_in_a_file_and_after_reopening() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    let late = Observation { end: Some(UnixNanos(NOW - 3 * HOUR)), ..record(3, Fate::SampledOut) };
    deliver(&store, &[record(1, Fate::Sampled), record(2, Fate::Kept), late]);
    let check = |store: &Store, place: &str| {
        let answer = ask(store);
        assert_eq!(answer.partial, None, "{place}");
        let [(key, of_key)] = answer.keys.iter().collect::<Vec<_>>()[..] else { panic!("one behaviour: {place}") };
        assert_eq!((&*key.distribution, &*key.behaviour), ("d1", "/api/*"));
        let minute = |ago: u64| u32::try_from((NOW - ago) / MINUTE).expect("a minute");
        let minutes: Vec<u32> = of_key.steps.keys().copied().collect();
        assert_eq!(minutes, [minute(3 * HOUR), minute(1)], "each in the minute of its request: {place}");
        let counts = total(&answer).counts;
        assert_eq!((counts.sampled, counts.kept, counts.sampled_out, counts.bytes), (1, 1, 1, 300), "{place}");
        let delay = of_key.steps[&minute(1)].counts.delay.quantile(0.5).expect("delivered");
        assert!(delay.abs_diff(20_000_000_000) < 220_000_000, "{delay}: {place}");
    };
    check(&store, "tail");
    store.seal().expect("the tail is sealed");
    assert_eq!(files(disk.as_ref(), ".coverage"), 2, "one an hour");
    assert_eq!(store.status().blocks, 0);
    assert!(store.status().bytes_on_disk > 0);
    check(&store, "file");
    store.close().expect("the store closes");
    drop(store);
    let (store, report) = open(&disk);
    assert_eq!(report.repairs, Vec::<String>::new());
    check(&store, "reopened");
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    deliver(&store, &[record(1, Fate::Sampled), record(2, Fate::SampledOut)]);
    let after: Arc<dyn Directory> = Arc::new(disk.after_power_loss(Survival::Nothing));
    let (reopened, _) = open(&after);
    assert_eq!(figures(&reopened), (2, 0));
    drop(store);
}

#[test]
fn a_record_that_comes_again_is_not_counted_again() {
    let memory = MemoryDirectory::new();
    let disk: Arc<dyn Directory> = Arc::new(memory.clone());
    let (store, _) = open(&disk);
    let nameless = Observation { request: None, ..record(0, Fate::Unplaced) };
    let all = [record(1, Fate::Sampled), record(2, Fate::SampledOut), nameless];
    deliver(&store, &[all[0], all[0], all[1]]);
    assert_eq!(figures(&store), (2, 1), "in one delivery");
    deliver(&store, &all);
    assert_eq!(figures(&store), (3, 3), "in the tail; what has no id is new");
    store.seal().expect("the tail is sealed");
    deliver(&store, &all[..2]);
    assert_eq!(figures(&store), (3, 5), "from a file");
    store.close().expect("the store closes");
    drop(store);
    let (store, _) = open(&disk);
    observe(&store, &all[..2], Arrival::Imported).expect("taken");
    assert_eq!(figures(&store), (3, 7), "after a restart, and in whatever way");
    let killed: Arc<dyn Directory> = Arc::new(memory.after_power_loss(Survival::Nothing));
    let (store, _) = open(&killed);
    assert_eq!(figures(&store), (3, 7), "replaying the journal counts nothing twice");
    deliver(&store, &[record(1, Fate::Sampled)]);
    assert_eq!(figures(&store), (3, 8), "known from the journal");
}

#[test]
fn another_hours_record_with_the_same_hash_is_another() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    let other = Observation { end: Some(UnixNanos(NOW - 2 * HOUR)), ..record(1, Fate::Sampled) };
    deliver(&store, &[record(1, Fate::Sampled), other]);
    assert_eq!(figures(&store), (2, 0));
}

#[test]
fn the_functions_data_corrects_derived_ids() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    deliver(&store, &[record(1, Fate::Derived), record(2, Fate::Derived)]);
    deliver(&store, &[record(1, Fate::Joined)]);
    let counts = total(&ask(&store)).counts;
    assert_eq!((counts.records(), counts.derived(), counts.redelivered), (2, 1, 0));
}

#[test]
fn steps_widen_and_names_filter() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    let at = |request: u64, minutes: u64| Observation {
        end: Some(UnixNanos(NOW - minutes * MINUTE)),
        ..record(request, Fate::Sampled)
    };
    let other = Observation { behaviour: "*", distribution: "d2", ..at(9, 1) };
    deliver(&store, &[at(1, 1), at(2, 2), at(3, 20), other]);
    let coverage = |request: CoverageRequest| store.coverage(&request, &limits()).expect("an answer");
    let wide = coverage(CoverageRequest { step_minutes: 15, ..request() });
    let steps: Vec<(u32, u64)> = wide
        .keys
        .iter()
        .filter(|(key, _)| &*key.distribution == "d1")
        .flat_map(|(_, of_key)| of_key.steps.iter().map(|(minute, step)| (*minute, step.counts.records())))
        .collect();
    let now = u32::try_from(NOW / MINUTE).expect("a minute");
    assert_eq!(now % 15, 0, "the hour is full");
    assert_eq!(steps, [(now - 30, 1), (now - 15, 2)]);
    let named = |distribution: &str, behaviour: &str| {
        let wanted = CoverageRequest {
            distribution: Some(distribution.to_owned()),
            behaviour: Some(behaviour.to_owned()),
            ..request()
        };
        total(&coverage(wanted)).counts.records()
    };
    assert_eq!([named("d1", "/api/*"), named("d2", "*"), named("d1", "*")], [3, 1, 0]);
    let minute = CoverageRequest { start: UnixNanos(NOW - 2 * MINUTE), end: UnixNanos(NOW - MINUTE), ..request() };
    assert_eq!(total(&coverage(minute)).counts.records(), 1, "the end is outside");
}

#[test]
fn retention_removes_counts_with_their_hours() {
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let clock: crate::store::Clock = Arc::new(move || UnixNanos(clock.load(Ordering::Relaxed)));
    let options = Options { retention: Duration::from_hours(2), clock, ..options() };
    let (store, _) = Store::open(Arc::clone(&disk), options).expect("the store opens");
    let old = Observation { end: Some(UnixNanos(NOW - HOUR)), ..record(2, Fate::Sampled) };
    let new = Observation { end: Some(UnixNanos(NOW)), ..record(1, Fate::Sampled) };
    deliver(&store, &[old, new]);
    store.seal().expect("the tail is sealed");
    assert_eq!((figures(&store), files(disk.as_ref(), ".coverage")), ((2, 0), 2));
    now.store(NOW + 2 * HOUR, Ordering::Relaxed);
    deliver(&store, &[Observation { end: Some(UnixNanos(NOW + 2 * HOUR)), ..record(3, Fate::Sampled) }]);
    store.close().expect("the store closes");
    assert_eq!(files(disk.as_ref(), ".coverage"), 2, "one went, one came");
    let wide = CoverageRequest { end: UnixNanos(NOW + 3 * HOUR), ..request() };
    let answer = store.coverage(&wide, &limits()).expect("an answer");
    assert_eq!(total(&answer).counts.records(), 2);
}

#[test]
fn a_lost_manifest_and_a_damaged_file() {
    let disk = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    let (store, _) = open(&directory);
    let old = Observation { end: Some(UnixNanos(NOW - 2 * HOUR)), ..record(2, Fate::Sampled) };
    deliver(&store, &[record(1, Fate::Sampled), old]);
    ingest(&store, batch(&[TestSpan::default()])).expect("taken");
    store.close().expect("the store closes");
    drop(store);
    for entry in disk.list("manifest").expect("the folder is listed") {
        disk.remove(&format!("manifest/{}", entry.name)).expect("it is removed");
    }
    let (store, report) = open(&directory);
    assert_eq!(report.repairs.len(), 1, "{:?}", report.repairs);
    assert_eq!(figures(&store), (2, 0), "the files say what they are");
    deliver(&store, &[record(1, Fate::Sampled)]);
    assert_eq!(figures(&store), (2, 1));
    store.close().expect("the store closes");
    drop(store);
    let entries = disk.list("coverage").expect("the folder is listed");
    let name = entries.iter().map(|entry| &entry.name).find(|name| name.ends_with(".coverage")).expect("a file");
    disk.flip_bit(&format!("coverage/{name}"), 8 * 12).expect("the bit is flipped");
    let (store, _) = open(&directory);
    let answer = ask(&store);
    assert_eq!(total(&answer).counts.records(), 1);
    assert!(answer.partial.is_some_and(|partial| partial.contains(name)), "the answer says what is missing");
}

#[test]
fn limits_make_an_answer_partial() {
    let disk: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (store, _) = open(&disk);
    deliver(&store, &[record(1, Fate::Sampled)]);
    store.seal().expect("the tail is sealed");
    deliver(&store, &[record(2, Fate::Sampled)]);
    let few = QueryLimits { bytes: 10, ..limits() };
    let answer = store.coverage(&request(), &few).expect("an answer");
    assert_eq!(total(&answer).counts.records(), 1, "the newest");
    assert!(answer.partial.is_some_and(|partial| partial.starts_with("older minutes are not counted")));
    let cancelled = limits();
    cancelled.cancel.store(true, Ordering::Relaxed);
    assert!(matches!(store.coverage(&request(), &cancelled), Err(QueryError::Cancelled)));
}

/// Deliveries of five records, while the disk fails or loses power in one operation.
fn run_with_faults(failing: BTreeSet<u64>, power_fails_at: Option<u64>, seed: u64, seals: &[bool]) {
    let faulty = FaultyDirectory::new(MemoryDirectory::new(), Faults { seed, power_fails_at, failing });
    let directory: Arc<dyn Directory> = Arc::new(faulty.clone());
    let delivery = |number: usize| -> Vec<Observation<'static>> {
        let first = number as u64 * 5;
        let end = |request: u64| Some(UnixNanos(NOW - request % 3 * HOUR));
        (first..first + 5).map(|request| Observation { end: end(request), ..record(request, Fate::Sampled) }).collect()
    };
    let mut acknowledged = Vec::new();
    if let Ok((store, _)) = Store::open(directory, options()) {
        for (number, seal) in seals.iter().enumerate() {
            if observe(&store, &delivery(number), Arrival::Delivered).is_ok() {
                acknowledged.push(number);
            }
            if *seal {
                // It may fail; what was acknowledged is in the journal.
                _ = store.seal();
            }
        }
        _ = store.close();
    }
    let disk: Arc<dyn Directory> = Arc::new(faulty.power_off(Survival::Random(seed)));
    let (store, report) = open(&disk);
    assert!(report.repairs.is_empty(), "{:?}", report.repairs);
    let (records, _) = figures(&store);
    assert!(records >= acknowledged.len() as u64 * 5, "{records} of {acknowledged:?}");
    // Everybody who heard no "accepted" delivers again, and some who did.
    for number in 0..seals.len() {
        deliver(&store, &delivery(number));
    }
    assert_eq!(figures(&store).0, seals.len() as u64 * 5, "each record once");
    assert_eq!(files(disk.as_ref(), ".unfinished"), 0);
    store.close().expect("the store closes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_record_is_counted_once_though_the_power_fails(at in 0_u64..90, seed in any::<u64>(), seals in proptest::collection::vec(any::<bool>(), 1..8)) {
        run_with_faults(BTreeSet::new(), Some(at), seed, &seals);
    }

    #[test]
    fn each_record_is_counted_once_though_the_disk_fails(failing in proptest::collection::btree_set(5_u64..90, 1..4), seed in any::<u64>(), seals in proptest::collection::vec(any::<bool>(), 1..8)) {
        run_with_faults(failing, None, seed, &seals);
    }
}
