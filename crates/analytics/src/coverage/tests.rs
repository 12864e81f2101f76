use proptest::prelude::*;
use rootspan_wire::cloudfront::observation::StatusClass;

use super::*;

const FATES: [Fate; 8] = [
    Fate::Sampled,
    Fate::Derived,
    Fate::SampledOut,
    Fate::Kept,
    Fate::Thinned,
    Fate::Unplaced,
    Fate::Secondary,
    Fate::Joined,
];

fn record(fate: Fate) -> Observation<'static> {
    Observation {
        fate,
        status: StatusClass::Success,
        distribution: "d1",
        behaviour: "/api/*",
        result_type: "Miss",
        end: Some(UnixNanos(119_999_999_999)),
        taken_nanos: Some(250_000_000),
        bytes: 100,
        request: None,
        sent_to_origin: None,
    }
}

#[test]
fn every_record_is_in_exactly_one_sum() {
    let mut coverage = Coverage::default();
    for (index, fate) in FATES.into_iter().enumerate() {
        for _ in 0..=index {
            coverage.observe(1, &record(fate), Some(UnixNanos(125_000_000_000)));
        }
    }
    coverage.observe_again(1, &record(Fate::Sampled));
    let cells: Vec<_> = coverage.cells().collect();
    let [(key, minute, counts)] = cells[..] else { panic!("one cell, not {}", cells.len()) };
    assert_eq!((&*key.distribution, &*key.behaviour, minute), ("d1", "/api/*", 1));
    // One sampled, two derived, …, seven secondary; the eight that were joined are no records.
    assert_eq!(counts.records(), 28);
    assert_eq!((counts.sampled, counts.derived, counts.derived()), (3, 2, 0), "all were joined");
    assert_eq!((counts.sampled_out, counts.kept, counts.thinned), (3, 4, 5));
    assert_eq!((counts.unplaced, counts.secondary, counts.redelivered), (6, 7, 1));
    assert_eq!(counts.spans(), 7);
    assert_eq!(counts.statuses.iter().sum::<u64>() + counts.secondary, counts.records());
    assert_eq!(counts.result_types.values().sum::<u64>(), 21);
    assert_eq!(counts.bytes, 2100);
    assert_eq!((counts.delay.count(), counts.duration.count()), (21, 21));
    let delay = counts.delay.quantile(0.5).expect("some");
    assert!(delay.abs_diff(5_000_000_001) < 60_000_000, "{delay}");
}

#[test]
fn a_minute_ends_before_the_next_begins() {
    let at = |nanos| minute(&Observation { end: Some(UnixNanos(nanos)), ..record(Fate::Sampled) }, UnixNanos(0));
    assert_eq!([at(0), at(59_999_999_999), at(60_000_000_000), at(u64::MAX)], [0, 0, 1, 307_445_734]);
    let timeless = Observation { end: None, ..record(Fate::Unplaced) };
    assert_eq!(minute(&timeless, UnixNanos(180_000_000_000)), 3, "the minute of its arrival");
}

#[test]
fn what_is_too_much_is_other() {
    let mut coverage = Coverage::default();
    for number in 0..MAX_KEYS + 50 {
        let behaviour = format!("/{number}");
        coverage.observe(0, &Observation { behaviour: &behaviour, ..record(Fate::Sampled) }, None);
    }
    let records = coverage.cells().map(|(_, _, counts)| counts.records());
    assert_eq!(records.sum::<u64>(), 1050);
    let other = coverage.cells().find(|(key, ..)| &*key.distribution == OTHER).expect("too many");
    assert_eq!((&*other.0.behaviour, other.2.records()), (OTHER, 50));
    let mut coverage = Coverage::default();
    for number in 0..MAX_RESULT_TYPES + 7 {
        let result_type = format!("Type{number}");
        coverage.observe(0, &Observation { result_type: &result_type, ..record(Fate::Sampled) }, None);
    }
    let (_, _, counts) = coverage.cells().next().expect("a cell");
    assert_eq!(counts.result_types.get(OTHER), Some(&7));
}

fn any_record() -> impl Strategy<Value = (u8, u8, u8, u8, u64, u64)> {
    (0_u8..8, 0_u8..6, 0_u8..3, 0_u8..3, 0_u64..300_000_000_000, any::<u64>())
}

fn counted<'r>(records: impl IntoIterator<Item = &'r (u8, u8, u8, u8, u64, u64)>) -> Coverage {
    let mut coverage = Coverage::default();
    for (fate, status, behaviour, result, end, taken) in records {
        let observation = Observation {
            fate: FATES[usize::from(*fate)],
            status: StatusClass::ALL[usize::from(*status)],
            behaviour: ["/a", "/b", ""][usize::from(*behaviour)],
            result_type: ["Hit", "Miss", ""][usize::from(*result)],
            end: Some(UnixNanos(*end)),
            taken_nanos: Some(*taken),
            ..record(Fate::Sampled)
        };
        let minute = minute(&observation, UnixNanos(0));
        if taken % 5 == 0 {
            coverage.observe_again(minute, &observation);
        } else {
            coverage.observe(minute, &observation, (taken % 3 == 0).then_some(UnixNanos(400_000_000_000)));
        }
    }
    coverage
}

fn sums(coverage: &Coverage) -> BTreeMap<(Key, u32), Counts> {
    coverage.cells().map(|(key, minute, counts)| ((key.clone(), minute), counts.clone())).collect()
}

proptest! {
    #[test]
    fn sums_are_additive_in_any_order(records in proptest::collection::vec(any_record(), 0..80), cut in 0_usize..80) {
        let (first, second) = records.split_at(cut.min(records.len()));
        let (mut forward, mut backward) = (counted(first), counted(second));
        forward.merge(&counted(second));
        backward.merge(&counted(first));
        let whole = sums(&counted(&records));
        prop_assert_eq!(&sums(&forward), &whole);
        prop_assert_eq!(&sums(&backward), &whole);
    }
}
