use proptest::prelude::*;

use super::*;

fn of(durations: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    durations.iter().for_each(|nanos| histogram.record(*nanos));
    histogram
}

#[test]
fn nothing_has_no_quantile_and_zero_is_zero() {
    assert_eq!(Histogram::default().quantile(0.5), None);
    assert_eq!(of(&[0, 0, 7]).quantile(0.5), Some(0));
    assert_eq!(of(&[1]).quantile(0.99), Some(1));
}

#[test]
fn the_ends_of_the_range_are_in_it() {
    for nanos in [1, 2, 3, u64::MAX] {
        let found = of(&[nanos]).quantile(1.0).expect("one");
        assert!(found.abs_diff(nanos) <= nanos / 90, "{nanos}: {found}");
    }
}

proptest! {
    #[test]
    fn a_quantile_is_off_by_a_hundredth(mut durations in proptest::collection::vec(1_u64..100_000_000_000, 1..200), percent in 1_u32..=100) {
        let share = f64::from(percent) / 100.0;
        let found = of(&durations).quantile(share).expect("some");
        durations.sort_unstable();
        let rank = (durations.len() * percent as usize).div_ceil(100).clamp(1, durations.len());
        // Rounding of the share may move the rank by one.
        let near: Vec<u64> = durations[rank.saturating_sub(2)..durations.len().min(rank + 1)].to_vec();
        let is_near = near.iter().any(|exact| found.abs_diff(*exact) <= exact / 90 + 1);
        prop_assert!(is_near, "{} is not near {:?}", found, near);
    }

    #[test]
    fn sums_do_not_depend_on_the_order(left in proptest::collection::vec(any::<u64>(), 0..50), right in proptest::collection::vec(any::<u64>(), 0..50)) {
        let (mut one, mut other) = (of(&left), of(&right));
        one.merge(&of(&right));
        other.merge(&of(&left));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(&one, &of(&[left, right].concat()));
        let (zero, buckets) = one.parts();
        prop_assert_eq!(&one, &Histogram::from_parts(zero, buckets.iter().rev().copied()));
    }
}
